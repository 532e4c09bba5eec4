//! JSON of event logs, in whatever layout a shipper or an investigator left it: found object by
//! object ([`objects`]), told by its keys what it is, and mapped.
//!
//! | Shape | Known by | Reader |
//! |---|---|---|
//! | event log as XML turned to JSON | `Event.System`, `System` | [`nested`] |
//! | winlogbeat 7 and later, ECS | `winlog` | [`winlogbeat`] |
//! | winlogbeat to 6 | `event_data`, `log_name` | [`winlogbeat`] |
//! | Wazuh | `data.win` | [`wazuh`] |
//! | flat export | `EventID` beside a channel, provider or Sysmon's `UtcTime` | [`flat`] |
//! | normal form of EQL | `event_type`, `timestamp`, `unique_pid` | [`eql`] |
//! | Kunai | `data` beside `info.event`, `info.task` | [`kunai`] |
//! | Tetragon | `process_exec`, `process_exit`, `process_kprobe`, … | [`tetragon`] |
//! | Falco, sysdig | `rule` with `output_fields`; `evt.num` with `evt.type` | [`falco`] |
//! | osquery | `columns` beside `hostIdentifier` | [`osquery`] |
//! | ECS: auditbeat, endpoint sensors | `event.category` and its like | [`auditbeat`] |
//! | a line of a Linux log in an object | `SyslogMessage`, `MESSAGE`, `message`, … | [`carrier`] |
//! | anything else | | [`unknown`] |
//!
//! Around any of them may stand what a search engine adds: `_source`, `result`, a list of hits.

mod auditbeat;
mod carrier;
mod eql;
mod falco;
mod flat;
mod kunai;
mod nested;
mod objects;
mod osquery;
mod pick;
#[cfg(test)]
mod tests;
mod tetragon;
pub mod tree;
mod unknown;
mod wazuh;
mod winlogbeat;

use crate::import::json::objects::Objects;
use crate::import::json::tree::{Sort, Tree, Value};
use crate::import::text::LineReader;
use crate::import::windows::{self, Record};
use crate::import::{At, ImportError, Input, Sink, Skipped};
use saigen_schemas::event::FieldsBuf;

/// Buffers that are kept from object to object.
#[derive(Debug, Default)]
pub struct Work {
    record: Record,
    windows: windows::Scratch,
    fields: FieldsBuf,
    path: Vec<u8>,
    text: Vec<u8>,
    /// Made when the first line of a Linux log is found.
    lines: Option<LineReader>,
    further: tetragon::Further,
}

impl Work {
    fn lines(&mut self) -> &mut LineReader {
        self.lines.get_or_insert_with(LineReader::new)
    }
}

/// Tells all that a file of JSON holds.
///
/// # Errors
/// Where the system refuses to read, or the sink to keep.
pub fn read(input: &mut dyn Input, sink: &mut dyn Sink) -> Result<(), ImportError> {
    let mut objects = Objects::open(input, 0)?;
    let mut tree = Tree::default();
    let mut work = Work::default();
    while let Some(found) = objects.next(&mut tree, sink)? {
        let object = tree.root(objects.bytes());
        let place = Place {
            at: found.at,
            start: objects.keeps_distances().then_some(found.start),
        };
        tell(object, place, &mut work, sink)?;
    }
    match work.lines {
        Some(mut lines) => lines.finish(sink),
        None => Ok(()),
    }
}

/// The bytes of the object that begins at a place.
///
/// # Errors
/// Where none begins there, or the system refuses to read.
pub fn record_at(input: &mut dyn Input, offset: u64) -> Result<Vec<u8>, ImportError> {
    objects::object_at(input, offset)
}

/// Where an object stands: in the file, and among the bytes at hand.
#[derive(Clone, Copy)]
struct Place {
    at: At,
    /// `None` where distances among these bytes are not those in the file.
    start: Option<usize>,
}

/// What an object is, by its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `Event` with `System` and `EventData`, or these alone.
    Nested,
    /// winlogbeat, either age.
    Winlogbeat,
    /// Wazuh.
    Wazuh,
    /// All on one level.
    Flat,
    /// EQL's normal form.
    Eql,
    /// One object around another that is the record.
    Around(&'static str),
    /// An object around a list of records.
    List,
    /// None that is known.
    Unknown,
}

fn tell(
    object: Value<'_>,
    place: Place,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    match shape_of(object) {
        Shape::Nested => nested::fill(object, work),
        Shape::Winlogbeat => winlogbeat::fill(object, work),
        Shape::Wazuh => wazuh::fill(object, work),
        Shape::Flat => flat::fill(object, work),
        Shape::Around(key) => {
            let inner = object.get(key).unwrap_or(object);
            return tell(inner, place, work, sink);
        }
        Shape::List => return tell_list(object, place, work, sink),
        Shape::Eql => return eql::tell(object, place.at, work, sink),
        Shape::Unknown => return tell_other(object, place.at, work, sink),
    }
    // A record's own number, so that two exports of one log can be told to share it.
    let at = At {
        number: work.record.record_id.or(place.at.number),
        ..place.at
    };
    windows::map(&work.record, &mut work.windows, at, sink)
}

/// Tells an object that is no record of Windows.
fn tell_other(
    object: Value<'_>,
    at: At,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    if kunai::is_event(object) {
        return kunai::tell(object, at, work, sink);
    }
    if let Some(name) = tetragon::name_of(object) {
        return tetragon::tell(object, name, at, work, sink);
    }
    if falco::is_event(object) {
        return falco::tell(object, at, work, sink);
    }
    if osquery::is_row(object) {
        return osquery::tell(object, at, work, sink);
    }
    let is_ecs = auditbeat::is_event(object);
    if is_ecs && auditbeat::tell(object, at, work, sink)? {
        return Ok(());
    }
    if carrier::tell(object, at, work, sink)? {
        return Ok(());
    }
    if is_ecs {
        return auditbeat::tell_raw(object, at, work, sink);
    }
    unknown::tell(object, at, work, sink)
}

/// Tells each object of the lists within one, at its own place.
fn tell_list(
    object: Value<'_>,
    place: Place,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    let mut told = false;
    for (_, value) in object.entries() {
        for item in value.items().filter(|item| item.sort() == Sort::Object) {
            // Where distances are not kept, the place of the outer object holds for all in it.
            let inner = place.start.map_or(place, |start| Place {
                at: At {
                    offset: place.at.offset + item.start().saturating_sub(start) as u64,
                    number: place.at.number,
                },
                start: Some(item.start()),
            });
            tell(item, inner, work, sink)?;
            told = true;
        }
        if value.sort() == Sort::Object && shape_of(value) == Shape::List {
            tell_list(value, place, work, sink)?;
            told = true;
        }
    }
    if !told {
        sink.skip(place.at, Skipped::Empty);
    }
    Ok(())
}

fn shape_of(object: Value<'_>) -> Shape {
    let mut id = false;
    let mut windows = false;
    let mut data = false;
    let mut list = false;
    let mut around = None;
    for (key, value) in object.entries() {
        let is_object = value.sort() == Sort::Object;
        match key.raw() {
            b"Event" if value.get("System").is_some() => return Shape::Nested,
            b"System" if is_object && value.get("EventID").is_some() => return Shape::Nested,
            b"winlog" if is_object => return Shape::Winlogbeat,
            b"data" if value.at_path(&["win", "system"]).is_some() => return Shape::Wazuh,
            b"event_data" => data = is_object,
            b"_source" if is_object => return Shape::Around("_source"),
            b"result" if is_object => around = Some("result"),
            b"EventID" | b"EventId" | b"EventCode" | b"event_id" => id = true,
            b"Channel" | b"SourceName" | b"Provider" | b"ProviderName" | b"Provider_Name"
            | b"ProviderGuid" | b"EventSourceName" | b"log_name" | b"source_name" | b"LogName"
            | b"UtcTime" => windows = true,
            name if name.starts_with(b"winlog.") => return Shape::Winlogbeat,
            _ => {
                list = list || holds_objects(value);
            }
        }
    }
    match (id, windows, data, around, list) {
        (_, true, true, _, _) => Shape::Winlogbeat,
        (true, true, _, _, _) => Shape::Flat,
        (_, _, _, Some(key), _) => Shape::Around(key),
        (_, _, _, None, true) => Shape::List,
        (_, _, _, None, false) if eql::is_one(object) => Shape::Eql,
        (_, _, _, None, false) => Shape::Unknown,
    }
}

/// Whether it is a list of records, or an object around one (`hits.hits`).
fn holds_objects(value: Value<'_>) -> bool {
    let is_record = |item: Value<'_>| match shape_of_record(item) {
        Shape::Nested
        | Shape::Winlogbeat
        | Shape::Wazuh
        | Shape::Flat
        | Shape::Eql
        | Shape::Around(_) => true,
        Shape::List | Shape::Unknown => false,
    };
    let first_is_record = |list: Value<'_>| list.items().next().is_some_and(is_record);
    first_is_record(value) || value.entries().any(|(_, inner)| first_is_record(inner))
}

/// The shape of an item, where lists within lists are not looked for.
fn shape_of_record(item: Value<'_>) -> Shape {
    let has = |key: &str| item.get(key).is_some();
    if has("_source") {
        Shape::Around("_source")
    } else if has("winlog") || has("event_data") {
        Shape::Winlogbeat
    } else if item.at_path(&["data", "win"]).is_some() {
        Shape::Wazuh
    } else if has("Event") || has("System") {
        Shape::Nested
    } else if has("EventID") || has("EventId") || has("EventCode") {
        Shape::Flat
    } else {
        Shape::Unknown
    }
}

/// Visits each scalar within a value, with the keys that lead to it joined by dots. Items of a list go
/// under the list's name.
fn leaves<'t>(value: Value<'t>, path: &mut Vec<u8>, visit: &mut dyn FnMut(&[u8], Value<'t>)) {
    match value.sort() {
        Sort::Object => {
            for (key, inner) in value.entries() {
                let len = path.len();
                if len > 0 {
                    path.push(b'.');
                }
                key.write(path);
                leaves(inner, path, visit);
                path.truncate(len);
            }
        }
        Sort::Array => {
            for item in value.items() {
                leaves(item, path, visit);
            }
        }
        Sort::Null => {}
        Sort::Text | Sort::Escaped | Sort::Number | Sort::Flag => visit(path, value),
    }
}

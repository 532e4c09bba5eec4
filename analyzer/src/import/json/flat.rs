//! Windows records on one level: exports of nxlog, of PowerShell, of Splunk, each with names of its own
//! for what stands in a record's head. All else are fields.

use saigen_schemas::event::Text;

use crate::import::json::tree::{Sort, Value};
use crate::import::json::{Work, leaves};
use crate::import::windows::value::{moment, number};
use crate::import::windows::{Part, Record, read_message_too};

/// What a key of the head is.
enum Head {
    Id,
    Part(Part),
    RecordId,
    /// When the record was written, best first.
    Time(usize),
    /// The process that wrote it, if a number; else a field (5156 has one of this name).
    ProcessId,
    /// Of the shipper: kept behind the fields.
    Other,
    /// Of the shipper (who wrote the record, as what it counts), or a field of that name.
    Either,
    Field,
}

fn head(key: &[u8]) -> Head {
    match key {
        b"EventID" | b"EventId" | b"event_id" | b"EventCode" => Head::Id,
        b"Channel" | b"log_name" | b"LogName" => Head::Part(Part::Channel),
        b"SourceName" | b"Provider" | b"ProviderName" | b"Provider_Name" | b"EventSourceName"
        | b"source_name" => Head::Part(Part::Provider),
        b"Hostname" | b"Computer" | b"ComputerName" | b"computer_name" | b"MachineName" => {
            Head::Part(Part::Computer)
        }
        b"Message" | b"message" => Head::Part(Part::Message),
        b"RecordNumber" | b"RecordId" | b"EventRecordID" | b"record_number" => Head::RecordId,
        b"TimeCreated" | b"SystemTime" => Head::Time(0),
        b"EventTime" => Head::Time(1),
        b"TimeGenerated" => Head::Time(2),
        b"@timestamp" | b"_time" => Head::Time(3),
        b"ExecutionProcessID" | b"ProcessID" => Head::ProcessId,
        b"Keywords" | b"SeverityValue" | b"Severity" | b"ProviderGuid" | b"Version" | b"Task"
        | b"Category" | b"Opcode" | b"OpcodeValue" | b"ThreadID" | b"Level" | b"ActivityID"
        | b"EventReceivedTime" | b"SourceModuleName" | b"SourceModuleType" | b"host" | b"port"
        | b"tags" | b"@version" | b"EventTypeOrignal" | b"UserID" | b"AccountType" => Head::Other,
        b"AccountName" | b"Domain" | b"EventType" => Head::Either,
        _ => Head::Field,
    }
}

/// Fills the record from an object.
pub(super) fn fill(object: Value<'_>, work: &mut Work) {
    let Work {
        record, path, text, ..
    } = work;
    record.clear();
    let mut times: [Option<&[u8]>; 4] = [None; 4];
    let mut own_fields = false;
    for (key, value) in object.entries() {
        match head(key.raw()) {
            Head::Id => record.event_id = event_id(value),
            Head::Part(part) => record.set_with(part, |out| value.write(out)),
            Head::RecordId => record.record_id = number(value.raw()),
            Head::Time(rank) => {
                if let Some(slot) = times.get_mut(rank) {
                    *slot = Some(value.raw());
                }
                record.push_head_with(key.raw(), |out| value.write(out));
            }
            Head::ProcessId if value.sort() == Sort::Number => {
                record.process_id = number(value.raw()).and_then(|pid| u32::try_from(pid).ok());
            }
            Head::Other => {
                path.clear();
                path.extend_from_slice(key.text(text).0);
                leaves(value, path, &mut |name, leaf| {
                    record.push_head_with(name, |out| leaf.write(out));
                });
            }
            Head::Either => field(record, key.text(text), value, path),
            Head::ProcessId | Head::Field => {
                own_fields = true;
                field(record, key.text(text), value, path);
            }
        }
    }
    record.time_us = written(times);
    if !own_fields {
        read_message_too(record);
    }
}

fn field(record: &mut Record, key: Text<'_>, value: Value<'_>, path: &mut Vec<u8>) {
    match value.sort() {
        Sort::Object | Sort::Array => {
            path.clear();
            path.extend_from_slice(key.0);
            leaves(value, path, &mut |name, leaf| {
                record.push_with(name, |out| leaf.write(out));
            });
        }
        Sort::Null => {}
        Sort::Text | Sort::Escaped | Sort::Number | Sort::Flag => {
            record.push_with(key.0, |out| value.write(out));
        }
    }
}

/// An event id: a number, a text, or what XML with attributes became (`{"#text": 1, …}`).
pub(super) fn event_id(value: Value<'_>) -> Option<u32> {
    let value = match value.sort() {
        Sort::Object => ["#text", "$", "_", "Value", "content", "text"]
            .iter()
            .find_map(|key| value.get(key))?,
        Sort::Array => value.items().next()?,
        Sort::Text | Sort::Escaped | Sort::Number | Sort::Flag | Sort::Null => value,
    };
    u32::try_from(number(value.raw())?).ok()
}

/// When the record was written. A time that names no zone is of the host's, or of the forwarder's,
/// clock: the difference to one that does, in whole quarters of an hour, is its zone.
fn written(times: [Option<&[u8]>; 4]) -> Option<i64> {
    const QUARTER_US: i64 = 15 * 60 * 1_000_000;
    let stamp = times
        .iter()
        .rev()
        .flatten()
        .find(|text| has_zone(text))
        .and_then(|text| any_moment(text));
    let best = times.into_iter().flatten().find_map(|text| {
        let moment = any_moment(text)?;
        Some((moment, has_zone(text)))
    })?;
    match (best, stamp) {
        ((moment, false), Some(stamp)) => {
            let quarters = (stamp - moment + QUARTER_US / 2).div_euclid(QUARTER_US);
            // Further than any zone, it is another clock, not another zone.
            let zone = quarters.abs() <= 14 * 4;
            Some(if zone {
                moment + quarters * QUARTER_US
            } else {
                moment
            })
        }
        ((moment, _), _) => Some(moment),
    }
}

/// A moment in words, or in seconds since 1970 as Splunk has it, or as PowerShell writes dates in JSON
/// (`/Date(1600000000000)/`, escaped or not).
fn any_moment(text: &[u8]) -> Option<i64> {
    if let Some(moment) = moment(text) {
        return Some(moment);
    }
    let bare = text.strip_prefix(b"\\").unwrap_or(text);
    if let Some(rest) = bare.strip_prefix(b"/Date(") {
        let len = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let millis = i64::try_from(number(rest.get(..len)?)?).ok()?;
        return millis.checked_mul(1000);
    }
    let (seconds, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(point) => (text.get(..point)?, text.get(point + 1..)?),
        None => (text, &b""[..]),
    };
    let mut micros = i64::try_from(number(seconds)?).ok()?;
    // Seconds since 1970 have ten digits until 2286.
    if seconds.len() != 10 {
        return None;
    }
    for place in 0..6 {
        let digit = match fraction.get(place) {
            Some(digit @ b'0'..=b'9') => i64::from(digit - b'0'),
            Some(_) | None => 0,
        };
        micros = micros * 10 + digit;
    }
    Some(micros)
}

/// Whether a time in words says its zone: `Z`, or an offset behind the seconds.
fn has_zone(text: &[u8]) -> bool {
    let zone = |byte: &u8| b"Zz+".contains(byte);
    let clock = text.get(19..).unwrap_or_default();
    clock.iter().any(|byte| zone(byte) || *byte == b'-') || text.starts_with(b"\\/Date(")
}

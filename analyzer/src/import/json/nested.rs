//! Windows records as their XML was turned to JSON: `Event.System` and `Event.EventData`, with
//! attributes under `#attributes`, `@Name`, `Name` or `…_attributes`, as each tool does it.

use crate::import::json::flat::event_id;
use crate::import::json::tree::{Sort, Value};
use crate::import::json::{Work, leaves};
use crate::import::windows::value::{moment, number};
use crate::import::windows::{Part, Record, read_message};

/// Fills the record from an object.
pub(super) fn fill(object: Value<'_>, work: &mut Work) {
    let Work {
        record, path, text, ..
    } = work;
    record.clear();
    let event = object.get("Event").unwrap_or(object);
    if let Some(system) = event.get("System") {
        head(system, record);
    }
    for (key, value) in event.entries() {
        match key.raw() {
            b"EventData" | b"UserData" => data(value, record),
            b"RenderingInfo" => {
                if let Some(message) = value.get("Message") {
                    record.set_with(Part::Message, |out| message.write(out));
                }
            }
            b"Message" => record.set_with(Part::Message, |out| value.write(out)),
            b"System" | b"#attributes" | b"@xmlns" | b"xmlns" | b"Event_attributes" => {}
            _ => {
                path.clear();
                path.extend_from_slice(key.text(text).0);
                leaves(value, path, &mut |name, leaf| {
                    record.push_head_with(name, |out| leaf.write(out));
                });
            }
        }
    }
    read_message(record);
}

fn head(system: Value<'_>, record: &mut Record) {
    for (key, value) in system.entries() {
        let key = key.raw();
        let name = key.strip_suffix(b"_attributes").unwrap_or(key);
        match name {
            b"Provider" => {
                if let Some(name) = attribute(value, &["Name", "EventSourceName"]) {
                    record.set_with(Part::Provider, |out| name.write(out));
                }
                if let Some(guid) = (!value.is_scalar()).then(|| attribute(value, &["Guid"])) {
                    push_head(record, "Provider_Guid", guid);
                }
            }
            b"EventID" => record.event_id = record.event_id.or(event_id(value)),
            b"EventRecordID" => record.record_id = number(value.raw()),
            b"Channel" => record.set_with(Part::Channel, |out| value.write(out)),
            b"Computer" => record.set_with(Part::Computer, |out| value.write(out)),
            b"TimeCreated" => {
                record.time_us = attribute(value, &["SystemTime"]).and_then(|at| moment(at.raw()));
            }
            b"Execution" => {
                record.process_id = attribute(value, &["ProcessID"])
                    .and_then(|pid| u32::try_from(number(pid.raw())?).ok());
                push_head(record, "ThreadID", attribute(value, &["ThreadID"]));
            }
            b"Security" => push_head(record, "UserID", attribute(value, &["UserID"])),
            b"Correlation" => push_head(record, "ActivityID", attribute(value, &["ActivityID"])),
            b"Level" | b"Task" | b"Opcode" | b"Keywords" | b"Version" => {
                if let Ok(name) = std::str::from_utf8(name) {
                    push_head(record, name, attribute(value, &["#text"]));
                }
            }
            _ => {}
        }
    }
}

/// Nothing is kept of empty texts: that is what a head without a value says.
fn push_head(record: &mut Record, name: &str, value: Option<Value<'_>>) {
    if let Some(value) = value.filter(|value| !matches!(value.raw(), b"" | b"null")) {
        record.push_head_with(name.as_bytes(), |out| value.write(out));
    }
}

/// An attribute of an element, under whatever a tool puts attributes; the value itself where it has none.
fn attribute<'t>(value: Value<'t>, names: &[&str]) -> Option<Value<'t>> {
    if value.is_scalar() {
        return (value.sort() != Sort::Null).then_some(value);
    }
    value.entries().find_map(|(key, inner)| {
        let key = key.raw();
        let bare = key.strip_prefix(b"@").unwrap_or(key);
        let fits = names.iter().any(|name| name.as_bytes() == bare);
        match bare {
            _ if fits && inner.is_scalar() => Some(inner),
            b"#attributes" | b"$" | b"attributes" => attribute(inner, names),
            _ => None,
        }
    })
}

/// The fields of `EventData` or `UserData`: nested ones by the name of their leaf.
fn data(value: Value<'_>, record: &mut Record) {
    for (key, inner) in value.entries() {
        match key.raw() {
            b"#attributes" | b"@xmlns" | b"xmlns" => {}
            b"Data" => unnamed(inner, record),
            name if name.ends_with(b"_attributes") => {}
            name => match inner.sort() {
                Sort::Object => match inner.get("#text") {
                    Some(text) => record.push_with(name, |out| text.write(out)),
                    None => data(inner, record),
                },
                Sort::Array => {
                    for item in inner.items().filter(|item| item.is_scalar()) {
                        record.push_with(name, |out| item.write(out));
                    }
                }
                Sort::Null => record.push(name, b""),
                Sort::Text | Sort::Escaped | Sort::Number | Sort::Flag => {
                    record.push_with(name, |out| inner.write(out));
                }
            },
        }
    }
}

/// `<Data>`: texts without names, or a list of elements that have their name as an attribute.
fn unnamed(value: Value<'_>, record: &mut Record) {
    match value.sort() {
        Sort::Array => value.items().for_each(|item| unnamed(item, record)),
        Sort::Object => {
            let content = [
                "#text", "_", "$t", "content", "Text", "Value", "value", "text",
            ]
            .iter()
            .find_map(|key| value.get(key));
            match (attribute(value, &["Name"]), content) {
                (Some(name), Some(content)) => {
                    record.push_with(name.raw(), |out| content.write(out));
                }
                (Some(name), None) => record.push(name.raw(), b""),
                (None, Some(content)) => unnamed(content, record),
                (None, None) => {}
            }
        }
        Sort::Null => {}
        Sort::Text | Sort::Escaped | Sort::Number | Sort::Flag => {
            record.push_with(b"Data", |out| value.write(out));
        }
    }
}

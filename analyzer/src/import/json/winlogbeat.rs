//! Windows records as winlogbeat ships them: under `winlog` since version 7 (also with dotted names, as
//! search engines export them), on the first level before.

use crate::import::json::tree::Value;
use crate::import::json::{Work, leaves};
use crate::import::windows::value::{moment, number};
use crate::import::windows::{Part, read_message};

/// Fields of the record itself, by the path before their name.
const FIELDS: [&[u8]; 4] = [
    b"winlog.event_data.",
    b"winlog.user_data.",
    b"event_data.",
    b"user_data.",
];

/// Fills the record from an object.
pub(super) fn fill(object: Value<'_>, work: &mut Work) {
    let Work { record, path, .. } = work;
    record.clear();
    path.clear();
    let mut host = None;
    leaves(object, path, &mut |path, value| {
        if let Some(name) = FIELDS.iter().find_map(|before| path.strip_prefix(*before)) {
            // Classic records have no names: the shipper numbers them.
            let name = match name.strip_prefix(b"param") {
                Some(_) if is_classic(object) => b"Data",
                Some(_) | None => name,
            };
            record.push_with(name, |out| value.write(out));
            return;
        }
        match path {
            b"winlog.channel" | b"log_name" => {
                record.set_with(Part::Channel, |out| value.write(out))
            }
            b"winlog.provider_name" | b"source_name" => {
                record.set_with(Part::Provider, |out| value.write(out));
            }
            b"winlog.computer_name" | b"computer_name" => {
                record.set_with(Part::Computer, |out| value.write(out));
            }
            b"winlog.event_id" | b"event_id" => record.event_id = id(value),
            b"event.code" => record.event_id = record.event_id.or_else(|| id(value)),
            b"winlog.record_id" | b"record_number" => record.record_id = number(value.raw()),
            b"winlog.process.pid" | b"process_id" => record.process_id = id(value),
            b"@timestamp" => record.time_us = moment(value.raw()),
            b"message" => record.set_with(Part::Message, |out| value.write(out)),
            b"host.name" | b"host.hostname" => host = Some(value),
            // The forwarder's own, and what the record says in other words already.
            _ if [&b"@metadata."[..], b"agent.", b"ecs.", b"beat."]
                .iter()
                .any(|before| path.starts_with(before)) => {}
            _ => record.push_head_with(path, |out| value.write(out)),
        }
    });
    if record.computer().is_empty()
        && let Some(host) = host
    {
        record.set_with(Part::Computer, |out| host.write(out));
    }
    read_message(record);
}

fn id(value: Value<'_>) -> Option<u32> {
    u32::try_from(number(value.raw())?).ok()
}

/// Whether the record is of a provider whose data have no names.
fn is_classic(object: Value<'_>) -> bool {
    let provider = object
        .at_path(&["winlog", "provider_name"])
        .or_else(|| object.get("winlog.provider_name"))
        .or_else(|| object.get("source_name"));
    provider.is_some_and(|name| name.raw() == b"PowerShell")
}

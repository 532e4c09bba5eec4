//! Windows records as Wazuh keeps them: under `data.win`, names with a small first letter, backslashes
//! escaped twice.

use crate::import::json::tree::Value;
use crate::import::json::{Work, leaves};
use crate::import::windows::value::{moment, number};
use crate::import::windows::{Part, Record, read_message};

/// Fills the record from an object.
pub(super) fn fill(object: Value<'_>, work: &mut Work) {
    let Work { record, path, .. } = work;
    record.clear();
    path.clear();
    leaves(object, path, &mut |path, value| {
        if let Some(name) = path.strip_prefix(b"data.win.eventdata.") {
            let name = original(name);
            record.push_with(&name, |out| once(value, out));
            return;
        }
        match path.strip_prefix(b"data.win.system.") {
            Some(name) => head(name, value, record),
            None => record.push_head_with(path, |out| value.write(out)),
        }
    });
    read_message(record);
}

fn head(name: &[u8], value: Value<'_>, record: &mut Record) {
    let small = |value: Value<'_>| u32::try_from(number(value.raw())?).ok();
    match name {
        b"channel" => record.set_with(Part::Channel, |out| value.write(out)),
        b"providerName" => record.set_with(Part::Provider, |out| value.write(out)),
        b"computer" => record.set_with(Part::Computer, |out| value.write(out)),
        b"message" => record.set_with(Part::Message, |out| value.write(out)),
        b"eventID" => record.event_id = small(value),
        b"eventRecordID" => record.record_id = number(value.raw()),
        b"processID" => record.process_id = small(value),
        b"systemTime" => record.time_us = moment(value.raw()),
        _ => {
            record.push_head_with(&original(name), |out| value.write(out));
        }
    }
}

/// A name with its first letter as the record has it; numbered data have none.
fn original(name: &[u8]) -> Vec<u8> {
    if name == b"data" {
        return b"Data".to_vec();
    }
    let mut own = name.to_vec();
    let is_param = own.starts_with(b"param");
    if let Some(first) = own.first_mut().filter(|_| !is_param) {
        first.make_ascii_uppercase();
    }
    own
}

/// A value whose backslashes stand twice.
fn once(value: Value<'_>, out: &mut Vec<u8>) {
    let from = out.len();
    value.write(out);
    let mut to = from;
    let mut at = from;
    while let Some(&byte) = out.get(at) {
        at += if byte == b'\\' && out.get(at + 1) == Some(&b'\\') {
            2
        } else {
            1
        };
        if let Some(slot) = out.get_mut(to) {
            *slot = byte;
        }
        to += 1;
    }
    out.truncate(to);
}

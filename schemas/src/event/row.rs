//! The canonical row of an event: one sequence of bytes for one event, whatever columns it was
//! stored in. It is what a proof for a single record hashes.
//!
//! A row is, in this order: kind (varint code); wall clock (varint, zigzag, µs); boot clock and
//! record time (optional numbers); source (varint code); actor (optional process); host, boot id,
//! marks and foreign fields (texts); then for each field of the kind that is known its place in
//! the table from 1 (varint) and its value; then 0. An optional value is 0, or 1 and the value.
//! A number is a varint (zigzag where it may be below zero), a text its length (varint) and its
//! bytes, a process its pid, its start and an optional GUID, an address or hash a text.

use crate::event::{Event, ProcessKey};
use crate::journal::varint;

/// Appends the canonical row of an event. Its number is not part of it: that follows from the
/// frame's header and the event's place.
pub fn write_row(event: &Event<'_>, out: &mut Vec<u8>) {
    varint::put(out, u64::from(event.kind.name().code()));
    varint::put(out, varint::zigzag(event.time.wall_us));
    put_optional(event.time.boot_us, out);
    put_optional(event.recorded_us.map(varint::zigzag), out);
    varint::put(out, event.source.code());
    match event.actor {
        None => out.push(0),
        Some(actor) => {
            out.push(1);
            put_process(actor, out);
        }
    }
    for text in [event.host.0, &event.boot.0, event.marks.0, event.extra.0] {
        put_text(text, out);
    }
    event.kind.write_row(out);
    out.push(0);
}

fn put_optional(number: Option<u64>, out: &mut Vec<u8>) {
    match number {
        None => out.push(0),
        Some(number) => {
            out.push(1);
            varint::put(out, number);
        }
    }
}

/// Appends a text: its length and its bytes.
pub(crate) fn put_text(text: &[u8], out: &mut Vec<u8>) {
    varint::put(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Appends a process: pid, start, and its GUID if it has one.
pub(crate) fn put_process(key: ProcessKey, out: &mut Vec<u8>) {
    varint::put(out, u64::from(key.pid));
    varint::put(out, key.start_us);
    match key.guid {
        None => out.push(0),
        Some(guid) => {
            out.push(1);
            out.extend_from_slice(&guid.0);
        }
    }
}

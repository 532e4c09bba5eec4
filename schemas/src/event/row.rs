//! The canonical row of an event: one sequence of bytes for one event, whatever columns it was
//! stored in. It is what a proof for a single record hashes.
//!
//! A row is, in this order: kind (varint code); wall clock (varint, zigzag, µs); boot clock and
//! record time (optional numbers); source (varint code); actor (optional process); host, boot id,
//! marks and foreign fields (texts); then for each field of the kind that is known its place in
//! the table from 1 (varint) and its value; then 0. An optional value is 0, or 1 and the value.
//! A number is a varint (zigzag where it may be below zero), a text its length (varint) and its
//! bytes, a process its pid, its start and an optional GUID, an address or hash a text.

use crate::event::{
    BootId, Event, Fields, Guid, Kind, KindName, Marks, ProcessKey, Source, Text, Time,
};
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

/// Reads a canonical row back: the event, whose number is 0, and which borrows its texts from the
/// row. `None` if the bytes are not the row of an event, or more than it.
#[must_use]
pub fn read_row(row: &[u8]) -> Option<Event<'_>> {
    let mut rest = row;
    let name = KindName::from_code(u8::try_from(varint::take(&mut rest)?).ok()?)?;
    let wall_us = varint::unzigzag(varint::take(&mut rest)?);
    let boot_us = take_optional(&mut rest)?;
    let recorded_us = take_optional(&mut rest)?.map(varint::unzigzag);
    let source = Source::from_code(varint::take(&mut rest)?)?;
    let actor = match take_byte(&mut rest)? {
        0 => None,
        1 => Some(take_process(&mut rest)?),
        _ => return None,
    };
    let host = Text(take_text(&mut rest)?);
    let boot = BootId(take_text(&mut rest)?.try_into().ok()?);
    let marks = Marks(take_text(&mut rest)?);
    let extra = Fields(take_text(&mut rest)?);
    let kind = Kind::read_row(name, &mut rest)?;
    rest.is_empty().then_some(Event {
        seq: 0,
        time: Time { wall_us, boot_us },
        recorded_us,
        host,
        boot,
        source,
        actor,
        marks,
        extra,
        kind,
    })
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, after) = rest.split_first()?;
    *rest = after;
    Some(byte)
}

/// Takes an optional number: `None` where none stands there, `Some(None)` where it is unknown.
#[expect(
    clippy::option_option,
    reason = "whether it could be read, and whether it is known"
)]
fn take_optional(rest: &mut &[u8]) -> Option<Option<u64>> {
    match take_byte(rest)? {
        0 => Some(None),
        1 => varint::take(rest).map(Some),
        _ => None,
    }
}

/// Takes a text: its length and its bytes.
pub(crate) fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(varint::take(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(text)
}

/// Takes a process: pid, start, and its GUID if it has one.
pub(crate) fn take_process(rest: &mut &[u8]) -> Option<ProcessKey> {
    let pid = u32::try_from(varint::take(rest)?).ok()?;
    let start_us = varint::take(rest)?;
    let guid = match take_byte(rest)? {
        0 => None,
        1 => {
            let (guid, after) = rest.split_first_chunk::<16>()?;
            *rest = after;
            Some(Guid(*guid))
        }
        _ => return None,
    };
    Some(ProcessKey {
        pid,
        start_us,
        guid,
    })
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

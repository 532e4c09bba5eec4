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
    BootId, Class, Event, Fields, Guid, Kind, KindName, Marks, ProcessKey, Source, Text, Time,
};
use crate::journal::varint;
use crate::journal::{Tables, TextArena};

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
/// A row that was read: one event, and what it holds.
#[derive(Debug)]
pub struct Row {
    texts: TextArena,
    processes: Vec<ProcessKey>,
    kind: KindName,
    wall_us: i64,
    boot_us: Option<u64>,
    recorded_us: Option<i64>,
    source: u64,
    actor: Option<ProcessKey>,
    /// A cell a field, as in a column.
    cells: Vec<u64>,
}

/// Texts of a row that every event has: host, boot, marks, extra.
const COMMON_TEXTS: u64 = 4;

impl Row {
    /// Reads a row as [`write_row`] writes it; `None` where it is anything else.
    #[must_use]
    pub fn read(row: &[u8]) -> Option<Self> {
        let mut rest = row;
        let rest = &mut rest;
        let mut texts = TextArena::default();
        let mut processes = Vec::new();
        let kind = u8::try_from(varint::take(rest)?)
            .ok()
            .and_then(KindName::from_code)?;
        let wall_us = varint::unzigzag(varint::take(rest)?);
        let boot_us = take_optional(rest)?;
        let recorded_us = take_optional(rest)?.map(varint::unzigzag);
        let source = varint::take(rest)?;
        let actor = match take_byte(rest)? {
            0 => None,
            1 => Some(take_process(rest)?),
            _ => return None,
        };
        for _ in 0..COMMON_TEXTS {
            texts.push(take_text(rest)?);
        }
        let classes = kind.classes();
        let mut cells = vec![0; classes.len()];
        let mut before = 0;
        loop {
            let place = usize::try_from(varint::take(rest)?).ok()?;
            if place == 0 {
                break;
            }
            let class = classes.get(place.checked_sub(1)?)?;
            if place <= before {
                return None;
            }
            before = place;
            let cell = match class {
                Class::Number | Class::Near => varint::take(rest)?.checked_add(1)?,
                Class::Text => texts.push(take_text(rest)?),
                Class::Process => {
                    processes.push(take_process(rest)?);
                    processes.len() as u64
                }
            };
            *cells.get_mut(place - 1)? = cell;
        }
        rest.is_empty().then_some(Self {
            texts,
            processes,
            kind,
            wall_us,
            boot_us,
            recorded_us,
            source,
            actor,
            cells,
        })
    }

    /// The event, under a number; `None` where a field holds what its type cannot be.
    #[must_use]
    pub fn event(&self, seq: u64) -> Option<Event<'_>> {
        let tables = Tables::new(&self.texts, &self.processes);
        let cell = |field: usize| self.cells.get(field).copied().unwrap_or(0);
        Some(Event {
            seq,
            time: Time {
                wall_us: self.wall_us,
                boot_us: self.boot_us,
            },
            recorded_us: self.recorded_us,
            host: Text(tables.text(0)?),
            boot: BootId(tables.text(1)?.try_into().ok()?),
            source: Source::from_code(self.source)?,
            actor: self.actor,
            marks: Marks(tables.text(2)?),
            extra: Fields(tables.text(3)?),
            kind: Kind::take(self.kind, cell, &tables).ok()?,
        })
    }
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, after) = rest.split_first()?;
    *rest = after;
    Some(byte)
}

fn take_optional(rest: &mut &[u8]) -> Option<Option<u64>> {
    match take_byte(rest)? {
        0 => Some(None),
        1 => Some(Some(varint::take(rest)?)),
        _ => None,
    }
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(varint::take(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(text)
}

fn take_process(rest: &mut &[u8]) -> Option<ProcessKey> {
    let pid = u32::try_from(varint::take(rest)?).ok()?;
    let mut key = ProcessKey::new(pid, varint::take(rest)?);
    match take_byte(rest)? {
        0 => {}
        1 => {
            let (guid, after) = rest.split_first_chunk::<16>()?;
            key.guid = Some(Guid(*guid));
            *rest = after;
        }
        _ => return None,
    }
    Some(key)
}

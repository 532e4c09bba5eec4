//! The reader's side of a payload: from columns back to events.

use crate::event::{
    BootId, Class, Event, Fields, Kind, KindName, Marks, ProcessKey, Source, Text, Time,
};
use crate::journal::columns::{self, CutError};
use crate::journal::limits::FRAME_EVENTS_MAX;
use crate::journal::packing::Unpacker;
use crate::journal::payload::{
    ACTOR, BOOT, BOOT_ID, COMMON, EXTRA, HOST, KIND, KIND_CODES, MARKS, RECORDED, SOURCE, WALL,
};
use crate::journal::tables::{Tables, TextArena, read_processes, read_texts};
use crate::journal::varint;

/// What is wrong with a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// It is no zstd frame, or holds more or less than its header says.
    Compression {
        /// Bytes that the header promised.
        expected: u32,
        /// What zstd said, or how many bytes there were.
        found: String,
    },
    /// A part ends too early, or holds what cannot stand there.
    Part {
        /// Byte before compression at which reading stopped.
        at: usize,
        /// Which part.
        part: &'static str,
    },
    /// An event is of a kind that this version does not know.
    Kind {
        /// Its place in the frame.
        index: usize,
        /// The code of the kind.
        code: u64,
    },
    /// A field of an event holds what its type cannot be.
    Field {
        /// The event's place in the frame.
        index: usize,
        /// The field.
        field: &'static str,
    },
}

impl std::fmt::Display for PayloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Compression { expected, found } => {
                write!(
                    f,
                    "payload does not decompress to {expected} bytes: {found}"
                )
            }
            Self::Part { at, part } => {
                write!(f, "payload part {part} is cut or wrong at byte {at}")
            }
            Self::Kind { index, code } => write!(f, "event {index} is of unknown kind {code}"),
            Self::Field { index, field } => write!(f, "event {index} has an impossible {field}"),
        }
    }
}

impl std::error::Error for PayloadError {}

/// Reads payloads back into events. Its memory is kept from frame to frame.
#[derive(Default)]
pub struct PayloadReader {
    raw: Vec<u8>,
    texts: TextArena,
    processes: Vec<ProcessKey>,
    common: [Vec<u64>; COMMON.len()],
    kinds: Vec<Vec<Vec<u64>>>,
    scratch: Vec<u64>,
    unpacker: Unpacker,
}

impl std::fmt::Debug for PayloadReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadReader")
            .field("raw_len", &self.raw.len())
            .finish_non_exhaustive()
    }
}

impl PayloadReader {
    /// Decodes a payload of `events` events whose header promises `raw_len` bytes. The first of
    /// them has number `first_seq`.
    ///
    /// # Errors
    /// Where the payload does not decompress to that, or a part is cut or wrong. No more than
    /// the limits of the format is ever allocated.
    pub fn read(
        &mut self,
        payload: &[u8],
        raw_len: u32,
        events: u32,
        first_seq: u64,
    ) -> Result<Events<'_>, PayloadError> {
        let cursor = self.load(payload, raw_len, events, first_seq)?;
        Ok(Events {
            reader: self,
            cursor,
        })
    }

    /// The payload's bytes before compression, as the table of the payload describes them.
    ///
    /// # Errors
    /// Where it does not decompress to that.
    pub fn unpacked(&mut self, payload: &[u8], raw_len: u32) -> Result<&[u8], PayloadError> {
        self.unpacker.unpack(payload, raw_len, &mut self.raw)?;
        Ok(&self.raw)
    }

    /// The same as [`PayloadReader::read`] for a caller who keeps reader and cursor side by side:
    /// [`PayloadReader::next`] then gives the events.
    ///
    /// # Errors
    /// As [`PayloadReader::read`].
    pub fn load(
        &mut self,
        payload: &[u8],
        raw_len: u32,
        events: u32,
        first_seq: u64,
    ) -> Result<Cursor, PayloadError> {
        self.unpacker.unpack(payload, raw_len, &mut self.raw)?;
        let events = usize::try_from(events).unwrap_or(usize::MAX);
        if events > FRAME_EVENTS_MAX {
            return Err(PayloadError::Part {
                at: 0,
                part: "events",
            });
        }
        let raw_len = self.raw.len();
        let mut rest = self.raw.as_slice();
        let at = |part: &'static str, rest: &[u8]| PayloadError::Part {
            at: raw_len - rest.len(),
            part,
        };
        let (salt, after) = rest
            .split_first_chunk::<16>()
            .ok_or_else(|| at("salt", rest))?;
        rest = after;
        let base = varint::take(&mut rest).ok_or_else(|| at("base", rest))?;
        let offset = varint::take(&mut rest).ok_or_else(|| at("offset", rest))?;
        read_texts(&mut rest, &mut self.texts, &mut self.scratch)
            .map_err(|CutError| at("texts", rest))?;
        read_processes(&mut rest, &mut self.processes, &mut self.scratch)
            .map_err(|CutError| at("processes", rest))?;
        let (mut next_text, mut next_process) = (0, 0);
        for (cells, class) in self.common.iter_mut().zip(COMMON) {
            columns::read_numbers(&mut rest, events, cells)
                .map_err(|CutError| at("common", rest))?;
            match class {
                Class::Text => columns::from_references(cells, &mut next_text),
                Class::Process => columns::from_references(cells, &mut next_process),
                Class::Number | Class::Near => {}
            }
        }
        let counts = count_kinds(&self.common[KIND])?;
        self.kinds.resize_with(KIND_CODES, Vec::new);
        for kind in KindName::ALL {
            let (Some(&count), Some(columns)) = (
                counts.get(usize::from(kind.code())),
                self.kinds.get_mut(usize::from(kind.code())),
            ) else {
                continue;
            };
            if count == 0 {
                continue;
            }
            columns.resize_with(kind.classes().len(), Vec::new);
            for (cells, class) in columns.iter_mut().zip(kind.classes()) {
                columns::read_numbers(&mut rest, count, cells)
                    .map_err(|CutError| at(kind.as_str(), rest))?;
                match class {
                    Class::Text => columns::from_references(cells, &mut next_text),
                    Class::Process => columns::from_references(cells, &mut next_process),
                    Class::Number | Class::Near => {}
                }
            }
        }
        if !rest.is_empty() {
            return Err(at("end", rest));
        }
        Ok(Cursor {
            salt: *salt,
            cursors: [0; KIND_CODES],
            index: 0,
            events,
            first_seq,
            wall_us: varint::unzigzag(base),
            offset_us: varint::unzigzag(offset),
        })
    }
}

fn count_kinds(kinds: &[u64]) -> Result<[usize; KIND_CODES], PayloadError> {
    let mut counts = [0_usize; KIND_CODES];
    for (index, &code) in kinds.iter().enumerate() {
        let known = u8::try_from(code).ok().and_then(KindName::from_code);
        let slot = known.and_then(|kind| counts.get_mut(usize::from(kind.code())));
        *slot.ok_or(PayloadError::Kind { index, code })? += 1;
    }
    Ok(counts)
}

/// How far the events of a decoded payload were read. It belongs to the reader that gave it, until
/// that reads another payload.
#[derive(Clone, Debug)]
pub struct Cursor {
    salt: [u8; 16],
    cursors: [usize; KIND_CODES],
    index: usize,
    events: usize,
    first_seq: u64,
    wall_us: i64,
    offset_us: i64,
}

impl Cursor {
    /// The frame's salt, from which the salts of its leaves come.
    #[must_use]
    pub const fn salt(&self) -> [u8; 16] {
        self.salt
    }

    /// The place in the frame of the event that stands next.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Events that are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.events - self.index
    }
}

impl PayloadReader {
    /// Wall clock of the event that stands next, µs; `None` at the end.
    #[must_use]
    pub fn peek_wall_us(&self, cursor: &Cursor) -> Option<i64> {
        (cursor.index < cursor.events).then(|| {
            let step = varint::unzigzag(self.common(WALL, cursor.index));
            cursor.wall_us.wrapping_add(step)
        })
    }

    /// The next event. After an error there are no more: what follows in a frame whose columns
    /// lie cannot be told from what was recorded.
    pub fn next<'a>(&'a self, cursor: &mut Cursor) -> Option<Result<Event<'a>, PayloadError>> {
        if cursor.index >= cursor.events {
            return None;
        }
        let event = self.event(cursor);
        cursor.index = if event.is_ok() {
            cursor.index + 1
        } else {
            cursor.events
        };
        Some(event)
    }

    #[inline]
    fn common(&self, column: usize, index: usize) -> u64 {
        self.common
            .get(column)
            .and_then(|cells| cells.get(index))
            .copied()
            .unwrap_or(0)
    }

    fn event<'a>(&'a self, cursor: &mut Cursor) -> Result<Event<'a>, PayloadError> {
        let index = cursor.index;
        let wrong = |field| PayloadError::Field { index, field };
        let tables = Tables::new(&self.texts, &self.processes);
        let text = |column: usize, field: &'static str| match self.common(column, index) {
            0 => Ok(b"".as_slice()),
            cell => tables.text(cell - 1).ok_or(wrong(field)),
        };
        let wall_us = cursor
            .wall_us
            .wrapping_add(varint::unzigzag(self.common(WALL, index)));
        let boot_us = self.common(BOOT, index).checked_sub(1).map(|cell| {
            wall_us
                .wrapping_sub(cursor.offset_us)
                .wrapping_sub(varint::unzigzag(cell))
                .cast_unsigned()
        });
        let recorded_us = self
            .common(RECORDED, index)
            .checked_sub(1)
            .map(|cell| wall_us.wrapping_add(varint::unzigzag(cell)));
        let actor = match self.common(ACTOR, index) {
            0 => None,
            cell => Some(tables.process(cell - 1).ok_or(wrong("actor"))?),
        };
        let code = self.common(KIND, index);
        let name = u8::try_from(code)
            .ok()
            .and_then(KindName::from_code)
            .ok_or(PayloadError::Kind { index, code })?;
        let slot = usize::from(name.code());
        let columns = self.kinds.get(slot).map(Vec::as_slice).unwrap_or_default();
        let row = cursor.cursors.get(slot).copied().unwrap_or(0);
        let cell = |field: usize| {
            columns
                .get(field)
                .and_then(|cells| cells.get(row))
                .copied()
                .unwrap_or(0)
        };
        let kind = Kind::take(name, cell, &tables).map_err(wrong)?;
        let event = Event {
            seq: cursor.first_seq.saturating_add(index as u64),
            time: Time { wall_us, boot_us },
            recorded_us,
            host: Text(text(HOST, "host")?),
            boot: BootId(
                text(BOOT_ID, "boot")?
                    .try_into()
                    .map_err(|_| wrong("boot"))?,
            ),
            source: Source::from_code(self.common(SOURCE, index)).ok_or(wrong("source"))?,
            actor,
            marks: Marks(text(MARKS, "marks")?),
            extra: Fields(text(EXTRA, "extra")?),
            kind,
        };
        cursor.wall_us = wall_us;
        if let Some(row) = cursor.cursors.get_mut(slot) {
            *row += 1;
        }
        Ok(event)
    }
}

/// The events of one decoded payload, in the order in which they were recorded.
#[derive(Debug)]
pub struct Events<'a> {
    reader: &'a PayloadReader,
    cursor: Cursor,
}

impl Events<'_> {
    /// The frame's salt, from which the salts of its leaves come.
    #[must_use]
    pub const fn salt(&self) -> [u8; 16] {
        self.cursor.salt()
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, PayloadError>;

    /// As [`PayloadReader::next`].
    fn next(&mut self) -> Option<Self::Item> {
        self.reader.next(&mut self.cursor)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.cursor.left();
        (left.min(1), Some(left))
    }
}

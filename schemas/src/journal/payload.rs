//! A frame's payload: events as columns, and back.
//!
//! Before compression a payload is, in this order:
//!
//! | Part      | Content                                                                    |
//! |-----------|----------------------------------------------------------------------------|
//! | salt      | 16 random bytes, so that what stands beside a disclosed record cannot be guessed |
//! | base      | varint, zigzag: wall clock of the first event, µs                          |
//! | offset    | varint, zigzag: wall minus boot clock when the frame was begun, µs         |
//! | texts     | count (varint), columns of shared and further lengths, further bytes       |
//! | processes | count (varint), columns of pid, start, whether a GUID follows; the GUIDs   |
//! | common    | columns over all events: kind, wall, boot, recorded, source, actor, host, boot id, marks, extra |
//! | kinds     | for each kind present, by rising code: a column for each field of the table (`event::kinds`) |
//!
//! `wall` holds differences to the event before, zigzag; `boot` is 0 where the boot clock is
//! unknown, else 1 + zigzag(wall - offset - boot). The salt stands inside the compressed part.
//! Each part is compressed with tables of its own, short payloads with the format's dictionary
//! (`journal::packing`).

use crate::event::{Class, Event, KindName, write_row};
use crate::journal::columns;
use crate::journal::limits::{FRAME_EVENTS_MAX, FRAME_RAW_BYTES_MAX};
use crate::journal::merkle;
use crate::journal::packing::Packer;
use crate::journal::tables::TableBuilder;
use crate::journal::varint;

mod reader;

pub use reader::{Cursor, Events, PayloadError, PayloadReader};

/// Columns that every event has, in the order of the payload.
const COMMON: [Class; 10] = [
    Class::Number,  // kind
    Class::Number,  // wall: planes
    Class::Number,  // boot
    Class::Number,  // recorded
    Class::Number,  // source
    Class::Process, // actor
    Class::Text,    // host
    Class::Text,    // boot id
    Class::Text,    // marks
    Class::Text,    // extra
];
const KIND: usize = 0;
const WALL: usize = 1;
const BOOT: usize = 2;
const RECORDED: usize = 3;
const SOURCE: usize = 4;
const ACTOR: usize = 5;
const HOST: usize = 6;
const BOOT_ID: usize = 7;
const MARKS: usize = 8;
const EXTRA: usize = 9;

/// Codes of kinds stay below this, so that a frame header's bit set can hold them.
const KIND_CODES: usize = 64;

/// What a finished payload holds, for its frame's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadSummary {
    /// Events.
    pub events: u32,
    /// Bytes before compression.
    pub raw_len: u32,
    /// Earliest wall clock of an event, µs.
    pub first_us: i64,
    /// Latest wall clock of an event, µs.
    pub last_us: i64,
    /// Kinds present: bit `code` of [`KindName::code`].
    pub kinds: u64,
    /// Merkle root of the events.
    pub root: [u8; 32],
}

/// Gathers events and writes them as one payload. Its memory is kept from frame to frame.
pub struct PayloadBuilder {
    tables: TableBuilder,
    common: [Vec<u64>; COMMON.len()],
    kinds: Vec<Vec<Vec<u64>>>,
    summary: PayloadSummary,
    base_us: i64,
    before_us: i64,
    offset_us: i64,
    cells: usize,
    /// Host and boot of the event before: nearly always those of the next.
    host: Repeated,
    boot: Repeated,
    /// The canonical rows, for their leaves.
    rows: merkle::Rows,
    raw: Vec<u8>,
    parts: Vec<usize>,
    renumbered: [Vec<u32>; 2],
    order: [Vec<u32>; 2],
    packer: Packer,
}

impl Default for PayloadBuilder {
    fn default() -> Self {
        Self::new(3)
    }
}

impl std::fmt::Debug for PayloadBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadBuilder")
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

impl PayloadBuilder {
    /// A builder that compresses at a zstd level; the journal's own is 3.
    #[must_use]
    pub fn new(level: i32) -> Self {
        Self {
            tables: TableBuilder::default(),
            common: Default::default(),
            kinds: (0..KIND_CODES).map(|_| Vec::new()).collect(),
            summary: PayloadSummary::default(),
            base_us: 0,
            before_us: 0,
            offset_us: 0,
            cells: 0,
            host: Repeated::default(),
            boot: Repeated::default(),
            rows: merkle::Rows::default(),
            raw: Vec::new(),
            parts: Vec::new(),
            renumbered: Default::default(),
            order: Default::default(),
            packer: Packer::new(level),
        }
    }

    /// Events so far.
    #[must_use]
    pub const fn events(&self) -> u32 {
        self.summary.events
    }

    /// An estimate of the payload's bytes before compression, from below by a few percent.
    #[must_use]
    pub fn raw_len(&self) -> usize {
        self.tables.text_bytes()
            + 3 * self.tables.texts()
            + 6 * self.tables.processes()
            + self.cells
    }

    /// Whether another event of at most `bytes` of texts still fits a frame.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        (self.summary.events as usize) < FRAME_EVENTS_MAX
            && 2 * self.raw_len() + bytes < FRAME_RAW_BYTES_MAX
    }

    /// Adds an event. Its `seq` is not stored: it follows from the frame's first and its place.
    pub fn push(&mut self, event: &Event<'_>) {
        let wall_us = event.time.wall_us;
        if self.summary.events == 0 {
            self.base_us = wall_us;
            self.before_us = wall_us;
            self.offset_us = event
                .time
                .boot_us
                .map_or(0, |boot_us| wall_us.wrapping_sub(boot_us.cast_signed()));
            self.summary.first_us = wall_us;
            self.summary.last_us = wall_us;
        }
        let expected_boot = wall_us.wrapping_sub(self.offset_us);
        let boot = event.time.boot_us.map_or(0, |boot_us| {
            varint::zigzag(expected_boot.wrapping_sub(boot_us.cast_signed())).saturating_add(1)
        });
        let tables = &mut self.tables;
        let text = |tables: &mut TableBuilder, text: &[u8]| u64::from(tables.text(text)) + 1;
        let cells = [
            u64::from(event.kind.name().code()),
            varint::zigzag(wall_us.wrapping_sub(self.before_us)),
            boot,
            event.recorded_us.map_or(0, |us| {
                varint::zigzag(us.wrapping_sub(wall_us)).saturating_add(1)
            }),
            event.source.code(),
            event
                .actor
                .map_or(0, |key| u64::from(tables.process(key)) + 1),
            self.host.of(tables, event.host.0),
            self.boot.of(tables, &event.boot.0),
            if event.marks.0.is_empty() {
                0
            } else {
                text(tables, event.marks.0)
            },
            if event.extra.0.is_empty() {
                0
            } else {
                text(tables, event.extra.0)
            },
        ];
        for (column, cell) in self.common.iter_mut().zip(cells) {
            column.push(cell);
        }
        let name = event.kind.name();
        if let Some(columns) = self.kinds.get_mut(usize::from(name.code())) {
            columns.resize_with(name.classes().len(), Vec::new);
            event.kind.put(tables, columns);
        }
        self.rows.push(|out| write_row(event, out));
        self.before_us = wall_us;
        self.cells += COMMON.len() + name.classes().len();
        let summary = &mut self.summary;
        summary.events += 1;
        summary.first_us = summary.first_us.min(wall_us);
        summary.last_us = summary.last_us.max(wall_us);
        summary.kinds |= 1 << name.code();
    }

    /// Appends the compressed payload to `out`, tells what it holds, and begins the next.
    pub fn finish(&mut self, salt: [u8; 16], out: &mut Vec<u8>) -> PayloadSummary {
        self.refer();
        self.write_raw(salt);
        self.packer.pack(&self.raw, &self.parts, out);
        let summary = PayloadSummary {
            raw_len: u32::try_from(self.raw.len()).expect("a payload is closed long before 4 GiB"),
            root: merkle::root(self.rows.leaves(salt)),
            ..self.summary
        };
        self.clear();
        summary
    }

    /// Turns numbers of first sight into references in the order of the columns.
    fn refer(&mut self) {
        let counts = [self.tables.texts(), self.tables.processes()];
        for (renumbered, count) in self.renumbered.iter_mut().zip(counts) {
            renumbered.clear();
            renumbered.resize(count, u32::MAX);
        }
        let [text_numbers, process_numbers] = &mut self.renumbered;
        let [text_order, process_order] = &mut self.order;
        let common = self.common.iter_mut().zip(COMMON);
        let own = KindName::ALL
            .iter()
            .zip(present(&mut self.kinds))
            .flat_map(|(kind, columns)| columns.iter_mut().zip(kind.classes().iter().copied()));
        for (cells, class) in common.chain(own) {
            match class {
                Class::Text => columns::to_references(cells, text_numbers, text_order),
                Class::Process => columns::to_references(cells, process_numbers, process_order),
                Class::Number | Class::Near => {}
            }
        }
    }

    fn write_raw(&mut self, salt: [u8; 16]) {
        let Self {
            raw, parts, tables, ..
        } = self;
        raw.clear();
        parts.clear();
        raw.extend_from_slice(&salt);
        varint::put(raw, varint::zigzag(self.base_us));
        varint::put(raw, varint::zigzag(self.offset_us));
        let [text_order, process_order] = &self.order;
        tables.write_texts(text_order, raw);
        parts.push(raw.len());
        tables.write_processes(process_order, raw);
        parts.push(raw.len());
        for (index, cells) in self.common.iter().enumerate() {
            if index == WALL {
                columns::write_planes(cells, raw);
            } else {
                columns::write_numbers(cells, raw);
            }
            parts.push(raw.len());
        }
        for (kind, columns) in KindName::ALL.iter().zip(present(&mut self.kinds)) {
            for (cells, class) in columns
                .iter()
                .zip(kind.classes())
                .filter(|(cells, _)| !cells.is_empty())
            {
                match class {
                    Class::Near => columns::write_near(cells, raw),
                    Class::Number | Class::Text | Class::Process => {
                        columns::write_numbers(cells, raw)
                    }
                }
                parts.push(raw.len());
            }
        }
    }

    fn clear(&mut self) {
        self.tables.clear();
        self.common.iter_mut().for_each(Vec::clear);
        self.kinds.iter_mut().flatten().for_each(Vec::clear);
        self.order.iter_mut().for_each(Vec::clear);
        self.summary = PayloadSummary::default();
        self.rows.clear();
        self.cells = 0;
        self.host.cell = 0;
        self.boot.cell = 0;
    }
}

/// A text that stays the same from event to event.
#[derive(Debug, Default)]
struct Repeated {
    text: Vec<u8>,
    /// Its cell in this frame; 0 for none yet.
    cell: u64,
}

impl Repeated {
    /// The cell of a text, which is looked up only if it is another than the last.
    fn of(&mut self, tables: &mut TableBuilder, text: &[u8]) -> u64 {
        if self.cell == 0 || self.text != text {
            self.text.clear();
            self.text.extend_from_slice(text);
            self.cell = u64::from(tables.text(text)) + 1;
        }
        self.cell
    }
}

/// The columns of each kind, in the order of [`KindName::ALL`]; those of absent kinds are empty.
///
/// Codes rise along the table (tested there), so that table order is code order.
fn present(kinds: &mut [Vec<Vec<u64>>]) -> impl Iterator<Item = &mut Vec<Vec<u64>>> {
    let mut wanted = KindName::ALL
        .iter()
        .map(|kind| usize::from(kind.code()))
        .peekable();
    kinds
        .iter_mut()
        .enumerate()
        .filter_map(move |(code, columns)| wanted.next_if_eq(&code).map(|_| columns))
}

#[cfg(test)]
mod tests;

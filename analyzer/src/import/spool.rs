//! Events kept in bounded memory: in blocks, which go to a temporary file without a name once
//! there are many.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::sync::Mutex;

use saigen_schemas::event::{Event, KindName, Source, write_row};

use crate::import::sink::{At, ImportError, NO_TIME_US};

/// Bytes of rows at which a block is full: a merge holds one block of each run in memory.
pub(super) const BLOCK_BYTES: usize = 128 << 10;

/// Bytes of blocks that stay in memory; of more, all go to a file.
const MEMORY_BYTES: usize = 32 << 20;

/// Level at which blocks in the file are compressed: it costs less than writing them plain.
const ZSTD_LEVEL: i32 = 1;

/// One kept event: where it stood, what orders it, and where its row is in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Number of the file, over all files and members of archives.
    pub(super) leaf: u32,
    /// Number of its host among all host names seen.
    pub(super) host: u32,
    /// Number of its clock.
    pub(super) clock: u32,
    /// Row in the block: first byte and length.
    pub(super) row: (u32, u32),
    /// Its place in the file.
    pub(super) offset: u64,
    /// Its number in its own format; `u64::MAX` where it has none.
    pub(super) number: u64,
    /// The event's own time, µs; [`NO_TIME_US`] where there is none.
    pub(super) wall_us: i64,
    /// The record's time, µs; [`NO_TIME_US`] where there is none.
    pub(super) recorded_us: i64,
    /// Its place among the events of its file.
    pub(super) seq: u64,
    /// Codes of kind and source.
    pub(super) codes: (u8, u8),
}

/// Bytes of an entry in the file.
const ENTRY_BYTES: usize = 4 * 5 + 8 * 5 + 2;

/// Events that are kept together.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) entries: Vec<Entry>,
    pub(super) rows: Vec<u8>,
}

impl Block {
    /// Adds an event; host and clock are numbered by the caller.
    pub(super) fn push(&mut self, leaf: u32, host: u32, at: At, event: &Event<'_>) {
        self.make_room();
        let start = self.rows.len();
        write_row(event, &mut self.rows);
        let span = |len: usize| u32::try_from(len).expect("a block is closed long before 4 GiB");
        self.entries.push(Entry {
            leaf,
            host,
            clock: 0,
            row: (span(start), span(self.rows.len() - start)),
            offset: at.offset,
            number: at.number.unwrap_or(u64::MAX),
            wall_us: event.time.wall_us,
            recorded_us: event.recorded_us.unwrap_or(NO_TIME_US),
            seq: 0,
            codes: (
                event.kind.name().code(),
                u8::try_from(event.source.code()).unwrap_or(0),
            ),
        });
    }

    /// A block that grows past a few rows will be filled: it gets its memory at once, in place of
    /// being moved each time it doubles.
    fn make_room(&mut self) {
        const FEW: usize = BLOCK_BYTES / 16;
        if self.rows.len() > FEW && self.rows.capacity() < BLOCK_BYTES {
            self.rows.reserve(BLOCK_BYTES);
        }
    }

    /// Whether it holds enough.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() + self.entries.len() * ENTRY_BYTES >= BLOCK_BYTES
    }

    /// The row of an entry.
    pub(super) fn row(&self, entry: &Entry) -> &[u8] {
        let (start, len) = entry.row;
        let start = start as usize;
        self.rows
            .get(start..start.saturating_add(len as usize))
            .unwrap_or_default()
    }

    /// Copies an entry and its row from another block.
    pub(super) fn copy(&mut self, from: &Self, entry: &Entry) {
        self.make_room();
        let start = self.rows.len();
        self.rows.extend_from_slice(from.row(entry));
        let start = u32::try_from(start).expect("a block is closed long before 4 GiB");
        self.entries.push(Entry {
            row: (start, entry.row.1),
            ..*entry
        });
    }

    /// Bytes that it takes in memory.
    fn bytes(&self) -> usize {
        self.rows.len() + self.entries.len() * size_of::<Entry>()
    }

    /// Its entries as they stand in the file.
    fn encode_entries(&self, out: &mut Vec<u8>) {
        out.clear();
        out.reserve(self.entries.len() * ENTRY_BYTES);
        for entry in &self.entries {
            for number in [
                entry.leaf,
                entry.host,
                entry.clock,
                entry.row.0,
                entry.row.1,
            ] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&entry.offset.to_le_bytes());
            out.extend_from_slice(&entry.number.to_le_bytes());
            out.extend_from_slice(&entry.wall_us.to_le_bytes());
            out.extend_from_slice(&entry.recorded_us.to_le_bytes());
            out.extend_from_slice(&entry.seq.to_le_bytes());
            out.extend_from_slice(&[entry.codes.0, entry.codes.1]);
        }
    }
}

fn decode_entries(bytes: &[u8], entries: &mut Vec<Entry>) -> Option<()> {
    entries.clear();
    let (heads, _) = bytes.as_chunks::<ENTRY_BYTES>();
    for head in heads {
        entries.push(decode_entry(head)?);
    }
    Some(())
}

fn decode_entry(head: &[u8; ENTRY_BYTES]) -> Option<Entry> {
    let (narrow, rest) = head.split_at_checked(4 * 5)?;
    let (narrow, _) = narrow.as_chunks::<4>();
    let narrow = |at: usize| narrow.get(at).map(|bytes| u32::from_le_bytes(*bytes));
    let (wide, codes) = rest.split_at_checked(8 * 5)?;
    let (wide, _) = wide.as_chunks::<8>();
    let wide = |at: usize| wide.get(at).map(|bytes| u64::from_le_bytes(*bytes));
    Some(Entry {
        leaf: narrow(0)?,
        host: narrow(1)?,
        clock: narrow(2)?,
        row: (narrow(3)?, narrow(4)?),
        offset: wide(0)?,
        number: wide(1)?,
        wall_us: wide(2)?.cast_signed(),
        recorded_us: wide(3)?.cast_signed(),
        seq: wide(4)?,
        codes: (*codes.first()?, *codes.get(1)?),
    })
}

/// A kind by its code in an entry.
pub(super) fn kind_of(entry: &Entry) -> Option<KindName> {
    KindName::from_code(entry.codes.0)
}

/// A source by its code in an entry.
pub(super) fn source_of(entry: &Entry) -> Option<Source> {
    Source::from_code(u64::from(entry.codes.1))
}

/// Where a block is.
#[derive(Debug)]
enum Kept {
    Memory(Block),
    /// In the file: its entries, and behind them its rows, so that either is read alone.
    File {
        entries: Packed,
        rows: Packed,
    },
}

/// Some bytes in the file: offset, length, and length before compression.
#[derive(Clone, Copy, Debug)]
struct Packed {
    at: u64,
    len: usize,
    raw: usize,
}

/// All blocks, in the order in which they were put in.
#[derive(Debug, Default)]
pub(super) struct Spool {
    blocks: Vec<Kept>,
    memory: usize,
    file: Option<Mutex<File>>,
    end: u64,
    scratch: Vec<u8>,
    packer: Option<Packer>,
}

/// Compresses blocks with one context: a new one for each costs as much as a small block.
struct Packer(zstd::bulk::Compressor<'static>);

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer")
    }
}

impl Spool {
    /// How many blocks there are.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Keeps a block; gives its number.
    pub(super) fn put(&mut self, block: Block) -> Result<usize, ImportError> {
        self.memory += block.bytes();
        self.blocks.push(Kept::Memory(block));
        if self.memory > MEMORY_BYTES || self.file.is_some() {
            self.spill()
                .map_err(ImportError::temporary("keep events"))?;
        }
        Ok(self.blocks.len() - 1)
    }

    /// Writes all blocks that are in memory to the file.
    fn spill(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(Mutex::new(tempfile::tempfile()?));
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let file = file.get_mut().map_err(|_| io::Error::other("poisoned"))?;
        file.seek(SeekFrom::Start(self.end))?;
        let packer = match &mut self.packer {
            Some(packer) => packer,
            none => none.insert(Packer(zstd::bulk::Compressor::new(ZSTD_LEVEL)?)),
        };
        // After the first time, it is the last block alone.
        let from = self
            .blocks
            .iter()
            .rposition(|kept| matches!(kept, Kept::File { .. }))
            .map_or(0, |last| last + 1);
        for kept in self.blocks.iter_mut().skip(from) {
            let Kept::Memory(block) = kept else {
                continue;
            };
            block.encode_entries(&mut self.scratch);
            let mut end = self.end;
            let mut pack = |bytes: &[u8]| {
                let packed = packer.0.compress(bytes)?;
                file.write_all(&packed)?;
                let (at, len) = (end, packed.len());
                end += len as u64;
                io::Result::Ok(Packed {
                    at,
                    len,
                    raw: bytes.len(),
                })
            };
            let (entries, rows) = (pack(&self.scratch)?, pack(&block.rows)?);
            *kept = Kept::File { entries, rows };
            self.end = end;
        }
        self.memory = 0;
        Ok(())
    }

    /// Gives a block again, into `block`, whose memory is used.
    pub(super) fn get(&self, number: usize, block: &mut Block) -> io::Result<()> {
        match self.blocks.get(number) {
            None => {
                block.entries.clear();
                block.rows.clear();
                Ok(())
            }
            Some(Kept::Memory(kept)) => {
                block.entries.clone_from(&kept.entries);
                block.rows.clone_from(&kept.rows);
                Ok(())
            }
            Some(&Kept::File { entries, rows }) => {
                let bytes = self.unpacked(entries)?;
                decode_entries(&bytes, &mut block.entries).ok_or_else(changed)?;
                block.rows = self.unpacked(rows)?;
                Ok(())
            }
        }
    }

    /// The entries of a block alone; `own` is memory for those that are in the file.
    pub(super) fn entries<'s>(
        &'s self,
        number: usize,
        own: &'s mut Vec<Entry>,
    ) -> io::Result<&'s [Entry]> {
        match self.blocks.get(number) {
            None => Ok(&[]),
            Some(Kept::Memory(kept)) => Ok(&kept.entries),
            Some(&Kept::File { entries, .. }) => {
                let bytes = self.unpacked(entries)?;
                decode_entries(&bytes, own).ok_or_else(changed)?;
                Ok(own)
            }
        }
    }

    fn unpacked(&self, packed: Packed) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; packed.len];
        let file = self.file.as_ref().ok_or_else(changed)?;
        {
            let mut file = file.lock().map_err(|_| changed())?;
            file.seek(SeekFrom::Start(packed.at))?;
            io::Read::read_exact(&mut *file, &mut bytes)?;
        }
        zstd::bulk::decompress(&bytes, packed.raw)
    }
}

fn changed() -> io::Error {
    io::Error::other("the temporary file is not as it was written")
}

#[cfg(test)]
mod tests {
    use saigen_schemas::event::{BootId, Fields, Kind, Marks, RecordRaw, Text, Time, read_row};

    use super::*;

    fn event(host: &str, us: i64) -> Event<'_> {
        Event {
            seq: 0,
            time: Time {
                wall_us: us,
                boot_us: None,
            },
            recorded_us: (us % 2 == 0).then_some(us + 1),
            host: Text::from(host),
            boot: BootId::default(),
            source: Source::Json,
            actor: None,
            marks: Marks::default(),
            extra: Fields::default(),
            kind: Kind::RecordRaw(RecordRaw::default()),
        }
    }

    #[test]
    fn what_is_kept_comes_back_from_memory_and_from_the_file() {
        let long = "h".repeat(3 << 20);
        let mut spool = Spool::default();
        let mut numbers = Vec::new();
        for block_number in 0..60_u32 {
            let mut block = Block::default();
            for us in 0..3_i64 {
                let at = At {
                    offset: 7,
                    number: (us == 1).then_some(9),
                };
                block.push(block_number, 5, at, &event(&long, us));
            }
            let kept = block.clone();
            numbers.push((spool.put(block).unwrap(), kept));
        }
        assert!(spool.file.is_some(), "more than the bound goes to a file");
        let mut got = Block::default();
        for (number, kept) in numbers {
            spool.get(number, &mut got).unwrap();
            assert_eq!(got.entries, kept.entries);
            assert_eq!(got.rows, kept.rows);
            let entry = got.entries[1];
            assert_eq!(read_row(got.row(&entry)), Some(event(&long, 1)));
        }
    }
}

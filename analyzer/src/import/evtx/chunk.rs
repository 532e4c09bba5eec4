//! A chunk of an event log: 64 KiB that stand alone, with their own names, templates and checksums.

use crate::import::evtx::bytes::{u32_at, u64_at};

/// Bytes of a chunk.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

/// Bytes of a chunk's header, with its tables of strings and templates.
pub(super) const CHUNK_HEADER_BYTES: usize = 512;

/// What a chunk begins with.
pub(super) const CHUNK_MAGIC: &[u8; 8] = b"ElfChnk\0";

/// What a record begins with.
pub(super) const RECORD_MAGIC: &[u8; 4] = b"**\0\0";

/// Bytes of a record's header.
pub(super) const RECORD_HEADER_BYTES: usize = 24;

/// Bytes of a record's end: its size again.
const RECORD_END_BYTES: usize = 4;

/// Says in a header's flags that it has no checksums (seen in logs of Windows 11 and of shippers).
const NO_CHECKSUMS: u32 = 4;

/// The header of a chunk.
///
/// | Offset | Size | Field          | Meaning                                                  |
/// |-------:|-----:|----------------|----------------------------------------------------------|
/// |      0 |    8 | magic          | `ElfChnk\0`                                              |
/// |      8 |   16 | numbers        | first and last record, numbered in this file             |
/// |     24 |   16 | `first_id`, `last_id` | first and last record, as the records say         |
/// |     40 |    4 | header size    | 128                                                      |
/// |     44 |    4 | `last_record`  | where the last record begins                             |
/// |     48 |    4 | `free`         | where the records end                                    |
/// |     52 |    4 | `records_crc`  | CRC-32 of bytes 512 to `free`                            |
/// |    120 |    4 | `flags`        | 1: dirty, 4: no checksums                                |
/// |    124 |    4 | `header_crc`   | CRC-32 of bytes 0 to 120 and 128 to 512                  |
/// |    128 |  256 | strings        | 64 offsets of names                                      |
/// |    384 |  128 | templates      | 32 offsets of templates                                  |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    pub(super) first_id: u64,
    pub(super) last_id: u64,
    pub(super) last_record: u32,
    pub(super) free: u32,
    records_crc: u32,
    flags: u32,
    header_crc: u32,
}

/// A checksum that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadChecksum {
    /// What it is of: `header`, `records`.
    pub(super) of: &'static str,
    /// What stands in the header.
    pub(super) stored: u32,
    /// What the bytes give; `None` where the header does not say which bytes.
    pub(super) computed: Option<u32>,
}

impl ChunkHeader {
    /// The header at the beginning of a chunk; `None` if there is none.
    pub(super) fn read(chunk: &[u8]) -> Option<Self> {
        if !chunk.starts_with(CHUNK_MAGIC) || chunk.len() < CHUNK_HEADER_BYTES {
            return None;
        }
        Some(Self {
            first_id: u64_at(chunk, 24)?,
            last_id: u64_at(chunk, 32)?,
            last_record: u32_at(chunk, 44)?,
            free: u32_at(chunk, 48)?,
            records_crc: u32_at(chunk, 52)?,
            flags: u32_at(chunk, 120)?,
            header_crc: u32_at(chunk, 124)?,
        })
    }

    /// Where the records end, by the header, and never behind the chunk.
    pub(super) fn end(&self, chunk: &[u8]) -> usize {
        usize::try_from(self.free).map_or(chunk.len(), |free| free.min(chunk.len()))
    }

    /// Whether the next record in number stands behind where the records end.
    pub(super) fn is_behind(&self, chunk: &[u8]) -> bool {
        let next = RecordAt::read(chunk, self.end(chunk));
        next.is_some_and(|next| follows(Some(self.last_id), next.id) && next.is_closed(chunk))
    }

    /// Checks the header and the records against their checksums.
    pub(super) fn check(&self, chunk: &[u8]) -> Vec<BadChecksum> {
        if self.flags & NO_CHECKSUMS != 0 {
            return Vec::new();
        }
        let mut bad = Vec::new();
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(chunk.get(..120).unwrap_or_default());
        hasher.update(chunk.get(128..CHUNK_HEADER_BYTES).unwrap_or_default());
        let computed = hasher.finalize();
        if computed != self.header_crc {
            bad.push(BadChecksum {
                of: "header",
                stored: self.header_crc,
                computed: Some(computed),
            });
        }
        let free = usize::try_from(self.free).unwrap_or(usize::MAX);
        let computed = chunk.get(CHUNK_HEADER_BYTES..free).map(crc32fast::hash);
        if computed != Some(self.records_crc) {
            bad.push(BadChecksum {
                of: "records",
                stored: self.records_crc,
                computed,
            });
        }
        bad
    }
}

/// A record in a chunk: its header, and where its content is.
///
/// | Offset | Size | Field    | Meaning                                |
/// |-------:|-----:|----------|----------------------------------------|
/// |      0 |    4 | magic    | `**\0\0`                               |
/// |      4 |    4 | size     | of the whole record                    |
/// |      8 |    8 | `id`     | its number                             |
/// |     16 |    8 | written  | FILETIME                               |
/// |     24 |      | content  | binary XML                             |
/// | size-4 |    4 | size     | again                                  |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordAt {
    /// Where it begins in the chunk.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// Its number.
    pub(super) id: u64,
    /// When it was written, FILETIME.
    pub(super) written: u64,
}

impl RecordAt {
    /// The record that begins at a place; `None` if none does.
    pub(super) fn read(chunk: &[u8], start: usize) -> Option<Self> {
        let bytes = chunk.get(start..)?;
        if !bytes.starts_with(RECORD_MAGIC) {
            return None;
        }
        let size = usize::try_from(u32_at(bytes, 4)?).ok()?;
        if size < RECORD_HEADER_BYTES + RECORD_END_BYTES || size > bytes.len() {
            return None;
        }
        Some(Self {
            start,
            end: start + size,
            id: u64_at(bytes, 8)?,
            written: u64_at(bytes, 16)?,
        })
    }

    /// Where its content is in the chunk.
    pub(super) const fn content(&self) -> std::ops::Range<usize> {
        self.start + RECORD_HEADER_BYTES..self.end - RECORD_END_BYTES
    }

    /// Whether its end repeats its size, as every record that was written whole does.
    fn is_closed(&self, chunk: &[u8]) -> bool {
        let size = u32::try_from(self.end - self.start).ok();
        size.is_some() && u32_at(chunk, self.end - RECORD_END_BYTES) == size
    }
}

/// What stands at a place where a record should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// A record.
    Record(RecordAt),
    /// Bytes that are none: from where, and where the next record begins or the records end.
    Damage {
        /// The first byte.
        start: usize,
        /// The byte behind the last.
        end: usize,
    },
}

/// The records of a chunk, one after another. Past bytes that are no record it goes on at the next
/// one that is whole and fits the chunk: others are of an earlier use of the same space. Behind the
/// last one that the header knows it goes on as long as whole records follow in number: the header
/// of a log in use is behind its records.
pub(super) fn records<'c>(
    chunk: &'c [u8],
    header: &'c ChunkHeader,
) -> impl Iterator<Item = Walked> + 'c {
    let end = header.end(chunk);
    let mut at = Some(CHUNK_HEADER_BYTES);
    let mut before = None;
    std::iter::from_fn(move || {
        let start = at?;
        let known = start < end && before.is_none_or(|id| id != header.last_id);
        if let Some(record) = RecordAt::read(chunk, start)
            && (known || (record.is_closed(chunk) && follows(before, record.id)))
        {
            at = Some(record.end);
            before = Some(record.id);
            return Some(Walked::Record(record));
        }
        if !known {
            at = None;
            return None;
        }
        let next = next_record(chunk, header, start + 1, end);
        at = next;
        // Zeroes up to the end: the header gives more room than was used.
        let blank = chunk
            .get(start..end)
            .is_some_and(|rest| rest.iter().all(|&byte| byte == 0));
        (next.is_some() || !blank).then_some(Walked::Damage {
            start,
            end: next.unwrap_or(end),
        })
    })
}

fn follows(before: Option<u64>, id: u64) -> bool {
    before.and_then(|before| before.checked_add(1)) == Some(id)
}

fn next_record(chunk: &[u8], header: &ChunkHeader, from: usize, end: usize) -> Option<usize> {
    let search = chunk.get(from..end)?;
    let candidates = search
        .windows(RECORD_MAGIC.len())
        .enumerate()
        .filter(|(_, window)| window == RECORD_MAGIC);
    candidates.map(|(at, _)| from + at).find(|&at| {
        RecordAt::read(chunk, at).is_some_and(|record| {
            record.end <= end
                && record.is_closed(chunk)
                && (header.first_id..=header.last_id).contains(&record.id)
        })
    })
}

//! Windows event logs (EVTX): chunks of 64 KiB with records of binary XML.
//!
//! Each chunk stands alone, so that damage to one leaves the others. What does not fit is told:
//! checksums of header and records, bytes that are no record, numbers that are missing, a file
//! that was cut. What can be read is read all the same.

mod binxml;
mod bytes;
mod chunk;
mod fields;
mod ids;
#[cfg(test)]
mod tests;
mod value;

use std::io::{Read as _, SeekFrom};

use saigen_schemas::report::FindingKind;

use crate::import::batch::Batch;
use crate::import::evtx::binxml::Decoder;
use crate::import::evtx::bytes::{u16_at, u32_at};
use crate::import::evtx::chunk::{
    CHUNK_BYTES, CHUNK_MAGIC, ChunkHeader, RecordAt, Walked, records,
};
use crate::import::evtx::fields::time_of_header;
use crate::import::evtx::ids::Ids;
use crate::import::parts;
use crate::import::windows::{self, Record, Scratch};
use crate::import::{At, Finding, ImportError, Input, Sink, Skipped};

/// Bytes of the file's header block: chunks begin behind it.
const HEADER_BYTES: usize = 4096;

/// Says in the header's flags that the log was in use when it was copied.
const DIRTY: u32 = 1;

/// Says in the header's flags that it has no checksum.
const NO_CHECKSUM: u32 = 4;

/// The header of a file.
///
/// | Offset | Size | Field           | Meaning                                          |
/// |-------:|-----:|-----------------|--------------------------------------------------|
/// |      0 |    8 | magic           | `ElfFile\0`                                      |
/// |      8 |   16 | chunks          | first and last, as the log was written around    |
/// |     24 |    8 | next record     | the number that the next record gets             |
/// |     42 |    2 | `chunks`        | how many chunks there are                        |
/// |    120 |    4 | `flags`         | 1: dirty, 2: full, 4: no checksum                |
/// |    124 |    4 | `crc`           | CRC-32 of bytes 0 to 120                         |
#[derive(Clone, Copy, Debug)]
struct FileHeader {
    chunks: u16,
    flags: u32,
    crc: u32,
    computed: u32,
}

impl FileHeader {
    fn read(block: &[u8]) -> Option<Self> {
        if !block.starts_with(b"ElfFile\0") {
            return None;
        }
        Some(Self {
            chunks: u16_at(block, 42)?,
            flags: u32_at(block, 120)?,
            crc: u32_at(block, 124)?,
            computed: crc32fast::hash(block.get(..120)?),
        })
    }

    const fn is_dirty(&self) -> bool {
        self.flags & DIRTY != 0
    }

    /// Where the chunks end that it counts.
    fn end(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.chunks) * CHUNK_BYTES as u64
    }
}

/// Chunks that are read by one thread at once: enough that handing them over costs nothing.
const CHUNKS_AT_ONCE: usize = 16;

/// Most threads that read one log. Beyond, memory grows and the disk is slower than they are.
const THREADS_MAX: usize = 16;

/// Reads a log.
///
/// # Errors
/// Where the file cannot be read, or an event not be kept.
pub(super) fn read(input: &mut dyn Input, sink: &mut dyn Sink) -> Result<(), ImportError> {
    let mut block = Vec::new();
    read_at(input, 0, HEADER_BYTES, &mut block)?;
    let header = FileHeader::read(&block);
    tell_header(header.as_ref(), &block, sink);
    // A log whose header is gone may begin with its first chunk.
    let begin = if block.starts_with(CHUNK_MAGIC) {
        0
    } else {
        HEADER_BYTES as u64
    };
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let mut ids = Ids::default();
    parts::in_order(
        threads.min(THREADS_MAX),
        Cut {
            input: &mut *input,
            offset: begin,
        },
        || Reader::new(header),
        |reader: &mut Reader, part: Part| reader.part(&part),
        |(batch, own): (Batch, Ids)| {
            ids.follow(own);
            sink.batch(batch)
        },
    )?;
    tell_length(header.as_ref(), input.size(), sink);
    ids.tell(sink);
    Ok(())
}

/// Some chunks of a file, and where they begin.
struct Part {
    bytes: Vec<u8>,
    offset: u64,
}

/// Cuts a file into parts.
struct Cut<'i> {
    input: &'i mut dyn Input,
    offset: u64,
}

impl Iterator for Cut<'_> {
    type Item = Result<Part, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        let offset = self.offset;
        let read = read_at(self.input, offset, CHUNKS_AT_ONCE * CHUNK_BYTES, &mut bytes);
        self.offset += bytes.len() as u64;
        match read {
            Ok(()) => (!bytes.is_empty()).then_some(Ok(Part { bytes, offset })),
            Err(error) => Some(Err(error)),
        }
    }
}

/// The bytes of the record that begins at a place.
///
/// # Errors
/// Where the file cannot be read, or no record begins there.
pub(super) fn record_at(input: &mut dyn Input, offset: u64) -> Result<Vec<u8>, ImportError> {
    let mut bytes = Vec::new();
    read_at(input, offset, CHUNK_BYTES, &mut bytes)?;
    let record = RecordAt::read(&bytes, 0).ok_or_else(|| ImportError::NoRecord {
        offset,
        expected: "a record of an event log",
        found: format!("{:02x?}", bytes.get(..8).unwrap_or(&bytes)),
    })?;
    bytes.truncate(record.end);
    Ok(bytes)
}

/// Reads up to `len` bytes at a place: fewer at the end of the file.
fn read_at(
    input: &mut dyn Input,
    offset: u64,
    len: usize,
    bytes: &mut Vec<u8>,
) -> Result<(), ImportError> {
    bytes.clear();
    input
        .seek(SeekFrom::Start(offset))
        .and_then(|_| input.take(len as u64).read_to_end(bytes))
        .map_err(ImportError::read(offset))?;
    Ok(())
}

fn tell_header(header: Option<&FileHeader>, block: &[u8], sink: &mut dyn Sink) {
    let at = At {
        offset: 0,
        number: None,
    };
    let Some(header) = header else {
        let text = format!(
            "expected the header of an event log, found {:02x?}; its chunks are read",
            block.get(..8).unwrap_or(block)
        );
        sink.find(Finding::new(FindingKind::Damage, at, text));
        return;
    };
    if header.flags & NO_CHECKSUM == 0 && header.crc != header.computed {
        let text = format!(
            "the file header's checksum is {:#010x}, its bytes give {:#010x}",
            header.crc, header.computed
        );
        sink.find(Finding::new(FindingKind::Damage, at, text));
    }
    if header.is_dirty() {
        let text = "copied while it was in use: the last chunk may be ahead of its header";
        sink.find(Finding::new(FindingKind::Note, at, text));
    }
}

/// Says where a file ends before it should, or in the middle of a chunk.
fn tell_length(header: Option<&FileHeader>, bytes: u64, sink: &mut dyn Sink) {
    let Some(header) = header else {
        return;
    };
    let chunks = bytes.saturating_sub(HEADER_BYTES as u64) / CHUNK_BYTES as u64;
    // A log that is larger than its 16 bits of chunks counts around.
    if chunks < u64::from(header.chunks) {
        let at = At {
            offset: bytes,
            number: None,
        };
        let text = format!(
            "the file ends after {chunks} whole chunks, its header counts {}",
            header.chunks
        );
        sink.find(Finding::new(FindingKind::Damage, at, text));
    }
}

/// What is known of a chunk before it is looked at.
#[derive(Clone, Copy, Debug)]
struct State {
    wholeness: Wholeness,
    /// The file's header counts it.
    counted: bool,
}

/// What a chunk's checksums mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wholeness {
    /// The log was closed: they must fit.
    Closed,
    /// It was in use: records may have been added since.
    InUse,
}

impl Wholeness {
    const fn of(dirty: bool) -> Self {
        if dirty { Self::InUse } else { Self::Closed }
    }
}

/// Reads chunks, and remembers which records there were.
struct Reader {
    header: Option<FileHeader>,
    record: Record,
    scratch: Scratch,
    decoder: Decoder,
    ids: Ids,
}

impl Reader {
    fn new(header: Option<FileHeader>) -> Self {
        Self {
            header,
            record: Record::default(),
            scratch: Scratch::default(),
            decoder: Decoder::default(),
            ids: Ids::default(),
        }
    }

    /// Reads some chunks; gives what they tell, and the numbers of their records.
    fn part(&mut self, part: &Part) -> Result<(Batch, Ids), ImportError> {
        let mut batch = Batch::default();
        let mut offset = part.offset;
        let counted = self.header.map_or(u64::MAX, |header| header.end());
        let dirty = self.header.is_some_and(|header| header.is_dirty());
        for chunk in part.bytes.chunks(CHUNK_BYTES) {
            if chunk.iter().any(|&byte| byte != 0) {
                let state = State {
                    wholeness: Wholeness::of(dirty),
                    counted: offset < counted,
                };
                self.chunk(chunk, offset, state, &mut batch)?;
            }
            offset += chunk.len() as u64;
        }
        Ok((batch, std::mem::take(&mut self.ids)))
    }

    fn chunk(
        &mut self,
        chunk: &[u8],
        offset: u64,
        State { wholeness, counted }: State,
        sink: &mut dyn Sink,
    ) -> Result<(), ImportError> {
        let at = At {
            offset,
            number: None,
        };
        let Some(header) = ChunkHeader::read(chunk) else {
            let text = format!(
                "expected a chunk, found {:02x?}; {} bytes are not read",
                chunk.get(..8).unwrap_or(chunk),
                chunk.len()
            );
            // Space behind the last chunk was never used, or is left from something else.
            let kind = if counted {
                FindingKind::Damage
            } else {
                FindingKind::Note
            };
            sink.find(Finding::new(kind, at, text));
            return Ok(());
        };
        if chunk.len() < CHUNK_BYTES {
            let text = format!(
                "the file ends in this chunk, after {} of its {CHUNK_BYTES} bytes",
                chunk.len()
            );
            sink.find(Finding::new(FindingKind::Damage, at, text));
        } else {
            tell_checksums(&header, chunk, at, wholeness, sink);
        }
        if header.is_behind(chunk) {
            let kind = match wholeness {
                Wholeness::InUse => FindingKind::Note,
                Wholeness::Closed => FindingKind::Damage,
            };
            let text = format!(
                "the chunk's header ends with record {}; whole records follow, which are read",
                header.last_id
            );
            sink.find(Finding::new(kind, at, text));
        }
        self.decoder.begin_chunk();
        for walked in records(chunk, &header) {
            match walked {
                Walked::Record(record) => self.record(chunk, offset, record, sink)?,
                Walked::Damage { start, end } => {
                    let at = At {
                        offset: offset + start as u64,
                        number: None,
                    };
                    let text = format!("{} bytes that are no record", end - start);
                    sink.find(Finding::new(FindingKind::Damage, at, text));
                }
            }
        }
        self.ids.chunk(offset, header.first_id, header.last_id);
        Ok(())
    }

    fn record(
        &mut self,
        chunk: &[u8],
        offset: u64,
        record: RecordAt,
        sink: &mut dyn Sink,
    ) -> Result<(), ImportError> {
        let at = At {
            offset: offset + record.start as u64,
            number: Some(record.id),
        };
        self.ids.record(at.offset, record.id);
        self.record.clear();
        let decoded = self
            .decoder
            .decode(chunk, record.content(), &mut self.record);
        if let Err(fault) = decoded {
            let text = format!(
                "a record that cannot be read: expected {} at {:#x}",
                fault.expected,
                offset + fault.at as u64
            );
            sink.find(Finding::new(FindingKind::Damage, at, text));
            sink.skip(at, Skipped::Malformed);
            return Ok(());
        }
        time_of_header(&mut self.record, record.written);
        if self.record.record_id.is_none() {
            self.record.record_id = Some(record.id);
        }
        windows::map(&self.record, &mut self.scratch, at, sink)
    }
}

fn tell_checksums(
    header: &ChunkHeader,
    chunk: &[u8],
    at: At,
    wholeness: Wholeness,
    sink: &mut dyn Sink,
) {
    let bad = header.check(chunk);
    if bad.is_empty() {
        return;
    }
    // The log service writes a chunk's header after its records: a copy of a log in use has the
    // header of a moment before. Records behind where that header ends show it.
    let (kind, meaning) = match (wholeness, header.is_behind(chunk)) {
        (Wholeness::InUse, true) => (FindingKind::Note, "; records were added after it"),
        (Wholeness::InUse, false) | (Wholeness::Closed, _) => (FindingKind::Damage, ""),
    };
    for bad in bad {
        let computed = bad
            .computed
            .map_or("nothing".to_owned(), |computed| format!("{computed:#010x}"));
        let text = format!(
            "the chunk's checksum of its {} is {:#010x}, its bytes give {computed}{meaning}",
            bad.of, bad.stored
        );
        sink.find(Finding::new(kind, at, text));
    }
}

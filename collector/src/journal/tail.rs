//! How far a journal in a directory has come: read when a recording goes on after a crash, and for anchors.
//!
//! Only the last segment is read whole. What a crash left torn is passed over, as a reader does.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use saigen_schemas::journal::seal::{ChainValue, EnrolmentId, chain_after};
use saigen_schemas::journal::{
    Anchor, Frame, FrameHeader, FrameKind, HEADER_BYTES_MAX, Opening, find_frame,
    segment_file_name, segment_number,
};

/// Bytes that are read at once.
const READ_BYTES: u64 = 256 << 10;

/// Bytes by which a beginning of a frame is known, less one: they may stand before the end of a read.
const KEPT_BYTES: usize = 11;

/// How far a journal has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The enrolment.
    pub enrolment: EnrolmentId,
    /// Whether frames carry tags.
    pub sealed: bool,
    /// Position of the recording's first frame.
    pub recording: u64,
    /// The name of the recorded host.
    pub host: String,
    /// Position of the last whole frame.
    pub position: u64,
    /// The chain after it.
    pub chain: ChainValue,
    /// Number of the next event.
    pub next_seq: u64,
    /// Events lost so far.
    pub lost: u64,
    /// Wall clock at which the last whole frame was sealed, µs.
    pub sealed_us: i64,
    /// Whether the recording was ended as it should be.
    pub closed: bool,
    /// Numbers and lengths of all segments' files, by number.
    pub segments: Vec<(u32, u64)>,
}

impl Tail {
    /// Reads how far the journal in a directory has come; `None` where no frame can be read.
    ///
    /// # Errors
    /// The system's.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        let segments = segments(dir)?;
        let mut end = None;
        for (number, _) in segments.iter().rev() {
            let mut last = Last::default();
            walk(&dir.join(segment_file_name(*number)), &mut |frame| {
                last.take(frame);
            })?;
            let end = end.get_or_insert(last.end);
            if end.is_none() {
                *end = last.end;
            }
            // The opening of the last segment may be torn: one before it says the same.
            let (Some(end), Some(opening)) = (end, last.opening) else {
                continue;
            };
            let Some(enrolment) = EnrolmentId::parse(&opening.enrolment) else {
                continue;
            };
            return Ok(Some(Self {
                enrolment,
                sealed: opening.sealed,
                recording: opening.recording,
                host: opening.host,
                position: end.position,
                chain: end.chain,
                next_seq: end.next_seq,
                lost: end.lost,
                sealed_us: end.sealed_us,
                closed: end.closed,
                segments,
            }));
        }
        Ok(None)
    }

    /// The anchor at the last whole frame.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        Anchor {
            enrolment: self.enrolment,
            recording: self.recording,
            host: self.host.clone(),
            position: self.position,
            chain: self.chain,
            sealed_us: self.sealed_us,
        }
    }
}

/// What is kept of the frames that go by.
#[derive(Debug, Default)]
struct Last {
    opening: Option<Opening>,
    end: Option<End>,
}

/// The last whole frame.
#[derive(Debug, Clone, Copy)]
struct End {
    kind: FrameKind,
    position: u64,
    chain: ChainValue,
    next_seq: u64,
    lost: u64,
    sealed_us: i64,
    closed: bool,
}

impl Last {
    fn take(&mut self, frame: &Frame<'_>) {
        if frame.header.kind == FrameKind::Open {
            self.opening = Opening::read(frame).ok().or(self.opening.take());
        }
        let header = &frame.header;
        let signs_the_close = header.kind == FrameKind::Checkpoint
            && self.end.is_some_and(|end| end.kind == FrameKind::Close);
        self.end = Some(End {
            kind: header.kind,
            position: header.position,
            chain: chain_after(frame),
            next_seq: header.first_seq.saturating_add(u64::from(header.events)),
            lost: header.lost,
            sealed_us: header.wall_us,
            closed: header.kind == FrameKind::Close || signs_the_close,
        });
    }
}

/// Numbers and lengths of the segments in a directory, by number.
///
/// # Errors
/// The system's.
pub fn segments(dir: &Path) -> io::Result<Vec<(u32, u64)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(segment_number);
        if let Some(number) = number {
            segments.push((number, entry.metadata()?.len()));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Gives each whole frame of a segment, in order.
fn walk(path: &Path, each: &mut dyn FnMut(&Frame<'_>)) -> io::Result<()> {
    let mut reader = Reader {
        file: File::open(path)?,
        bytes: Vec::new(),
        ended: false,
    };
    loop {
        reader.fill(HEADER_BYTES_MAX)?;
        if reader.bytes.is_empty() {
            return Ok(());
        }
        if let Ok(len) = FrameHeader::promised_len(&reader.bytes) {
            reader.fill(len)?;
            if let Ok(frame) = FrameHeader::read(&reader.bytes) {
                each(&frame);
                reader.bytes.drain(..len);
                continue;
            }
        }
        reader.skip()?;
    }
}

struct Reader {
    file: File,
    bytes: Vec<u8>,
    ended: bool,
}

impl Reader {
    /// Reads until that much is there, or the file ends.
    fn fill(&mut self, len: usize) -> io::Result<()> {
        while self.bytes.len() < len && !self.ended {
            let read = Read::by_ref(&mut self.file)
                .take(READ_BYTES)
                .read_to_end(&mut self.bytes)?;
            self.ended = read == 0;
        }
        Ok(())
    }

    /// Goes to where the next frame may begin.
    fn skip(&mut self) -> io::Result<()> {
        loop {
            let behind = self.bytes.get(1..).unwrap_or_default();
            if let Some(at) = find_frame(behind) {
                self.bytes.drain(..=at);
                return Ok(());
            }
            if self.ended {
                self.bytes.clear();
                return Ok(());
            }
            let gone = self.bytes.len().saturating_sub(KEPT_BYTES);
            self.bytes.drain(..gone);
            self.fill(self.bytes.len() + 1)?;
        }
    }
}

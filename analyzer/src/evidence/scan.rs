//! One segment, frame by frame: checksum, digest, and what the payload holds. What stands before
//! and after a frame is not looked at here, so that segments can be scanned side by side.

use std::fs::File;
use std::io;
use std::path::Path;

use saigen_schemas::event::{Kind, KindName, write_row};
use saigen_schemas::journal::checkpoint::Checkpoint;
use saigen_schemas::journal::merkle;
use saigen_schemas::journal::seal::frame_digest;
use saigen_schemas::journal::{
    Frame, FrameError, FrameHeader, FrameKind, HEADER_BYTES_MAX, OfEvents, Opening, PayloadReader,
    Removed, find_frame,
};

use crate::evidence::window::{Hashing, Window};

/// Most bytes that are hashed in search of the next frame behind damage. A file made of nothing
/// but beginnings of frames would else be hashed again and again.
const SEARCH_BYTES_MAX: u64 = 1 << 30;

/// Bytes that are searched at once.
const SEARCH_STEP: usize = 1 << 16;

/// Bytes by which a beginning of a frame is known: magic, length, signature.
const SIGNED_BYTES: usize = 12;

/// What a recorder calls the count of process starts.
const STARTS: &[u8] = b"process.start";

/// What stands in a segment.
#[derive(Debug)]
pub(super) enum Scanned {
    /// A frame whose checksum holds.
    Frame(Box<FrameFacts>),
    /// Bytes that are no frame.
    Damage(Damage),
    /// The end of the file.
    End {
        /// Its length.
        bytes: u64,
        /// Lower-case hex SHA-256 of all of it.
        sha256: String,
    },
    /// The system would not read on.
    Unreadable(io::Error),
}

/// A frame whose checksum holds.
#[derive(Debug)]
pub(super) struct FrameFacts {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) header: FrameHeader,
    pub(super) tag: [u8; 16],
    pub(super) digest: [u8; 32],
    pub(super) content: Content,
}

/// What a frame's payload holds.
#[derive(Debug)]
pub(super) enum Content {
    /// Nothing, as it should be.
    Nothing,
    /// The opening of a segment.
    Opening(Box<Opening>),
    /// A signature over the segment so far.
    Checkpoint(Box<Checkpoint>),
    /// A list of segments that were removed.
    Removed(Box<Removed>),
    /// Events.
    Events(EventFacts),
    /// It cannot be what the header says.
    Wrong(String),
}

/// What is counted of a frame's events.
#[derive(Debug, Default)]
pub(super) struct EventFacts {
    /// Whether times and kinds, and the root if it was made again, are what the header says.
    pub(super) as_said: bool,
    pub(super) kinds: Vec<(KindName, u64)>,
    pub(super) sources: Vec<(&'static str, u64)>,
    /// Source and count of each loss.
    pub(super) losses: Vec<(String, u64)>,
    /// Counted at most, recorded, whole: of process starts.
    pub(super) completeness: Option<(u64, u64, u64)>,
}

/// Bytes that are no frame.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) error: FrameError,
    /// Whether they end with the file and look like a frame that was not written to its end.
    pub(super) cut: bool,
}

/// How much of a frame's content is made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// What stands in the chain: digests, times, kinds.
    #[default]
    Seals,
    /// The root over the events too, from each event's row.
    Roots,
}

/// Scans a segment's file; `found` gets what stands there, in order, and says whether to go on.
pub(super) fn scan(file: File, depth: Depth, found: &mut dyn FnMut(Scanned) -> bool) {
    let mut scanner = Scanner {
        window: Window::new(file, 0, Hashing::Sha256),
        decoder: Decoder {
            reader: PayloadReader::default(),
            depth,
            rows: merkle::Rows::default(),
        },
        searched: 0,
        offset: 0,
    };
    loop {
        match scanner.next() {
            Ok(Some(scanned)) => {
                if !found(scanned) {
                    return;
                }
            }
            Ok(None) => break,
            Err(error) => {
                found(Scanned::Unreadable(error));
                return;
            }
        }
    }
    found(match scanner.window.finish() {
        Ok((bytes, sha256)) => Scanned::End { bytes, sha256 },
        Err(error) => Scanned::Unreadable(error),
    });
}

struct Scanner {
    window: Window,
    decoder: Decoder,
    searched: u64,
    offset: u64,
}

/// Decodes payloads; its memory is kept from frame to frame.
struct Decoder {
    reader: PayloadReader,
    depth: Depth,
    /// The rows of a frame's events.
    rows: merkle::Rows,
}

impl Scanner {
    fn next(&mut self) -> io::Result<Option<Scanned>> {
        let offset = self.offset;
        if self.window.at(offset, 1)?.is_empty() {
            return Ok(None);
        }
        let error = match frame_at(&mut self.window, offset)? {
            Ok(frame) => {
                let facts = facts_of(&frame, offset, &mut self.decoder);
                self.offset += facts.len;
                return Ok(Some(Scanned::Frame(Box::new(facts))));
            }
            Err(error) => error,
        };
        let lost = self.find_next(offset)?;
        let promised_more = matches!(
            error,
            FrameError::CutHeader { .. } | FrameError::CutPayload { .. }
        );
        self.offset = lost.end;
        Ok(Some(Scanned::Damage(Damage {
            offset,
            len: lost.end - offset,
            error,
            cut: lost.to_end && (promised_more || lost.zeros),
        })))
    }

    /// How far the bytes at `damaged` are no frame.
    fn find_next(&mut self, damaged: u64) -> io::Result<Lost> {
        // Where the length in a damaged header is still good, the next frame stands behind it:
        // that spares us what an attacker laid into the payload to be found.
        if let Some(end) = self.behind(damaged)? {
            return Ok(Lost::until(end));
        }
        let mut zeros = true;
        let mut from = damaged;
        loop {
            let spent = self.searched >= SEARCH_BYTES_MAX;
            let bytes = self.window.at(from, SEARCH_STEP)?;
            let step = bytes.get(..SEARCH_STEP).unwrap_or(bytes);
            zeros = zeros && step.iter().all(|&byte| byte == 0);
            // A beginning that the end of the step cuts is found by the next.
            let last = bytes.len() < SEARCH_STEP;
            // At the damage itself no frame begins: that was tried.
            let skipped = usize::from(from == damaged);
            let hit = step.get(skipped..).and_then(find_frame).filter(|_| !spent);
            match hit {
                Some(hit) => {
                    from += (skipped + hit) as u64;
                    self.searched += hit as u64;
                    if self.is_frame(from)? {
                        return Ok(Lost::until(from));
                    }
                    zeros = false;
                    from += 1;
                }
                None if last => {
                    return Ok(Lost {
                        end: from + step.len() as u64,
                        to_end: true,
                        zeros,
                    });
                }
                None => from += (SEARCH_STEP - (SIGNED_BYTES - 1)) as u64,
            }
        }
    }

    /// The end of the frame that the header at `damaged` describes, if a whole frame stands behind it.
    fn behind(&mut self, damaged: u64) -> io::Result<Option<u64>> {
        let header = self.window.at(damaged, HEADER_BYTES_MAX)?;
        let Ok(len) = FrameHeader::promised_len(header) else {
            return Ok(None);
        };
        // Asked for from the damage on, so that the way back stays open.
        let head = self.window.at(damaged, len + HEADER_BYTES_MAX)?;
        let Some(Ok(next)) = head.get(len..).map(FrameHeader::promised_len) else {
            return Ok(None);
        };
        let bytes = self.window.at(damaged, len + next)?;
        self.searched += next as u64;
        let whole = bytes
            .get(len..)
            .is_some_and(|next| FrameHeader::read(next).is_ok());
        Ok(whole.then_some(damaged + len as u64))
    }

    /// Whether a whole frame stands there. What it costs to see that is counted.
    fn is_frame(&mut self, at: u64) -> io::Result<bool> {
        let header = self.window.at(at, HEADER_BYTES_MAX)?;
        let cost = FrameHeader::promised_len(header).unwrap_or(HEADER_BYTES_MAX);
        self.searched += cost as u64;
        Ok(frame_at(&mut self.window, at)?.is_ok())
    }
}

/// How far bytes are no frame.
struct Lost {
    /// Where the next frame, or nothing, begins.
    end: u64,
    /// Whether that is the end of the file.
    to_end: bool,
    /// Whether all of it is zero: a file that grew before it was written, as a loss of power leaves it.
    zeros: bool,
}

impl Lost {
    const fn until(end: u64) -> Self {
        Self {
            end,
            to_end: false,
            zeros: false,
        }
    }
}

/// The frame at an offset, which takes as much of the file as it promises.
pub(super) fn frame_at(
    window: &mut Window,
    offset: u64,
) -> io::Result<Result<Frame<'_>, FrameError>> {
    let header = window.at(offset, HEADER_BYTES_MAX)?;
    match FrameHeader::promised_len(header) {
        Ok(len) => Ok(FrameHeader::read(window.at(offset, len)?)),
        Err(error) => Ok(Err(error)),
    }
}

/// The lists of removed segments that stand in a segment, in order. Only headers are looked at on the
/// way; what cannot be read ends it.
pub(super) fn removed_lists(path: &Path) -> Vec<Removed> {
    let mut lists = Vec::new();
    let Ok(file) = File::open(path) else {
        return lists;
    };
    let mut window = Window::new(file, 0, Hashing::None);
    let mut at = 0;
    while let Ok(header) = window.at(at, HEADER_BYTES_MAX)
        && let Ok(len) = FrameHeader::promised_len(header)
    {
        if FrameHeader::promised_kind(header) == Some(FrameKind::Removed)
            && let Ok(Ok(frame)) = frame_at(&mut window, at)
            && let Ok(removed) = Removed::read(&frame)
            && lists.len() < LISTS_MAX
        {
            lists.push(removed);
        }
        at += len as u64;
    }
    lists
}

/// Most lists of removed segments that are looked at in one segment. A recorder writes one a segment.
const LISTS_MAX: usize = 64;

fn facts_of(frame: &Frame<'_>, offset: u64, decoder: &mut Decoder) -> FrameFacts {
    FrameFacts {
        offset,
        len: frame.len() as u64,
        header: frame.header,
        tag: frame.tag,
        digest: frame_digest(frame.digested, frame.payload),
        content: content_of(frame, decoder),
    }
}

fn content_of(frame: &Frame<'_>, decoder: &mut Decoder) -> Content {
    let content = match frame.header.kind {
        FrameKind::Open => Opening::read(frame)
            .map(|opening| Content::Opening(Box::new(opening)))
            .map_err(|error| error.to_string()),
        FrameKind::Data
        | FrameKind::Loss
        | FrameKind::Clock
        | FrameKind::Suspend
        | FrameKind::Boot
        | FrameKind::Configuration => decoder.count_events(frame).map(Content::Events),
        FrameKind::Removed => Removed::read(frame)
            .map(|removed| Content::Removed(Box::new(removed)))
            .map_err(|error| error.to_string()),
        FrameKind::Checkpoint => Checkpoint::read_frame(frame)
            .map(|checkpoint| Content::Checkpoint(Box::new(checkpoint)))
            .ok_or_else(|| "no checkpoint".to_owned()),
        FrameKind::Heartbeat | FrameKind::Close => {
            if frame.header.payload_len == 0 {
                Ok(Content::Nothing)
            } else {
                Err(format!(
                    "a {} frame with a payload",
                    frame.header.kind.as_str()
                ))
            }
        }
    };
    content.unwrap_or_else(Content::Wrong)
}

impl Decoder {
    /// Decodes every event, and holds the header against them.
    fn count_events(&mut self, frame: &Frame<'_>) -> Result<EventFacts, String> {
        let header = &frame.header;
        let Self {
            reader,
            depth,
            rows,
        } = self;
        rows.clear();
        let events = reader
            .read(
                frame.payload,
                header.raw_len,
                header.events,
                header.first_seq,
            )
            .map_err(|error| error.to_string())?;
        let salt = events.salt();
        let mut facts = EventFacts::default();
        let (mut first_us, mut last_us, mut kinds) = (i64::MAX, i64::MIN, 0_u64);
        for event in events {
            let event = event.map_err(|error| error.to_string())?;
            first_us = first_us.min(event.time.wall_us);
            last_us = last_us.max(event.time.wall_us);
            kinds |= 1 << event.kind.name().code();
            count(&mut facts.kinds, event.kind.name());
            count(&mut facts.sources, event.source.as_str());
            facts.notice(&event.kind);
            if *depth == Depth::Roots {
                rows.push(|out| write_row(&event, out));
            }
        }
        let said = |said: OfEvents| (said.first_us, said.last_us, said.kinds);
        facts.as_said = header.of_events.map(said) == Some((first_us, last_us, kinds));
        if *depth == Depth::Roots {
            let root = merkle::root(rows.leaves(salt));
            facts.as_said &= header.of_events.map(|said| said.root) == Some(root);
        }
        Ok(facts)
    }
}

/// Counts one more under a key. A frame has few kinds and sources, and runs of the same: the last
/// one is looked at first.
fn count<T: Copy + PartialEq>(counts: &mut Vec<(T, u64)>, key: T) {
    match counts.iter_mut().rev().find(|(seen, _)| *seen == key) {
        Some((_, count)) => *count += 1,
        None => counts.push((key, 1)),
    }
}

impl EventFacts {
    /// Takes up what the recorder says about the recording itself.
    fn notice(&mut self, kind: &Kind<'_>) {
        if let Kind::RecordLoss(loss) = kind {
            let name = loss.name.map(|name| name.lossy().into_owned());
            let lost = loss.count.unwrap_or(1);
            self.losses.push((name.unwrap_or_default(), lost));
        } else if let Kind::RecordCompleteness(counts) = kind
            && counts.what.is_some_and(|what| what.0 == STARTS)
        {
            let counted = [counts.audit, counts.perf, counts.connector];
            let (before, recorded, whole) = self.completeness.unwrap_or_default();
            self.completeness = Some((
                before.saturating_add(counted.into_iter().flatten().max().unwrap_or(0)),
                recorded.saturating_add(counts.recorded.unwrap_or(0)),
                whole.saturating_add(counts.whole.unwrap_or(0)),
            ));
        }
    }
}

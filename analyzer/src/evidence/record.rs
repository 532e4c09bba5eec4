//! One record by its reference: the event, and the bytes that hold it.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};

use saigen_schemas::event::{KindName, write_json};
use saigen_schemas::journal::seal::frame_digest;
use saigen_schemas::journal::{FrameHeader, PayloadReader};
use saigen_schemas::report::{Cause, Verdict};

use crate::evidence::files::Journal;
use crate::evidence::scan::frame_at;
use crate::evidence::verdict::Verification;
use crate::evidence::window::{Hashing, Window, hex};
use crate::reference::{EventRef, Place};

/// One record, with the frame that holds it.
#[derive(Clone, Debug)]
pub struct RawRecord {
    /// Its reference.
    pub reference: EventRef,
    /// Wall clock of the event, µs.
    pub wall_us: i64,
    /// The host that reported it.
    pub host: String,
    /// What it is.
    pub kind: KindName,
    /// The event as one JSON object.
    pub json: String,
    /// The file, inside the journal's folder.
    pub file: String,
    /// Where the frame begins in it.
    pub offset: u64,
    /// The frame's bytes: header, seal, payload.
    pub bytes: Vec<u8>,
    /// The frame's header.
    pub header: FrameHeader,
    /// The frame's digest, as it stands in the chain, in hex.
    pub digest: String,
    /// The verdict on the frame.
    pub verdict: Verdict,
    /// Its ground.
    pub cause: Option<Cause>,
}

/// Finds records of a journal by their references. Places of frames are looked up once.
#[derive(Debug)]
pub struct Records<'a> {
    journal: &'a Journal,
    verified: &'a Verification,
    /// Offset of each frame of the stretches that were walked, by stretch.
    offsets: Vec<Option<Vec<u64>>>,
    reader: PayloadReader,
}

impl<'a> Records<'a> {
    /// The records of a journal, by what its verification found.
    #[must_use]
    pub fn new(journal: &'a Journal, verified: &'a Verification) -> Self {
        Self {
            journal,
            verified,
            offsets: vec![None; verified.stretches.len()],
            reader: PayloadReader::default(),
        }
    }

    /// The record of a reference. `None` if it is not of this journal, or cannot be read.
    pub fn get(&mut self, reference: EventRef) -> Option<RawRecord> {
        let Place::Frame { position, index } = reference.place() else {
            return None;
        };
        if reference.source() != self.journal.source {
            return None;
        }
        let (place, stretch) =
            self.verified
                .stretches
                .iter()
                .enumerate()
                .find(|(_, stretch)| {
                    position
                        .checked_sub(stretch.position)
                        .is_some_and(|skipped| skipped < stretch.frames)
                })?;
        let segment = self.journal.segments.get(stretch.segment)?;
        if self.offsets.get(place)?.is_none() {
            let walked = walk(&segment.path, stretch.offset, stretch.end)?;
            *self.offsets.get_mut(place)? = Some(walked);
        }
        let skipped = usize::try_from(position - stretch.position).ok()?;
        let offset = *self.offsets.get(place)?.as_ref()?.get(skipped)?;
        let mut window = window_at(&segment.path, offset)?;
        let frame = frame_at(&mut window, offset).ok()?.ok()?;
        let header = frame.header;
        if header.position != position {
            return None;
        }
        let digest = hex(&frame_digest(frame.digested, frame.payload));
        let len = frame.len();
        let mut events = self
            .reader
            .read(
                frame.payload,
                header.raw_len,
                header.events,
                header.first_seq,
            )
            .ok()?;
        let event = events.nth(usize::try_from(index).ok()?)?.ok()?;
        let mut json = String::new();
        write_json(&event, &reference.to_string(), &mut json);
        Some(RawRecord {
            reference,
            wall_us: event.time.wall_us,
            host: event.host.lossy().into_owned(),
            kind: event.kind.name(),
            json,
            file: segment.name.clone(),
            offset,
            bytes: window.at(offset, len).ok()?.get(..len)?.to_vec(),
            header,
            digest,
            verdict: stretch.verdict,
            cause: stretch.cause,
        })
    }
}

fn window_at(path: &std::path::Path, offset: u64) -> Option<Window> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(offset)).ok()?;
    Some(Window::new(file, offset, Hashing::None))
}

/// The offsets of the frames of a stretch.
fn walk(path: &std::path::Path, from: u64, end: u64) -> Option<Vec<u64>> {
    let mut window = window_at(path, from)?;
    let mut offsets = Vec::new();
    let mut at = from;
    while at < end {
        offsets.push(at);
        at += frame_at(&mut window, at).ok()?.ok()?.len() as u64;
    }
    Some(offsets)
}

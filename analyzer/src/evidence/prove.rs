//! The proof of one record: gathered from the segment that holds it and the openings before.

use std::fmt;
use std::fs::File;
use std::path::Path;

use saigen_schemas::event::write_row;
use saigen_schemas::journal::checkpoint::{Checkpoint, Succession};
use saigen_schemas::journal::merkle::{Hash, Rows, frame_leaf, leaf_salt, path};
use saigen_schemas::journal::seal::{frame_digest, payload_digest};
use saigen_schemas::journal::{
    Frame, FrameHeader, FrameKind, Opening, PayloadReader, Proof, Removed,
};

use crate::evidence::files::{Journal, SegmentFile};
use crate::evidence::scan::{frame_at, removed_lists};
use crate::evidence::signatures::{read_successions, told_by};
use crate::evidence::verdict::Verification;
use crate::evidence::window::{Hashing, Window};
use crate::reference::{EventRef, Place};

/// Why a record cannot be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProveError {
    /// There is no such record that can be read.
    NoRecord,
    /// The journal is not sealed.
    Unsealed,
    /// No signature stands behind it in its segment.
    Unsigned,
    /// A frame of its segment is damaged: its root cannot be made again.
    Damaged,
    /// The changes of the key from generation 0 on are not all here.
    NoWay,
}

impl fmt::Display for ProveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRecord => "there is no such record that can be read",
            Self::Unsealed => "the journal is not sealed: nothing in it can be proved",
            Self::Unsigned => {
                "no signature stands behind it yet: only the holder of the auditor.key can be convinced"
            }
            Self::Damaged => {
                "a frame of its segment is damaged or missing: what was signed cannot be made again"
            }
            Self::NoWay => {
                "the openings that lead from the enrolment's first key to the one that signed are not all here"
            }
        })
    }
}

impl std::error::Error for ProveError {}

/// Makes the proof of a record.
///
/// # Errors
/// Where it cannot be proved.
pub fn prove(
    journal: &Journal,
    verified: &Verification,
    reference: EventRef,
) -> Result<Proof, ProveError> {
    let Place::Frame { position, index } = reference.place() else {
        return Err(ProveError::NoRecord);
    };
    if !verified.sealed {
        return Err(ProveError::Unsealed);
    }
    let enrolment = journal.enrolment.ok_or(ProveError::Unsealed)?;
    let stretch = verified.stretches.iter().find(|stretch| {
        let skipped = position.checked_sub(stretch.position);
        skipped.is_some_and(|skipped| skipped < stretch.frames)
    });
    let place = stretch.ok_or(ProveError::NoRecord)?.segment;
    let segment = journal.segments.get(place).ok_or(ProveError::NoRecord)?;
    let walked = Walked::over(&segment.path, position, index)?;
    let generation = walked.checkpoint.generation;
    let before = journal.segments.get(..=place).unwrap_or_default();
    let successions = way_to(&journal.segments, before, generation).ok_or(ProveError::NoWay)?;
    let target = walked.target;
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let first = walked.checkpoint.first_position;
    let at = position.checked_sub(first).ok_or(ProveError::Damaged)?;
    let count = walked.check_header.position.checked_sub(first);
    if count.map(size) != Some(walked.frames.len()) {
        return Err(ProveError::Damaged);
    }
    Ok(Proof {
        enrolment,
        index,
        salt: leaf_salt(target.salt, index),
        row: target.row,
        frame_path: target.path,
        header: target.header,
        payload: target.payload,
        segment_path: path(walked.frames, size(at)).ok_or(ProveError::Damaged)?,
        check_header: walked.check_header,
        checkpoint: walked.checkpoint,
        successions,
    })
}

/// A segment from its beginning to the first checkpoint behind a record.
struct Walked {
    target: Target,
    /// Leaves of the frames before the checkpoint.
    frames: Vec<Hash>,
    check_header: FrameHeader,
    checkpoint: Checkpoint,
}

/// The record, and the frame that holds it.
struct Target {
    header: FrameHeader,
    payload: [u8; 32],
    salt: [u8; 16],
    row: Vec<u8>,
    path: Vec<Hash>,
}

impl Walked {
    fn over(segment: &Path, position: u64, index: u32) -> Result<Self, ProveError> {
        let file = File::open(segment).map_err(|_| ProveError::NoRecord)?;
        let mut window = Window::new(file, 0, Hashing::None);
        let (mut at, mut frames, mut target) = (0, Vec::new(), None);
        loop {
            let begins = window.at(at, 1).map_err(|_| ProveError::Damaged)?;
            if begins.is_empty() {
                return Err(ProveError::Unsigned);
            }
            let frame = frame_at(&mut window, at).map_err(|_| ProveError::Damaged)?;
            let frame = frame.map_err(|_| ProveError::Damaged)?;
            if frame.header.position == position {
                target = Some(Target::of(&frame, index).ok_or(ProveError::NoRecord)?);
            }
            if frame.header.kind == FrameKind::Checkpoint
                && let Some(target) = target.take()
            {
                let checkpoint = Checkpoint::read_frame(&frame).ok_or(ProveError::Damaged)?;
                return Ok(Self {
                    target,
                    frames,
                    check_header: frame.header,
                    checkpoint,
                });
            }
            frames.push(frame_leaf(&frame_digest(frame.digested, frame.payload)));
            at += frame.len() as u64;
        }
    }
}

impl Target {
    fn of(frame: &Frame<'_>, index: u32) -> Option<Self> {
        let header = frame.header;
        let mut reader = PayloadReader::default();
        let events = reader
            .read(
                frame.payload,
                header.raw_len,
                header.events,
                header.first_seq,
            )
            .ok()?;
        let salt = events.salt();
        let place = usize::try_from(index).ok()?;
        let mut rows = Rows::default();
        let mut wanted = Vec::new();
        for (at, event) in events.enumerate() {
            let event = event.ok()?;
            rows.push(|out| write_row(&event, out));
            if at == place {
                write_row(&event, &mut wanted);
            }
        }
        Some(Self {
            header,
            payload: payload_digest(frame.payload),
            salt,
            path: path(rows.leaves(salt), place)?,
            row: wanted,
        })
    }
}

/// The changes of the key from generation 1 to the one that signed: from the openings up to its segment, or
/// from the list of segments that were removed.
fn way_to(all: &[SegmentFile], before: &[SegmentFile], generation: u32) -> Option<Vec<Succession>> {
    let mut way: Vec<Succession> = Vec::new();
    if all.first().is_some_and(|first| first.number > 1) {
        let lists: Vec<Removed> = all
            .iter()
            .flat_map(|one| removed_lists(&one.path))
            .collect();
        way = told_by(&lists);
    }
    for segment in before {
        let file = File::open(&segment.path).ok()?;
        let mut window = Window::new(file, 0, Hashing::None);
        let opening = Opening::read(&frame_at(&mut window, 0).ok()?.ok()?).ok()?;
        let told = read_successions(&opening.successions, opening.generation?)?;
        for succession in told {
            if u32::try_from(way.len()).ok()?.checked_add(1) == Some(succession.generation) {
                way.push(succession);
            }
        }
    }
    way.truncate(usize::try_from(generation).ok()?);
    (u32::try_from(way.len()) == Ok(generation)).then_some(way)
}

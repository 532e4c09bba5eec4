//! Anchors that an examiner holds, and whether a journal reaches them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use saigen_schemas::event::format_utc;
use saigen_schemas::journal::seal::{ChainValue, EnrolmentId};
use saigen_schemas::journal::{ANCHOR_BYTES_MAX, Anchor};
use saigen_schemas::report::Cause;

use crate::evidence::EvidenceError;
use crate::evidence::verdict::FaultKind;

/// Most anchors of a file.
const ANCHORS_MAX: usize = 100_000;

/// Where an anchor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorFrom {
    /// It was taken from the recording.
    Given,
    /// The examiner saw that much of the recording before.
    Seen,
}

/// An anchor that an examiner holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The anchor.
    pub anchor: Anchor,
    /// Where it comes from.
    pub from: AnchorFrom,
}

/// Reads a file of anchors, one a line.
///
/// # Errors
/// Where it cannot be read, or a line is no anchor.
pub fn read_anchors(path: &Path, from: AnchorFrom) -> Result<Vec<Held>, EvidenceError> {
    let mut text = Vec::new();
    let most = (ANCHORS_MAX * ANCHOR_BYTES_MAX) as u64;
    File::open(path)
        .map_err(EvidenceError::io("open the anchor", path))?
        .take(most)
        .read_to_end(&mut text)
        .map_err(EvidenceError::io("read the anchor", path))?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let anchors: Option<Vec<Held>> = lines
        .take(ANCHORS_MAX)
        .map(|line| {
            let anchor = Anchor::read(line)?;
            Some(Held { anchor, from })
        })
        .collect();
    anchors
        .filter(|anchors| !anchors.is_empty())
        .ok_or_else(|| EvidenceError::NotEvidence {
            path: path.to_owned(),
            found: "holds a line that is no anchor; `saigen-collector anchor` prints one"
                .to_owned(),
        })
}

/// Reads what was seen before; nothing where the file is not there yet.
///
/// # Errors
/// As [`read_anchors`].
pub fn read_seen(path: &Path) -> Result<Vec<Held>, EvidenceError> {
    let empty = fs::metadata(path).map_or_else(
        |error| error.kind() == io::ErrorKind::NotFound,
        |about| about.len() == 0,
    );
    if empty {
        Ok(Vec::new())
    } else {
        read_anchors(path, AnchorFrom::Seen)
    }
}

/// Writes what was seen, with `new` taken up: of each recording the farthest. The file is replaced whole.
///
/// # Errors
/// The system's.
pub fn write_seen(path: &Path, before: &[Held], new: &[Anchor]) -> Result<(), EvidenceError> {
    let mut farthest: BTreeMap<(EnrolmentId, u64), Anchor> = BTreeMap::new();
    let all = before.iter().map(|held| &held.anchor).chain(new);
    for anchor in all {
        let key = (anchor.enrolment, anchor.recording);
        let seen = farthest.entry(key).or_insert_with(|| anchor.clone());
        if anchor.position > seen.position {
            *seen = anchor.clone();
        }
    }
    let text: String = farthest
        .values()
        .map(|anchor| anchor.write() + "\n")
        .collect();
    let fresh = path.with_added_extension("new");
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().map_err(EvidenceError::io("write what was seen to", path))
}

/// The anchors that concern a journal, and what of it they were held against.
#[derive(Debug, Default)]
pub(super) struct Anchors<'a> {
    by_position: BTreeMap<u64, Vec<(&'a Held, Option<ChainValue>)>>,
}

/// What an anchor says of a journal.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It holds: in words.
    Holds(String),
    /// It does not.
    Broken(FaultKind, Cause, u64, String),
}

impl<'a> Anchors<'a> {
    pub(super) fn new(held: &'a [Held], enrolment: Option<EnrolmentId>) -> Self {
        let mut by_position: BTreeMap<u64, Vec<(&Held, Option<ChainValue>)>> = BTreeMap::new();
        for held in held
            .iter()
            .filter(|held| Some(held.anchor.enrolment) == enrolment)
        {
            let at = by_position.entry(held.anchor.position).or_default();
            at.push((held, None));
        }
        Self { by_position }
    }

    /// A frame was read, and leads to a value of the chain.
    pub(super) fn reached(&mut self, position: u64, chain: ChainValue) {
        for (_, reached) in self.by_position.get_mut(&position).into_iter().flatten() {
            *reached = Some(chain);
        }
    }

    /// What they say of a recording whose frames end at a position.
    pub(super) fn outcomes(&self, recording: Option<u64>, last: Option<u64>) -> Vec<Outcome> {
        let own = self.by_position.values().flatten().filter(|(held, _)| {
            recording.is_none_or(|recording| recording == held.anchor.recording)
        });
        own.map(|&(held, reached)| outcome(held, reached, last))
            .collect()
    }
}

fn outcome(held: &Held, reached: Option<ChainValue>, last: Option<u64>) -> Outcome {
    let anchor = &held.anchor;
    let (position, time) = (anchor.position, format_utc(anchor.sealed_us));
    let of = match held.from {
        AnchorFrom::Given => "the anchor",
        AnchorFrom::Seen => "what was seen of this recording before",
    };
    match (reached, last) {
        (Some(chain), _) if chain == anchor.chain => Outcome::Holds(format!(
            "{of} holds: frame {position}, sealed at {time}, is the one that it names"
        )),
        (Some(_), _) => Outcome::Broken(
            FaultKind::Altered,
            Cause::Seal,
            position,
            format!(
                "{of} names another frame {position}: what was recorded up to there was replaced"
            ),
        ),
        (None, Some(last)) if position > last => Outcome::Broken(
            FaultKind::Incomplete,
            Cause::Missing,
            position,
            format!(
                "{of} reaches to frame {position}, sealed at {time}, and this ends with frame {last}: its end was cut off, or it is an older copy"
            ),
        ),
        (None, _) => Outcome::Holds(format!(
            "{of} could not be held against frame {position}, which is not here or cannot be read"
        )),
    }
}

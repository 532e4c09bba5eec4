//! The verdict on a journal as plain data: what was checked, what was found, how far it can be
//! trusted.

use std::collections::BTreeMap;

use saigen_schemas::event::KindName;
use saigen_schemas::journal::seal::EnrolmentId;
use saigen_schemas::journal::{Anchor, SourceLevel};
use saigen_schemas::report::{Cause, FindingKind, KeyUsed, Verdict};

use crate::evidence::scan::Depth;
use crate::reference::SourceId;
use crate::stream::Gap;

/// All that is known about a journal after it was verified.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Its number among the inputs.
    pub source: SourceId,
    /// Its path, relative to the input as it was given.
    pub path: String,
    /// Its files, by name, segments and strangers.
    pub files: Vec<FileFacts>,
    /// The enrolment that it says it is of.
    pub enrolment: Option<EnrolmentId>,
    /// Whether it says that it is sealed.
    pub sealed: bool,
    /// Whether it ends with a close.
    pub closed: bool,
    /// The key that its seals were checked with.
    pub key: KeyUsed,
    /// How far it can be trusted.
    pub verdict: Verdict,
    /// The ground of a verdict other than intact.
    pub cause: Option<Cause>,
    /// The verdict in one sentence.
    pub explanation: String,
    /// Who recorded it, with what, and what that could see: as the openings say.
    pub recorded: WhoRecorded,
    /// Frames that were read, and whose checksum holds.
    pub frames: u64,
    /// Frames that are damaged, missing or could not be decoded.
    pub damaged: u64,
    /// Events that were read.
    pub events: u64,
    /// Events that the recorder counted as lost.
    pub lost: u64,
    /// Losses by the name of the source.
    pub lost_by_source: BTreeMap<String, u64>,
    /// Events by kind.
    pub kinds: BTreeMap<KindName, u64>,
    /// Events by source.
    pub sources: BTreeMap<&'static str, u64>,
    /// The recorder's own counts of process starts.
    pub completeness: Option<Completeness>,
    /// Wall clock of the earliest and the latest event, µs.
    pub span_us: Option<(i64, i64)>,
    /// The first and the last position that were read.
    pub positions: Option<(u64, u64)>,
    /// The last position that is covered by a signature that holds, with a key that follows from
    /// the one that was given.
    pub signed_to: Option<u64>,
    /// Stretches of frames with one verdict, in order. Those that can be read have a place.
    pub stretches: Vec<Stretch>,
    /// What is wrong with it, in the order in which it stands.
    pub faults: Vec<Fault>,
    /// Faults that are not listed: a file made of damage would fill memory.
    pub faults_unlisted: u64,
    /// What else was noticed: clocks, silence, strangers.
    pub notices: Vec<Notice>,
    /// What is known to be missing.
    pub gaps: Vec<Gap>,
    /// The anchor at its last frame; `None` where no opening or frame can be read.
    pub anchor: Option<Anchor>,
    /// How many of the examiner's anchors were of this recording.
    pub anchors_checked: usize,
    /// How much was made again.
    pub depth: Depth,
}

/// A file of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Its path inside the journal's folder.
    pub path: String,
    /// Lower-case hex SHA-256 of its bytes.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// Who recorded a journal, as its openings say. They stand under the seal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhoRecorded {
    /// The hosts, by name; more than one is a finding.
    pub hosts: Vec<String>,
    /// The boots, in order.
    pub boots: Vec<String>,
    /// Tool and version.
    pub tool: Option<String>,
    /// `system` or `tree`.
    pub scope: Option<String>,
    /// SHA-256 of the recorder's configuration.
    pub configuration_sha256: Option<String>,
    /// The sources and their step of the ladder, of the last opening.
    pub sources: Vec<SourceLevel>,
}

/// The recorder's own counts of one thing, summed over the recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completeness {
    /// The highest of the independent counts.
    pub counted: u64,
    /// Written to the journal.
    pub recorded: u64,
    /// Of those, with whole arguments.
    pub whole: u64,
}

/// Frames that stand one after another and share a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The segment's place in the journal's list.
    pub segment: usize,
    /// Offset of the first frame.
    pub offset: u64,
    /// Offset behind the last.
    pub end: u64,
    /// Position of the first; each next has the next.
    pub position: u64,
    /// How many.
    pub frames: u64,
    /// Wall clock at which the first was sealed, µs.
    pub from_us: i64,
    /// Wall clock at which the last was sealed, µs.
    pub to_us: i64,
    /// Whether their events can be read.
    pub decodes: bool,
    /// The verdict on each of them.
    pub verdict: Verdict,
    /// Its ground.
    pub cause: Option<Cause>,
}

/// Something that is wrong with a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, inside the journal's folder.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// The position that it concerns, where that is known.
    pub position: Option<u64>,
    /// What sort.
    pub kind: FaultKind,
    /// The ground that it gives to the verdict.
    pub cause: Cause,
    /// In words.
    pub text: String,
}

/// What a fault does to the verdict, gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Something was changed.
    Altered,
    /// Something is not there.
    Incomplete,
    /// A crash that the recorder declares.
    Crash,
}

/// Something noticed that does not change the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What sort.
    pub kind: FindingKind,
    /// One sentence.
    pub text: String,
    /// From when, wall clock, µs.
    pub from_us: Option<i64>,
    /// Until when.
    pub to_us: Option<i64>,
}

impl Verification {
    /// Whether evidence that was read is altered, damaged or incomplete.
    #[must_use]
    pub const fn is_damaged(&self) -> bool {
        match self.verdict {
            Verdict::Altered | Verdict::Incomplete | Verdict::CrashGap | Verdict::Damaged => true,
            Verdict::Intact
            | Verdict::OpenEnd
            | Verdict::Unsealed
            | Verdict::Unverified
            | Verdict::Whole => false,
        }
    }

    /// Whether the key that was given is of another enrolment.
    #[must_use]
    pub fn key_is_wrong(&self) -> bool {
        let own = self.enrolment.map(|id| id.to_string());
        match (&self.key, own) {
            (KeyUsed::Auditor { fingerprint } | KeyUsed::Public { fingerprint }, Some(own)) => {
                *fingerprint != own
            }
            (KeyUsed::None | KeyUsed::Auditor { .. } | KeyUsed::Public { .. }, _) => false,
        }
    }

    /// The time over which the frames' seals hold, by the clock at sealing: the stretches that can
    /// be trusted, joined where they follow each other.
    #[must_use]
    pub fn trusted(&self) -> Vec<(i64, i64)> {
        let mut spans: Vec<(i64, i64, u64)> = Vec::new();
        for stretch in self
            .stretches
            .iter()
            .filter(|stretch| stretch.verdict == Verdict::Intact)
        {
            let behind = stretch.position.saturating_add(stretch.frames);
            match spans.last_mut() {
                Some((_, to_us, next)) if *next == stretch.position => {
                    *to_us = stretch.to_us;
                    *next = behind;
                }
                Some(_) | None => spans.push((stretch.from_us, stretch.to_us, behind)),
            }
        }
        spans
            .into_iter()
            .map(|(from_us, to_us, _)| (from_us, to_us))
            .collect()
    }
}

//! The inputs of an investigation, and how far each can be trusted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EvidenceId, EvidenceRef, Moment};

/// One input: a journal, or a foreign file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Its id in this report.
    pub id: EvidenceId,
    /// Its path, relative to the input as it was given.
    pub path: String,
    /// Lower-case hex SHA-256. Of a file: of its bytes. Of a folder: of the text that
    /// `sha256sum` prints for `files`, in their order.
    pub sha256: String,
    /// Bytes in all its files.
    pub bytes: u64,
    /// The files of a folder, by name; empty when the input is one file.
    pub files: Vec<EvidenceFile>,
    /// What it is.
    pub format: Format,
    /// The hosts that speak in it, by name.
    pub hosts: Vec<String>,
    /// The program that recorded it, if it says.
    pub recorder: Option<String>,
    /// Events read.
    pub events: u64,
    /// Events that the recorder counted as lost.
    pub lost: u64,
    /// Frames (journal) or records (foreign file) that could not be read.
    pub damaged: u64,
    /// Frames read and checked; 0 for a foreign file.
    pub frames: u64,
    /// The time of its first event.
    pub first: Option<Moment>,
    /// The time of its last event.
    pub last: Option<Moment>,
    /// How far it can be trusted.
    pub verdict: Verdict,
    /// The ground of a verdict other than intact or whole.
    pub cause: Option<Cause>,
    /// The verdict's ground as one sentence, or that all was found in order.
    pub explanation: String,
    /// The last position that a signature covers; what follows convinces nobody but the
    /// holder of the enrolment secret.
    pub signed_to: Option<u64>,
    /// The key that the seals were checked with.
    pub key: KeyUsed,
    /// What the recorder's sources could see, and what not.
    pub sources: Vec<SourceSeen>,
    /// The recorder's own measure of how many process starts it missed.
    pub completeness: Option<Completeness>,
    /// What was noticed: clocks, gaps, damage, in order of place.
    pub findings: Vec<Finding>,
    /// What became of the records of a foreign file; absent for a journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<RecordCounts>,
    /// The files inside an archive that were read, in their order; absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<EvidenceMember>,
}

/// What became of the records of a foreign file: nothing vanishes silently.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordCounts {
    /// Events of a known kind.
    pub mapped: u64,
    /// Events of no known kind, kept with their own fields.
    pub raw: u64,
    /// Records that gave no event, by reason.
    pub skipped: BTreeMap<String, u64>,
}

/// A file inside an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceMember {
    /// Its path inside the archive; `!` stands between an archive and a file inside it.
    pub path: String,
    /// Lower-case hex SHA-256 of its bytes, unpacked.
    pub sha256: String,
    /// Its length in bytes, unpacked.
    pub bytes: u64,
    /// What it is.
    pub format: Format,
    /// Events read.
    pub events: u64,
    /// Records that could not be read.
    pub damaged: u64,
    /// How far it can be trusted.
    pub verdict: Verdict,
}

/// A file of an input that is a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceFile {
    /// Its path inside the folder.
    pub path: String,
    /// Lower-case hex SHA-256 of its bytes.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What an input is, told by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A Saigen journal.
    Journal,
    /// A Windows event log.
    Evtx,
    /// A Linux audit log.
    Audit,
    /// Sysmon for Linux in syslog or JSON.
    SysmonLinux,
    /// Lines of a Linux system log.
    Syslog,
    /// JSON lines, an array or a stream of objects.
    Json,
    /// An archive with files of any of these formats.
    Archive,
}

/// How far an input can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every seal holds and the end is sealed: nothing was changed, nothing is missing.
    Intact,
    /// Every seal holds, but no sealed end was found: something may have been cut off.
    OpenEnd,
    /// Every seal holds; a declared crash left a gap of bounded size.
    CrashGap,
    /// What is there is sealed; something that was there is not.
    Incomplete,
    /// Something was changed after it was written.
    Altered,
    /// Recorded without a key: chain and checksums hold, but anyone could have made it.
    Unsealed,
    /// Sealed, but no key was given to check it with.
    Unverified,
    /// A foreign file that reads without fault.
    Whole,
    /// A foreign file with damage.
    Damaged,
}

impl Verdict {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::OpenEnd => "open_end",
            Self::CrashGap => "crash_gap",
            Self::Incomplete => "incomplete",
            Self::Altered => "altered",
            Self::Unsealed => "unsealed",
            Self::Unverified => "unverified",
            Self::Whole => "whole",
            Self::Damaged => "damaged",
        }
    }
}

/// The ground of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A checksum does not fit its bytes.
    Checksum,
    /// A seal does not fit.
    Seal,
    /// Frames or segments stand in another order than they were written.
    Order,
    /// A frame or segment is not there.
    Missing,
    /// The key is not the one of this recording, or none was given.
    Key,
    /// The clocks contradict each other.
    Clock,
    /// The recorder removed its oldest segments to keep to its quota.
    Quota,
}

impl Cause {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::Seal => "seal",
            Self::Order => "order",
            Self::Missing => "missing",
            Self::Key => "key",
            Self::Clock => "clock",
            Self::Quota => "quota",
        }
    }
}

/// The key that the seals of an input were checked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyUsed {
    /// None: there are no seals, or no key was given.
    None,
    /// The auditor's enrolment secret: every seal was recomputed.
    Auditor {
        /// The enrolment's public fingerprint.
        fingerprint: String,
    },
    /// The enrolment's public key: signatures were checked, up to the last checkpoint.
    Public {
        /// The enrolment's public fingerprint.
        fingerprint: String,
    },
}

/// One source of a recorder: what it was able to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSeen {
    /// Its name (`perf`, `audit`, `fanotify`).
    pub name: String,
    /// Events that it gave.
    pub events: u64,
    /// Events that it counted as lost.
    pub lost: u64,
    /// What it could not see, or how a field was had when not from the kernel; empty when
    /// there is nothing to say.
    pub limits: String,
}

/// Three independent counts of process starts, reconciled by the recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completeness {
    /// Starts by the recorder's best count.
    pub started: u64,
    /// Starts recorded with full arguments.
    pub recorded: u64,
    /// Starts counted as lost.
    pub lost: u64,
}

/// Something noticed about an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What sort of thing.
    pub kind: FindingKind,
    /// One sentence.
    pub text: String,
    /// From when it matters.
    pub from: Option<Moment>,
    /// Until when.
    pub to: Option<Moment>,
    /// Records that show it.
    pub evidence: Vec<EvidenceRef>,
}

/// What sort of thing a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A clock stepped, drifted or contradicts another.
    Clock,
    /// Something is missing.
    Gap,
    /// Events were lost while recording.
    Loss,
    /// Bytes do not fit their checksum or seal.
    Damage,
    /// A good reader should know it.
    Note,
}

impl FindingKind {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Gap => "gap",
            Self::Loss => "loss",
            Self::Damage => "damage",
            Self::Note => "note",
        }
    }
}

impl Format {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Evtx => "evtx",
            Self::Audit => "audit",
            Self::SysmonLinux => "sysmon_linux",
            Self::Syslog => "syslog",
            Self::Json => "json",
            Self::Archive => "archive",
        }
    }
}

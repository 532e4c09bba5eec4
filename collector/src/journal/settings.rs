//! What a writer is told before it begins, and what it says when it cannot go on.

use std::fmt;
use std::io;
use std::path::Path;

use saigen_schemas::event::BootId;
use saigen_schemas::journal::seal::{EnrolmentId, FrameKey};
use saigen_schemas::journal::{SEGMENT_BYTES_TARGET, SourceLevel};

use crate::journal::store::StoreError;
use crate::journal::tail::Tail;
use crate::keys::{KeyError, KeyState};

/// What a recording says of itself at the beginning of each segment.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The name of the recorded host, as seen inside what is recorded.
    pub host: String,
    /// The boot.
    pub boot: BootId,
    /// Tool and version.
    pub tool: String,
    /// SHA-256 of the configuration, in hex.
    pub configuration_sha256: String,
    /// `system`, or `tree` for one command.
    pub scope: String,
    /// The sources, and what each gives.
    pub sources: Vec<SourceLevel>,
}

/// By what a journal is known: an enrolment with its key, or an enrolment alone.
#[derive(Debug)]
pub enum Identity {
    /// Each frame is sealed.
    Sealed(KeyState, FrameKey),
    /// Frames are chained and have checksums; nobody can prove who wrote them.
    Unsealed(EnrolmentId),
}

impl Identity {
    /// By what a recording that was broken off goes on: with its key, or without one.
    ///
    /// # Errors
    /// If the recording is of another enrolment or sealing, or the key was used elsewhere since.
    pub fn after(
        tail: &Tail,
        path: &Path,
        key: Option<(KeyState, FrameKey)>,
    ) -> Result<Self, StoreError> {
        let other = |found: String| StoreError::OtherKey {
            path: path.to_owned(),
            found,
        };
        let Some((state, key)) = key else {
            return if tail.sealed {
                Err(other("it is sealed, and no key was given".to_owned()))
            } else {
                Ok(Self::Unsealed(tail.enrolment))
            };
        };
        if !tail.sealed || state.enrolment() != tail.enrolment {
            return Err(other(format!(
                "it is not of the key's enrolment {}",
                state.enrolment()
            )));
        }
        let skipped = key.position().checked_sub(tail.position.saturating_add(1));
        match skipped {
            Some(skipped) if skipped <= state.ahead() => Ok(Self::Sealed(state, key)),
            Some(_) => Err(other(
                "the key was used for another recording since".to_owned(),
            )),
            None => Err(other("the key is an older copy".to_owned())),
        }
    }

    /// The text of `enrolment.json`: by what the journal is known, for who finds the directory.
    /// It is a label. What proves anything stands in the frames, and with the auditor.
    #[must_use]
    pub fn label(&self) -> String {
        let (enrolment, sealed) = match self {
            Self::Sealed(state, _) => (state.enrolment(), true),
            Self::Unsealed(enrolment) => (*enrolment, false),
        };
        let label = serde_json::json!({
            "type": "saigen-journal/1",
            "enrolment": enrolment.to_string(),
            "sealed": sealed,
        });
        format!("{label}\n")
    }
}

/// How soon an event must be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Within five seconds.
    Ordinary,
    /// At once, up to 20 times a second.
    Critical,
}

/// How large a recording may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all segments together.
    pub journal_bytes_max: u64,
    /// Bytes of a segment at which the next is begun.
    pub segment_bytes: u64,
}

impl Limits {
    /// The limits of a journal that may take that much: its segments are an eighth of it at most,
    /// so that what is removed to keep to it is a small part.
    #[must_use]
    pub fn of(journal_bytes_max: u64) -> Self {
        Self {
            journal_bytes_max,
            segment_bytes: (journal_bytes_max / 8).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_TARGET),
        }
    }
}

/// The least bytes at which a segment is closed for a small quota.
const SEGMENT_BYTES_MIN: u64 = 16 << 10;

impl Default for Limits {
    fn default() -> Self {
        Self {
            journal_bytes_max: u64::MAX,
            segment_bytes: SEGMENT_BYTES_TARGET,
        }
    }
}

/// Why no more can be written.
#[derive(Debug)]
pub enum WriteError {
    /// The disk is full. What was written before, and this, is whole: close the journal now.
    DiskFull,
    /// The journal has reached the size that it may have: close it now.
    QuotaReached {
        /// That size.
        bytes: u64,
    },
    /// The system refused; the segment may end within a frame.
    Io {
        /// What was being done: `write to the segment`.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The key could not be moved forward, so nothing more may be sealed.
    Key(KeyError),
}

impl fmt::Display for WriteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DiskFull => out.write_str(
                "the disk is full; the recording was closed in the space kept for that, free some and start another",
            ),
            Self::QuotaReached { bytes } => write!(
                out,
                "the recording has reached its {bytes} bytes with nothing old left to remove; it was closed, allow more with --max-disk"
            ),
            Self::Io { doing, error } => write!(out, "cannot {doing}: {error}"),
            Self::Key(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for WriteError {}

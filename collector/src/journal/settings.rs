//! What a writer is told before it begins, and what it says when it cannot go on.

use std::fmt;
use std::io;

use saigen_schemas::event::BootId;
use saigen_schemas::journal::seal::{EnrolmentId, FrameKey};
use saigen_schemas::journal::{SEGMENT_BYTES_TARGET, SourceLevel};

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
    /// The text of `enrolment.json`: by what the journal is known, for who finds the directory.
    /// It is a label. What proves anything stands in the frames, and with the auditor.
    #[must_use]
    pub fn label(&self) -> String {
        let (enrolment, sealed) = match self {
            Self::Sealed(state, _) => (state.enrolment(), true),
            Self::Unsealed(enrolment) => (*enrolment, false),
        };
        let label = serde_json::json!({
            "type": "saigen-journal/0",
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
                "the recording has reached its {bytes} bytes; it was closed, allow more with --max-disk"
            ),
            Self::Io { doing, error } => write!(out, "cannot {doing}: {error}"),
            Self::Key(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for WriteError {}

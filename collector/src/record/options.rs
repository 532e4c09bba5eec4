//! What is to be recorded, how it ended, and why nothing is.

use super::sources::Dns;
use super::thin::Bounds;
use crate::journal::{StoreError, WriteError};
use crate::keys::KeyError;
use crate::lists::Lists;
use crate::normalize::ledger;
use crate::source::audit::Share;
use crate::source::{Feed, SourceError};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Kernel memory for perf's rings, unless said otherwise.
pub const KERNEL_BYTES: u64 = 64 << 20;

/// Bytes that the journal may take, unless said otherwise.
pub const DISK_BYTES: u64 = 2 << 30;

/// What is to be recorded, and where to.
#[derive(Debug, Clone)]
pub struct Options {
    /// The journal's directory, which must not hold anything.
    pub output: PathBuf,
    /// The endpoint's key; without one the journal is not sealed.
    pub key: Option<PathBuf>,
    /// How long.
    pub duration: Option<Duration>,
    /// Bytes that the journal may take.
    pub max_disk: u64,
    /// Bytes of kernel memory for perf's rings.
    pub kernel_bytes: u64,
    /// What is written and used at the most.
    pub bounds: Bounds,
    /// What the user added to what is recorded, and left out of it.
    pub lists: Lists,
    /// Sources that are left out.
    pub without: Vec<Feed>,
    /// Whether name resolution is looked at.
    pub dns: Dns,
    /// Whether our rules may stand beside another audit daemon's.
    pub share: Share,
    /// How long what a command leaves behind is followed.
    pub linger: Duration,
    /// The command whose tree is recorded; empty for the whole system.
    pub command: Vec<OsString>,
}

/// How a recording ended.
#[derive(Debug)]
pub struct Ended {
    /// The command's status, as a shell gives it, if there was a command that ended.
    pub code: Option<u8>,
    /// Events written.
    pub events: u64,
    /// Events known to be lost.
    pub lost: u64,
    /// Starts, by who counted them.
    pub starts: ledger::Starts,
    /// Why no more could be written, if that ended it. The journal is whole up to there.
    pub full: Option<WriteError>,
}

/// Why nothing is recorded.
#[derive(Debug)]
pub enum RecordError {
    /// The privilege is missing.
    Forbidden(SourceError),
    /// The spine cannot be had.
    Source(SourceError),
    /// The directory does not take a journal.
    Store(StoreError),
    /// The key cannot be used.
    Key(KeyError),
    /// The journal cannot be written.
    Write(WriteError),
    /// The machine cannot be asked for its name and boot, or has no thread to give.
    Machine(io::Error),
    /// The command cannot be started.
    Command {
        /// The program.
        program: OsString,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Forbidden(error) => write!(
                f,
                "recording needs root or the capabilities perfmon, audit_control, net_admin, sys_admin \
                 and dac_read_search ({error}); `saigen-collector probe` says what can be had"
            ),
            RecordError::Source(error) => {
                write!(f, "{error}; without perf nothing can be recorded")
            }
            RecordError::Store(error) => error.fmt(f),
            RecordError::Key(error) => error.fmt(f),
            RecordError::Write(error) => error.fmt(f),
            RecordError::Machine(error) => write!(f, "cannot begin to record: {error}"),
            RecordError::Command { program, error } => {
                write!(f, "cannot run {}: {error}", program.to_string_lossy())
            }
        }
    }
}

impl std::error::Error for RecordError {}

impl From<SourceError> for RecordError {
    fn from(error: SourceError) -> Self {
        if error.error.kind() == io::ErrorKind::PermissionDenied {
            RecordError::Forbidden(error)
        } else {
            RecordError::Source(error)
        }
    }
}

//! Why evidence cannot be judged at all. Damage is not among it: that is a verdict.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use saigen_schemas::journal::KeyFileError;

use crate::text::safe_text;

/// What kept a command from being done.
#[derive(Debug)]
pub enum EvidenceError {
    /// There is nothing that this program reads.
    NotEvidence {
        /// The file or folder.
        path: PathBuf,
        /// What stands there instead.
        found: String,
    },
    /// The system refused.
    Io {
        /// What was being done: `open`, `read`.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A key file is not one, or not of the kind that is needed.
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyFileError,
    },
    /// An endpoint's key was given: it can seal what comes, not check what was.
    EndpointKey {
        /// The file.
        path: PathBuf,
    },
}

impl EvidenceError {
    /// The system's refusal, with what was being done.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }
}

impl fmt::Display for EvidenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEvidence { path, found } => write!(f, "{}: {found}", shown(path)),
            Self::Io { doing, path, error } => {
                write!(f, "{}: cannot {doing}: {}", shown(path), said(error))?;
                if error.kind() == io::ErrorKind::PermissionDenied {
                    write!(f, "; read it as its owner or root, or work on a copy")?;
                }
                Ok(())
            }
            Self::KeyFile { path, error } => write!(
                f,
                "{}: {error}; give the auditor.key or enrolment.pub that keygen made",
                shown(path)
            ),
            Self::EndpointKey { path } => write!(
                f,
                "{}: the endpoint's key seals what comes and cannot check what was; give the auditor.key that keygen made",
                shown(path)
            ),
        }
    }
}

impl std::error::Error for EvidenceError {}

/// A path for an error's line.
fn shown(path: &Path) -> String {
    safe_text(&path.to_string_lossy())
}

/// The system's words without Rust's `(os error 13)`, in lower case.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    let bare = text.split(" (os error").next().unwrap_or(&text);
    bare.to_lowercase()
}

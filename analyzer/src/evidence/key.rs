//! The key that seals are checked with.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use saigen_schemas::journal::seal::EnrolmentId;
use saigen_schemas::journal::{AuditorKey, EndpointKey, Enrolment, KeyFileError};

use crate::evidence::{EvidenceError, Journal};

/// Most bytes of a key file. The longest is some 200.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// What an examiner may hold.
#[derive(Clone, Debug)]
pub enum Key {
    /// The enrolment's secret: every seal can be recomputed.
    Auditor(AuditorKey),
    /// The enrolment's public part: it tells which journals are of it.
    Public(Enrolment),
}

impl Key {
    /// Reads a key file.
    ///
    /// # Errors
    /// Where it cannot be read, is no key file, or is the endpoint's.
    pub fn read(path: &Path) -> Result<Self, EvidenceError> {
        let text = read_text(path)?;
        let auditor = match AuditorKey::read(&text) {
            Ok(key) => return Ok(Self::Auditor(key)),
            Err(error) => error,
        };
        if let Ok(public) = Enrolment::read(&text) {
            return Ok(Self::Public(public));
        }
        if EndpointKey::read(&text).is_ok() {
            return Err(EvidenceError::EndpointKey {
                path: path.to_owned(),
            });
        }
        Err(EvidenceError::KeyFile {
            path: path.to_owned(),
            error: auditor,
        })
    }

    /// How many positions a crash may skip in a journal of its enrolment.
    #[must_use]
    pub const fn ahead(&self) -> u64 {
        match self {
            Self::Auditor(key) => key.ahead,
            Self::Public(key) => key.ahead,
        }
    }

    /// What anyone may have of its enrolment.
    #[must_use]
    pub fn public(&self) -> Enrolment {
        match self {
            Self::Auditor(key) => key.public(),
            Self::Public(key) => *key,
        }
    }

    /// The enrolment that it is of.
    #[must_use]
    pub const fn enrolment(&self) -> EnrolmentId {
        match self {
            Self::Auditor(key) => key.enrolment,
            Self::Public(key) => key.enrolment,
        }
    }
}

/// The keys that an examiner gave: evidence of several hosts is of several enrolments.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    all: Vec<(PathBuf, Key)>,
}

impl Keys {
    /// Reads key files.
    ///
    /// # Errors
    /// As [`Key::read`], for any of them.
    pub fn read(paths: &[PathBuf]) -> Result<Self, EvidenceError> {
        let read = |path: &PathBuf| Ok((path.clone(), Key::read(path)?));
        let all = paths.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { all })
    }

    /// The key of a journal's enrolment, a secret one before a public one. Where none is of it the
    /// first stands for all, so that the verdict says that it does not fit.
    #[must_use]
    pub fn of(&self, journal: &Journal) -> Option<&Key> {
        let own = |key: &&Key| Some(key.enrolment()) == journal.enrolment;
        let keys = || self.all.iter().map(|(_, key)| key);
        let secret = |key: &&Key| matches!(key, Key::Auditor(_));
        keys()
            .filter(own)
            .find(secret)
            .or_else(|| keys().find(own))
            .or_else(|| keys().next())
    }

    /// Of several keys, the files of those that are of none of these journals.
    #[must_use]
    pub fn unused<'a>(&'a self, journals: &[&Journal]) -> Vec<&'a Path> {
        let fits = |key: &Key| {
            let mut journals = journals.iter();
            journals.any(|journal| journal.enrolment == Some(key.enrolment()))
        };
        let unused = self.all.iter().filter(|(_, key)| !fits(key));
        unused
            .filter(|_| self.all.len() > 1)
            .map(|(path, _)| path.as_path())
            .collect()
    }
}

fn read_text(path: &Path) -> Result<String, EvidenceError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(EvidenceError::io("open the key", path))?;
    file.take(KEY_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(EvidenceError::io("read the key", path))?;
    let refused = |why: &str| EvidenceError::KeyFile {
        path: path.to_owned(),
        error: KeyFileError::Shape(why.to_owned()),
    };
    if bytes.len() as u64 > KEY_FILE_BYTES_MAX {
        return Err(refused("too long"));
    }
    String::from_utf8(bytes).map_err(|_| refused("no text"))
}

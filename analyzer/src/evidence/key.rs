//! The key that seals are checked with.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use saigen_schemas::journal::seal::EnrolmentId;
use saigen_schemas::journal::{AuditorKey, EndpointKey, Enrolment, KeyFileError};

use crate::evidence::EvidenceError;

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

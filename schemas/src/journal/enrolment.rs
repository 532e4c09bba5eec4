//! Key files: what the endpoint gets, what the auditor keeps, what anyone may have.
//!
//! Each is one JSON object with a `type`, so that one is never taken for another.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::journal::checkpoint::{CheckpointKey, PublicKey};
use crate::journal::hex::{from_hex, to_hex};
use crate::journal::limits::AHEAD_MAX;
use crate::journal::seal::{EnrolmentId, EnrolmentSecret, FrameKey};

const ENDPOINT: &str = "saigen-endpoint-key/1";
const AUDITOR: &str = "saigen-auditor-key/1";
const PUBLIC: &str = "saigen-enrolment/1";

/// The endpoint's key: the state of its recording. It is advanced in place and never shows the
/// past.
#[derive(Clone, Debug)]
pub struct EndpointKey {
    /// The enrolment.
    pub enrolment: EnrolmentId,
    /// The key of the next position.
    pub key: FrameKey,
    /// The key that signs the checkpoints of the next segment, or of the open one.
    pub checkpoint: CheckpointKey,
    /// How many positions this file is ahead of what was written.
    pub ahead: u64,
}

/// The auditor's key: the enrolment secret.
#[derive(Clone, Debug)]
pub struct AuditorKey {
    /// The enrolment.
    pub enrolment: EnrolmentId,
    /// The secret.
    pub secret: EnrolmentSecret,
    /// How many positions a crash may skip.
    pub ahead: u64,
}

/// What anyone may have: which enrolment a journal is of, and what its first checkpoints are
/// signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The enrolment.
    pub enrolment: EnrolmentId,
    /// The public key of generation 0.
    pub public_key: PublicKey,
    /// How many positions a crash may skip.
    pub ahead: u64,
}

/// What is wrong with a key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFileError {
    /// It is no JSON object of a key file.
    Shape(String),
    /// It is another kind of key file.
    Type {
        /// The kind that was wanted.
        expected: &'static str,
        /// The kind that it is.
        found: String,
    },
}

impl std::fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shape(why) => write!(f, "not a key file: {why}"),
            Self::Type { expected, found } => write!(f, "a {found} file, {expected} is needed"),
        }
    }
}

impl std::error::Error for KeyFileError {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    r#type: String,
    enrolment: String,
    ahead: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
}

impl Drop for File {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.checkpoint_secret.zeroize();
    }
}

impl File {
    fn new(file_type: &str, enrolment: EnrolmentId, ahead: u64) -> Self {
        Self {
            r#type: file_type.to_owned(),
            enrolment: enrolment.to_string(),
            ahead,
            position: None,
            secret: None,
            generation: None,
            checkpoint_secret: None,
            public_key: None,
        }
    }

    fn write(&self) -> Zeroizing<String> {
        let mut text = serde_json::to_string(self).expect("plain data becomes JSON");
        text.push('\n');
        Zeroizing::new(text)
    }

    fn read(text: &str, expected: &'static str) -> Result<Self, KeyFileError> {
        let file: Self =
            serde_json::from_str(text).map_err(|error| KeyFileError::Shape(error.to_string()))?;
        if file.r#type != expected {
            return Err(KeyFileError::Type {
                expected,
                found: file.r#type.clone(),
            });
        }
        if (1..=AHEAD_MAX).contains(&file.ahead) {
            Ok(file)
        } else {
            Err(shape(&format!("ahead is not 1 to {AHEAD_MAX}")))
        }
    }

    fn enrolment(&self) -> Result<EnrolmentId, KeyFileError> {
        from_hex(&self.enrolment)
            .map(EnrolmentId)
            .ok_or_else(|| shape("enrolment is not 32 hex digits"))
    }

    fn secret(&self) -> Result<[u8; 32], KeyFileError> {
        key_of(self.secret.as_deref(), "secret")
    }
}

fn key_of(text: Option<&str>, name: &str) -> Result<[u8; 32], KeyFileError> {
    text.and_then(from_hex)
        .ok_or_else(|| shape(&format!("{name} is not 64 hex digits")))
}

fn shape(why: &str) -> KeyFileError {
    KeyFileError::Shape(why.to_owned())
}

impl EndpointKey {
    /// The key of an enrolment that has not recorded yet.
    #[must_use]
    pub fn first(auditor: &AuditorKey) -> Self {
        Self {
            enrolment: auditor.enrolment,
            key: FrameKey::first(&auditor.secret),
            checkpoint: CheckpointKey::first(&auditor.secret),
            ahead: auditor.ahead,
        }
    }

    /// The file's text.
    #[must_use]
    pub fn write(&self) -> Zeroizing<String> {
        let mut file = File::new(ENDPOINT, self.enrolment, self.ahead);
        file.position = Some(self.key.position());
        file.secret = Some(to_hex(self.key.bytes()));
        file.generation = Some(self.checkpoint.generation());
        file.checkpoint_secret = Some(to_hex(self.checkpoint.bytes()));
        file.write()
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Where it is no endpoint's key file.
    pub fn read(text: &str) -> Result<Self, KeyFileError> {
        let file = File::read(text, ENDPOINT)?;
        let position = file.position.ok_or_else(|| shape("no position"))?;
        let generation = file.generation.ok_or_else(|| shape("no generation"))?;
        let checkpoint = key_of(file.checkpoint_secret.as_deref(), "checkpoint_secret")?;
        Ok(Self {
            enrolment: file.enrolment()?,
            key: FrameKey::resume(file.secret()?, position),
            checkpoint: CheckpointKey::resume(checkpoint, generation),
            ahead: file.ahead,
        })
    }
}

impl AuditorKey {
    /// What anyone may have of this enrolment.
    #[must_use]
    pub fn public(&self) -> Enrolment {
        Enrolment {
            enrolment: self.enrolment,
            public_key: CheckpointKey::first(&self.secret).public(),
            ahead: self.ahead,
        }
    }

    /// The file's text.
    #[must_use]
    pub fn write(&self) -> Zeroizing<String> {
        let mut file = File::new(AUDITOR, self.enrolment, self.ahead);
        file.secret = Some(to_hex(&self.secret.0));
        file.write()
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Where it is no auditor's key file.
    pub fn read(text: &str) -> Result<Self, KeyFileError> {
        let file = File::read(text, AUDITOR)?;
        Ok(Self {
            enrolment: file.enrolment()?,
            secret: EnrolmentSecret(file.secret()?),
            ahead: file.ahead,
        })
    }
}

impl Enrolment {
    /// The file's text.
    #[must_use]
    pub fn write(&self) -> String {
        let mut file = File::new(PUBLIC, self.enrolment, self.ahead);
        file.public_key = Some(self.public_key.to_string());
        file.write().to_string()
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Where it is no enrolment file.
    pub fn read(text: &str) -> Result<Self, KeyFileError> {
        let file = File::read(text, PUBLIC)?;
        let public_key = PublicKey(key_of(file.public_key.as_deref(), "public_key")?);
        Ok(Self {
            enrolment: file.enrolment()?,
            public_key,
            ahead: file.ahead,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_read_back_and_are_told_apart() {
        let auditor = AuditorKey {
            enrolment: EnrolmentId([1; 16]),
            secret: EnrolmentSecret([2; 32]),
            ahead: 32,
        };
        let mut endpoint = EndpointKey::first(&auditor);
        endpoint.key.advance();
        let read = EndpointKey::read(&endpoint.write()).unwrap();
        assert_eq!(
            (read.enrolment, read.key.position()),
            (auditor.enrolment, 1)
        );
        assert_eq!(read.key.bytes(), endpoint.key.bytes());
        assert_eq!(
            AuditorKey::read(&auditor.write()).unwrap().secret.0,
            [2; 32]
        );
        let public = auditor.public();
        assert_eq!(public.public_key, endpoint.checkpoint.public());
        assert_eq!(Enrolment::read(&public.write()), Ok(public));
        assert!(matches!(
            AuditorKey::read(&endpoint.write()),
            Err(KeyFileError::Type { .. })
        ));
        assert!(matches!(
            EndpointKey::read("{}"),
            Err(KeyFileError::Shape(_))
        ));
    }

    #[test]
    fn the_endpoint_does_not_get_the_secret() {
        let auditor = AuditorKey {
            enrolment: EnrolmentId([1; 16]),
            secret: EnrolmentSecret([2; 32]),
            ahead: 32,
        };
        assert!(
            !EndpointKey::first(&auditor)
                .write()
                .contains(&to_hex(&[2; 32]))
        );
    }
}

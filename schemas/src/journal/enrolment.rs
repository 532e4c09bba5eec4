//! Key files: what the endpoint gets, what the auditor keeps, what anyone may have.
//!
//! Each is one JSON object with a `type`, so that one is never taken for another.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::journal::seal::{EnrolmentId, EnrolmentSecret, FrameKey};

const ENDPOINT: &str = "saigen-endpoint-key/0";
const AUDITOR: &str = "saigen-auditor-key/0";
const PUBLIC: &str = "saigen-enrolment/0";

/// The endpoint's key: the state of its recording. It is advanced in place and never shows the
/// past.
#[derive(Clone, Debug)]
pub struct EndpointKey {
    /// The enrolment.
    pub enrolment: EnrolmentId,
    /// The key of the next position.
    pub key: FrameKey,
}

/// The auditor's key: the enrolment secret.
#[derive(Clone, Debug)]
pub struct AuditorKey {
    /// The enrolment.
    pub enrolment: EnrolmentId,
    /// The secret.
    pub secret: EnrolmentSecret,
}

/// What anyone may have: which enrolment a journal is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The enrolment.
    pub enrolment: EnrolmentId,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl Drop for File {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl File {
    fn write(&self) -> Zeroizing<String> {
        let mut text = serde_json::to_string(self).expect("plain data becomes JSON");
        text.push('\n');
        Zeroizing::new(text)
    }

    fn read(text: &str, expected: &'static str) -> Result<Self, KeyFileError> {
        let file: Self =
            serde_json::from_str(text).map_err(|error| KeyFileError::Shape(error.to_string()))?;
        if file.r#type == expected {
            Ok(file)
        } else {
            Err(KeyFileError::Type {
                expected,
                found: file.r#type.clone(),
            })
        }
    }

    fn enrolment(&self) -> Result<EnrolmentId, KeyFileError> {
        from_hex(&self.enrolment)
            .map(EnrolmentId)
            .ok_or_else(|| shape("enrolment is not 32 hex digits"))
    }

    fn secret(&self) -> Result<[u8; 32], KeyFileError> {
        let text = self.secret.as_deref().ok_or_else(|| shape("no secret"))?;
        from_hex(text).ok_or_else(|| shape("secret is not 64 hex digits"))
    }
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
        }
    }

    /// The file's text.
    #[must_use]
    pub fn write(&self) -> Zeroizing<String> {
        let file = File {
            r#type: ENDPOINT.to_owned(),
            enrolment: self.enrolment.to_string(),
            position: Some(self.key.position()),
            secret: Some(to_hex(self.key.bytes())),
        };
        file.write()
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Where it is no endpoint's key file.
    pub fn read(text: &str) -> Result<Self, KeyFileError> {
        let file = File::read(text, ENDPOINT)?;
        let position = file.position.ok_or_else(|| shape("no position"))?;
        Ok(Self {
            enrolment: file.enrolment()?,
            key: FrameKey::resume(file.secret()?, position),
        })
    }
}

impl AuditorKey {
    /// The file's text.
    #[must_use]
    pub fn write(&self) -> Zeroizing<String> {
        let secret = Some(to_hex(&self.secret.0));
        File {
            r#type: AUDITOR.to_owned(),
            enrolment: self.enrolment.to_string(),
            position: None,
            secret,
        }
        .write()
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
        })
    }
}

impl Enrolment {
    /// The file's text.
    #[must_use]
    pub fn write(&self) -> String {
        let file = File {
            r#type: PUBLIC.to_owned(),
            enrolment: self.enrolment.to_string(),
            position: None,
            secret: None,
        };
        file.write().to_string()
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Where it is no enrolment file.
    pub fn read(text: &str) -> Result<Self, KeyFileError> {
        Ok(Self {
            enrolment: File::read(text, PUBLIC)?.enrolment()?,
        })
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut out = [0; N];
    for (slot, at) in out.iter_mut().zip((0..).step_by(2)) {
        *slot = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_read_back_and_are_told_apart() {
        let auditor = AuditorKey {
            enrolment: EnrolmentId([1; 16]),
            secret: EnrolmentSecret([2; 32]),
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
        let public = Enrolment {
            enrolment: auditor.enrolment,
        };
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
        };
        assert!(
            !EndpointKey::first(&auditor)
                .write()
                .contains(&to_hex(&[2; 32]))
        );
    }
}

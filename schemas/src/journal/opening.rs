//! The opening of a segment: who recorded, where, with what, and what it could see.

use serde::{Deserialize, Serialize};

use crate::journal::checkpoint::{PublicKey, Succession};
use crate::journal::hex::{from_hex, to_hex};
use crate::journal::packing::Unpacker;
use crate::journal::{FORMAT_VERSION, Frame};

/// Most bytes of an opening before compression. The first of a recording tells of all keys
/// since the enrolment: room for some 19,000 of them, two years of segments of an hour.
pub const OPENING_BYTES_MAX: u32 = 4 << 20;

/// The payload of the first frame of a segment: a JSON object, compressed. It stands under that
/// frame's seal like everything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The version of the format: 0.
    pub format: u8,
    /// The segment's number, from 1.
    pub segment: u32,
    /// The enrolment, in hex.
    pub enrolment: String,
    /// Whether frames carry tags.
    pub sealed: bool,
    /// Position of the first frame of the recording: by it the segments of one recording are told
    /// from those of another of the same enrolment.
    pub recording: u64,
    /// The name of the recorded host, as seen inside what is recorded.
    pub host: String,
    /// Tool and version.
    pub tool: String,
    /// SHA-256 of the configuration, in hex.
    pub configuration_sha256: String,
    /// The generation of the key that signs this segment's checkpoints; absent if unsealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// How that key came from those before it, one step a generation, the last step to this
    /// segment's: from generation 0 in a recording's first segment, else from the segment before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub successions: Vec<SuccessionText>,
    /// What is recorded: `system`, or `tree` for one command.
    pub scope: String,
    /// The sources, what each gives, and at which step of its ladder.
    pub sources: Vec<SourceLevel>,
}

/// A [`Succession`] as it stands in a list; its generation follows from its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessionText {
    /// The new public key, in hex.
    pub public_key: String,
    /// The signature of the key before, in hex.
    pub signature: String,
}

impl SuccessionText {
    /// The text form.
    #[must_use]
    pub fn new(succession: &Succession) -> Self {
        Self {
            public_key: succession.public_key.to_string(),
            signature: to_hex(&succession.signature),
        }
    }

    /// The succession to a generation; `None` where the text is not hex of the right length.
    #[must_use]
    pub fn read(&self, generation: u32) -> Option<Succession> {
        let public_key = PublicKey(from_hex(&self.public_key)?);
        Some(Succession {
            generation,
            public_key,
            signature: from_hex(&self.signature)?,
        })
    }
}

/// What one source gives in a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLevel {
    /// Its name.
    pub source: String,
    /// The step of its ladder that was taken: `own`, `multicast`, `absent`, …
    pub level: String,
    /// What it gives.
    pub gives: String,
    /// What is missed at this step.
    pub missed: String,
}

/// What is wrong with an opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpeningError {
    /// It does not decompress.
    Payload(String),
    /// It is no JSON of that shape.
    Shape(String),
}

impl std::fmt::Display for OpeningError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Payload(why) => write!(f, "opening of the segment: {why}"),
            Self::Shape(why) => write!(f, "opening of the segment is not what it should be: {why}"),
        }
    }
}

impl std::error::Error for OpeningError {}

impl Opening {
    /// Appends the compressed payload; gives its length before compression.
    ///
    /// # Panics
    /// Never: plain data becomes JSON, and memory compresses.
    pub fn write(&self, out: &mut Vec<u8>) -> u32 {
        let text = serde_json::to_vec(self).expect("plain data becomes JSON");
        out.extend_from_slice(&zstd::bulk::compress(&text, 3).expect("memory compresses"));
        u32::try_from(text.len()).expect("an opening is a few kilobytes")
    }

    /// Reads the opening that a frame holds.
    ///
    /// # Errors
    /// Where it does not decompress within [`OPENING_BYTES_MAX`], or is of another shape.
    pub fn read(frame: &Frame<'_>) -> Result<Self, OpeningError> {
        if frame.header.raw_len > OPENING_BYTES_MAX {
            return Err(OpeningError::Payload(format!(
                "{} bytes, at most {OPENING_BYTES_MAX}",
                frame.header.raw_len
            )));
        }
        let mut text = Vec::new();
        Unpacker::default()
            .unpack(frame.payload, frame.header.raw_len, &mut text)
            .map_err(|error| OpeningError::Payload(error.to_string()))?;
        let opening: Self = serde_json::from_slice(&text)
            .map_err(|error| OpeningError::Shape(error.to_string()))?;
        if opening.format == FORMAT_VERSION {
            Ok(opening)
        } else {
            Err(OpeningError::Shape(format!("format {}", opening.format)))
        }
    }
}

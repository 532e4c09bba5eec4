//! What was removed to make room: the sealed word that the oldest segments are gone on purpose.

use serde::{Deserialize, Serialize};

use crate::journal::opening::SuccessionText;
use crate::journal::packing::Unpacker;
use crate::journal::{Frame, OPENING_BYTES_MAX, OpeningError};

/// Most removed segments of which the checkpoint is kept in the list: the newest ones.
pub const REMOVED_LISTED_MAX: usize = 64;

/// The payload of a `removed` frame: a JSON object, compressed. It is written and made durable
/// before the files go. The last one says how far segments are removed; how keys came from keys, all
/// that are left say together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Segments 1 to this one are removed.
    pub last_segment: u32,
    /// Position at which the first segment that is left begins.
    pub next_position: u64,
    /// Number of the first event that is left.
    pub next_seq: u64,
    /// Wall clock at which the first segment that is left was opened, µs.
    pub from_us: i64,
    /// The chain before the first segment that is left, in hex.
    pub chain: String,
    /// The generation of the last removed segment's key; 0 if unsealed.
    #[serde(default)]
    pub generation: u32,
    /// How that key came from those before it, one step a generation, the last step its own: from
    /// generation 1 on, or from where an earlier list that is still in the journal ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub successions: Vec<SuccessionText>,
    /// The newest of the removed segments.
    pub segments: Vec<RemovedSegment>,
}

/// One removed segment: what its header said, and its last signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedSegment {
    /// Its number.
    pub segment: u32,
    /// Position of its first frame.
    pub first_position: u64,
    /// Number of its first event.
    pub first_seq: u64,
    /// Wall clock at which it was opened, µs.
    pub from_us: i64,
    /// Bytes of its file.
    pub bytes: u64,
    /// The frame of its last checkpoint, header and payload, in hex; absent if unsealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

impl Removed {
    /// Appends the compressed payload; gives its length before compression.
    ///
    /// # Panics
    /// Never: plain data becomes JSON, and memory compresses.
    pub fn write(&self, out: &mut Vec<u8>) -> u32 {
        let text = serde_json::to_vec(self).expect("plain data becomes JSON");
        out.extend_from_slice(&zstd::bulk::compress(&text, 3).expect("memory compresses"));
        u32::try_from(text.len()).expect("a list of removed segments is a few megabytes")
    }

    /// Reads the list that a frame holds.
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
        serde_json::from_slice(&text).map_err(|error| OpeningError::Shape(error.to_string()))
    }
}

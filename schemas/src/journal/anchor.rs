//! Anchors: how far a recording had come, kept where the recorder cannot reach it.
//!
//! An anchor is a line of text: printed and signed, copied out, logged elsewhere. A journal that does not
//! reach it, or reaches it by another way, is not the one that it was taken from.

use serde::{Deserialize, Serialize};

use crate::journal::Frame;
use crate::journal::seal::{ChainValue, EnrolmentId, chain_after};

const TYPE: &str = "saigen-anchor/0";

/// Most bytes of an anchor's line.
pub const ANCHOR_BYTES_MAX: usize = 4096;

/// How far a recording had come: the last frame, and the chain after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The enrolment.
    pub enrolment: EnrolmentId,
    /// Position of the first frame of the recording.
    pub recording: u64,
    /// The name of the recorded host.
    pub host: String,
    /// Position of the last frame.
    pub position: u64,
    /// The chain after it.
    pub chain: ChainValue,
    /// Wall clock at which it was sealed, µs.
    pub sealed_us: i64,
}

/// The line as it is written.
#[derive(Serialize, Deserialize)]
struct Line {
    r#type: String,
    enrolment: String,
    recording: u64,
    host: String,
    position: u64,
    chain: String,
    sealed_us: i64,
}

impl Anchor {
    /// The anchor at a frame of a recording.
    #[must_use]
    pub fn at(frame: &Frame<'_>, enrolment: EnrolmentId, recording: u64, host: String) -> Self {
        Self {
            enrolment,
            recording,
            host,
            position: frame.header.position,
            chain: chain_after(frame),
            sealed_us: frame.header.wall_us,
        }
    }

    /// The line: one JSON object, without an end of line.
    ///
    /// # Panics
    /// Never: plain data becomes JSON.
    #[must_use]
    pub fn write(&self) -> String {
        let line = Line {
            r#type: TYPE.to_owned(),
            enrolment: self.enrolment.to_string(),
            recording: self.recording,
            host: self.host.clone(),
            position: self.position,
            chain: self.chain.to_string(),
            sealed_us: self.sealed_us,
        };
        serde_json::to_string(&line).expect("plain data becomes JSON")
    }

    /// Reads a line; `None` where it is no anchor.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        if line.len() > ANCHOR_BYTES_MAX {
            return None;
        }
        let line: Line = serde_json::from_str(line).ok()?;
        (line.r#type == TYPE).then_some(())?;
        Some(Self {
            enrolment: EnrolmentId::parse(&line.enrolment)?,
            recording: line.recording,
            host: line.host,
            position: line.position,
            chain: ChainValue::parse(&line.chain)?,
            sealed_us: line.sealed_us,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_reads_back_and_nothing_else_is_one() {
        let anchor = Anchor {
            enrolment: EnrolmentId([1; 16]),
            recording: 7,
            host: "web \"1\"\n".to_owned(),
            position: 9,
            chain: ChainValue([2; 32]),
            sealed_us: -3,
        };
        let line = anchor.write();
        assert!(!line.contains('\n'));
        assert_eq!(Anchor::read(&line), Some(anchor));
        for other in ["", "{}", &line.replace("anchor/0", "anchor/1"), &line[1..]] {
            assert_eq!(Anchor::read(other), None, "{other}");
        }
    }
}

//! The journal: what a recording is on disk, version 1.
//!
//! A recording is a directory of segments, `00000001.saj` and so on; a segment is a sequence of
//! frames; a frame is a skippable frame of Zstandard (RFC 8878 §3.1.2) that holds the
//! [`FrameHeader`], followed by the payload, a Zstandard frame of its own. Every byte of a
//! segment belongs to a frame, and every byte of a frame stands under its seal ([`seal`]).
//!
//! Encode and decode stand together here. Writing to disk is the collector's work; mapping,
//! resynchronising and doubting is the analyzer's. `docs/JOURNAL.md` is this format for someone
//! who writes a second reader.

mod anchor;
pub mod checkpoint;
mod columns;
mod enrolment;
mod frame;
pub mod hex;
mod limits;
pub mod merkle;
mod opening;
mod packing;
mod payload;
mod proof;
mod removed;
pub mod seal;
mod tables;
pub(crate) mod varint;
mod wide;

pub use anchor::{ANCHOR_BYTES_MAX, Anchor};
pub use enrolment::{AuditorKey, EndpointKey, Enrolment, KeyFileError};
pub use frame::{
    FRAME_MAGIC, Frame, FrameError, FrameHeader, FrameKind, HEADER_BYTES_MAX, HEADER_BYTES_MIN,
    OfEvents, find_frame,
};
pub use limits::*;
pub use opening::{OPENING_BYTES_MAX, Opening, OpeningError, SourceLevel, SuccessionText};
pub use payload::{Cursor, Events, PayloadBuilder, PayloadError, PayloadReader, PayloadSummary};
pub use proof::{PROOF_BYTES_MAX, Proof, ProofError};
pub use removed::{REMOVED_LISTED_MAX, Removed, RemovedSegment};
pub(crate) use tables::{TableBuilder, Tables};

/// The version of the format. Until 1.0 a change re-records the fixtures; from 1.0 on a changed
/// byte is a new version.
pub const FORMAT_VERSION: u8 = 1;

/// The name of a segment's file in its directory.
#[must_use]
pub fn segment_file_name(number: u32) -> String {
    format!("{number:08}.saj")
}

/// The number of a segment from its file's name; `None` for a stranger.
#[must_use]
pub fn segment_number(file_name: &str) -> Option<u32> {
    let digits = file_name.strip_suffix(".saj")?;
    let all_digits = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits {
        digits.parse().ok().filter(|&number| number > 0)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_told_from_strangers() {
        assert_eq!(segment_number(&segment_file_name(17)), Some(17));
        for stranger in [
            "1.saj",
            "00000000.saj",
            "0000001x.saj",
            "00000001.saj.bak",
            "+0000001.saj",
            "enrolment.json",
        ] {
            assert_eq!(segment_number(stranger), None, "{stranger}");
        }
    }
}

//! The evidence wing: bytes, files and offsets. It opens evidence read-only, says how far it
//! can be trusted, and gives its events in order. It never interprets them.
//!
//! [`open`] finds the journals in what was given; [`verify`] follows their chain and seals and
//! gives a [`Verification`]; [`JournalStream`] lends the events of what could be read.

mod anchor;
mod clocks;
mod error;
mod files;
mod follow;
mod key;
mod prove;
mod record;
mod scan;
mod signatures;
mod stream;
mod tell;
mod verdict;
mod verify;
mod window;

pub use anchor::{AnchorFrom, Held, read_anchors, read_seen, write_seen};
pub use error::EvidenceError;
pub use files::{Found, Journal, Misplaced, SegmentFile, open};
pub use key::{Key, Keys};
pub use prove::{ProveError, prove};
pub use record::{RawRecord, Records};
pub use scan::Depth;
pub use stream::JournalStream;
pub use verdict::{
    Completeness, Fault, FaultKind, FileFacts, Notice, Stretch, Verification, WhoRecorded,
};
pub use verify::{Asked, verify};

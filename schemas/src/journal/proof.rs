//! The proof of one record: that an event was recorded, shown without the events beside it.
//!
//! | Size   | Field          | Meaning                                                             |
//! |-------:|----------------|---------------------------------------------------------------------|
//! |     16 | domain         | `saigen proof v1` and NUL                                           |
//! |     16 | `enrolment`    | the enrolment                                                       |
//! |      4 | `index`        | the event's place in its frame                                      |
//! |     16 | `salt`         | the salt of its leaf                                                |
//! |  4 + n | `row`          | its canonical row, after its length                                 |
//! | 2 + 32 n | `frame_path` | the nodes beside the way to the frame's root, from below, after their number |
//! |    172 | `header`       | the frame's header before its tag                                   |
//! |     32 | `payload`      | the digest of the frame's payload, `H("payload", payload)`          |
//! | 2 + 32 n | `segment_path` | the nodes beside the way to the segment's root                    |
//! |    116 | `check_header` | the header of the checkpoint's frame before its tag                 |
//! |    144 | `checkpoint`   | the checkpoint                                                      |
//! | 4 + 96 n | `successions` | public key and signature of generation 1 to that of the checkpoint |
//!
//! Numbers are little-endian. Where frame and event stand in their trees follows from the headers: places
//! in the segment are positions less the checkpoint's `first_position`.

use crate::event::{Event, read_row};
use crate::journal::checkpoint::{CHECKPOINT_BYTES, Checkpoint, PublicKey, Succession};
use crate::journal::merkle::{Hash, event_leaf, frame_leaf, root_of_path};
use crate::journal::seal::{EnrolmentId, digest_of_parts};
use crate::journal::{Enrolment, FrameHeader, FrameKind, TEXT_BYTES_MAX};

const DOMAIN: [u8; 16] = *b"saigen proof v1\0";

/// Most nodes of a path: a tree of 2^32 leaves.
const PATH_MAX: usize = 32;

/// Most bytes of a row: a few texts of the longest.
const ROW_BYTES_MAX: usize = 8 * TEXT_BYTES_MAX;

/// Most key changes of a proof: a century of segments of an hour.
const SUCCESSIONS_MAX: usize = 1 << 20;

const SUCCESSION_BYTES: usize = 96;

/// Most bytes of a proof's file that a reader takes.
pub const PROOF_BYTES_MAX: u64 = 128 << 20;

/// The proof of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The enrolment.
    pub enrolment: EnrolmentId,
    /// The event's place in its frame.
    pub index: u32,
    /// The salt of its leaf.
    pub salt: [u8; 16],
    /// Its canonical row.
    pub row: Vec<u8>,
    /// The nodes beside the way to the frame's root, from below.
    pub frame_path: Vec<Hash>,
    /// The frame's header.
    pub header: FrameHeader,
    /// The digest of the frame's payload.
    pub payload: [u8; 32],
    /// The nodes beside the way to the segment's root, from below.
    pub segment_path: Vec<Hash>,
    /// The header of the checkpoint's frame.
    pub check_header: FrameHeader,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The changes of the key, from generation 1 to that of the checkpoint.
    pub successions: Vec<Succession>,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// The bytes are no proof.
    Shape {
        /// The field at which reading stopped.
        field: &'static str,
    },
    /// It is of another enrolment than the public key.
    Enrolment,
    /// The record is not in the frame.
    Record,
    /// The frame is not among those that were signed.
    Frame,
    /// A change of the key was not signed for.
    Key,
    /// The signature does not hold.
    Signature,
}

impl std::fmt::Display for ProofError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shape { field } => write!(f, "not a proof: its {field} is cut or impossible"),
            Self::Enrolment => f.write_str("it is of another enrolment than the public key"),
            Self::Record => f.write_str("the record is not in the frame that it names"),
            Self::Frame => f.write_str("the frame is not among those that were signed"),
            Self::Key => f.write_str("a change of the signing key was not signed for"),
            Self::Signature => f.write_str("the signature does not hold"),
        }
    }
}

impl std::error::Error for ProofError {}

impl Proof {
    /// The bytes of the file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let len32 = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        let len16 = |len: usize| u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes();
        let mut out = Vec::with_capacity(2048);
        out.extend_from_slice(&DOMAIN);
        out.extend_from_slice(&self.enrolment.0);
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&len32(self.row.len()));
        out.extend_from_slice(&self.row);
        out.extend_from_slice(&len16(self.frame_path.len()));
        out.extend(self.frame_path.iter().flatten());
        out.extend_from_slice(&self.header.digested());
        out.extend_from_slice(&self.payload);
        out.extend_from_slice(&len16(self.segment_path.len()));
        out.extend(self.segment_path.iter().flatten());
        out.extend_from_slice(&self.check_header.digested());
        out.extend_from_slice(&self.checkpoint.write());
        out.extend_from_slice(&len32(self.successions.len()));
        for succession in &self.successions {
            out.extend_from_slice(&succession.public_key.0);
            out.extend_from_slice(&succession.signature);
        }
        out
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Where they are no proof. No more is allocated than there are bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, ProofError> {
        let mut rest = Rest(bytes);
        if rest.array("domain")? != DOMAIN {
            return Err(ProofError::Shape { field: "domain" });
        }
        let enrolment = EnrolmentId(rest.array("enrolment")?);
        let index = u32::from_le_bytes(rest.array("index")?);
        let salt = rest.array("salt")?;
        let row_len = rest.len32("row", ROW_BYTES_MAX)?;
        let row = rest.bytes("row", row_len)?.to_vec();
        let frame_path = rest.path("path in the frame")?;
        let header = rest.header("header", FrameKind::holds_events)?;
        let payload = rest.array("payload")?;
        let segment_path = rest.path("path in the segment")?;
        let is_checkpoint = |kind| kind == FrameKind::Checkpoint;
        let check_header = rest.header("checkpoint's header", is_checkpoint)?;
        let shape = ProofError::Shape {
            field: "checkpoint",
        };
        let checkpoint = rest.bytes("checkpoint", CHECKPOINT_BYTES)?;
        let checkpoint = Checkpoint::read(checkpoint).ok_or(shape)?;
        let count = rest.len32("list of keys", SUCCESSIONS_MAX)?;
        let list = rest.bytes("list of keys", count * SUCCESSION_BYTES)?;
        if !rest.0.is_empty() {
            return Err(ProofError::Shape { field: "end" });
        }
        let successions = (1..)
            .zip(list.as_chunks::<SUCCESSION_BYTES>().0)
            .filter_map(|(generation, bytes)| {
                let (key, signature) = bytes.split_first_chunk::<32>()?;
                Some(Succession {
                    generation,
                    public_key: PublicKey(*key),
                    signature: signature.try_into().ok()?,
                })
            })
            .collect();
        Ok(Self {
            enrolment,
            index,
            salt,
            row,
            frame_path,
            header,
            payload,
            segment_path,
            check_header,
            checkpoint,
            successions,
        })
    }

    /// Whether the record was recorded under the enrolment of a public key. Gives the record.
    ///
    /// # Errors
    /// The first link that does not hold.
    pub fn check(&self, public: &Enrolment) -> Result<Event<'_>, ProofError> {
        if self.enrolment != public.enrolment {
            return Err(ProofError::Enrolment);
        }
        let mut event = read_row(&self.row).ok_or(ProofError::Shape { field: "row" })?;
        event.seq = self.header.first_seq.saturating_add(u64::from(self.index));
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let leaf = event_leaf(self.salt, &self.row);
        let (index, events) = (u64::from(self.index), u64::from(self.header.events));
        let root = root_of_path(leaf, size(index), size(events), &self.frame_path);
        if root.is_none() || root != self.header.of_events.map(|said| said.root) {
            return Err(ProofError::Record);
        }
        let digest = digest_of_parts(&self.header.digested(), &self.payload);
        let first = self.checkpoint.first_position;
        let place = self.header.position.checked_sub(first);
        let frames = self.check_header.position.checked_sub(first);
        let (place, frames) = place.zip(frames).ok_or(ProofError::Frame)?;
        let leaf = frame_leaf(&digest);
        let root = root_of_path(leaf, size(place), size(frames), &self.segment_path);
        if root != Some(self.checkpoint.segment_root) {
            return Err(ProofError::Frame);
        }
        let mut key = public.public_key;
        for succession in &self.successions {
            if !succession.holds(self.enrolment, key) {
                return Err(ProofError::Key);
            }
            key = succession.public_key;
        }
        let generation = u32::try_from(self.successions.len()).unwrap_or(u32::MAX);
        let holds = self
            .checkpoint
            .holds(self.enrolment, &self.check_header, key);
        if self.checkpoint.generation == generation && holds {
            Ok(event)
        } else {
            Err(ProofError::Signature)
        }
    }
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn bytes(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], ProofError> {
        let (bytes, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(ProofError::Shape { field })?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ProofError> {
        let (bytes, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(ProofError::Shape { field })?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn len32(&mut self, field: &'static str, max: usize) -> Result<usize, ProofError> {
        let len = usize::try_from(u32::from_le_bytes(self.array(field)?)).unwrap_or(usize::MAX);
        if len <= max {
            Ok(len)
        } else {
            Err(ProofError::Shape { field })
        }
    }

    fn path(&mut self, field: &'static str) -> Result<Vec<Hash>, ProofError> {
        let nodes = usize::from(u16::from_le_bytes(self.array(field)?));
        if nodes > PATH_MAX {
            return Err(ProofError::Shape { field });
        }
        Ok(self.bytes(field, nodes * 32)?.as_chunks::<32>().0.to_vec())
    }

    fn header(
        &mut self,
        field: &'static str,
        wanted: impl Fn(FrameKind) -> bool,
    ) -> Result<FrameHeader, ProofError> {
        let shape = ProofError::Shape { field };
        let len = FrameHeader::digested_len(self.0).ok_or(shape)?;
        let header = FrameHeader::read_digested(self.bytes(field, len)?).map_err(|_| shape)?;
        if wanted(header.kind) {
            Ok(header)
        } else {
            Err(shape)
        }
    }
}

//! Checkpoints: signatures that convince everyone, not only the holder of the enrolment secret.
//!
//! Each segment has a key of its own, an Ed25519 pair of one *generation*. The secret of the next
//! generation follows from the one before and not the other way round; the old one is erased
//! when a segment is opened. The opening then carries a [`Succession`]: the new public key,
//! signed by the old. The public key of generation 0 stands in `enrolment.pub`.
//!
//! A checkpoint signs the header of its own frame, and so its position and the chain before it:
//! all that was recorded up to there, and itself. Only its own tag is left to the enrolment secret.
//!
//! What a thief of the present secret can do: sign another past *of the segment that is open*, and
//! any future. The first is found with the enrolment secret (tags), or with an anchor.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::journal::packing::Unpacker;
use crate::journal::seal::{EnrolmentId, EnrolmentSecret};
use crate::journal::{Frame, FrameHeader};

/// Bytes of a checkpoint.
pub const CHECKPOINT_BYTES: usize = 144;

/// Bytes of a checkpoint as a frame's payload: stored, not compressed, since a hash and a signature
/// do not shrink, and since the length must be known before it is signed.
pub const CHECKPOINT_PAYLOAD_BYTES: usize = STORED.len() + CHECKPOINT_BYTES;

/// The front of a Zstandard frame (RFC 8878 §3.1.1) that holds one block, stored as it is: magic,
/// descriptor (a single segment, its size in one byte), size, header of a last raw block.
const STORED: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 144, 0x81, 0x04, 0];

/// Bytes of a checkpoint that are signed: all but the signature.
const SIGNED_BYTES: usize = CHECKPOINT_BYTES - SIGNATURE_BYTES;
const SIGNATURE_BYTES: usize = 64;

/// Most generations that are stepped over at once: a century of segments of an hour.
const GENERATIONS_MAX: u32 = 1 << 20;

/// What a checkpoint's signature covers begins with this, so that it is taken for nothing else.
const CHECKPOINT_DOMAIN: [u8; 16] = *b"saigen check v1\0";
const SUCCESSION_DOMAIN: [u8; 16] = *b"saigen succes v1";

/// A public key of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The secret that signs the checkpoints of one generation.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CheckpointKey {
    secret: [u8; 32],
    generation: u32,
}

impl std::fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CheckpointKey({}, …)", self.generation)
    }
}

impl CheckpointKey {
    /// The key of generation 0.
    #[must_use]
    pub fn first(secret: &EnrolmentSecret) -> Self {
        Self {
            secret: blake3::derive_key("saigen journal v1 first checkpoint key", &secret.0),
            generation: 0,
        }
    }

    /// A key that was kept, with its generation.
    #[must_use]
    pub const fn resume(secret: [u8; 32], generation: u32) -> Self {
        Self { secret, generation }
    }

    /// Which generation it is.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Its bytes, to be kept.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(
            SigningKey::from_bytes(&self.secret)
                .verifying_key()
                .to_bytes(),
        )
    }

    fn next(&self) -> Self {
        let secret = blake3::derive_key("saigen journal v1 next checkpoint key", &self.secret);
        Self {
            secret,
            generation: self.generation.saturating_add(1),
        }
    }

    /// The key of a later generation; `None` for an earlier one, and for one further off than any
    /// recording is long: a number that lies costs no more than a moment.
    #[must_use]
    pub fn later(&self, generation: u32) -> Option<Self> {
        let steps = generation.checked_sub(self.generation)?;
        (steps <= GENERATIONS_MAX).then(|| (0..steps).fold(self.clone(), |key, _| key.next()))
    }

    /// Becomes the key of the next generation, signed for by this one, which is erased.
    pub fn succeed(&mut self, enrolment: EnrolmentId) -> Succession {
        let next = self.next();
        let mut succession = Succession {
            generation: next.generation,
            public_key: next.public(),
            signature: [0; SIGNATURE_BYTES],
        };
        succession.signature = SigningKey::from_bytes(&self.secret)
            .sign(&succession.signed(enrolment))
            .to_bytes();
        *self = next;
        succession
    }

    /// Signs a checkpoint under the header of its frame, as that will stand there. Its generation
    /// and next public key are set here.
    #[must_use]
    pub fn sign(
        &self,
        enrolment: EnrolmentId,
        header: &FrameHeader,
        checkpoint: &Checkpoint,
    ) -> Checkpoint {
        let mut signed = Checkpoint {
            generation: self.generation,
            next_public_key: self.next().public(),
            ..*checkpoint
        };
        signed.signature = SigningKey::from_bytes(&self.secret)
            .sign(&signed.signed(enrolment, header))
            .to_bytes();
        signed
    }
}

/// A change of the key of checkpoints: the key of a generation, signed by the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The generation of the new key.
    pub generation: u32,
    /// The new key.
    pub public_key: PublicKey,
    /// The signature of the old one.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Succession {
    fn signed(&self, enrolment: EnrolmentId) -> Vec<u8> {
        let generation = self.generation.to_le_bytes();
        [
            &SUCCESSION_DOMAIN[..],
            &enrolment.0,
            &generation,
            &self.public_key.0,
        ]
        .concat()
    }

    /// Whether the key of the generation before signed for this one.
    #[must_use]
    pub fn holds(&self, enrolment: EnrolmentId, before: PublicKey) -> bool {
        verify(before, &self.signed(enrolment), &self.signature)
    }
}

/// A checkpoint: the payload of a frame of its own.
///
/// | Offset | Size | Field             | Meaning                                              |
/// |-------:|-----:|-------------------|------------------------------------------------------|
/// |      0 |    4 | `segment`         | number of the segment                                |
/// |      4 |    4 | `generation`      | which key signed                                     |
/// |      8 |    8 | `first_position`  | position of the segment's first frame                |
/// |     16 |   32 | `segment_root`    | Merkle root over the digests of the segment's frames before it |
/// |     48 |   32 | `next_public_key` | the key of the next generation                       |
/// |     80 |   64 | `signature`       | Ed25519 over `saigen check v1` and NUL, the enrolment, the frame's header before its tag, and the fields above |
///
/// Numbers are little-endian. Position, chain and clocks stand in the header, and the number of
/// events so far: its `first_seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of the segment.
    pub segment: u32,
    /// Which key signed.
    pub generation: u32,
    /// Position of the segment's first frame.
    pub first_position: u64,
    /// Merkle root over the digests of the segment's frames before it.
    pub segment_root: [u8; 32],
    /// The key of the next generation.
    pub next_public_key: PublicKey,
    /// The signature.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Checkpoint {
    /// A checkpoint that is not signed yet.
    #[must_use]
    pub const fn over(segment: u32, first_position: u64, segment_root: [u8; 32]) -> Self {
        Self {
            segment,
            generation: 0,
            first_position,
            segment_root,
            next_public_key: PublicKey([0; 32]),
            signature: [0; SIGNATURE_BYTES],
        }
    }

    fn signed(&self, enrolment: EnrolmentId, header: &FrameHeader) -> Vec<u8> {
        let fields = self.write();
        [
            &CHECKPOINT_DOMAIN[..],
            &enrolment.0,
            &header.digested(),
            fields.get(..SIGNED_BYTES).unwrap_or_default(),
        ]
        .concat()
    }

    /// The bytes.
    ///
    /// # Panics
    /// Never: the fields of the table fill it.
    #[must_use]
    pub fn write(&self) -> [u8; CHECKPOINT_BYTES] {
        let mut bytes = Vec::with_capacity(CHECKPOINT_BYTES);
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.first_position.to_le_bytes());
        bytes.extend_from_slice(&self.segment_root);
        bytes.extend_from_slice(&self.next_public_key.0);
        bytes.extend_from_slice(&self.signature);
        bytes
            .try_into()
            .expect("the fields of the table fill a checkpoint")
    }

    /// Reads the bytes; `None` where they are not as many.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; CHECKPOINT_BYTES] = bytes.try_into().ok()?;
        Some(Self {
            segment: u32::from_le_bytes(at(bytes, 0)?),
            generation: u32::from_le_bytes(at(bytes, 4)?),
            first_position: u64::from_le_bytes(at(bytes, 8)?),
            segment_root: at(bytes, 16)?,
            next_public_key: PublicKey(at(bytes, 48)?),
            signature: at(bytes, SIGNED_BYTES)?,
        })
    }

    /// Whether the key signed it, under the header of its frame.
    #[must_use]
    pub fn holds(&self, enrolment: EnrolmentId, header: &FrameHeader, key: PublicKey) -> bool {
        verify(key, &self.signed(enrolment, header), &self.signature)
    }

    /// Appends the payload of a checkpoint's frame, [`CHECKPOINT_PAYLOAD_BYTES`] long.
    pub fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&STORED);
        out.extend_from_slice(&self.write());
    }

    /// Reads the checkpoint that a frame holds; `None` where it holds none.
    #[must_use]
    pub fn read_frame(frame: &Frame<'_>) -> Option<Self> {
        if usize::try_from(frame.header.raw_len) != Ok(CHECKPOINT_BYTES) {
            return None;
        }
        let mut bytes = Vec::new();
        Unpacker::default()
            .unpack(frame.payload, frame.header.raw_len, &mut bytes)
            .ok()?;
        Self::read(&bytes)
    }
}

fn at<const N: usize>(bytes: &[u8; CHECKPOINT_BYTES], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset + N)?.try_into().ok()
}

/// Strict verification: keys of small order and signatures in two forms are refused.
fn verify(key: PublicKey, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
    VerifyingKey::from_bytes(&key.0).is_ok_and(|key| {
        key.verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::BootId;
    use crate::journal::FrameKind;
    use crate::journal::seal::ChainValue;

    const ENROLMENT: EnrolmentId = EnrolmentId([4; 16]);

    fn header() -> FrameHeader {
        FrameHeader {
            kind: FrameKind::Checkpoint,
            position: 7,
            first_seq: 90,
            events: 0,
            payload_len: u32::try_from(CHECKPOINT_PAYLOAD_BYTES).unwrap(),
            raw_len: u32::try_from(CHECKPOINT_BYTES).unwrap(),
            boot: BootId([5; 16]),
            boot_us: 77,
            wall_us: -5,
            lost: 3,
            before: ChainValue([1; 32]),
            of_events: None,
        }
    }

    #[test]
    fn a_checkpoint_holds_for_its_key_and_every_flipped_bit_breaks_it() {
        let key = CheckpointKey::first(&EnrolmentSecret([3; 32]));
        let signed = key.sign(ENROLMENT, &header(), &Checkpoint::over(1, 0, [2; 32]));
        let bytes = signed.write();
        assert_eq!(Checkpoint::read(&bytes), Some(signed));
        assert!(signed.holds(ENROLMENT, &header(), key.public()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            let holds = Checkpoint::read(&damaged)
                .is_some_and(|checkpoint| checkpoint.holds(ENROLMENT, &header(), key.public()));
            assert!(!holds, "bit {bit}");
        }
    }

    #[test]
    fn a_checkpoint_signs_every_field_of_its_frames_header() {
        let key = CheckpointKey::first(&EnrolmentSecret([3; 32]));
        let signed = key.sign(ENROLMENT, &header(), &Checkpoint::over(1, 0, [2; 32]));
        let mut bytes = Vec::new();
        header().write([0; 16], &[0; CHECKPOINT_PAYLOAD_BYTES], &mut bytes);
        let covered = FrameHeader::read(&bytes).unwrap().digested.len();
        for byte in 0..covered {
            let mut damaged = bytes.clone();
            damaged[byte] ^= 1;
            crate::journal::frame::mend(&mut damaged);
            let holds = FrameHeader::read(&damaged)
                .is_ok_and(|frame| signed.holds(ENROLMENT, &frame.header, key.public()));
            assert!(!holds, "byte {byte}");
        }
    }

    #[test]
    fn a_stored_payload_is_an_ordinary_zstandard_frame() {
        let checkpoint = Checkpoint::over(1, 0, [2; 32]);
        let mut payload = Vec::new();
        checkpoint.write_payload(&mut payload);
        assert_eq!(payload.len(), CHECKPOINT_PAYLOAD_BYTES);
        assert_eq!(
            zstd::stream::decode_all(&*payload).unwrap(),
            checkpoint.write()
        );
    }

    #[test]
    fn keys_follow_one_another_and_only_in_their_enrolment() {
        let mut key = CheckpointKey::first(&EnrolmentSecret([3; 32]));
        let old = key.public();
        let signed = key.sign(ENROLMENT, &header(), &Checkpoint::over(1, 0, [2; 32]));
        let succession = key.succeed(ENROLMENT);
        assert_eq!((succession.generation, key.generation()), (1, 1));
        assert_eq!(succession.public_key, key.public());
        assert_eq!(succession.public_key, signed.next_public_key);
        assert!(succession.holds(ENROLMENT, old));
        assert!(!succession.holds(EnrolmentId([5; 16]), old));
        assert!(!succession.holds(ENROLMENT, key.public()));
    }
}

//! Checkpoints: signatures that convince everyone, not only the holder of the enrolment secret.
//!
//! Each segment has a key of its own, an Ed25519 pair of one *generation*. The secret of the next
//! generation follows from the one before and not the other way round; the old one is erased
//! when a segment is opened. The opening then carries a [`Succession`]: the new public key,
//! signed by the old. The public key of generation 0 stands in `enrolment.pub`.
//!
//! What a thief of the present secret can do: sign another past *of the segment that is open*, and
//! any future. The first is found with the enrolment secret (tags), or with an anchor.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::journal::Frame;
use crate::journal::payload::decompress;
use crate::journal::seal::{ChainValue, EnrolmentId, EnrolmentSecret};

/// Bytes of a checkpoint before compression.
pub const CHECKPOINT_BYTES: usize = 232;

/// Bytes of a checkpoint that are signed: all but the signature.
const SIGNED_BYTES: usize = CHECKPOINT_BYTES - SIGNATURE_BYTES;
const SIGNATURE_BYTES: usize = 64;

/// Most generations that are stepped over at once: a century of segments of an hour.
const GENERATIONS_MAX: u32 = 1 << 20;

/// What a checkpoint's signature covers begins with this, so that it is taken for nothing else.
const CHECKPOINT_DOMAIN: [u8; 16] = *b"saigen check v0\0";
const SUCCESSION_DOMAIN: [u8; 16] = *b"saigen succes v0";

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
            secret: blake3::derive_key("saigen journal v0 first checkpoint key", &secret.0),
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
        let secret = blake3::derive_key("saigen journal v0 next checkpoint key", &self.secret);
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

    /// Signs a checkpoint. Its generation and next public key are set here.
    #[must_use]
    pub fn sign(&self, checkpoint: &Checkpoint) -> Checkpoint {
        let mut signed = Checkpoint {
            generation: self.generation,
            next_public_key: self.next().public(),
            ..*checkpoint
        };
        signed.signature = SigningKey::from_bytes(&self.secret)
            .sign(&signed.signed())
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

/// A checkpoint: the payload of a frame of its own, compressed.
///
/// | Offset | Size | Field             | Meaning                                              |
/// |-------:|-----:|-------------------|------------------------------------------------------|
/// |      0 |   16 | domain            | `saigen check v0` and NUL                            |
/// |     16 |   16 | `enrolment`       | the enrolment                                        |
/// |     32 |    4 | `segment`         | number of the segment                                |
/// |     36 |    4 | `generation`      | which key signed                                     |
/// |     40 |    8 | `position`        | position of the checkpoint's own frame               |
/// |     48 |    8 | `first_position`  | position of the segment's first frame                |
/// |     56 |   32 | `chain`           | the chain before the checkpoint's frame              |
/// |     88 |   32 | `segment_root`    | Merkle root over the digests of the segment's frames before it |
/// |    120 |   32 | `next_public_key` | the key of the next generation                       |
/// |    152 |    8 | `events`          | number of the next event: how many there were so far |
/// |    160 |    8 | `wall_us`         | wall clock when it was signed, µs, signed            |
/// |    168 |   64 | `signature`       | Ed25519 over all before it                           |
///
/// Numbers are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The enrolment.
    pub enrolment: EnrolmentId,
    /// Number of the segment.
    pub segment: u32,
    /// Which key signed.
    pub generation: u32,
    /// Position of the checkpoint's own frame.
    pub position: u64,
    /// Position of the segment's first frame.
    pub first_position: u64,
    /// The chain before the checkpoint's frame.
    pub chain: ChainValue,
    /// Merkle root over the digests of the segment's frames before it.
    pub segment_root: [u8; 32],
    /// The key of the next generation.
    pub next_public_key: PublicKey,
    /// How many events there were so far in the enrolment.
    pub events: u64,
    /// Wall clock when it was signed, µs.
    pub wall_us: i64,
    /// The signature.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Checkpoint {
    fn signed(&self) -> [u8; SIGNED_BYTES] {
        let mut bytes = Vec::with_capacity(SIGNED_BYTES);
        bytes.extend_from_slice(&CHECKPOINT_DOMAIN);
        bytes.extend_from_slice(&self.enrolment.0);
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.extend_from_slice(&self.first_position.to_le_bytes());
        bytes.extend_from_slice(&self.chain.0);
        bytes.extend_from_slice(&self.segment_root);
        bytes.extend_from_slice(&self.next_public_key.0);
        bytes.extend_from_slice(&self.events.to_le_bytes());
        bytes.extend_from_slice(&self.wall_us.to_le_bytes());
        bytes
            .try_into()
            .expect("the fields of the table fill what is signed")
    }

    /// The bytes before compression.
    #[must_use]
    pub fn write(&self) -> [u8; CHECKPOINT_BYTES] {
        let mut bytes = [0; CHECKPOINT_BYTES];
        bytes[..SIGNED_BYTES].copy_from_slice(&self.signed());
        bytes[SIGNED_BYTES..].copy_from_slice(&self.signature);
        bytes
    }

    /// Reads the bytes before compression; `None` where they are no checkpoint.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; CHECKPOINT_BYTES] = bytes.try_into().ok()?;
        let read = Self {
            enrolment: EnrolmentId(at(bytes, 16)?),
            segment: u32::from_le_bytes(at(bytes, 32)?),
            generation: u32::from_le_bytes(at(bytes, 36)?),
            position: u64::from_le_bytes(at(bytes, 40)?),
            first_position: u64::from_le_bytes(at(bytes, 48)?),
            chain: ChainValue(at(bytes, 56)?),
            segment_root: at(bytes, 88)?,
            next_public_key: PublicKey(at(bytes, 120)?),
            events: u64::from_le_bytes(at(bytes, 152)?),
            wall_us: i64::from_le_bytes(at(bytes, 160)?),
            signature: at(bytes, SIGNED_BYTES)?,
        };
        // The domain has one value: what is read is what was written.
        (read.write() == *bytes).then_some(read)
    }

    /// Whether the key signed it.
    #[must_use]
    pub fn holds(&self, key: PublicKey) -> bool {
        verify(key, &self.signed(), &self.signature)
    }
}

impl Checkpoint {
    /// Appends the payload of a checkpoint's frame; gives its length before compression.
    ///
    /// # Panics
    /// Never: memory compresses.
    pub fn write_payload(&self, out: &mut Vec<u8>) -> u32 {
        out.extend_from_slice(&zstd::bulk::compress(&self.write(), 3).expect("memory compresses"));
        u32::try_from(CHECKPOINT_BYTES).unwrap_or(0)
    }

    /// Reads the checkpoint that a frame holds; `None` where it holds none.
    #[must_use]
    pub fn read_frame(frame: &Frame<'_>) -> Option<Self> {
        let mut bytes = Vec::new();
        decompress(&mut None, frame.payload, frame.header.raw_len, &mut bytes).ok()?;
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

    const ENROLMENT: EnrolmentId = EnrolmentId([4; 16]);

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            enrolment: ENROLMENT,
            segment: 1,
            generation: 0,
            position: 7,
            first_position: 0,
            chain: ChainValue([1; 32]),
            segment_root: [2; 32],
            next_public_key: PublicKey([0; 32]),
            events: 90,
            wall_us: -5,
            signature: [0; 64],
        }
    }

    #[test]
    fn a_checkpoint_holds_for_its_key_and_every_flipped_bit_breaks_it() {
        let key = CheckpointKey::first(&EnrolmentSecret([3; 32]));
        let signed = key.sign(&checkpoint());
        let bytes = signed.write();
        assert_eq!(Checkpoint::read(&bytes), Some(signed));
        assert!(signed.holds(key.public()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            let holds =
                Checkpoint::read(&damaged).is_some_and(|checkpoint| checkpoint.holds(key.public()));
            assert!(!holds, "bit {bit}");
        }
    }

    #[test]
    fn keys_follow_one_another_and_only_in_their_enrolment() {
        let mut key = CheckpointKey::first(&EnrolmentSecret([3; 32]));
        let old = key.public();
        let announced = key.sign(&checkpoint()).next_public_key;
        let succession = key.succeed(ENROLMENT);
        assert_eq!((succession.generation, key.generation()), (1, 1));
        assert_eq!(succession.public_key, key.public());
        assert_eq!(succession.public_key, announced);
        assert!(succession.holds(ENROLMENT, old));
        assert!(!succession.holds(EnrolmentId([5; 16]), old));
        assert!(!succession.holds(ENROLMENT, key.public()));
    }
}

//! The seal: a chain over all frames, and a tag on each that only the holder of the enrolment
//! secret, or of the key of that very position, could have made.
//!
//! With H = BLAKE3 over the parts, each preceded by its length, under a domain string of its own:
//!
//! ```text
//! C_start = H("chain start", enrolment)
//! d_i     = H("frame", header bytes before the tag, H("payload", payload))
//! tag_i   = first 16 bytes of keyed BLAKE3(k_i, C_{i-1} ‖ i ‖ d_i)
//! C_i     = H("chain", C_{i-1}, i, d_i, tag_i)
//! k_0     = derive("first frame key", secret)          k_{i+1} = derive("next frame key", k_i)
//! ```
//!
//! `C_{i-1}` stands in the header too, so that each frame can be checked by itself: who follows the
//! chain holds it against the one that was followed. `i` is the frame's position, 8 bytes, little-endian; it is never read from anywhere else. `k_i`
//! is erased before frame `i` counts as written, so that who takes over the endpoint later cannot
//! rewrite what came before. An unsealed journal has tags of zero: chain and checksums only.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::journal::frame::{Frame, FrameHeader};
use crate::journal::hex::from_hex;

/// The value of the chain after a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainValue(pub [u8; 32]);

impl std::fmt::Debug for ChainValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for ChainValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The identity of an enrolment: 16 random bytes, in clear in every segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnrolmentId(pub [u8; 16]);

impl EnrolmentId {
    /// Reads the text form, 32 hex digits; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

impl ChainValue {
    /// Reads the text form, 64 hex digits; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

impl std::fmt::Display for EnrolmentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The secret of an enrolment, from which every frame's key follows. It stays with the auditor.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EnrolmentSecret(pub [u8; 32]);

impl std::fmt::Debug for EnrolmentSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnrolmentSecret(…)")
    }
}

/// The key of one position. The next follows from it, the one before does not.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct FrameKey {
    key: [u8; 32],
    position: u64,
}

impl std::fmt::Debug for FrameKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrameKey({}, …)", self.position)
    }
}

impl FrameKey {
    /// The key of position 0.
    #[must_use]
    pub fn first(secret: &EnrolmentSecret) -> Self {
        Self {
            key: blake3::derive_key("saigen journal v1 first frame key", &secret.0),
            position: 0,
        }
    }

    /// A key that was kept, with its position.
    #[must_use]
    pub const fn resume(key: [u8; 32], position: u64) -> Self {
        Self { key, position }
    }

    /// The position that it seals.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Its bytes, to be kept.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Becomes the key of the next position; what it was is erased.
    pub fn advance(&mut self) {
        let next = blake3::derive_key("saigen journal v1 next frame key", &self.key);
        self.key.zeroize();
        self.key = next;
        self.position += 1;
    }

    fn tag(&self, before: ChainValue, digest: &[u8; 32]) -> [u8; 16] {
        let mut mac = blake3::Hasher::new_keyed(&self.key);
        mac.update(&before.0);
        mac.update(&self.position.to_le_bytes());
        mac.update(digest);
        let [tag, _] = halves(mac.finalize().as_bytes());
        tag
    }
}

fn halves(bytes: &[u8; 32]) -> [[u8; 16]; 2] {
    let mut out = [[0; 16]; 2];
    for (half, chunk) in out.iter_mut().zip(bytes.as_chunks::<16>().0) {
        *half = *chunk;
    }
    out
}

/// A digest of parts under a domain: each part is preceded by its length, so that no two lists
/// of parts give the same bytes.
fn digest(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// The digest of a frame: header up to the tag, and payload.
#[must_use]
pub fn frame_digest(digested: &[u8], payload: &[u8]) -> [u8; 32] {
    digest_of_parts(digested, &payload_digest(payload))
}

/// The digest of a frame's payload.
#[must_use]
pub fn payload_digest(payload: &[u8]) -> [u8; 32] {
    digest("saigen journal v1 payload", &[payload])
}

/// The digest of a frame, from its header up to the tag and the digest of its payload.
#[must_use]
pub fn digest_of_parts(digested: &[u8], payload: &[u8; 32]) -> [u8; 32] {
    digest("saigen journal v1 frame", &[digested, payload])
}

/// The chain before the first frame of an enrolment.
#[must_use]
pub fn chain_start(enrolment: EnrolmentId) -> ChainValue {
    ChainValue(digest("saigen journal v1 chain start", &[&enrolment.0]))
}

/// The chain after a frame, from what stands in it.
#[must_use]
pub fn chain_after(frame: &Frame<'_>) -> ChainValue {
    let digest = frame_digest(frame.digested, frame.payload);
    chain_next(
        frame.header.before,
        frame.header.position,
        &digest,
        frame.tag,
    )
}

/// The chain after a frame, from its parts.
#[must_use]
pub fn chain_next(
    before: ChainValue,
    position: u64,
    frame: &[u8; 32],
    tag: [u8; 16],
) -> ChainValue {
    ChainValue(digest(
        "saigen journal v1 chain",
        &[&before.0, &position.to_le_bytes(), frame, &tag],
    ))
}

/// The witness's side: seals frame after frame.
#[derive(Debug)]
pub struct Sealer {
    chain: ChainValue,
    position: u64,
    key: Option<FrameKey>,
}

impl Sealer {
    /// Seals from a position on, with its key, after a chain value.
    #[must_use]
    pub const fn sealed(chain: ChainValue, key: FrameKey) -> Self {
        Self {
            chain,
            position: key.position(),
            key: Some(key),
        }
    }

    /// Chains frames without a key.
    #[must_use]
    pub const fn unsealed(chain: ChainValue, position: u64) -> Self {
        Self {
            chain,
            position,
            key: None,
        }
    }

    /// The position of the next frame.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The chain after the last frame.
    #[must_use]
    pub const fn chain(&self) -> ChainValue {
        self.chain
    }

    /// The key of the next frame, to be kept.
    #[must_use]
    pub const fn key(&self) -> Option<&FrameKey> {
        self.key.as_ref()
    }

    /// The header as it will stand in the frame: position, chain and payload length are set here.
    ///
    /// # Panics
    /// If the payload has 4 GiB: it is closed long before.
    #[must_use]
    pub fn header(&self, header: &FrameHeader, payload_len: usize) -> FrameHeader {
        FrameHeader {
            position: self.position,
            before: self.chain,
            payload_len: u32::try_from(payload_len).expect("a payload is closed long before 4 GiB"),
            ..*header
        }
    }

    /// Appends a frame to `out` under the next position, and erases the key that sealed it. The
    /// header's position, chain and payload length are set here. Gives the frame's digest, the leaf
    /// of the segment's tree.
    pub fn seal(&mut self, header: &FrameHeader, payload: &[u8], out: &mut Vec<u8>) -> [u8; 32] {
        let header = self.header(header, payload.len());
        let frame = frame_digest(&header.digested(), payload);
        let tag = self.key.as_mut().map_or([0; 16], |key| {
            let tag = key.tag(self.chain, &frame);
            key.advance();
            tag
        });
        header.write(tag, payload, out);
        self.chain = chain_next(self.chain, self.position, &frame, tag);
        self.position += 1;
        frame
    }
}

/// What a frame's seal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SealCheck {
    /// Made with the key of that position, after that chain.
    Good,
    /// Not so: the frame, or what stands before it, was changed.
    Bad,
    /// There is no key to check it with, or the journal is unsealed.
    Unchecked,
}

/// The judge's side: follows the chain, and checks tags where it has the keys.
#[derive(Clone, Debug)]
pub struct Follower {
    chain: ChainValue,
    key: Option<FrameKey>,
}

impl Follower {
    /// Follows from a chain value. With the enrolment's secret, tags are checked.
    #[must_use]
    pub fn new(chain: ChainValue, secret: Option<&EnrolmentSecret>) -> Self {
        Self {
            chain,
            key: secret.map(FrameKey::first),
        }
    }

    /// The chain after the last frame.
    #[must_use]
    pub const fn chain(&self) -> ChainValue {
        self.chain
    }

    /// How many keys must be derived to reach the one of a position.
    #[must_use]
    pub fn steps_to(&self, position: u64) -> u64 {
        self.key
            .as_ref()
            .map_or(0, |key| position.saturating_sub(key.position))
    }

    /// Checks a frame at the position at which it must stand and behind the chain that was
    /// followed, and follows the chain over it. A frame that names another position or
    /// another chain is [`SealCheck::Bad`] for who has a key.
    pub fn follow(&mut self, frame: &Frame<'_>, position: u64) -> SealCheck {
        let digest = frame_digest(frame.digested, frame.payload);
        let (linked, header) = (frame.header.before == self.chain, &frame.header);
        if linked && header.position == position {
            return self.follow_digest(header.before, &digest, frame.tag, position);
        }
        self.chain = chain_next(self.chain, position, &digest, frame.tag);
        match self.key {
            None => SealCheck::Unchecked,
            Some(_) => SealCheck::Bad,
        }
    }

    /// Checks a frame by itself, by its digest ([`frame_digest`]), its tag, and what its header
    /// names: the chain before it and its position. Whether that is the chain that was followed is
    /// the caller's to ask. Digests can be taken apart from each other, and at once.
    ///
    /// The key is derived from `position`; positions only rise, as keys only go one way. A position
    /// before the one reached is [`SealCheck::Bad`]. At most [`STEPS_MAX`] keys are derived for one frame.
    pub fn follow_digest(
        &mut self,
        before: ChainValue,
        digest: &[u8; 32],
        tag: [u8; 16],
        position: u64,
    ) -> SealCheck {
        let check = match &mut self.key {
            None => SealCheck::Unchecked,
            Some(key) if position < key.position() || position - key.position() > STEPS_MAX => {
                SealCheck::Bad
            }
            Some(key) => {
                while key.position() < position {
                    key.advance();
                }
                if constant_time_equal(&key.tag(before, digest), &tag) {
                    SealCheck::Good
                } else {
                    SealCheck::Bad
                }
            }
        };
        self.chain = chain_next(before, position, digest, tag);
        check
    }
}

/// Most keys that are derived to reach a frame after a gap: 2^28 take some 80 s, and are a
/// recording of eight years at one frame a second. A header that lies costs no more.
pub const STEPS_MAX: u64 = 1 << 28;

/// Compares without a branch on the bytes: how long it takes says nothing about where they differ.
fn constant_time_equal(left: &[u8; 16], right: &[u8; 16]) -> bool {
    left.iter()
        .zip(right)
        .fold(0, |difference, (a, b)| difference | (a ^ b))
        == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::BootId;
    use crate::journal::FrameKind;

    const SECRET: [u8; 32] = [3; 32];

    fn heartbeat() -> FrameHeader {
        FrameHeader {
            kind: FrameKind::Heartbeat,
            position: 0,
            first_seq: 0,
            events: 0,
            payload_len: 0,
            raw_len: 0,
            boot: BootId([1; 16]),
            boot_us: 10,
            wall_us: 20,
            lost: 0,
            before: ChainValue([0; 32]),
            of_events: None,
        }
    }

    fn recording(frames: usize) -> Vec<Vec<u8>> {
        let start = chain_start(EnrolmentId([9; 16]));
        let mut sealer = Sealer::sealed(start, FrameKey::first(&EnrolmentSecret(SECRET)));
        (0..frames)
            .map(|_| {
                let mut bytes = Vec::new();
                sealer.seal(&heartbeat(), b"", &mut bytes);
                bytes
            })
            .collect()
    }

    fn checks(frames: &[Vec<u8>], secret: [u8; 32]) -> Vec<SealCheck> {
        let secret = EnrolmentSecret(secret);
        let mut follower = Follower::new(chain_start(EnrolmentId([9; 16])), Some(&secret));
        (0_u64..)
            .zip(frames)
            .map(|(position, bytes)| follower.follow(&FrameHeader::read(bytes).unwrap(), position))
            .collect()
    }

    #[test]
    fn a_whole_recording_holds() {
        assert_eq!(checks(&recording(5), SECRET), [SealCheck::Good; 5]);
    }

    #[test]
    fn another_key_does_not_hold() {
        assert_eq!(checks(&recording(2), [4; 32]), [SealCheck::Bad; 2]);
    }

    #[test]
    fn swapped_deleted_and_repeated_frames_do_not_hold() {
        let whole = recording(5);
        let order = |places: &[usize]| {
            places
                .iter()
                .map(|&at| whole[at].clone())
                .collect::<Vec<_>>()
        };
        for places in [&[0, 2, 1, 3][..], &[0, 2, 3], &[0, 0, 1], &[1, 2]] {
            assert!(
                checks(&order(places), SECRET).contains(&SealCheck::Bad),
                "{places:?}"
            );
        }
    }

    #[test]
    fn a_key_does_not_lead_back() {
        let secret = EnrolmentSecret(SECRET);
        let mut later = FrameKey::first(&secret);
        later.advance();
        let thief = Sealer::sealed(
            chain_start(EnrolmentId([9; 16])),
            FrameKey::resume(*later.bytes(), 0),
        );
        let mut forged = thief;
        let mut bytes = Vec::new();
        forged.seal(&heartbeat(), b"", &mut bytes);
        assert_eq!(checks(&[bytes], SECRET), [SealCheck::Bad]);
    }
}

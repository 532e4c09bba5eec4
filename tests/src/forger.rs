//! The forger: changes journals as someone would who has the format's table and no key.
//!
//! It shares no code with the writer or the reader: offsets, checksum and chain are written
//! here a second time, from `docs/JOURNAL.md`.

use std::ops::Range;

/// Offset of the header's length, after this field itself.
const CONTENT: usize = 4;
/// Offset of the frame's kind.
pub const KIND: usize = 13;
/// Offset of the frame's position.
pub const POSITION: usize = 16;
/// Offset of the number of the first event.
pub const FIRST_SEQ: usize = 24;
/// Offset of the payload's length.
pub const PAYLOAD_LEN: usize = 36;
/// Offset of the payload's length before compression.
pub const RAW_LEN: usize = 40;
/// Offset of the boot clock.
pub const BOOT_US: usize = 60;
/// Offset of the wall clock.
pub const WALL_US: usize = 68;
/// Offset of the loss counter.
pub const LOST: usize = 76;
/// Offset of the chain before the frame.
pub const BEFORE: usize = 84;
/// Offset of the earliest wall clock of an event, in a frame of events.
pub const FIRST_US: usize = 116;
/// Offset of the kinds that are present, in a frame of events.
pub const KINDS: usize = 132;
/// Code of an opening.
const OPEN: u8 = 1;
/// Bytes of tag and checksum, which end a header.
const TAG_AND_CRC: usize = 20;

/// A segment, taken apart into its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames(pub Vec<Vec<u8>>);

impl Frames {
    /// Takes a segment apart by the lengths in its headers.
    ///
    /// # Panics
    /// If it is not a whole segment: a forger begins with a good one.
    #[must_use]
    pub fn of(segment: &[u8]) -> Self {
        let mut frames = Vec::new();
        let mut rest = segment;
        while !rest.is_empty() {
            let len = header_len(rest) + size(u32_at(rest, PAYLOAD_LEN));
            let (frame, after) = rest.split_at(len);
            frames.push(frame.to_vec());
            rest = after;
        }
        Self(frames)
    }

    /// The segment.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// Where each frame lies in the segment.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<usize>> {
        let mut at = 0;
        let ranges = self.0.iter().map(|frame| {
            let start = at;
            at += frame.len();
            start..at
        });
        ranges.collect()
    }

    /// The same without a frame.
    #[must_use]
    pub fn without(&self, index: usize) -> Self {
        let mut frames = self.0.clone();
        frames.remove(index);
        Self(frames)
    }

    /// The same with a frame twice.
    #[must_use]
    pub fn with_twice(&self, index: usize) -> Self {
        let mut frames = self.0.clone();
        frames.insert(index, frames[index].clone());
        Self(frames)
    }

    /// The same with two frames in each other's place.
    #[must_use]
    pub fn swapped(&self, left: usize, right: usize) -> Self {
        let mut frames = self.0.clone();
        frames.swap(left, right);
        Self(frames)
    }
}

/// Flips one bit.
pub fn flip(bytes: &mut [u8], bit: usize) {
    bytes[bit / 8] ^= 1 << (bit % 8);
}

/// Sets a field of eight bytes, and makes the checksum good again.
pub fn set_u64(frame: &mut [u8], offset: usize, value: u64) {
    frame[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    mend(frame);
}

/// A field of eight bytes.
#[must_use]
pub fn u64_at(frame: &[u8], offset: usize) -> u64 {
    let bytes = frame[offset..offset + 8].try_into();
    u64::from_le_bytes(bytes.expect("eight bytes are eight bytes"))
}

/// Whether a header of a length that the format knows begins here, and is whole.
#[must_use]
pub fn is_framed(bytes: &[u8]) -> bool {
    let content = bytes.get(CONTENT..CONTENT + 4);
    let known = [[128, 0, 0, 0], [184, 0, 0, 0]];
    let known = content.is_some_and(|content| known.iter().any(|known| known == content));
    known && bytes.len() >= header_len(bytes)
}

/// Makes a frame's checksum good again, as anyone can.
pub fn mend(frame: &mut [u8]) {
    let header = header_len(frame);
    let crc = crc32(&[&frame[..header - 4], &frame[header..]].concat());
    frame[header - 4..header].copy_from_slice(&crc.to_le_bytes());
}

/// Takes the seals off a whole journal and makes it say that it never had any: openings are
/// rewritten, the chain is computed anew, checkpoints are left out and positions close up.
#[must_use]
pub fn strip(segments: &[Vec<u8>], enrolment: [u8; 16]) -> Vec<Vec<u8>> {
    let mut chain = hash("chain start", &[&enrolment]);
    let mut position = 0_u64;
    let strip_one = |segment: &Vec<u8>| {
        let mut out = Vec::new();
        for frame in Frames::of(segment).0 {
            const CHECKPOINT: u8 = 9;
            if frame[KIND] == CHECKPOINT {
                continue;
            }
            let mut frame = if frame[KIND] == OPEN {
                unsealed_opening(&frame)
            } else {
                frame
            };
            frame[BEFORE..BEFORE + 32].copy_from_slice(&chain);
            let header = header_len(&frame);
            frame[header - TAG_AND_CRC..header - 4].fill(0);
            set_u64(&mut frame, POSITION, position);
            chain = next_chain(&chain, &frame);
            position += 1;
            out.extend(frame);
        }
        out
    };
    segments.iter().map(strip_one).collect()
}

/// The chain after a frame.
fn next_chain(before: &[u8; 32], frame: &[u8]) -> [u8; 32] {
    let header = header_len(frame);
    let tag_at = header - TAG_AND_CRC;
    let payload = hash("payload", &[&frame[header..]]);
    let digest = hash("frame", &[&frame[..tag_at], &payload]);
    let position = &frame[POSITION..POSITION + 8];
    let tag = &frame[tag_at..tag_at + 16];
    hash("chain", &[before, position, &digest, tag])
}

fn hash(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(&format!("saigen journal v1 {domain}"));
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// An opening that says that nothing is sealed.
fn unsealed_opening(frame: &[u8]) -> Vec<u8> {
    let header = header_len(frame);
    let raw = zstd::bulk::decompress(&frame[header..], size(u32_at(frame, RAW_LEN)))
        .expect("an opening decompresses");
    let text = String::from_utf8(raw).expect("an opening is JSON");
    let text = text.replace("\"sealed\":true", "\"sealed\":false");
    let payload = zstd::bulk::compress(text.as_bytes(), 1).expect("memory compresses");
    let mut forged = frame[..header].to_vec();
    for (offset, len) in [(PAYLOAD_LEN, payload.len()), (RAW_LEN, text.len())] {
        let len = u32::try_from(len).expect("an opening is short");
        forged[offset..offset + 4].copy_from_slice(&len.to_le_bytes());
    }
    forged.extend(payload);
    mend(&mut forged);
    forged
}

fn header_len(frame: &[u8]) -> usize {
    size(u32_at(frame, CONTENT)) + 8
}

fn u32_at(frame: &[u8], offset: usize) -> u32 {
    let bytes = frame[offset..offset + 4].try_into();
    u32::from_le_bytes(bytes.expect("four bytes are four bytes"))
}

fn size(len: u32) -> usize {
    usize::try_from(len).expect("a length fits memory")
}

/// CRC-32 as in IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let carry = if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            (crc >> 1) ^ carry
        })
    };
    !bytes.iter().fold(!0, fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}

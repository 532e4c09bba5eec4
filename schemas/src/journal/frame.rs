//! The frame: the unit that is sealed, checked, lost and decoded alone.

use crate::event::BootId;
use crate::journal::FORMAT_VERSION;
use crate::journal::limits::{FRAME_EVENTS_MAX, FRAME_PAYLOAD_BYTES_MAX, FRAME_RAW_BYTES_MAX};
use crate::journal::seal::ChainValue;

/// First four bytes of a frame: a skippable frame of Zstandard, RFC 8878 §3.1.2.
pub const FRAME_MAGIC: u32 = 0x184d_2a5e;

/// Four bytes that tell our frames from other users of skippable frames, and help to find the
/// next frame after damage.
const SIGNATURE: [u8; 4] = *b"SAJ\0";

/// Bytes of the part that every header has.
const FIXED_BYTES: usize = 116;

/// Bytes of what a header says of events: times, kinds, root.
const OF_EVENTS_BYTES: usize = 56;

/// Bytes of tag and checksum, which end a header.
const SEAL_BYTES: usize = 20;

/// Bytes of the header of a frame without events: the shortest frame.
pub const HEADER_BYTES_MIN: usize = FIXED_BYTES + SEAL_BYTES;

/// Bytes of the header of a frame with events.
pub const HEADER_BYTES_MAX: usize = FIXED_BYTES + OF_EVENTS_BYTES + SEAL_BYTES;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameKind {
    /// Opens a segment; its payload is an [`crate::journal::Opening`].
    Open,
    /// Events.
    Data,
    /// Nothing happened; the recorder was alive. No payload.
    Heartbeat,
    /// Events about losses.
    Loss,
    /// The wall clock was stepped.
    Clock,
    /// The machine slept.
    Suspend,
    /// The recording began, or goes on in another boot.
    Boot,
    /// What is recorded changed.
    Configuration,
    /// A signature over what came before.
    Checkpoint,
    /// The recording ended as it should. No payload.
    Close,
    /// The oldest segments were removed to make room; its payload is a
    /// [`crate::journal::Removed`].
    Removed,
}

impl FrameKind {
    /// Every kind, by code.
    pub const ALL: [Self; 11] = [
        Self::Open,
        Self::Data,
        Self::Heartbeat,
        Self::Loss,
        Self::Clock,
        Self::Suspend,
        Self::Boot,
        Self::Configuration,
        Self::Checkpoint,
        Self::Close,
        Self::Removed,
    ];

    /// The code in the header, from 1.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Data => 2,
            Self::Heartbeat => 3,
            Self::Loss => 4,
            Self::Clock => 5,
            Self::Suspend => 6,
            Self::Boot => 7,
            Self::Configuration => 8,
            Self::Checkpoint => 9,
            Self::Close => 10,
            Self::Removed => 11,
        }
    }

    /// The word for reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Data => "data",
            Self::Heartbeat => "heartbeat",
            Self::Loss => "loss",
            Self::Clock => "clock",
            Self::Suspend => "suspend",
            Self::Boot => "boot",
            Self::Configuration => "configuration",
            Self::Checkpoint => "checkpoint",
            Self::Close => "close",
            Self::Removed => "removed",
        }
    }

    /// The kind of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether its payload holds events as columns.
    #[must_use]
    pub const fn holds_events(self) -> bool {
        match self {
            Self::Data
            | Self::Loss
            | Self::Clock
            | Self::Suspend
            | Self::Boot
            | Self::Configuration => true,
            Self::Open | Self::Heartbeat | Self::Checkpoint | Self::Close | Self::Removed => false,
        }
    }
}

/// The header of a frame.
///
/// | Offset | Size | Field         | Meaning                                                     |
/// |-------:|-----:|---------------|-------------------------------------------------------------|
/// |      0 |    4 | `magic`       | `0x184d2a5e`: a skippable frame, RFC 8878                   |
/// |      4 |    4 | `content`     | bytes of the header after this field: 128, or 184 in a frame of events |
/// |      8 |    4 | `signature`   | `SAJ` and NUL                                               |
/// |     12 |    1 | `version`     | 0                                                           |
/// |     13 |    1 | `kind`        | [`FrameKind::code`]                                         |
/// |     14 |    2 | reserved      | 0                                                           |
/// |     16 |    8 | `position`    | number of the frame in its enrolment, from 0, never reset   |
/// |     24 |    8 | `first_seq`   | number of its first event, never reset                      |
/// |     32 |    4 | `events`      | events in the payload                                       |
/// |     36 |    4 | `payload_len` | bytes of the payload, which follows the header; 0 for none  |
/// |     40 |    4 | `raw_len`     | bytes of the payload before compression                     |
/// |     44 |   16 | `boot`        | the boot in which it was sealed                             |
/// |     60 |    8 | `boot_us`     | boot clock when it was sealed, µs                           |
/// |     68 |    8 | `wall_us`     | wall clock when it was sealed, µs since 1970, signed        |
/// |     76 |    8 | `lost`        | events lost so far over all sources, as the sources count   |
/// |     84 |   32 | `before`      | the chain before this frame ([`crate::journal::seal`])      |
/// |    116 |    8 | `first_us`    | earliest wall clock of an event, µs; in a frame of events   |
/// |    124 |    8 | `last_us`     | latest wall clock of an event, µs; in a frame of events     |
/// |    132 |    8 | `kinds`       | kinds of events present: bit by code; in a frame of events  |
/// |    140 |   32 | `root`        | Merkle root of the events ([`crate::journal::merkle`]); in a frame of events |
/// | 116 or 172 | 16 | `tag`       | the seal ([`crate::journal::seal`]); 0 in an unsealed journal |
/// | 132 or 188 |  4 | `crc`       | CRC-32 (IEEE) of the header before this field and the payload |
///
/// All numbers are little-endian. Invariants: `first_seq + events` is the `first_seq` of the next
/// frame, and `position + 1` its position; a difference is a missing frame. The chain after a frame
/// is `before` of the next. What is said of events is there exactly where the kind holds events,
/// of which there is then at least one.
///
/// `before` is what a reader could compute from the frame before. It stands here so that damage in
/// one frame costs that frame: behind it seals and signatures can be checked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame is for.
    pub kind: FrameKind,
    /// Number of the frame in its enrolment.
    pub position: u64,
    /// Number of its first event.
    pub first_seq: u64,
    /// Events in the payload.
    pub events: u32,
    /// Bytes of the payload.
    pub payload_len: u32,
    /// Bytes of the payload before compression.
    pub raw_len: u32,
    /// The boot in which it was sealed.
    pub boot: BootId,
    /// Boot clock when it was sealed, µs.
    pub boot_us: u64,
    /// Wall clock when it was sealed, µs.
    pub wall_us: i64,
    /// Events lost so far, over all sources.
    pub lost: u64,
    /// The chain before this frame.
    pub before: ChainValue,
    /// What it says of its events; `None` exactly where the kind holds none.
    pub of_events: Option<OfEvents>,
}

/// What a header says of the events in its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfEvents {
    /// Earliest wall clock of an event, µs.
    pub first_us: i64,
    /// Latest wall clock of an event, µs.
    pub last_us: i64,
    /// Kinds present: bit by code.
    pub kinds: u64,
    /// Merkle root of the events.
    pub root: [u8; 32],
}

/// What is wrong with a frame's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// They end before the header does.
    CutHeader {
        /// Bytes that were left.
        left: usize,
    },
    /// They end before the payload does.
    CutPayload {
        /// Bytes that the header promises.
        expected: u32,
        /// Bytes that were left.
        left: usize,
    },
    /// They do not begin as a frame begins.
    NoFrame,
    /// They are of a version that this program does not know.
    Version {
        /// The version that they name.
        found: u8,
    },
    /// The checksum does not hold: the bytes were damaged.
    Checksum {
        /// The checksum that stands there.
        expected: u32,
        /// The checksum of the bytes.
        found: u32,
    },
    /// The checksum holds, and a field has a value that no writer gives it.
    Field {
        /// Which field.
        field: &'static str,
    },
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CutHeader { left } => {
                write!(
                    f,
                    "frame header needs {HEADER_BYTES_MIN} bytes or more, {left} left"
                )
            }
            Self::CutPayload { expected, left } => {
                write!(f, "payload needs {expected} bytes, {left} left")
            }
            Self::NoFrame => write!(f, "no frame begins here"),
            Self::Version { found } => write!(
                f,
                "format version {found}, this program reads {FORMAT_VERSION}"
            ),
            Self::Checksum { expected, found } => {
                write!(
                    f,
                    "checksum {found:08x} of the frame, {expected:08x} expected"
                )
            }
            Self::Field { field } => write!(f, "frame header has an impossible {field}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// A frame as it stands in a file, its checksum checked, its seal not.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its header.
    pub header: FrameHeader,
    /// The bytes of the header that the digest covers.
    pub digested: &'a [u8],
    /// The seal as it stands there.
    pub tag: [u8; 16],
    /// Its payload, compressed.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of the whole frame in the file.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a frame has a header: it is never empty"
    )]
    pub const fn len(&self) -> usize {
        self.digested.len() + SEAL_BYTES + self.payload.len()
    }
}

impl FrameHeader {
    /// The header's bytes up to the tag.
    #[must_use]
    pub fn digested(&self) -> Vec<u8> {
        let content = if self.of_events.is_some() {
            HEADER_BYTES_MAX - 8
        } else {
            HEADER_BYTES_MIN - 8
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES_MAX);
        bytes.extend_from_slice(&FRAME_MAGIC.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(content).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(&SIGNATURE);
        bytes.extend_from_slice(&[FORMAT_VERSION, self.kind.code(), 0, 0]);
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.extend_from_slice(&self.first_seq.to_le_bytes());
        bytes.extend_from_slice(&self.events.to_le_bytes());
        bytes.extend_from_slice(&self.payload_len.to_le_bytes());
        bytes.extend_from_slice(&self.raw_len.to_le_bytes());
        bytes.extend_from_slice(&self.boot.0);
        bytes.extend_from_slice(&self.boot_us.to_le_bytes());
        bytes.extend_from_slice(&self.wall_us.to_le_bytes());
        bytes.extend_from_slice(&self.lost.to_le_bytes());
        bytes.extend_from_slice(&self.before.0);
        if let Some(of_events) = &self.of_events {
            bytes.extend_from_slice(&of_events.first_us.to_le_bytes());
            bytes.extend_from_slice(&of_events.last_us.to_le_bytes());
            bytes.extend_from_slice(&of_events.kinds.to_le_bytes());
            bytes.extend_from_slice(&of_events.root);
        }
        bytes
    }

    /// Appends the frame to `out`: header, tag, checksum, payload.
    pub(crate) fn write(&self, tag: [u8; 16], payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.digested());
        out.extend_from_slice(&tag);
        let crc = checksum(out.get(start..).unwrap_or_default(), payload);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(payload);
    }

    /// Bytes of header and payload that the front of `bytes` promises. Nothing of it is checked
    /// but that a reader may allocate that much.
    ///
    /// # Errors
    /// Where no frame begins there, or less than the fixed part of a header is left.
    pub fn promised_len(bytes: &[u8]) -> Result<usize, FrameError> {
        Self::promised(bytes).map(|(header, payload)| header + payload as usize)
    }

    /// The kind that the front of `bytes` promises. Nothing of it is checked.
    #[must_use]
    pub fn promised_kind(bytes: &[u8]) -> Option<FrameKind> {
        bytes.get(13).and_then(|&code| FrameKind::from_code(code))
    }

    /// Bytes of the header, and of the payload.
    fn promised(bytes: &[u8]) -> Result<(usize, u32), FrameError> {
        // As much of magic and signature as there is: what is cut begins as a frame too.
        let starts = |at: usize, mark: [u8; 4]| {
            let there = bytes.get(at..).unwrap_or_default();
            there.iter().zip(mark).all(|(byte, mark)| *byte == mark)
        };
        if !starts(0, FRAME_MAGIC.to_le_bytes()) || !starts(8, SIGNATURE) {
            return Err(FrameError::NoFrame);
        }
        let cut = FrameError::CutHeader { left: bytes.len() };
        let fixed = bytes.first_chunk::<FIXED_BYTES>().ok_or(cut)?;
        let header_bytes = match usize::try_from(u32::from_le_bytes(at(fixed, 4)))
            .map(|content| content.saturating_add(8))
        {
            Ok(bytes @ (HEADER_BYTES_MIN | HEADER_BYTES_MAX)) => bytes,
            Ok(_) | Err(_) => return Err(FrameError::Field { field: "content" }),
        };
        let payload_len = u32::from_le_bytes(at(fixed, 36));
        if payload_len as usize <= FRAME_PAYLOAD_BYTES_MAX {
            Ok((header_bytes, payload_len))
        } else {
            Err(FrameError::Field {
                field: "payload_len",
            })
        }
    }

    /// Reads the frame at the front of `bytes`. What follows it does not matter.
    ///
    /// # Errors
    /// Where the bytes are cut, damaged, of another version, or no frame. Nothing is allocated.
    pub fn read(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
        let (header_bytes, payload_len) = Self::promised(bytes)?;
        let cut = FrameError::CutHeader { left: bytes.len() };
        let (header, rest) = bytes.split_at_checked(header_bytes).ok_or(cut)?;
        let (payload, _) =
            rest.split_at_checked(payload_len as usize)
                .ok_or(FrameError::CutPayload {
                    expected: payload_len,
                    left: rest.len(),
                })?;
        let (covered, crc) = header.split_last_chunk::<4>().ok_or(cut)?;
        let (digested, tag) = covered.split_last_chunk::<16>().ok_or(cut)?;
        let expected = u32::from_le_bytes(*crc);
        let found = checksum(covered, payload);
        if found != expected {
            return Err(FrameError::Checksum { expected, found });
        }
        let header = Self::read_digested(digested)?;
        Ok(Frame {
            header,
            digested,
            tag: *tag,
            payload,
        })
    }

    /// Bytes of a header up to its tag, as the front of `bytes` says; `None` where no frame begins.
    #[must_use]
    pub fn digested_len(bytes: &[u8]) -> Option<usize> {
        let (header, _) = Self::promised(bytes).ok()?;
        Some(header - SEAL_BYTES)
    }

    /// Reads a header that ends before its tag, as it stands in a proof.
    ///
    /// # Errors
    /// Where a field has a value that no writer gives it, or the length is another.
    pub fn read_digested(digested: &[u8]) -> Result<Self, FrameError> {
        let cut = FrameError::CutHeader {
            left: digested.len(),
        };
        let fixed = digested.first_chunk::<FIXED_BYTES>().ok_or(cut)?;
        if Self::digested_len(digested) != Some(digested.len()) {
            return Err(FrameError::Field { field: "content" });
        }
        let of_events = digested
            .get(FIXED_BYTES..)
            .and_then(|bytes| <&[u8; OF_EVENTS_BYTES]>::try_from(bytes).ok())
            .map(OfEvents::read);
        Self::read_fields(fixed, of_events)
    }

    fn read_fields(
        header: &[u8; FIXED_BYTES],
        of_events: Option<OfEvents>,
    ) -> Result<Self, FrameError> {
        let field = |ok: bool, field: &'static str| {
            if ok {
                Ok(())
            } else {
                Err(FrameError::Field { field })
            }
        };
        if header[12] != FORMAT_VERSION {
            return Err(FrameError::Version { found: header[12] });
        }
        field(header[14..16] == [0, 0], "reserved field")?;
        let kind = FrameKind::from_code(header[13]).ok_or(FrameError::Field { field: "kind" })?;
        let read = Self {
            kind,
            position: u64::from_le_bytes(at(header, 16)),
            first_seq: u64::from_le_bytes(at(header, 24)),
            events: u32::from_le_bytes(at(header, 32)),
            payload_len: u32::from_le_bytes(at(header, 36)),
            raw_len: u32::from_le_bytes(at(header, 40)),
            boot: BootId(at(header, 44)),
            boot_us: u64::from_le_bytes(at(header, 60)),
            wall_us: i64::from_le_bytes(at(header, 68)),
            lost: u64::from_le_bytes(at(header, 76)),
            before: ChainValue(at(header, 84)),
            of_events,
        };
        field(read.raw_len as usize <= FRAME_RAW_BYTES_MAX, "raw_len")?;
        field(read.events as usize <= FRAME_EVENTS_MAX, "events")?;
        field(
            kind.holds_events() == (read.events > 0),
            "number of events for its kind",
        )?;
        field(
            kind.holds_events() == of_events.is_some(),
            "length for its kind",
        )?;
        Ok(read)
    }
}

impl OfEvents {
    fn read(bytes: &[u8; OF_EVENTS_BYTES]) -> Self {
        Self {
            first_us: i64::from_le_bytes(at(bytes, 0)),
            last_us: i64::from_le_bytes(at(bytes, 8)),
            kinds: u64::from_le_bytes(at(bytes, 16)),
            root: at(bytes, 24),
        }
    }
}

/// Where the next frame may begin at or after the front of `bytes`: the offset of magic and
/// signature. For readers that lost their way in damage.
#[must_use]
pub fn find_frame(bytes: &[u8]) -> Option<usize> {
    let magic = FRAME_MAGIC.to_le_bytes();
    bytes
        .windows(12)
        .position(|window| window.starts_with(&magic) && window.ends_with(&SIGNATURE))
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header);
    crc.update(payload);
    crc.finalize()
}

/// Makes the checksum of a whole frame good again, as anyone can.
#[cfg(test)]
pub(crate) fn mend(frame: &mut [u8]) {
    let header = match FrameHeader::promised(frame) {
        Ok((header, _)) => header,
        Err(_) => return,
    };
    let crc = checksum(&frame[..header - 4], &frame[header..]);
    frame[header - 4..header].copy_from_slice(&crc.to_le_bytes());
}

/// The bytes of a field at an offset of the table.
fn at<const N: usize, const ALL: usize>(header: &[u8; ALL], offset: usize) -> [u8; N] {
    header
        .get(offset..offset + N)
        .and_then(|bytes| bytes.try_into().ok())
        .expect("fields of the table lie in what it describes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: FrameKind, payload_len: u32) -> FrameHeader {
        FrameHeader {
            kind,
            position: 3,
            first_seq: 40,
            events: u32::from(kind.holds_events()),
            payload_len,
            raw_len: 9,
            boot: BootId([5; 16]),
            boot_us: 77,
            wall_us: -1,
            lost: 4,
            before: ChainValue([7; 32]),
            of_events: kind.holds_events().then_some(OfEvents {
                first_us: -9,
                last_us: -2,
                kinds: 2,
                root: [6; 32],
            }),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for kind in FrameKind::ALL {
            let mut bytes = Vec::new();
            header(kind, 5).write([8; 16], b"bytes", &mut bytes);
            let frame = FrameHeader::read(&bytes).unwrap();
            assert_eq!(frame.len(), bytes.len());
            assert_eq!(
                (frame.header, frame.tag, frame.payload),
                (header(kind, 5), [8; 16], &b"bytes"[..])
            );
            assert_eq!(find_frame(&bytes), Some(0));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut bytes = Vec::new();
        header(FrameKind::Data, 5).write([8; 16], b"bytes", &mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::read(&damaged).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(FrameHeader::read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_segment_is_an_ordinary_zstandard_file() {
        let payload = zstd::bulk::compress(b"events", 3).unwrap();
        let mut bytes = Vec::new();
        for _ in 0..3 {
            header(FrameKind::Data, u32::try_from(payload.len()).unwrap())
                .write([0; 16], &payload, &mut bytes);
        }
        assert_eq!(
            zstd::stream::decode_all(&*bytes).unwrap(),
            b"eventseventsevents"
        );
    }
}

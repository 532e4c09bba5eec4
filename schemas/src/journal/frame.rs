//! The frame: the unit that is sealed, checked, lost and decoded alone.

use crate::event::BootId;
use crate::journal::FORMAT_VERSION;
use crate::journal::limits::{FRAME_EVENTS_MAX, FRAME_PAYLOAD_BYTES_MAX, FRAME_RAW_BYTES_MAX};

/// First four bytes of a frame: a skippable frame of Zstandard, RFC 8878 §3.1.2.
pub const FRAME_MAGIC: u32 = 0x184d_2a5e;

/// Second four bytes: the bytes of the skippable frame after them.
const CONTENT_BYTES: u32 = 136;

/// Four bytes that tell our frames from other users of skippable frames, and help to find the
/// next frame after damage.
const SIGNATURE: [u8; 4] = *b"SAJ\0";

/// Bytes of a frame before its payload.
pub const HEADER_BYTES: usize = 144;

/// Bytes of the header that the digest covers: all but tag and checksum.
const DIGESTED_BYTES: usize = 120;

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
}

impl FrameKind {
    /// Every kind, by code.
    pub const ALL: [Self; 10] = [
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
            Self::Open | Self::Heartbeat | Self::Checkpoint | Self::Close => false,
        }
    }
}

/// The header of a frame.
///
/// | Offset | Size | Field         | Meaning                                                     |
/// |-------:|-----:|---------------|-------------------------------------------------------------|
/// |      0 |    4 | `magic`       | `0x184d2a5e`: a skippable frame, RFC 8878                   |
/// |      4 |    4 | `content`     | 136: bytes of the header after this field                   |
/// |      8 |    4 | `signature`   | `SAJ` and NUL                                               |
/// |     12 |    1 | `version`     | 0                                                           |
/// |     13 |    1 | `kind`        | [`FrameKind::code`]                                         |
/// |     14 |    2 | reserved      | 0                                                           |
/// |     16 |    8 | `position`    | number of the frame in its enrolment, from 0, never reset   |
/// |     24 |    8 | `first_seq`   | number of its first event, never reset                      |
/// |     32 |    4 | `events`      | events in the payload                                       |
/// |     36 |    4 | `payload_len` | bytes of the payload, which follows the header; 0 for none  |
/// |     40 |    4 | `raw_len`     | bytes of the payload before compression                     |
/// |     44 |    4 | reserved      | 0                                                           |
/// |     48 |   16 | `boot`        | the boot in which it was sealed                             |
/// |     64 |    8 | `boot_us`     | boot clock when it was sealed, µs                           |
/// |     72 |    8 | `wall_us`     | wall clock when it was sealed, µs since 1970, signed        |
/// |     80 |    8 | `first_us`    | earliest wall clock of an event, µs; `wall_us` without events |
/// |     88 |    8 | `last_us`     | latest wall clock of an event, µs; `wall_us` without events |
/// |     96 |    8 | `kinds`       | kinds of events present: bit by code                        |
/// |    104 |    8 | `lost`        | events lost so far over all sources, as the sources count   |
/// |    112 |    8 | reserved      | 0                                                           |
/// |    120 |   16 | `tag`         | the seal ([`crate::journal::seal`]); 0 in an unsealed journal |
/// |    136 |    4 | reserved      | 0                                                           |
/// |    140 |    4 | `crc`         | CRC-32 (IEEE) of the header before this field and the payload |
///
/// All numbers are little-endian. Invariants: `first_seq + events` is the `first_seq` of the next
/// frame, and `position + 1` its position; a difference is a missing frame.
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
    /// Earliest wall clock of an event, µs.
    pub first_us: i64,
    /// Latest wall clock of an event, µs.
    pub last_us: i64,
    /// Kinds of events present.
    pub kinds: u64,
    /// Events lost so far, over all sources.
    pub lost: u64,
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
                write!(f, "frame header needs {HEADER_BYTES} bytes, {left} left")
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
    pub digested: &'a [u8; DIGESTED_BYTES],
    /// The seal as it stands there.
    pub tag: [u8; 16],
    /// Its payload, compressed.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of the whole frame in the file.
    #[must_use]
    pub const fn len(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// Never: a frame has a header.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }
}

impl FrameHeader {
    /// The header's bytes up to the tag.
    #[must_use]
    pub fn digested(&self) -> [u8; DIGESTED_BYTES] {
        let mut bytes = Vec::with_capacity(DIGESTED_BYTES);
        bytes.extend_from_slice(&FRAME_MAGIC.to_le_bytes());
        bytes.extend_from_slice(&CONTENT_BYTES.to_le_bytes());
        bytes.extend_from_slice(&SIGNATURE);
        bytes.extend_from_slice(&[FORMAT_VERSION, self.kind.code(), 0, 0]);
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.extend_from_slice(&self.first_seq.to_le_bytes());
        bytes.extend_from_slice(&self.events.to_le_bytes());
        bytes.extend_from_slice(&self.payload_len.to_le_bytes());
        bytes.extend_from_slice(&self.raw_len.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.boot.0);
        bytes.extend_from_slice(&self.boot_us.to_le_bytes());
        bytes.extend_from_slice(&self.wall_us.to_le_bytes());
        bytes.extend_from_slice(&self.first_us.to_le_bytes());
        bytes.extend_from_slice(&self.last_us.to_le_bytes());
        bytes.extend_from_slice(&self.kinds.to_le_bytes());
        bytes.extend_from_slice(&self.lost.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes
            .try_into()
            .expect("the fields of the table fill the header up to the tag")
    }

    /// Appends the frame to `out`: header, tag, checksum, payload.
    pub(crate) fn write(&self, tag: [u8; 16], payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.digested());
        out.extend_from_slice(&tag);
        out.extend_from_slice(&[0; 4]);
        let crc = checksum(out.get(start..).unwrap_or_default(), payload);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(payload);
    }

    /// Reads the frame at the front of `bytes`. What follows it does not matter.
    ///
    /// # Errors
    /// Where the bytes are cut, damaged, of another version, or no frame. Nothing is allocated.
    pub fn read(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(FrameError::CutHeader { left: bytes.len() })?;
        if header[..4] != FRAME_MAGIC.to_le_bytes() || header[8..12] != SIGNATURE {
            return Err(FrameError::NoFrame);
        }
        let payload_len = u32::from_le_bytes(at(header, 36));
        let payload = usize::try_from(payload_len)
            .ok()
            .filter(|&len| len <= FRAME_PAYLOAD_BYTES_MAX)
            .ok_or(FrameError::Field {
                field: "payload_len",
            })?;
        let (payload, _) = rest
            .split_at_checked(payload)
            .ok_or(FrameError::CutPayload {
                expected: payload_len,
                left: rest.len(),
            })?;
        let expected = u32::from_le_bytes(at(header, 140));
        let found = checksum(&header[..140], payload);
        if found != expected {
            return Err(FrameError::Checksum { expected, found });
        }
        let fields = Self::read_fields(header)?;
        let digested = header.first_chunk().ok_or(FrameError::NoFrame)?;
        Ok(Frame {
            header: fields,
            digested,
            tag: at(header, 120),
            payload,
        })
    }

    fn read_fields(header: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let field = |ok: bool, field: &'static str| {
            if ok {
                Ok(())
            } else {
                Err(FrameError::Field { field })
            }
        };
        field(
            u32::from_le_bytes(at(header, 4)) == CONTENT_BYTES,
            "content",
        )?;
        if header[12] != FORMAT_VERSION {
            return Err(FrameError::Version { found: header[12] });
        }
        let reserved = [
            &header[14..16],
            &header[44..48],
            &header[112..120],
            &header[136..140],
        ];
        field(
            reserved
                .iter()
                .all(|bytes| bytes.iter().all(|&byte| byte == 0)),
            "reserved field",
        )?;
        let kind = FrameKind::from_code(header[13]).ok_or(FrameError::Field { field: "kind" })?;
        let read = Self {
            kind,
            position: u64::from_le_bytes(at(header, 16)),
            first_seq: u64::from_le_bytes(at(header, 24)),
            events: u32::from_le_bytes(at(header, 32)),
            payload_len: u32::from_le_bytes(at(header, 36)),
            raw_len: u32::from_le_bytes(at(header, 40)),
            boot: BootId(at(header, 48)),
            boot_us: u64::from_le_bytes(at(header, 64)),
            wall_us: i64::from_le_bytes(at(header, 72)),
            first_us: i64::from_le_bytes(at(header, 80)),
            last_us: i64::from_le_bytes(at(header, 88)),
            kinds: u64::from_le_bytes(at(header, 96)),
            lost: u64::from_le_bytes(at(header, 104)),
        };
        field(read.raw_len as usize <= FRAME_RAW_BYTES_MAX, "raw_len")?;
        field(read.events as usize <= FRAME_EVENTS_MAX, "events")?;
        field(
            read.kind.holds_events() == (read.events > 0),
            "events for its kind",
        )?;
        Ok(read)
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

/// The bytes of a field at an offset of the table.
fn at<const N: usize>(header: &[u8; HEADER_BYTES], offset: usize) -> [u8; N] {
    header
        .get(offset..offset + N)
        .and_then(|bytes| bytes.try_into().ok())
        .expect("fields of the table lie in the header")
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
            first_us: -9,
            last_us: -2,
            kinds: 2,
            lost: 0,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for kind in FrameKind::ALL {
            let mut bytes = Vec::new();
            header(kind, 5).write([8; 16], b"bytes", &mut bytes);
            assert_eq!(bytes.len(), HEADER_BYTES + 5);
            let frame = FrameHeader::read(&bytes).unwrap();
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

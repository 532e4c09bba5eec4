//! fanotify's records as the kernel writes them: bytes in, borrowed fields out.
//!
//! The kernel is trusted with the machine, not with our memory: every length is checked
//! against what was read before it is used (fanotify(7)).

use std::fmt;

use crate::source::native::{i32_at, u16_at, u32_at, u64_at};

/// The bytes of an event before its information records.
///
/// | Offset | Size | Field          | Meaning                                        |
/// |-------:|-----:|----------------|------------------------------------------------|
/// |      0 |    4 | `event_len`    | bytes of this event, information included      |
/// |      4 |    1 | `vers`         | version of the structure, 3                    |
/// |      5 |    1 | `reserved`     |                                                |
/// |      6 |    2 | `metadata_len` | bytes before the first information record      |
/// |      8 |    8 | `mask`         | what happened                                  |
/// |     16 |    4 | `fd`           | −1: we ask for identifiers, not descriptors    |
/// |     20 |    4 | `pid`          | who did it; 0 where it cannot be named         |
const METADATA_BYTES: usize = 24;

/// The version of the structure that this reads (`FANOTIFY_METADATA_VERSION`).
const VERSION: u8 = 3;

/// The longest file handle that a kernel makes (`MAX_HANDLE_SZ`).
pub const HANDLE_BYTES_MAX: usize = 128;

/// One event, borrowed from the buffer that it was read into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WireEvent<'a> {
    /// What happened, as bits (`FAN_*`).
    pub mask: u64,
    /// The process that did it, in our PID namespace; 0 if it has no number there.
    pub pid: i32,
    /// The thing that it happened to.
    pub object: Option<FileId<'a>>,
    /// The directory and name where it happened.
    pub at: Option<Place<'a>>,
    /// For a rename: where it was.
    pub from: Option<Place<'a>>,
    /// For a rename: where it is now.
    pub to: Option<Place<'a>>,
}

/// A file's identity: which filesystem, and its handle there (`name_to_handle_at(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId<'a> {
    /// The filesystem, as `statfs(2)` numbers it.
    pub fsid: u64,
    /// The handle's type; what it means is the filesystem's own.
    pub kind: i32,
    /// The handle.
    pub handle: &'a [u8],
}

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The directory.
    pub dir: FileId<'a>,
    /// The name in it; empty for the directory itself.
    pub name: &'a [u8],
}

/// Bytes that are not what fanotify(7) says they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The offset in the buffer.
    pub at: usize,
    /// What should have stood there.
    pub expected: &'static str,
    /// The number that stood there.
    pub found: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at,
            expected,
            found,
        } = self;
        write!(
            out,
            "fanotify event at {at:#x}: expected {expected}, found {found}"
        )
    }
}

impl std::error::Error for Malformed {}

/// The events in `bytes`, one after the other. After an error nothing more comes: where the
/// next event begins is no longer known.
#[must_use]
pub fn events(bytes: &[u8]) -> Events<'_> {
    Events { bytes, at: 0 }
}

/// The iterator behind [`events`].
#[derive(Debug, Clone)]
pub struct Events<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<WireEvent<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..)?;
        if rest.is_empty() {
            return None;
        }
        match parse_event(rest, self.at) {
            Ok((event, len)) => {
                self.at += len;
                Some(Ok(event))
            }
            Err(error) => {
                self.at = self.bytes.len();
                Some(Err(error))
            }
        }
    }
}

/// Reads the event that `bytes` begin with, and its length. `base` is its offset in the buffer.
fn parse_event(bytes: &[u8], base: usize) -> Result<(WireEvent<'_>, usize), Malformed> {
    let cut = Malformed {
        at: base,
        expected: "24 bytes of metadata",
        found: bytes.len(),
    };
    let event_len = u32_at(bytes, 0).ok_or(cut)?;
    let version = *bytes.get(4).ok_or(cut)?;
    let metadata_len = usize::from(u16_at(bytes, 6).ok_or(cut)?);
    let mask = u64_at(bytes, 8).ok_or(cut)?;
    let pid = i32_at(bytes, 20).ok_or(cut)?;
    if version != VERSION {
        return Err(Malformed {
            at: base + 4,
            expected: "version 3",
            found: usize::from(version),
        });
    }
    let len = usize::try_from(event_len).unwrap_or(usize::MAX);
    let event = bytes.get(..len).ok_or(Malformed {
        at: base,
        expected: "a length within the buffer",
        found: len,
    })?;
    if metadata_len < METADATA_BYTES || metadata_len > len {
        return Err(Malformed {
            at: base + 6,
            expected: "a metadata length from 24 to the event's",
            found: metadata_len,
        });
    }
    let mut parsed = WireEvent {
        mask,
        pid,
        ..WireEvent::default()
    };
    let mut at = metadata_len;
    while at < len {
        at += parse_information(&event[at..], base + at, &mut parsed)?;
    }
    Ok((parsed, len))
}

/// Reads one information record into `event` and gives its length.
fn parse_information<'a>(
    bytes: &'a [u8],
    base: usize,
    event: &mut WireEvent<'a>,
) -> Result<usize, Malformed> {
    let cut = Malformed {
        at: base,
        expected: "4 bytes of information header",
        found: bytes.len(),
    };
    let kind = *bytes.first().ok_or(cut)?;
    let len = usize::from(u16_at(bytes, 2).ok_or(cut)?);
    let record = bytes
        .get(..len)
        .filter(|record| record.len() >= 4)
        .ok_or(Malformed {
            at: base + 2,
            expected: "an information length within the event",
            found: len,
        })?;
    match kind {
        libc::FAN_EVENT_INFO_TYPE_FID => event.object = Some(file_id(record, base)?.0),
        libc::FAN_EVENT_INFO_TYPE_DFID | libc::FAN_EVENT_INFO_TYPE_DFID_NAME => {
            event.at = Some(place(record, base)?);
        }
        libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME => event.from = Some(place(record, base)?),
        libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => event.to = Some(place(record, base)?),
        // A kind of information that we did not ask for says nothing that we would record.
        _ => {}
    }
    Ok(len)
}

/// Reads the file's identity out of an information record, and what stands after it.
///
/// | Offset | Size | Field          |
/// |-------:|-----:|----------------|
/// |      4 |    8 | `fsid`         |
/// |     12 |    4 | `handle_bytes` |
/// |     16 |    4 | `handle_type`  |
/// |     20 |    – | handle, then the name |
fn file_id(record: &[u8], base: usize) -> Result<(FileId<'_>, &[u8]), Malformed> {
    let cut = Malformed {
        at: base,
        expected: "20 bytes of file identity",
        found: record.len(),
    };
    let fsid = u64_at(record, 4).ok_or(cut)?;
    let handle_bytes = u32_at(record, 12).ok_or(cut)?;
    let kind = i32_at(record, 16).ok_or(cut)?;
    let handle_bytes = usize::try_from(handle_bytes).unwrap_or(usize::MAX);
    let (handle, rest) = record
        .get(20..)
        .filter(|_| handle_bytes <= HANDLE_BYTES_MAX)
        .and_then(|rest| rest.split_at_checked(handle_bytes))
        .ok_or(Malformed {
            at: base + 12,
            expected: "a handle length within the record, 128 at most",
            found: handle_bytes,
        })?;
    Ok((FileId { fsid, kind, handle }, rest))
}

/// Reads a directory and a name out of an information record.
fn place(record: &[u8], base: usize) -> Result<Place<'_>, Malformed> {
    let (dir, rest) = file_id(record, base)?;
    let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    // The kernel names a directory in itself ".".
    let name = if name == b"." { &[] } else { name };
    Ok(Place { dir, name })
}

#[cfg(test)]
#[expect(
    clippy::host_endian_bytes,
    reason = "the kernel's structures are in the machine's own order"
)]
pub(super) mod tests {
    use super::*;

    pub fn information(kind: u8, fsid: u64, handle: &[u8], name: Option<&[u8]>) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(fsid.to_ne_bytes());
        body.extend(u32::try_from(handle.len()).unwrap().to_ne_bytes());
        body.extend(1_i32.to_ne_bytes());
        body.extend(handle);
        if let Some(name) = name {
            body.extend(name);
            body.push(0);
        }
        while body.len() % 4 != 0 {
            body.push(0);
        }
        let mut record = vec![kind, 0];
        record.extend(u16::try_from(body.len() + 4).unwrap().to_ne_bytes());
        record.extend(body);
        record
    }

    pub fn event(mask: u64, pid: i32, informations: &[Vec<u8>]) -> Vec<u8> {
        let extra: usize = informations.iter().map(Vec::len).sum();
        let mut bytes = Vec::new();
        bytes.extend(u32::try_from(24 + extra).unwrap().to_ne_bytes());
        bytes.extend([3, 0]);
        bytes.extend(24_u16.to_ne_bytes());
        bytes.extend(mask.to_ne_bytes());
        bytes.extend((-1_i32).to_ne_bytes());
        bytes.extend(pid.to_ne_bytes());
        for information in informations {
            bytes.extend(information);
        }
        bytes
    }

    #[test]
    fn a_creation_and_a_rename_are_read() {
        let mut bytes = event(
            libc::FAN_CREATE,
            42,
            &[
                information(
                    libc::FAN_EVENT_INFO_TYPE_DFID_NAME,
                    7,
                    b"dirhandl",
                    Some(b"passwd"),
                ),
                information(libc::FAN_EVENT_INFO_TYPE_FID, 7, b"filehand", None),
            ],
        );
        bytes.extend(event(
            libc::FAN_RENAME,
            43,
            &[
                information(
                    libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME,
                    7,
                    b"dirhandl",
                    Some(b"a"),
                ),
                information(
                    libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME,
                    7,
                    b"dirhand2",
                    Some(b"b"),
                ),
            ],
        ));
        let read: Vec<_> = events(&bytes).map(Result::unwrap).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].pid, 42);
        assert_eq!(read[0].at.unwrap().name, b"passwd");
        assert_eq!(read[0].at.unwrap().dir.handle, b"dirhandl");
        assert_eq!(read[0].object.unwrap().handle, b"filehand");
        assert_eq!(read[1].from.unwrap().name, b"a");
        assert_eq!(read[1].to.unwrap().dir.handle, b"dirhand2");
    }

    #[test]
    fn a_directory_in_itself_has_no_name() {
        let bytes = event(
            libc::FAN_ATTRIB,
            1,
            &[information(
                libc::FAN_EVENT_INFO_TYPE_DFID_NAME,
                7,
                b"dirhandl",
                Some(b"."),
            )],
        );
        let read = events(&bytes).next().unwrap().unwrap();
        assert_eq!(read.at.unwrap().name, b"");
    }

    #[test]
    fn every_lying_length_is_an_error_or_stays_inside() {
        let bytes = event(
            libc::FAN_CREATE,
            42,
            &[
                information(
                    libc::FAN_EVENT_INFO_TYPE_DFID_NAME,
                    7,
                    b"dirhandl",
                    Some(b"passwd"),
                ),
                information(libc::FAN_EVENT_INFO_TYPE_FID, 7, b"filehand", None),
            ],
        );
        // Each of the places where a length or a type stands, with each of the values that break parsers.
        for at in 0..bytes.len() {
            for value in [0_u8, 1, 3, 4, 23, 127, 128, 255] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                for event in events(&damaged).take(100).flatten() {
                    for place in [event.at, event.from, event.to].into_iter().flatten() {
                        assert!(place.name.len() + place.dir.handle.len() < damaged.len());
                    }
                }
            }
        }
    }

    #[test]
    fn a_length_of_nothing_does_not_stand_still() {
        let mut bytes = event(libc::FAN_CREATE, 1, &[]);
        bytes[..4].copy_from_slice(&0_u32.to_ne_bytes());
        assert_eq!(events(&bytes).count(), 1);
        assert!(events(&bytes).next().unwrap().is_err());
        let mut bytes = event(
            libc::FAN_CREATE,
            1,
            &[information(
                libc::FAN_EVENT_INFO_TYPE_FID,
                7,
                b"filehand",
                None,
            )],
        );
        bytes[26..28].copy_from_slice(&0_u16.to_ne_bytes());
        assert!(events(&bytes).next().unwrap().is_err());
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = event(
            libc::FAN_CREATE,
            42,
            &[information(
                libc::FAN_EVENT_INFO_TYPE_DFID_NAME,
                7,
                b"dirhandl",
                Some(b"passwd"),
            )],
        );
        for cut in 1..bytes.len() {
            assert!(
                events(&bytes[..cut]).next().unwrap().is_err(),
                "cut at {cut}"
            );
        }
    }
}

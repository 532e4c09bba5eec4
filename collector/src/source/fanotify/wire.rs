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
pub(super) mod tests;

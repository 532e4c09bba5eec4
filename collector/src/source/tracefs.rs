//! Tracepoints' numbers and layouts, read from a tracefs that no one else sees.
//!
//! The file system is opened detached (`fsopen`, `fsmount`): it never appears in any mount table
//! and is gone when the descriptor is closed. Where the kernel is older than 5.2, one that is
//! mounted already is read instead.

use super::{SourceError, native};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

/// The most bytes of a `format` file that are read. The longest of a 6.18 kernel has 10 KiB.
const FORMAT_BYTES_MAX: u64 = 64 * 1024;

/// An open tracefs.
#[derive(Debug)]
pub struct Tracefs {
    root: OwnedFd,
}

impl Tracefs {
    /// Opens a private tracefs.
    ///
    /// # Errors
    /// Neither a private nor a mounted tracefs can be had.
    pub fn open() -> Result<Tracefs, SourceError> {
        if let Ok(root) = open_detached() {
            return Ok(Tracefs { root });
        }
        for mounted in ["/sys/kernel/tracing/", "/sys/kernel/debug/tracing/"] {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            if let Ok(root) = rustix::fs::openat(CWD, mounted, flags, Mode::empty())
                && rustix::fs::statat(&root, "events", rustix::fs::AtFlags::empty()).is_ok()
            {
                return Ok(Tracefs { root });
            }
        }
        Err(SourceError::new(
            "open tracefs",
            io::Error::from(io::ErrorKind::NotFound),
        ))
    }

    /// Reads the number and layout of one tracepoint.
    ///
    /// # Errors
    /// The kernel does not have it, or its `format` file is not understood.
    pub fn tracepoint(&self, group: &str, name: &str) -> Result<Tracepoint, SourceError> {
        let path = format!("events/{group}/{name}/format");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, path.as_str(), flags, Mode::empty())
            .map_err(|error| SourceError::new("read a tracepoint's format", error))?;
        let mut text = String::new();
        File::from(file)
            .take(FORMAT_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| SourceError::new("read a tracepoint's format", error))?;
        Tracepoint::parse(&text).ok_or_else(|| {
            SourceError::new(
                "understand a tracepoint's format",
                io::Error::from(io::ErrorKind::InvalidData),
            )
        })
    }
}

fn open_detached() -> Result<OwnedFd, rustix::io::Errno> {
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A tracepoint's number and the places of its fields, as its `format` file gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracepoint {
    /// What `perf_event_attr.config` takes, and what `common_type` holds in each record.
    pub id: u16,
    fields: Vec<(String, Field)>,
}

/// Where one field stands in a tracepoint's raw record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Bytes from the record's beginning.
    pub offset: usize,
    /// Bytes of the field.
    pub size: usize,
    /// Whether the field holds the place of a text (`__data_loc`) and not the text itself.
    pub place: Place,
}

/// How a field's bytes are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// They stand in the field.
    Here,
    /// The field holds `length << 16 | offset` of bytes further on in the record.
    DataLoc,
}

impl Tracepoint {
    /// Reads a `format` file. `None` if it has no number or a field is not understood.
    #[must_use]
    pub fn parse(text: &str) -> Option<Tracepoint> {
        let mut id = None;
        let mut fields = Vec::new();
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("ID:") {
                id = Some(number.trim().parse().ok()?);
            } else if let Some(field) = line.trim_start().strip_prefix("field:") {
                fields.push(Field::parse(field)?);
            }
        }
        Some(Tracepoint { id: id?, fields })
    }

    /// The place of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Field> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, field)| *field)
    }
}

impl Field {
    /// Reads what follows `field:` in a line: declaration, `offset:2`, `size:1`, `signed:0`, set
    /// apart by semicolons.
    fn parse(line: &str) -> Option<(String, Field)> {
        let mut parts = line.split(';').map(str::trim);
        let declaration = parts.next()?;
        let mut offset = None;
        let mut size = None;
        for part in parts {
            if let Some(number) = part.strip_prefix("offset:") {
                offset = Some(number.parse().ok()?);
            } else if let Some(number) = part.strip_prefix("size:") {
                size = Some(number.parse().ok()?);
            }
        }
        let place = if declaration.starts_with("__data_loc") {
            Place::DataLoc
        } else {
            Place::Here
        };
        let name = declaration.rsplit([' ', '*']).next()?;
        let name = name.split('[').next()?;
        Some((
            name.to_owned(),
            Field {
                offset: offset?,
                size: size?,
                place,
            },
        ))
    }

    /// The field's bytes in a raw record; `None` where the record is too short for them.
    #[must_use]
    pub fn bytes<'a>(&self, raw: &'a [u8]) -> Option<&'a [u8]> {
        let here = raw.get(self.offset..self.offset.checked_add(self.size)?)?;
        match self.place {
            Place::Here => Some(here),
            Place::DataLoc => {
                let word = native::u32_at(here, 0)?;
                let offset = usize::try_from(word & 0xffff).ok()?;
                let len = usize::try_from(word >> 16).ok()?;
                raw.get(offset..offset.checked_add(len)?)
            }
        }
    }

    /// A text field, up to its first NUL.
    #[must_use]
    pub fn text<'a>(&self, raw: &'a [u8]) -> Option<&'a [u8]> {
        let bytes = self.bytes(raw)?;
        let end = bytes
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(bytes.len());
        bytes.get(..end)
    }

    /// A number of 1, 2, 4 or 8 bytes.
    #[must_use]
    pub fn number(&self, raw: &[u8]) -> Option<u64> {
        let bytes = self.bytes(raw)?;
        match bytes.len() {
            1 => bytes.first().map(|byte| u64::from(*byte)),
            2 => native::u16_at(bytes, 0).map(u64::from),
            4 => native::u32_at(bytes, 0).map(u64::from),
            8 => native::u64_at(bytes, 0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

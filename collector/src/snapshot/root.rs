//! A root directory that is not ours: files read as a recorded process would find them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags};

/// The largest file that is read for the state.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The most names that are taken from one directory.
const NAMES_MAX: usize = 4096;

/// The root directory of a process, or our own.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
}

/// A file that was read.
#[derive(Debug)]
pub struct Found {
    /// Its content.
    pub content: Vec<u8>,
    /// When it was last changed, UTC in microseconds.
    pub modified_us: i64,
}

impl Root {
    /// The root of process `pid` (none: our own).
    ///
    /// # Errors
    /// If the process is gone or may not be looked at.
    pub fn open(pid: Option<u32>) -> io::Result<Self> {
        let path = pid.map_or_else(|| "/".to_owned(), |pid| format!("/proc/{pid}/root"));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { dir })
    }

    /// Opens `path` below this root. Links, absolute ones too, lead nowhere else.
    fn open_at(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let path = OsStr::from_bytes(path);
        Ok(rustix::fs::openat2(
            &self.dir,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )?)
    }

    /// Reads a regular file; none if there is none, or it is too large to be what it should be.
    #[must_use]
    pub fn read(&self, path: &[u8]) -> Option<Found> {
        // What is no file is not opened: a device may act on being opened.
        let named = File::from(self.open_at(path, OFlags::PATH).ok()?);
        let status = named.metadata().ok()?;
        if !status.is_file() || status.size() > FILE_BYTES_MAX {
            return None;
        }
        // It may be something else by now.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(self.open_at(path, flags).ok()?);
        let mut content = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut content).ok()?;
        Some(Found {
            content,
            modified_us: status
                .mtime()
                .saturating_mul(1_000_000)
                .saturating_add(status.mtime_nsec() / 1000),
        })
    }

    /// The names in a directory, in order of their bytes; none if there is no such directory.
    #[must_use]
    pub fn names(&self, path: &[u8]) -> Vec<Name> {
        let Ok(dir) = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY) else {
            return Vec::new();
        };
        let Ok(entries) = Dir::read_from(dir) else {
            return Vec::new();
        };
        let mut names: Vec<Name> = entries
            .take(NAMES_MAX)
            .filter_map(Result::ok)
            .map(|entry| Name {
                name: entry.file_name().to_bytes().to_vec(),
                file_type: entry.file_type(),
            })
            .filter(|entry| entry.name != b"." && entry.name != b"..")
            .collect();
        names.sort_by(|left, right| left.name.cmp(&right.name));
        names
    }
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub name: Vec<u8>,
    /// What it names, where the filesystem says it in its directory.
    pub file_type: FileType,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_does_not_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/real"), "inside").unwrap();
        std::os::unix::fs::symlink("/etc/real", dir.path().join("etc/absolute")).unwrap();
        std::os::unix::fs::symlink("../../../../../etc/passwd", dir.path().join("etc/relative"))
            .unwrap();
        let root = Root {
            dir: File::open(dir.path()).unwrap().into(),
        };
        assert_eq!(root.read(b"/etc/absolute").unwrap().content, b"inside");
        assert!(root.read(b"/etc/relative").is_none());
        assert!(root.read(b"/etc").is_none());
        let names: Vec<_> = root
            .names(b"/etc")
            .into_iter()
            .map(|name| name.name)
            .collect();
        assert_eq!(names, [&b"absolute"[..], b"real", b"relative"]);
        assert!(root.names(b"/nothing").is_empty());
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let root = Root::open(None).unwrap();
        assert!(root.read(b"/dev/zero").is_none());
    }
}

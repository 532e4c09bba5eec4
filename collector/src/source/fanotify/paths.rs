//! From a directory's handle to its path, kept true while directories move.
//!
//! fanotify names a directory by its handle. The path is asked for once
//! (open_by_handle_at, then `/proc/self/fd`) and remembered. A handle holds the inode's
//! generation, so a reused inode is another handle. What is remembered is dropped when an
//! event says that the directory, or one above it, was renamed or deleted.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::mounts::{self, Device};
use super::sys;
use super::wire::FileId;
use crate::bounded::Bounded;
use crate::source::native::u32_at;

/// The most bytes of handles and paths that are remembered: some 12,000 directories.
const REMEMBERED_BYTES_MAX: usize = 2 << 20;

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 96;

/// A filesystem that is watched.
#[derive(Debug)]
pub struct Filesystem {
    /// Its device number.
    pub device: Device,
    /// Its type, as mounted.
    pub fs_type: Vec<u8>,
    /// The directory of it that `anchor` is.
    pub root: Vec<u8>,
    /// A directory on it, in a detached mount where one can be had: it keeps no mount busy,
    /// and no other mount covers it.
    pub anchor: OwnedFd,
}

impl Filesystem {
    /// The path, within the filesystem, of a directory that exists.
    fn path_of(&self, dir: &FileId<'_>) -> io::Result<Vec<u8>> {
        let opened = sys::open_by_handle(self.anchor.as_fd(), dir)?;
        let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let mut path = rustix::fs::readlink(link, Vec::new())?.into_bytes();
        // The kernel marks the path of a directory that is gone but held open. A directory
        // may also be called so; then it still has its links.
        if path.ends_with(b" (deleted)") && rustix::fs::fstat(&opened)?.st_nlink == 0 {
            path.truncate(path.len() - b" (deleted)".len());
        }
        Ok(if path == b"/" {
            self.root.clone()
        } else {
            mounts::join(&self.root, &path)
        })
    }

    /// `path` within the filesystem, as seen from `anchor`.
    pub fn below_anchor<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let rest = mounts::below(path, &self.root)?;
        Some(rest.strip_prefix(b"/").unwrap_or(rest))
    }

    /// The inode number in a handle, where the filesystem's way of making handles is known
    /// (`include/linux/exportfs.h`, and each filesystem's `encode_fh`).
    pub fn inode_in(&self, id: &FileId<'_>) -> Option<u64> {
        let word = |at: usize| Some(u64::from(u32_at(id.handle, at)?));
        let memory = matches!(self.fs_type.as_slice(), b"tmpfs" | b"devtmpfs" | b"ramfs");
        match (id.kind, id.handle.len()) {
            // tmpfs: generation, then the inode's low and high word.
            (1, 12) if memory => Some(word(8)? << 32 | word(4)?),
            (1, 8) if !memory => word(0),
            // 64 bits of inode first: xfs and the generic form (0x81), btrfs (0x4d).
            (0x81, 12) | (0x4d, 20..) => {
                let low_first = cfg!(target_endian = "little");
                let (first, second) = (word(0)?, word(4)?);
                Some(if low_first {
                    second << 32 | first
                } else {
                    first << 32 | second
                })
            }
            _ => None,
        }
    }
}

/// A directory's two paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dir {
    /// Within its filesystem.
    pub in_fs: Vec<u8>,
    /// As we ourselves see it, if we do.
    pub own: Option<Vec<u8>>,
    /// Whether they see it at all.
    pub sight: Sight,
}

/// Whether processes see what is in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// They do.
    Open,
    /// It is an overlay's workshop.
    Workshop,
}

/// What is known of directories.
#[derive(Debug)]
pub struct Directories {
    known: Bounded<Box<[u8]>, Option<Dir>>,
    key: Vec<u8>,
}

impl Default for Directories {
    fn default() -> Self {
        Self {
            known: Bounded::new(REMEMBERED_BYTES_MAX),
            key: Vec::new(),
        }
    }
}

impl Directories {
    /// The directory `id`: remembered, or asked for, or (if it is gone) as `otherwise` can tell.
    pub fn path(
        &mut self,
        id: &FileId<'_>,
        filesystem: &Filesystem,
        see: &dyn Fn(Vec<u8>) -> Dir,
        otherwise: &mut dyn FnMut(&mut Self) -> Option<Dir>,
    ) -> Option<&Dir> {
        self.key_of(id);
        if self.known.get(self.key.as_slice()).is_none() {
            let dir = match filesystem.path_of(id) {
                Ok(in_fs) => Some(see(in_fs)),
                Err(_) => otherwise(self),
            };
            self.learn(id, dir);
            self.key_of(id);
        }
        self.known.get(self.key.as_slice())?.as_ref()
    }

    /// Remembers where a directory is, or (none) that nobody can tell.
    pub fn learn(&mut self, id: &FileId<'_>, dir: Option<Dir>) {
        self.key_of(id);
        let paths = dir.as_ref().map_or(0, |dir| {
            dir.in_fs.len() + dir.own.as_ref().map_or(0, Vec::len)
        });
        let weight = ENTRY_BYTES + self.key.len() + paths;
        self.known.insert(self.key.as_slice().into(), dir, weight);
    }

    /// Forgets the directory at `path` within the filesystem `fsid`, and all below it.
    pub fn forget(&mut self, fsid: u64, path: &[u8]) {
        let filesystem = fsid.to_le_bytes();
        self.known.retain(|key, dir| {
            let Some(dir) = dir else { return true };
            !key.starts_with(&filesystem) || mounts::below(&dir.in_fs, path).is_none()
        });
    }

    /// Forgets everything: the mounts changed.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    fn key_of(&mut self, id: &FileId<'_>) {
        self.key.clear();
        self.key.extend(id.fsid.to_le_bytes());
        self.key.extend(id.kind.to_le_bytes());
        self.key.extend(id.handle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(handle: &[u8]) -> FileId<'_> {
        FileId {
            fsid: 7,
            kind: 1,
            handle,
        }
    }

    fn dir(path: &str) -> Dir {
        Dir {
            in_fs: path.into(),
            own: Some(path.into()),
            sight: Sight::Open,
        }
    }

    fn nowhere() -> Filesystem {
        Filesystem {
            device: Device { major: 1, minor: 2 },
            fs_type: b"ext4".to_vec(),
            root: b"/".to_vec(),
            anchor: std::fs::File::open("/").unwrap().into(),
        }
    }

    fn known(dirs: &mut Directories, handle: &[u8]) -> Option<Dir> {
        let nothing = &mut |_: &mut Directories| None;
        dirs.path(
            &id(handle),
            &nowhere(),
            &|path| Dir {
                own: Some(path.clone()),
                in_fs: path,
                sight: Sight::Open,
            },
            nothing,
        )
        .cloned()
    }

    #[test]
    fn a_renamed_directory_takes_what_is_below_it_along() {
        let mut dirs = Directories::default();
        dirs.learn(&id(b"handle-1"), Some(dir("/home/a")));
        dirs.learn(&id(b"handle-2"), Some(dir("/home/a/b")));
        dirs.learn(&id(b"handle-3"), Some(dir("/home/ab")));
        dirs.forget(7, b"/home/a");
        assert_eq!(known(&mut dirs, b"handle-1"), None);
        assert_eq!(known(&mut dirs, b"handle-2"), None);
        assert_eq!(known(&mut dirs, b"handle-3"), Some(dir("/home/ab")));
    }

    #[test]
    fn another_filesystem_keeps_its_directories() {
        let mut dirs = Directories::default();
        dirs.learn(&id(b"handle-1"), Some(dir("/a")));
        dirs.forget(8, b"/");
        assert_eq!(known(&mut dirs, b"handle-1"), Some(dir("/a")));
    }

    #[test]
    fn inodes_are_read_out_of_known_handles_only() {
        let mut filesystem = nowhere();
        let words = |words: &[u32]| {
            words
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect::<Vec<_>>()
        };
        assert_eq!(filesystem.inode_in(&id(&words(&[77, 1]))), Some(77));
        assert_eq!(filesystem.inode_in(&id(&words(&[77]))), None);
        filesystem.fs_type = b"tmpfs".to_vec();
        assert_eq!(
            filesystem.inode_in(&id(&words(&[1, 5, 1]))),
            Some(1 << 32 | 5)
        );
        assert_eq!(filesystem.inode_in(&id(&words(&[77, 1]))), None);
    }
}

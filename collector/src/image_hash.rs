//! Hashes of executables, each computed once.
//!
//! A file is known by device, inode, size and times: the same four are the same content, unless
//! someone writes below the filesystem. Hashing runs on the thread that encodes, never on the one
//! that drains, and within a budget, so that an attacker who runs large files does not buy our
//! CPU with them: beyond it, an image goes without its hash.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use saigen_schemas::event::Hash32;
use sha2::{Digest, Sha256};

use crate::bounded::Bounded;

/// The images that are remembered; a server runs a few hundred.
const KNOWN_MAX: usize = 4096;

/// The largest image that is hashed: browsers and databases have up to some 200 MiB.
const IMAGE_BYTES_MAX: u64 = 256 << 20;

/// The bytes that may be hashed at once, before the budget is spent: two large programs.
const BUDGET_BYTES: u64 = 512 << 20;

/// How fast the budget comes back: at 500 MB/s this is 2 % of a CPU.
const BUDGET_BYTES_A_SECOND: u64 = 10 << 20;

/// The bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// What tells one content from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// A user may set the modification time back, but not this.
    changed: (i64, i64),
}

/// The hashes known so far, and what may still be spent on new ones.
#[derive(Debug)]
pub struct ImageHashes {
    known: Bounded<Identity, Hash32>,
    budget_bytes: u64,
    refilled_us: u64,
    chunk: Vec<u8>,
}

impl Default for ImageHashes {
    fn default() -> Self {
        Self {
            known: Bounded::new(KNOWN_MAX),
            budget_bytes: BUDGET_BYTES,
            refilled_us: 0,
            chunk: vec![0; CHUNK_BYTES],
        }
    }
}

impl ImageHashes {
    /// The SHA-256 of an open file. None: it is no regular file, too large, changed while it was
    /// read, could not be read, or the budget is spent.
    pub fn of(&mut self, file: &File, boot_us: u64) -> Option<Hash32> {
        let identity = identity(file).ok().flatten()?;
        if let Some(hash) = self.known.get(&identity) {
            return Some(*hash);
        }
        self.refill(boot_us);
        if identity.size > IMAGE_BYTES_MAX || identity.size > self.budget_bytes {
            return None;
        }
        self.budget_bytes -= identity.size;
        let hash = hash_of(file, identity.size, &mut self.chunk).ok()?;
        // A file that changed while it was read has a hash that never was its content's.
        let unchanged = self::identity(file).ok().flatten() == Some(identity);
        unchanged.then(|| self.known.insert(identity, hash, 1))?;
        Some(hash)
    }

    /// The SHA-256 of the file at `path` if that is still the file of `id` (device and inode) and its
    /// content is known: one look, and nothing is opened.
    pub fn known_at(&mut self, path: &Path, id: (u64, u64)) -> Option<Hash32> {
        let identity = Identity::of(&path.metadata().ok()?)?;
        if (identity.device, identity.inode) != id {
            return None;
        }
        self.known.get(&identity).copied()
    }

    /// The SHA-256 of the program that process `pid` runs now.
    pub fn of_process(&mut self, pid: u32, boot_us: u64) -> Option<Hash32> {
        self.of(&File::open(format!("/proc/{pid}/exe")).ok()?, boot_us)
    }

    fn refill(&mut self, boot_us: u64) {
        let passed_us = boot_us.saturating_sub(self.refilled_us);
        let gained = passed_us.saturating_mul(BUDGET_BYTES_A_SECOND) / 1_000_000;
        self.budget_bytes = self.budget_bytes.saturating_add(gained).min(BUDGET_BYTES);
        self.refilled_us = boot_us;
    }
}

impl Identity {
    /// `None` for what is no regular file.
    fn of(status: &Metadata) -> Option<Identity> {
        status.is_file().then(|| Identity {
            device: status.dev(),
            inode: status.ino(),
            size: status.size(),
            modified: (status.mtime(), status.mtime_nsec()),
            changed: (status.ctime(), status.ctime_nsec()),
        })
    }
}

fn identity(file: &File) -> io::Result<Option<Identity>> {
    Ok(Identity::of(&file.metadata()?))
}

/// Hashes `size` bytes: a file that grows is not followed.
fn hash_of(file: &File, size: u64, chunk: &mut [u8]) -> io::Result<Hash32> {
    let mut hasher = Sha256::new();
    let mut content = file.take(size);
    loop {
        match content.read(chunk) {
            Ok(0) => return Ok(Hash32(hasher.finalize().into())),
            Ok(len) => hasher.update(chunk.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_known_content_has_its_known_hash() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let mut file = reopened(&file);
        let mut hashes = ImageHashes::default();
        let hash = hashes.of(&file, 0).unwrap();
        assert_eq!(
            hash.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        // Read to its end, the file would now hash to nothing: the second answer is remembered.
        assert_eq!(hashes.of(&file, 0), Some(hash));
        file.write_all(b"d").unwrap();
        assert_ne!(hashes.of(&reopened(&file), 0), Some(hash));
    }

    #[test]
    fn a_known_file_is_known_at_its_path_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, b"abc").unwrap();
        let status = path.metadata().unwrap();
        let id = (status.dev(), status.ino());
        let mut hashes = ImageHashes::default();
        assert_eq!(hashes.known_at(&path, id), None);
        let hash = hashes.of(&File::open(&path).unwrap(), 0);
        assert!(hash.is_some());
        assert_eq!(hashes.known_at(&path, id), hash);
        assert_eq!(hashes.known_at(&path, (id.0, id.1 + 1)), None);
        std::fs::write(&path, b"abcd").unwrap();
        assert_eq!(hashes.known_at(&path, id), None);
    }

    fn reopened(file: &File) -> File {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        std::fs::OpenOptions::new()
            .read(true)
            .append(true)
            .open(path)
            .unwrap()
    }

    #[test]
    fn a_spent_budget_comes_back_with_time() {
        let mut hashes = ImageHashes {
            budget_bytes: 2,
            ..ImageHashes::default()
        };
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let file = reopened(&file);
        assert_eq!(hashes.of(&file, 0), None);
        assert!(hashes.of(&file, 1_000_000).is_some());
    }

    #[test]
    fn what_is_no_file_has_no_hash() {
        assert_eq!(
            ImageHashes::default().of(&File::open("/dev/zero").unwrap(), 0),
            None
        );
        assert_eq!(
            ImageHashes::default().of(&File::open("/").unwrap(), 0),
            None
        );
    }
}

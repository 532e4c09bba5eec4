//! A file read once from front to end through a window, and hashed on the way.
//!
//! Evidence is not mapped: a file that is cut while it is mapped ends the program with SIGBUS, and
//! the bytes that were hashed would not surely be the bytes that were judged. The copy that a
//! window costs is less than a hundredth of the work (`tests/examples/verify_rate.rs` shows both).

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// Bytes that are asked of the system at once.
const READ_BYTES: usize = 1 << 20;

/// A file and the part of it that is in memory.
#[derive(Debug)]
pub(super) struct Window {
    file: File,
    hasher: Option<Sha256>,
    bytes: Vec<u8>,
    /// Offset in the file of the first byte in memory.
    start: u64,
    ended: bool,
}

/// Whether the bytes are hashed on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hashing {
    /// Yes: the file is read whole, once.
    Sha256,
    /// No: it was hashed before.
    None,
}

impl Window {
    /// A window on a file from where it stands, which is `start`.
    pub(super) fn new(file: File, start: u64, hashing: Hashing) -> Self {
        Self {
            file,
            hasher: (hashing == Hashing::Sha256).then(Sha256::new),
            bytes: Vec::new(),
            start,
            ended: false,
        }
    }

    /// The bytes from `offset` on: at least `want`, or all that are left. Offsets only rise; what
    /// lies before is forgotten.
    pub(super) fn at(&mut self, offset: u64, want: usize) -> io::Result<&[u8]> {
        loop {
            let skipped = offset.saturating_sub(self.start);
            let inside = usize::try_from(skipped).unwrap_or(usize::MAX);
            let held = self.bytes.len().saturating_sub(inside);
            if held >= want || self.ended {
                return Ok(self.bytes.get(inside..).unwrap_or_default());
            }
            if inside > READ_BYTES || inside >= self.bytes.len() {
                let forgotten = inside.min(self.bytes.len());
                self.bytes.drain(..forgotten);
                self.start += forgotten as u64;
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let before = self.bytes.len();
        let read = Read::by_ref(&mut self.file)
            .take(READ_BYTES as u64)
            .read_to_end(&mut self.bytes)?;
        if read == 0 {
            self.ended = true;
        } else if let (Some(hasher), Some(new)) = (&mut self.hasher, self.bytes.get(before..)) {
            hasher.update(new);
        }
        Ok(())
    }

    /// Reads to the end; gives the length of the file and its hash, if it was hashed from the
    /// front.
    pub(super) fn finish(mut self) -> io::Result<(u64, String)> {
        while !self.ended {
            self.start += self.bytes.len() as u64;
            self.bytes.clear();
            self.read_more()?;
        }
        let len = self.start + self.bytes.len() as u64;
        let hash = self
            .hasher
            .map(|hasher| hex(&hasher.finalize()))
            .unwrap_or_default();
        Ok((len, hash))
    }
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_window_gives_every_byte_and_the_hash_of_all() {
        let content: Vec<u8> = (0..3_000_000_u32)
            .flat_map(|n| (n % 251).to_le_bytes())
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let whole = hex(&Sha256::digest(&content));
        for step in [1_000_003, 4 << 20, 17 << 20] {
            use std::io::Seek as _;
            let mut again = file.try_clone().unwrap();
            again.rewind().unwrap();
            let mut window = Window::new(again, 0, Hashing::Sha256);
            for at in (0..content.len()).step_by(step) {
                let want = 300_000.min(content.len() - at);
                let got = window.at(at as u64, want).unwrap();
                assert_eq!(&got[..want], &content[at..at + want]);
            }
            assert_eq!(
                window.finish().unwrap(),
                (content.len() as u64, whole.clone())
            );
        }
    }
}

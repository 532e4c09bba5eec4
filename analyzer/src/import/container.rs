//! Files inside files: archives and compressed files, read in place, within limits.
//!
//! Nothing is ever written to a name that an archive gives: what must be sought in is unpacked to
//! memory, or to a temporary file that has no name.

#[cfg(test)]
mod tests;
mod zipped;

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use saigen_schemas::report::FindingKind;
use sha2::{Digest as _, Sha256};

use crate::import::sink::{At, Finding, ImportError, Input};
use crate::import::sniff::{Container, FRONT_BYTES, What, sniff};

/// How deep containers may stand in each other: a zip in a tar in an xz is three.
const DEPTH_MAX: usize = 8;

/// Bytes that may come out of a file however small it is: the largest logs that are collected.
const UNPACKED_BYTES_FREE: u64 = 4 << 30;

/// Bytes that may come out of one byte beyond that. Event logs that are mostly empty compress
/// two hundred times; a bomb does a thousand in each layer.
const UNPACKED_RATIO_MAX: u64 = 300;

/// Files that an archive may hold. A collection of one machine has some thousands.
const FILES_MAX: u32 = 1 << 20;

/// Most bytes of a path inside an archive; a longer one is named by its number.
const NAME_BYTES_MAX: usize = 4096;

/// Most kibibytes that the dictionary of an xz file may take: `xz -9` needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 256 << 10;

/// Most bits of a zstd window: what `zstd --long` writes.
const ZSTD_WINDOW_BITS: u32 = 27;

/// Bytes of an unpacked file that stay in memory.
const MEMORY_BYTES: u64 = 16 << 20;

/// A file that holds records, unpacked.
pub(super) struct Leaf<'a> {
    /// Its number in the archive, in the order of what is read, and its path; `None` for a file
    /// that is in none.
    pub(super) member: Option<(u32, &'a str)>,
    /// Lower-case hex SHA-256 of its bytes; `None` for a file that is not unpacked.
    pub(super) sha256: Option<String>,
    /// What it is.
    pub(super) what: What,
    /// Its bytes.
    pub(super) input: &'a mut dyn Input,
}

/// Who is shown what a container holds.
pub(super) trait Visitor {
    /// A file that holds records.
    fn leaf(&mut self, leaf: Leaf<'_>) -> Result<(), ImportError>;
    /// A file that holds none: its path, and what it is.
    fn stranger(&mut self, path: &str, found: &'static str);
    /// Damage of the container, a limit that was reached, names that lie.
    fn find(&mut self, finding: Finding);
    /// Whether nothing more is wanted.
    fn is_done(&self) -> bool {
        false
    }
}

/// A plain file.
struct Plain {
    file: BufReader<File>,
    bytes: u64,
}

impl Read for Plain {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read(buf)
    }
}

impl Seek for Plain {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        self.file.seek(pos)
    }
}

impl Input for Plain {
    fn size(&self) -> u64 {
        self.bytes
    }
}

/// Shows all that a file holds, itself where it is no container.
pub(super) fn walk(file: File, visitor: &mut dyn Visitor) -> Result<(), ImportError> {
    let bytes = file.metadata().map_err(ImportError::read(0))?.len();
    let mut walk = Walk {
        visitor,
        left: UNPACKED_BYTES_FREE.saturating_add(bytes.saturating_mul(UNPACKED_RATIO_MAX)),
        files: 0,
        stopped: false,
    };
    let mut input = Plain {
        file: BufReader::with_capacity(1 << 18, file),
        bytes,
    };
    walk.seekable(&mut input, None, 0, None)
}

struct Walk<'v> {
    visitor: &'v mut dyn Visitor,
    /// Bytes that may still come out of this file.
    left: u64,
    /// Files seen so far.
    files: u32,
    /// A limit was reached: nothing more is unpacked.
    stopped: bool,
}

impl Walk<'_> {
    /// A file that can be sought in. `path` is where it is in its archive.
    fn seekable(
        &mut self,
        input: &mut dyn Input,
        path: Option<&str>,
        depth: usize,
        sha256: Option<String>,
    ) -> Result<(), ImportError> {
        input.rewind().map_err(ImportError::read(0))?;
        let front = read_front(input).map_err(ImportError::read(0))?;
        input.rewind().map_err(ImportError::read(0))?;
        match sniff(&front) {
            What::Container(Container::Zip) => self.zip(input, path, depth),
            What::Container(packed) => {
                let mut reader: &mut dyn Read = &mut *input;
                self.packed(packed, &mut reader, path, depth)
            }
            what @ (What::Records(_) | What::Segment | What::Empty | What::Unknown(_)) => {
                self.leaf(what, input, path, sha256)
            }
        }
    }

    fn leaf(
        &mut self,
        what: What,
        input: &mut dyn Input,
        path: Option<&str>,
        sha256: Option<String>,
    ) -> Result<(), ImportError> {
        match what {
            What::Records(_) => {}
            What::Segment => {
                let found = "a segment of a journal; unpack the archive to verify it";
                self.visitor.stranger(path.unwrap_or_default(), found);
                return Ok(());
            }
            What::Empty => {
                self.visitor
                    .stranger(path.unwrap_or_default(), "the file is empty");
                return Ok(());
            }
            What::Unknown(found) => {
                self.visitor.stranger(path.unwrap_or_default(), found);
                return Ok(());
            }
            What::Container(_) => return Ok(()),
        }
        let member = path.map(|path| (self.files, path));
        if path.is_some() {
            self.files += 1;
        }
        self.visitor.leaf(Leaf {
            member,
            sha256,
            what,
            input,
        })
    }

    /// A file that comes out of another and can be read once. Only what holds records is kept.
    fn stream(
        &mut self,
        reader: &mut dyn Read,
        path: Option<&str>,
        depth: usize,
    ) -> Result<(), ImportError> {
        if self.is_too_deep(path, depth) {
            return Ok(());
        }
        let front = match read_front(reader) {
            Ok(front) => front,
            Err(error) => {
                self.damage(path, 0, &error);
                return Ok(());
            }
        };
        let what = sniff(&front);
        match what {
            What::Container(
                packed @ (Container::Tar | Container::Gzip | Container::Xz | Container::Zstd),
            ) => {
                let mut whole = Cursor::new(&front).chain(reader);
                self.packed(packed, &mut whole, path, depth)
            }
            What::Container(Container::Zip) | What::Records(_) => {
                let mut scratch = Scratch::default();
                let mut whole = Cursor::new(&front).chain(reader);
                self.unpack(&mut whole, path, &mut scratch)?;
                let sha256 = scratch.sha256();
                scratch
                    .rewind()
                    .map_err(ImportError::temporary("unpack a file"))?;
                self.seekable(&mut scratch, path, depth, Some(sha256))
            }
            What::Segment | What::Empty | What::Unknown(_) => {
                self.leaf(what, &mut Cursor::new(&[]), path, None)
            }
        }
    }

    /// Unpacks a file, as far as it goes and the limits let it.
    fn unpack(
        &mut self,
        reader: &mut dyn Read,
        path: Option<&str>,
        scratch: &mut Scratch,
    ) -> Result<(), ImportError> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.damage(path, scratch.size(), &error);
                    return Ok(());
                }
            };
            if self.left < read as u64 {
                self.left = 0;
                self.limit(
                    path,
                    "unpacks to more than a file of its size should".to_owned(),
                );
                return Ok(());
            }
            self.left -= read as u64;
            scratch
                .write_all(buffer.get(..read).unwrap_or_default())
                .map_err(ImportError::temporary("unpack a file"))?;
        }
    }

    /// A tar, or a compressed file.
    fn packed(
        &mut self,
        packed: Container,
        reader: &mut dyn Read,
        path: Option<&str>,
        depth: usize,
    ) -> Result<(), ImportError> {
        let unpacker: &mut dyn Read = match packed {
            Container::Tar => return self.tar(reader, path, depth),
            Container::Gzip => &mut MultiGzDecoder::new(reader),
            Container::Xz => &mut XzReader::new_mem_limit(reader, true, XZ_MEMORY_KIB),
            Container::Zstd => {
                let made = zstd::stream::read::Decoder::new(reader).and_then(|mut decoder| {
                    decoder.window_log_max(ZSTD_WINDOW_BITS)?;
                    Ok(decoder)
                });
                let mut decoder = made.map_err(ImportError::read(0))?;
                return self.stream(&mut decoder, path, depth + 1);
            }
            // A zip is read from its end: who can seek calls `zip`.
            Container::Zip => return Ok(()),
        };
        self.stream(unpacker, path, depth + 1)
    }

    fn tar(
        &mut self,
        reader: &mut dyn Read,
        path: Option<&str>,
        depth: usize,
    ) -> Result<(), ImportError> {
        let mut archive = tar::Archive::new(reader);
        archive.set_ignore_zeros(true);
        let entries = match archive.entries() {
            Ok(entries) => entries,
            Err(error) => {
                self.damage(path, 0, &error);
                return Ok(());
            }
        };
        for (number, entry) in (0..).zip(entries) {
            if !self.goes_on(path, number) {
                return Ok(());
            }
            let mut entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.damage(path, 0, &error);
                    return Ok(());
                }
            };
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = entry.path_bytes().into_owned();
            let inner = self.name(path, &name, number);
            self.stream(&mut entry, Some(&inner), depth + 1)?;
        }
        Ok(())
    }

    /// Whether another file of an archive may be read.
    fn goes_on(&mut self, path: Option<&str>, number: u64) -> bool {
        if number >= u64::from(FILES_MAX) {
            self.limit(path, format!("holds more than {FILES_MAX} files"));
        }
        !self.stopped && !self.visitor.is_done()
    }

    /// The path of a file in an archive. It is a name, not a place: nothing is written to it.
    fn name(&mut self, outer: Option<&str>, name: &[u8], number: u64) -> String {
        let own = if name.is_empty() || name.len() > NAME_BYTES_MAX {
            format!("#{number}")
        } else {
            String::from_utf8_lossy(name).into_owned()
        };
        let leads_out = own.starts_with(['/', '\\'])
            || own.split(['/', '\\']).any(|part| part == "..")
            || own.get(1..2) == Some(":");
        let whole = match outer {
            None => own,
            Some(outer) => format!("{outer}!{own}"),
        };
        if leads_out {
            let text = "a name that leads out of the archive, to where unpacking would write";
            self.tell(FindingKind::Note, Some(&whole), text);
        }
        whole
    }

    /// Whether a file stands in more containers than are opened; that is told.
    fn is_too_deep(&mut self, path: Option<&str>, depth: usize) -> bool {
        let deep = depth > DEPTH_MAX;
        if deep {
            let text = format!("stands more than {DEPTH_MAX} containers deep");
            self.limit(path, text);
        }
        deep
    }

    fn limit(&mut self, path: Option<&str>, text: String) {
        self.stopped = true;
        let text = format!("{text}; the rest is not read");
        self.tell(FindingKind::Damage, path, &text);
    }

    fn damage(&mut self, path: Option<&str>, offset: u64, error: &dyn std::fmt::Display) {
        let at = At {
            offset,
            number: None,
        };
        let text = format!("cannot be unpacked beyond this: {error}");
        self.visitor
            .find(Finding::new(FindingKind::Damage, at, about(path, &text)));
    }

    fn tell(&mut self, kind: FindingKind, path: Option<&str>, text: &str) {
        self.visitor
            .find(Finding::new(kind, None, about(path, text)));
    }
}

fn about(path: Option<&str>, text: &str) -> String {
    match path {
        None => text.to_owned(),
        Some(path) => format!("{path}: {text}"),
    }
}

fn read_front(reader: &mut (impl Read + ?Sized)) -> io::Result<Vec<u8>> {
    let mut front = Vec::new();
    match reader.take(FRONT_BYTES as u64).read_to_end(&mut front) {
        Ok(_) => Ok(front),
        // What could be unpacked before the damage is there to be read.
        Err(_) if !front.is_empty() => Ok(front),
        Err(error) => Err(error),
    }
}

/// A file that was unpacked: in memory, or beyond a bound in a temporary file without a name.
#[derive(Default)]
struct Scratch {
    memory: Cursor<Vec<u8>>,
    file: Option<BufReader<File>>,
    bytes: u64,
    hasher: Sha256,
}

impl Scratch {
    fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.bytes + bytes.len() as u64 > MEMORY_BYTES {
            let mut file = tempfile::tempfile()?;
            file.write_all(self.memory.get_ref())?;
            self.memory = Cursor::default();
            self.file = Some(BufReader::with_capacity(1 << 18, file));
        }
        match &mut self.file {
            Some(file) => file.get_mut().write_all(bytes)?,
            None => self.memory.get_mut().extend_from_slice(bytes),
        }
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Scratch {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.read(buf),
            None => self.memory.read(buf),
        }
    }
}

impl Seek for Scratch {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        match &mut self.file {
            Some(file) => file.seek(pos),
            None => self.memory.seek(pos),
        }
    }
}

impl Input for Scratch {
    fn size(&self) -> u64 {
        self.bytes
    }
}

/// The length of a file, and its SHA-256 in lower-case hex.
pub(super) fn hash(file: &File) -> io::Result<(u64, String)> {
    let mut file = file;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    file.rewind()?;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(buffer.get(..read).unwrap_or_default());
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.rewind()?;
    Ok((bytes, hex(&hasher.finalize())))
}

/// Lower-case hex digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

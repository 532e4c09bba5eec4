//! Where a journal's bytes go: a directory of segments that is never written over.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation};
use saigen_schemas::journal::{
    FRAME_PAYLOAD_BYTES_MAX, FrameError, FrameHeader, HEADER_BYTES_MAX, segment_file_name,
};

use crate::journal::tail::{Tail, segments};

/// The bytes that are kept free from the beginning, so that a full disk still takes the last
/// frames: one data frame that does not compress, the loss, the close.
const RESERVE_BYTES: u64 = 1 << 20;

/// The name under which the reserve stands for the moment of its making.
const RESERVE_NAME: &str = ".reserve";

/// What says whose journal a directory holds. No reader judges by it.
const ENROLMENT_NAME: &str = "enrolment.json";

/// The most that the first frame of a segment can be.
const FIRST_FRAME_BYTES_MAX: u64 = (HEADER_BYTES_MAX + FRAME_PAYLOAD_BYTES_MAX) as u64;

/// What holds a journal's bytes.
pub trait Store {
    /// Begins segment `number`; what follows is appended to it.
    ///
    /// # Errors
    /// If it exists already, or cannot be made.
    fn begin_segment(&mut self, number: u32) -> io::Result<()>;

    /// Appends some of `bytes` to the segment and says how many.
    ///
    /// # Errors
    /// The system's; `StorageFull` and `QuotaExceeded` mean that there is no room.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Returns when all that was written will outlive a loss of power.
    ///
    /// # Errors
    /// The system's. What was written since the last success may be lost.
    fn sync(&mut self) -> io::Result<()>;

    /// Gives the space back that was kept for the end, and says how much that was.
    fn give_back_reserve(&mut self) -> u64;

    /// Bytes of segment `number`, fewer where it ends.
    ///
    /// # Errors
    /// The system's.
    fn read(&mut self, number: u32, from: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Removes segment `number`, which is closed.
    ///
    /// # Errors
    /// The system's.
    fn remove(&mut self, number: u32) -> io::Result<()>;
}

/// Why a directory cannot take a journal.
#[derive(Debug)]
pub enum StoreError {
    /// Something is in it already.
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// The first name in it, in alphabetical order.
        found: PathBuf,
    },
    /// The recording in it was ended.
    Closed {
        /// The directory.
        path: PathBuf,
    },
    /// The recording in it is of another enrolment, or of a key that was used since.
    OtherKey {
        /// The directory.
        path: PathBuf,
        /// What does not fit.
        found: String,
    },
    /// Another recorder is writing to it.
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The system refused.
    Io {
        /// What was being done: `create the directory`.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEmpty { path, found } => write!(
                out,
                "{}: holds {} already; a recording is never written over, choose a new directory",
                path.display(),
                found.display()
            ),
            Self::Closed { path } => write!(
                out,
                "{}: holds a recording that was ended; choose a new directory",
                path.display()
            ),
            Self::OtherKey { path, found } => write!(
                out,
                "{}: cannot go on with the recording in it: {found}; choose a new directory",
                path.display()
            ),
            Self::InUse { path } => write!(
                out,
                "{}: another recorder is writing to it; choose a new directory",
                path.display()
            ),
            Self::Io { doing, path, error } => {
                write!(out, "{}: cannot {doing}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for StoreError {}

/// A directory of segments.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The open directory: its lock says that we write here, and syncing it makes names durable.
    dir: File,
    segment: Option<File>,
    reserve: Option<File>,
}

impl Directory {
    /// Makes the directory `path`, or takes it if it is empty, for the recorder's user alone, and
    /// writes `enrolment` into it. What a recorder left there that ended before its first frame was
    /// whole is no recording: it is removed, and the next begins.
    ///
    /// # Errors
    /// If it holds anything, is in use, or cannot be written to.
    pub fn create(path: &Path, enrolment: &str) -> Result<Self, StoreError> {
        let failed = |doing| {
            move |error| StoreError::Io {
                doing,
                path: path.to_owned(),
                error,
            }
        };
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("create the directory")(error));
            }
            Ok(()) | Err(_) => {}
        }
        let dir = locked(path)?;
        remove_unbegun(path).map_err(failed("clear what never began from the directory"))?;
        if let Some(found) = first_name(path).map_err(failed("read the directory"))? {
            return Err(StoreError::NotEmpty {
                path: path.to_owned(),
                found,
            });
        }
        let reserve = reserve(path).map_err(failed("set space aside in the directory"))?;
        let directory = Self {
            path: path.to_owned(),
            dir,
            segment: None,
            reserve: Some(reserve),
        };
        directory
            .write_whole(ENROLMENT_NAME, enrolment.as_bytes())
            .map_err(failed("write enrolment.json in the directory"))?;
        Ok(directory)
    }

    /// Takes a directory in which a recording was not ended, to go on with it; `None` where there
    /// is no journal. What stands there is durable when this returns, and stays as it is.
    ///
    /// # Errors
    /// If the recording was ended, another recorder is writing, or it cannot be read.
    pub fn go_on(path: &Path) -> Result<Option<(Self, Tail)>, StoreError> {
        let failed = |doing| {
            move |error| StoreError::Io {
                doing,
                path: path.to_owned(),
                error,
            }
        };
        if !path.is_dir()
            || segments(path)
                .map_err(failed("read the directory"))?
                .is_empty()
        {
            return Ok(None);
        }
        let dir = locked(path)?;
        let Some(tail) = Tail::read(path).map_err(failed("read the journal in the directory"))?
        else {
            return Ok(None);
        };
        if tail.closed {
            return Err(StoreError::Closed {
                path: path.to_owned(),
            });
        }
        for (number, _) in tail.segments.iter().rev().take(2) {
            File::open(path.join(segment_file_name(*number)))
                .and_then(|segment| segment.sync_all())
                .map_err(failed("make durable the journal in the directory"))?;
        }
        let reserve = reserve(path).map_err(failed("set space aside in the directory"))?;
        let directory = Self {
            path: path.to_owned(),
            dir,
            segment: None,
            reserve: Some(reserve),
        };
        Ok(Some((directory, tail)))
    }

    fn write_whole(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = create_new(&self.path.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        self.dir.sync_all()
    }
}

impl Store for Directory {
    fn begin_segment(&mut self, number: u32) -> io::Result<()> {
        let segment = create_new(&self.path.join(segment_file_name(number)))?;
        // The name must outlive a loss of power as the content does.
        self.dir.sync_all()?;
        self.segment = Some(segment);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.segment {
            Some(segment) => segment.write(bytes),
            None => Err(io::Error::other("no segment was begun")),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.segment.as_ref().map_or(Ok(()), File::sync_data)
    }

    fn give_back_reserve(&mut self) -> u64 {
        // The reserve has no name: its space is free when its descriptor is closed.
        self.reserve.take().map_or(0, |_| RESERVE_BYTES)
    }

    fn read(&mut self, number: u32, from: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path.join(segment_file_name(number)))?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        let most = u64::try_from(len).unwrap_or(u64::MAX);
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        std::fs::remove_file(self.path.join(segment_file_name(number)))?;
        self.dir.sync_all()
    }
}

/// Opens the directory with the lock on it that says that we write here.
fn locked(path: &Path) -> Result<File, StoreError> {
    let failed = |doing| {
        move |error| StoreError::Io {
            doing,
            path: path.to_owned(),
            error,
        }
    };
    let dir = File::open(path).map_err(failed("open the directory"))?;
    match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(dir),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse {
            path: path.to_owned(),
        }),
        Err(error) => Err(failed("lock the directory")(error.into())),
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn first_name(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut names = std::fs::read_dir(path)?
        .map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names.into_iter().next())
}

/// Removes what a recorder leaves that ends between its start and its first whole frame. Where
/// anything else stands, all stays: only a directory of nothing but such beginnings is cleared.
fn remove_unbegun(dir: &Path) -> io::Result<()> {
    let first = segment_file_name(1);
    let mut left = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let ours = name == RESERVE_NAME || name == ENROLMENT_NAME;
        let unbegun = entry.file_type()?.is_file() && (ours || (name == *first && torn(&path)?));
        if !unbegun {
            return Ok(());
        }
        left.push(path);
    }
    left.iter().try_for_each(std::fs::remove_file)
}

/// Whether a file holds less than its first frame: nothing, zeros where a loss of power took what was not
/// yet durable, or a frame that is cut. A whole frame, damaged or not, is evidence.
fn torn(path: &Path) -> io::Result<bool> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FIRST_FRAME_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    let zeros = bytes.len() as u64 <= FIRST_FRAME_BYTES_MAX && bytes.iter().all(|&byte| byte == 0);
    Ok(zeros
        || match FrameHeader::promised_len(&bytes) {
            Ok(len) => bytes.len() < len,
            Err(FrameError::CutHeader { .. }) => true,
            Err(_) => false,
        })
}

/// A file of [`RESERVE_BYTES`] without a name, so that nothing of it is left after a crash.
fn reserve(dir: &Path) -> io::Result<File> {
    let path = dir.join(RESERVE_NAME);
    let mut file = create_new(&path)?;
    std::fs::remove_file(&path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::OPNOTSUPP) => {
            // A filesystem that sets nothing aside is filled instead.
            io::copy(&mut io::Read::take(io::repeat(1), RESERVE_BYTES), &mut file)?;
            Ok(file)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_stranger_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("letter"), "dear").unwrap();
        let error = Directory::create(dir.path(), "{}").unwrap_err();
        assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn a_second_recorder_is_refused_and_a_recording_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut first = Directory::create(&path, "{}").unwrap();
        first.begin_segment(1).unwrap();
        assert!(first.begin_segment(1).is_err());
        first.write(b"evidence, though damaged").unwrap();
        assert!(matches!(
            Directory::create(&path, "{}"),
            Err(StoreError::InUse { .. })
        ));
        drop(first);
        assert!(matches!(
            Directory::create(&path, "{}"),
            Err(StoreError::NotEmpty { .. })
        ));
    }

    #[test]
    fn what_never_began_makes_room_unless_a_stranger_is_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let leave = || {
            for name in [RESERVE_NAME, ENROLMENT_NAME, "00000001.saj"] {
                std::fs::write(dir.path().join(name), [0; 9]).unwrap();
            }
        };
        leave();
        std::fs::write(dir.path().join("letter"), "dear").unwrap();
        assert!(Directory::create(dir.path(), "{}").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
        std::fs::remove_file(dir.path().join("letter")).unwrap();
        drop(Directory::create(dir.path(), "{}").unwrap());
        let label = std::fs::read(dir.path().join(ENROLMENT_NAME)).unwrap();
        assert_eq!(label, b"{}");
        leave();
        std::fs::write(dir.path().join("00000002.saj"), "").unwrap();
        assert!(Directory::create(dir.path(), "{}").is_err());
    }

    #[test]
    fn only_the_recorders_user_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut store = Directory::create(&path, "{}").unwrap();
        store.begin_segment(1).unwrap();
        for (name, mode) in [
            ("", 0o700),
            ("00000001.saj", 0o600),
            ("enrolment.json", 0o600),
        ] {
            let found = path.join(name).metadata().unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{name}");
        }
    }

    #[test]
    fn the_reserve_takes_space_and_gives_it_back() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let mut store = Directory::create(&dir.path().join("journal"), "{}").unwrap();
        let taken = store.reserve.as_ref().unwrap().metadata().unwrap();
        assert!(taken.blocks() * 512 >= RESERVE_BYTES);
        assert_eq!(store.give_back_reserve(), RESERVE_BYTES);
        assert_eq!(store.give_back_reserve(), 0);
    }

    #[test]
    fn an_error_says_what_where_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/journal");
        let error = Directory::create(&path, "{}").unwrap_err().to_string();
        assert!(error.contains("missing/journal"), "{error}");
        assert!(!error.contains('\n'));
    }
}

//! Taking a journal away: the anchor to write down, and the copy on a stick.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal, kill_process};
use saigen_schemas::journal::{Anchor, segment_file_name};
use sha2::{Digest, Sha256};

use crate::journal::{Tail, segments};

/// How long a running recorder may take to close its segment.
const CLOSES_WITHIN: Duration = Duration::from_secs(15);

/// Bytes that are copied at once.
const COPY_BYTES: usize = 256 << 10;

/// Why nothing was taken.
#[derive(Debug)]
pub enum AcquireError {
    /// No journal is in the directory.
    NoJournal {
        /// The directory.
        path: PathBuf,
    },
    /// The stick holds something of that name.
    Exists {
        /// The name.
        path: PathBuf,
    },
    /// The recorder that runs does not answer.
    Unanswered {
        /// The journal's directory.
        path: PathBuf,
    },
    /// What was written to the stick does not read back.
    Differs {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    Io {
        /// What was being done: `read the journal`.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJournal { path } => {
                write!(
                    f,
                    "{}: no frame of a journal can be read here",
                    path.display()
                )
            }
            Self::Exists { path } => write!(
                f,
                "{}: exists already; a copy is never written over, choose a new directory",
                path.display()
            ),
            Self::Unanswered { path } => write!(
                f,
                "{}: a recorder is writing here and did not close its segment; end it, or copy the files by hand: the copy then has an open end",
                path.display()
            ),
            Self::Differs { path } => write!(
                f,
                "{}: reads back as other bytes than were written; take another stick",
                path.display()
            ),
            Self::Io { doing, path, error } => {
                write!(f, "{}: cannot {doing}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for AcquireError {}

fn io_error<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> AcquireError + use<'a> {
    move |error| AcquireError::Io {
        doing,
        path: path.to_owned(),
        error,
    }
}

/// The anchor of the journal in a directory, whether it is being written to or not: the last frame that
/// stands there whole.
///
/// # Errors
/// If no frame can be read.
pub fn anchor(dir: &Path) -> Result<Anchor, AcquireError> {
    let tail = Tail::read(dir).map_err(io_error("read the journal", dir))?;
    let tail = tail.ok_or_else(|| AcquireError::NoJournal {
        path: dir.to_owned(),
    })?;
    Ok(tail.anchor())
}

/// A file of the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its path on the stick, from there.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Lower-case hex SHA-256, of the copy as it reads back.
    pub sha256: String,
}

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedOff {
    /// The last frame of the copy.
    pub anchor: Anchor,
    /// The files.
    pub files: Vec<Copied>,
    /// Whether the recording goes on.
    pub running: bool,
}

/// Copies the closed segments of a journal to `stick/journal`, with their hashes and the anchor beside
/// it. A recorder that is writing signs and closes its segment first, and goes on in the next.
///
/// # Errors
/// If the recorder does not answer, a file cannot be copied, or reads back otherwise.
pub fn seal_off(dir: &Path, stick: &Path) -> Result<SealedOff, AcquireError> {
    let failed = io_error("read the journal", dir);
    let running = close_segment(dir)?;
    let mut numbers: Vec<u32> = segments(dir)
        .map_err(&failed)?
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    if running {
        numbers.pop();
    }
    if numbers.is_empty() {
        return Err(AcquireError::NoJournal {
            path: dir.to_owned(),
        });
    }
    let copy = stick.join("journal");
    make_dir(stick)?;
    DirBuilder::new()
        .mode(0o700)
        .create(&copy)
        .map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                AcquireError::Exists { path: copy.clone() }
            } else {
                io_error("create the directory", &copy)(error)
            }
        })?;
    let mut names: Vec<String> = numbers.into_iter().map(segment_file_name).collect();
    if dir.join("enrolment.json").exists() {
        names.push("enrolment.json".to_owned());
    }
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        let (bytes, sha256) = copy_file(&dir.join(&name), &copy.join(&name))?;
        files.push(Copied {
            name: format!("journal/{name}"),
            bytes,
            sha256,
        });
    }
    let anchor = anchor(&copy)?;
    write_new(&stick.join("anchor.json"), &format!("{}\n", anchor.write()))?;
    let sums: String = files
        .iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.name))
        .collect();
    write_new(&stick.join("SHA256SUMS"), &sums)?;
    for folder in [copy.as_path(), stick] {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error("make durable", folder))?;
    }
    Ok(SealedOff {
        anchor,
        files,
        running,
    })
}

fn make_dir(path: &Path) -> Result<(), AcquireError> {
    match DirBuilder::new().create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(io_error("create the directory", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Has a recorder that writes here close its segment; says whether there is one.
fn close_segment(dir: &Path) -> Result<bool, AcquireError> {
    let failed = io_error("look for a recorder of", dir);
    let opened = File::open(dir).map_err(&failed)?;
    match rustix::fs::flock(&opened, FlockOperation::NonBlockingLockShared) {
        Ok(()) => return Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        Err(error) => return Err(failed(error.into())),
    }
    let unanswered = || AcquireError::Unanswered {
        path: dir.to_owned(),
    };
    let before = last_segment(dir)?;
    let about = opened.metadata().map_err(&failed)?;
    let pid = holder(about.dev(), about.ino()).ok_or_else(unanswered)?;
    kill_process(pid, Signal::USR1).map_err(|error| failed(error.into()))?;
    let end = Instant::now() + CLOSES_WITHIN;
    while last_segment(dir)? == before {
        if Instant::now() >= end {
            return Err(unanswered());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(true)
}

fn last_segment(dir: &Path) -> Result<Option<u32>, AcquireError> {
    let all = segments(dir).map_err(io_error("read the journal", dir))?;
    Ok(all.last().map(|(number, _)| *number))
}

/// The process that holds a lock on a file, as `/proc/locks` (proc_locks(5)) names it.
fn holder(dev: u64, inode: u64) -> Option<Pid> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    let mut lines = locks.lines().map(|line| line.split_whitespace());
    lines.find_map(|mut words| {
        let pid = words.find(|word| *word == "WRITE").and(words.next())?;
        (words.next() == Some(&file)).then_some(())?;
        Pid::from_raw(pid.parse().ok()?)
    })
}

/// Copies a file that must be new there, and gives the length and hash of what reads back.
fn copy_file(from: &Path, to: &Path) -> Result<(u64, String), AcquireError> {
    let mut source = File::open(from).map_err(io_error("open", from))?;
    let mut target = create_new(to)?;
    let written =
        pass(&mut source, &mut |bytes| target.write_all(bytes)).map_err(io_error("copy to", to))?;
    target.sync_all().map_err(io_error("make durable", to))?;
    let mut again = File::open(to).map_err(io_error("open", to))?;
    let read = pass(&mut again, &mut |_| Ok(())).map_err(io_error("read back", to))?;
    if read == written {
        Ok(read)
    } else {
        Err(AcquireError::Differs {
            path: to.to_owned(),
        })
    }
}

/// Reads a file to its end; gives its length and hash.
fn pass(
    file: &mut File,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(u64, String)> {
    let mut buffer = vec![0; COPY_BYTES];
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        let part = buffer.get(..read).unwrap_or_default();
        hasher.update(part);
        each(part)?;
        bytes += part.len() as u64;
    }
    let hash = hasher.finalize();
    let hex = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, hex))
}

fn write_new(path: &Path, text: &str) -> Result<(), AcquireError> {
    let mut file = create_new(path)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io_error("write", path))
}

fn create_new(path: &Path) -> Result<File, AcquireError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                AcquireError::Exists {
                    path: path.to_owned(),
                }
            } else {
                io_error("create", path)(error)
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_journal_is_copied_whole_and_never_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, stick) = (dir.path().join("state"), dir.path().join("stick"));
        crate::snapshot::to_journal(&journal).unwrap();
        let taken = seal_off(&journal, &stick).unwrap();
        assert!(!taken.running);
        assert_eq!(taken.anchor, anchor(&journal).unwrap());
        assert_eq!(
            fs::read(journal.join("00000001.saj")).unwrap(),
            fs::read(stick.join("journal/00000001.saj")).unwrap()
        );
        let line = fs::read_to_string(stick.join("anchor.json")).unwrap();
        assert_eq!(Anchor::read(line.trim_end()), Some(taken.anchor));
        assert!(matches!(
            seal_off(&journal, &stick),
            Err(AcquireError::Exists { .. })
        ));
        assert!(matches!(
            anchor(dir.path()),
            Err(AcquireError::NoJournal { .. })
        ));
    }

    #[test]
    fn the_process_that_writes_is_found_by_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let opened = File::open(dir.path()).unwrap();
        let about = opened.metadata().unwrap();
        assert_eq!(holder(about.dev(), about.ino()), None);
        rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(
            holder(about.dev(), about.ino()),
            Some(rustix::process::getpid())
        );
    }
}

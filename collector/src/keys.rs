//! Key files: what `keygen` makes, what `record` reads and moves forward.
//!
//! The endpoint's key is the state of its recordings. On disk stands only a key that is some
//! positions ahead of what was written, so that who steals the disk can forge nothing that exists.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use saigen_schemas::journal::checkpoint::{CheckpointKey, Succession};
use saigen_schemas::journal::seal::{EnrolmentId, EnrolmentSecret, FrameKey};
use saigen_schemas::journal::{AuditorKey, EndpointKey, KeyFileError};

/// How many positions the key on disk is ahead: what a crash can hide, against how often the key
/// must be made durable (four small writes each time).
const AHEAD: u64 = 32;

/// The most bytes of a key file.
const FILE_BYTES_MAX: u64 = 4096;

/// What went wrong with a key file.
#[derive(Debug)]
pub enum KeyError {
    /// A file of that name exists.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another recorder is using it.
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is not the key file that is needed.
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyFileError,
    },
    /// The system refused.
    Io {
        /// What was being done: `read the key`.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists { path } => write!(
                out,
                "{}: exists already; a key is never written over, choose another directory",
                path.display()
            ),
            Self::InUse { path } => write!(
                out,
                "{}: another recorder is using this key; stop it, or give this one a key of its own",
                path.display()
            ),
            Self::Content { path, error } => {
                write!(
                    out,
                    "{}: {error}; `keygen` makes an endpoint.key",
                    path.display()
                )
            }
            Self::Io { doing, path, error } => {
                write!(out, "{}: cannot {doing}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for KeyError {}

fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl Fn(io::Error) -> KeyError + use<'a> {
    move |error| KeyError::Io {
        doing,
        path: path.to_owned(),
        error,
    }
}

/// The three files that `keygen` makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// For the endpoint.
    pub endpoint: PathBuf,
    /// For the auditor.
    pub auditor: PathBuf,
    /// For anyone.
    pub public: PathBuf,
    /// The enrolment that they are of.
    pub enrolment: EnrolmentId,
}

/// Makes a new enrolment and writes its key files to `dir`, which is made if it is missing.
///
/// # Errors
/// If one of the files exists (then nothing is written), or the system refuses.
pub fn generate(dir: &Path) -> Result<Made, KeyError> {
    let mut secret = EnrolmentSecret([0; 32]);
    let mut enrolment = EnrolmentId([0; 16]);
    for bytes in [secret.0.as_mut_slice(), enrolment.0.as_mut_slice()] {
        getrandom::fill(bytes)
            .map_err(|error| io_error("draw random bytes for", dir)(io::Error::other(error)))?;
    }
    let made = Made {
        endpoint: dir.join("endpoint.key"),
        auditor: dir.join("auditor.key"),
        public: dir.join("enrolment.pub"),
        enrolment,
    };
    match fs::DirBuilder::new().create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io_error("create the directory", dir)(error));
        }
        Ok(()) | Err(_) => {}
    }
    for path in [&made.endpoint, &made.auditor, &made.public] {
        if path.symlink_metadata().is_ok() {
            return Err(KeyError::Exists { path: path.clone() });
        }
    }
    let auditor = AuditorKey { enrolment, secret };
    write_new(&made.auditor, 0o600, auditor.write().as_bytes())?;
    write_new(
        &made.endpoint,
        0o600,
        EndpointKey::first(&auditor).write().as_bytes(),
    )?;
    write_new(&made.public, 0o644, auditor.public().write().as_bytes())?;
    sync_directory_of(&made.public)?;
    Ok(made)
}

/// An enrolment for a journal without seals: an identity that nobody holds a secret of.
///
/// # Errors
/// If the system has no random bytes to give.
pub fn unsealed_enrolment() -> io::Result<EnrolmentId> {
    let mut enrolment = EnrolmentId([0; 16]);
    getrandom::fill(&mut enrolment.0).map_err(io::Error::other)?;
    Ok(enrolment)
}

fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<File, KeyError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                KeyError::Exists {
                    path: path.to_owned(),
                }
            } else {
                io_error("create the key", path)(error)
            }
        })?;
    file.write_all(bytes)
        .map_err(io_error("write the key", path))?;
    file.sync_all()
        .map_err(io_error("make the key durable", path))?;
    Ok(file)
}

fn sync_directory_of(path: &Path) -> Result<(), KeyError> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io_error("make durable the directory of", path))
}

/// The endpoint's key file, held for the time of a recording.
#[derive(Debug)]
pub struct KeyState {
    path: PathBuf,
    enrolment: EnrolmentId,
    /// The key that signs checkpoints; it stands in the file beside the key of frames.
    checkpoint: CheckpointKey,
    /// The open file holds the lock; it is replaced with the file.
    held: File,
    /// The first position whose key may not be used yet: what stands on disk.
    kept: u64,
}

impl KeyState {
    /// Opens and locks the key file at `path`, and gives the key of its position.
    ///
    /// # Errors
    /// If it is missing, in use, or no endpoint's key.
    pub fn open(path: &Path) -> Result<(Self, FrameKey), KeyError> {
        // A key that is reached by a link is replaced where it is, not where the link is.
        let path = path
            .canonicalize()
            .map_err(io_error("find the key", path))?;
        let mut file = locked(&path)?;
        let mut text = zeroize::Zeroizing::new(String::with_capacity(1024));
        Read::by_ref(&mut file)
            .take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(io_error("read the key", &path))?;
        let key = EndpointKey::read(&text).map_err(|error| KeyError::Content {
            path: path.clone(),
            error,
        })?;
        let state = Self {
            path,
            enrolment: key.enrolment,
            checkpoint: key.checkpoint,
            held: file,
            kept: key.key.position(),
        };
        Ok((state, key.key))
    }

    /// The enrolment that the key is of.
    #[must_use]
    pub fn enrolment(&self) -> EnrolmentId {
        self.enrolment
    }

    /// The key that signs the checkpoints of the open segment.
    #[must_use]
    pub fn checkpoint(&self) -> &CheckpointKey {
        &self.checkpoint
    }

    /// Takes the key of the next generation into use, in memory. The old one stays on disk
    /// until [`Self::step_ahead`], so that a crash before the opening with this
    /// succession is durable leads to the same succession again.
    pub fn succeed(&mut self) -> Succession {
        self.checkpoint.succeed(self.enrolment)
    }

    /// Makes sure that the key on disk is ahead of `next`, the key of the next position: call it
    /// before that position is used.
    ///
    /// # Errors
    /// If the file cannot be replaced; then the position must not be used.
    pub fn before_use(&mut self, next: &FrameKey) -> Result<(), KeyError> {
        if next.position() < self.kept {
            return Ok(());
        }
        self.step_ahead(next)
    }

    /// Puts a key on disk that is [`AHEAD`] positions after `next`, and the checkpoints' key that is
    /// in use: what stood there before is gone.
    ///
    /// # Errors
    /// If the file cannot be replaced.
    pub fn step_ahead(&mut self, next: &FrameKey) -> Result<(), KeyError> {
        let mut ahead = next.clone();
        for _ in 0..AHEAD {
            ahead.advance();
        }
        self.keep(ahead)
    }

    /// Puts the key of the next position on disk: nothing more will be written.
    ///
    /// # Errors
    /// If the file cannot be replaced; then the key on disk stays some positions ahead.
    pub fn settle(&mut self, next: &FrameKey) -> Result<(), KeyError> {
        self.keep(next.clone())
    }

    fn keep(&mut self, key: FrameKey) -> Result<(), KeyError> {
        let new = self.path.with_added_extension("new");
        // A crash may have left one; we hold the lock, so it is nobody's.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("replace the key", &new)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let kept = key.position();
        let text = EndpointKey {
            enrolment: self.enrolment,
            key,
            checkpoint: self.checkpoint.clone(),
        }
        .write();
        let file = write_new(&new, 0o600, text.as_bytes())?;
        // The new file is locked before it has the name, so that there is no moment in between.
        lock(&file, &new)?;
        fs::rename(&new, &self.path).map_err(io_error("replace the key", &self.path))?;
        sync_directory_of(&self.path)?;
        drop(std::mem::replace(&mut self.held, file));
        self.kept = kept;
        Ok(())
    }
}

/// Opens the file at `path` with the lock on it.
fn locked(path: &Path) -> Result<File, KeyError> {
    loop {
        let file = File::open(path).map_err(io_error("open the key", path))?;
        lock(&file, path)?;
        let held = file.metadata().map_err(io_error("look at the key", path))?;
        let named = fs::metadata(path).map_err(io_error("look at the key", path))?;
        // Whoever held the lock may have replaced the file before letting go.
        if (held.dev(), held.ino()) == (named.dev(), named.ino()) {
            return Ok(file);
        }
    }
}

fn lock(file: &File, path: &Path) -> Result<(), KeyError> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(KeyError::InUse {
            path: path.to_owned(),
        }),
        Err(error) => Err(io_error("lock the key", path)(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn made() -> (tempfile::TempDir, Made) {
        let dir = tempfile::tempdir().unwrap();
        let made = generate(&dir.path().join("keys")).unwrap();
        (dir, made)
    }

    #[test]
    fn keys_are_private_and_never_written_over() {
        let (dir, made) = made();
        for path in [&made.endpoint, &made.auditor] {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let before = fs::read(&made.auditor).unwrap();
        assert!(matches!(
            generate(&dir.path().join("keys")),
            Err(KeyError::Exists { .. })
        ));
        fs::remove_file(&made.endpoint).unwrap();
        assert!(matches!(
            generate(&dir.path().join("keys")),
            Err(KeyError::Exists { .. })
        ));
        assert!(!made.endpoint.exists(), "half of an enrolment is not made");
        assert_eq!(fs::read(&made.auditor).unwrap(), before);
    }

    #[test]
    fn a_key_in_use_is_refused_and_free_again_afterwards() {
        let (_dir, made) = made();
        let (mut state, mut key) = KeyState::open(&made.endpoint).unwrap();
        assert!(matches!(
            KeyState::open(&made.endpoint),
            Err(KeyError::InUse { .. })
        ));
        for _ in 0..100 {
            state.before_use(&key).unwrap();
            key.advance();
        }
        assert!(matches!(
            KeyState::open(&made.endpoint),
            Err(KeyError::InUse { .. })
        ));
        state.settle(&key).unwrap();
        drop(state);
        let (_, next) = KeyState::open(&made.endpoint).unwrap();
        assert_eq!((next.position(), next.bytes()), (100, key.bytes()));
    }

    #[test]
    fn a_crash_never_leaves_a_key_that_was_used() {
        let (_dir, made) = made();
        let (mut state, mut key) = KeyState::open(&made.endpoint).unwrap();
        for position in 0..100 {
            state.before_use(&key).unwrap();
            let on_disk = EndpointKey::read(&fs::read_to_string(&made.endpoint).unwrap()).unwrap();
            assert!(on_disk.key.position() > position);
            assert!(on_disk.key.position() <= position + AHEAD);
            key.advance();
        }
    }

    #[test]
    fn another_file_is_named_for_what_it_is() {
        let (_dir, made) = made();
        for path in [&made.auditor, &made.public] {
            assert!(matches!(
                KeyState::open(path),
                Err(KeyError::Content { .. })
            ));
        }
        let missing = KeyState::open(Path::new("/nowhere/endpoint.key"))
            .unwrap_err()
            .to_string();
        assert!(
            missing.contains("/nowhere/endpoint.key") && !missing.contains('\n'),
            "{missing}"
        );
    }

    #[test]
    fn a_key_behind_a_link_is_replaced_in_its_own_place() {
        let (dir, made) = made();
        let link = dir.path().join("link.key");
        std::os::unix::fs::symlink(&made.endpoint, &link).unwrap();
        let (mut state, key) = KeyState::open(&link).unwrap();
        state.before_use(&key).unwrap();
        assert!(link.is_symlink());
        assert!(!made.endpoint.is_symlink());
    }
}

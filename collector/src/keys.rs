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
use saigen_schemas::journal::checkpoint::{CheckpointKey, PublicKey, Succession};
use saigen_schemas::journal::hex::{from_hex, to_hex};
use saigen_schemas::journal::seal::{EnrolmentId, EnrolmentSecret, FrameKey};
use saigen_schemas::journal::{AHEAD_DEFAULT, AuditorKey, EndpointKey, KeyFileError};

/// The most bytes of a key file.
const FILE_BYTES_MAX: u64 = 4096;

/// The most bytes of the list of successions: a century of segments of an hour.
const LIST_BYTES_MAX: u64 = 200 << 20;

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
    let auditor = AuditorKey {
        enrolment,
        secret,
        ahead: AHEAD_DEFAULT,
    };
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
    /// How far ahead the key on disk is kept.
    ahead: u64,
    /// How the present key of checkpoints came from those before it, in order, the present one
    /// last. It begins with generation 1, unless the list beside the key was lost.
    successions: Vec<Succession>,
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
        let successions = read_successions(&list_of(&path), key.enrolment, &key.checkpoint)?;
        let state = Self {
            path,
            enrolment: key.enrolment,
            checkpoint: key.checkpoint,
            held: file,
            kept: key.key.position(),
            ahead: key.ahead,
            successions,
        };
        Ok((state, key.key))
    }

    /// The enrolment that the key is of.
    #[must_use]
    pub fn enrolment(&self) -> EnrolmentId {
        self.enrolment
    }

    /// How many positions the key on disk is ahead of what was written.
    #[must_use]
    pub fn ahead(&self) -> u64 {
        self.ahead
    }

    /// The key that signs the checkpoints of the open segment.
    #[must_use]
    pub fn checkpoint(&self) -> &CheckpointKey {
        &self.checkpoint
    }

    /// Takes the key of the next generation into use, in memory. The old one stays on disk
    /// until [`Self::step_ahead`], so that a crash before the opening with this
    /// succession is durable leads to the same succession again.
    ///
    /// The succession is added to the list beside the key file: whoever holds the public key of
    /// generation 0 can follow it to any later recording. It holds no secret.
    ///
    /// # Errors
    /// If that list cannot be written.
    pub fn succeed(&mut self) -> Result<(), KeyError> {
        let succession = self.checkpoint.succeed(self.enrolment);
        let path = list_of(&self.path);
        let mut list = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("open the list of keys", &path))?;
        let line = format!(
            "{} {} {}\n",
            succession.generation,
            succession.public_key,
            to_hex(&succession.signature)
        );
        list.write_all(line.as_bytes())
            .and_then(|()| list.sync_all())
            .map_err(io_error("write the list of keys", &path))?;
        self.successions.push(succession);
        Ok(())
    }

    /// How the present key of checkpoints came from those before it, in order.
    #[must_use]
    pub fn successions(&self) -> &[Succession] {
        &self.successions
    }

    /// Whether the key on disk must go further ahead before the position of `next` may be used. What
    /// was written must be durable before that.
    #[must_use]
    pub fn is_used_up_by(&self, next: &FrameKey) -> bool {
        next.position() >= self.kept
    }

    /// Puts a key on disk that is as far ahead of `next` as the enrolment says, and the checkpoints'
    /// key that is in use: what stood there before is gone.
    ///
    /// # Errors
    /// If the file cannot be replaced; then the position of `next` must not be used.
    pub fn step_ahead(&mut self, next: &FrameKey) -> Result<(), KeyError> {
        let mut ahead = next.clone();
        for _ in 0..self.ahead {
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
            ahead: self.ahead,
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

/// Where the list of successions lies: beside the key, under its name.
fn list_of(key: &Path) -> PathBuf {
    key.with_added_extension("successions")
}

/// The successions that lead to the present key, from the list beside the key file. A line that
/// a crash cut, or that was written twice, is passed over; where something is missing or does not
/// hold, only what comes after it is of use.
fn read_successions(
    path: &Path,
    enrolment: EnrolmentId,
    present: &CheckpointKey,
) -> Result<Vec<Succession>, KeyError> {
    let mut text = Vec::new();
    match File::open(path) {
        Ok(list) => list
            .take(LIST_BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(io_error("read the list of keys", path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(io_error("open the list of keys", path)(error)),
    };
    let mut successions: Vec<Succession> = Vec::new();
    for succession in text.split(|&byte| byte == b'\n').filter_map(succession_of) {
        let wanted = successions.last().map_or(1, |last| last.generation + 1);
        let held = successions
            .last()
            .is_none_or(|last| succession.holds(enrolment, last.public_key));
        if succession.generation >= wanted && succession.generation <= present.generation() {
            if succession.generation > wanted || !held {
                successions.clear();
            }
            successions.push(succession);
        }
    }
    let whole = successions.last().is_some_and(|last| {
        (last.generation, last.public_key) == (present.generation(), present.public())
    });
    if !whole {
        successions.clear();
    }
    Ok(successions)
}

/// A line of the list.
fn succession_of(line: &[u8]) -> Option<Succession> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    Some(Succession {
        generation: words.next()?.parse().ok()?,
        public_key: PublicKey(from_hex(words.next()?)?),
        signature: from_hex(words.next()?)?,
    })
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

    fn use_position(state: &mut KeyState, key: &FrameKey) {
        if state.is_used_up_by(key) {
            state.step_ahead(key).unwrap();
        }
    }

    #[test]
    fn the_way_of_the_signing_key_is_kept_beside_it() {
        let (_dir, made) = made();
        for round in 0..3_u32 {
            let (mut state, key) = KeyState::open(&made.endpoint).unwrap();
            assert_eq!(u32::try_from(state.successions().len()), Ok(round));
            state.succeed().unwrap();
            if round == 1 {
                // A crash before the key is kept leads to the same again.
                drop(state);
                (state, _) = KeyState::open(&made.endpoint).unwrap();
                state.succeed().unwrap();
            }
            state.step_ahead(&key).unwrap();
        }
        let list = list_of(&made.endpoint);
        let mut text = fs::read(&list).unwrap();
        text.extend(b"4 00");
        fs::write(&list, &text).unwrap();
        let (state, _) = KeyState::open(&made.endpoint).unwrap();
        assert_eq!(state.successions().len(), 3);
        drop(state);
        fs::write(&list, &text[1..]).unwrap();
        let (state, _) = KeyState::open(&made.endpoint).unwrap();
        assert_eq!(state.successions().first().unwrap().generation, 2);
    }

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
            use_position(&mut state, &key);
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
            use_position(&mut state, &key);
            let on_disk = EndpointKey::read(&fs::read_to_string(&made.endpoint).unwrap()).unwrap();
            assert!(on_disk.key.position() > position);
            assert!(on_disk.key.position() <= position + AHEAD_DEFAULT);
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
        state.step_ahead(&key).unwrap();
        assert!(link.is_symlink());
        assert!(!made.endpoint.is_symlink());
    }
}

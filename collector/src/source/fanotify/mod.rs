//! Files, by fanotify: what was created, written, renamed, deleted, opened to be run.
//!
//! A mark on each filesystem that can be written, so that nothing is missed below it. Each
//! event names its directory by handle, its file by name, its process by number. Nobody ever
//! waits for us: these are notifications, not permissions. What this cannot see: overlay
//! itself (its writes are seen on its upper filesystem and given the overlay's name), the
//! network's filesystems, and what happened on a mount before we knew of it.

mod mounts;
mod naming;
mod paths;
mod queue;
mod sys;
mod watched;
mod wire;

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::OpenTreeFlags;

pub use mounts::{Device, Mount, at as mounted_at};
pub use naming::{Audience, FileRecord, FileStatus, Named, Seen};
pub use queue::Queue;
pub use wire::Malformed;

use crate::namespace;
use crate::source::SourceError;
use mounts::{Uppers, View};
use naming::{Paths, Times};
use paths::{Directories, Filesystem};
use watched::{Want, Watched};

/// What is recorded of every file: the bits of `fanotify_mark(2)`.
const EVERYWHERE: u64 = libc::FAN_CREATE
    | libc::FAN_DELETE
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_ATTRIB
    | libc::FAN_ONDIR;

/// The most mount namespaces that are looked into beside our own.
const VIEWS_MAX: usize = 32;

/// The settings of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether opens that lead to an execution are recorded (two events a program start).
    pub executions: Executions,
    /// The most bytes that may wait in the kernel; beyond, events are read and counted as
    /// lost without being looked at, until half of it is left.
    pub waiting_bytes_max: u64,
    /// Files whose reading is told beside those that always are; a directory ends in `/`.
    pub reads: Vec<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            executions: Executions::Recorded,
            waiting_bytes_max: 32 << 20,
            reads: Vec::new(),
        }
    }
}

/// Whether opens to execute are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executions {
    /// They are.
    Recorded,
    /// Another source tells of them.
    LeftOut,
}

/// What this kernel's fanotify gives, best first.
///
/// A descriptor of the process (`FAN_REPORT_PIDFD`) is not asked for: each event would hold one of
/// our descriptors from its draining to its naming, and a burst would leave none for anything
/// else. Who a process number meant is told by the records of forks and exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// Directory, name and file; renames whole (Linux 5.17).
    Whole,
    /// Directory and name; the two ends of a rename apart (Linux 5.9).
    NamesOnly,
}

impl Rung {
    const ALL: [Self; 2] = [Self::Whole, Self::NamesOnly];

    fn flags(self) -> u32 {
        let base = libc::FAN_CLASS_NOTIF
            | libc::FAN_CLOEXEC
            | libc::FAN_NONBLOCK
            | libc::FAN_UNLIMITED_QUEUE
            | libc::FAN_UNLIMITED_MARKS;
        base | match self {
            Self::Whole => libc::FAN_REPORT_DFID_NAME_TARGET,
            Self::NamesOnly => libc::FAN_REPORT_DFID_NAME | libc::FAN_REPORT_FID,
        }
    }

    fn renames(self) -> u64 {
        match self {
            Self::Whole => libc::FAN_RENAME,
            Self::NamesOnly => libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO,
        }
    }
}

/// A filesystem that could not be watched.
#[derive(Debug)]
pub struct Refusal {
    /// Where it is mounted, as seen in the view that was asked for.
    pub mount_point: Vec<u8>,
    /// Its type.
    pub fs_type: Vec<u8>,
    /// Why.
    pub cause: io::Error,
}

/// Opens fanotify with the best that the kernel gives: its queue, for the thread that drains,
/// and its names, for the thread that encodes. Nothing is watched yet.
///
/// # Errors
/// If the kernel refuses every rung, with its last word: `EPERM` without `CAP_SYS_ADMIN`,
/// `EINVAL` before Linux 5.9, `ENOSYS` where it is not built in.
pub fn open(options: &Options) -> Result<(Queue, Files), SourceError> {
    let (group, rung) = climb(&Rung::ALL)?;
    let group = Arc::new(group);
    let executions = match options.executions {
        Executions::Recorded => libc::FAN_OPEN_EXEC,
        Executions::LeftOut => 0,
    };
    let queue = Queue::new(Arc::clone(&group), options.waiting_bytes_max);
    let files = Files {
        group,
        rung,
        everywhere: EVERYWHERE | rung.renames() | executions,
        views: Vec::new(),
        uppers: Uppers::default(),
        filesystems: HashMap::new(),
        refused: BTreeSet::new(),
        refusals: Vec::new(),
        directories: Directories::default(),
        watched: Watched::default(),
        reads: options.reads.clone(),
        marked: HashMap::new(),
        paths: Paths::default(),
        times: Times::default(),
        eyes: None,
        own_pid: rustix::process::getpid().as_raw_nonzero().get(),
    };
    Ok((queue, files))
}

/// The files and directories of which reads are told, as far as they exist here now.
#[must_use]
pub fn watched_reads(added: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    let watched = Watched::for_accounts(&passwd).and(added);
    let mut paths: Vec<Vec<u8>> = watched
        .files()
        .chain(watched.directories())
        .map(CString::into_bytes)
        .collect();
    paths.sort();
    paths
}

/// What is watched, and the names of what is reported.
#[derive(Debug)]
pub struct Files {
    group: Arc<OwnedFd>,
    rung: Rung,
    everywhere: u64,
    views: Vec<View>,
    uppers: Uppers,
    filesystems: HashMap<u64, Filesystem>,
    refused: BTreeSet<Device>,
    refusals: Vec<Refusal>,
    directories: Directories,
    watched: Watched,
    /// What was added to them.
    reads: Vec<Vec<u8>>,
    /// Files with a mark of their own, by identity, for filesystems whose handles cannot be opened.
    marked: HashMap<Vec<u8>, Vec<u8>>,
    paths: Paths,
    times: Times,
    /// The mount namespace of the process of the event at hand, if it is known.
    eyes: Option<u64>,
    own_pid: i32,
}

impl Files {
    /// What the kernel gave.
    #[must_use]
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// The filesystems that are watched: device and type.
    pub fn watched(&self) -> impl Iterator<Item = (Device, &[u8])> {
        self.filesystems
            .values()
            .map(|filesystem| (filesystem.device, filesystem.fs_type.as_slice()))
    }

    /// The descriptors that poll `POLLPRI | POLLERR` when a mount comes or goes; then call
    /// [`Self::mounts_changed`].
    pub fn mount_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.views.iter().map(View::poll_fd)
    }

    /// Looks into the mounts of process `pid`, whose mount namespace has this inode, unless that
    /// is done already or too many are looked into.
    pub fn enter(&mut self, pid: u32, namespace: u64) {
        if self.views.iter().any(|view| view.namespace() == namespace) {
            return;
        }
        if self.views.len() > VIEWS_MAX {
            let gone = |view: &View| {
                view.pid()
                    .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
            };
            let Some(oldest) = self.views.iter().position(gone) else {
                return;
            };
            self.views.remove(oldest);
        }
        // If it has ended already, nobody is left to look through.
        if let Ok(refusals) = self.add_view(Some(pid)) {
            self.refusals.extend(refusals);
        }
    }

    /// What was refused on mounts that came after the beginning, since the last call.
    pub fn take_refusals(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refusals)
    }

    /// Watches what process `pid` (none: we ourselves) can see, from now on, and gives what
    /// of it is refused. Our own view must be the first.
    ///
    /// # Errors
    /// If the process is gone, or its mounts may not be read.
    pub fn add_view(&mut self, pid: Option<u32>) -> io::Result<Vec<Refusal>> {
        self.views.push(View::open(pid, &mut self.uppers)?);
        let refusals = self.mark_view(self.views.len() - 1);
        self.mark_watched(pid);
        self.directories.clear();
        Ok(refusals)
    }

    /// Reads the mounts again: watches what is new, lets go of what is gone. What is refused is
    /// told by [`Self::take_refusals`].
    ///
    /// # Errors
    /// If a mount table can no longer be read.
    pub fn mounts_changed(&mut self) -> io::Result<()> {
        for view in &mut self.views {
            view.refresh(&mut self.uppers)?;
        }
        for at in 0..self.views.len() {
            let refusals = self.mark_view(at);
            self.refusals.extend(refusals);
        }
        let mounted: BTreeSet<Device> = self
            .views
            .iter()
            .flat_map(View::mounts)
            .map(|mount| mount.device)
            .collect();
        self.filesystems
            .retain(|_, filesystem| mounted.contains(&filesystem.device));
        self.refused.retain(|device| mounted.contains(device));
        self.directories.clear();
        Ok(())
    }

    /// Puts a mark on every filesystem of a view that has none.
    fn mark_view(&mut self, at: usize) -> Vec<Refusal> {
        let Some(view) = self.views.get(at) else {
            return Vec::new();
        };
        let known: BTreeSet<Device> = self.watched().map(|(device, _)| device).collect();
        let mut wanted: Vec<&Mount> = Vec::new();
        for mount in view.mounts().iter().filter(|mount| mount.is_watched()) {
            if known.contains(&mount.device) || self.refused.contains(&mount.device) {
                continue;
            }
            match wanted.iter_mut().find(|other| other.device == mount.device) {
                // The mount that shows most of the filesystem is the one to look through.
                Some(other) if mount.root.len() < other.root.len() => *other = mount,
                Some(_) => {}
                None => wanted.push(mount),
            }
        }
        if wanted.is_empty() {
            return Vec::new();
        }
        let look = || {
            wanted
                .iter()
                .map(|mount| anchor(&mount.mount_point))
                .collect::<Vec<_>>()
        };
        let anchors = match view.pid() {
            None => look(),
            Some(pid) => match namespace::in_mounts_of(pid, look) {
                Ok(anchors) => anchors,
                // The process ended; what it saw is watched through others or is gone with it.
                Err(_) => return Vec::new(),
            },
        };
        let wanted: Vec<Mount> = wanted.into_iter().cloned().collect();
        wanted
            .into_iter()
            .zip(anchors)
            .filter_map(|(mount, anchor)| {
                let cause = anchor
                    .and_then(|anchor| self.mark_filesystem(&mount, anchor))
                    .err()?;
                self.refused.insert(mount.device);
                Some(Refusal {
                    mount_point: mount.mount_point,
                    fs_type: mount.fs_type,
                    cause,
                })
            })
            .collect()
    }

    fn mark_filesystem(&mut self, mount: &Mount, anchor: OwnedFd) -> io::Result<()> {
        let fsid = sys::fsid(anchor.as_fd())?;
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
        sys::mark(
            self.group.as_fd(),
            flags,
            self.everywhere,
            anchor.as_fd(),
            None,
        )?;
        let filesystem = Filesystem {
            device: mount.device,
            fs_type: mount.fs_type.clone(),
            root: mount.root.clone(),
            anchor,
        };
        self.filesystems.insert(fsid, filesystem);
        Ok(())
    }

    /// Puts marks on the watched files that `pid` can see. A file that refuses is left: its
    /// filesystem has no identities, and none of its events could be named.
    fn mark_watched(&mut self, pid: Option<u32>) {
        let (group, reads) = (self.group.as_fd(), &self.reads);
        let work = || {
            let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
            let watched = Watched::for_accounts(&passwd).and(reads);
            let files = watched.files().map(|path| (path, Want::File));
            let directories = watched.directories().map(|path| (path, Want::FilesWithin));
            let marked = files
                .chain(directories)
                .filter_map(|(path, want)| mark_opens(group, CWD, &path, want).ok().map(|()| path))
                .filter_map(|path| Some((identity(&path)?, path.into_bytes())))
                .collect::<Vec<_>>();
            (watched, marked)
        };
        let done = match pid {
            None => Ok(work()),
            Some(pid) => namespace::in_mounts_of(pid, work),
        };
        if let Ok((watched, marked)) = done {
            self.watched.extend(watched);
            self.marked.extend(marked);
        }
    }
}

/// Opens a group on the first rung that the kernel accepts.
fn climb(rungs: &[Rung]) -> Result<(OwnedFd, Rung), SourceError> {
    let mut refused = io::Error::from(io::ErrorKind::Unsupported);
    for rung in rungs {
        match sys::init(rung.flags()) {
            Ok(group) => return Ok((group, *rung)),
            Err(error) => refused = error,
        }
    }
    Err(SourceError::new("open fanotify", refused))
}

/// A directory on the filesystem mounted at `mount_point`, in a detached copy of the mount:
/// holding it does not make an unmount fail, and what is mounted below does not hide anything.
fn anchor(mount_point: &[u8]) -> io::Result<OwnedFd> {
    let mount_point = OsStr::from_bytes(mount_point);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let detached = rustix::mount::open_tree(CWD, mount_point, clone)
        .and_then(|tree| rustix::fs::openat(tree, ".", flags, Mode::empty()));
    match detached {
        Ok(anchor) => Ok(anchor),
        Err(_) => Ok(rustix::fs::open(mount_point, flags, Mode::empty())?),
    }
}

fn mark_opens(
    group: BorrowedFd<'_>,
    dir: BorrowedFd<'_>,
    path: &CString,
    want: Want,
) -> io::Result<()> {
    let mask = match want {
        Want::File => libc::FAN_OPEN,
        Want::FilesWithin => libc::FAN_OPEN | libc::FAN_EVENT_ON_CHILD,
    };
    sys::mark(group, libc::FAN_MARK_ADD, mask, dir, Some(path))
}

/// The identity of what is at `path`, in the form of [`Files::marked`].
fn identity(path: &CString) -> Option<Vec<u8>> {
    let opened = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let fsid = sys::fsid(opened.as_fd()).ok()?;
    let (kind, handle) = sys::handle_of(path).ok()?;
    let id = wire::FileId {
        fsid,
        kind,
        handle: &handle,
    };
    Some(identity_key(&id))
}

fn identity_key(id: &wire::FileId<'_>) -> Vec<u8> {
    [
        &id.fsid.to_le_bytes(),
        id.kind.to_le_bytes().as_slice(),
        id.handle,
    ]
    .concat()
}

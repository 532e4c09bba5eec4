//! Naming: events to records that say which file, and under which name.

use std::ffi::CString;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags};

use super::mounts::{View, join};
use super::paths::{Dir, Directories, Filesystem, Sight};
use super::wire::{self, FileId, Malformed, Place, WireEvent};
use super::{Files, identity_key, mark_opens};
use crate::source::Batch;

/// How deep a chain of vanished directories is followed.
const VANISHED_DEPTH_MAX: usize = 64;

/// What one batch held, beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Named {
    /// Records given.
    pub records: u64,
    /// Times that the kernel's own queue ran over; how many events that cost is not known.
    pub overflows: u64,
    /// Where the batch could not be read to its end.
    pub malformed: Option<Malformed>,
}

/// What happened to a file, as a set: the kernel joins equal neighbours in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen(u64);

impl Seen {
    /// Made: a file, a directory, a link (see [`FileStatus::links`]), a symbolic link, a device.
    pub const CREATED: Self = Self(libc::FAN_CREATE);
    /// A name was removed.
    pub const DELETED: Self = Self(libc::FAN_DELETE);
    /// Closed by someone who could write to it.
    pub const WRITTEN: Self = Self(libc::FAN_CLOSE_WRITE);
    /// Mode, owner, times or extended attributes changed.
    pub const ATTRIBUTES: Self = Self(libc::FAN_ATTRIB);
    /// Moved from one name to another.
    pub const RENAMED: Self = Self(libc::FAN_RENAME | libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO);
    /// Opened to be run, or as the interpreter of what is run.
    pub const EXECUTED: Self = Self(libc::FAN_OPEN_EXEC);
    /// A watched file was opened.
    pub const OPENED: Self = Self(libc::FAN_OPEN);
    /// It is a directory.
    pub const DIRECTORY: Self = Self(libc::FAN_ONDIR);

    /// Whether something of `what` is in the set.
    #[must_use]
    pub fn has(self, what: Self) -> bool {
        self.0 & what.0 != 0
    }
}

/// One thing that happened to a file.
#[derive(Debug, Clone, Copy)]
pub struct FileRecord<'a> {
    /// When it was drained, on the boot clock in microseconds; it happened a little earlier.
    pub boot_us: u64,
    /// The process, in our PID namespace; 0 for the kernel or a process that we cannot number.
    pub pid: u32,
    /// What happened.
    pub seen: Seen,
    /// Where, as the recorded processes see it; for a rename, where it was. None: the
    /// directory was gone before it could be asked for, and no later event named it.
    pub path: Option<&'a [u8]>,
    /// For a rename, where it is now.
    pub to: Option<&'a [u8]>,
    /// The filesystem's device number.
    pub device: Option<u64>,
    /// The inode number.
    pub inode: Option<u64>,
    /// What the file was like when the event was read: raced, since it may have changed again.
    pub status: Option<FileStatus>,
}

/// A file as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStatus {
    /// Bytes.
    pub size: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names that it has.
    pub links: u32,
}

/// Paths of one event, kept from event to event for their memory.
#[derive(Debug, Default)]
pub(super) struct Paths {
    first: Vec<u8>,
    second: Vec<u8>,
}

/// A place by its path within its filesystem.
#[derive(Debug)]
struct InFilesystem {
    in_fs: Vec<u8>,
    sight: Sight,
}

/// What an event says when an overlay's own work is taken away: what happened, and the paths
/// within the filesystem.
#[derive(Debug)]
struct Unveiled {
    mask: u64,
    was: Option<Vec<u8>>,
    is: Option<Vec<u8>>,
}

impl Files {
    /// Gives every event of a batch to `each`, with its names. Batches must come in the
    /// order in which they were drained: directories are followed as they move.
    pub fn name_all(&mut self, batch: &Batch, each: &mut dyn FnMut(&FileRecord<'_>)) -> Named {
        let mut named = Named::default();
        let mut paths = std::mem::take(&mut self.paths);
        if batch.overruns > 0 {
            // Directories moved unseen.
            self.directories.clear();
        }
        let mut events = wire::events(&batch.bytes);
        while let Some(event) = events.next() {
            let event = match event {
                Ok(event) => event,
                Err(malformed) => {
                    named.malformed = Some(malformed);
                    break;
                }
            };
            if event.mask & libc::FAN_Q_OVERFLOW != 0 {
                named.overflows += 1;
                self.directories.clear();
                continue;
            }
            if event.pid == self.own_pid {
                continue;
            }
            let later = events.clone();
            if let Some(record) = self.record(&event, batch.drained_us, later, &mut paths) {
                each(&record);
                named.records += 1;
            }
        }
        self.paths = paths;
        named
    }

    /// Names what happened in `event`; `later` are the events after it.
    fn record<'a>(
        &mut self,
        event: &WireEvent<'_>,
        boot_us: u64,
        later: wire::Events<'_>,
        paths: &'a mut Paths,
    ) -> Option<FileRecord<'a>> {
        let first = event.from.or(event.at);
        // A change of a file's link count comes as an attribute change without a place; the
        // creation or deletion that made it comes by itself.
        if first.is_none() && event.to.is_none() && event.mask & libc::FAN_OPEN == 0 {
            return None;
        }
        let was = first.and_then(|place| self.name(&place, later.clone(), &mut paths.first));
        let is = event
            .to
            .and_then(|place| self.name(&place, later, &mut paths.second));
        self.follow(event, was.as_ref(), is.as_ref(), paths);
        let Unveiled { mask, was, is } = self.unveil(event, was, is, paths)?;
        let named = was.is_some() || self.marked_name(event, &mut paths.first);
        let object = event.object.or_else(|| {
            first
                .filter(|place| place.name.is_empty())
                .map(|place| place.dir)
        });
        let fsid = object
            .or_else(|| first.map(|place| place.dir))
            .map(|id| id.fsid);
        let filesystem = fsid.and_then(|fsid| self.filesystems.get(&fsid));
        let inode = filesystem
            .zip(object)
            .and_then(|(filesystem, id)| filesystem.inode_in(&id));
        let changed = libc::FAN_CREATE | libc::FAN_CLOSE_WRITE | libc::FAN_ATTRIB;
        let now = is.as_deref().or(was.as_deref());
        let status = filesystem
            .zip(now)
            .filter(|_| mask & changed != 0)
            .and_then(|(filesystem, path)| status(filesystem, path, inode));
        Some(FileRecord {
            boot_us,
            pid: u32::try_from(event.pid).unwrap_or(0),
            seen: Seen(mask),
            path: named.then_some(paths.first.as_slice()),
            to: is.map(|_| paths.second.as_slice()),
            device: filesystem.map(|filesystem| filesystem.device.number()),
            inode,
            status,
        })
    }

    /// Leaves out what an overlay does in its workshop, and gives what is left.
    fn unveil(
        &self,
        event: &WireEvent<'_>,
        was: Option<InFilesystem>,
        is: Option<InFilesystem>,
        paths: &mut Paths,
    ) -> Option<Unveiled> {
        let hidden = |place: &Option<InFilesystem>| {
            place
                .as_ref()
                .is_some_and(|place| place.sight == Sight::Workshop)
        };
        let (hidden_was, hidden_is) = (hidden(&was), hidden(&is));
        let (was, is) = (was.map(|place| place.in_fs), is.map(|place| place.in_fs));
        if !hidden_was && !hidden_is {
            return Some(Unveiled {
                mask: event.mask,
                was,
                is,
            });
        }
        // What was prepared goes to its place. A mark that a name is gone is a deletion; a
        // copy of what was there before is no news.
        let placed = is.filter(|_| !hidden_is)?;
        let filesystem = self.filesystems.get(&event.to?.dir.fsid)?;
        if !is_whiteout(filesystem, &placed) {
            return None;
        }
        std::mem::swap(&mut paths.first, &mut paths.second);
        Some(Unveiled {
            mask: libc::FAN_DELETE,
            was: Some(placed),
            is: None,
        })
    }

    /// Writes the name of `place` to `seen` and gives its path within its filesystem.
    fn name(
        &mut self,
        place: &Place<'_>,
        later: wire::Events<'_>,
        seen: &mut Vec<u8>,
    ) -> Option<InFilesystem> {
        let filesystem = self.filesystems.get(&place.dir.fsid)?;
        let views = &self.views;
        let see = |path: Vec<u8>| seen_by(views, filesystem, path);
        let dir = find(
            &mut self.directories,
            &place.dir,
            filesystem,
            &see,
            &later,
            0,
        )?;
        let name = if place.name.is_empty() {
            Vec::new()
        } else {
            [b"/", place.name].concat()
        };
        let in_fs = join(&dir.in_fs, &name);
        seen.clear();
        // A mount of its own may begin at the file itself (a bind mount of one file): then
        // its name is not its directory's name and its own.
        seen.extend(join(&dir.seen, &name));
        Some(InFilesystem {
            in_fs,
            sight: dir.sight,
        })
    }

    /// Keeps what is remembered true: directories that moved, watched files that were replaced.
    fn follow(
        &mut self,
        event: &WireEvent<'_>,
        was: Option<&InFilesystem>,
        is: Option<&InFilesystem>,
        paths: &Paths,
    ) {
        let Some(fsid) = event
            .from
            .or(event.at)
            .or(event.to)
            .map(|place| place.dir.fsid)
        else {
            return;
        };
        let moved = libc::FAN_RENAME | libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO;
        let left = event.mask & (moved | libc::FAN_DELETE) != 0;
        let came = event.mask & (moved | libc::FAN_CREATE) != 0;
        let now = is.or(was);
        let seen = if is.is_some() {
            &paths.second
        } else {
            &paths.first
        };
        if event.mask & libc::FAN_ONDIR != 0 {
            if let Some(was) = was.filter(|_| left) {
                self.directories.forget(fsid, &was.in_fs);
            }
            let stays = event.mask & libc::FAN_DELETE == 0;
            if let (Some(id), Some(now)) = (event.object, now.filter(|_| came && stays)) {
                let dir = Dir {
                    in_fs: now.in_fs.clone(),
                    seen: seen.clone(),
                    sight: now.sight,
                };
                self.directories.learn(&id, Some(dir));
            }
        }
        if let Some(now) = now.filter(|_| came) {
            self.mark_if_watched(fsid, &now.in_fs, seen);
        }
    }

    /// Marks a watched file that has just appeared: the mark of the one before went with it.
    fn mark_if_watched(&self, fsid: u64, path: &[u8], seen: &[u8]) {
        let Some(want) = self.watched.wants(seen) else {
            return;
        };
        let Some(filesystem) = self.filesystems.get(&fsid) else {
            return;
        };
        let relative = filesystem
            .below_anchor(path)
            .and_then(|path| CString::new(path).ok());
        let Some(relative) = relative else { return };
        match mark_opens(
            self.group.as_fd(),
            filesystem.anchor.as_fd(),
            &relative,
            want,
        ) {
            // It may be gone again; then its deletion is in the queue.
            Ok(()) | Err(_) => {}
        }
    }

    /// Writes the name of a watched file whose filesystem cannot be asked (an overlay).
    fn marked_name(&self, event: &WireEvent<'_>, seen: &mut Vec<u8>) -> bool {
        let known = |id: &FileId<'_>| self.marked.get(&identity_key(id));
        seen.clear();
        if let Some(path) = event.object.as_ref().and_then(known) {
            seen.extend(path);
            return true;
        }
        let within = event
            .at
            .and_then(|place| Some((known(&place.dir)?, place.name)));
        if let Some((dir, name)) = within {
            seen.extend(join(dir, &[b"/", name].concat()));
            return true;
        }
        false
    }
}

/// The directory at `path` on `filesystem`, by its name in the latest view that has one; else
/// by the path itself.
fn seen_by(views: &[View], filesystem: &Filesystem, path: Vec<u8>) -> Dir {
    let device = filesystem.device;
    let workshop = views.iter().any(|view| view.is_workshop(device, &path));
    let name = views.iter().rev().find_map(|view| view.name(device, &path));
    Dir {
        seen: name.unwrap_or_else(|| path.clone()),
        in_fs: path,
        sight: if workshop {
            Sight::Workshop
        } else {
            Sight::Open
        },
    }
}

/// Whether an overlay's mark stands at `path` that the name below it is gone: a character
/// device 0:0 (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
fn is_whiteout(filesystem: &Filesystem, path: &[u8]) -> bool {
    let stat = look(filesystem, path);
    stat.is_some_and(|stat| {
        let device = FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::CharacterDevice;
        device && (stat.stx_rdev_major, stat.stx_rdev_minor) == (0, 0)
    })
}

/// The directory `id`; if it is gone, from the later event in which it went.
fn find<'d>(
    directories: &'d mut Directories,
    id: &FileId<'_>,
    filesystem: &Filesystem,
    see: &dyn Fn(Vec<u8>) -> Dir,
    later: &wire::Events<'_>,
    depth: usize,
) -> Option<&'d Dir> {
    directories.path(id, filesystem, see, &mut |directories| {
        if depth >= VANISHED_DEPTH_MAX {
            return None;
        }
        let went = libc::FAN_DELETE | libc::FAN_RENAME;
        let last = later.clone().flatten().find(|event| {
            event.object.as_ref() == Some(id)
                && event.mask & libc::FAN_ONDIR != 0
                && event.mask & went != 0
        })?;
        let place = last.from.or(last.at)?;
        let parent = find(directories, &place.dir, filesystem, see, later, depth + 1)?;
        let name = [b"/", place.name].concat();
        Some(Dir {
            in_fs: join(&parent.in_fs, &name),
            seen: join(&parent.seen, &name),
            sight: parent.sight,
        })
    })
}

/// What stands at `path` now.
fn look(filesystem: &Filesystem, path: &[u8]) -> Option<Statx> {
    let relative = filesystem.below_anchor(path)?;
    let flags = AtFlags::SYMLINK_NOFOLLOW
        | AtFlags::EMPTY_PATH
        | AtFlags::STATX_DONT_SYNC
        | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(&filesystem.anchor, relative, flags, StatxFlags::BASIC_STATS).ok()
}

/// What stands at `path` now, if it is the inode that the event is about.
fn status(filesystem: &Filesystem, path: &[u8], inode: Option<u64>) -> Option<FileStatus> {
    let stat = look(filesystem, path)?;
    if inode.is_some_and(|inode| inode != stat.stx_ino) {
        return None;
    }
    Some(FileStatus {
        size: stat.stx_size,
        mode: u32::from(stat.stx_mode),
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        links: stat.stx_nlink,
    })
}

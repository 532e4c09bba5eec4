//! Naming: events to records that say which file, and under which name.

use std::borrow::Cow;
use std::ffi::CString;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp};

use super::mounts::{Device, View, join};
use super::paths::{Dir, Directories, Filesystem, Sight};
use super::wire::{self, FileId, Malformed, Place, WireEvent};
use super::{Files, identity_key, mark_opens, sys};
use crate::clock;
use crate::source::Batch;

/// How deep a chain of vanished directories is followed.
const VANISHED_DEPTH_MAX: usize = 64;

/// What one batch held, beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Named {
    /// Records given.
    pub records: u64,
    /// Events that were not looked at: the bound was reached.
    pub passed_over: u64,
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
    /// When it happened, as near as can be told, on the same clock: the file's own time of change,
    /// or that of the one before it in the queue. The kernel's clock for files goes by the
    /// tick (up to 10 ms), and may be that much early. None: nothing told.
    pub changed_us: Option<u64>,
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
    /// When its content was last changed, UTC in microseconds; whoever owns it may set this.
    pub modified_us: i64,
    /// When anything of it was last changed, UTC in microseconds; the kernel alone sets this.
    pub changed_us: i64,
    /// When it came to be, UTC in microseconds, where the file system keeps that.
    pub born_us: Option<i64>,
}

/// By how much a file's time of change may be early: the longest tick of a kernel.
const TICK_US: u64 = 10_000;

/// What is known of the times of the events of one batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    /// When the batch was drained.
    drained_us: u64,
    /// When the batch before was: everything in this one is younger.
    before_us: u64,
    /// Wall minus boot clock.
    offset_us: i64,
    /// The latest time of change so far; what follows in the queue is not older.
    floor_us: Option<u64>,
}

impl Times {
    /// The times of the batch after this one.
    fn next(self, drained_us: u64, offset_us: i64) -> Self {
        Self {
            drained_us,
            before_us: self.drained_us,
            offset_us,
            floor_us: None,
        }
    }

    /// When an event happened whose file was changed at `changed_us` (UTC), as it looks now. A
    /// time outside the batch belongs to an earlier or a later change of the file.
    fn place(&mut self, changed_us: Option<i64>) -> Option<u64> {
        let changed_us = changed_us
            .and_then(|wall_us| u64::try_from(wall_us.saturating_sub(self.offset_us)).ok())
            .filter(|at_us| *at_us <= self.drained_us)
            .filter(|at_us| at_us.saturating_add(TICK_US) >= self.before_us);
        self.floor_us = self.floor_us.max(changed_us);
        self.floor_us
    }
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

/// Whoever takes records.
pub trait Audience {
    /// The mount namespace (its inode) of the process that had `pid` at a moment of the boot
    /// clock, where that is known: a file goes by the name that its process sees.
    fn namespace_of(&self, pid: u32, boot_us: u64) -> Option<u64>;

    /// Takes a record.
    fn take(&mut self, record: &FileRecord<'_>);
}

impl Files {
    /// Gives the events of a batch to `audience`, with their names: all, or as many as are `left`.
    /// Batches must come in the order in which they were drained: directories are followed as they move.
    pub fn name_all(
        &mut self,
        batch: &Batch,
        left: &mut Option<u64>,
        audience: &mut dyn Audience,
    ) -> Named {
        let mut named = Named::default();
        let mut paths = std::mem::take(&mut self.paths);
        self.times = self.times.next(batch.drained_us, clock::now().offset_us());
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
            match left {
                Some(0) => {
                    named.passed_over += 1;
                    self.pass_over(&event);
                    continue;
                }
                Some(left) => *left -= 1,
                None => {}
            }
            let later = events.clone();
            self.eyes = u32::try_from(event.pid)
                .ok()
                .and_then(|pid| audience.namespace_of(pid, batch.drained_us));
            if let Some(record) = self.record(&event, later, &mut paths) {
                audience.take(&record);
                named.records += 1;
            }
        }
        self.paths = paths;
        named
    }

    /// Keeps what is remembered true across an event that is not looked at.
    fn pass_over(&mut self, event: &WireEvent<'_>) {
        let moved = libc::FAN_RENAME | libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO | libc::FAN_DELETE;
        if event.mask & libc::FAN_ONDIR != 0 && event.mask & moved != 0 {
            self.directories.clear();
        }
    }

    /// Names what happened in `event`; `later` are the events after it.
    fn record<'a>(
        &mut self,
        event: &WireEvent<'_>,
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
        let changed =
            libc::FAN_CREATE | libc::FAN_CLOSE_WRITE | libc::FAN_ATTRIB | libc::FAN_RENAME;
        let now = is.as_deref().or(was.as_deref());
        let status = filesystem
            .zip(now)
            .filter(|_| mask & changed != 0)
            .and_then(|(filesystem, path)| {
                let named = status(filesystem, path, inode);
                // Renamed since: its handle still finds it.
                named.or_else(|| status_of(filesystem, event.object.as_ref()?))
            });
        let changed_us = self.times.place(status.map(|status| status.changed_us));
        let mask = without_streams(mask, status.as_ref())?;
        Some(FileRecord {
            boot_us: self.times.drained_us,
            changed_us,
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
        let eyes = self.eyes;
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
        let dir_seen = seen_with(views, eyes, filesystem.device, dir);
        seen.extend(join(&dir_seen, &name));
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
                let device = self
                    .filesystems
                    .get(&fsid)
                    .map(|filesystem| filesystem.device);
                let own = device
                    .zip(self.views.first())
                    .and_then(|(device, view)| view.name(device, &now.in_fs));
                let dir = Dir {
                    in_fs: now.in_fs.clone(),
                    own,
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

/// The directory at `path` on `filesystem`, as we ourselves see it.
fn seen_by(views: &[View], filesystem: &Filesystem, path: Vec<u8>) -> Dir {
    let device = filesystem.device;
    let workshop = views.iter().any(|view| view.is_workshop(device, &path));
    Dir {
        own: views.first().and_then(|view| view.name(device, &path)),
        in_fs: path,
        sight: if workshop {
            Sight::Workshop
        } else {
            Sight::Open
        },
    }
}

/// The name of a directory for who looks from the mount namespace `eyes`: by its own view, then
/// by ours. For who is not known, and for what neither sees, by the latest view that has a name.
fn seen_with<'d>(views: &[View], eyes: Option<u64>, device: Device, dir: &'d Dir) -> Cow<'d, [u8]> {
    let own = views.first().map(View::namespace);
    let others = || views.iter().skip(1).rev();
    let name = |view: &View| view.name(device, &dir.in_fs).map(Cow::Owned);
    let by_ours = dir.own.as_deref().map(Cow::Borrowed);
    let seen = match eyes {
        Some(eyes) if Some(eyes) == own => by_ours.or_else(|| others().find_map(name)),
        Some(eyes) => {
            let theirs = others().find(|view| view.namespace() == eyes);
            theirs
                .and_then(name)
                .or(by_ours)
                .or_else(|| others().find_map(name))
        }
        None => others().find_map(name).or(by_ours),
    };
    seen.unwrap_or(Cow::Borrowed(&dir.in_fs))
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
            own: parent.own.as_ref().map(|own| join(own, &name)),
            sight: parent.sight,
        })
    })
}

/// What happened without writes to terminals, pipes and the like, which are not writes to a
/// file; nothing if that was all. A disk itself (a block device) counts as a file.
fn without_streams(mask: u64, status: Option<&FileStatus>) -> Option<u64> {
    let file_type = status.map(|status| FileType::from_raw_mode(status.mode));
    let stream = matches!(
        file_type,
        Some(FileType::CharacterDevice | FileType::Fifo | FileType::Socket)
    );
    if !stream {
        return Some(mask);
    }
    let left = mask & !libc::FAN_CLOSE_WRITE;
    (left & !libc::FAN_ONDIR != 0).then_some(left)
}

/// What stands at `path` now.
fn look(filesystem: &Filesystem, path: &[u8]) -> Option<Statx> {
    let relative = filesystem.below_anchor(path)?;
    let flags = LOOK | AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::statx(&filesystem.anchor, relative, flags, WANTED).ok()
}

/// Nobody is made to wait for a look.
const LOOK: AtFlags = AtFlags::EMPTY_PATH
    .union(AtFlags::STATX_DONT_SYNC)
    .union(AtFlags::NO_AUTOMOUNT);

/// What is asked for of a file.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// What stands at `path` now, if it is the inode that the event is about.
fn status(filesystem: &Filesystem, path: &[u8], inode: Option<u64>) -> Option<FileStatus> {
    let stat = look(filesystem, path)?;
    let same = inode.is_none_or(|inode| inode == stat.stx_ino);
    same.then(|| FileStatus::of(&stat))
}

/// What the file `id` is like now, wherever it is.
fn status_of(filesystem: &Filesystem, id: &FileId<'_>) -> Option<FileStatus> {
    let file = sys::open_by_handle(filesystem.anchor.as_fd(), id).ok()?;
    let stat = rustix::fs::statx(&file, "", LOOK, WANTED).ok()?;
    Some(FileStatus::of(&stat))
}

impl FileStatus {
    fn of(stat: &Statx) -> Self {
        Self {
            size: stat.stx_size,
            mode: u32::from(stat.stx_mode),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            links: stat.stx_nlink,
            modified_us: micros(stat.stx_mtime),
            changed_us: micros(stat.stx_ctime),
            born_us: (stat.stx_mask & StatxFlags::BTIME.bits() != 0)
                .then(|| micros(stat.stx_btime)),
        }
    }
}

fn micros(time: StatxTimestamp) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000)
        .saturating_add(i64::from(time.tv_nsec) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_happened_when_its_file_was_changed_and_never_before_the_one_before_it() {
        let mut times = Times::default()
            .next(1_000_000, 0)
            .next(1_100_000, 500_000_000);
        assert_eq!(times.place(None), None, "nothing told");
        assert_eq!(times.place(Some(501_050_000)), Some(1_050_000));
        assert_eq!(times.place(None), Some(1_050_000), "a deletion after it");
        assert_eq!(
            times.place(Some(501_020_000)),
            Some(1_050_000),
            "the queue is in order"
        );
        assert_eq!(
            times.place(Some(400_000_000)),
            Some(1_050_000),
            "closed without a write"
        );
        assert_eq!(
            times.place(Some(501_200_000)),
            Some(1_050_000),
            "changed again since"
        );
        assert_eq!(times.next(1_200_000, 0).place(None), None);
    }
}

//! Mounts: which filesystems there are, and under which name a file is seen.
//!
//! A filesystem is one thing; what its files are called depends on who looks. A [`View`] is
//! the mount table of one mount namespace, as one process in it sees it: it turns a path
//! within a filesystem into the path that this process would use.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

/// One line of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The filesystem's device number, major and minor.
    pub device: Device,
    /// The directory of the filesystem that is seen at the mount point.
    pub root: Vec<u8>,
    /// Where it is seen.
    pub mount_point: Vec<u8>,
    /// Its type.
    pub fs_type: Vec<u8>,
    /// What is mounted, as whoever mounted it named it.
    pub source: Vec<u8>,
    /// The filesystem's own options.
    pub options: Vec<u8>,
}

/// A device number in its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl Device {
    /// The number as `makedev(3)` packs it.
    #[must_use]
    pub fn number(self) -> u64 {
        rustix::fs::makedev(self.major, self.minor)
    }
}

/// The types that are watched: filesystems on this machine that can be written.
///
/// Not in the list: the kernel's own (proc, sysfs, cgroup…, which refuse marks), the network's
/// (their changes are made elsewhere), overlay (seen on its upper filesystem with the right
/// process), FUSE (answers for itself, and may make us wait).
const WATCHED_TYPES: &[&[u8]] = &[
    b"ext2",
    b"ext3",
    b"ext4",
    b"xfs",
    b"btrfs",
    b"f2fs",
    b"bcachefs",
    b"zfs",
    b"jfs",
    b"nilfs2",
    b"reiserfs",
    b"tmpfs",
    b"ramfs",
    b"devtmpfs",
    b"vfat",
    b"msdos",
    b"exfat",
    b"ntfs3",
    b"hfsplus",
    b"udf",
];

impl Mount {
    /// Whether files on it can change, on this machine.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        let read_only = self
            .options
            .split(|byte| *byte == b',')
            .any(|word| word == b"ro");
        !read_only && WATCHED_TYPES.contains(&self.fs_type.as_slice())
    }

    /// A directory that an overlay works on: `upperdir=` takes its writes, in `workdir=` it
    /// prepares them.
    fn overlay_directory(&self, option: &[u8]) -> Option<Vec<u8>> {
        if self.fs_type != b"overlay" {
            return None;
        }
        self.options
            .split(|byte| *byte == b',')
            .find_map(|word| word.strip_prefix(option))
            .map(unescape)
    }
}

/// What is mounted at `path` now, as process `pid` sees it; the last one mounted there counts.
#[must_use]
pub fn at(pid: u32, path: &[u8]) -> Option<Mount> {
    let mut table = Vec::new();
    File::open(format!("/proc/{pid}/mountinfo"))
        .ok()?
        .take(MOUNTINFO_BYTES_MAX)
        .read_to_end(&mut table)
        .ok()?;
    parse(&table)
        .into_iter()
        .rfind(|mount| mount.mount_point == path)
}

/// Reads a mount table. A line that is not one is left out.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let (_id, _parent) = (words.next()?, words.next()?);
    let device = std::str::from_utf8(words.next()?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let root = unescape(words.next()?);
    let mount_point = unescape(words.next()?);
    let _mount_options = words.next()?;
    // Optional fields, as many as there are, end with a hyphen.
    words.find(|word| *word == b"-")?;
    let fs_type = words.next()?.to_vec();
    let source = unescape(words.next()?);
    Some(Mount {
        device: Device {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        },
        root,
        mount_point,
        fs_type,
        source,
        options: words.next().unwrap_or_default().to_vec(),
    })
}

/// Undoes the kernel's `\ooo` for blank, tab, newline and backslash.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|digits| {
                byte == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
            })
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(value) = octal {
            out.push(value);
            rest = &after[3..];
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out
}

/// The rest of `path` below the directory `dir`: empty for `dir` itself, else begins with `/`.
#[must_use]
pub fn below<'a>(path: &'a [u8], dir: &[u8]) -> Option<&'a [u8]> {
    if dir == b"/" {
        return Some(if path == b"/" { &[] } else { path });
    }
    path.strip_prefix(dir)
        .filter(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
}

/// `dir` and what is below it, as one path.
#[must_use]
pub fn join(dir: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut path = if dir == b"/" {
        Vec::new()
    } else {
        dir.to_vec()
    };
    path.extend(rest);
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

/// The mount table of one mount namespace.
#[derive(Debug)]
pub struct View {
    pid: Option<u32>,
    namespace: u64,
    mountinfo: File,
    mounts: Vec<Mount>,
    names: Names,
}

/// Where the directories lie that take the writes of overlays.
///
/// An overlay names its upper directory as it was seen when it was mounted. Whoever looks from
/// inside (a container, after `pivot_root`) may not see that path at all, so what
/// another view, or this one earlier, knew of it is kept.
#[derive(Debug, Default)]
pub struct Uppers {
    known: HashMap<Vec<u8>, (Device, Vec<u8>)>,
    /// Our own mounts.
    outside: Vec<Mount>,
}

impl Uppers {
    /// The most that are kept.
    const MAX: usize = 4096;

    fn place(&mut self, mounts: &[Mount], upper: Vec<u8>) -> Option<(Device, Vec<u8>)> {
        let here = within(mounts, &upper).filter(|(device, _)| {
            mounts
                .iter()
                .any(|mount| mount.device == *device && mount.is_watched())
        });
        match here {
            Some(place) => {
                if self.known.len() < Self::MAX {
                    self.known.insert(upper, place.clone());
                }
                Some(place)
            }
            None => self
                .known
                .get(&upper)
                .cloned()
                .or_else(|| within(&self.outside, &upper)),
        }
    }
}

/// From a filesystem's directory to where it is seen.
#[derive(Debug, Default)]
struct Names {
    overlays: HashMap<Device, HashMap<Vec<u8>, Vec<u8>>>,
    /// Where overlays prepare what they write.
    workshops: HashMap<Device, Vec<Vec<u8>>>,
    mounts: HashMap<Device, HashMap<Vec<u8>, Vec<u8>>>,
}

/// A mount table larger than this is cut: it bounds what a hostile namespace can make us read.
const MOUNTINFO_BYTES_MAX: u64 = 16 << 20;

impl View {
    /// What `pid` sees, or we ourselves. The open table keeps the namespace alive, so the
    /// view stays readable when that process has ended.
    ///
    /// # Errors
    /// If its table cannot be read: the process is gone, or not ours to look at.
    pub fn open(pid: Option<u32>, uppers: &mut Uppers) -> io::Result<Self> {
        let (mountinfo, namespace) = open_table(pid)?;
        let mut view = Self {
            pid,
            namespace,
            mountinfo,
            mounts: Vec::new(),
            names: Names::default(),
        };
        view.refresh(uppers)?;
        Ok(view)
    }

    /// Whose view it is: a process, or (none) our own.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The inode of the mount namespace.
    #[must_use]
    pub fn namespace(&self) -> u64 {
        self.namespace
    }

    /// What stands in it.
    #[must_use]
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// The descriptor that polls `POLLPRI | POLLERR` when a mount comes or goes.
    #[must_use]
    pub fn poll_fd(&self) -> BorrowedFd<'_> {
        self.mountinfo.as_fd()
    }

    /// Reads the table again.
    ///
    /// # Errors
    /// The kernel's, from reading it.
    pub fn refresh(&mut self, uppers: &mut Uppers) -> io::Result<()> {
        // An open table shows what can be reached from the root that its process had then; when
        // it has taken another root (pivot_root(2)), the table must be opened again.
        if let Ok((mountinfo, namespace)) = open_table(self.pid)
            && namespace == self.namespace
        {
            self.mountinfo = mountinfo;
        }
        let mut text = Vec::new();
        self.mountinfo.rewind()?;
        (&self.mountinfo)
            .take(MOUNTINFO_BYTES_MAX)
            .read_to_end(&mut text)?;
        if text.is_empty() {
            // The process is gone and its root with it: what it saw last is all there is.
            return Ok(());
        }
        self.mounts = parse(&text);
        if self.pid.is_none() {
            uppers.outside.clone_from(&self.mounts);
        }
        self.names = Names::of(&self.mounts, uppers);
        Ok(())
    }

    /// The path under which `path` within the filesystem `device` is seen, if it is.
    #[must_use]
    pub fn name(&self, device: Device, path: &[u8]) -> Option<Vec<u8>> {
        seen_at(self.names.overlays.get(&device), path)
            .or_else(|| seen_at(self.names.mounts.get(&device), path))
    }

    /// Whether `path` within the filesystem `device` is where an overlay prepares what it
    /// writes: what happens there is the kernel's own work, done in the name of whoever writes.
    #[must_use]
    pub fn is_workshop(&self, device: Device, path: &[u8]) -> bool {
        self.names.is_workshop(device, path)
    }
}

/// Opens the mount table of `pid` (none: our own), and tells its namespace.
fn open_table(pid: Option<u32>) -> io::Result<(File, u64)> {
    let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let mountinfo = File::open(format!("/proc/{process}/mountinfo"))?;
    let namespace = std::fs::metadata(format!("/proc/{process}/ns/mnt"))?.ino();
    Ok((mountinfo, namespace))
}

impl Names {
    fn of(mounts: &[Mount], uppers: &mut Uppers) -> Self {
        let mut names = Self::default();
        for mount in mounts {
            let at = names
                .mounts
                .entry(mount.device)
                .or_default()
                .entry(mount.root.clone())
                .or_insert_with(|| mount.mount_point.clone());
            // The same directory seen in two places goes by the shorter name.
            if mount.mount_point.len() < at.len() {
                at.clone_from(&mount.mount_point);
            }
        }
        for mount in mounts {
            let mut place = |option: &[u8]| uppers.place(mounts, mount.overlay_directory(option)?);
            if let Some((device, root)) = place(b"upperdir=") {
                let overlays = names.overlays.entry(device).or_default();
                overlays.insert(root, mount.mount_point.clone());
            }
            if let Some((device, root)) = place(b"workdir=") {
                names.workshops.entry(device).or_default().push(root);
            }
        }
        names
    }
}

impl Names {
    fn is_workshop(&self, device: Device, path: &[u8]) -> bool {
        let mut roots = self.workshops.get(&device).into_iter().flatten();
        roots.any(|root| below(path, root).is_some())
    }
}

/// The filesystem on which `path` lies, and the path within it.
fn within(mounts: &[Mount], path: &[u8]) -> Option<(Device, Vec<u8>)> {
    mounts
        .iter()
        .filter_map(|mount| Some((mount, below(path, &mount.mount_point)?)))
        // The last of the longest: a later mount covers an earlier one.
        .max_by_key(|(mount, _)| mount.mount_point.len())
        .map(|(mount, rest)| (mount.device, join(&mount.root, rest)))
}

/// Looks `path` and the directories above it up in `roots`, from the filesystem's root down.
fn seen_at(roots: Option<&HashMap<Vec<u8>, Vec<u8>>>, path: &[u8]) -> Option<Vec<u8>> {
    let roots = roots?;
    let ends = path
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    let above = std::iter::once(b"/".as_slice())
        .chain(ends.map(|end| &path[..end]))
        .chain(std::iter::once(path));
    for dir in above {
        if let (Some(mount_point), Some(rest)) = (roots.get(dir), below(path, dir)) {
            return Some(join(mount_point, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &[u8] = b"\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 0:25 / /mnt/cd ro,relatime - tmpfs none ro,size=4k
29 27 0:30 / /run/a\\040b rw shared:5 master:1 - tmpfs tmpfs rw
30 27 254:0 /srv/www /var/www rw - ext4 /dev/vda rw
31 27 0:31 / /proc rw - proc proc rw
32 27 0:40 / /var/box/merged rw - overlay overlay rw,lowerdir=/usr,upperdir=/var/box/upper,workdir=/var/box/work
not a mount
";

    fn view(text: &[u8]) -> Names {
        Names::of(&parse(text), &mut Uppers::default())
    }

    const EXT4: Device = Device {
        major: 254,
        minor: 0,
    };

    #[test]
    fn the_table_is_read_and_a_stranger_left_out() {
        let mounts = parse(HOST);
        assert_eq!(mounts.len(), 6);
        assert_eq!(mounts[2].mount_point, b"/run/a b");
        let watched: Vec<_> = mounts.iter().filter(|mount| mount.is_watched()).collect();
        assert_eq!(
            watched.len(),
            3,
            "not the read-only one, proc or the overlay"
        );
    }

    #[test]
    fn a_file_goes_by_the_name_that_its_filesystem_root_gives() {
        let names = view(HOST);
        let name = |path: &[u8]| seen_at(names.mounts.get(&EXT4), path);
        assert_eq!(name(b"/srv/www/x").unwrap(), b"/srv/www/x");
        assert_eq!(name(b"/").unwrap(), b"/");
        let tmpfs = Device {
            major: 0,
            minor: 30,
        };
        assert_eq!(
            seen_at(names.mounts.get(&tmpfs), b"/x").unwrap(),
            b"/run/a b/x"
        );
        assert_eq!(
            seen_at(names.mounts.get(&tmpfs), b"/").unwrap(),
            b"/run/a b"
        );
    }

    #[test]
    fn a_write_to_an_overlay_goes_by_the_overlays_name() {
        let names = view(HOST);
        let name = seen_at(names.overlays.get(&EXT4), b"/var/box/upper/etc/passwd");
        assert_eq!(name.unwrap(), b"/var/box/merged/etc/passwd");
        assert_eq!(seen_at(names.overlays.get(&EXT4), b"/var/box/upperx"), None);
    }

    #[test]
    fn an_overlay_seen_from_inside_is_known_from_outside() {
        let mut uppers = Uppers {
            outside: parse(HOST),
            ..Uppers::default()
        };
        let inside = b"40 39 0:40 / / rw - overlay overlay rw,lowerdir=/usr,upperdir=/var/box/upper,workdir=/w\n";
        let names = Names::of(&parse(inside), &mut uppers);
        let name = seen_at(names.overlays.get(&EXT4), b"/var/box/upper/etc/passwd");
        assert_eq!(name.unwrap(), b"/etc/passwd");
    }

    #[test]
    fn what_is_bound_elsewhere_is_found_there() {
        let names = view(b"30 27 254:0 /srv/root / rw - ext4 /dev/vda rw\n");
        let name = |path: &[u8]| seen_at(names.mounts.get(&EXT4), path);
        assert_eq!(name(b"/srv/root/etc/shadow").unwrap(), b"/etc/shadow");
        assert_eq!(name(b"/srv/root").unwrap(), b"/");
        assert_eq!(name(b"/srv/rootkit"), None);
        assert_eq!(name(b"/etc/shadow"), None);
    }
}

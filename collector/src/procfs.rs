//! `/proc`: what stands there about one process. Whatever is read here is raced.

use crate::source::perf::record::NAMESPACES;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

/// The most bytes of arguments that are read: more than the kernel passes by default.
const ARGS_BYTES_MAX: u64 = 128 * 1024;

/// The most bytes of control groups that are read: a line for each of some fourteen hierarchies.
const CGROUP_BYTES_MAX: u64 = 64 * 1024;

/// One process, as `/proc` tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The process.
    pub pid: u32,
    /// Its parent.
    pub ppid: u32,
    /// When it was started, boot clock, microseconds, by the tick (10 ms).
    pub start_us: u64,
    /// Path of its program; empty for a thread of the kernel.
    pub exe: Vec<u8>,
    /// Its ids.
    pub ids: Ids,
    /// Its namespaces, by inode, in perf's order; 0 where one cannot be read.
    pub namespaces: [u64; NAMESPACES],
}

/// The ids of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ids {
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective group.
    pub egid: u32,
}

/// Every process that stands now.
#[must_use]
pub fn all() -> Vec<Standing> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut all: Vec<Standing> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Standing::read)
        .collect();
    all.sort_by_key(|standing| standing.pid);
    all
}

impl Standing {
    /// Reads one process; `None` if it is gone.
    #[must_use]
    pub fn read(pid: u32) -> Option<Standing> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let (ppid, start_ticks) = parse_stat(&stat)?;
        Some(Standing {
            pid,
            ppid,
            start_us: start_ticks.checked_mul(1_000_000)? / rustix::param::clock_ticks_per_second(),
            exe: exe(pid).unwrap_or_default(),
            ids: ids(pid).unwrap_or_default(),
            namespaces: namespaces(pid),
        })
    }
}

/// The ids of a process.
#[must_use]
pub fn ids(pid: u32) -> Option<Ids> {
    parse_ids(&fs::read(format!("/proc/{pid}/status")).ok()?)
}

/// The namespaces of a process, in perf's order; 0 where one cannot be read.
fn namespaces(pid: u32) -> [u64; NAMESPACES] {
    ["net", "uts", "ipc", "pid", "user", "mnt", "cgroup"].map(|name| {
        fs::metadata(format!("/proc/{pid}/ns/{name}")).map_or(0, |namespace| namespace.ino())
    })
}

/// The path of a process's program.
#[must_use]
pub fn exe(pid: u32) -> Option<Vec<u8>> {
    Some(
        fs::read_link(format!("/proc/{pid}/exe"))
            .ok()?
            .into_os_string()
            .into_vec(),
    )
}

/// The working directory of a process.
#[must_use]
pub fn cwd(pid: u32) -> Option<Vec<u8>> {
    Some(
        fs::read_link(format!("/proc/{pid}/cwd"))
            .ok()?
            .into_os_string()
            .into_vec(),
    )
}

/// The arguments of a process, each ended by NUL; empty ones are none.
#[must_use]
pub fn args(pid: u32) -> Option<Vec<u8>> {
    let args = limited(pid, "cmdline", ARGS_BYTES_MAX)?;
    (!args.is_empty()).then_some(args)
}

/// The environment of a process as it was when its program began, each variable ended by NUL.
#[must_use]
pub fn environment(pid: u32) -> Option<Vec<u8>> {
    limited(pid, "environ", ARGS_BYTES_MAX)
}

/// The control groups of a process, one line for each hierarchy.
#[must_use]
pub fn control_group(pid: u32) -> Option<Vec<u8>> {
    limited(pid, "cgroup", CGROUP_BYTES_MAX)
}

fn limited(pid: u32, name: &str, bytes_max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(format!("/proc/{pid}/{name}"))
        .ok()?
        .take(bytes_max)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

/// The name of the memory file that a process has open as `fd`.
#[must_use]
pub fn memory_file(pid: u32, fd: i64) -> Option<Vec<u8>> {
    let link = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    memory_name(&link.into_os_string().into_vec()).map(<[u8]>::to_vec)
}

/// The name in a link such as `/memfd:NAME (deleted)`.
fn memory_name(link: &[u8]) -> Option<&[u8]> {
    link.strip_prefix(b"/memfd:")?.strip_suffix(b" (deleted)")
}

/// Login user of a process.
#[must_use]
pub fn login_uid(pid: u32) -> Option<u32> {
    fs::read_to_string(format!("/proc/{pid}/loginuid"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Parent and start of `/proc/PID/stat` (fields 4 and 22). The name before them may hold anything,
/// parentheses and newlines too: the last parenthesis ends it.
fn parse_stat(stat: &[u8]) -> Option<(u32, u64)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let ppid = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some((ppid, start))
}

/// The `Uid:` and `Gid:` lines of `/proc/PID/status`.
fn parse_ids(status: &[u8]) -> Option<Ids> {
    let line = |name: &[u8]| {
        let line = status
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(name))?;
        let mut ids = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
        Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
    };
    let (uid, euid) = line(b"Uid:")?;
    let (gid, egid) = line(b"Gid:")?;
    Some(Ids {
        uid,
        euid,
        gid,
        egid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_file_is_named_by_its_link_and_no_other_file_is() {
        assert_eq!(memory_name(b"/memfd:a b (deleted)"), Some(&b"a b"[..]));
        assert_eq!(memory_name(b"/memfd: (deleted)"), Some(&b""[..]));
        assert_eq!(memory_name(b"/tmp/memfd:x (deleted)"), None);
        assert_eq!(memory_file(std::process::id(), -1), None);
    }

    #[test]
    fn a_name_with_parentheses_does_not_move_the_fields() {
        let stat = b"7 (a) b (c) S 3 7 7 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 4711 1 1";
        assert_eq!(parse_stat(stat), Some((3, 4711)));
        assert_eq!(parse_stat(b"7 (a) S 3"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn ids_are_read_in_their_order() {
        let status = b"Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t100\t4\t4\t4\n";
        assert_eq!(
            parse_ids(status),
            Some(Ids {
                uid: 1000,
                euid: 0,
                gid: 100,
                egid: 4
            })
        );
        assert_eq!(parse_ids(b"Uid:\t1\n"), None);
    }

    #[test]
    fn this_process_stands() {
        let own = Standing::read(std::process::id()).unwrap();
        assert!(own.start_us > 0 && !own.exe.is_empty());
        assert!(all().contains(&own));
    }
}

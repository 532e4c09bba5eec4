//! Whether those that audit names still live.
//!
//! The kernel keeps the process that owned audit until a message to it cannot be delivered: after a
//! kill that may take long, and by then its number may be another process's. Audit is set up from
//! the first process namespace alone, so that its numbers are the numbers of our `/proc`.

use crate::procfs::Standing;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// The protocol number of audit among netlink's, as `/proc/net/netlink` has it.
const AUDIT_PROTOCOL: &str = "9";

/// A recorder of ours, told from a later process of the same number by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recorder {
    /// Its process.
    pub pid: u32,
    /// When that was started, boot clock, microseconds.
    pub start_us: u64,
}

impl Recorder {
    /// This process.
    pub fn this() -> Option<Recorder> {
        let pid = std::process::id();
        let start_us = Standing::read(pid)?.start_us;
        Some(Recorder { pid, start_us })
    }

    /// Whether it runs, and is not this process: what stands before we begin is not ours.
    pub fn lives(self) -> bool {
        self.pid != std::process::id()
            && !is_dead(self.pid)
            && Standing::read(self.pid).is_some_and(|standing| standing.start_us == self.start_us)
    }
}

/// Whether the process that audit names as its owner can be it: it runs and holds a socket of audit.
/// Where that cannot be looked at, it is taken to be.
#[must_use]
pub fn holds_audit(pid: u32) -> bool {
    if is_dead(pid) {
        return false;
    }
    let Ok(sockets) = fs::read_to_string(format!("/proc/{pid}/net/netlink")) else {
        return !is_dead(pid);
    };
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return !is_dead(pid);
    };
    let of_audit = audit_sockets(&sockets);
    open.flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|link| {
            of_audit
                .iter()
                .any(|name| link.as_os_str().as_bytes() == name.as_bytes())
        })
}

/// Whether no process of that number runs. One that nobody waited for has closed its files.
fn is_dead(pid: u32) -> bool {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => matches!(state(&stat), Some(b'Z' | b'X')),
        Err(_) => true,
    }
}

/// The state of a process, behind its name, which may hold anything.
fn state(stat: &[u8]) -> Option<u8> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(name_end + 2).copied()
}

/// The audit sockets in a text of `/proc/net/netlink`, as a link to a descriptor names them.
fn audit_sockets(table: &str) -> Vec<String> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_ascii_whitespace();
            let protocol = columns.nth(1)?;
            let inode = columns.nth(7)?;
            (protocol == AUDIT_PROTOCOL).then(|| format!("socket:[{inode}]"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_that_ended_owns_nothing_before_and_after_it_is_waited_for() {
        let mut ended = Command::new("true").spawn().unwrap();
        let stat = format!("/proc/{}/stat", ended.id());
        while fs::read(&stat).is_ok_and(|stat| state(&stat) != Some(b'Z')) {
            std::thread::yield_now();
        }
        assert!(!holds_audit(ended.id()));
        ended.wait().unwrap();
        assert!(!holds_audit(ended.id()));
    }

    #[test]
    fn a_number_that_is_another_process_by_now_owns_nothing() {
        assert!(!holds_audit(std::process::id()));
    }

    #[test]
    fn a_recorder_is_known_by_its_start() {
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let start_us = Standing::read(other.id()).unwrap().start_us;
        let recorder = Recorder {
            pid: other.id(),
            start_us,
        };
        let later = Recorder {
            start_us: start_us + 1,
            ..recorder
        };
        assert!(recorder.lives() && !later.lives());
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(!recorder.lives());
        assert!(!Recorder::this().unwrap().lives());
    }

    #[test]
    fn sockets_of_audit_are_told_from_others() {
        let table = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
            00000000abcdef01 0   1234       00000111 0        0        0     2        0        777\n\
            00000000abcdef02 9   5678       00000000 0        0        0     2        0        888\n\
            short 9\n";
        assert_eq!(audit_sockets(table), ["socket:[888]"]);
        assert_eq!(state(b"7 (a) b) Z 1"), Some(b'Z'));
    }
}

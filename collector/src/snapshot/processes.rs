//! Processes that stood when recording began.

use std::collections::HashMap;
use std::fs;

use saigen_schemas::event::{Args, Kind, ProcessKey, StateProcess, Text};

use super::accounts;
use crate::image_hash::ImageHashes;
use crate::procfs::{self, Standing};

/// The most of a small file of `/proc` that is looked at.
const SMALL_BYTES_MAX: usize = 64 << 10;

/// The login user and session of a process that nobody logged in for.
const UNSET: u32 = u32::MAX;

/// Tells of each process, by rising PID.
pub fn tell(
    processes: &[Standing],
    keys: &HashMap<u32, ProcessKey>,
    passwd: &[u8],
    hashes: &mut ImageHashes,
    boot_us: u64,
    emit: &mut dyn FnMut(Option<ProcessKey>, Kind<'_>),
) {
    let names: HashMap<u32, &[u8]> = accounts::parse(passwd)
        .map(|account| (account.uid, account.name))
        .collect();
    for process in processes {
        let pid = process.pid;
        let args = procfs::args(pid).unwrap_or_default();
        let cwd = procfs::cwd(pid);
        let name = small(pid, "comm");
        let name = name.as_deref().map(<[u8]>::trim_ascii_end);
        let cgroup = small(pid, "cgroup");
        let stat = small(pid, "stat").unwrap_or_default();
        let tty = terminal(&stat).map(terminal_name);
        let account = names.get(&process.ids.euid).copied();
        let set = |id: &u32| *id != UNSET;
        let kind = Kind::StateProcess(StateProcess {
            parent: keys.get(&process.ppid).copied(),
            image: Some(Text(&process.exe)).filter(|image| !image.is_empty()),
            args: Some(Args(&args)).filter(|args| !args.0.is_empty()),
            cwd: cwd.as_deref().map(Text),
            name: name.map(Text),
            uid: Some(process.ids.uid),
            euid: Some(process.ids.euid),
            gid: Some(process.ids.gid),
            login_uid: procfs::login_uid(pid).filter(set),
            session: number(pid, "sessionid").filter(set).map(u64::from),
            tty: tty.as_deref().map(|tty| Text(tty.as_bytes())),
            account: account.map(Text),
            container: cgroup.as_deref().and_then(container).map(Text),
            sha256: if process.exe.is_empty() {
                None
            } else {
                hashes.of_process(pid, boot_us)
            },
            started_us: None,
        });
        emit(keys.get(&pid).copied(), kind);
    }
}

fn small(pid: u32, name: &str) -> Option<Vec<u8>> {
    let mut bytes = fs::read(format!("/proc/{pid}/{name}")).ok()?;
    bytes.truncate(SMALL_BYTES_MAX);
    Some(bytes)
}

fn number(pid: u32, name: &str) -> Option<u32> {
    std::str::from_utf8(&small(pid, name)?)
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The device of the controlling terminal: field 7 of `/proc/PID/stat` (proc_pid_stat(5)); the
/// name before it may hold anything, its last parenthesis ends it.
fn terminal(stat: &[u8]) -> Option<u32> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let device: i32 = fields.split_ascii_whitespace().nth(4)?.parse().ok()?;
    u32::try_from(device).ok().filter(|device| *device != 0)
}

/// The name of a terminal by its device number: the kernel's 32-bit form, major in bits 8 to
/// 19, minor in the others (Documentation/admin-guide/devices.txt).
fn terminal_name(device: u32) -> String {
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
    match (major, minor) {
        (136..=143, minor) => format!("pts{}", (major - 136) * 256 + minor),
        (4, 0..=63) => format!("tty{minor}"),
        (4, serial) => format!("ttyS{}", serial - 64),
        (5, 1) => "console".to_owned(),
        (major, minor) => format!("{major}:{minor}"),
    }
}

/// The id of the container in a path of a control group: 64 hex digits, in one of the forms that
/// Docker, Podman, containerd and CRI-O give it (`docker-ID.scope`, `/docker/ID`, `cri-containerd-ID.scope`).
#[must_use]
pub fn container(cgroup: &[u8]) -> Option<&[u8]> {
    cgroup
        .split(|byte| !byte.is_ascii_hexdigit())
        .find(|word| word.len() == 64 && word.iter().all(|byte| !byte.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_have_their_names() {
        assert_eq!(terminal(b"7 (a) (b) S 1 7 7 34817 -1"), Some(34817));
        assert_eq!(terminal(b"7 (a) S 1 7 7 0 -1"), None);
        assert_eq!(terminal(b"7 (a"), None);
        for (device, name) in [
            (34817, "pts1"),
            (1025, "tty1"),
            (1088, "ttyS0"),
            (1281, "console"),
            (2560, "10:0"),
        ] {
            assert_eq!(terminal_name(device), name);
        }
    }

    #[test]
    fn a_container_is_known_by_its_control_group() {
        let id = "ab".repeat(32);
        for path in [
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("4:pids:/docker/{id}\n"),
        ] {
            assert_eq!(container(path.as_bytes()), Some(id.as_bytes()));
        }
        assert_eq!(container(b"0::/user.slice/user-1000.slice\n"), None);
    }
}

//! Audit's events: starts with their arguments, ids, connections, and reaches into the kernel and
//! into other processes.

use super::fact::{Credentials, Detail, Fact, FlowFact, FlowWhat, Owner, Who};
use super::flows::End;
use super::hurry::{Presses, start_presses};
use super::starts::Joined;
use super::{Normalizer, sessions};
use crate::procfs;
use crate::source::audit::assemble::{AuditEvent, Syscall, What};
use crate::source::audit::rules::Call;
use crate::source::fanotify::mounted_at;
use saigen_schemas::event::{Outcome, Source, Touch};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `ptrace` requests that write into the other process: `POKETEXT`, `POKEDATA`.
const POKES: [u64; 2] = [4, 5];

/// Operations of io_uring: `IORING_OP_ACCEPT`, `IORING_OP_CONNECT`.
const URING_ACCEPT: u32 = 13;
const URING_CONNECT: u32 = 16;

/// Those on names, `IORING_OP_RENAMEAT` and what follows it.
const URING_NAMES: [(u32, &str); 5] = [
    (35, "io_uring.renameat"),
    (36, "io_uring.unlinkat"),
    (37, "io_uring.mkdirat"),
    (38, "io_uring.symlinkat"),
    (39, "io_uring.linkat"),
];

/// `socketcall` of 32-bit x86: its first argument names the call.
const SOCKETCALL_BIND: u64 = 2;
const SOCKETCALL_CONNECT: u64 = 3;
const SOCKETCALL_ACCEPT: u64 = 5;
const SOCKETCALL_ACCEPT4: u64 = 18;

/// The port of name servers, and how many who turned to one are remembered.
const NAME_SERVER: u16 = 53;
const LOOKUPS_MAX: usize = 1_024;

/// How long after audit was opened its own configuration is still being told of, microseconds.
const SETTLING_US: u64 = 1_000_000;

impl Normalizer {
    pub(super) fn audit_event(&mut self, event: AuditEvent) {
        // Dated by a wall clock that was stepped since, it may seem to lie ahead: nothing is told before
        // it happened.
        let entered_us = self
            .boot_us_of_wall(event.wall_ms.saturating_mul(1_000))
            .min(event.drained_us);
        let Some(pid) = event.subject.pid else {
            self.audit_note(&event, entered_us);
            self.assembler.recycle(event);
            return;
        };
        if pid == self.own_pid {
            self.assembler.recycle(event);
            return;
        }
        let who = Who::Pid(pid);
        match event.what {
            What::Call(Call::Execve | Call::Execveat) => {
                self.start_audited(pid, entered_us, event);
                return;
            }
            What::Call(call) => {
                if let Some(syscall) = event.syscall {
                    self.call(call, syscall, &event, who, entered_us);
                }
            }
            What::Uring(URING_CONNECT) => self.connect(&event, pid, entered_us),
            What::Uring(URING_ACCEPT) => self.accept(&event, pid),
            What::Uring(operation) => self.uring(operation, &event, who, entered_us),
            What::Login => {
                if let Some(process) = self.table.alive_mut(pid) {
                    process.login_uid = event.subject.auid;
                }
            }
            What::Note => self.audit_note(&event, entered_us),
            What::Unknown => {}
        }
        self.assembler.recycle(event);
    }

    fn start_audited(&mut self, pid: u32, entered_us: u64, event: AuditEvent) {
        if !event.succeeded() {
            self.assembler.recycle(event);
            return;
        }
        let (serial, drained_us) = (event.serial, event.drained_us);
        if start_presses(&event) == Presses::Yes {
            self.hurry.until(drained_us);
        }
        if self.starts.by_audit(pid, entered_us, Box::new(event)) == Joined::Waits {
            let fact = Fact {
                at_us: entered_us,
                serial: None,
                source: Source::Audit,
                who: Who::Pid(pid),
                detail: Detail::AuditStartAlone { serial },
            };
            // Its turn comes a hold after it was told, however long the start took.
            self.push_due(drained_us, fact);
        }
    }

    fn call(&mut self, call: Call, syscall: Syscall, event: &AuditEvent, who: Who, at_us: u64) {
        let pid = event.subject.pid.unwrap_or(0);
        let outcome = if event.succeeded() {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        let argument = |at: usize| syscall.arguments.get(at).copied().unwrap_or(0);
        let detail = match call {
            Call::Execve | Call::Execveat | Call::Bpf => return,
            Call::Connect => return self.connect(event, pid, at_us),
            Call::Accept | Call::Accept4 => return self.accept(event, pid),
            Call::Bind | Call::Listen => return self.bind(event, pid, at_us),
            Call::Socketcall => match argument(0) {
                SOCKETCALL_CONNECT => return self.connect(event, pid, at_us),
                SOCKETCALL_ACCEPT | SOCKETCALL_ACCEPT4 => return self.accept(event, pid),
                SOCKETCALL_BIND => return self.bind(event, pid, at_us),
                _ => return,
            },
            Call::Setuid
            | Call::Setgid
            | Call::Setreuid
            | Call::Setregid
            | Call::Setresuid
            | Call::Setresgid
            | Call::Setfsuid
            | Call::Setfsgid
            | Call::Setgroups
            | Call::Capset => {
                let subject = &event.subject;
                Detail::Credentials(Box::new(Credentials {
                    call: name(call),
                    ids: [subject.uid, subject.euid, subject.gid, subject.egid],
                    capabilities: event.capabilities.map(|(effective, _)| effective),
                }))
            }
            Call::Ptrace => {
                let how = if POKES.contains(&argument(0)) {
                    Touch::MemoryWrite
                } else {
                    Touch::Ptrace
                };
                let Some(target) = target(event, argument(1)) else {
                    return;
                };
                Detail::Traced {
                    target,
                    how,
                    outcome,
                }
            }
            Call::ProcessVmWritev => {
                let Some(target) = target(event, argument(0)) else {
                    return;
                };
                Detail::Traced {
                    target,
                    how: Touch::MemoryWrite,
                    outcome,
                }
            }
            Call::MemfdCreate => Detail::Memory {
                flags: argument(1),
                // The kernel's answer is the descriptor. Audit does not copy the name.
                name: procfs::memory_file(pid, syscall.exit),
            },
            Call::InitModule
            | Call::FinitModule
            | Call::DeleteModule
            | Call::KexecLoad
            | Call::KexecFileLoad => Detail::Module {
                name: event.module.clone(),
                outcome,
                call: name(call),
            },
            Call::Mount | Call::Umount | Call::MoveMount | Call::PivotRoot | Call::Chroot => {
                // The last path of a move is where to; of the others the first is the place.
                let item = if call == Call::MoveMount {
                    event.paths.last()
                } else {
                    event.paths.first()
                };
                let path = item
                    .map(|item| absolute(&event.cwd, &item.name))
                    .unwrap_or_default();
                let what = if matches!(call, Call::Mount | Call::MoveMount) {
                    mounted_at(pid, &path).or_else(|| mounted_at(self.own_pid, &path))
                } else {
                    None
                };
                Detail::Mounted {
                    path,
                    what: what.map(Box::new),
                    call: name(call),
                }
            }
        };
        self.push_audited(at_us, event.serial, who, detail);
    }

    /// An operation of io_uring on names: no rule for system calls sees it.
    fn uring(&mut self, operation: u32, event: &AuditEvent, who: Who, at_us: u64) {
        let Some((_, operation)) = URING_NAMES.iter().find(|(known, _)| *known == operation) else {
            return;
        };
        // The directories stand beside the names.
        let names = event.paths.iter().filter(|item| item.role != b'P');
        let paths: Vec<Vec<u8>> = names
            .map(|item| absolute(&event.cwd, &item.name))
            .filter(|path| !path.is_empty())
            .collect();
        let detail = Detail::Uring {
            operation,
            paths: paths.join(&b" "[..]),
        };
        self.push_audited(at_us, event.serial, who, detail);
    }

    fn connect(&mut self, event: &AuditEvent, pid: u32, at_us: u64) {
        let Some(remote) = internet_end(&event.address) else {
            return;
        };
        let outcome = match event.syscall.map(|syscall| syscall.exit) {
            Some(exit) if exit == -i64::from(libc::EINPROGRESS) => Outcome::InProgress,
            Some(exit) if exit < 0 => Outcome::Failure,
            Some(_) | None => Outcome::Success,
        };
        if remote.1 == NAME_SERVER {
            if self.lookups.len() >= LOOKUPS_MAX {
                self.lookups.pop_front();
            }
            self.lookups.push_back((at_us, pid, remote.0));
        }
        self.flow(pid, at_us, FlowWhat::Connected(outcome), None, Some(remote));
    }

    fn accept(&mut self, event: &AuditEvent, pid: u32) {
        let Some(remote) = internet_end(&event.address).filter(|_| event.succeeded()) else {
            return;
        };
        self.flows.accepted(pid, remote);
        if self.states.is_none() {
            // An accept may have waited for hours: its entry says nothing of the connection's time.
            self.flow(
                pid,
                event.drained_us,
                FlowWhat::Accepted,
                None,
                Some(remote),
            );
        }
    }

    fn bind(&mut self, event: &AuditEvent, pid: u32, at_us: u64) {
        let local = internet_end(&event.address).filter(|end| end.1 != 0 && event.succeeded());
        if let Some(local) = local {
            self.flow(pid, at_us, FlowWhat::Listening, Some(local), None);
        }
    }

    fn flow(
        &mut self,
        pid: u32,
        at_us: u64,
        what: FlowWhat,
        local: Option<End>,
        remote: Option<End>,
    ) {
        let owner = if self.states.is_some() {
            Owner::CallerByExclusion
        } else {
            Owner::Caller
        };
        let flow = FlowFact {
            what,
            protocol: None,
            local,
            remote,
            owner,
        };
        self.push(at_us, Source::Audit, Who::Pid(pid), Detail::Flow(flow));
    }

    /// A program's own record, or audit's of its configuration.
    fn audit_note(&mut self, event: &AuditEvent, at_us: u64) {
        let Some((kind, text)) = event.note.as_ref() else {
            return;
        };
        if let Some(session) = sessions::session(*kind, text) {
            let who = event.subject.pid.map_or(Who::Nobody, Who::Pid);
            self.push(
                at_us,
                Source::Audit,
                who,
                Detail::Session(Box::new(session)),
            );
        } else if *kind == sessions::CONFIG_CHANGE
            && event.drained_us > self.ledger.began_us().saturating_add(SETTLING_US)
        {
            let detail = Detail::AuditChanged { text: text.clone() };
            self.push(at_us, Source::Audit, Who::Nobody, detail);
        }
    }
}

/// The process that a call reaches into: as the kernel says, or as the caller named it.
fn target(event: &AuditEvent, named: u64) -> Option<u32> {
    event.target.or_else(|| u32::try_from(named).ok())
}

/// A path that may be relative to a working directory.
pub(super) fn absolute(cwd: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") || cwd.is_empty() || path.is_empty() {
        return path.to_vec();
    }
    let path = path.strip_prefix(b"./").unwrap_or(path);
    let slash: &[u8] = if cwd.ends_with(b"/") { b"" } else { b"/" };
    [cwd, slash, path].concat()
}

/// Address and port of a raw `sockaddr_in` or `sockaddr_in6`.
fn internet_end(address: &[u8]) -> Option<End> {
    let family = crate::source::native::u16_at(address, 0)?;
    let port = u16::from_be_bytes(*address.get(2..)?.first_chunk()?);
    match i32::from(family) {
        libc::AF_INET => Some((
            IpAddr::V4(Ipv4Addr::from(*address.get(4..)?.first_chunk::<4>()?)),
            port,
        )),
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(*address.get(8..)?.first_chunk::<16>()?);
            Some((ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4), port))
        }
        _ => None,
    }
}

/// The system call's own name.
fn name(call: Call) -> &'static str {
    match call {
        Call::Execve => "execve",
        Call::Execveat => "execveat",
        Call::Connect => "connect",
        Call::Accept => "accept",
        Call::Accept4 => "accept4",
        Call::Bind => "bind",
        Call::Listen => "listen",
        Call::Socketcall => "socketcall",
        Call::Setuid => "setuid",
        Call::Setgid => "setgid",
        Call::Setreuid => "setreuid",
        Call::Setregid => "setregid",
        Call::Setresuid => "setresuid",
        Call::Setresgid => "setresgid",
        Call::Setfsuid => "setfsuid",
        Call::Setfsgid => "setfsgid",
        Call::Setgroups => "setgroups",
        Call::Capset => "capset",
        Call::Ptrace => "ptrace",
        Call::ProcessVmWritev => "process_vm_writev",
        Call::MemfdCreate => "memfd_create",
        Call::Bpf => "bpf",
        Call::InitModule => "init_module",
        Call::FinitModule => "finit_module",
        Call::DeleteModule => "delete_module",
        Call::KexecLoad => "kexec_load",
        Call::KexecFileLoad => "kexec_file_load",
        Call::Mount => "mount",
        Call::Umount => "umount",
        Call::MoveMount => "move_mount",
        Call::PivotRoot => "pivot_root",
        Call::Chroot => "chroot",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_are_read_and_mapped_ones_unmapped() {
        let mut v4 = vec![2, 0, 0x1f, 0x90, 192, 0, 2, 1, 0, 0];
        if cfg!(target_endian = "big") {
            v4[..2].reverse();
        }
        assert_eq!(
            internet_end(&v4),
            Some(("192.0.2.1".parse().unwrap(), 8080))
        );
        let mut v6 = vec![10, 0, 0, 80, 0, 0, 0, 0];
        if cfg!(target_endian = "big") {
            v6[..2].reverse();
        }
        v6.extend_from_slice(&"::ffff:192.0.2.1".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(internet_end(&v6), Some(("192.0.2.1".parse().unwrap(), 80)));
        for cut in 0..8 {
            assert_eq!(internet_end(&v4[..cut.min(7)]), None);
        }
        assert_eq!(internet_end(&[1, 0, b'/', b'r', b'u', b'n', 0, 0]), None);
    }

    #[test]
    fn relative_paths_are_joined_to_their_directory() {
        assert_eq!(absolute(b"/a", b"b"), b"/a/b");
        assert_eq!(absolute(b"/", b"./b"), b"/b");
        assert_eq!(absolute(b"/a", b"/b"), b"/b");
        assert_eq!(absolute(b"", b"b"), b"b");
    }
}

//! Sockets that are open, with the processes that hold them.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

use saigen_schemas::event::{Kind, ProcessKey, Protocol, StateSocket, Text};

use crate::source::SourceError;
use crate::source::sock_diag::{self, SocketRecord, State};

/// Which process holds which socket, by the socket's inode. A socket held by several is given
/// to the first: the one that opened it, unless that has ended.
#[must_use]
pub fn holders(pids: impl Iterator<Item = u32>) -> HashMap<u32, u32> {
    let mut holders = HashMap::new();
    for pid in pids {
        // A process may end at any moment, and some may not be looked into.
        let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(link) = std::fs::read_link(entry.path()) else {
                continue;
            };
            if let Some(inode) = socket_inode(link.as_os_str().as_bytes()) {
                holders.entry(inode).or_insert(pid);
            }
        }
    }
    holders
}

/// The inode in `socket:[N]`.
fn socket_inode(link: &[u8]) -> Option<u32> {
    let number = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Tells of each socket in the network of `pid` (none: our own) that `key` gives a process for,
/// and, if `Unowned::Told`, of those that no process holds.
///
/// # Errors
/// If the sockets cannot be listed.
pub fn tell(
    pid: Option<u32>,
    holders: &HashMap<u32, u32>,
    unowned: Unowned,
    key: &dyn Fn(u32) -> Option<ProcessKey>,
    emit: &mut dyn FnMut(Option<ProcessKey>, Kind<'_>),
) -> Result<(), SourceError> {
    for socket in sock_diag::dump(pid)? {
        let holder = holders.get(&socket.inode).and_then(|pid| key(*pid));
        if holder.is_some() || unowned == Unowned::Told {
            emit(holder, Kind::StateSocket(state(&socket)));
        }
    }
    Ok(())
}

/// What to do with sockets that no known process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unowned {
    /// They are told without a process: connections that are being closed, the kernel's own.
    Told,
    /// They are left out: they belong to what is not recorded.
    LeftOut,
}

fn state(socket: &SocketRecord) -> StateSocket<'static> {
    let remote = Some(socket.remote).filter(|(ip, port)| !ip.is_unspecified() || *port != 0);
    StateSocket {
        protocol: match socket.protocol {
            Some(sock_diag::Protocol::Tcp) => Some(Protocol::Tcp),
            Some(sock_diag::Protocol::Udp) => Some(Protocol::Udp),
            Some(sock_diag::Protocol::Other(_)) | None => None,
        },
        local_ip: Some(socket.local.0),
        local_port: Some(socket.local.1),
        remote_ip: remote.map(|(ip, _)| ip),
        remote_port: remote.map(|(_, port)| port),
        state: Some(Text(word(socket).as_bytes())),
        path: None,
        inode: (socket.inode != 0).then(|| saigen_schemas::event::Near(u64::from(socket.inode))),
    }
}

/// The state in the words of `ss(8)`.
fn word(socket: &SocketRecord) -> &'static str {
    if socket.protocol == Some(sock_diag::Protocol::Udp) && socket.state == State::CLOSED {
        return "bound";
    }
    match socket.state.0 {
        1 => "established",
        2 => "syn-sent",
        3 | 12 => "syn-recv",
        4 => "fin-wait-1",
        5 => "fin-wait-2",
        6 => "time-wait",
        7 => "closed",
        8 => "close-wait",
        9 => "last-ack",
        10 => "listen",
        11 => "closing",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_have_a_sockets_inode() {
        assert_eq!(socket_inode(b"socket:[4711]"), Some(4711));
        for other in [
            &b"pipe:[4711]"[..],
            b"/tmp/socket:[1]",
            b"socket:[]",
            b"socket:[x]",
        ] {
            assert_eq!(socket_inode(other), None);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test needs a socket to find")]
    fn our_own_socket_is_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = std::process::id();
        let holders = holders([own].into_iter());
        let port = listener.local_addr().unwrap().port();
        let mut told = 0;
        let key = |pid| (pid == own).then(|| ProcessKey::new(pid, 1));
        tell(
            None,
            &holders,
            Unowned::LeftOut,
            &key,
            &mut |actor, kind| {
                assert_eq!(actor, Some(ProcessKey::new(own, 1)));
                if let Kind::StateSocket(socket) = kind {
                    told += usize::from(socket.local_port == Some(port));
                }
            },
        )
        .unwrap();
        assert_eq!(told, 1);
    }
}

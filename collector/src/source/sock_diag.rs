//! Sockets, by sock_diag: what is open now, and what was just closed.
//!
//! A dump gives each TCP and UDP socket with its inode, by which its process is found. The destroy
//! groups tell of each socket that ends, with the bytes it carried; the process is not in them,
//! so they are joined to a connection by its addresses (sock_diag(7), `linux/inet_diag.h`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::native::{push_u16, push_u32, u16_at, u32_at, u64_at};
use super::{Batch, Drained, Feed, Source, SourceError};
use crate::namespace;

/// The bytes that may wait in the socket: a burst of 100,000 closes.
const RECEIVE_BYTES: usize = 32 << 20;

/// The longest datagram that is taken; the kernel fills a page or two in a dump.
const DATAGRAM_BYTES_MAX: usize = 32 << 10;

/// The four destroy groups, as bind(2) takes them: TCP, UDP, and both over IPv6
/// (`SKNLGRP_INET_TCP_DESTROY` and its neighbours, 1 to 4).
const DESTROY_GROUPS: u32 = 0b1111;

/// `SOCK_DIAG_BY_FAMILY`: the one kind of message that asks and answers.
const BY_FAMILY: u16 = 20;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;

const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_PROTOCOL: u16 = 10;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Another, by its number in the IP header.
    Other(u8),
}

impl Protocol {
    fn from_number(number: u8) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            other => Self::Other(other),
        }
    }

    /// Its number in the IP header.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Other(number) => number,
        }
    }
}

/// The state in which a socket is (`TCP_*` of `net/tcp_states.h`; UDP uses two of them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct State(pub u8);

impl State {
    /// Connected.
    pub const ESTABLISHED: Self = Self(1);
    /// For TCP closed; for UDP bound, and open to anyone.
    pub const CLOSED: Self = Self(7);
    /// Waiting for connections.
    pub const LISTENING: Self = Self(10);
}

/// A socket, as the kernel describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketRecord {
    /// Its transport, where the kernel says it.
    pub protocol: Option<Protocol>,
    /// Its state.
    pub state: State,
    /// Our end.
    pub local: (IpAddr, u16),
    /// The other end; unspecified where there is none.
    pub remote: (IpAddr, u16),
    /// The kernel's own number of the socket: the same in a dump and at its end.
    pub cookie: u64,
    /// The user that made it; 0 for a socket that has already left its process.
    pub uid: u32,
    /// The inode by which processes hold it; 0 for one that no process holds.
    pub inode: u32,
    /// TCP: payload bytes sent (each once, retransmissions left out) and received. The kernel
    /// counts an orderly end by the other side as one byte received.
    pub bytes: Option<(u64, u64)>,
}

/// The destroy groups, open.
#[derive(Debug)]
pub struct SockDiag {
    socket: OwnedFd,
    datagram: Vec<u8>,
}

impl SockDiag {
    /// Opens the groups in the network of process `pid` (none: our own).
    ///
    /// # Errors
    /// If the process is gone, the kernel has no sock_diag, or we may not use it.
    pub fn open(pid: Option<u32>) -> Result<Self, SourceError> {
        let open = || {
            let socket = netlink_socket(DESTROY_GROUPS)?;
            // Without the right to force it, the system's own bound applies; losses are counted.
            if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BYTES)
                .is_err()
            {
                rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BYTES)?;
            }
            Ok(socket)
        };
        let socket =
            in_network(pid, open).map_err(|error| SourceError::new("open sock_diag", error))?;
        Ok(Self {
            socket,
            datagram: vec![0; DATAGRAM_BYTES_MAX],
        })
    }
}

impl Source for SockDiag {
    fn feed(&self) -> Feed {
        Feed::SockDiag
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn drain(&mut self, batch: &mut Batch) -> Result<Drained, SourceError> {
        while batch.room() >= DATAGRAM_BYTES_MAX + 4 {
            match rustix::net::recv(
                &self.socket,
                self.datagram.as_mut_slice(),
                RecvFlags::DONTWAIT,
            ) {
                Ok((len, _)) => batch.push_datagram(self.datagram.get(..len).unwrap_or_default()),
                Err(Errno::AGAIN) => return Ok(Drained::Empty),
                Err(Errno::INTR) => {}
                // The buffer ran over: at least one message is gone, how many the kernel does not say.
                Err(Errno::NOBUFS) => batch.overruns += 1,
                Err(error) => return Err(SourceError::new("read sock_diag", error)),
            }
        }
        Ok(Drained::More)
    }
}

/// Every TCP and UDP socket in the network of process `pid` (none: our own), ordered by
/// transport and addresses.
///
/// # Errors
/// If the process is gone, the kernel has no sock_diag, or a dump breaks off.
pub fn dump(pid: Option<u32>) -> Result<Vec<SocketRecord>, SourceError> {
    let all = || {
        let socket = netlink_socket(0)?;
        let mut sockets = Vec::new();
        for family in [AF_INET, AF_INET6] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                dump_one(&socket, family, protocol, &mut sockets)?;
            }
        }
        Ok(sockets)
    };
    let mut sockets =
        in_network(pid, all).map_err(|error| SourceError::new("list sockets", error))?;
    sockets.sort_by_key(|socket| (socket.protocol, socket.local, socket.remote, socket.cookie));
    Ok(sockets)
}

fn in_network<T: Send>(
    pid: Option<u32>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    match pid {
        None => work(),
        Some(pid) => namespace::in_network_of(pid, work)?,
    }
}

fn netlink_socket(groups: u32) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    // The groups are heard only by a socket that is bound.
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn dump_one(
    socket: &OwnedFd,
    family: u8,
    protocol: Protocol,
    sockets: &mut Vec<SocketRecord>,
) -> io::Result<()> {
    rustix::net::send(socket, &request(family, protocol), SendFlags::empty())?;
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let len = match rustix::net::recv(socket, datagram.as_mut_slice(), RecvFlags::empty()) {
            Ok((len, _)) => len,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for message in messages(datagram.get(..len).unwrap_or_default()) {
            match message.kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => return refused(message.body),
                BY_FAMILY => sockets.extend(parse(message.body).map(|record| SocketRecord {
                    protocol: record.protocol.or(Some(protocol)),
                    ..record
                })),
                // Nothing else was asked for.
                _ => {}
            }
        }
    }
}

/// What an error message means. A kernel without this transport says `ENOENT`: no sockets.
fn refused(body: &[u8]) -> io::Result<()> {
    let code = super::native::i32_at(body, 0).unwrap_or(0).saturating_neg();
    if code == libc::ENOENT {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(code))
}

/// The message that asks for all sockets: a netlink header, an `inet_diag_req_v2`.
///
/// | Offset | Size | Field      | Meaning                                    |
/// |-------:|-----:|------------|--------------------------------------------|
/// |      0 |    4 | length     | 72                                         |
/// |      4 |    2 | type       | `SOCK_DIAG_BY_FAMILY`                      |
/// |      6 |    2 | flags      | request, dump                              |
/// |      8 |    8 | sequence, port | 0: one request is under way at a time  |
/// |     16 |    1 | family     |                                            |
/// |     17 |    1 | protocol   |                                            |
/// |     18 |    1 | extensions | bit 1: `INET_DIAG_INFO`                    |
/// |     20 |    4 | states     | all                                        |
/// |     24 |   48 | socket     | zero: any                                  |
fn request(family: u8, protocol: Protocol) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(72);
    push_u32(&mut bytes, 72);
    push_u16(&mut bytes, BY_FAMILY);
    push_u16(&mut bytes, DUMP);
    push_u32(&mut bytes, 0);
    push_u32(&mut bytes, 0);
    bytes.extend([family, protocol.number(), 1 << (INET_DIAG_INFO - 1), 0]);
    push_u32(&mut bytes, u32::MAX);
    bytes.resize(72, 0);
    bytes
}

/// A netlink message.
struct Message<'a> {
    kind: u16,
    body: &'a [u8],
}

/// The messages in a datagram. A length that lies ends the walk.
fn messages(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let len = usize::try_from(u32_at(rest, 0)?).ok()?;
        let kind = u16_at(rest, 4)?;
        let body = rest.get(16..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, body })
    })
}

/// The sockets that a datagram of the destroy groups tells of.
pub fn closed(datagram: &[u8]) -> impl Iterator<Item = SocketRecord> {
    messages(datagram)
        .filter(|message| message.kind == BY_FAMILY)
        .filter_map(|message| parse(message.body))
}

/// Reads an `inet_diag_msg` and the attributes after it.
///
/// | Offset | Size | Field          | Meaning                                     |
/// |-------:|-----:|----------------|---------------------------------------------|
/// |      0 |    1 | family         | 2 IPv4, 10 IPv6                             |
/// |      1 |    1 | state          |                                             |
/// |      2 |    2 | timer, retrans |                                             |
/// |      4 |    4 | ports          | ours, theirs; big-endian                    |
/// |      8 |   32 | addresses      | ours, theirs; 16 bytes each                 |
/// |     40 |    4 | interface      |                                             |
/// |     44 |    8 | cookie         |                                             |
/// |     52 |   12 | expires, receive queue, send queue |                         |
/// |     64 |    4 | uid            |                                             |
/// |     68 |    4 | inode          |                                             |
/// |     72 |    – | attributes     | length, type, value; each padded to 4       |
fn parse(body: &[u8]) -> Option<SocketRecord> {
    let family = *body.first()?;
    let ports: &[u8; 4] = body.get(4..)?.first_chunk()?;
    let mut record = SocketRecord {
        protocol: None,
        state: State(*body.get(1)?),
        local: (
            address(family, body.get(8..24)?)?,
            u16::from_be_bytes([ports[0], ports[1]]),
        ),
        remote: (
            address(family, body.get(24..40)?)?,
            u16::from_be_bytes([ports[2], ports[3]]),
        ),
        cookie: u64::from(u32_at(body, 44)?) | u64::from(u32_at(body, 48)?) << 32,
        uid: u32_at(body, 64)?,
        inode: u32_at(body, 68)?,
        bytes: None,
    };
    let mut rest = body.get(72..)?;
    while let (Some(len), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let Some(value) = rest.get(4..usize::from(len)) else {
            break;
        };
        match kind {
            INET_DIAG_PROTOCOL => {
                record.protocol = value.first().map(|number| Protocol::from_number(*number))
            }
            INET_DIAG_INFO => record.bytes = carried(value),
            // Memory, congestion, marks: nothing that is recorded.
            _ => {}
        }
        rest = rest
            .get(usize::from(len).next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Some(record)
}

/// The bytes sent and received in a `tcp_info` (`linux/tcp.h`): received at 128, sent at 200 and
/// retransmitted at 208 since Linux 4.19; before, the acknowledged at 120.
fn carried(info: &[u8]) -> Option<(u64, u64)> {
    let received = u64_at(info, 128)?;
    let sent = match (u64_at(info, 200), u64_at(info, 208)) {
        (Some(sent), Some(again)) => sent.saturating_sub(again),
        _ => u64_at(info, 120)?,
    };
    Some((sent, received))
}

fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
        // An IPv4 peer of an IPv6 socket is an IPv4 peer.
        AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(*bytes.first_chunk::<16>()?)).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::native::push_u64;

    fn message(family: u8, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = vec![family, 1, 0, 0];
        body.extend(8080_u16.to_be_bytes());
        body.extend(443_u16.to_be_bytes());
        let mut addresses = [0; 32];
        addresses[..4].copy_from_slice(&[10, 0, 0, 1]);
        addresses[16..20].copy_from_slice(&[192, 0, 2, 7]);
        body.extend(addresses);
        push_u32(&mut body, 0);
        push_u64(&mut body, 77);
        body.extend([0; 12]);
        push_u32(&mut body, 1000);
        push_u32(&mut body, 4242);
        for (kind, value) in attributes {
            push_u16(&mut body, u16::try_from(value.len() + 4).unwrap());
            push_u16(&mut body, *kind);
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = Vec::new();
        push_u32(&mut message, u32::try_from(body.len() + 16).unwrap());
        push_u16(&mut message, BY_FAMILY);
        message.extend([0; 10]);
        message.extend(body);
        message
    }

    fn info() -> Vec<u8> {
        let mut info = vec![0; 128];
        push_u64(&mut info, 5000);
        info.resize(200, 0);
        push_u64(&mut info, 1300);
        push_u64(&mut info, 300);
        info
    }

    #[test]
    fn a_closed_connection_has_its_ends_and_bytes() {
        let bytes = message(
            AF_INET,
            &[(INET_DIAG_PROTOCOL, vec![6]), (INET_DIAG_INFO, info())],
        );
        let record = closed(&bytes).next().unwrap();
        assert_eq!(record.protocol, Some(Protocol::Tcp));
        assert_eq!(record.local, ("10.0.0.1".parse().unwrap(), 8080));
        assert_eq!(record.remote, ("192.0.2.7".parse().unwrap(), 443));
        assert_eq!((record.uid, record.inode, record.cookie), (1000, 4242, 77));
        assert_eq!(record.bytes, Some((1000, 5000)));
    }

    #[test]
    fn an_ipv4_peer_of_an_ipv6_socket_is_an_ipv4_peer() {
        let mut mapped = [0; 16];
        mapped[10..].copy_from_slice(&[255, 255, 192, 0, 2, 7]);
        assert_eq!(
            address(AF_INET6, &mapped),
            Some("192.0.2.7".parse().unwrap())
        );
        assert_eq!(address(1, &mapped), None);
    }

    #[test]
    fn every_cut_and_every_lying_length_stays_inside() {
        let bytes = message(
            AF_INET,
            &[(INET_DIAG_PROTOCOL, vec![6]), (INET_DIAG_INFO, info())],
        );
        for cut in 0..bytes.len() {
            assert_eq!(closed(&bytes[..cut]).count(), 0, "cut at {cut}");
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 3, 4, 15, 16, 255] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                assert!(closed(&damaged).count() <= 1);
            }
        }
    }
}

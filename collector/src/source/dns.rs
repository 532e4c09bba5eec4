//! Name resolution, where it is asked for: answers of name servers, as they pass by on the network.
//!
//! A packet socket with a filter of classic BPF on it: the kernel gives UDP packets of port 53 and no
//! others (packet(7), RFC 1035). It sees this machine's own network alone, no process, no names that
//! are asked for over TCP or encrypted.

#![expect(
    unsafe_code,
    reason = "packet(7): the filter and the address of a packet"
)]

use super::{Batch, Drained, Feed, Source, SourceError, datagrams};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Bytes of a packet that are looked at: more than an answer over UDP has on the common networks.
const PACKET_BYTES_MAX: usize = 4096;

/// Bytes that may wait in the kernel.
const RECEIVE_BYTES: libc::c_int = 4 << 20;

/// The port of name servers.
const PORT: u32 = 53;

const UDP: u32 = 17;

/// Names that an answer may follow from one to the next, and pointers within one name.
const POINTERS_MAX: usize = 64;

/// Bytes of a name (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 255;

/// Answers that are kept of one packet.
const ANSWERS_MAX: usize = 64;

/// `BPF_LD | BPF_B | BPF_ABS` and so on, as `linux/filter.h` names them.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_HALF_BEHIND: u16 = 0x48;
const LOAD_HEADER_LEN: u16 = 0xb1;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// The filter: UDP from or to port 53, over IPv4 unless it is a later fragment, and over IPv6. The
/// numbers before the last are how many steps are left out if the test holds, and if not.
fn filter() -> [libc::sock_filter; 21] {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    [
        step(LOAD_BYTE, 0, 0, 0),
        step(AND, 0, 0, 0xf0),
        step(IF_EQUAL, 0, 9, 0x40),
        step(LOAD_BYTE, 0, 0, 9),
        step(IF_EQUAL, 0, 15, UDP),
        step(LOAD_HALF, 0, 0, 6),
        step(IF_ANY_BIT, 13, 0, 0x1fff),
        step(LOAD_HEADER_LEN, 0, 0, 0),
        step(LOAD_HALF_BEHIND, 0, 0, 0),
        step(IF_EQUAL, 9, 0, PORT),
        step(LOAD_HALF_BEHIND, 0, 0, 2),
        step(IF_EQUAL, 7, 8, PORT),
        step(IF_EQUAL, 0, 7, 0x60),
        step(LOAD_BYTE, 0, 0, 6),
        step(IF_EQUAL, 0, 5, UDP),
        step(LOAD_HALF, 0, 0, 40),
        step(IF_EQUAL, 2, 0, PORT),
        step(LOAD_HALF, 0, 0, 42),
        step(IF_EQUAL, 0, 1, PORT),
        step(RETURN, 0, 0, PACKET_BYTES_MAX_U32),
        step(RETURN, 0, 0, 0),
    ]
}

/// An open packet socket.
#[derive(Debug)]
pub struct Dns {
    socket: OwnedFd,
}

impl Dns {
    /// Opens the socket in our own network.
    ///
    /// # Errors
    /// The kernel has no packet sockets, or refuses one (`CAP_NET_RAW`).
    pub fn open() -> Result<Dns, SourceError> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Protocol 0: nothing comes before the filter stands.
        // SAFETY: a new descriptor is asked for.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(SourceError::last("open a packet socket"));
        }
        // SAFETY: the kernel has just given this descriptor to us alone.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut steps = filter();
        let program = libc::sock_fprog {
            len: u16::try_from(steps.len()).unwrap_or(0),
            filter: steps.as_mut_ptr(),
        };
        set(&socket, libc::SO_ATTACH_FILTER, &program, "filter packets")?;
        set(
            &socket,
            libc::SO_RCVBUFFORCE,
            &RECEIVE_BYTES,
            "size a packet socket's buffer",
        )?;
        let everything = u16::try_from(libc::ETH_P_ALL).unwrap_or(0).to_be();
        let address = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).unwrap_or(0),
            sll_protocol: everything,
            sll_ifindex: 0,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the address is whole and as long as is said; the call keeps nothing of it.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                ADDRESS_BYTES,
            )
        };
        if bound < 0 {
            return Err(SourceError::last("bind a packet socket"));
        }
        Ok(Dns { socket })
    }

    /// The next packet into `buffer`: its length, and whether it leaves this machine.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Way)> {
        // SAFETY: all zeroes is a valid `sockaddr_ll`.
        let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut from_len = ADDRESS_BYTES;
        // SAFETY: buffer and address are ours, and as long as is said.
        let len = unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
                (&raw mut from).cast(),
                &raw mut from_len,
            )
        };
        let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
        let way = if from.sll_pkttype == libc::PACKET_OUTGOING {
            Way::Out
        } else {
            Way::In
        };
        Ok((len, way))
    }
}

/// Bytes of a packet's address.
const ADDRESS_BYTES: libc::socklen_t = 20;

/// [`PACKET_BYTES_MAX`], as the filter says it.
const PACKET_BYTES_MAX_U32: u32 = 4096;

fn set<T>(
    socket: &OwnedFd,
    option: libc::c_int,
    value: &T,
    doing: &'static str,
) -> Result<(), SourceError> {
    let len = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: the value is whole, as long as is said, and what the option takes.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(value).cast(),
            len,
        )
    };
    if done < 0 {
        return Err(SourceError::last(doing));
    }
    Ok(())
}

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl Source for Dns {
    fn feed(&self) -> Feed {
        Feed::Dns
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Keeps what comes in: an answer that leaves was given by this machine to another, or is seen a
    /// second time on its way through the loopback.
    fn drain(&mut self, batch: &mut Batch) -> Result<Drained, SourceError> {
        let mut packet = [0; PACKET_BYTES_MAX];
        while batch.room() >= PACKET_BYTES_MAX + 4 {
            match self.receive(&mut packet) {
                Ok((len, Way::In)) => batch.push_datagram(packet.get(..len).unwrap_or_default()),
                Ok((_, Way::Out)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Drained::Empty);
                }
                // An interface went down; the others are still there.
                Err(error)
                    if [io::ErrorKind::Interrupted, io::ErrorKind::NetworkDown]
                        .contains(&error.kind()) => {}
                Err(error) => return Err(SourceError::new("read a packet socket", error)),
            }
        }
        Ok(Drained::More)
    }
}

/// What a name server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The server.
    pub server: IpAddr,
    /// The port at this machine that the answer goes to.
    pub port: u16,
    /// The name that was asked for, its parts joined by dots.
    pub query: Vec<u8>,
    /// The number of the kind of record that was asked for.
    pub record: u16,
    /// The answers in their order, each ended by NUL: addresses, names, texts.
    pub answers: Vec<u8>,
    /// The response code.
    pub code: u8,
}

/// The answers in a batch.
pub fn answers(bytes: &[u8]) -> impl Iterator<Item = Answer> {
    datagrams(bytes).filter_map(answer)
}

/// Reads a packet from its network header on; `None` for a question, and for what is no answer.
fn answer(packet: &[u8]) -> Option<Answer> {
    let (server, datagram) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet.first()? & 0xf) * 4;
            let from = packet.get(12..)?.first_chunk::<4>()?;
            (IpAddr::V4(Ipv4Addr::from(*from)), packet.get(header..)?)
        }
        6 => {
            let from = packet.get(8..)?.first_chunk::<16>()?;
            (IpAddr::V6(Ipv6Addr::from(*from)), packet.get(40..)?)
        }
        _ => return None,
    };
    if u32::from(half(datagram, 0)?) != PORT {
        return None;
    }
    let port = half(datagram, 2)?;
    let message = datagram.get(8..)?;
    let flags = half(message, 2)?;
    let is_answer = flags & 0x8000 != 0;
    if !is_answer || half(message, 4)? == 0 {
        return None;
    }
    let (query, at) = name(message, 12)?;
    let record = half(message, at)?;
    let mut told = Answer {
        server,
        port,
        query,
        record,
        answers: Vec::new(),
        code: u8::try_from(flags & 0xf).unwrap_or(0),
    };
    // What can be read of the rest is told; a packet may be cut.
    let mut at = at + 4;
    for _ in 0..usize::from(half(message, 6)?).min(ANSWERS_MAX) {
        let Some(next) = read_record(message, at, &mut told.answers) else {
            break;
        };
        at = next;
    }
    Some(told)
}

/// One resource record: its content into `answers`, and where the next begins.
fn read_record(message: &[u8], at: usize, answers: &mut Vec<u8>) -> Option<usize> {
    let (_, at) = name(message, at)?;
    let kind = half(message, at)?;
    let len = usize::from(half(message, at + 8)?);
    let content = message.get(at + 10..)?.get(..len)?;
    match (kind, len) {
        (1, 4) => {
            let ip = Ipv4Addr::from(*content.first_chunk::<4>()?);
            answers.extend_from_slice(ip.to_string().as_bytes());
            answers.push(0);
        }
        (28, 16) => {
            let ip = Ipv6Addr::from(*content.first_chunk::<16>()?);
            answers.extend_from_slice(ip.to_string().as_bytes());
            answers.push(0);
        }
        // Names: NS, CNAME, PTR, MX behind its preference, SRV behind three numbers.
        (2 | 5 | 12 | 15 | 33, _) => {
            let before = match kind {
                15 => 2,
                33 => 6,
                _ => 0,
            };
            let (text, _) = name(message, at + 10 + before)?;
            answers.extend_from_slice(&text);
            answers.push(0);
        }
        (16, _) => {
            let mut rest = content;
            while let Some((len, tail)) = rest.split_first() {
                let (text, tail) = tail.split_at_checked(usize::from(*len))?;
                answers.extend(text.iter().filter(|byte| **byte != 0));
                rest = tail;
            }
            answers.push(0);
        }
        _ => {}
    }
    Some(at + 10 + len)
}

/// A name and where it ends (RFC 1035 §4.1.4). Pointers may only lead so often.
fn name(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let (mut text, mut at, mut end, mut pointers) = (Vec::new(), start, None, 0);
    loop {
        let len = usize::from(*message.get(at)?);
        match len {
            0 => return Some((text, end.unwrap_or(at + 1))),
            0xc0.. => {
                end.get_or_insert(at + 2);
                at = usize::from(half(message, at)? & 0x3fff);
                pointers += 1;
                if pointers > POINTERS_MAX {
                    return None;
                }
            }
            1..64 => {
                if !text.is_empty() {
                    text.push(b'.');
                }
                text.extend(
                    message
                        .get(at + 1..)?
                        .get(..len)?
                        .iter()
                        .filter(|byte| **byte != 0),
                );
                if text.len() > NAME_BYTES_MAX {
                    return None;
                }
                at += 1 + len;
            }
            _ => return None,
        }
    }
}

/// The network's order, whatever the machine's is.
fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The name of a kind of record; its number where it has none that is common.
#[must_use]
pub fn record_name(record: u16) -> String {
    let name = match record {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        64 => "SVCB",
        65 => "HTTPS",
        255 => "ANY",
        other => return format!("TYPE{other}"),
    };
    name.to_owned()
}

/// The name of a response code (RFC 6895 §2.3).
#[must_use]
pub fn code_name(code: u8) -> String {
    let name = match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        other => return format!("RCODE{other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of two records for `a.example`, as it comes over IPv4 from 192.0.2.53.
    fn packet() -> Vec<u8> {
        let mut dns = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
        dns.extend(b"\x01a\x07example\x00\x00\x01\x00\x01");
        dns.extend(b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01b\xc0\x0e");
        dns.extend(b"\x01b\xc0\x0e\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07");
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend([192, 0, 2, 53, 192, 0, 2, 1]);
        packet.extend([0, 53, 0x9c, 0x40, 0, 0, 0, 0]);
        packet.extend(dns);
        packet
    }

    #[test]
    fn an_answer_names_what_was_asked_and_what_was_said() {
        let told = answer(&packet()).unwrap();
        assert_eq!(told.query, b"a.example");
        assert_eq!(told.answers, b"b.example\x00192.0.2.7\x00");
        assert_eq!(told.server, IpAddr::from([192, 0, 2, 53]));
        assert_eq!((told.port, told.record, told.code), (40_000, 1, 0));
        assert_eq!(record_name(told.record), "A");
        assert_eq!(code_name(3), "NXDOMAIN");
    }

    #[test]
    fn every_cut_is_fewer_answers_or_none() {
        let whole = packet();
        let full = answer(&whole).unwrap().answers.len();
        for cut in 0..whole.len() {
            if let Some(told) = answer(&whole[..cut]) {
                assert!(told.answers.len() < full, "cut at {cut}");
            }
        }
    }

    #[test]
    fn pointers_that_go_in_circles_end() {
        let mut bytes = packet();
        let first_name = 20 + 8 + 12;
        bytes[first_name] = 0xc0;
        bytes[first_name + 1] = 12;
        assert_eq!(answer(&bytes), None);
    }

    #[test]
    fn questions_are_no_answers() {
        let mut bytes = packet();
        bytes[20 + 8 + 2] = 1;
        assert_eq!(answer(&bytes), None);
    }

    /// What the filter lets through of a packet: a small machine for the instructions that it uses.
    fn accepts(packet: &[u8]) -> bool {
        let program = filter();
        let (mut at, mut value, mut header) = (0, 0_u32, 0_usize);
        loop {
            let now = program[at];
            at += 1;
            let place = now.k as usize;
            let jump = |yes: bool| usize::from(if yes { now.jt } else { now.jf });
            let read = |at: usize| half(packet, at).map(u32::from);
            match now.code {
                LOAD_BYTE => value = u32::from(packet[place]),
                LOAD_HALF => value = read(place).unwrap(),
                LOAD_HALF_BEHIND => value = read(header + place).unwrap(),
                LOAD_HEADER_LEN => header = usize::from(packet[place] & 0xf) * 4,
                AND => value &= now.k,
                IF_EQUAL => at += jump(value == now.k),
                IF_ANY_BIT => at += jump(value & now.k != 0),
                RETURN => return now.k != 0,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_filter_lets_through_what_is_read_here_and_nothing_else() {
        let answer = packet();
        assert!(accepts(&answer));
        let changed = |at: usize, value: u8| {
            let mut packet = packet();
            packet[at] = value;
            accepts(&packet)
        };
        assert!(!changed(9, 6), "TCP");
        assert!(!changed(7, 1), "a later fragment");
        assert!(!changed(0, 0x15), "neither IPv4 nor IPv6");
        assert!(!changed(21, 54), "another port");
        let mut question = packet();
        question[20..24].copy_from_slice(&[0x9c, 0x40, 0, 53]);
        assert!(accepts(&question));
        let mut six = vec![0x60, 0, 0, 0, 0, 0, 17, 64];
        six.extend([0; 32]);
        six.extend([0, 53, 0x9c, 0x40]);
        assert!(accepts(&six));
        six[6] = 6;
        assert!(!accepts(&six));
    }
}

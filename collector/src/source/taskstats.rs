//! taskstats: what each task used in its life, told by the kernel when it ends.
//!
//! A generic netlink family (Documentation/accounting/taskstats.rst): who has asked for a set of CPUs
//! is told of each task that ends there. Threads are told of one by one; the process is their sum.

use super::native::{push_u16, u16_at, u32_at, u64_at};
use super::netlink::{self, Netlink};
use super::{Batch, Drained, Feed, Source, SourceError};
use rustix::io::Errno;
use rustix::net::netlink::GENERIC;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Bytes of the socket's buffer: a message takes some 1.3 KiB there.
const RECEIVE_BYTES: usize = 8 * 1024 * 1024;

/// How long the kernel's answer is waited for. It comes within the call that asked.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// `GENL_ID_CTRL`, the family that knows the others by name.
const CONTROL: u16 = 0x10;
const CONTROL_GET_FAMILY: u8 = 3;
const CONTROL_FAMILY_ID: u16 = 1;
const CONTROL_FAMILY_NAME: u16 = 2;

const CMD_GET: u8 = 1;
const CMD_ATTR_REGISTER_CPUS: u16 = 3;

const TYPE_STATS: u16 = 3;
const TYPE_AGGREGATE_PID: u16 = 4;

/// The bits of an attribute's type that say how it is written.
const TYPE_BITS: u16 = 0x3fff;

/// Bytes of `genlmsghdr`: command, version, two reserved.
const GENERIC_BYTES: usize = 4;

/// The version of `struct taskstats` from which it names the process of a thread.
const VERSION_WITH_PROCESS: u16 = 11;

/// An open taskstats.
#[derive(Debug)]
pub struct Taskstats {
    socket: Netlink,
}

impl Taskstats {
    /// Opens it for every CPU.
    ///
    /// # Errors
    /// The kernel has none, or refuses it (`CAP_NET_ADMIN`, the first PID and user namespace).
    pub fn open() -> Result<Taskstats, SourceError> {
        let socket = Netlink::open(GENERIC, 0, RECEIVE_BYTES)?;
        let family = family(&socket)?;
        let cpus = std::fs::read_to_string("/sys/devices/system/cpu/possible")
            .map_err(|error| SourceError::new("list the CPUs", error))?;
        let request = request(CMD_GET, CMD_ATTR_REGISTER_CPUS, cpus.trim().as_bytes());
        socket.send(family, netlink::REQUEST | netlink::ACK, 1, &request)?;
        wait(&socket, "ask taskstats for the CPUs", |kind, body| {
            (kind == netlink::ERROR).then(|| refusal(body))
        })??;
        Ok(Taskstats { socket })
    }
}

/// The number that this boot's kernel gave the family.
fn family(socket: &Netlink) -> Result<u16, SourceError> {
    const DOING: &str = "find taskstats";
    let request = request(CONTROL_GET_FAMILY, CONTROL_FAMILY_NAME, b"TASKSTATS");
    socket.send(CONTROL, netlink::REQUEST, 0, &request)?;
    wait(socket, DOING, |kind, body| {
        if kind == netlink::ERROR {
            return Some(refusal(body).and_then(|()| {
                let nothing = io::Error::from(io::ErrorKind::InvalidData);
                Err(SourceError::new(DOING, nothing))
            }));
        }
        let id = attributes(body.get(GENERIC_BYTES..)?)
            .find(|(kind, _)| *kind == CONTROL_FAMILY_ID)
            .and_then(|(_, value)| u16_at(value, 0))?;
        Some(Ok(id))
    })?
}

/// What an error message means; 0 is an acknowledgement.
fn refusal(body: &[u8]) -> Result<(), SourceError> {
    match super::native::i32_at(body, 0).unwrap_or(0) {
        0 => Ok(()),
        code => Err(SourceError::new(
            "open taskstats",
            io::Error::from_raw_os_error(code.saturating_neg()),
        )),
    }
}

/// Reads answers until `found` gives something.
fn wait<T>(
    socket: &Netlink,
    doing: &'static str,
    mut found: impl FnMut(u16, &[u8]) -> Option<T>,
) -> Result<T, SourceError> {
    let end = Instant::now() + ANSWER_WAIT;
    let mut buffer = [0; netlink::DATAGRAM_BYTES_MAX];
    loop {
        match socket.receive(&mut buffer) {
            Ok(Some(datagram)) => {
                let answer = netlink::message(datagram).and_then(|(kind, body)| found(kind, body));
                if let Some(answer) = answer {
                    return Ok(answer);
                }
            }
            Ok(None) if Instant::now() > end => {
                let late = io::Error::from(io::ErrorKind::TimedOut);
                return Err(SourceError::new(doing, late));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            Err(Errno::NOBUFS) => {}
            Err(error) => return Err(SourceError::new(doing, error)),
        }
    }
}

/// A command with one text attribute, ended by NUL.
fn request(command: u8, attribute: u16, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![command, 1, 0, 0];
    let len = u16::try_from(4 + text.len() + 1).unwrap_or(u16::MAX);
    push_u16(&mut bytes, len);
    push_u16(&mut bytes, attribute);
    bytes.extend_from_slice(text);
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

impl Source for Taskstats {
    fn feed(&self) -> Feed {
        Feed::Taskstats
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.fd()
    }

    fn drain(&mut self, batch: &mut Batch) -> Result<Drained, SourceError> {
        self.socket.drain(batch)
    }
}

/// What one task used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode, microseconds.
    pub user_us: u64,
    /// CPU time in the kernel, microseconds.
    pub system_us: u64,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Bytes written to storage, those left out that were cancelled before.
    pub written_bytes: u64,
    /// Peak resident memory, bytes.
    pub peak_bytes: u64,
}

impl Usage {
    /// Adds what another thread of the process used.
    pub fn add(&mut self, other: Usage) {
        self.user_us = self.user_us.saturating_add(other.user_us);
        self.system_us = self.system_us.saturating_add(other.system_us);
        self.read_bytes = self.read_bytes.saturating_add(other.read_bytes);
        self.written_bytes = self.written_bytes.saturating_add(other.written_bytes);
        // Threads share their memory.
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
    }
}

/// The end of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its process.
    pub pid: u32,
    /// The code of `wait(2)`.
    pub code: u32,
    /// What it used.
    pub usage: Usage,
}

/// The task that a datagram tells of.
#[must_use]
pub fn ended(datagram: &[u8]) -> Option<Ended> {
    let (_, body) = netlink::message(datagram)?;
    let (_, task) =
        attributes(body.get(GENERIC_BYTES..)?).find(|(kind, _)| *kind == TYPE_AGGREGATE_PID)?;
    let (_, stats) = attributes(task).find(|(kind, _)| *kind == TYPE_STATS)?;
    parse(stats)
}

/// Reads `struct taskstats` as far as it is used here.
///
/// | Offset | Size | Field                   | Meaning                                    |
/// |-------:|-----:|-------------------------|--------------------------------------------|
/// |      0 |    2 | `version`               |                                            |
/// |      4 |    4 | `ac_exitcode`           | as `wait(2)`                               |
/// |    128 |    4 | `ac_pid`                | the task                                   |
/// |    152 |   16 | `ac_utime`, `ac_stime`  | microseconds                               |
/// |    200 |    8 | `hiwater_rss`           | KiB                                        |
/// |    248 |   24 | `read_bytes`, `write_bytes`, `cancelled_write_bytes` |               |
/// |    368 |    4 | `ac_tgid`               | its process, from version 11               |
fn parse(stats: &[u8]) -> Option<Ended> {
    let task = u32_at(stats, 128)?;
    let process = (u16_at(stats, 0)? >= VERSION_WITH_PROCESS)
        .then(|| u32_at(stats, 368))
        .flatten();
    Some(Ended {
        pid: process.unwrap_or(task),
        code: u32_at(stats, 4)?,
        usage: Usage {
            user_us: u64_at(stats, 152)?,
            system_us: u64_at(stats, 160)?,
            read_bytes: u64_at(stats, 248)?,
            written_bytes: u64_at(stats, 256)?.saturating_sub(u64_at(stats, 264)?),
            peak_bytes: u64_at(stats, 200)?.saturating_mul(1024),
        },
    })
}

/// Attributes: length, type, value, padded to 4. A length that lies ends the walk.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & TYPE_BITS;
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::native::{push_u32, push_u64};

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_u16(&mut bytes, u16::try_from(4 + value.len()).unwrap());
        push_u16(&mut bytes, kind);
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn datagram(version: u16) -> Vec<u8> {
        let mut stats = vec![0; 416];
        let mut put =
            |at: usize, bytes: Vec<u8>| stats[at..at + bytes.len()].copy_from_slice(&bytes);
        let word = |number| {
            let mut bytes = Vec::new();
            push_u32(&mut bytes, number);
            bytes
        };
        let long = |number| {
            let mut bytes = Vec::new();
            push_u64(&mut bytes, number);
            bytes
        };
        put(0, word(u32::from(version)));
        put(4, word(7 << 8));
        put(128, word(21));
        put(152, long(1_500));
        put(160, long(2_500));
        put(200, long(3));
        put(248, long(4_096));
        put(256, long(10_000));
        put(264, long(1_000));
        put(368, word(20));
        let mut task = attribute(1, &word(21));
        task.extend(attribute(6, &[]));
        task.extend(attribute(TYPE_STATS, &stats));
        let mut bytes = vec![0; netlink::HEADER_BYTES + GENERIC_BYTES];
        bytes.extend(attribute(TYPE_AGGREGATE_PID, &task));
        bytes
    }

    #[test]
    fn an_ended_task_names_its_process_and_what_it_used() {
        let told = ended(&datagram(13)).unwrap();
        assert_eq!((told.pid, told.code), (20, 7 << 8));
        assert_eq!(
            told.usage,
            Usage {
                user_us: 1_500,
                system_us: 2_500,
                read_bytes: 4_096,
                written_bytes: 9_000,
                peak_bytes: 3_072,
            }
        );
        assert_eq!(ended(&datagram(10)).unwrap().pid, 21, "an older kernel");
    }

    #[test]
    fn every_cut_of_a_message_is_nothing() {
        let whole = datagram(13);
        for cut in 0..whole.len() {
            assert_eq!(ended(&whole[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn threads_add_up_and_share_their_memory() {
        let mut usage = Usage {
            user_us: 1,
            peak_bytes: 10,
            ..Usage::default()
        };
        usage.add(Usage {
            user_us: 2,
            peak_bytes: 4,
            ..Usage::default()
        });
        assert_eq!((usage.user_us, usage.peak_bytes), (3, 10));
    }
}

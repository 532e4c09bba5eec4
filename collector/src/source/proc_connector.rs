//! The proc connector: notes of forks, starts, endings and changed ids, with exit codes.
//!
//! Its messages carry no text, but each CPU numbers its own, so that a loss is known exactly. Its
//! count of starts is the third beside perf's and audit's.

use super::native::{push_u32, u32_at, u64_at};
use super::netlink::{self, Netlink};
use super::{Batch, Drained, Feed, Source, SourceError};
use rustix::net::netlink::CONNECTOR;
use std::os::fd::BorrowedFd;

/// Bytes of the socket's buffer: a message takes some 800 there.
const RECEIVE_BYTES: usize = 8 * 1024 * 1024;

/// `CN_IDX_PROC`: the group, as a number and as a mask.
const GROUP: u32 = 1;

/// `PROC_CN_MCAST_LISTEN`, `PROC_CN_MCAST_IGNORE`.
const LISTEN: u32 = 1;
const IGNORE: u32 = 2;

/// Bytes of `cn_msg` before its data: index, value, sequence, acknowledgement, length, flags.
const CONNECTOR_BYTES: usize = 20;

/// CPUs whose sequences are followed; more share the losses of those below.
const CPUS_MAX: usize = 4096;

/// An open proc connector.
#[derive(Debug)]
pub struct ProcConnector {
    socket: Netlink,
}

impl ProcConnector {
    /// Opens the connector and asks for its messages.
    ///
    /// # Errors
    /// The kernel has none, or refuses it (`CAP_NET_ADMIN`, the first PID namespace).
    pub fn open() -> Result<ProcConnector, SourceError> {
        let socket = Netlink::open(CONNECTOR, GROUP, RECEIVE_BYTES)?;
        socket.send(DONE, 0, 0, &request(LISTEN))?;
        Ok(ProcConnector { socket })
    }
}

impl Drop for ProcConnector {
    fn drop(&mut self) {
        let _ = self.socket.send(DONE, 0, 0, &request(IGNORE));
    }
}

/// Connector messages have the type `NLMSG_DONE`.
const DONE: u16 = netlink::DONE;

fn request(operation: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CONNECTOR_BYTES + 4);
    for word in [GROUP, 1, 0, 0, 4, operation] {
        push_u32(&mut bytes, word);
    }
    bytes
}

impl Source for ProcConnector {
    fn feed(&self) -> Feed {
        Feed::ProcConnector
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.fd()
    }

    fn drain(&mut self, batch: &mut Batch) -> Result<Drained, SourceError> {
        self.socket.drain(batch)
    }
}

/// One note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// The CPU that it was made on.
    pub cpu: u32,
    /// Its number on that CPU.
    pub sequence: u32,
    /// When, nanoseconds of the monotonic clock.
    pub monotonic_ns: u64,
    /// What.
    pub kind: NoteKind,
}

/// What a note says. `pid` is a process, `tid` a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are those of `linux/cn_proc.h`, named there"
)]
pub enum NoteKind {
    /// A task was made; a thread when both pids are equal.
    Fork { parent: u32, pid: u32, tid: u32 },
    /// A program was started.
    Exec { pid: u32 },
    /// Real and effective user changed.
    Uid {
        pid: u32,
        tid: u32,
        real: u32,
        effective: u32,
    },
    /// Real and effective group changed.
    Gid {
        pid: u32,
        tid: u32,
        real: u32,
        effective: u32,
    },
    /// A session began.
    Sid { pid: u32 },
    /// A tracer was attached, or detached when it is 0.
    Ptrace { pid: u32, tracer: u32 },
    /// A task ended. The code is that of `wait(2)`.
    Exit { pid: u32, tid: u32, code: u32 },
    /// Something else: names, core dumps, acknowledgements.
    Other,
}

impl Note {
    /// Reads one datagram. `None` if it is shorter than its kind needs.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Note> {
        let (_, message) = netlink::message(datagram)?;
        let sequence = u32_at(message, 8)?;
        let event = message.get(CONNECTOR_BYTES..)?;
        let at = |word: usize| u32_at(event, 16 + 4 * word);
        let kind = match u32_at(event, 0)? {
            0x1 => NoteKind::Fork {
                parent: at(1)?,
                tid: at(2)?,
                pid: at(3)?,
            },
            0x2 => NoteKind::Exec { pid: at(1)? },
            0x4 => NoteKind::Uid {
                tid: at(0)?,
                pid: at(1)?,
                real: at(2)?,
                effective: at(3)?,
            },
            0x40 => NoteKind::Gid {
                tid: at(0)?,
                pid: at(1)?,
                real: at(2)?,
                effective: at(3)?,
            },
            0x80 => NoteKind::Sid { pid: at(1)? },
            0x100 => NoteKind::Ptrace {
                pid: at(1)?,
                tracer: at(3)?,
            },
            0x8000_0000 => NoteKind::Exit {
                tid: at(0)?,
                pid: at(1)?,
                code: at(2)?,
            },
            _ => NoteKind::Other,
        };
        Some(Note {
            cpu: u32_at(event, 4)?,
            sequence,
            monotonic_ns: u64_at(event, 8)?,
            kind,
        })
    }
}

/// Counts lost notes by the numbers that each CPU gives its own.
#[derive(Debug, Default)]
pub struct Sequences {
    next: Vec<Option<u32>>,
}

impl Sequences {
    /// How many notes of this CPU were lost right before this one.
    pub fn lost_before(&mut self, note: &Note) -> u64 {
        let Ok(cpu) = usize::try_from(note.cpu) else {
            return 0;
        };
        if cpu >= CPUS_MAX {
            return 0;
        }
        if self.next.len() <= cpu {
            self.next.resize(cpu + 1, None);
        }
        let Some(next) = self.next.get_mut(cpu) else {
            return 0;
        };
        let lost = next.map_or(0, |expected| note.sequence.wrapping_sub(expected));
        *next = Some(note.sequence.wrapping_add(1));
        // A number before the expected one is an acknowledgement or a restart, not four billion losses.
        if lost > u32::MAX / 2 {
            0
        } else {
            u64::from(lost)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::native::push_u64;

    fn datagram(what: u32, sequence: u32, words: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; netlink::HEADER_BYTES];
        for word in [GROUP, 1, sequence, 0, 40, what, 1] {
            push_u32(&mut bytes, word);
        }
        push_u64(&mut bytes, 123_000);
        for word in words {
            push_u32(&mut bytes, *word);
        }
        bytes
    }

    #[test]
    fn notes_are_read_as_the_kernel_lays_them_out() {
        let kind = |what, words: &[u32]| Note::parse(&datagram(what, 1, words)).unwrap().kind;
        assert_eq!(
            kind(1, &[10, 11, 21, 20]),
            NoteKind::Fork {
                parent: 11,
                pid: 20,
                tid: 21
            }
        );
        assert_eq!(kind(2, &[21, 20]), NoteKind::Exec { pid: 20 });
        assert_eq!(
            kind(4, &[21, 20, 1000, 0]),
            NoteKind::Uid {
                pid: 20,
                tid: 21,
                real: 1000,
                effective: 0
            }
        );
        assert_eq!(
            kind(0x8000_0000, &[21, 20, 256, 17, 1, 1]),
            NoteKind::Exit {
                pid: 20,
                tid: 21,
                code: 256
            }
        );
        assert_eq!(kind(0, &[0]), NoteKind::Other);
        assert_eq!(
            Note::parse(&datagram(2, 1, &[21, 20]))
                .unwrap()
                .monotonic_ns,
            123_000
        );
    }

    #[test]
    fn every_cut_of_a_note_is_nothing() {
        let whole = datagram(0x8000_0000, 1, &[21, 20, 256]);
        for cut in 0..whole.len() {
            assert_eq!(Note::parse(&whole[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn losses_are_counted_by_each_cpus_numbers() {
        let mut sequences = Sequences::default();
        let note = |cpu, sequence| Note {
            cpu,
            sequence,
            monotonic_ns: 0,
            kind: NoteKind::Other,
        };
        assert_eq!(sequences.lost_before(&note(0, 7)), 0);
        assert_eq!(sequences.lost_before(&note(1, 900)), 0);
        assert_eq!(sequences.lost_before(&note(0, 8)), 0);
        assert_eq!(sequences.lost_before(&note(0, 12)), 3);
        assert_eq!(sequences.lost_before(&note(1, 901)), 0);
        assert_eq!(sequences.lost_before(&note(0, 12)), 0);
        assert_eq!(sequences.lost_before(&note(u32::MAX, 1)), 0);
    }
}

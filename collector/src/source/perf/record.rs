//! perf's records, as `perf_event_open(2)` lays them out, cut from a batch and parsed.
//!
//! Every event of ours asks for the same sample fields (TID, TIME, CPU), so that each side-band
//! record ends in the same 24 bytes and each sample begins with them.

use crate::source::native::{u16_at, u32_at, u64_at};
use perf_event_open_sys::bindings as sys;

/// Bytes of `perf_event_header`.
pub const HEADER_BYTES: usize = 8;

/// Kinds of namespaces that a record lists.
pub const NAMESPACES: usize = 7;

/// Bytes of the sample fields at the end of a side-band record.
const TRAILER_BYTES: usize = 24;

/// Who and when: the fields that every record of ours carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Process (thread group) in whose context the record was made.
    pub pid: u32,
    /// Thread in whose context the record was made.
    pub tid: u32,
    /// Nanoseconds of the clock that the rings were opened with.
    pub time_ns: u64,
    /// The CPU.
    pub cpu: u32,
}

/// One parsed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Who and when.
    pub stamp: Stamp,
    /// What.
    pub kind: RecordKind<'a>,
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind<'a> {
    /// A task was made. It is a thread when `pid == ppid`.
    Fork(Task),
    /// A task ended.
    Exit(Task),
    /// A task has a new name.
    Comm {
        /// The process.
        pid: u32,
        /// The thread.
        tid: u32,
        /// Why it has the name.
        why: CommWhy,
        /// The name, at most 15 bytes.
        comm: &'a [u8],
    },
    /// A file was mapped to be executed.
    Mmap(Mapping<'a>),
    /// The namespaces of a task, after a fork, `setns` or `unshare`.
    Namespaces {
        /// The process.
        pid: u32,
        /// The thread.
        tid: u32,
        /// Their inodes, in the kernel's order: net, uts, ipc, pid, user, mnt, cgroup; 0 where the
        /// kernel has none.
        inodes: [u64; NAMESPACES],
    },
    /// A tracepoint fired: its raw record, and the user stack if that was asked for.
    Sample {
        /// The tracepoint's own record; `common_type` stands first.
        raw: &'a [u8],
        /// User stack pointer and the bytes from there on.
        stack: Option<(u64, &'a [u8])>,
    },
    /// A BPF program was loaded (1) or unloaded (2).
    Bpf {
        /// 1 load, 2 unload.
        what: u16,
        /// The kernel's number of the program.
        id: u32,
        /// The kernel's hash of its instructions.
        tag: [u8; 8],
    },
    /// Code came to or left the kernel: for BPF, its name is `bpf_prog_TAG_NAME`.
    Symbol {
        /// The name.
        name: &'a [u8],
    },
    /// So many records were lost before this one.
    Lost(u64),
    /// A record that we did not ask for.
    Other(u32),
}

/// The four numbers of FORK and EXIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// The process of the task that was made or ended.
    pub pid: u32,
    /// Its parent's process: of the task that forked, and at the end of the real parent.
    pub ppid: u32,
    /// The task that was made or ended.
    pub tid: u32,
    /// The parent's thread.
    pub ptid: u32,
}

/// Why a task has a new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommWhy {
    /// By an exec.
    Exec,
    /// By `prctl(PR_SET_NAME)` or a write to `/proc/PID/comm`.
    Renamed,
}

/// A file mapped executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// Device, as `makedev(3)` packs it.
    pub dev: u64,
    /// Inode.
    pub inode: u64,
    /// Its generation.
    pub generation: u64,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Path in the mount namespace of the process, or a name in brackets or beginning with `//`.
    pub path: &'a [u8],
}

/// Cuts a batch into whole records, each with its header. A size that lies ends the walk.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let size = usize::from(u16_at(rest, 6)?);
        if size < HEADER_BYTES {
            return None;
        }
        let (record, tail) = rest.split_at_checked(size)?;
        rest = tail;
        Some(record)
    })
}

impl<'a> Record<'a> {
    /// Parses one record, header included. `None` if it is shorter than its type needs.
    #[must_use]
    pub fn parse(record: &'a [u8]) -> Option<Record<'a>> {
        let kind = u32_at(record, 0)?;
        let misc = u16_at(record, 4)?;
        let body = record.get(HEADER_BYTES..)?;
        if kind == sys::PERF_RECORD_SAMPLE {
            return parse_sample(body);
        }
        let (body, trailer) = body.split_at_checked(body.len().checked_sub(TRAILER_BYTES)?)?;
        let stamp = Stamp::parse(trailer)?;
        let kind = match kind {
            sys::PERF_RECORD_FORK => RecordKind::Fork(Task::parse(body)?),
            sys::PERF_RECORD_EXIT => RecordKind::Exit(Task::parse(body)?),
            sys::PERF_RECORD_COMM => RecordKind::Comm {
                pid: u32_at(body, 0)?,
                tid: u32_at(body, 4)?,
                why: if misc & MISC_COMM_EXEC == 0 {
                    CommWhy::Renamed
                } else {
                    CommWhy::Exec
                },
                comm: until_nul(body.get(8..)?),
            },
            sys::PERF_RECORD_MMAP2 => RecordKind::Mmap(parse_mmap2(body)?),
            sys::PERF_RECORD_NAMESPACES => parse_namespaces(body)?,
            sys::PERF_RECORD_BPF_EVENT => RecordKind::Bpf {
                what: u16_at(body, 0)?,
                id: u32_at(body, 4)?,
                tag: *body.get(8..)?.first_chunk()?,
            },
            sys::PERF_RECORD_KSYMBOL => RecordKind::Symbol {
                name: until_nul(body.get(16..)?),
            },
            sys::PERF_RECORD_LOST => RecordKind::Lost(u64_at(body, 8)?),
            sys::PERF_RECORD_LOST_SAMPLES => RecordKind::Lost(u64_at(body, 0)?),
            other => RecordKind::Other(other),
        };
        Some(Record { stamp, kind })
    }
}

/// `PERF_RECORD_MISC_COMM_EXEC`, a bit of the header's `misc` in COMM records.
const MISC_COMM_EXEC: u16 = 1 << 13;

impl Stamp {
    fn parse(bytes: &[u8]) -> Option<Stamp> {
        Some(Stamp {
            pid: u32_at(bytes, 0)?,
            tid: u32_at(bytes, 4)?,
            time_ns: u64_at(bytes, 8)?,
            cpu: u32_at(bytes, 16)?,
        })
    }
}

impl Task {
    fn parse(body: &[u8]) -> Option<Task> {
        Some(Task {
            pid: u32_at(body, 0)?,
            ppid: u32_at(body, 4)?,
            tid: u32_at(body, 8)?,
            ptid: u32_at(body, 12)?,
        })
    }
}

/// A sample: TID, TIME, CPU, RAW, and for an event that asked for them REGS_USER and STACK_USER.
fn parse_sample(body: &[u8]) -> Option<Record<'_>> {
    let stamp = Stamp::parse(body)?;
    let size = usize::try_from(u32_at(body, TRAILER_BYTES)?).ok()?;
    let rest = body.get(TRAILER_BYTES + 4..)?;
    let (raw, rest) = rest.split_at_checked(size)?;
    Some(Record {
        stamp,
        kind: RecordKind::Sample {
            raw,
            stack: parse_stack(rest),
        },
    })
}

/// One user register (the stack pointer) behind the ABI word, then the stack: size, bytes, and
/// how many of them the kernel could really copy.
fn parse_stack(rest: &[u8]) -> Option<(u64, &[u8])> {
    let abi = u64_at(rest, 0)?;
    if abi == u64::from(sys::PERF_SAMPLE_REGS_ABI_NONE) {
        return None;
    }
    let pointer = u64_at(rest, 8)?;
    let size = usize::try_from(u64_at(rest, 16)?).ok()?;
    let stack = rest.get(24..)?.get(..size)?;
    let copied = usize::try_from(u64_at(rest, 24_usize.checked_add(size)?)?).ok()?;
    Some((pointer, stack.get(..copied)?))
}

fn parse_mmap2(body: &[u8]) -> Option<Mapping<'_>> {
    let (major, minor) = (u32_at(body, 32)?, u32_at(body, 36)?);
    Some(Mapping {
        pid: u32_at(body, 0)?,
        tid: u32_at(body, 4)?,
        offset: u64_at(body, 24)?,
        dev: rustix::fs::makedev(major, minor),
        inode: u64_at(body, 40)?,
        generation: u64_at(body, 48)?,
        path: until_nul(body.get(64..)?),
    })
}

/// Pairs of device and inode, after their number.
fn parse_namespaces(body: &[u8]) -> Option<RecordKind<'_>> {
    let mut inodes = [0; NAMESPACES];
    let count = usize::try_from(u64_at(body, 8)?).ok()?;
    for (at, inode) in inodes.iter_mut().enumerate().take(count) {
        *inode = u64_at(body, 24 + at * 16)?;
    }
    Some(RecordKind::Namespaces {
        pid: u32_at(body, 0)?,
        tid: u32_at(body, 4)?,
        inodes,
    })
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::native::{push_u16, push_u32, push_u64};

    fn stamp(bytes: &mut Vec<u8>) {
        push_u32(bytes, 10);
        push_u32(bytes, 11);
        push_u64(bytes, 1_000);
        push_u32(bytes, 1);
        push_u32(bytes, 0);
    }

    fn record(kind: u32, misc: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_u32(&mut bytes, kind);
        push_u16(&mut bytes, misc);
        push_u16(
            &mut bytes,
            u16::try_from(HEADER_BYTES + body.len()).unwrap(),
        );
        bytes.extend_from_slice(body);
        bytes
    }

    fn fork() -> Vec<u8> {
        let mut body = Vec::new();
        for number in [20, 10, 21, 11] {
            push_u32(&mut body, number);
        }
        push_u64(&mut body, 999);
        stamp(&mut body);
        record(sys::PERF_RECORD_FORK, 0, &body)
    }

    fn sample(raw: &[u8], stack: Option<&[u8]>) -> Vec<u8> {
        let mut body = Vec::new();
        stamp(&mut body);
        push_u32(&mut body, u32::try_from(raw.len()).unwrap());
        body.extend_from_slice(raw);
        if let Some(stack) = stack {
            push_u64(&mut body, 2);
            push_u64(&mut body, 0x7fff_0000);
            push_u64(&mut body, stack.len() as u64);
            body.extend_from_slice(stack);
            push_u64(&mut body, 3);
        }
        record(sys::PERF_RECORD_SAMPLE, 0, &body)
    }

    #[test]
    fn a_fork_names_child_and_parent() {
        let bytes = fork();
        let parsed = Record::parse(&bytes).unwrap();
        assert_eq!(
            parsed.kind,
            RecordKind::Fork(Task {
                pid: 20,
                ppid: 10,
                tid: 21,
                ptid: 11
            })
        );
        assert_eq!(
            parsed.stamp,
            Stamp {
                pid: 10,
                tid: 11,
                time_ns: 1_000,
                cpu: 1
            }
        );
    }

    #[test]
    fn a_name_by_exec_differs_from_a_renaming() {
        let mut body = Vec::new();
        push_u32(&mut body, 20);
        push_u32(&mut body, 20);
        body.extend_from_slice(b"sh\0\0\0\0\0\0");
        stamp(&mut body);
        let by_exec = record(sys::PERF_RECORD_COMM, MISC_COMM_EXEC, &body);
        let renamed = record(sys::PERF_RECORD_COMM, 0, &body);
        let why = |bytes: &[u8]| {
            let RecordKind::Comm {
                why, comm: b"sh", ..
            } = Record::parse(bytes).unwrap().kind
            else {
                panic!("not a name")
            };
            why
        };
        assert_eq!(why(&by_exec), CommWhy::Exec);
        assert_eq!(why(&renamed), CommWhy::Renamed);
    }

    #[test]
    fn a_mapping_names_its_file() {
        let mut body = Vec::new();
        push_u32(&mut body, 20);
        push_u32(&mut body, 20);
        for number in [0x1000_u64, 0x2000, 0x3000] {
            push_u64(&mut body, number);
        }
        push_u32(&mut body, 8);
        push_u32(&mut body, 1);
        push_u64(&mut body, 77);
        push_u64(&mut body, 5);
        push_u32(&mut body, 5);
        push_u32(&mut body, 2);
        body.extend_from_slice(b"/lib/x.so\0\0\0\0\0\0\0");
        stamp(&mut body);
        let bytes = record(sys::PERF_RECORD_MMAP2, 0, &body);
        let RecordKind::Mmap(mapping) = Record::parse(&bytes).unwrap().kind else {
            panic!("not a mapping")
        };
        assert_eq!(
            (mapping.inode, mapping.generation, mapping.offset),
            (77, 5, 0x3000)
        );
        assert_eq!(mapping.dev, rustix::fs::makedev(8, 1));
        assert_eq!(mapping.path, b"/lib/x.so");
    }

    #[test]
    fn a_sample_gives_its_raw_record_and_the_copied_stack() {
        let plain = sample(b"rawrawra", None);
        let with_stack = sample(b"rawrawra", Some(b"stack!!!"));
        assert_eq!(
            Record::parse(&plain).unwrap().kind,
            RecordKind::Sample {
                raw: b"rawrawra",
                stack: None
            }
        );
        assert_eq!(
            Record::parse(&with_stack).unwrap().kind,
            RecordKind::Sample {
                raw: b"rawrawra",
                stack: Some((0x7fff_0000, b"sta"))
            }
        );
    }

    #[test]
    fn every_cut_of_a_record_is_nothing_or_a_record() {
        for whole in [fork(), sample(b"rawrawra", Some(b"stack!!!"))] {
            for cut in 0..whole.len() {
                let _ = Record::parse(&whole[..cut]);
                assert_eq!(records(&whole[..cut]).count(), 0);
            }
            assert_eq!(records(&whole).count(), 1);
        }
    }

    #[test]
    fn hostile_sizes_end_the_walk() {
        assert_eq!(records(&record(1, 0, b"")[..7]).count(), 0);
        let mut zero = Vec::new();
        push_u32(&mut zero, 3);
        push_u32(&mut zero, 0);
        zero.extend_from_slice(&[0; 64]);
        assert_eq!(records(&zero).count(), 0);
        let mut raw = sample(b"rawrawra", None);
        raw[HEADER_BYTES + TRAILER_BYTES..][..4].copy_from_slice(&[0xff; 4]);
        assert_eq!(Record::parse(&raw), None);
    }

    #[test]
    fn a_loss_is_counted_exactly() {
        let mut body = Vec::new();
        push_u64(&mut body, 1);
        push_u64(&mut body, 4_711);
        stamp(&mut body);
        let bytes = record(sys::PERF_RECORD_LOST, 0, &body);
        assert_eq!(Record::parse(&bytes).unwrap().kind, RecordKind::Lost(4_711));
    }
}

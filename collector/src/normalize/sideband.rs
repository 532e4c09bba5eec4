//! perf's records: they move the process table, and give forks, starts, ends and connections.

use super::fact::{Detail, Start, Who};
use super::{Image, MAPPED_MAX, Normalizer};
use crate::source::Feed;
use crate::source::native::u16_at;
use crate::source::perf::record::{CommWhy, Mapping, NAMESPACES, Record, RecordKind, Stamp, Task};
use saigen_schemas::event::{Namespace, Source, SourceState};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// perf's order of namespaces.
const NAMESPACE_ORDER: [Namespace; NAMESPACES] = [
    Namespace::Net,
    Namespace::Uts,
    Namespace::Ipc,
    Namespace::Pid,
    Namespace::User,
    Namespace::Mount,
    Namespace::Cgroup,
];

/// Where the mount namespace stands in that order.
pub(super) const MOUNTS: usize = 5;

/// Files that are kept from the time between an exec's first record and its last: the program, its
/// interpreter, and those of a miscellaneous binary format.
const STARTING_MAPS_MAX: usize = 8;

/// `PERF_BPF_EVENT_PROG_LOAD` and `PERF_BPF_EVENT_PROG_UNLOAD`.
const BPF_LOADED: u16 = 1;
const BPF_UNLOADED: u16 = 2;

impl Normalizer {
    pub(super) fn perf_record(&mut self, bytes: &[u8]) {
        let Some(record) = Record::parse(bytes) else {
            return;
        };
        let at_us = self.perf_us(record.stamp.time_ns);
        match record.kind {
            RecordKind::Fork(task) => self.forked(task, at_us),
            RecordKind::Exit(task) => {
                let told_by_tracepoint = self
                    .exit
                    .as_ref()
                    .is_some_and(|exit| exit.group_dead.is_some());
                if task.pid == task.tid && !told_by_tracepoint {
                    self.exited(task.pid, at_us);
                }
            }
            RecordKind::Comm {
                pid,
                why: CommWhy::Exec,
                ..
            } => {
                self.starting.insert(pid, Vec::new());
            }
            RecordKind::Comm {
                why: CommWhy::Renamed,
                ..
            }
            | RecordKind::Other(_) => {}
            RecordKind::Mmap(mapping) => self.mapped(&mapping, at_us),
            RecordKind::Namespaces { pid, tid, inodes } => {
                if pid == tid {
                    self.namespaces(pid, inodes, at_us);
                }
            }
            RecordKind::Sample { raw, .. } => self.sampled(record.stamp, raw, at_us),
            RecordKind::Symbol { name } => self.symbol = name.to_vec(),
            RecordKind::Bpf { what, id, tag } => {
                let state = match what {
                    BPF_LOADED => SourceState::Up,
                    BPF_UNLOADED => SourceState::Down,
                    _ => return,
                };
                let who = Who::Pid(record.stamp.pid);
                let name = self.bpf_name(tag);
                self.push(
                    at_us,
                    Source::Perf,
                    who,
                    Detail::Bpf {
                        name,
                        id: u64::from(id),
                        tag,
                        state,
                    },
                );
            }
            RecordKind::Lost(count) => self.ledger.lost(Feed::Perf, count),
        }
    }

    fn forked(&mut self, task: Task, at_us: u64) {
        // A thread is no process of its own.
        if task.pid != task.tid {
            return;
        }
        let key = self.table.fork(task.pid, task.ppid, at_us);
        let Some(parent) = self.table.get(key).and_then(|process| process.parent) else {
            return;
        };
        self.push(at_us, Source::Perf, Who::Key(key), Detail::Fork { parent });
    }

    fn exited(&mut self, pid: u32, at_us: u64) {
        self.starting.remove(&pid);
        if let Some(key) = self.table.exit(pid, at_us) {
            self.push(at_us, Source::Perf, Who::Key(key), Detail::Exit);
        }
    }

    fn mapped(&mut self, mapping: &Mapping<'_>, at_us: u64) {
        // Only files: no anonymous memory, no vdso, no shared memory.
        let is_file = mapping.path.starts_with(b"/")
            && ![&b"//"[..], b"/SYSV", b"/dev/zero"]
                .iter()
                .any(|other| mapping.path.starts_with(other));
        if !is_file {
            return;
        }
        let image = Image {
            path: Arc::from(mapping.path),
            id: (mapping.dev, mapping.inode),
            generation: mapping.generation,
        };
        if let Some(mapped) = self.starting.get_mut(&mapping.pid) {
            if mapped.len() < STARTING_MAPS_MAX {
                mapped.push(image);
            }
        } else if let Some(process) = self.table.find(mapping.pid, at_us) {
            let program = process.image_id;
            self.library(mapping.pid, program, image, at_us);
        }
    }

    /// A program mapped a file. Each program's libraries are told once: what is new to it stands out,
    /// what is not is noise.
    fn library(&mut self, pid: u32, program: (u64, u64), image: Image, at_us: u64) {
        if program == image.id {
            return;
        }
        let mut pair = DefaultHasher::new();
        (program, image.id, image.generation).hash(&mut pair);
        if self.mapped.len() >= MAPPED_MAX {
            self.mapped.clear();
        }
        if self.mapped.insert(pair.finish()) {
            let detail = Detail::Mapped {
                path: image.path,
                id: image.id,
            };
            self.push(at_us, Source::Perf, Who::Pid(pid), detail);
        }
    }

    fn namespaces(&mut self, pid: u32, inodes: [u64; NAMESPACES], at_us: u64) {
        let Some(process) = self.table.alive_mut(pid) else {
            return;
        };
        let before = std::mem::replace(&mut process.namespaces, inodes);
        let who = Who::Key(process.key);
        for ((namespace, old), new) in NAMESPACE_ORDER.into_iter().zip(before).zip(inodes) {
            if old != 0 && new != 0 && old != new {
                self.push(
                    at_us,
                    Source::Perf,
                    who,
                    Detail::Namespace {
                        namespace,
                        inode: new,
                    },
                );
            }
        }
    }

    /// The name of a BPF program: the kernel tells of its code right before it tells of itself.
    fn bpf_name(&self, tag: [u8; 8]) -> Option<Vec<u8>> {
        let rest = self.symbol.strip_prefix(b"bpf_prog_")?;
        let (hex, name) = rest.split_at_checked(16)?;
        let hex = u64::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?;
        let name = name.strip_prefix(b"_")?;
        (hex.to_be_bytes() == tag && !name.is_empty()).then(|| name.to_vec())
    }

    fn sampled(&mut self, stamp: Stamp, raw: &[u8], at_us: u64) {
        let Some(id) = u16_at(raw, 0) else { return };
        if let Some(exec) = self.exec.as_ref().filter(|exec| exec.id == id) {
            let asked = exec.filename.text(raw).unwrap_or_default().to_vec();
            self.started(stamp.pid, asked, at_us);
        } else if let Some(exit) = self.exit.as_ref().filter(|exit| exit.id == id) {
            if exit
                .group_dead
                .and_then(|field| field.number(raw))
                .is_some_and(|dead| dead != 0)
            {
                self.exited(stamp.pid, at_us);
            }
        } else if let Some(states) = self.states.as_ref().filter(|states| states.id() == id)
            && let Some(change) = states.read(raw)
        {
            let caller = self
                .table
                .find(stamp.pid, at_us)
                .map_or(Who::Nobody, |process| Who::Key(process.key));
            if let Some((who, flow)) = self.flows.change(&change, stamp.pid, caller, at_us) {
                self.push(at_us, Source::Perf, who, Detail::Flow(flow));
            }
        }
    }

    fn started(&mut self, pid: u32, asked: Vec<u8>, at_us: u64) {
        let key = self.table.key(pid, at_us);
        let mut mapped = self.starting.remove(&pid).unwrap_or_default().into_iter();
        // The kernel maps the program itself before anything else.
        let (image, id) = mapped
            .next()
            .map_or((Arc::from(&b""[..]), (0, 0)), |image| {
                (image.path, image.id)
            });
        if let Some(process) = self.table.get_mut(key) {
            process.image = if image.is_empty() {
                Arc::from(&asked[..])
            } else {
                Arc::clone(&image)
            };
            process.image_id = id;
            process.image_us = at_us;
        }
        let start = Start {
            at_us,
            asked,
            image,
            image_id: id,
            ..Start::default()
        };
        self.starts.by_perf(pid, start);
        self.push(at_us, Source::Joined, Who::Pid(pid), Detail::Start);
        for library in mapped {
            self.library(pid, id, library, at_us);
        }
    }
}

//! From raw records to events: who did it, joined over the sources, in order of time.
//!
//! Raw records become [`Fact`]s as they come; a fact waits [`HOLD_US`] for what other sources tell
//! of the same thing, and is then emitted as an event. perf's records move the process table in
//! their own order, ahead of the facts: when a fact's turn comes, the table knows who had its pid.

use crate::bounded::Bounded;
use crate::clock::Now;
use crate::image_hash::ImageHashes;
use crate::lists::Lists;
use crate::process_table::{Namespaces, Place, ProcessTable};
use crate::procfs;
use crate::source::audit::Role;
use crate::source::audit::assemble::Assembler;
use crate::source::fanotify::Files;
use crate::source::perf::record::RecordKind;
use crate::source::perf::{Clock, Tracepoints};
use crate::source::proc_connector::{Note, Sequences};
use crate::source::taskstats::{self, Usage};
use crate::source::tracefs::Field;
use crate::source::{Batch, Feed, datagrams, dns, perf, sock_diag};
use fact::{Detail, Fact, Who};
use flows::{Flows, StateFields};
use hurry::{Hurry, Presses};
use ledger::Ledger;
use queue::Queue;
use saigen_schemas::event::{BootId, Event, ProcessKey, Source, Touch};
use sorter::Sorter;
use starts::Starts;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

mod audit;
mod emit;
mod emit_start;
mod endings;
pub mod environment;
pub mod fact;
mod files;
mod flows;
mod follow;
mod hurry;
pub mod ledger;
mod listeners;
mod notes;
mod queue;
mod sessions;
mod sideband;
mod sorter;
mod stack;
mod starts;

/// How long a fact waits for its partners in other sources, microseconds: two rounds of draining
/// and audit's own queue.
pub const HOLD_US: u64 = 400_000;

/// Which part of its hold a fact waits until it is settled who did it and when: a round more than perf's
/// records, which tell, may be behind.
const SETTLED_AFTER: u64 = 2;

/// Pairs of program and mapped file that are remembered as told. Beyond, they are told again.
const MAPPED_MAX: usize = 65_536;

/// Processes of which it is remembered what their ended threads used.
const USED_MAX: usize = 16_384;

/// Files that are remembered as created.
const BORN_MAX: usize = 8_192;

/// Mount namespaces of which it is remembered whose they are.
const CONTAINERS_MAX: usize = 1_024;

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All processes.
    System,
    /// The command's processes alone.
    Tree,
}

/// Where a start's arguments come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgsFrom {
    /// Audit copies them.
    Audit,
    /// perf copies the new stack; `/proc` is read where that is not enough.
    Stack,
}

/// Who tells exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// The process connector.
    Connector,
    /// taskstats, where there is no connector.
    Taskstats,
}

/// What the normalizer needs to know before the first record.
#[derive(Debug)]
pub struct Settings {
    /// What is recorded.
    pub scope: Scope,
    /// Where arguments come from.
    pub args_from: ArgsFrom,
    /// How we take part in audit, if at all.
    pub audit: Option<Role>,
    /// Whether the connector tells exit codes; else taskstats does.
    pub codes: Codes,
    /// The clock of perf's records.
    pub perf_clock: Clock,
    /// The layouts of perf's tracepoints.
    pub tracepoints: Tracepoints,
    /// The host's name.
    pub host: Vec<u8>,
    /// This boot.
    pub boot: BootId,
    /// What the user added and left out.
    pub lists: Lists,
}

/// Where events go.
pub type Sink<'s> = &'s mut dyn FnMut(&Event<'_>);

/// Turns batches into events.
#[derive(Debug)]
pub struct Normalizer {
    settings: Settings,
    clocks: Now,
    /// When the round before the last began.
    complete_us: u64,
    own_pid: u32,
    table: ProcessTable,
    sorter: Sorter,
    exec: Option<ExecFields>,
    exit: Option<ExitFields>,
    states: Option<StateFields>,
    assembler: Assembler,
    sequences: Sequences,
    starts: Starts,
    flows: Flows,
    files: Option<Files>,
    /// File events that may be looked at until the next round; `None` for all.
    files_left: Option<u64>,
    /// File events that were passed over since that was last asked.
    passed_over: u64,
    /// Files that were told to be created, by device and inode, with their birth.
    born: Bounded<(u64, u64), u64>,
    /// Exit codes by pid, with the time of their note.
    codes: HashMap<u32, (u64, u32)>,
    /// The order in which [`Self::codes`] are forgotten.
    code_order: VecDeque<(u64, u32)>,
    /// What tasks that ended have used, by their process, since the time given.
    used: HashMap<u32, (u64, Usage)>,
    /// The order in which [`Self::used`] is forgotten, if a process never ends.
    used_order: VecDeque<(u64, u32)>,
    /// The last name of code that came to the kernel.
    symbol: Vec<u8>,
    /// Containers by mount namespace; empty for a namespace that is none's.
    containers: Bounded<u64, Arc<[u8]>>,
    /// Who turned to a name server lately: when, which process, which server.
    lookups: VecDeque<(u64, u32, IpAddr)>,
    /// Processes between an exec's first record and its last, with what was mapped meanwhile: the
    /// program first, then its interpreter.
    starting: HashMap<u32, Vec<Image>>,
    mapped: HashSet<u64>,
    /// Reaches into processes, with the time of the last.
    touches: HashMap<(Option<ProcessKey>, ProcessKey, Touch), u64>,
    own_namespaces: Namespaces,
    /// Facts as they came.
    waiting: Queue,
    /// Facts of which it is settled who did them and when.
    settled: Queue,
    queued: u64,
    hurry: Hurry,
    marks: Vec<u8>,
    /// Hashes of images, and of what the state holds.
    pub hashes: ImageHashes,
    /// Names of accounts by user.
    accounts: HashMap<u32, Arc<[u8]>>,
    accounts_changed: Option<SystemTime>,
    /// What was counted and lost.
    pub ledger: Ledger,
}

/// A file as it was mapped.
#[derive(Debug, Clone)]
struct Image {
    path: Arc<[u8]>,
    id: (u64, u64),
    generation: u64,
}

/// The fields of `sched:sched_process_exec`.
#[derive(Debug)]
struct ExecFields {
    id: u16,
    filename: Field,
}

/// The fields of `sched:sched_process_exit`.
#[derive(Debug)]
struct ExitFields {
    id: u16,
    /// Whether the last thread ended; older kernels do not say.
    group_dead: Option<Field>,
}

impl Normalizer {
    /// A normalizer that knows the processes which stand now. Call it after the sources were
    /// enabled, so that no process is in neither.
    #[must_use]
    pub fn new(settings: Settings, files: Option<Files>, clocks: Now) -> Normalizer {
        let own_pid = std::process::id();
        let mut table = ProcessTable::default();
        let standing = procfs::all();
        let own_namespaces = standing
            .iter()
            .find(|process| process.pid == own_pid)
            .map(|process| process.namespaces)
            .unwrap_or_default();
        table.stand(standing, own_pid);
        let points = &settings.tracepoints;
        let exec = points.exec.as_ref().and_then(|point| {
            Some(ExecFields {
                id: point.id,
                filename: point.field("filename")?,
            })
        });
        let exit = points.exit.as_ref().map(|point| ExitFields {
            id: point.id,
            group_dead: point.field("group_dead"),
        });
        let states = points.socket.as_ref().and_then(StateFields::of);
        let mut normalizer = Normalizer {
            settings,
            clocks,
            complete_us: 0,
            own_pid,
            table,
            sorter: Sorter::default(),
            exec,
            exit,
            states,
            assembler: Assembler::default(),
            sequences: Sequences::default(),
            starts: Starts::default(),
            flows: Flows::default(),
            files,
            files_left: None,
            passed_over: 0,
            born: Bounded::new(BORN_MAX),
            codes: HashMap::new(),
            code_order: VecDeque::new(),
            used: HashMap::new(),
            used_order: VecDeque::new(),
            symbol: Vec::new(),
            containers: Bounded::new(CONTAINERS_MAX),
            lookups: VecDeque::new(),
            starting: HashMap::new(),
            mapped: HashSet::new(),
            touches: HashMap::new(),
            own_namespaces,
            waiting: Queue::default(),
            settled: Queue::default(),
            queued: 0,
            hurry: Hurry::default(),
            marks: Vec::new(),
            hashes: ImageHashes::default(),
            accounts: HashMap::new(),
            accounts_changed: None,
            ledger: Ledger::new(clocks.boot_us),
        };
        normalizer.follow_accounts();
        normalizer
    }

    /// Takes what was drained from one source.
    pub fn batch(&mut self, batch: &Batch) {
        if batch.feed == Feed::Fanotify {
            // Its queue counts what it sheds.
            self.ledger.lost(batch.feed, batch.overruns);
        } else if batch.overruns > 0 {
            self.ledger.overrun(batch.feed, batch.overruns);
        }
        match batch.feed {
            Feed::Perf => {
                for record in perf::record::records(&batch.bytes) {
                    match perf::record::Record::parse(record) {
                        Some(parsed) => {
                            self.look_into(&parsed.kind);
                            self.sorter.push(parsed.stamp.time_ns, record);
                        }
                        None => self.ledger.lost(Feed::Perf, 1),
                    }
                }
            }
            Feed::Stacks => self.stacks(&batch.bytes),
            Feed::Taskstats => {
                for ended in datagrams(&batch.bytes).filter_map(taskstats::ended) {
                    self.used(ended, batch.drained_us);
                }
            }
            Feed::Dns => {
                for answer in dns::answers(&batch.bytes) {
                    let detail = Detail::Resolved(Box::new(answer));
                    self.push(batch.drained_us, Source::Packet, Who::Nobody, detail);
                }
            }
            Feed::Audit => {
                for datagram in datagrams(&batch.bytes) {
                    if let Some(event) = self.assembler.push(datagram, batch.drained_us) {
                        self.audit_event(event);
                    }
                }
            }
            Feed::ProcConnector => {
                for note in datagrams(&batch.bytes).filter_map(Note::parse) {
                    self.note(&note);
                }
            }
            Feed::Fanotify => self.file_batch(batch),
            Feed::SockDiag => {
                for datagram in datagrams(&batch.bytes) {
                    for socket in sock_diag::closed(datagram) {
                        self.flows.carried(&socket);
                    }
                }
            }
        }
    }

    /// Stacks of new programs: they need no order, each finds its start by process and time.
    fn stacks(&mut self, bytes: &[u8]) {
        for record in perf::record::records(bytes) {
            let Some(record) = perf::record::Record::parse(record) else {
                self.ledger.lost(Feed::Stacks, 1);
                continue;
            };
            match record.kind {
                RecordKind::Sample {
                    stack: Some((pointer, bytes)),
                    ..
                } => {
                    if let Some(texts) =
                        stack::texts(pointer, bytes, &self.settings.lists.variables)
                    {
                        let at_us = self.perf_us(record.stamp.time_ns);
                        self.starts.by_stack(record.stamp.pid, at_us, texts);
                    }
                }
                RecordKind::Lost(count) => self.ledger.lost(Feed::Stacks, count),
                RecordKind::Sample { stack: None, .. }
                | RecordKind::Fork(_)
                | RecordKind::Exit(_)
                | RecordKind::Comm { .. }
                | RecordKind::Mmap(_)
                | RecordKind::Namespaces { .. }
                | RecordKind::Bpf { .. }
                | RecordKind::Symbol { .. }
                | RecordKind::Other(_) => {}
            }
        }
    }

    /// A round of draining ended that began when the clocks stood so. What is complete by now is
    /// emitted.
    pub fn round(&mut self, began: Now, sink: Sink<'_>) {
        self.complete_us = self.clocks.boot_us;
        self.clocks = began;
        let began_ns = self.perf_ns(began);
        let mut sorter = std::mem::take(&mut self.sorter);
        sorter.round(began_ns, |record| self.perf_record(record));
        self.sorter = sorter;
        while let Some(event) = self.assembler.overdue(began.boot_us) {
            self.audit_event(event);
        }
        // Nobody is told of before perf's records up to then have been read, however late a round was.
        let complete_us = self.complete_us;
        let hold_us = self
            .hurry
            .hold_us(began.boot_us, self.waiting.len() + self.settled.len());
        let settled_us = began.boot_us.saturating_sub(hold_us / SETTLED_AFTER);
        self.settle_until(settled_us.min(complete_us));
        self.emit_until(began.boot_us.saturating_sub(hold_us).min(complete_us), sink);
        self.table.forget(began.boot_us.saturating_sub(HOLD_US));
        self.forget_codes(began.boot_us);
        self.starts
            .forget_stacks(began.boot_us.saturating_sub(10 * HOLD_US));
    }

    /// Emits everything that waits: no batch will come after this.
    pub fn finish(&mut self, now: Now, sink: Sink<'_>) {
        self.clocks = now;
        let mut sorter = std::mem::take(&mut self.sorter);
        sorter.finish(|record| self.perf_record(record));
        while let Some(event) = self.assembler.rest() {
            self.audit_event(event);
        }
        for (who, flow) in self.flows.unfinished() {
            self.push(now.boot_us, Source::Perf, who, Detail::Flow(flow));
        }
        self.settle_until(u64::MAX);
        self.emit_until(u64::MAX, sink);
    }

    /// Up to when perf's records have all been read, boot clock, microseconds.
    #[must_use]
    pub fn complete_us(&self) -> u64 {
        self.complete_us
    }

    /// How many processes of the tree are alive, by what has been read so far.
    #[must_use]
    pub fn tree_alive(&self) -> usize {
        self.table.tree_alive()
    }

    /// Facts that wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.settled.len() + self.sorter.waiting()
    }

    /// The processes, for what else names them.
    #[must_use]
    pub fn table(&self) -> &ProcessTable {
        &self.table
    }

    /// Whether a process that stands is of those that are recorded.
    #[must_use]
    pub fn is_recorded(&self, pid: u32, start_us: u64) -> bool {
        let key = self.table.key_of_standing(pid, start_us);
        let place = self
            .table
            .get(key)
            .map_or(Place::Outside, |process| process.place);
        self.wanted(place) == Wanted::Yes
    }

    fn perf_ns(&self, clocks: Now) -> u64 {
        match self.settings.perf_clock {
            Clock::Boot => clocks.boot_us.saturating_mul(1_000),
            Clock::Monotonic => clocks.monotonic_us.saturating_mul(1_000),
        }
    }

    fn perf_us(&self, time_ns: u64) -> u64 {
        match self.settings.perf_clock {
            Clock::Boot => time_ns / 1_000,
            Clock::Monotonic => self.boot_us_of_monotonic(time_ns),
        }
    }

    fn boot_us_of_monotonic(&self, ns: u64) -> u64 {
        (ns / 1_000).saturating_add(self.clocks.slept_us())
    }

    fn boot_us_of_wall(&self, wall_us: i64) -> u64 {
        u64::try_from(wall_us.saturating_sub(self.clocks.offset_us())).unwrap_or(0)
    }

    fn push(&mut self, at_us: u64, source: Source, who: Who, detail: Detail) {
        self.push_due(
            at_us,
            Fact {
                at_us,
                serial: None,
                source,
                who,
                detail,
            },
        );
    }

    /// A fact that audit told, and numbered.
    fn push_audited(&mut self, at_us: u64, serial: u64, who: Who, detail: Detail) {
        let fact = Fact {
            at_us,
            serial: Some(serial),
            source: Source::Audit,
            who,
            detail,
        };
        self.push_due(at_us, fact);
    }

    /// Puts a fact into the queue at another place than its own time.
    fn push_due(&mut self, due_us: u64, fact: Fact) {
        self.queued += 1;
        if self.presses(&fact) == Presses::Yes {
            self.hurry.until(due_us);
        }
        self.waiting.push(due_us, self.queued, fact);
    }

    /// Settles what is due by then, and puts it in its true place.
    fn settle_until(&mut self, horizon_us: u64) {
        while let Some((due_us, number, fact)) = self.waiting.pop_due(horizon_us) {
            if let Some((due_us, fact)) = self.settle(due_us, fact) {
                self.settled.push(due_us, number, fact);
            }
        }
    }

    fn emit_until(&mut self, horizon_us: u64, sink: Sink<'_>) {
        while let Some((_, _, fact)) = self.settled.pop_due(horizon_us) {
            self.emit(fact, sink);
        }
    }

    /// Whether a process is to be recorded.
    fn wanted(&self, place: Place) -> Wanted {
        match (self.settings.scope, place) {
            (_, Place::Recorder) | (Scope::Tree, Place::Outside) => Wanted::No,
            (Scope::System, Place::Outside | Place::Tree) | (Scope::Tree, Place::Tree) => {
                Wanted::Yes
            }
        }
    }
}

/// Whether something is to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

#[cfg(test)]
mod tests;

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
use crate::snapshot::{Root, accounts};
use crate::source::audit::assemble::Assembler;
use crate::source::audit::{AuditNow, Role};
use crate::source::fanotify::{Files, Refusal};
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
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use saigen_schemas::event::{BootId, Event, ProcessKey, Source, Touch};
use sorter::Sorter;
use starts::Starts;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

mod audit;
mod emit;
mod emit_start;
pub mod environment;
pub mod fact;
mod files;
mod flows;
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

    /// A task ended: its process has used so much more.
    fn used(&mut self, ended: taskstats::Ended, at_us: u64) {
        match self.used.entry(ended.pid) {
            Entry::Occupied(mut used) => used.get_mut().1.add(ended.usage),
            Entry::Vacant(free) => {
                free.insert((at_us, ended.usage));
                self.used_order.push_back((at_us, ended.pid));
            }
        }
        if self.used_order.len() > USED_MAX
            && let Some((at_us, pid)) = self.used_order.pop_front()
            && self.used.get(&pid).is_some_and(|used| used.0 == at_us)
        {
            self.used.remove(&pid);
        }
        if self.settings.codes == Codes::Taskstats {
            self.codes.insert(ended.pid, (at_us, ended.code));
            self.code_order.push_back((at_us, ended.pid));
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

    /// What is known of audit by its own answers.
    #[must_use]
    pub fn audit_now(&self) -> AuditNow {
        AuditNow {
            status: self.assembler.status,
            rules: self.assembler.rules,
        }
    }

    /// Brings what audit counts by itself into the ledger. `before` is what the kernel had lost when
    /// recording began.
    pub fn settle_losses(&mut self, before: u32) {
        let assembler = &self.assembler;
        let kernel = assembler
            .kernel_lost
            .map_or(0, |lost| lost.wrapping_sub(before));
        let serials = assembler.missing_serials.saturating_add(assembler.unread);
        // A record that the kernel dropped may leave a serial without records, or not: the larger
        // count is the nearer to the truth.
        self.ledger
            .lost_in_all(Feed::Audit, serials.max(u64::from(kernel)));
    }

    /// Looks at no more file events than these until it is said anew; `None` for all.
    pub fn bound_files(&mut self, files: Option<u64>) {
        self.files_left = files;
    }

    /// How many file events were passed over since the last call.
    pub fn take_passed_over(&mut self) -> u64 {
        std::mem::take(&mut self.passed_over)
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

    /// Reads the names of accounts again, if they changed.
    pub fn follow_accounts(&mut self) {
        let changed = std::fs::metadata("/etc/passwd")
            .and_then(|status| status.modified())
            .ok();
        if changed.is_none() || changed == self.accounts_changed {
            return;
        }
        let Ok(root) = Root::open(None) else { return };
        let Some(passwd) = root.read(b"/etc/passwd") else {
            return;
        };
        self.accounts_changed = changed;
        self.accounts.clear();
        for account in accounts::parse(&passwd.content) {
            // Of several names of one user the first is the one that the system shows.
            self.accounts
                .entry(account.uid)
                .or_insert_with(|| Arc::from(account.name));
        }
    }

    /// Looks into a mount namespace as soon as it is heard of: what is mounted and written there
    /// soon after is missed otherwise.
    fn look_into(&mut self, kind: &RecordKind<'_>) {
        if let (Some(files), RecordKind::Namespaces { pid, inodes, .. }) = (&mut self.files, kind) {
            files.enter(*pid, inodes[sideband::MOUNTS]);
        }
    }

    /// The file systems that cannot be watched of those that came since the last call, in words.
    pub fn refused_mounts(&mut self) -> Vec<String> {
        let refusals = self.files.as_mut().map(Files::take_refusals);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let words = |refusal: Refusal| {
            let Refusal {
                mount_point,
                fs_type,
                cause,
            } = refusal;
            format!(
                "changes below {} ({}) are missed: {cause}",
                text(&mount_point),
                text(&fs_type)
            )
        };
        refusals.into_iter().flatten().map(words).collect()
    }

    /// Follows mounts that came and went.
    pub fn follow_mounts(&mut self) {
        let Some(files) = &mut self.files else { return };
        let mut fds: Vec<PollFd<'_>> = files
            .mount_fds()
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::PRI))
            .collect();
        let changed = poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        if changed && files.mounts_changed().is_err() {
            self.ledger.overrun(Feed::Fanotify, 1);
        }
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

    fn forget_codes(&mut self, now_us: u64) {
        while let Some(&(at_us, pid)) = self.code_order.front() {
            if at_us.saturating_add(10_000_000) > now_us {
                break;
            }
            self.code_order.pop_front();
            if self
                .codes
                .get(&pid)
                .is_some_and(|(code_us, _)| *code_us == at_us)
            {
                self.codes.remove(&pid);
            }
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
mod tests {
    use super::*;
    use crate::source::netlink;

    fn settings() -> Settings {
        Settings {
            scope: Scope::System,
            args_from: ArgsFrom::Audit,
            audit: Some(Role::Owner),
            codes: Codes::Connector,
            perf_clock: Clock::Boot,
            tracepoints: Tracepoints::default(),
            host: b"host".to_vec(),
            boot: BootId::default(),
            lists: Lists::default(),
        }
    }

    /// A batch with one call as audit tells of it, dated by the wall clock.
    fn call_at(number: u32, wall_s: i64, serial: u64, boot_us: u64) -> Batch {
        let mut batch = Batch::new();
        batch.feed = Feed::Audit;
        batch.drained_us = boot_us;
        let subject = "success=yes exit=3 a0=0 a1=0 a2=0 a3=0 ppid=1 pid=4000001 auid=0 uid=0 gid=0 euid=0 egid=0 tty=(none) ses=1 comm=\"x\" exe=\"/bin/x\"";
        for (kind, text) in [
            (
                1300_u16,
                format!("arch=c000003e syscall={number} {subject}"),
            ),
            (1309, "argc=1 a0=\"x\"".to_owned()),
            (1320, String::new()),
        ] {
            let mut datagram = vec![0; netlink::HEADER_BYTES];
            datagram[4..6].copy_from_slice(&kind.to_le_bytes());
            datagram.extend(format!("audit({wall_s}.000:{serial}): {text}").bytes());
            batch.push_datagram(&datagram);
        }
        batch
    }

    #[test]
    fn a_clock_that_goes_back_a_year_delays_and_loses_nothing() {
        const EXECVE: u32 = 59;
        const MEMFD_CREATE: u32 = 319;
        const YEAR_US: i64 = 365 * 86_400 * 1_000_000;
        let at = |boot_us: u64, wall_us: i64| Now {
            boot_us,
            monotonic_us: boot_us,
            wall_us,
        };
        let wall_us = 1_700_000_000_000_000;
        let mut normalizer = Normalizer::new(settings(), None, at(10_000_000, wall_us));
        let mut told = Vec::new();
        let mut sink = |event: &Event<'_>| told.push(event.kind.name().as_str());
        normalizer.round(at(10_000_000, wall_us), &mut sink);
        normalizer.batch(&call_at(EXECVE, 1_700_000_000, 1, 10_000_000));
        // Dated by the old clock, and read when the new one stands.
        let back = wall_us - YEAR_US;
        normalizer.round(at(10_100_000, back + 100_000), &mut sink);
        normalizer.batch(&call_at(MEMFD_CREATE, 1_700_000_000, 2, 10_100_000));
        normalizer.batch(&call_at(
            EXECVE,
            (back + 200_000) / 1_000_000,
            3,
            10_200_000,
        ));
        for round in 1..40_u64 {
            let passed = 100_000 * round;
            let wall = back + i64::try_from(passed).unwrap();
            normalizer.round(at(10_200_000 + passed, wall), &mut sink);
        }
        assert_eq!(normalizer.waiting(), 0, "nothing waits for a year");
        told.sort_unstable();
        assert_eq!(told, ["file.memory", "process.start", "process.start"]);
    }
}

//! Recording: sources opened, their records made into events, the events written.
//!
//! One thread drains ([`drain`]); this one normalizes, encodes and writes. It ends by a signal, after
//! its time, with the command's tree, or when no more can be written; each way the journal is closed.

use crate::clock;
use crate::isolate::{self, Need, Needs};
use crate::journal::{Directory, Identity, Limits, Recording, StoreError, WriteError, Writer};
use crate::keys::{self, KeyError, KeyState};
use crate::machine::Machine;
use crate::normalize::{ArgsFrom, Codes, Normalizer, Scope, Settings, ledger};
use crate::snapshot::{self, Unowned};
use crate::source::audit::Share;
use crate::source::{Feed, SourceError};
use crate::tree::{Stage, Tree};
use drain::{Drain, Pace, Signal, Told};
use notify::Manager;
pub use plan::{name_below, plan};
use saigen_schemas::event::{
    Event, Fields, Kind, Marks, ProcessKey, RecordBoot, RecordConfiguration, RecordSource, Source,
    SourceState, Text,
};
use saigen_schemas::journal::SourceLevel;
use sha2::{Digest, Sha256};
use sources::{Dns, Sources};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};
use watch::{Watch, Whole};

pub mod drain;
pub mod notify;
mod plan;
pub mod sources;
mod urgency;
pub mod watch;

/// How often the counts of starts are sealed into the journal.
const COMPLETENESS: Duration = Duration::from_secs(60);

/// How often losses are told and mounts looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The least time between two tellings of the state for losses: while they go on, it would only add
/// to the load.
const STATE_GAP: Duration = Duration::from_secs(60);

/// Kernel memory for perf's rings, unless said otherwise.
pub const KERNEL_BYTES: u64 = 64 << 20;

/// Bytes that the journal may take, unless said otherwise.
pub const DISK_BYTES: u64 = 2 << 30;

/// What is to be recorded, and where to.
#[derive(Debug, Clone)]
pub struct Options {
    /// The journal's directory, which must not hold anything.
    pub output: PathBuf,
    /// The endpoint's key; without one the journal is not sealed.
    pub key: Option<PathBuf>,
    /// How long.
    pub duration: Option<Duration>,
    /// Bytes that the journal may take.
    pub max_disk: u64,
    /// Bytes of kernel memory for perf's rings.
    pub kernel_bytes: u64,
    /// Sources that are left out.
    pub without: Vec<Feed>,
    /// Whether name resolution is looked at.
    pub dns: Dns,
    /// Whether our rules may stand beside another audit daemon's.
    pub share: Share,
    /// How long what a command leaves behind is followed.
    pub linger: Duration,
    /// The command whose tree is recorded; empty for the whole system.
    pub command: Vec<OsString>,
}

/// How a recording ended.
#[derive(Debug)]
pub struct Ended {
    /// The command's status, as a shell gives it, if there was a command that ended.
    pub code: Option<u8>,
    /// Events written.
    pub events: u64,
    /// Events known to be lost.
    pub lost: u64,
    /// Starts, by who counted them.
    pub starts: ledger::Starts,
    /// Why no more could be written, if that ended it. The journal is whole up to there.
    pub full: Option<WriteError>,
}

/// Why nothing is recorded.
#[derive(Debug)]
pub enum RecordError {
    /// The privilege is missing.
    Forbidden(SourceError),
    /// The spine cannot be had.
    Source(SourceError),
    /// The directory does not take a journal.
    Store(StoreError),
    /// The key cannot be used.
    Key(KeyError),
    /// The journal cannot be written.
    Write(WriteError),
    /// The machine cannot be asked for its name and boot, or has no thread to give.
    Machine(io::Error),
    /// The command cannot be started.
    Command {
        /// The program.
        program: OsString,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Forbidden(error) => write!(
                f,
                "recording needs root or the capabilities perfmon, audit_control, net_admin, sys_admin \
                 and dac_read_search ({error}); `saigen-collector probe` says what can be had"
            ),
            RecordError::Source(error) => {
                write!(f, "{error}; without perf nothing can be recorded")
            }
            RecordError::Store(error) => error.fmt(f),
            RecordError::Key(error) => error.fmt(f),
            RecordError::Write(error) => error.fmt(f),
            RecordError::Machine(error) => write!(f, "cannot begin to record: {error}"),
            RecordError::Command { program, error } => {
                write!(f, "cannot run {}: {error}", program.to_string_lossy())
            }
        }
    }
}

impl std::error::Error for RecordError {}

impl From<SourceError> for RecordError {
    fn from(error: SourceError) -> Self {
        if error.error.kind() == io::ErrorKind::PermissionDenied {
            RecordError::Forbidden(error)
        } else {
            RecordError::Source(error)
        }
    }
}

/// Records until it is over. `say` takes words for the person.
///
/// # Errors
/// Nothing, or nothing more than the beginning, was recorded.
pub fn record(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Ended, RecordError> {
    drain::block_signals();
    let machine = Machine::read(None).map_err(RecordError::Machine)?;
    // Before the directory is made: without privilege nothing is left behind.
    let sources = sources::open(
        options.kernel_bytes,
        &options.without,
        options.dns,
        options.share,
    )?;
    let scope = if options.command.is_empty() {
        Scope::System
    } else {
        Scope::Tree
    };
    let refused = |error| RecordError::Command {
        program: options.command.first().cloned().unwrap_or_default(),
        error,
    };
    // The command is made while we still have all that it should have.
    let tree = match scope {
        Scope::System => None,
        Scope::Tree => Some(Tree::prepare(&options.command, options.linger).map_err(refused)?),
    };
    let mut recorder = Recorder::create(options, tree, machine, sources, say)?;
    recorder.open_journal();
    if let Some(Err(error)) = recorder.tree.as_mut().map(Tree::let_go) {
        recorder.end()?;
        return Err(refused(error));
    }
    if let Some(manager) = &mut recorder.manager {
        manager.ready();
    }
    recorder.run(options.duration);
    if let Some(manager) = &mut recorder.manager {
        manager.ending();
    }
    recorder.end()
}

/// A running recording.
struct Recorder {
    drain: Drain,
    normalizer: Normalizer,
    writer: Option<Writer<Directory>>,
    failed: Option<WriteError>,
    machine: Machine,
    scope: Scope,
    configuration: String,
    levels: Vec<SourceLevel>,
    audit_lost_before: u32,
    /// Rules in audit that a killed recorder left.
    audit_left: usize,
    watch: Watch,
    manager: Option<Manager>,
    /// When the state was last told, and whether a loss since then makes it doubtful.
    state_told: Instant,
    state_doubtful: Doubt,
    segment: u32,
    tree: Option<Tree>,
    stop: Stop,
    housekept: Instant,
    counted: Instant,
}

/// Whether what was told of the state may be wrong by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    No,
    Yes,
}

/// Whether the recording goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    Asked,
    Ended,
}

impl Recorder {
    fn create(
        options: &Options,
        tree: Option<Tree>,
        machine: Machine,
        sources: Sources,
        say: &mut dyn FnMut(&str),
    ) -> Result<Recorder, RecordError> {
        let scope = if tree.is_some() {
            Scope::Tree
        } else {
            Scope::System
        };
        let key = match &options.key {
            Some(path) => Some(KeyState::open(path).map_err(RecordError::Key)?),
            None => None,
        };
        let broken_off = Directory::go_on(&options.output).map_err(RecordError::Store)?;
        let (store, identity, tail) = match (broken_off, key) {
            (Some((store, tail)), key) => {
                let identity =
                    Identity::after(&tail, &options.output, key).map_err(RecordError::Store)?;
                say(&format!(
                    "{}: goes on with the recording that was broken off after frame {}",
                    options.output.display(),
                    tail.position
                ));
                (store, identity, Some(tail))
            }
            (None, key) => {
                let identity = match key {
                    Some((state, key)) => Identity::Sealed(state, key),
                    None => Identity::Unsealed(
                        keys::unsealed_enrolment().map_err(RecordError::Machine)?,
                    ),
                };
                let store = Directory::create(&options.output, &identity.label())
                    .map_err(RecordError::Store)?;
                (store, identity, None)
            }
        };
        let manager = Manager::of_environment();
        // Everything is open. What is read from here on was written by others.
        let isolation = isolate::isolate(&needs(options, scope, &sources));
        for part in &isolation.missing {
            say(&format!("not isolated: {part}"));
        }
        let configuration = plan::configuration(options, &sources.levels, &isolation);
        let recording = Recording {
            host: machine.host.clone(),
            boot: machine.boot,
            tool: TOOL.to_owned(),
            configuration_sha256: hex(&Sha256::digest(&configuration)),
            scope: scope_word(scope).to_owned(),
            sources: sources.levels.clone(),
        };
        let (limits, now) = (Limits::of(options.max_disk), clock::now());
        let writer = match &tail {
            Some(tail) => Writer::go_on(store, identity, recording, limits, tail, now),
            None => Writer::create(store, identity, recording, limits, now),
        };
        let writer = writer.map_err(RecordError::Write)?;
        for level in sources
            .levels
            .iter()
            .filter(|level| !level.missed.is_empty())
        {
            say(&format!(
                "{}: {}; missed: {}",
                level.source, level.level, level.missed
            ));
        }
        let pace = match sources.args_from {
            ArgsFrom::Audit => Pace::Gathered,
            ArgsFrom::Stack => Pace::AtOnce,
        };
        let settings = Settings {
            scope,
            args_from: sources.args_from,
            audit: sources.audit,
            codes: if drains(&sources, Feed::ProcConnector) {
                Codes::Connector
            } else {
                Codes::Taskstats
            },
            perf_clock: sources.perf_clock,
            tracepoints: sources.tracepoints,
            host: machine.host.clone().into_bytes(),
            boot: machine.boot,
        };
        let watch = Watch::new(sources.audit, sources.audit_rules, &options.output);
        let drain = Drain::start(sources.drained.0, pace).map_err(RecordError::Machine)?;
        Ok(Recorder {
            drain,
            normalizer: Normalizer::new(settings, sources.files, clock::now()),
            segment: writer.segment(),
            writer: Some(writer),
            failed: None,
            machine,
            scope,
            configuration,
            levels: sources.levels,
            audit_lost_before: sources.audit_lost_before,
            audit_left: sources.audit_left,
            watch,
            manager,
            state_told: Instant::now(),
            state_doubtful: Doubt::No,
            tree,
            stop: Stop::No,
            housekept: Instant::now(),
            counted: Instant::now(),
        })
    }

    /// The first events: the boot, what is recorded and how, the state of the machine.
    fn open_journal(&mut self) {
        let machine = self.machine.clone();
        self.own(Kind::RecordBoot(RecordBoot {
            kernel: Some(Text(machine.kernel.as_bytes())),
            command_line: Some(Text(&machine.command_line)),
            machine: Some(Text(machine.architecture.as_bytes())),
        }));
        let configuration = self.configuration.clone();
        self.own(Kind::RecordConfiguration(RecordConfiguration {
            tool: Some(Text(TOOL.as_bytes())),
            content: Some(Text(configuration.as_bytes())),
            sha256: <[u8; 32]>::try_from(&Sha256::digest(&configuration)[..])
                .ok()
                .map(saigen_schemas::event::Hash32),
        }));
        for level in self.levels.clone() {
            let state = if level.gives.is_empty() {
                SourceState::Down
            } else {
                SourceState::Up
            };
            let detail = if level.missed.is_empty() {
                level.level
            } else {
                format!("{}; missed: {}", level.level, level.missed)
            };
            self.own(Kind::RecordSource(RecordSource {
                name: Some(Text(level.source.as_bytes())),
                state: Some(state),
                detail: Some(Text(detail.as_bytes())),
            }));
        }
        if self.audit_left > 0 {
            let detail = format!(
                "an earlier recording did not end by itself: {} rules of its own were left in audit, and were removed",
                self.audit_left
            );
            self.own(Kind::RecordSource(RecordSource {
                name: Some(Text(b"recorder")),
                state: Some(SourceState::Down),
                detail: Some(Text(detail.as_bytes())),
            }));
        }
        self.tell_state();
    }

    /// The state of the machine, or of the tree, as it stands now.
    fn tell_state(&mut self) {
        self.state_told = Instant::now();
        self.state_doubtful = Doubt::No;
        let begun = self.tree.as_ref().filter(|tree| !tree.waits());
        let seen_by = begun.map(Tree::pid);
        // A command that was not let go is still a copy of ourselves.
        let at_gate = self.tree.as_ref().filter(|tree| tree.waits());
        let at_gate = at_gate.map(Tree::pid);
        let standing: Vec<_> = crate::procfs::all()
            .into_iter()
            .filter(|process| Some(process.pid) != at_gate)
            .filter(|process| self.normalizer.is_recorded(process.pid, process.start_us))
            .collect();
        let keys: HashMap<u32, ProcessKey> = standing
            .iter()
            .map(|process| {
                (
                    process.pid,
                    self.normalizer
                        .table()
                        .key_of_standing(process.pid, process.start_us),
                )
            })
            .collect();
        let scope = snapshot::Scope {
            seen_by,
            processes: &standing,
            unowned: match self.scope {
                Scope::System => Unowned::Told,
                Scope::Tree => Unowned::LeftOut,
            },
        };
        let now = clock::now();
        let (writer, failed, machine) = (&mut self.writer, &mut self.failed, &self.machine);
        let missed = snapshot::take(
            &scope,
            &keys,
            &mut self.normalizer.hashes,
            now.boot_us,
            &mut |actor, kind| {
                let event = Event {
                    seq: 0,
                    time: now.time(),
                    recorded_us: None,
                    host: Text(machine.host.as_bytes()),
                    boot: machine.boot,
                    source: Source::Proc,
                    actor,
                    marks: Marks::default(),
                    extra: Fields::default(),
                    kind,
                };
                write(writer, failed, &event);
            },
        );
        for part in missed {
            self.own(Kind::RecordSource(RecordSource {
                name: Some(Text(b"proc")),
                state: Some(SourceState::Down),
                detail: Some(Text(part.as_bytes())),
            }));
        }
    }

    /// Takes what is told until it is over.
    fn run(&mut self, duration: Option<Duration>) {
        let end = duration.and_then(|duration| Instant::now().checked_add(duration));
        while self.stop != Stop::Ended {
            match self.drain.told.recv_timeout(HOUSEKEEPING) {
                Ok(told) => self.take(told),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.stop == Stop::No && self.is_over(end) {
                self.stop = Stop::Asked;
                self.drain.stop();
            }
        }
    }

    fn is_over(&mut self, end: Option<Instant>) -> bool {
        let tree_over = match &mut self.tree {
            Some(tree) => {
                let (alive, complete_us) =
                    (self.normalizer.tree_alive(), self.normalizer.complete_us());
                tree.stage(alive, complete_us, clock::boot_us()) == Stage::Over
            }
            None => false,
        };
        tree_over || self.failed.is_some() || end.is_some_and(|end| Instant::now() >= end)
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Batch(batch) => {
                self.normalizer.batch(&batch);
                self.drain.recycle(batch);
            }
            Told::Round(began) => {
                let (writer, failed) = (&mut self.writer, &mut self.failed);
                self.normalizer
                    .round(began, &mut |event| write(writer, failed, event));
                self.tick();
                if let Some(manager) = &mut self.manager {
                    manager.alive();
                }
            }
            Told::Down(feed, error) => {
                let detail = error.to_string();
                self.own(Kind::RecordSource(RecordSource {
                    name: Some(Text(ledger::name(feed).as_bytes())),
                    state: Some(SourceState::Down),
                    detail: Some(Text(detail.as_bytes())),
                }));
            }
            Told::Signal(signal) => self.signal(signal),
            Told::End => self.stop = Stop::Ended,
        }
    }

    /// What is due with time: the writer's seals, losses, counts, mounts, the state of a new segment.
    fn tick(&mut self) {
        let now = clock::now();
        if let Some(writer) = &mut self.writer
            && now.boot_us >= writer.deadline_us()
            && let Err(error) = writer.tick(now)
        {
            self.failed.get_or_insert(error);
        }
        // What is written on a mount before it is watched is missed: look every round.
        self.normalizer.follow_mounts();
        if self.housekept.elapsed() >= HOUSEKEEPING {
            self.housekept = Instant::now();
            self.tell_losses();
            for detail in self.normalizer.refused_mounts() {
                self.own(Kind::RecordSource(RecordSource {
                    name: Some(Text(b"fanotify")),
                    state: Some(SourceState::Down),
                    detail: Some(Text(detail.as_bytes())),
                }));
            }
            self.normalizer.follow_accounts();
            let segment = self.writer.as_ref().map_or(self.segment, Writer::segment);
            self.look_after_ourselves();
            let after_loss =
                self.state_doubtful == Doubt::Yes && self.state_told.elapsed() >= STATE_GAP;
            if segment != self.segment || after_loss {
                self.segment = segment;
                self.tell_state();
            }
        }
        if self.counted.elapsed() >= COMPLETENESS {
            self.counted = Instant::now();
            let kind = self.normalizer.ledger.tell_completeness(now.boot_us);
            self.own(kind);
        }
    }

    /// Tells what was done to our own means.
    fn look_after_ourselves(&mut self) {
        for change in self.watch.look(self.normalizer.audit_now()) {
            let state = match change.whole {
                Whole::Yes => SourceState::Up,
                Whole::No => SourceState::Down,
            };
            self.own(Kind::RecordSource(RecordSource {
                name: Some(Text(change.name.as_bytes())),
                state: Some(state),
                detail: Some(Text(change.detail.as_bytes())),
            }));
        }
    }

    fn tell_losses(&mut self) {
        self.normalizer.settle_losses(self.audit_lost_before);
        let now = clock::now();
        let (writer, failed) = (&mut self.writer, &mut self.failed);
        let doubtful = &mut self.state_doubtful;
        self.normalizer.ledger.tell_losses(|loss| {
            *doubtful = Doubt::Yes;
            if let Some(writer) = writer.as_mut().filter(|_| failed.is_none())
                && let Err(error) = writer.lose(loss.name, loss.count, loss.detail, now)
            {
                failed.get_or_insert(error);
            }
        });
    }

    fn signal(&mut self, signal: Signal) {
        match (signal, &mut self.tree) {
            (Signal::Child, _) => {}
            (Signal::SealOff, _) => {
                if let Some(writer) = self.writer.as_mut().filter(|_| self.failed.is_none())
                    && let Err(error) = writer.seal_off(clock::now())
                {
                    self.failed = Some(error);
                }
            }
            // The terminal sends it to the command too: its end is ours. A second time we do not wait.
            (Signal::Interrupt, Some(tree)) => tree.hurry(),
            (Signal::Terminate | Signal::Hangup, Some(tree)) => {
                tree.hurry();
                tree.terminate();
            }
            (Signal::Interrupt | Signal::Terminate | Signal::Hangup, None) => {
                if self.stop == Stop::No {
                    self.stop = Stop::Asked;
                    self.drain.stop();
                }
            }
        }
    }

    /// An event of the recorder itself.
    fn own(&mut self, kind: Kind<'_>) {
        let (writer, failed) = (&mut self.writer, &mut self.failed);
        self.normalizer
            .send_own(clock::boot_us(), kind, &mut |event| {
                write(writer, failed, event)
            });
    }

    /// Writes what still waits, closes the sources and the journal.
    fn end(mut self) -> Result<Ended, RecordError> {
        self.drain.stop();
        while self.stop != Stop::Ended {
            match self.drain.told.recv() {
                Ok(told) => self.take(told),
                Err(_) => break,
            }
        }
        let now = clock::now();
        let (writer, failed) = (&mut self.writer, &mut self.failed);
        self.normalizer
            .finish(now, &mut |event| write(writer, failed, event));
        self.tell_losses();
        if let Some(rest) = self.normalizer.ledger.tell_rest(now.boot_us) {
            self.own(rest);
        }
        let all = self.normalizer.ledger.tell_all(now.boot_us);
        self.own(all);
        self.drain.join();
        let (mut events, mut lost) = (0, 0);
        if let Some(writer) = self.writer.take() {
            (events, lost) = (writer.next_seq(), writer.lost());
            let closed = writer.close(clock::now());
            if let Err(error) = closed {
                return Err(RecordError::Write(self.failed.take().unwrap_or(error)));
            }
        }
        Ok(Ended {
            code: self.tree.as_ref().and_then(Tree::code),
            events,
            lost,
            starts: self.normalizer.ledger.starts(),
            full: self.failed,
        })
    }
}

/// The tool and its version, as the journal names them.
const TOOL: &str = concat!("saigen-collector ", env!("CARGO_PKG_VERSION"));

/// Writes an event, unless writing has failed before.
fn write(
    writer: &mut Option<Writer<Directory>>,
    failed: &mut Option<WriteError>,
    event: &Event<'_>,
) {
    if failed.is_some() {
        return;
    }
    if let Some(writer) = writer
        && let Err(error) = writer.push(event, urgency::of(event), clock::now())
    {
        *failed = Some(error);
    }
}

/// Whether a source was opened.
fn drains(sources: &Sources, feed: Feed) -> bool {
    sources.drained.0.iter().any(|source| source.feed() == feed)
}

/// What the isolated recorder must still be able to do.
fn needs(options: &Options, scope: Scope, sources: &Sources) -> Needs {
    let mut needs = vec![Need::Memory, Need::Files, Need::Processes];
    needs.extend(sources.audit.map(|_| Need::Audit));
    needs.extend(sources.files.as_ref().map(|_| Need::Mounts));
    needs.extend(drains(sources, Feed::ProcConnector).then_some(Need::Connector));
    needs.extend((scope == Scope::Tree).then_some(Need::Command));
    let key = options.key.as_ref().and_then(|key| key.canonicalize().ok());
    let key_directory = key.as_deref().and_then(Path::parent);
    let ours = rustix::process::geteuid().as_raw();
    let foreign = [Some(options.output.as_path()), key_directory]
        .into_iter()
        .flatten()
        .filter_map(|path| path.metadata().ok())
        .any(|status| status.uid() != ours);
    needs.extend(foreign.then_some(Need::ForeignDirectory));
    Needs(needs)
}

fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::System => "system",
        Scope::Tree => "tree",
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

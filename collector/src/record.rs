//! Recording: sources opened, their records made into events, the events written.
//!
//! One thread drains ([`drain`]); this one normalizes, encodes and writes. It ends by a signal, after
//! its time, with the command's tree, or when no more can be written; each way the journal is closed.

use crate::clock;
use crate::journal::Writer;
use crate::machine::Machine;
use crate::normalize::{Normalizer, Scope, ledger};
use crate::tree::{Stage, Tree};
use drain::{Drain, Signal, Told};
use notify::Manager;
pub use options::{DISK_BYTES, Ended, KERNEL_BYTES, Options, RecordError};
use pen::Pen;
pub use plan::{name_below, plan};
use saigen_schemas::event::{Kind, RecordSource, SourceState, Text};
use saigen_schemas::journal::SourceLevel;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};
use watch::Watch;

mod begin;
pub mod drain;
pub mod notify;
mod options;
mod pen;
mod plan;
pub mod sources;
mod tell;
pub mod thin;
mod urgency;
pub mod watch;

/// How often the counts of starts are sealed into the journal.
const COMPLETENESS: Duration = Duration::from_secs(60);

/// How often losses are told and mounts looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The least time between two tellings of the state for losses: while they go on, it would only add
/// to the load.
const STATE_GAP: Duration = Duration::from_secs(60);

/// Records until it is over. `say` takes words for the person.
///
/// # Errors
/// Nothing, or nothing more than the beginning, was recorded.
pub fn record(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Ended, RecordError> {
    drain::block_signals();
    let machine = Machine::read(None).map_err(RecordError::Machine)?;
    // Before the directory is made: without privilege nothing is left behind.
    let sources = sources::open(options)?;
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
    pen: Pen,
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
    /// When the budget of file events was last given.
    files_bound_us: u64,
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
        tree_over || self.pen.failed.is_some() || end.is_some_and(|end| Instant::now() >= end)
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Batch(batch) => {
                self.normalizer.batch(&batch);
                self.drain.recycle(batch);
            }
            Told::Round(began) => {
                let pen = &mut self.pen;
                self.normalizer.round(began, &mut |event| pen.write(event));
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
        self.pen.with(|writer, _| {
            if now.boot_us >= writer.deadline_us() {
                writer.tick(now)
            } else {
                Ok(())
            }
        });
        self.bound_files(now.boot_us);
        // What is written on a mount before it is watched is missed: look every round.
        self.normalizer.follow_mounts();
        if self.housekept.elapsed() >= HOUSEKEEPING {
            self.housekept = Instant::now();
            self.pen.thinner.look(clock::cpu_us(), now.boot_us);
            self.tell_losses();
            for detail in self.normalizer.refused_mounts() {
                self.own(Kind::RecordSource(RecordSource {
                    name: Some(Text(b"fanotify")),
                    state: Some(SourceState::Down),
                    detail: Some(Text(detail.as_bytes())),
                }));
            }
            self.normalizer.follow_accounts();
            let segment = self
                .pen
                .writer
                .as_ref()
                .map_or(self.segment, Writer::segment);
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

    fn signal(&mut self, signal: Signal) {
        match (signal, &mut self.tree) {
            (Signal::Child, _) => {}
            (Signal::SealOff, _) => {
                self.pen.with(|writer, _| writer.seal_off(clock::now()));
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
        let pen = &mut self.pen;
        self.normalizer.finish(now, &mut |event| pen.write(event));
        self.tell_losses();
        if let Some(rest) = self.normalizer.ledger.tell_rest(now.boot_us) {
            self.own(rest);
        }
        let all = self.normalizer.ledger.tell_all(now.boot_us);
        self.own(all);
        self.drain.join();
        let (mut events, mut lost) = (0, 0);
        if let Some(writer) = self.pen.writer.take() {
            (events, lost) = (writer.next_seq(), writer.lost());
            let closed = writer.close(clock::now());
            if let Err(error) = closed {
                return Err(RecordError::Write(self.pen.failed.take().unwrap_or(error)));
            }
        }
        Ok(Ended {
            code: self.tree.as_ref().and_then(Tree::code),
            events,
            lost,
            starts: self.normalizer.ledger.starts(),
            full: self.pen.failed,
        })
    }
}

/// The tool and its version, as the journal names them.
const TOOL: &str = concat!("saigen-collector ", env!("CARGO_PKG_VERSION"));

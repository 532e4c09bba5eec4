//! Replay: events in order, and the state of every host that follows from them.
//!
//! [`Merge`] makes one ordered stream of several. [`Replay`] takes it event by event and knows at
//! any moment which processes live and what is known of them ([`Replay::around`],
//! [`Replay::facts`]). [`Standing`] knows beside it what stands open: connections, listeners,
//! sessions, files being touched. [`Tree`] shows who created whom.

mod facts;
mod hash;
mod ids;
mod lives;
mod merge;
mod process;
mod show;
mod spawn;
mod standing;
#[cfg(test)]
mod tests;
mod texts;
mod tree;

use saigen_schemas::event::{Event, Kind, ProcessKey};

pub use facts::{Around, ProcessFacts};
pub(crate) use hash::Table;
pub(crate) use ids::ids;
pub use ids::{HostId, MachineId, ProcessId, TextId, UnitId};
pub use merge::Merge;
use process::Program;
pub use process::{Processes, Recorded};
pub use show::Dress;
pub use standing::Standing;
#[cfg(test)]
pub(crate) use tests::{Tale, WALL_US, key};
pub use texts::Texts;
pub use tree::{Tree, TreeOptions};

use crate::reference::EventRef;
use lives::Moment;

/// What an event did to the process that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was created by fork.
    Forked,
    /// It ran its first program.
    Started,
    /// It ran another program: a further unit.
    Became,
    /// It stood when recording began.
    Stood,
    /// It was known; only its parent was not.
    ParentKnown,
    /// It was known: a second record of the same fact.
    Repeated,
    /// It ended.
    Ended,
    /// It did something.
    Acted,
}

/// What the last event was about.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// The host.
    pub host: HostId,
    /// The boot of the host.
    pub machine: MachineId,
    /// The actor, as a unit; after an exec the one that the exec opened.
    pub actor: Option<UnitId>,
    /// What happened to the actor.
    pub step: Step,
    /// The other process that the event names: the target of a trace, the process of a task.
    pub other: Option<UnitId>,
}

/// The state of every host, as far as events were applied.
#[derive(Default)]
pub struct Replay {
    processes: Processes,
    applied: Option<Applied>,
    /// Where the last event stood on the wall clock, microseconds.
    now_us: i64,
}

impl Replay {
    /// A replay before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self {
            processes: Processes::default(),
            applied: None,
            now_us: 0,
        }
    }

    /// Takes the next event. Events come in order ([`Merge`]); records that are late by less than
    /// a second (exec before its fork, exit before its exec) are put right.
    pub fn apply(&mut self, reference: EventRef, event: &Event<'_>) {
        self.now_us = event.time.wall_us;
        self.applied = self.understand(reference, event);
    }

    /// What the last event was about; `None` before the first, and if there are more hosts than
    /// can be numbered.
    #[must_use]
    pub const fn applied(&self) -> Option<Applied> {
        self.applied
    }

    /// When the last event was, wall clock, microseconds; 0 before the first.
    #[must_use]
    pub const fn now_us(&self) -> i64 {
        self.now_us
    }

    /// All processes that are known so far.
    #[must_use]
    pub const fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Gives up all but the processes.
    #[must_use]
    pub fn into_processes(self) -> Processes {
        self.processes
    }

    /// The unit of a process that a record names, at this moment, if it is known.
    #[must_use]
    pub fn unit_of(&self, machine: MachineId, key: ProcessKey) -> Option<UnitId> {
        let process = self.processes.find(machine, key, self.now_us)?;
        self.processes.unit_at(process, self.now_us)
    }

    fn understand(&mut self, reference: EventRef, event: &Event<'_>) -> Option<Applied> {
        let machine = self.processes.machine(event.host, event.boot)?;
        let host = self.processes.host_of(machine)?;
        self.processes.learn_offset(machine, event.time);
        self.processes.hear(machine, event.time.wall_us);
        let moment = Moment {
            machine,
            event: reference,
            wall_us: event.time.wall_us,
        };
        let known = self.live(moment, event);
        if let Some((uid, name)) = lives::named_account(&event.kind) {
            self.processes.name_account(host, uid, name);
        }
        let other = other_process(&event.kind).and_then(|key| self.processes.resolve(moment, key));
        if let Some(other) = other {
            let image = spawn::other_image(&event.kind);
            self.processes.learn_named(other, image, None, None);
        }
        let (actor, step) = known.map_or((None, Step::Acted), |(unit, step)| (Some(unit), step));
        if let Some(unit) = actor.and_then(|actor| self.processes.unit_mut(actor)) {
            unit.count(&event.kind, step);
        }
        Some(Applied {
            host,
            machine,
            actor,
            step,
            other,
        })
    }

    /// What the event means for its actor.
    fn live(&mut self, moment: Moment, event: &Event<'_>) -> Option<(UnitId, Step)> {
        let processes = &mut self.processes;
        let key = event.actor?;
        if let Kind::ProcessStart(start) = &event.kind {
            if spawn::is_spawn(event.source) {
                processes.spawn(moment, event, start)
            } else {
                processes.start(moment, event, start)
            }
        } else if let Kind::ProcessFork(fork) = &event.kind {
            processes.fork(moment, key, fork.parent.filter(|parent| *parent != key))
        } else if let Kind::ProcessExit(exit) = &event.kind {
            processes.exit(moment, key, exit)
        } else if let Kind::CredentialsChanged(change) = &event.kind {
            processes.change_identity(moment, key, change)
        } else if let Kind::StateProcess(state) = &event.kind {
            processes.stood(moment, event, state)
        } else {
            let unit = processes.resolve(moment, key)?;
            processes.acts(moment, unit, event);
            Some((unit, Step::Acted))
        }
    }
}

/// The process that an event names beside its actor and its parent.
fn other_process(kind: &Kind<'_>) -> Option<ProcessKey> {
    if let Kind::ProcessTraced(traced) = kind {
        traced.target
    } else if let Kind::ProcessOpened(opened) = kind {
        opened.target
    } else if let Kind::ScheduledTask(task) = kind {
        task.process
    } else {
        None
    }
}

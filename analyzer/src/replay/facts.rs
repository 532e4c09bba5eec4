//! What is known of a process at the moment of an event: plain data for whoever judges it.

use saigen_schemas::event::{Args, Event, Kind, ProcessKey, Text};

use crate::replay::spawn::is_spawn;
use crate::replay::{HostId, Processes, Recorded, Replay, UnitId};

/// What is known of a process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessFacts<'r> {
    /// Where it runs.
    pub host: HostId,
    /// Which process.
    pub key: ProcessKey,
    /// Which unit of it.
    pub unit: UnitId,
    /// How we know of it.
    pub recorded: Recorded,
    /// Path of the program that it runs.
    pub image: Option<Text<'r>>,
    /// Its arguments.
    pub args: Option<Args<'r>>,
    /// Its command line, where the evidence has one text instead of arguments.
    pub command_line: Option<Text<'r>>,
    /// Its working directory at its start.
    pub cwd: Option<Text<'r>>,
    /// Name of the account of its effective user.
    pub account: Option<Text<'r>>,
    /// Real user id.
    pub uid: Option<u32>,
    /// Effective user id.
    pub euid: Option<u32>,
    /// Who logged in; none where nobody did.
    pub login_uid: Option<u32>,
    /// Login session.
    pub session: Option<u64>,
    /// Controlling terminal.
    pub tty: Option<Text<'r>>,
    /// Container.
    pub container: Option<Text<'r>>,
    /// Since when it runs this program, wall clock, microseconds.
    pub start_us: i64,
    /// The unit that created it.
    pub parent: Option<UnitId>,
}

/// The processes around an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'r> {
    /// The event's actor.
    pub actor: Option<ProcessFacts<'r>>,
    /// The process that created the actor.
    pub parent: Option<ProcessFacts<'r>>,
}

impl Processes {
    /// What is known of a unit.
    #[must_use]
    pub fn facts(&self, id: UnitId) -> Option<ProcessFacts<'_>> {
        let unit = self.unit(id)?;
        let process = self.process(unit.process)?;
        let text = |id| self.texts.get(id);
        Some(ProcessFacts {
            host: self.host_of(process.machine)?,
            key: process.key,
            unit: id,
            recorded: process.recorded,
            image: unit.image.map(text),
            args: unit.args.map(|args| Args(text(args).0)),
            command_line: unit.command_line.map(text),
            cwd: unit.cwd.map(text),
            account: self.account_of(id),
            uid: unit.uid,
            euid: unit.euid,
            login_uid: unit.login_uid,
            session: unit.session,
            tty: unit.tty.map(text),
            container: unit.container.map(text),
            start_us: unit.start_us,
            parent: process.parent,
        })
    }
}

impl Replay {
    /// What is known of a unit at this moment.
    #[must_use]
    pub fn facts(&self, unit: UnitId) -> Option<ProcessFacts<'_>> {
        self.processes().facts(unit)
    }

    /// The processes around an event that is not applied yet: the actor as it was *before* the
    /// event (of a start: before the exec), and its parent.
    ///
    /// Where the actor is not known yet, a start or fork still names its parent.
    #[must_use]
    pub fn around(&self, event: &Event<'_>) -> Around<'_> {
        let processes = self.processes();
        let Some(machine) = processes.find_machine(event.host, event.boot) else {
            return Around::default();
        };
        let at_us = event.time.wall_us;
        let unit_of = |key: ProcessKey| {
            let process = processes.find(machine, key, at_us)?;
            processes.unit_at(process, at_us)
        };
        // Of a new process only its GUID can be known already: its pid is that of an earlier one.
        let spawned = matches!(event.kind, Kind::ProcessStart(_)) && is_spawn(event.source);
        let actor = event
            .actor
            .filter(|key| !spawned || key.guid.is_some())
            .map(|key| {
                if spawned {
                    ProcessKey { pid: 0, ..key }
                } else {
                    key
                }
            })
            .and_then(unit_of)
            .and_then(|unit| self.facts(unit));
        let named = if let Kind::ProcessStart(start) = &event.kind {
            start.parent
        } else if let Kind::ProcessFork(fork) = &event.kind {
            fork.parent
        } else {
            None
        };
        let parent = actor
            .and_then(|actor| actor.parent)
            .or_else(|| named.and_then(unit_of))
            .and_then(|unit| self.facts(unit));
        Around { actor, parent }
    }
}

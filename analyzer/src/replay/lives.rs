//! How events change what is known of processes: fork, exec, exit, identity, snapshot.

use saigen_schemas::event::{
    CredentialsChanged, Event, Had, Kind, KindName, Mark, Outcome, ProcessExit, ProcessKey,
    ProcessStart, StateProcess, Text,
};

use crate::reference::EventRef;
use crate::replay::process::{ParentSet, Program, REORDERED_US, Unit};
use crate::replay::{MachineId, ProcessId, Processes, Recorded, Step, TextId, UnitId};

/// In place of a login user id or session: there is none, `audit(8)`.
const UNSET: u32 = u32::MAX;

/// Two starts of one process and one image that are nearer than this and come from different
/// inputs are one start, seen twice.
const SEEN_TWICE_US: i64 = 2_000_000;

/// What a fork does before it execs belongs to the program that it then runs, if that comes this
/// soon. What it does later is work of its parent's program, and stays a unit of its own.
const FORK_TO_EXEC_US: i64 = 1_000_000;

/// An event's place and moment, for those who note it.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) machine: MachineId,
    pub(super) event: EventRef,
    pub(super) wall_us: i64,
}

impl Processes {
    /// The unit of a process that a record names, at that moment; made if no record spoke of the
    /// process before. `None` for no process (pid 0) and beyond what can be numbered.
    pub(super) fn resolve(&mut self, moment: Moment, key: ProcessKey) -> Option<UnitId> {
        if key.pid == 0 && key.guid.is_none() {
            return None;
        }
        if let Some((machine, last, process)) = self.last_resolved
            && (machine, last) == (moment.machine, key)
        {
            return self.unit_at(process, moment.wall_us);
        }
        match self.find(moment.machine, key, moment.wall_us) {
            Some(process) => {
                self.say_more(moment.machine, process, key);
                if key.guid.is_some()
                    && let Some(row) = self.process_mut(process)
                {
                    row.told_us = Some(moment.wall_us);
                }
                // A key that says all of it means the same process for ever.
                if key.start_us != 0 && key.guid.is_none() {
                    self.last_resolved = Some((moment.machine, key, process));
                }
                self.unit_at(process, moment.wall_us)
            }
            None => self.create(moment.machine, key, Recorded::Implied, moment.wall_us),
        }
    }

    /// Lets a process be found by what a further key says of it.
    pub(super) fn say_more(&mut self, machine: MachineId, process: ProcessId, key: ProcessKey) {
        if self.process(process).is_some_and(|row| row.key != key) {
            self.name(machine, key, process);
        }
    }

    pub(super) fn fork(
        &mut self,
        moment: Moment,
        child: ProcessKey,
        parent: Option<ProcessKey>,
    ) -> Option<(UnitId, Step)> {
        if child.pid == 0 && child.guid.is_none() {
            return None;
        }
        let parent = parent.and_then(|key| self.resolve(moment, key));
        if let Some(process) = self.find_exact(moment, child, parent) {
            // A late record, or a second source's: the process is known already.
            let set = parent.map(|parent| self.set_parent(process, parent));
            let first = self.process(process)?.first_unit;
            if let Some(parent) = parent
                && set == Some(ParentSet::Set)
                && self.unit(first)?.program == Program::Unknown
            {
                self.copy_parent(first, parent);
            }
            if let Some(unit) = self.unit_mut(first) {
                unit.start_us = unit.start_us.min(moment.wall_us);
                unit.start_ref.get_or_insert(moment.event);
            }
            if let Some(row) = self.process_mut(process)
                && row.recorded == Recorded::Implied
            {
                row.recorded = Recorded::Forked;
            }
            let step = match set {
                Some(ParentSet::Set) => Step::ParentKnown,
                Some(ParentSet::Kept) | None => Step::Repeated,
            };
            return Some((first, step));
        }
        let unit = self.create(moment.machine, child, Recorded::Forked, moment.wall_us)?;
        let process = self.unit(unit)?.process;
        if let Some(parent) = parent {
            self.set_parent(process, parent);
            self.copy_parent(unit, parent);
        }
        self.unit_mut(unit)?.start_ref = Some(moment.event);
        Some((unit, Step::Forked))
    }

    /// A process by its key, but not one that only had the pid before: a fork makes a new one.
    fn find_exact(
        &self,
        moment: Moment,
        key: ProcessKey,
        parent: Option<UnitId>,
    ) -> Option<ProcessId> {
        let process = self.find(moment.machine, key, moment.wall_us)?;
        let row = self.process(process)?;
        let same_start = key.start_us != 0 && row.key.start_us != 0;
        let same_guid = key.guid.is_some() && row.key.guid == key.guid;
        let near = self.unit(row.first_unit).is_some_and(|unit| {
            unit.start_us.abs_diff(moment.wall_us) < REORDERED_US.unsigned_abs()
        });
        // A short life, and its pid given to another parent's child: two processes.
        let of_another = parent.zip(row.parent).is_some_and(|(parent, known)| {
            let of = |unit: UnitId| self.unit(unit).map(|unit| unit.process);
            of(parent) != of(known)
        });
        (same_start || same_guid || (near && !of_another)).then_some(process)
    }

    /// A process begins as a copy of its parent.
    fn copy_parent(&mut self, child: UnitId, parent: UnitId) {
        let Some(from) = self.unit(parent).cloned() else {
            return;
        };
        if let Some(unit) = self.unit_mut(child) {
            *unit = Unit {
                process: unit.process,
                number: 0,
                previous: None,
                next: unit.next,
                start_us: unit.start_us,
                start_ref: unit.start_ref,
                program: Program::Copied,
                acts: unit.acts,
                files: unit.files,
                flows: unit.flows,
                ..from
            };
        }
    }

    pub(super) fn start(
        &mut self,
        moment: Moment,
        event: &Event<'_>,
        start: &ProcessStart<'_>,
    ) -> Option<(UnitId, Step)> {
        let key = event.actor?;
        if key.pid == 0 && key.guid.is_none() {
            return None;
        }
        let image = start.image.and_then(|image| self.texts.intern(image.0));
        let parent = start.parent.filter(|parent| *parent != key);
        let (unit, step) = match self.find(moment.machine, key, moment.wall_us) {
            Some(process) => {
                self.say_more(moment.machine, process, key);
                let last = self.process(process)?.last_unit;
                if self.is_repeated(last, moment, image) {
                    (last, Step::Repeated)
                } else if self.is_fresh(last, moment.wall_us) {
                    (last, Step::Started)
                } else {
                    (self.open_unit(process, moment.wall_us)?, Step::Became)
                }
            }
            None => {
                let unit = self.create(moment.machine, key, Recorded::Started, moment.wall_us)?;
                (unit, Step::Started)
            }
        };
        let process = self.unit(unit)?.process;
        let parent = parent.and_then(|parent| self.resolve(moment, parent));
        if let Some(parent) = parent {
            self.learn_named(parent, start.parent_image, start.parent_command_line, None);
            let fresh = self.unit(unit)?.program == Program::Unknown;
            if self.set_parent(process, parent) == ParentSet::Set && fresh {
                self.copy_parent(unit, parent);
            }
        }
        if let Some(row) = self.process_mut(process) {
            row.recorded = Recorded::Started;
        }
        if step != Step::Repeated {
            self.begin_program(unit, moment);
        }
        self.learn_start(unit, event, start, image);
        Some((unit, step))
    }

    /// Whether a start is the one that began this unit, seen by another input.
    fn is_repeated(&self, unit: UnitId, moment: Moment, image: Option<TextId>) -> bool {
        let Some(unit) = self.unit(unit) else {
            return false;
        };
        let other = unit
            .start_ref
            .is_some_and(|seen| seen.source() != moment.event.source());
        let near = unit.start_us.abs_diff(moment.wall_us) < SEEN_TWICE_US.unsigned_abs();
        other && near && unit.program == Program::Own && unit.image == image
    }

    /// Whether a start belongs to a unit that is there already. A fork does little before it
    /// execs (it opens what the shell redirects); a process that was only named so far was named
    /// by records of this very program, if that is not long ago.
    fn is_fresh(&self, unit: UnitId, at_us: i64) -> bool {
        self.unit(unit).is_some_and(|unit| {
            let young = at_us.saturating_sub(unit.start_us) < FORK_TO_EXEC_US;
            match unit.program {
                Program::Own => false,
                Program::Copied => young || unit.acts == 0,
                Program::Unknown => young,
            }
        })
    }

    /// A program begins: what it had from the one before it is gone, but for who it is.
    pub(super) fn begin_program(&mut self, unit: UnitId, moment: Moment) {
        if let Some(unit) = self.unit_mut(unit) {
            unit.program = Program::Own;
            unit.start_ref = Some(moment.event);
            unit.image = None;
            unit.args = None;
            unit.args_had = None;
            unit.command_line = None;
            unit.script = None;
            unit.sha256 = None;
        }
    }

    /// Takes over what a start says; what it does not say stays.
    pub(super) fn learn_start(
        &mut self,
        id: UnitId,
        event: &Event<'_>,
        start: &ProcessStart<'_>,
        image: Option<TextId>,
    ) {
        let texts = &mut self.texts;
        let mut keep = |text: Option<Text<'_>>| text.and_then(|text| texts.intern(text.0));
        let args = keep(start.args.map(|args| Text(args.0)));
        let command_line = keep(start.command_line);
        let script = keep(start.script);
        let cwd = keep(start.cwd);
        let tty = keep(start.tty);
        let account = keep(start.account);
        let container = keep(start.container);
        let args_had = args.and_then(|_| had(event, "args"));
        let Some(unit) = self.unit_mut(id) else {
            return;
        };
        unit.image = image.or(unit.image);
        unit.args = args.or(unit.args);
        unit.args_had = args_had.or(unit.args_had);
        unit.command_line = command_line.or(unit.command_line);
        unit.script = script.or(unit.script);
        unit.cwd = cwd.or(unit.cwd);
        unit.tty = tty.or(unit.tty);
        unit.container = container.or(unit.container);
        unit.sha256 = start.sha256.or(unit.sha256);
        if account.is_none() && start.euid.is_some() && start.euid != unit.euid {
            unit.account = None;
        }
        unit.account = account.or(unit.account);
        unit.uid = start.uid.or(unit.uid);
        unit.euid = start.euid.or(unit.euid);
        unit.login_uid = said(start.login_uid, unit.login_uid);
        unit.session = session(start.session, unit.session);
    }

    pub(super) fn stood(
        &mut self,
        moment: Moment,
        event: &Event<'_>,
        state: &StateProcess<'_>,
    ) -> Option<(UnitId, Step)> {
        let key = event.actor?;
        if key.pid == 0 && key.guid.is_none() {
            return None;
        }
        let known = self.find(moment.machine, key, moment.wall_us);
        let unit = match known {
            Some(process) => {
                self.say_more(moment.machine, process, key);
                self.unit_at(process, moment.wall_us)?
            }
            None => self.create(moment.machine, key, Recorded::Snapshot, moment.wall_us)?,
        };
        let process = self.unit(unit)?.process;
        let parent = state.parent.filter(|parent| *parent != key);
        if let Some(parent) = parent.and_then(|parent| self.resolve(moment, parent)) {
            self.set_parent(process, parent);
        }
        if let Some(row) = self.process_mut(process)
            && row.recorded == Recorded::Implied
        {
            row.recorded = Recorded::Snapshot;
        }
        let started = state
            .started_us
            .or_else(|| self.wall_us(moment.machine, key.start_us));
        self.learn_state(unit, moment, state, started);
        let step = if known.is_some() {
            Step::Repeated
        } else {
            Step::Stood
        };
        Some((unit, step))
    }

    /// Takes over what a snapshot says, where nothing better is known.
    fn learn_state(
        &mut self,
        id: UnitId,
        moment: Moment,
        state: &StateProcess<'_>,
        started_us: Option<i64>,
    ) {
        let texts = &mut self.texts;
        let mut keep = |text: Option<Text<'_>>| text.and_then(|text| texts.intern(text.0));
        // A kernel thread has no image; its name is what there is.
        let image = keep(state.image.or(state.name));
        let args = keep(state.args.map(|args| Text(args.0)));
        let cwd = keep(state.cwd);
        let tty = keep(state.tty);
        let account = keep(state.account);
        let container = keep(state.container);
        let Some(unit) = self.unit_mut(id) else {
            return;
        };
        if unit.program == Program::Unknown {
            unit.program = Program::Own;
            unit.start_ref = Some(moment.event);
            if let Some(started) = started_us.filter(|&started| started < unit.start_us) {
                unit.start_us = started;
            }
        }
        unit.image = unit.image.or(image);
        unit.args = unit.args.or(args);
        unit.cwd = unit.cwd.or(cwd);
        unit.tty = unit.tty.or(tty);
        unit.account = unit.account.or(account);
        unit.container = unit.container.or(container);
        unit.sha256 = unit.sha256.or(state.sha256);
        unit.uid = unit.uid.or(state.uid);
        unit.euid = unit.euid.or(state.euid);
        unit.login_uid = unit.login_uid.or(said(state.login_uid, None));
        unit.session = unit.session.or(session(state.session, None));
    }

    pub(super) fn exit(
        &mut self,
        moment: Moment,
        key: ProcessKey,
        exit: &ProcessExit,
    ) -> Option<(UnitId, Step)> {
        let unit = self.resolve(moment, key)?;
        let process = self.unit(unit)?.process;
        let row = self.process_mut(process)?;
        row.end_us = Some(moment.wall_us);
        row.exit_code = exit.code.or(row.exit_code);
        row.exit_signal = exit.signal.or(row.exit_signal);
        row.exit_ref.get_or_insert(moment.event);
        Some((unit, Step::Ended))
    }

    pub(super) fn change_identity(
        &mut self,
        moment: Moment,
        key: ProcessKey,
        change: &CredentialsChanged<'_>,
    ) -> Option<(UnitId, Step)> {
        let id = self.resolve(moment, key)?;
        if change.outcome != Some(Outcome::Failure) {
            let unit = self.unit_mut(id)?;
            if change.euid.is_some() && change.euid != unit.euid {
                unit.account = None;
            }
            unit.uid = change.uid.or(unit.uid);
            unit.euid = change.euid.or(unit.euid);
        }
        Some((id, Step::Acted))
    }
}

/// How a field of an event was had, where its marks say so.
fn had(event: &Event<'_>, field: &str) -> Option<Had> {
    let name: KindName = event.kind.name();
    let index = name.fields().iter().position(|&known| known == field)?;
    let fits = |mark: &Mark| usize::from(mark.field) == index;
    event.marks.iter().find(fits).map(|mark| mark.had)
}

/// A login user id as a record says it; what was known where it says nothing.
fn said(id: Option<u32>, known: Option<u32>) -> Option<u32> {
    match id {
        Some(UNSET) => None,
        Some(id) => Some(id),
        None => known,
    }
}

/// A session as a record says it; what was known where it says nothing.
fn session(id: Option<u64>, known: Option<u64>) -> Option<u64> {
    match id {
        Some(id) if id == u64::from(UNSET) => None,
        Some(id) => Some(id),
        None => known,
    }
}

/// The account of a user by id, where an event names both.
pub(super) fn named_account<'a>(kind: &Kind<'a>) -> Option<(u32, Text<'a>)> {
    if let Kind::StateAccount(account) = kind {
        return account.uid.zip(account.name);
    }
    if let Kind::ProcessStart(start) = kind {
        return start.euid.zip(start.account);
    }
    if let Kind::StateProcess(process) = kind {
        return process.euid.zip(process.account);
    }
    if let Kind::Logon(logon) = kind {
        return logon.uid.zip(logon.account);
    }
    None
}

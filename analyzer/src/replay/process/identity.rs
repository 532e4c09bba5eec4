//! Which process a record speaks of: by its GUID, by pid and start, or by pid and moment.

use saigen_schemas::event::ProcessKey;

use crate::replay::process::{Process, Processes, REORDERED_US, Recorded, Unit};
use crate::replay::{MachineId, ProcessId, UnitId};

/// Most earlier processes of one pid, and most earlier units of one process, that a search for
/// the right one at a moment looks at. Evidence is nearly in order, so that it is the first or
/// second; the bound is for evidence that is made to be slow.
const STEPS_BACK_MAX: usize = 64;

/// Two start times of one pid that are nearer than this are one process: `/proc` counts in ticks
/// of 10 ms, tracepoints in nanoseconds, and no system goes through all its pids so fast.
const SAME_START_US: u64 = 25_000;

impl Processes {
    /// The process of a key at a moment. A GUID decides; then pid and start; where a key does
    /// not say the start, the process that had the pid then.
    pub(crate) fn find(
        &self,
        machine: MachineId,
        key: ProcessKey,
        at_us: i64,
    ) -> Option<ProcessId> {
        let key = self.own_key(machine, key);
        if let Some(guid) = key.guid {
            let known = self.by_guid.get(&(self.host_of(machine)?, guid));
            if known.is_some() || key.pid == 0 {
                return known.copied();
            }
        }
        if key.start_us != 0
            && let Some(&known) = self.by_key.get(&(machine, key.pid, key.start_us))
        {
            return self.agrees(known, key).then_some(known);
        }
        let mut next = self.by_pid.get(&(machine, key.pid)).copied();
        for _ in 0..STEPS_BACK_MAX {
            let id = next?;
            let process = self.process(id)?;
            if self.agrees(id, key) && self.may_be(process, key, at_us) {
                return Some(id);
            }
            next = process.same_pid_before;
        }
        None
    }

    /// A key without a GUID that is another pid's: where a log gives one at each exec (Sysmon for
    /// Linux), what a fork does before its own is told under its parent's.
    fn own_key(&self, machine: MachineId, key: ProcessKey) -> ProcessKey {
        let owner = || {
            let known = self.by_guid.get(&(self.host_of(machine)?, key.guid?))?;
            Some(self.process(*known)?.key.pid)
        };
        match owner() {
            Some(pid) if pid != 0 && key.pid != 0 && pid != key.pid => {
                ProcessKey { guid: None, ..key }
            }
            Some(_) | None => key,
        }
    }

    /// Whether a process and a key do not name two different GUIDs.
    fn agrees(&self, id: ProcessId, key: ProcessKey) -> bool {
        let own = self.process(id).and_then(|process| process.key.guid);
        own.zip(key.guid).is_none_or(|(own, other)| own == other)
    }

    /// Whether a process of the same pid is the one that a key names at a moment.
    fn may_be(&self, process: &Process, key: ProcessKey, at_us: i64) -> bool {
        if key.start_us != 0 && process.key.start_us != 0 {
            return key.start_us.abs_diff(process.key.start_us) < SAME_START_US;
        }
        let start_us = self.unit(process.first_unit).map(|unit| unit.start_us);
        let begun = start_us.is_none_or(|start| start <= at_us.saturating_add(REORDERED_US));
        let ended = process
            .end_us
            .is_some_and(|end| end.saturating_add(REORDERED_US) < at_us);
        begun && !ended && !self.is_forgotten(process, at_us)
    }

    /// The unit in which a process was at a moment. Events are nearly in order, so that it is
    /// nearly always the last.
    pub(crate) fn unit_at(&self, process: ProcessId, at_us: i64) -> Option<UnitId> {
        let mut id = self.process(process)?.last_unit;
        for _ in 0..STEPS_BACK_MAX {
            let unit = self.unit(id)?;
            match unit.previous {
                Some(previous) if unit.start_us > at_us => id = previous,
                Some(_) | None => break,
            }
        }
        Some(id)
    }

    /// Makes a process with its first unit. `None` when there are more than can be numbered.
    ///
    /// A process of the same pid that was not seen to end has ended by now.
    pub(crate) fn create(
        &mut self,
        machine: MachineId,
        key: ProcessKey,
        recorded: Recorded,
        start_us: i64,
    ) -> Option<UnitId> {
        let key = self.own_key(machine, key);
        let id = ProcessId::from_index(self.processes.len())?;
        let unit = UnitId::from_index(self.units.len())?;
        let before = if key.pid == 0 {
            None
        } else {
            self.by_pid.insert((machine, key.pid), id)
        };
        if let Some(before) = before.and_then(|before| self.process_mut(before)) {
            before.end_us.get_or_insert(start_us);
        }
        self.units.push(Unit::new(id, start_us));
        self.processes.push(Process {
            machine,
            key,
            recorded,
            parent: None,
            is_parent: false,
            first_unit: unit,
            last_unit: unit,
            same_pid_before: before,
            told_us: None,
            end_us: None,
            exit_code: None,
            exit_signal: None,
            exit_ref: None,
        });
        self.name(machine, key, id);
        Some(unit)
    }

    /// Lets a process be found by a further key: one that says more, or another source's.
    pub(crate) fn name(&mut self, machine: MachineId, key: ProcessKey, id: ProcessId) {
        let key = self.own_key(machine, key);
        if key.start_us != 0 {
            self.by_key
                .entry((machine, key.pid, key.start_us))
                .or_insert(id);
        }
        if let Some((guid, host)) = key.guid.zip(self.host_of(machine)) {
            self.by_guid.entry((host, guid)).or_insert(id);
        }
        if let Some(process) = self.process_mut(id) {
            process.key.guid = process.key.guid.or(key.guid);
            if process.key.start_us == 0 {
                process.key.start_us = key.start_us;
            }
            let had_pid = process.key.pid != 0;
            if !had_pid {
                process.key.pid = key.pid;
            }
            if !had_pid && key.pid != 0 {
                self.place_pid(machine, key.pid, id);
            }
        }
    }

    /// Puts a process whose pid was learnt late among those of that pid, by their start.
    fn place_pid(&mut self, machine: MachineId, pid: u32, id: ProcessId) {
        let start = |process: ProcessId| {
            let row = self.process(process)?;
            self.unit(row.first_unit).map(|unit| unit.start_us)
        };
        let own = start(id);
        let mut later: Option<ProcessId> = None;
        let mut next = self.by_pid.get(&(machine, pid)).copied();
        for _ in 0..STEPS_BACK_MAX {
            match next {
                Some(other) if other == id => return,
                Some(other) if start(other) > own => {
                    later = Some(other);
                    next = self
                        .process(other)
                        .and_then(|process| process.same_pid_before);
                }
                Some(_) | None => break,
            }
        }
        if let Some(process) = self.process_mut(id) {
            process.same_pid_before = next;
        }
        match later {
            Some(later) => {
                if let Some(later) = self.process_mut(later) {
                    later.same_pid_before = Some(id);
                }
            }
            None => {
                self.by_pid.insert((machine, pid), id);
            }
        }
    }

    /// Opens a further unit of a process, as a copy of the one before it.
    pub(crate) fn open_unit(&mut self, process: ProcessId, start_us: i64) -> Option<UnitId> {
        let id = UnitId::from_index(self.units.len())?;
        let last = self.process(process)?.last_unit;
        let mut unit = self.unit(last)?.clone();
        unit.previous = Some(last);
        unit.next = None;
        unit.number = unit.number.saturating_add(1);
        unit.start_us = start_us;
        unit.acts = 0;
        unit.files = 0;
        unit.flows = 0;
        self.units.push(unit);
        self.unit_mut(last)?.next = Some(id);
        self.process_mut(process)?.last_unit = id;
        Some(id)
    }

    /// Sets who created a process, unless that is known, or would make it its own ancestor.
    pub(crate) fn set_parent(&mut self, child: ProcessId, parent: UnitId) -> ParentSet {
        let known = self.process(child).is_none_or(|row| row.parent.is_some());
        if known || self.descends(parent, child) {
            return ParentSet::Kept;
        }
        if let Some(row) = self.process_mut(child) {
            row.parent = Some(parent);
        }
        if let Some(unit) = self.unit(parent) {
            let process = unit.process;
            if let Some(row) = self.process_mut(process) {
                row.is_parent = true;
            }
        }
        ParentSet::Set
    }

    /// Whether a unit is of a process or of one of its descendants. Also yes where the way up is
    /// too long to tell: a process that has children before its own parent is known comes from a
    /// late record, and those of honest evidence are not so deep.
    fn descends(&self, unit: UnitId, ancestor: ProcessId) -> bool {
        let Some(mut row) = self.unit(unit) else {
            return true;
        };
        if row.process != ancestor && self.process(ancestor).is_some_and(|row| !row.is_parent) {
            return false;
        }
        for _ in 0..STEPS_BACK_MAX {
            if row.process == ancestor {
                return true;
            }
            let parent = self.process(row.process).and_then(|process| process.parent);
            match parent.and_then(|parent| self.unit(parent)) {
                Some(parent) => row = parent,
                None => return false,
            }
        }
        true
    }
}

/// Whether a parent was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParentSet {
    /// It was not known before.
    Set,
    /// It was known, or cannot be.
    Kept,
}

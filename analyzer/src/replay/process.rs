//! Processes and their units: every one that the evidence names, alive or not.

use saigen_schemas::event::{BootId, Guid, Had, Hash32, Kind, ProcessKey, Text, Time};

use crate::reference::EventRef;
use crate::replay::spawn::Recent;
use crate::replay::{HostId, MachineId, ProcessId, Step, Table, TextId, Texts, UnitId};

/// Most earlier processes of one pid, and most earlier units of one process, that a search for
/// the right one at a moment looks at. Evidence is nearly in order, so that it is the first or
/// second; the bound is for evidence that is made to be slow.
const STEPS_BACK_MAX: usize = 64;

/// Two start times of one pid that are nearer than this are one process: `/proc` counts in ticks
/// of 10 ms, tracepoints in nanoseconds, and no system goes through all its pids so fast.
const SAME_START_US: u64 = 25_000;

/// How far records of one moment may stand in the wrong order: sources of one host are drained
/// one after the other.
pub(crate) const REORDERED_US: i64 = 1_000_000;

/// How we know of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recorded {
    /// Its start (exec) was recorded.
    Started,
    /// Its fork was recorded, and no exec.
    Forked,
    /// It stood when recording began.
    Snapshot,
    /// Only other records name it.
    Implied,
}

impl Recorded {
    /// The word, as reports and exports print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Forked => "forked",
            Self::Snapshot => "snapshot",
            Self::Implied => "implied",
        }
    }
}

/// A process: one run under one pid.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) machine: MachineId,
    pub(crate) key: ProcessKey,
    pub(crate) recorded: Recorded,
    /// The unit that created it. What re-parenting did later does not change it.
    pub(crate) parent: Option<UnitId>,
    /// Whether it created another.
    pub(crate) is_parent: bool,
    pub(crate) first_unit: UnitId,
    pub(crate) last_unit: UnitId,
    /// Its predecessor under the same pid.
    pub(crate) same_pid_before: Option<ProcessId>,
    pub(crate) end_us: Option<i64>,
    pub(crate) exit_code: Option<u32>,
    pub(crate) exit_signal: Option<u32>,
    /// The record of its exit; none where its end is only concluded from the reuse of its pid.
    pub(crate) exit_ref: Option<EventRef>,
}

/// A unit: what a process did between two execs.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) process: ProcessId,
    pub(crate) number: u32,
    pub(crate) previous: Option<UnitId>,
    pub(crate) next: Option<UnitId>,
    pub(crate) start_us: i64,
    pub(crate) start_ref: Option<EventRef>,
    /// Whether a program was started in it (rather than taken over from the parent).
    pub(crate) program: Program,
    pub(crate) image: Option<TextId>,
    pub(crate) args: Option<TextId>,
    pub(crate) args_had: Option<Had>,
    pub(crate) command_line: Option<TextId>,
    pub(crate) script: Option<TextId>,
    pub(crate) cwd: Option<TextId>,
    pub(crate) tty: Option<TextId>,
    pub(crate) account: Option<TextId>,
    pub(crate) container: Option<TextId>,
    pub(crate) uid: Option<u32>,
    pub(crate) euid: Option<u32>,
    pub(crate) login_uid: Option<u32>,
    pub(crate) session: Option<u64>,
    pub(crate) sha256: Option<Hash32>,
    /// Events that this unit was the actor of, beyond being born and changing identity.
    pub(crate) acts: u32,
    /// Events about files.
    pub(crate) files: u32,
    /// Connections, accepted or made.
    pub(crate) flows: u32,
}

/// Whether the image of a unit is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// It was started here, or stood in the snapshot.
    Own,
    /// It is the parent's, of which the process is a copy.
    Copied,
    /// Nothing is known of it.
    Unknown,
}

impl Unit {
    /// Counts an event of which this unit is the actor.
    pub(crate) fn count(&mut self, kind: &Kind<'_>, step: Step) {
        if step != Step::Acted {
            return;
        }
        let group = kind.name().as_str();
        self.acts = self.acts.saturating_add(1);
        if group.starts_with("file.") {
            self.files = self.files.saturating_add(1);
        } else if matches!(kind, Kind::NetworkConnected(_) | Kind::NetworkAccepted(_)) {
            self.flows = self.flows.saturating_add(1);
        }
    }
}

/// One boot of one host.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) host: HostId,
    pub(crate) boot: BootId,
    /// Wall minus boot clock, by the last event that had both.
    pub(crate) offset_us: Option<i64>,
}

/// Everything that is known of processes, on all hosts.
#[derive(Default)]
pub struct Processes {
    pub(crate) texts: Texts,
    hosts: Vec<TextId>,
    host_ids: Table<TextId, HostId>,
    machines: Vec<Machine>,
    machine_ids: Table<(HostId, BootId), MachineId>,
    processes: Vec<Process>,
    units: Vec<Unit>,
    by_key: Table<(MachineId, u32, u64), ProcessId>,
    by_guid: Table<(HostId, Guid), ProcessId>,
    /// The last process of each pid; earlier ones hang on it.
    by_pid: Table<(MachineId, u32), ProcessId>,
    /// The machine of the last event: nearly always that of the next.
    last_machine: Option<MachineId>,
    /// The last actor that was looked up: nearly always that of the next event, too.
    pub(super) last_resolved: Option<(MachineId, ProcessKey, ProcessId)>,
    /// Names of accounts by user id, the last that a record said.
    accounts: Table<(HostId, u32), TextId>,
    /// The last starts of logs in which a start is a new process.
    pub(super) recent: Recent,
}

impl Processes {
    /// How many processes are known.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.processes.len()
    }

    /// Whether none is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// Memory that processes, their units and their texts hold, in bytes; the tables by which they
    /// are found again are not counted.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.processes.capacity() * size_of::<Process>()
            + self.units.capacity() * size_of::<Unit>()
            + self.texts.heap_bytes()
    }

    /// The name of a host, as it calls itself.
    #[must_use]
    pub fn host_name(&self, host: HostId) -> Text<'_> {
        self.hosts
            .get(host.index())
            .map(|&name| self.texts.get(name))
            .unwrap_or_default()
    }

    /// The host of a name, if any event came from it.
    #[must_use]
    pub fn find_host(&self, name: &[u8]) -> Option<HostId> {
        self.host_ids.get(&self.texts.find(name)?).copied()
    }

    pub(crate) fn host_of(&self, machine: MachineId) -> Option<HostId> {
        self.machines
            .get(machine.index())
            .map(|machine| machine.host)
    }

    pub(crate) fn process(&self, id: ProcessId) -> Option<&Process> {
        self.processes.get(id.index())
    }

    pub(crate) fn process_mut(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.processes.get_mut(id.index())
    }

    pub(crate) fn unit(&self, id: UnitId) -> Option<&Unit> {
        self.units.get(id.index())
    }

    pub(crate) fn unit_mut(&mut self, id: UnitId) -> Option<&mut Unit> {
        self.units.get_mut(id.index())
    }

    /// The unit that created the process of a unit, by fork.
    #[must_use]
    pub fn parent(&self, unit: UnitId) -> Option<UnitId> {
        self.process(self.unit(unit)?.process)?.parent
    }

    /// The unit of the same process before its exec.
    #[must_use]
    pub fn previous(&self, unit: UnitId) -> Option<UnitId> {
        self.unit(unit)?.previous
    }

    /// Whether a program was started in a unit, or only its parent's goes on in it.
    #[must_use]
    pub fn runs_own_program(&self, unit: UnitId) -> bool {
        self.unit(unit)
            .is_some_and(|unit| unit.program == Program::Own)
    }

    /// The login session of a unit; none where there is none.
    #[must_use]
    pub fn session(&self, unit: UnitId) -> Option<u64> {
        self.unit(unit)?.session
    }

    /// The boot of a host on which a unit ran.
    #[must_use]
    pub fn machine_of(&self, unit: UnitId) -> Option<MachineId> {
        Some(self.process(self.unit(unit)?.process)?.machine)
    }

    /// The pid of a unit's process.
    #[must_use]
    pub fn pid(&self, unit: UnitId) -> Option<u32> {
        Some(self.process(self.unit(unit)?.process)?.key.pid)
    }

    /// Whether two units are of one family: a process, its parent and grandparent are among
    /// those of the other. Nearer than that stand no two logins, and no two jobs of one daemon.
    #[must_use]
    pub fn are_kin(&self, one: UnitId, other: UnitId) -> bool {
        let family = |unit: UnitId| {
            let own = self.unit(unit).map(|unit| unit.process);
            let up = |process: ProcessId| {
                let parent = self.process(process)?.parent?;
                Some(self.unit(parent)?.process)
            };
            let parent = own.and_then(up);
            [own, parent, parent.and_then(up)]
        };
        let roots = |process: &ProcessId| {
            self.process(*process)
                .is_some_and(|row| row.parent.is_none())
        };
        let others = family(other);
        family(one)
            .into_iter()
            .flatten()
            .filter(|process| !roots(process))
            .any(|process| others.contains(&Some(process)))
    }

    /// Whether the process of a unit has ended.
    #[must_use]
    pub fn has_ended(&self, unit: UnitId) -> bool {
        self.row(unit)
            .is_none_or(|(_, process)| process.end_us.is_some())
    }

    /// Whether a unit ran at a moment.
    #[must_use]
    pub fn runs_at(&self, unit: UnitId, at_us: i64) -> bool {
        let Some((row, process)) = self.row(unit) else {
            return false;
        };
        let end_us = match row.next.and_then(|next| self.unit(next)) {
            Some(next) => Some(next.start_us),
            None => process.end_us,
        };
        row.start_us <= at_us && end_us.is_none_or(|end| at_us < end)
    }

    /// A unit in two words: pid and program.
    #[must_use]
    pub fn label(&self, unit: UnitId) -> String {
        let pid = self.pid(unit).unwrap_or_default();
        let image = self.unit(unit).and_then(|unit| unit.image);
        match image {
            Some(image) => format!("{pid} {}", self.texts.get(image).lossy()),
            None => pid.to_string(),
        }
    }

    /// Which boot a machine is; `None` where a log does not say.
    #[must_use]
    pub fn boot(&self, machine: MachineId) -> Option<BootId> {
        let boot = self.machines.get(machine.index())?.boot;
        (boot != BootId::default()).then_some(boot)
    }

    pub(crate) fn row(&self, unit: UnitId) -> Option<(&Unit, &Process)> {
        let unit = self.unit(unit)?;
        Some((unit, self.process(unit.process)?))
    }

    /// Every unit, in the order of first sight.
    pub fn unit_ids(&self) -> impl Iterator<Item = UnitId> + use<> {
        (0..self.units.len()).filter_map(UnitId::from_index)
    }

    /// The record of the start of a unit.
    #[must_use]
    pub fn start_ref(&self, unit: UnitId) -> Option<EventRef> {
        self.unit(unit)?.start_ref
    }

    /// Start of a unit, wall clock, microseconds.
    #[must_use]
    pub fn start_us(&self, unit: UnitId) -> Option<i64> {
        self.unit(unit).map(|unit| unit.start_us)
    }

    /// The host of a name and that boot of it, kept from now on. `None` when there are more than
    /// can be numbered.
    pub(crate) fn machine(&mut self, host: Text<'_>, boot: BootId) -> Option<MachineId> {
        if let Some(last) = self.last_machine
            && let Some(row) = self.machines.get(last.index())
            && row.boot == boot
            && self.host_name(row.host) == host
        {
            return Some(last);
        }
        let machine = self.find_or_make_machine(host, boot);
        self.last_machine = machine;
        machine
    }

    fn find_or_make_machine(&mut self, host: Text<'_>, boot: BootId) -> Option<MachineId> {
        let name = self.texts.intern(host.0)?;
        let host = match self.host_ids.get(&name) {
            Some(&host) => host,
            None => {
                let host = HostId::from_index(self.hosts.len())?;
                self.hosts.push(name);
                self.host_ids.insert(name, host);
                host
            }
        };
        if let Some(&machine) = self.machine_ids.get(&(host, boot)) {
            return Some(machine);
        }
        let machine = MachineId::from_index(self.machines.len())?;
        self.machines.push(Machine {
            host,
            boot,
            offset_us: None,
        });
        self.machine_ids.insert((host, boot), machine);
        Some(machine)
    }

    /// The machine of an event, if an event of it was applied before.
    pub(crate) fn find_machine(&self, host: Text<'_>, boot: BootId) -> Option<MachineId> {
        self.machine_ids
            .get(&(self.find_host(host.0)?, boot))
            .copied()
    }

    /// Learns the name of an account.
    pub(crate) fn name_account(&mut self, host: HostId, uid: u32, name: Text<'_>) {
        if let Some(name) = self.texts.intern(name.0) {
            self.accounts.insert((host, uid), name);
        }
    }

    /// The name of an account, if a record said it.
    #[must_use]
    pub fn account(&self, host: HostId, uid: u32) -> Option<Text<'_>> {
        self.account_id(host, uid).map(|name| self.texts.get(name))
    }

    fn account_id(&self, host: HostId, uid: u32) -> Option<TextId> {
        self.accounts.get(&(host, uid)).copied()
    }

    /// The name of the account of a unit's effective user: as a record of this very process says
    /// it, or as any record of its host says it of that user id.
    #[must_use]
    pub fn account_of(&self, unit: UnitId) -> Option<Text<'_>> {
        let (row, process) = self.row(unit)?;
        let named = || self.account_id(self.host_of(process.machine)?, row.euid?);
        row.account.or_else(named).map(|name| self.texts.get(name))
    }

    /// Learns how far the wall clock is from the boot clock.
    pub(crate) fn learn_offset(&mut self, machine: MachineId, time: Time) {
        let offset = time
            .boot_us
            .and_then(|boot| i64::try_from(boot).ok())
            .and_then(|boot| time.wall_us.checked_sub(boot));
        if let Some(row) = self.machines.get_mut(machine.index())
            && offset.is_some()
        {
            row.offset_us = offset;
        }
    }

    /// A moment of a machine's boot clock on its wall clock, by the last event that had both.
    pub(crate) fn wall_us(&self, machine: MachineId, boot_us: u64) -> Option<i64> {
        let offset = self.machines.get(machine.index())?.offset_us?;
        i64::try_from(boot_us).ok()?.checked_add(offset)
    }

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
        begun && !ended
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

impl Unit {
    /// Whether a program or an account of it is known.
    pub(crate) const fn is_named(&self) -> bool {
        self.image.is_some() && self.account.is_some()
    }

    const fn new(process: ProcessId, start_us: i64) -> Self {
        Self {
            process,
            number: 0,
            previous: None,
            next: None,
            start_us,
            start_ref: None,
            program: Program::Unknown,
            image: None,
            args: None,
            args_had: None,
            command_line: None,
            script: None,
            cwd: None,
            tty: None,
            account: None,
            container: None,
            uid: None,
            euid: None,
            login_uid: None,
            session: None,
            sha256: None,
            acts: 0,
            files: 0,
            flows: 0,
        }
    }
}

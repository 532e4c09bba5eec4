//! Processes and their units: every one that the evidence names, alive or not.

use saigen_schemas::event::{BootId, Guid, Had, Hash32, Kind, ProcessKey, Text};

mod identity;
mod machines;

pub(crate) use identity::ParentSet;

use crate::reference::EventRef;
use crate::replay::spawn::Recent;
use crate::replay::{HostId, MachineId, ProcessId, Step, Table, TextId, Texts, UnitId};

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
    /// When a record last named it by its GUID.
    pub(crate) told_us: Option<i64>,
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
    /// When its last event was, wall clock.
    heard_us: Option<i64>,
    /// When it was heard again after its last long silence.
    resumed_us: Option<i64>,
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

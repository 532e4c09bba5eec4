//! Hosts, their boots and clocks, and the names of their accounts.

use saigen_schemas::event::{BootId, Text, Time};

use crate::replay::process::{Machine, Process, Processes};
use crate::replay::{HostId, MachineId, TextId, UnitId};

/// A host of which nothing was heard for longer than this may have been started anew, and has given
/// its pids to others: what stood before is then known by more than its pid, or not at all. A host
/// that runs writes something within six hours; one that is off at night is silent for longer.
const SILENT_US: i64 = 6 * 3600 * 1_000_000;

impl Processes {
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
            heard_us: None,
            resumed_us: None,
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

    /// Notes that a machine was heard, and whether it had been silent for long.
    pub(crate) fn hear(&mut self, machine: MachineId, at_us: i64) {
        let Some(row) = self.machines.get_mut(machine.index()) else {
            return;
        };
        let silent = |heard: i64| at_us.saturating_sub(heard) > SILENT_US;
        if row.heard_us.is_some_and(silent) {
            row.resumed_us = Some(at_us);
        }
        row.heard_us = row.heard_us.max(Some(at_us));
    }

    /// Whether a long silence of its machine lies between a process and a moment, and no record
    /// since then named it by more than its pid.
    pub(super) fn is_forgotten(&self, process: &Process, at_us: i64) -> bool {
        let machine = self.machines.get(process.machine.index());
        let Some(resumed) = machine.and_then(|row| row.resumed_us) else {
            return false;
        };
        let last = self.unit(process.last_unit).map(|unit| unit.start_us);
        let seen = last.max(process.told_us);
        resumed <= at_us && seen.is_none_or(|seen| seen < resumed)
    }

    /// A moment of a machine's boot clock on its wall clock, by the last event that had both.
    pub(crate) fn wall_us(&self, machine: MachineId, boot_us: u64) -> Option<i64> {
        let offset = self.machines.get(machine.index())?.offset_us?;
        i64::try_from(boot_us).ok()?.checked_add(offset)
    }
}

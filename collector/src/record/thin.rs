//! Bounds on what is written, and what goes first when they are reached.
//!
//! Two bounds: events a second, and a share of a CPU. Above either, what happened to files is left
//! out first, by a budget that it may use up to a half; processes, privileges and the network are
//! left out only when the other half is used up too; what is critical, and what the recorder says of
//! itself, never. Everything left out is counted, and the count is sealed into the journal.

use crate::journal::Urgency;
use saigen_schemas::event::{Event, Kind};

/// Events a second, unless said otherwise: several times what two CPUs can cause by starting programs
/// as fast as they go.
pub const EVENTS_A_SECOND: u64 = 50_000;

/// Percent of one CPU, unless said otherwise.
pub const CPU_PERCENT: u32 = 100;

/// How many seconds' worth of events may come at once.
const BURST_S: u64 = 2;

/// The least budget of file events that the bound on the CPU leaves, a second.
const FILES_A_SECOND_MIN: u64 = 200;

/// The budget of file events at which the bound on the CPU begins.
const FILES_A_SECOND_MAX: u64 = 25_600;

/// Microseconds of a second: budgets are kept in millionths of an event.
const SECOND_US: u64 = 1_000_000;

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Events that are written a second, at the most.
    pub events_a_second: u64,
    /// What the recorder may use, in percent of one CPU.
    pub cpu_percent: u32,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            events_a_second: EVENTS_A_SECOND,
            cpu_percent: CPU_PERCENT,
        }
    }
}

/// What an event is worth when not all can be kept, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// What happened to an ordinary file.
    File,
    /// Processes, privileges, sessions, the network, the kernel.
    Core,
    /// Critical, or of the recorder itself.
    Kept,
}

/// What an event is worth.
#[must_use]
pub fn worth(event: &Event<'_>, urgency: Urgency) -> Worth {
    if urgency == Urgency::Critical {
        return Worth::Kept;
    }
    match event.kind {
        Kind::FileCreated(_)
        | Kind::FileWritten(_)
        | Kind::FileRenamed(_)
        | Kind::FileLinked(_)
        | Kind::FileDeleted(_)
        | Kind::FileAttributes(_)
        | Kind::FileMapped(_) => Worth::File,
        Kind::ProcessStart(_)
        | Kind::ProcessFork(_)
        | Kind::ProcessExit(_)
        | Kind::ProcessOpened(_)
        | Kind::ProcessTraced(_)
        | Kind::CredentialsChanged(_)
        | Kind::FileMemory(_)
        | Kind::FileRead(_)
        | Kind::NetworkConnected(_)
        | Kind::NetworkAccepted(_)
        | Kind::NetworkListening(_)
        | Kind::NetworkClosed(_)
        | Kind::NetworkResolved(_)
        | Kind::Logon(_)
        | Kind::Logoff(_)
        | Kind::FailedLogon(_)
        | Kind::PrivilegeSwitch(_)
        | Kind::ModuleLoaded(_)
        | Kind::BpfLoaded(_)
        | Kind::Mounted(_)
        | Kind::NamespaceEntered(_)
        | Kind::Registry(_)
        | Kind::ServiceChange(_)
        | Kind::DriverChange(_)
        | Kind::ScheduledTask(_)
        | Kind::WmiSubscription(_)
        | Kind::ScriptBlock(_)
        | Kind::RecordRaw(_)
        | Kind::Pipe(_) => Worth::Core,
        Kind::StateProcess(_)
        | Kind::StateSocket(_)
        | Kind::StateModule(_)
        | Kind::StateAccount(_)
        | Kind::StateAutostart(_)
        | Kind::RecordSource(_)
        | Kind::RecordLoss(_)
        | Kind::ClockStep(_)
        | Kind::RecordBoot(_)
        | Kind::RecordSuspend(_)
        | Kind::RecordConfiguration(_)
        | Kind::RecordHeartbeat(_)
        | Kind::RecordCompleteness(_)
        | Kind::LogCleared(_) => Worth::Kept,
    }
}

/// Whether an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It is.
    Yes,
    /// It is left out, and counted.
    No,
}

/// What was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// How many events.
    pub count: u64,
    /// Which, and why.
    pub detail: &'static str,
}

/// Keeps to the bounds.
#[derive(Debug)]
pub struct Thinner {
    bounds: Bounds,
    /// What may be written now, in millionths of an event, as of `filled_us`.
    budget: u64,
    filled_us: u64,
    /// File events a second that the share of the CPU leaves; `None` while it is kept to.
    files_a_second: Option<u64>,
    /// CPU that was used, and when that was looked at.
    used_us: u64,
    looked_us: u64,
    /// Left out since it was last told: files, others, and files for the CPU's sake.
    left_out: [u64; 3],
}

impl Thinner {
    /// A thinner that begins now; `used_us` is the CPU that was used so far.
    #[must_use]
    pub fn new(bounds: Bounds, used_us: u64, now_us: u64) -> Thinner {
        Thinner {
            bounds,
            budget: full(bounds),
            filled_us: now_us,
            files_a_second: None,
            used_us,
            looked_us: now_us,
            left_out: [0; 3],
        }
    }

    /// Whether an event of that worth is written now.
    pub fn admit(&mut self, worth: Worth, now_us: u64) -> Admitted {
        let passed_us = now_us.saturating_sub(self.filled_us);
        self.filled_us = self.filled_us.max(now_us);
        let full = full(self.bounds);
        let gained = passed_us.saturating_mul(self.bounds.events_a_second);
        self.budget = self.budget.saturating_add(gained).min(full);
        // The other half is for what is worth more.
        let least = if worth == Worth::File { full / 2 } else { 0 };
        if worth == Worth::Kept || self.budget >= least.saturating_add(SECOND_US) {
            self.budget = self.budget.saturating_sub(SECOND_US);
            return Admitted::Yes;
        }
        self.count(usize::from(worth != Worth::File), 1);
        Admitted::No
    }

    /// Looks at what the recorder has used of the CPU by now. Call it about once a second. The budget
    /// of file events halves while that is too much, and doubles while it is well below.
    pub fn look(&mut self, used_us: u64, now_us: u64) {
        let passed_us = now_us.saturating_sub(self.looked_us);
        if passed_us == 0 {
            return;
        }
        let used = used_us.saturating_sub(self.used_us).saturating_mul(100);
        (self.used_us, self.looked_us) = (used_us, now_us);
        let bound = passed_us.saturating_mul(u64::from(self.bounds.cpu_percent));
        let files = self.files_a_second.unwrap_or(FILES_A_SECOND_MAX);
        if used > bound {
            self.files_a_second = Some((files / 2).max(FILES_A_SECOND_MIN));
        } else if used < bound / 4 * 3 {
            let more = files.saturating_mul(2);
            self.files_a_second = (more < FILES_A_SECOND_MAX).then_some(more);
        }
    }

    /// How many file events may be looked at in the next `passed_us`; `None` for all.
    #[must_use]
    pub fn files_for(&self, passed_us: u64) -> Option<u64> {
        let files = self.files_a_second?;
        Some((files.saturating_mul(passed_us) / SECOND_US).max(1))
    }

    /// File events were passed over for the CPU's sake.
    pub fn passed_over(&mut self, count: u64) {
        self.count(2, count);
    }

    /// Gives what was left out since the last call.
    pub fn tell(&mut self, mut each: impl FnMut(LeftOut)) {
        const WHY: [&str; 3] = [
            "file events left out: more events a second than the bound",
            "events left out, not of files alone: more events a second than the bound",
            "file events left out: the recorder used more of the CPU than its bound",
        ];
        for (count, detail) in self.left_out.iter_mut().zip(WHY) {
            if *count > 0 {
                each(LeftOut {
                    count: std::mem::take(count),
                    detail,
                });
            }
        }
    }

    fn count(&mut self, at: usize, count: u64) {
        if let Some(left_out) = self.left_out.get_mut(at) {
            *left_out = left_out.saturating_add(count);
        }
    }
}

fn full(bounds: Bounds) -> u64 {
    bounds
        .events_a_second
        .saturating_mul(BURST_S)
        .saturating_mul(SECOND_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        events_a_second: 100,
        cpu_percent: 20,
    };

    fn told(thinner: &mut Thinner) -> Vec<(u64, bool)> {
        let mut told = Vec::new();
        thinner.tell(|left| told.push((left.count, left.detail.starts_with("file"))));
        told
    }

    #[test]
    fn files_go_first_then_the_rest_and_what_is_critical_never() {
        let mut thinner = Thinner::new(BOUNDS, 0, 0);
        let admitted = |thinner: &mut Thinner, worth, count: u32| {
            (0..count)
                .filter(|_| thinner.admit(worth, 0) == Admitted::Yes)
                .count()
        };
        assert_eq!(admitted(&mut thinner, Worth::File, 500), 100, "its half");
        assert_eq!(admitted(&mut thinner, Worth::Core, 500), 100, "the other");
        assert_eq!(admitted(&mut thinner, Worth::Kept, 50), 50);
        assert_eq!(told(&mut thinner), [(400, true), (400, false)]);
        assert!(told(&mut thinner).is_empty(), "it is told once");
    }

    #[test]
    fn the_budget_comes_back_with_time_and_no_further_than_full() {
        let mut thinner = Thinner::new(BOUNDS, 0, 0);
        while thinner.admit(Worth::Core, 0) == Admitted::Yes {}
        assert_eq!(thinner.admit(Worth::Core, 9_999), Admitted::No);
        assert_eq!(thinner.admit(Worth::Core, 10_000), Admitted::Yes);
        let later_us = 3_600 * SECOND_US;
        let again = (0..1_000)
            .filter(|_| thinner.admit(Worth::Core, later_us) == Admitted::Yes)
            .count();
        assert_eq!(again, 200);
    }

    #[test]
    fn a_recorder_that_uses_too_much_looks_at_fewer_files() {
        let mut thinner = Thinner::new(BOUNDS, 0, 0);
        assert_eq!(thinner.files_for(SECOND_US), None);
        thinner.look(300_000, SECOND_US);
        let half = thinner.files_for(SECOND_US).unwrap();
        thinner.look(600_000, 2 * SECOND_US);
        assert!(thinner.files_for(SECOND_US).unwrap() < half);
        for second in 3..30 {
            thinner.look(300_000 * second, second * SECOND_US);
        }
        assert_eq!(thinner.files_for(SECOND_US), Some(FILES_A_SECOND_MIN));
        assert_eq!(thinner.files_for(10), Some(1), "never none at all");
        let used_us = 300_000 * 29;
        for second in 30..60 {
            thinner.look(used_us, second * SECOND_US);
        }
        assert_eq!(thinner.files_for(SECOND_US), None, "all again");
        thinner.passed_over(7);
        assert_eq!(told(&mut thinner), [(7, true)]);
    }
}

//! Starts, joined: perf's exact time, audit's arguments, the connector's count.
//!
//! Each of the three tells of a start by itself, in its own order a process. What the first brings
//! waits here for the others until its turn comes; what nobody else saw is recorded all the same.

use super::fact::{Raced, SeenBy, StackTexts, Start, StartNote};
use crate::source::audit::assemble::AuditEvent;
use std::collections::{HashMap, VecDeque};

/// How much later than perf audit may date one start: the wall clock is slewed between two looks at
/// its distance from the boot clock.
const LATE_US: u64 = 200;

/// How long after perf's moment the connector sends its note at the most.
const NOTE_US_MAX: u64 = 1_000_000;

/// How far apart perf may date the two records of one start: they are made one after the other.
const STACK_US: u64 = 1_000;

/// Stacks that wait at the most.
const STACKS_MAX: usize = 4_096;

/// Starts that wait for their turn or their partners.
#[derive(Debug, Default)]
pub struct Starts {
    by_pid: HashMap<u32, Waiting>,
    /// Stacks whose start was not heard of yet.
    stacks: HashMap<u32, VecDeque<(u64, StackTexts)>>,
    /// The order in which those are forgotten.
    stack_order: VecDeque<(u64, u32)>,
}

#[derive(Debug, Default)]
struct Waiting {
    starts: VecDeque<Start>,
    audits: VecDeque<AuditStart>,
    notes: VecDeque<StartNote>,
}

/// A start as audit told of it.
#[derive(Debug)]
struct AuditStart {
    /// When the call was entered at the earliest, boot clock, microseconds.
    entered_us: u64,
    event: Box<AuditEvent>,
}

impl AuditStart {
    /// Whether this can be the start that perf saw: entered before, told of after, and of the same
    /// file. Two starts of one process in one tick are told apart by what was asked for.
    fn can_be(&self, start: &Start) -> bool {
        let asked = self
            .event
            .paths
            .first()
            .map(|item| &item.name[..])
            .unwrap_or_default();
        let other_file = !asked.is_empty()
            && !start.asked.is_empty()
            && !start.asked.starts_with(b"/dev/fd/")
            && asked != start.asked;
        self.entered_us <= start.at_us.saturating_add(LATE_US)
            && start.at_us <= self.event.drained_us
            && !other_file
    }
}

fn note_can_be(note_us: u64, at_us: u64) -> bool {
    note_us >= at_us && note_us - at_us <= NOTE_US_MAX
}

impl Starts {
    /// perf saw a start.
    pub fn by_perf(&mut self, pid: u32, mut start: Start) {
        let waiting = self.by_pid.entry(pid).or_default();
        start.by_perf = SeenBy::Yes;
        if let Some(at) = waiting.audits.iter().position(|audit| audit.can_be(&start)) {
            start.audit = waiting.audits.remove(at).map(|audit| audit.event);
        }
        if let Some(at) = waiting
            .notes
            .iter()
            .position(|note| note_can_be(note.at_us, start.at_us))
        {
            start.note = waiting.notes.remove(at);
        }
        if let Some(stacks) = self.stacks.get_mut(&pid)
            && let Some(at) = stacks
                .iter()
                .position(|(at_us, _)| at_us.abs_diff(start.at_us) <= STACK_US)
        {
            start.stack = stacks.remove(at).map(|(_, texts)| texts);
        }
        waiting.starts.push_back(start);
    }

    /// perf copied the stack of a start.
    pub fn by_stack(&mut self, pid: u32, at_us: u64, texts: StackTexts) {
        let start = self.by_pid.get_mut(&pid).and_then(|waiting| {
            let same = |start: &&mut Start| {
                start.stack.is_none() && start.at_us.abs_diff(at_us) <= STACK_US
            };
            waiting.starts.iter_mut().find(same)
        });
        match start {
            Some(start) => start.stack = Some(texts),
            None => {
                self.stacks
                    .entry(pid)
                    .or_default()
                    .push_back((at_us, texts));
                self.stack_order.push_back((at_us, pid));
            }
        }
        if self.stack_order.len() > STACKS_MAX {
            self.forget_stack();
        }
    }

    /// Forgets stacks from before a time: their starts were told of, or never will be.
    pub fn forget_stacks(&mut self, before_us: u64) {
        while self
            .stack_order
            .front()
            .is_some_and(|(at_us, _)| *at_us < before_us)
        {
            self.forget_stack();
        }
    }

    fn forget_stack(&mut self) {
        let Some((at_us, pid)) = self.stack_order.pop_front() else {
            return;
        };
        if let Some(stacks) = self.stacks.get_mut(&pid) {
            stacks.retain(|(other_us, _)| *other_us != at_us);
            if stacks.is_empty() {
                self.stacks.remove(&pid);
            }
        }
    }

    /// When the process took up the program that it had when audit counted `serial`, as far as that
    /// start still waits here. Audit's clock goes by the tick; its numbers have an order.
    #[must_use]
    pub fn began_before(&self, pid: u32, serial: u64) -> Option<u64> {
        let waiting = self.by_pid.get(&pid)?;
        let before = |start: &&Start| {
            start
                .audit
                .as_ref()
                .is_some_and(|audit| audit.serial < serial)
        };
        let starts = waiting.starts.iter().filter(before);
        starts.map(|start| start.at_us).max()
    }

    /// Audit told of a start that was entered at `entered_us`. Gives what must be asked for later.
    pub fn by_audit(&mut self, pid: u32, entered_us: u64, event: Box<AuditEvent>) -> Joined {
        let audit = AuditStart { entered_us, event };
        let waiting = self.by_pid.entry(pid).or_default();
        let partner = waiting
            .starts
            .iter_mut()
            .find(|start| start.audit.is_none() && audit.can_be(start));
        match partner {
            Some(start) => {
                start.audit = Some(audit.event);
                Joined::Yes
            }
            None => {
                waiting.audits.push_back(audit);
                Joined::Waits
            }
        }
    }

    /// The connector told of a start.
    pub fn by_connector(&mut self, pid: u32, note: StartNote) -> Joined {
        let waiting = self.by_pid.entry(pid).or_default();
        let partner = waiting
            .starts
            .iter_mut()
            .find(|start| start.note.is_none() && note_can_be(note.at_us, start.at_us));
        match partner {
            Some(start) => {
                start.note = Some(note);
                Joined::Yes
            }
            None => {
                waiting.notes.push_back(note);
                Joined::Waits
            }
        }
    }

    /// The oldest start of a process that perf saw.
    pub fn take(&mut self, pid: u32) -> Option<Start> {
        self.with(pid, |waiting| waiting.starts.pop_front())
    }

    /// Audit's start of this serial, if no other source saw it; with the connector's note of it.
    pub fn take_audit(&mut self, pid: u32, serial: u64) -> Option<Start> {
        self.with(pid, |waiting| {
            let at = waiting
                .audits
                .iter()
                .position(|audit| audit.event.serial == serial)?;
            let audit = waiting.audits.remove(at)?;
            let note = waiting
                .notes
                .iter()
                .position(|note| note.at_us.saturating_add(LATE_US) >= audit.entered_us);
            let note = note.and_then(|at| waiting.notes.remove(at));
            let at_us = note.as_ref().map_or(audit.entered_us, |note| note.at_us);
            Some(Start {
                at_us,
                audit: Some(audit.event),
                note,
                ..Start::default()
            })
        })
    }

    /// The connector's start of this moment, if no other source saw it.
    pub fn take_note(&mut self, pid: u32, at_us: u64) -> Option<Start> {
        self.with(pid, |waiting| {
            let at = waiting.notes.iter().position(|note| note.at_us == at_us)?;
            let note = waiting.notes.remove(at);
            Some(Start {
                at_us,
                note,
                ..Start::default()
            })
        })
    }

    fn with(
        &mut self,
        pid: u32,
        take: impl FnOnce(&mut Waiting) -> Option<Start>,
    ) -> Option<Start> {
        let waiting = self.by_pid.get_mut(&pid)?;
        let taken = take(waiting);
        if waiting.starts.is_empty() && waiting.audits.is_empty() && waiting.notes.is_empty() {
            self.by_pid.remove(&pid);
        }
        taken
    }
}

/// Whether what was told found its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// It did.
    Yes,
    /// It waits for one.
    Waits,
}

impl Start {
    /// What `/proc` said, if it was asked.
    #[must_use]
    pub fn raced(&self) -> Option<&Raced> {
        self.note.as_ref()?.raced.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::audit::assemble::PathItem;

    fn audit(serial: u64, drained_us: u64) -> Box<AuditEvent> {
        Box::new(AuditEvent {
            serial,
            drained_us,
            ..AuditEvent::default()
        })
    }

    fn start(at_us: u64) -> Start {
        Start {
            at_us,
            ..Start::default()
        }
    }

    fn note(at_us: u64) -> StartNote {
        StartNote { at_us, raced: None }
    }

    #[test]
    fn the_three_find_each_other_in_any_order() {
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut starts = Starts::default();
            for who in order {
                match who {
                    0 => starts.by_perf(7, start(1_000)),
                    1 => {
                        starts.by_audit(7, 900, audit(1, 5_000));
                    }
                    _ => {
                        starts.by_connector(7, note(1_001));
                    }
                }
            }
            let joined = starts.take(7).unwrap();
            assert!(
                joined.audit.is_some() && joined.note.is_some(),
                "order {order:?}"
            );
            assert!(starts.take_audit(7, 1).is_none() && starts.take_note(7, 1_001).is_none());
            assert!(starts.by_pid.is_empty());
        }
    }

    #[test]
    fn two_starts_of_one_process_keep_their_arguments_apart() {
        let mut starts = Starts::default();
        starts.by_perf(7, start(1_000));
        starts.by_perf(7, start(3_000));
        starts.by_audit(7, 2_000, audit(2, 9_000));
        starts.by_audit(7, 0, audit(1, 2_900));
        assert_eq!(starts.take(7).unwrap().audit.unwrap().serial, 1);
        assert_eq!(starts.take(7).unwrap().audit.unwrap().serial, 2);
    }

    #[test]
    fn arguments_never_go_to_a_start_of_another_file() {
        let mut starts = Starts::default();
        starts.by_perf(
            7,
            Start {
                asked: b"/bin/first".to_vec(),
                ..start(1_000)
            },
        );
        starts.by_perf(
            7,
            Start {
                asked: b"/bin/second".to_vec(),
                ..start(1_500)
            },
        );
        let mut second = audit(2, 9_000);
        second.paths.push(PathItem {
            name: b"/bin/second".to_vec(),
            ..PathItem::default()
        });
        starts.by_audit(7, 0, second);
        assert!(starts.take(7).unwrap().audit.is_none());
        assert!(starts.take(7).unwrap().audit.is_some());
    }

    #[test]
    fn a_start_that_only_one_saw_is_still_a_start() {
        let mut starts = Starts::default();
        assert_eq!(starts.by_audit(7, 500, audit(1, 5_000)), Joined::Waits);
        assert_eq!(starts.by_connector(8, note(600)), Joined::Waits);
        assert_eq!(starts.take_audit(7, 1).unwrap().at_us, 500);
        assert_eq!(starts.take_note(8, 600).unwrap().at_us, 600);
        assert!(starts.by_pid.is_empty());
    }

    #[test]
    fn a_stack_finds_its_start_in_any_order_and_no_other() {
        let texts = || StackTexts {
            args: b"x\0".to_vec(),
            ..StackTexts::default()
        };
        let mut starts = Starts::default();
        starts.by_stack(7, 1_001, texts());
        starts.by_perf(7, start(1_000));
        starts.by_perf(7, start(9_000));
        starts.by_stack(7, 8_999, texts());
        assert!(starts.take(7).unwrap().stack.is_some());
        assert!(starts.take(7).unwrap().stack.is_some());
        starts.by_stack(7, 20_000, texts());
        starts.by_perf(7, start(30_000));
        assert!(starts.take(7).unwrap().stack.is_none());
        starts.forget_stacks(40_000);
        assert!(starts.stacks.is_empty() && starts.stack_order.is_empty());
    }

    #[test]
    fn what_audit_counts_after_a_start_comes_after_it() {
        let mut starts = Starts::default();
        starts.by_perf(7, start(1_000));
        starts.by_audit(7, 900, audit(5, 5_000));
        assert_eq!(starts.began_before(7, 6), Some(1_000));
        assert_eq!(starts.began_before(7, 4), None);
        assert_eq!(starts.began_before(8, 6), None);
    }

    #[test]
    fn audit_and_connector_find_each_other_where_perf_lost_its_record() {
        let mut starts = Starts::default();
        starts.by_audit(7, 500, audit(1, 5_000));
        starts.by_connector(7, note(900));
        let start = starts.take_audit(7, 1).unwrap();
        assert_eq!((start.at_us, start.by_perf), (900, SeenBy::No));
        assert!(starts.take_note(7, 900).is_none());
    }
}

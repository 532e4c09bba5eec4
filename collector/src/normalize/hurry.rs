//! What must be durable soon waits less for what other sources tell of it.
//!
//! An intruder who has just become root may end the recorder next. What tells of it is then emitted
//! after [`HURRIED_US`], with everything before it, so that the order stays what it is. The price is
//! that a partner which is later than that is missed, so it is not done while a burst is under way.

use super::fact::{Detail, Fact, Who};
use super::{HOLD_US, Normalizer};
use crate::persistence;
use crate::source::audit::assemble::AuditEvent;
use saigen_schemas::event::SourceState;

/// How long a fact that presses waits for its partners, microseconds. Audit tells of a call within a
/// few milliseconds, and perf's rings are read every twenty.
pub const HURRIED_US: u64 = 50_000;

/// More waiting facts than this are a burst.
const BURST: usize = 2_000;

/// The latest moment that presses.
#[derive(Debug, Default)]
pub(super) struct Hurry {
    due_us: Option<u64>,
}

impl Hurry {
    pub fn until(&mut self, due_us: u64) {
        self.due_us = self.due_us.max(Some(due_us));
    }

    /// How long facts are held in the round that began then.
    pub fn hold_us(&mut self, began_us: u64, waiting: usize) -> u64 {
        match self.due_us {
            None => HOLD_US,
            Some(due_us) if due_us.saturating_add(HOLD_US) <= began_us => {
                self.due_us = None;
                HOLD_US
            }
            Some(_) if waiting > BURST => HOLD_US,
            Some(_) => HURRIED_US,
        }
    }
}

/// Whether something presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presses {
    Yes,
    No,
}

impl Normalizer {
    /// Whether a fact presses: as far as can be told before its turn.
    pub(super) fn presses(&self, fact: &Fact) -> Presses {
        let presses = match &fact.detail {
            Detail::Traced { .. } | Detail::Module { .. } | Detail::AuditChanged { .. } => true,
            Detail::Bpf { state, .. } => *state == SourceState::Up,
            Detail::Credentials(change) => {
                let gains = [0, 1]
                    .iter()
                    .any(|at| change.ids.get(*at) == Some(&Some(0)));
                gains && !self.is_root(fact.who, fact.at_us)
            }
            Detail::File(file) => [&file.path, &file.to]
                .into_iter()
                .flatten()
                .any(|path| persistence::is_there(path)),
            Detail::Start
            | Detail::AuditStartAlone { .. }
            | Detail::NoteStartAlone
            | Detail::Fork { .. }
            | Detail::Exit
            | Detail::Mapped { .. }
            | Detail::Memory { .. }
            | Detail::Uring { .. }
            | Detail::Flow(_)
            | Detail::Resolved(_)
            | Detail::Mounted { .. }
            | Detail::Namespace { .. }
            | Detail::Session(_) => false,
        };
        if presses { Presses::Yes } else { Presses::No }
    }

    fn is_root(&self, who: Who, at_us: u64) -> bool {
        let process = match who {
            Who::Nobody => None,
            Who::Pid(pid) => self.table.find(pid, at_us),
            Who::Key(key) => self.table.get(key),
        };
        process.is_some_and(|process| process.ids.euid == 0)
    }
}

/// Whether a start does: one that makes somebody root.
pub(super) fn start_presses(event: &AuditEvent) -> Presses {
    let subject = &event.subject;
    if subject.euid == Some(0) && subject.uid.is_some_and(|uid| uid != 0) {
        Presses::Yes
    } else {
        Presses::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_presses_is_held_shorter_until_it_was_told() {
        let mut hurry = Hurry::default();
        assert_eq!(hurry.hold_us(1_000_000, 0), HOLD_US);
        hurry.until(1_000_000);
        hurry.until(900_000);
        assert_eq!(hurry.hold_us(1_010_000, 0), HURRIED_US);
        assert_eq!(hurry.hold_us(1_010_000, BURST + 1), HOLD_US, "a burst");
        assert_eq!(hurry.hold_us(1_400_000, 0), HOLD_US);
        assert_eq!(hurry.hold_us(1_010_000, 0), HOLD_US, "it is over");
    }

    #[test]
    fn a_start_that_makes_root_presses() {
        let mut event = AuditEvent::default();
        assert_eq!(start_presses(&event), Presses::No);
        (event.subject.uid, event.subject.euid) = (Some(1000), Some(0));
        assert_eq!(start_presses(&event), Presses::Yes);
        event.subject.uid = Some(0);
        assert_eq!(start_presses(&event), Presses::No);
    }
}

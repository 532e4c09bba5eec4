//! What a crash may explain, and what a quota: parts that are missing, and the recorder's own word,
//! under its seal, on why.

use saigen_schemas::journal::{FrameKind, Removed};
use saigen_schemas::report::{Cause, FindingKind};

use crate::evidence::follow::totals::LISTED_MAX;
use crate::evidence::follow::{Trail, segments};
use crate::evidence::scan::FrameFacts;
use crate::evidence::verdict::FaultKind;
use crate::stream::GapWhy;

/// What waits for the recorder's word.
#[derive(Debug, Default)]
pub(super) struct Restart {
    /// Faults that a crash would explain, and the position at which each stands.
    faults: Vec<(usize, u64)>,
    /// Gaps that a crash would explain.
    gaps: Vec<(usize, u64)>,
    /// The opening of the segment that is being followed: its position, and the frames behind it.
    opened: Option<(u64, u32)>,
    /// Whether that opening names another chain than that of the last frame that is here.
    pub(super) link_broken: bool,
    /// The fault that says that the first segments are not here, and the last of them.
    pub(super) head_missing: Option<(usize, u32)>,
    /// Position, number of the next event, chain and clock at the first frame that was read.
    pub(super) head: Option<Head>,
}

/// Where the journal begins, as it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    position: u64,
    seq: u64,
    chain: String,
}

impl Restart {
    /// A gap, by its place in the list, that a crash would explain.
    pub(super) fn gap(&mut self, place: Option<usize>, position: u64) {
        if let Some(place) = place.filter(|_| self.gaps.len() < LISTED_MAX) {
            self.gaps.push((place, position));
        }
    }
}

impl Trail<'_> {
    /// A fault, by its place in the list, that a crash would explain.
    pub(super) fn explained_by_a_crash(&mut self, told: Option<usize>) {
        let position = self.next.map_or(0, |next| next.position);
        if let Some(told) = told.filter(|_| self.restart.faults.len() < LISTED_MAX) {
            self.restart.faults.push((told, position));
        }
    }

    /// Whether a segment begins with the recorder's word that it was started again: its second
    /// frame is a boot frame. Then what is missing in the last positions before it, as many as the
    /// examiner's key allows, is what the crash cost.
    pub(super) fn settle_restart(&mut self, facts: &FrameFacts) {
        if self.restart.head.is_none() {
            self.restart.head = Some(Head {
                position: facts.header.position,
                seq: facts.header.first_seq,
                chain: facts.header.before.to_string(),
            });
        }
        if facts.header.kind == FrameKind::Open {
            self.restart.opened = Some((facts.header.position, 0));
            return;
        }
        let Some((opened, behind)) = &mut self.restart.opened else {
            return;
        };
        *behind += 1;
        let opened = *opened;
        // Where the frame behind the opening is lost, nobody knows what it said.
        let second = *behind == 1 && opened.checked_add(1) == Some(facts.header.position);
        let later = self
            .segment
            .as_ref()
            .is_some_and(|segment| segment.number > 1);
        if !second || !later || self.found.frames < 2 {
            return;
        }
        let ahead = self.expected.ahead;
        let near = |position: u64| position.saturating_add(ahead) >= opened;
        let faults = std::mem::take(&mut self.restart.faults);
        let gaps = std::mem::take(&mut self.restart.gaps);
        let link_broken = std::mem::take(&mut self.restart.link_broken);
        if facts.header.kind != FrameKind::Boot {
            return;
        }
        if link_broken {
            let name = self.segment_name();
            let text = "when the recorder was started again it saw frames that are not here: they were taken away since";
            self.fault(
                &name,
                facts.offset,
                Some(opened),
                FaultKind::Incomplete,
                Cause::Missing,
                text.to_owned(),
            );
        }
        let mut explained = false;
        for (place, _) in faults.into_iter().filter(|(_, position)| near(*position)) {
            if let Some(fault) = self.found.faults.get_mut(place) {
                fault.kind = FaultKind::Crash;
                fault.cause = Cause::Missing;
                if !explained {
                    fault.text = format!(
                        "the recorder says that it was started again after a crash: {}",
                        fault.text
                    );
                }
                explained = true;
            }
        }
        for (place, _) in gaps.into_iter().filter(|(_, position)| near(*position)) {
            if let Some(gap) = self.found.gaps.get_mut(place) {
                gap.why = GapWhy::Crash;
            }
        }
        if !explained {
            let name = self.segment_name();
            let text = "the recorder says that it was started again after a crash: no frame is missing, but what it had not yet written is".to_owned();
            self.fault(
                &name,
                facts.offset,
                Some(facts.header.position),
                FaultKind::Crash,
                Cause::Missing,
                text,
            );
        }
    }

    /// The recorder's word that the oldest segments were removed to keep to the quota.
    pub(super) fn removed(&mut self, facts: &FrameFacts, removed: &Removed) {
        let Some((place, last_missing)) = self.restart.head_missing else {
            let text = format!(
                "{} said to be removed for the quota, and are here",
                segments(1, removed.last_segment)
            );
            self.notice(FindingKind::Note, text, facts);
            return;
        };
        let here = self.restart.head.as_ref().is_some_and(|head| {
            let said = (removed.next_position, removed.next_seq, &removed.chain);
            said == (head.position, head.seq, &head.chain)
        });
        if removed.last_segment != last_missing || !here {
            // An earlier list says less, and a later one all: only the last one counts.
            return;
        }
        let text = format!(
            "{} removed by the recorder to keep to its quota; what is left begins at {}",
            segments(1, removed.last_segment)
                .replace(" is", " was")
                .replace(" are", " were"),
            saigen_schemas::event::format_utc(removed.from_us)
        );
        if let Some(fault) = self.found.faults.get_mut(place) {
            fault.kind = FaultKind::Incomplete;
            fault.cause = Cause::Quota;
            fault.text = text;
        }
        for gap in self.found.gaps.iter_mut().filter(|gap| gap.position == 0) {
            gap.why = GapWhy::Removed;
        }
    }
}

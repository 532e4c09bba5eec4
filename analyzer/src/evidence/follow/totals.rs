//! What is gathered on the way over a journal: counts, stretches of one verdict, faults, gaps.

use std::collections::BTreeMap;

use saigen_schemas::event::{BootId, KindName};
use saigen_schemas::report::{Cause, Verdict};

use crate::evidence::scan::{EventFacts, FrameFacts};
use crate::evidence::verdict::{Completeness, Fault, Notice, Stretch, WhoRecorded};
use crate::stream::Gap;

/// Most faults that are listed, and most holes that are remembered.
pub(super) const LISTED_MAX: usize = 1000;

/// What was gathered on the way.
#[derive(Debug, Default)]
pub(in crate::evidence) struct Totals {
    pub(in crate::evidence) recorded: WhoRecorded,
    pub(in crate::evidence) frames: u64,
    pub(in crate::evidence) damaged: u64,
    pub(in crate::evidence) events: u64,
    pub(in crate::evidence) lost: u64,
    pub(in crate::evidence) lost_by_source: BTreeMap<String, u64>,
    pub(in crate::evidence) kinds: BTreeMap<KindName, u64>,
    pub(in crate::evidence) sources: BTreeMap<&'static str, u64>,
    pub(in crate::evidence) completeness: Option<Completeness>,
    pub(in crate::evidence) span_us: Option<(i64, i64)>,
    pub(in crate::evidence) positions: Option<(u64, u64)>,
    pub(in crate::evidence) last_sealed_us: Option<i64>,
    /// The last position that is covered by a signature that holds, of the enrolment's key.
    pub(in crate::evidence) signed_to: Option<u64>,
    pub(in crate::evidence) stretches: Vec<Stretch>,
    pub(in crate::evidence) faults: Vec<Fault>,
    pub(in crate::evidence) faults_unlisted: u64,
    pub(in crate::evidence) notices: Vec<Notice>,
    pub(in crate::evidence) gaps: Vec<Gap>,
    pub(super) boots: Vec<BootId>,
}

impl Totals {
    /// Lists a fault, and gives its place in the list.
    pub(super) fn push_fault(&mut self, fault: Fault) -> Option<usize> {
        // The gravest is never left out: it is the verdict.
        let gravest = self.faults.iter().all(|other| fault.kind < other.kind);
        if self.faults.len() < LISTED_MAX || gravest {
            self.faults.push(fault);
            Some(self.faults.len() - 1)
        } else {
            self.faults_unlisted += 1;
            None
        }
    }

    /// Lists a gap, and gives its place in the list.
    pub(super) fn push_gap(&mut self, gap: Gap) -> Option<usize> {
        if self.gaps.len() < LISTED_MAX {
            self.gaps.push(gap);
            Some(self.gaps.len() - 1)
        } else {
            None
        }
    }

    /// Counts what a frame's events are.
    pub(super) fn add(&mut self, events: &EventFacts) {
        for &(kind, count) in &events.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for &(source, count) in &events.sources {
            *self.sources.entry(source).or_default() += count;
        }
        for (name, count) in &events.losses {
            // Names come from the journal: a hostile one has no end of them.
            if self.lost_by_source.len() < LISTED_MAX || self.lost_by_source.contains_key(name) {
                let lost = self.lost_by_source.entry(name.clone()).or_default();
                *lost = lost.saturating_add(*count);
            }
        }
        if let Some((counted, recorded, whole)) = events.completeness {
            let sum = self.completeness.get_or_insert_default();
            sum.counted = sum.counted.saturating_add(counted);
            sum.recorded = sum.recorded.saturating_add(recorded);
            sum.whole = sum.whole.saturating_add(whole);
        }
    }

    /// Joins neighbours that have come to share a verdict.
    pub(super) fn join_stretches(&mut self) {
        self.stretches.dedup_by(|next, last| last.join(next));
    }

    /// Adds a frame to the stretch that it goes on, or begins one. Stretches before number `closed`
    /// take up nothing more: what a later signature covers begins there.
    pub(super) fn stretch(
        &mut self,
        segment: usize,
        facts: &FrameFacts,
        judged: Judged,
        closed: usize,
    ) {
        let next = Stretch {
            segment,
            offset: facts.offset,
            end: facts.offset + facts.len,
            position: facts.header.position,
            frames: 1,
            from_us: facts.header.wall_us,
            to_us: facts.header.wall_us,
            decodes: judged.decodes,
            verdict: judged.verdict,
            cause: judged.cause,
        };
        let open = self.stretches.len() > closed;
        let joined = open
            && self
                .stretches
                .last_mut()
                .is_some_and(|last| last.join(&next));
        if !joined {
            self.stretches.push(next);
        }
    }
}

/// What was found of one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) cause: Option<Cause>,
    pub(super) decodes: bool,
}

impl Stretch {
    /// Takes up the stretch behind it, if that goes on where this ends, with the same verdict.
    fn join(&mut self, next: &Self) -> bool {
        let same =
            (self.verdict, self.cause, self.decodes) == (next.verdict, next.cause, next.decodes);
        let behind = (self.segment, self.end) == (next.segment, next.offset)
            && self.position.checked_add(self.frames) == Some(next.position);
        if same && behind {
            self.end = next.end;
            self.frames += next.frames;
            self.to_us = next.to_us;
        }
        same && behind
    }
}

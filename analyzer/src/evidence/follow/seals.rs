//! Chain, tags and signatures, frame by frame.

use saigen_schemas::journal::checkpoint::Checkpoint;
use saigen_schemas::journal::seal::{SealCheck, chain_next, chain_start};
use saigen_schemas::journal::{FrameKind, Opening};
use saigen_schemas::report::{Cause, FindingKind, Verdict};

use crate::evidence::follow::{Standing, Trail, frames};
use crate::evidence::scan::{Content, FrameFacts};
use crate::evidence::signatures::Trust;

impl Trail<'_> {
    /// Holds the chain that the frame names against the one that leads to it.
    pub(super) fn link(&mut self, facts: &FrameFacts, standing: Standing) {
        if matches!(standing, Standing::Late) {
            return;
        }
        let named = facts.header.before;
        if self.chain != Some(named) {
            // No signature behind this frame covers what stands before it here.
            self.unsigned_from = self.found.stretches.len();
        }
        let broken = self.chain.is_some_and(|led| led != named);
        if !broken {
            return;
        }
        if matches!(standing, Standing::Later) {
            // Positions were skipped where a segment begins. Only a crash could explain that, and
            // then this tells that more is missing than the recorder missed.
            self.restart.link_broken = true;
        } else if !self.bad_before {
            let text = if facts.header.kind == FrameKind::Open {
                "the segment before does not end with the chain after which this one stands: frames before were changed"
            } else {
                "the frame before does not lead to the chain that this one names: one of them was changed"
            };
            self.altered(facts, Cause::Seal, text);
        }
    }

    /// An opening says what the segment is.
    pub(super) fn opening(&mut self, facts: &FrameFacts, opening: &Opening) {
        let sealed_before = *self.sealed.get_or_insert(opening.sealed);
        if sealed_before != opening.sealed {
            self.altered(
                facts,
                Cause::Seal,
                "one segment says that it is sealed, another that it is not",
            );
        }
        let recorded = &mut self.found.recorded;
        let host_before = recorded.hosts.last().cloned();
        if !recorded.hosts.contains(&opening.host) {
            recorded.hosts.push(opening.host.clone());
        }
        recorded.tool = Some(opening.tool.clone());
        recorded.scope = Some(opening.scope.clone());
        recorded.configuration_sha256 = Some(opening.configuration_sha256.clone());
        recorded.sources.clone_from(&opening.sources);
        if let Some(before) = host_before.filter(|before| *before != opening.host) {
            let text = format!(
                "segment {} is of host {}, the one before of {before}",
                opening.segment, opening.host
            );
            self.notice(FindingKind::Note, text, facts);
        }
        let recording = *self.recording.get_or_insert(opening.recording);
        let first = opening.segment == 1;
        if recording != opening.recording
            || (first && opening.recording != facts.header.position)
            || opening.recording > facts.header.position
        {
            self.altered(
                facts,
                Cause::Order,
                "its opening names another recording than where it stands",
            );
        }
        if first && self.found.frames == 0 {
            if self.expected.enrolment.map(chain_start) != Some(facts.header.before) {
                self.altered(
                    facts,
                    Cause::Seal,
                    "the chain does not begin as its enrolment's must",
                );
            }
            if facts.header.position > 0 {
                let text = format!(
                    "{} of earlier recordings of this enrolment",
                    frames(0, facts.header.position - 1)
                );
                self.notice(FindingKind::Note, text, facts);
            }
        }
        if let Err(text) = self.signatures.opening(&facts.header, opening) {
            self.altered(facts, Cause::Seal, text);
        }
    }

    /// Checks the seal, and follows the chain.
    pub(super) fn seal(
        &mut self,
        facts: &FrameFacts,
        standing: Standing,
    ) -> (Verdict, Option<Cause>) {
        if matches!(standing, Standing::Late) {
            return (Verdict::Altered, Some(Cause::Order));
        }
        let tagged = facts.tag != [0; 16];
        let sealed = self.sealed.unwrap_or(tagged);
        let signed = match &facts.content {
            Content::Checkpoint(checkpoint) => self.checkpoint(facts, checkpoint),
            Content::Nothing
            | Content::Opening(_)
            | Content::Removed(_)
            | Content::Events(_)
            | Content::Wrong(_) => false,
        };
        self.signatures.frame(&facts.digest);
        self.chain = Some(chain_next(
            facts.header.before,
            facts.header.position,
            &facts.digest,
            facts.tag,
        ));
        if sealed != tagged {
            let text = if sealed {
                "its seal was taken off"
            } else {
                "it has a seal in a journal without"
            };
            self.bad_seal(facts, text);
            return (Verdict::Altered, Some(Cause::Seal));
        }
        let check = self.check(facts);
        if check == SealCheck::Bad {
            self.bad_seal(
                facts,
                "its seal does not hold: it was changed, or sealed with another key",
            );
            return (Verdict::Altered, Some(Cause::Seal));
        }
        self.bad_before = false;
        match check {
            _ if !sealed => (Verdict::Unsealed, None),
            SealCheck::Good => (Verdict::Intact, None),
            SealCheck::Unchecked if signed => (Verdict::Intact, None),
            SealCheck::Unchecked | SealCheck::Bad => (Verdict::Unverified, Some(Cause::Key)),
        }
    }

    /// Checks a checkpoint, and says whether it proves itself. Where its key is known to be the
    /// enrolment's, all that the chain covers before it is what was recorded, for whoever holds the
    /// public key.
    fn checkpoint(&mut self, facts: &FrameFacts, checkpoint: &Checkpoint) -> bool {
        match self.signatures.checkpoint(checkpoint, &facts.header) {
            Ok(Some(Trust::Proven)) => {
                self.found.signed_to = Some(facts.header.position);
                let covered = self.found.stretches.get_mut(self.unsigned_from..);
                for stretch in covered.unwrap_or_default() {
                    if (stretch.verdict, stretch.cause) == (Verdict::Unverified, Some(Cause::Key)) {
                        (stretch.verdict, stretch.cause) = (Verdict::Intact, None);
                    }
                }
                self.unsigned_from = self.found.stretches.len();
                true
            }
            Ok(Some(Trust::Claimed) | None) => false,
            Err(text) => {
                self.altered(facts, Cause::Seal, text);
                false
            }
        }
    }

    /// Checks one frame's tag. Where the seal does not hold, keys are not derived further than
    /// they were: a header that names a far position must not spoil those of the frames behind it.
    fn check(&mut self, facts: &FrameFacts) -> SealCheck {
        let position = facts.header.position;
        let mut ahead = self.follower.clone();
        let steps = self.follower.steps_to(position);
        if steps > self.steps_left {
            return SealCheck::Bad;
        }
        let check = ahead.follow_digest(facts.header.before, &facts.digest, facts.tag, position);
        if check == SealCheck::Bad {
            self.steps_left -= steps;
        } else {
            self.follower = ahead;
        }
        check
    }

    /// A seal does not hold. Of a run of such frames the first is told.
    fn bad_seal(&mut self, facts: &FrameFacts, text: &str) {
        if !std::mem::replace(&mut self.bad_before, true) {
            self.altered(facts, Cause::Seal, text);
        }
    }
}

//! Follows chain, seals and positions over the segments of one journal, in order, and gathers
//! what is wrong, what is missing, and which frames can be trusted.
//!
//! Here stands the way from frame to frame; [`restart`] says what a crash may explain, [`seals`] checks
//! chain, tags and signatures, [`totals`] keeps what was found.

mod restart;
mod seals;
mod totals;

use saigen_schemas::journal::checkpoint::Succession;
use saigen_schemas::journal::seal::{
    ChainValue, EnrolmentId, EnrolmentSecret, Follower, STEPS_MAX, chain_start,
};
use saigen_schemas::journal::{Anchor, FrameKind};
use saigen_schemas::report::{Cause, FindingKind, Verdict};

use crate::evidence::anchor::{Anchors, Held, Outcome};
use crate::evidence::clocks::Clocks;
use crate::evidence::scan::{Content, Damage, FrameFacts};
use crate::evidence::signatures::{Root, Signatures};
use crate::evidence::verdict::{Fault, FaultKind, Notice};
use crate::reference::SourceId;
use crate::stream::{Gap, GapWhy};
use restart::Restart;
use totals::{Judged, LISTED_MAX, Totals};

/// What a frame's seal is checked against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// The enrolment, if it is known from an opening or a key.
    pub(super) enrolment: Option<EnrolmentId>,
    /// Its secret, or its public key, if the examiner holds one.
    pub(super) root: Root<'a>,
    /// How many positions a crash may skip, as the examiner's key says.
    pub(super) ahead: u64,
    /// The anchors that the examiner holds.
    pub(super) anchors: &'a [Held],
}

impl<'a> Expected<'a> {
    const fn secret(self) -> Option<&'a EnrolmentSecret> {
        match self.root {
            Root::Secret(secret) => Some(secret),
            Root::Public(_) | Root::None => None,
        }
    }
}

/// The way over a journal's frames.
pub(super) struct Trail<'a> {
    source: SourceId,
    expected: Expected<'a>,
    follower: Follower,
    signatures: Signatures,
    /// The first stretch that the chain before the next frame covers.
    unsigned_from: usize,
    /// The chain after the last frame that was read, unless frames are missing behind it.
    chain: Option<ChainValue>,
    /// Whether the seal of the frame before did not hold.
    bad_before: bool,
    sealed: Option<bool>,
    recording: Option<u64>,
    steps_left: u64,
    segment: Option<Segment>,
    last_number: Option<u32>,
    next: Option<Next>,
    holes: Vec<(u64, u64)>,
    damage: Option<Damage>,
    restart: Restart,
    clocks: Clocks,
    anchors: Anchors<'a>,
    end: End,
    pub(super) found: Totals,
}

/// The segment that is being followed.
struct Segment {
    index: usize,
    name: String,
    number: u32,
    frames: u64,
}

/// What the frame before leads to.
#[derive(Clone, Copy)]
struct Next {
    position: u64,
    seq: u64,
    wall_us: i64,
}

impl<'a> Trail<'a> {
    pub(super) fn new(source: SourceId, expected: Expected<'a>) -> Self {
        // Where the chain begins matters to the first frame alone, which names it.
        let start = expected.enrolment.map_or(ChainValue([0; 32]), chain_start);
        Self {
            source,
            expected,
            follower: Follower::new(start, expected.secret()),
            signatures: Signatures::new(expected.enrolment, expected.root),
            unsigned_from: 0,
            chain: None,
            bad_before: false,
            sealed: None,
            recording: None,
            steps_left: STEPS_MAX,
            segment: None,
            last_number: None,
            next: None,
            holes: Vec::new(),
            damage: None,
            restart: Restart::default(),
            clocks: Clocks::default(),
            anchors: Anchors::new(expected.anchors, expected.enrolment),
            end: End::Open,
            found: Totals::default(),
        }
    }

    /// Takes up what a list of removed segments says of the keys of those that are gone.
    pub(super) fn foretold(&mut self, successions: &[Succession]) {
        self.signatures.foretold(successions);
    }

    /// What the examiner's anchors say of it.
    pub(super) fn anchored(&self) -> Vec<Outcome> {
        let last = self.found.positions.map(|(_, last)| last);
        self.anchors.outcomes(self.recording, last)
    }

    /// The anchor at the last frame.
    pub(super) fn anchor(&self) -> Option<Anchor> {
        Some(Anchor {
            enrolment: self.expected.enrolment?,
            recording: self.recording?,
            host: self.found.recorded.hosts.last()?.clone(),
            position: self.next?.position.checked_sub(1)?,
            chain: self.chain?,
            sealed_us: self.found.last_sealed_us?,
        })
    }

    /// Whether the journal ends as it should: by a close, and the signature over it if it is sealed.
    pub(super) fn closed(&self) -> bool {
        match self.end {
            End::Open => false,
            End::Close => self.sealed == Some(false),
            End::Signed => true,
        }
    }

    /// Whether the journal says that it is sealed.
    pub(super) fn sealed(&self) -> Option<bool> {
        self.sealed
    }

    /// A segment's file begins.
    pub(super) fn segment(&mut self, index: usize, name: &str, number: u32) {
        let missing = match self.last_number {
            Some(last) => (number > last + 1).then(|| (last + 1, number - 1)),
            None => (number > 1).then(|| (1, number - 1)),
        };
        if let Some((first, last)) = missing {
            let text = format!("{} not here", segments(first, last));
            let told = self.fault(name, 0, None, FaultKind::Incomplete, Cause::Missing, text);
            if first == 1 {
                self.restart.head_missing = told.zip(Some(last));
            }
        }
        self.last_number = Some(number);
        self.segment = Some(Segment {
            index,
            name: name.to_owned(),
            number,
            frames: 0,
        });
    }

    /// The segment's file has ended.
    pub(super) fn segment_ended(&mut self) {
        let empty = self
            .segment
            .as_ref()
            .is_some_and(|segment| segment.frames == 0);
        if empty && self.damage.is_none() {
            let name = self.segment_name();
            let text = "there is no frame in it".to_owned();
            let told = self.fault(&name, 0, None, FaultKind::Incomplete, Cause::Missing, text);
            self.explained_by_a_crash(told);
        }
    }

    /// Bytes that are no frame.
    pub(super) fn damaged(&mut self, damage: Damage) {
        let position = self.next.map(|next| next.position);
        let name = self.segment_name();
        let (kind, cause, text) = if damage.cut {
            (
                FaultKind::Incomplete,
                Cause::Missing,
                format!(
                    "it ends within a frame: {}, {} bytes",
                    damage.error, damage.len
                ),
            )
        } else {
            (
                FaultKind::Altered,
                Cause::Checksum,
                format!("{}; {} bytes cannot be read", damage.error, damage.len),
            )
        };
        let told = self.fault(&name, damage.offset, position, kind, cause, text);
        self.explained_by_a_crash(told);
        self.damage = Some(damage);
    }

    /// The system would not read on.
    pub(super) fn unreadable(&mut self, error: &std::io::Error) {
        let position = self.next.map(|next| next.position);
        let name = self.segment_name();
        let text = format!("cannot be read to its end: {error}");
        self.fault(
            &name,
            0,
            position,
            FaultKind::Incomplete,
            Cause::Missing,
            text,
        );
    }

    /// A frame whose checksum holds.
    pub(super) fn frame(&mut self, facts: FrameFacts) {
        let first = self.segment.as_mut().is_some_and(|segment| {
            segment.frames += 1;
            segment.frames == 1
        });
        let signs_the_close = facts.header.kind == FrameKind::Checkpoint && self.end == End::Close;
        if self.end != End::Open && !signs_the_close {
            self.altered(&facts, Cause::Order, "it stands behind the close");
        }
        let begins = facts.header.kind == FrameKind::Open;
        if first && !begins && self.damage.is_none() {
            self.altered(
                &facts,
                Cause::Missing,
                "the segment does not begin with its opening",
            );
        } else if begins && !first {
            self.altered(
                &facts,
                Cause::Order,
                "a second segment begins within the file",
            );
        }
        let Some(standing) = self.place(&facts) else {
            // What stood before stands here again: it is told, and not read twice.
            return;
        };
        self.settle_restart(&facts);
        self.link(&facts, standing);
        match &facts.content {
            Content::Opening(opening) => self.opening(&facts, opening),
            Content::Removed(removed) => self.removed(&facts, removed),
            Content::Nothing | Content::Checkpoint(_) | Content::Events(_) | Content::Wrong(_) => {}
        }
        let (verdict, cause) = self.seal(&facts, standing);
        if let Some(chain) = self.chain {
            self.anchors.reached(facts.header.position, chain);
        }
        self.numbers(&facts, standing);
        self.clocks.frame(&facts.header);
        self.end = match facts.header.kind {
            FrameKind::Close => End::Close,
            FrameKind::Checkpoint if signs_the_close => End::Signed,
            FrameKind::Open
            | FrameKind::Data
            | FrameKind::Heartbeat
            | FrameKind::Loss
            | FrameKind::Clock
            | FrameKind::Suspend
            | FrameKind::Boot
            | FrameKind::Configuration
            | FrameKind::Checkpoint
            | FrameKind::Removed => End::Open,
        };
        self.count(facts, verdict, cause);
    }

    /// Holds the frame's position against the one that must follow. `None` if the position was
    /// there before.
    fn place(&mut self, facts: &FrameFacts) -> Option<Standing> {
        let position = facts.header.position;
        let Some(next) = self.next else {
            let missing = self
                .segment
                .as_ref()
                .is_some_and(|segment| segment.number > 1);
            if self.damage.take().is_some() {
                self.found.damaged += 1;
                self.gap(facts, position, 0, None, GapWhy::Damaged);
            } else if missing {
                self.gap(facts, 0, 0, Some(facts.header.first_seq), GapWhy::Missing);
            }
            return Some(Standing::First);
        };
        if position == next.position {
            if let Some(damage) = self.damage.take() {
                let text = format!("{} bytes that belong to no frame", damage.len);
                let name = self.segment_name();
                self.fault(
                    &name,
                    damage.offset,
                    None,
                    FaultKind::Altered,
                    Cause::Order,
                    text,
                );
            }
            return Some(Standing::Next);
        }
        if position > next.position {
            self.skipped(facts, next);
            return Some(Standing::Later);
        }
        if let Some(hole) = self
            .holes
            .iter_mut()
            .find(|(from, to)| (*from..*to).contains(&position))
        {
            // The hole keeps what is behind; what is before would be another swap.
            hole.0 = position + 1;
            self.found.damaged = self.found.damaged.saturating_sub(1);
            self.altered(facts, Cause::Order, "it stands behind a later one");
            return Some(Standing::Late);
        }
        self.altered(facts, Cause::Order, "its position was there before");
        None
    }

    /// Positions are missing before this frame.
    fn skipped(&mut self, facts: &FrameFacts, next: Next) {
        let position = facts.header.position;
        let missing = position - next.position;
        self.found.damaged = self.found.damaged.saturating_add(missing);
        if self.holes.len() < LISTED_MAX {
            self.holes.push((next.position, position));
        }
        self.signatures.missing();
        let events = facts.header.first_seq.checked_sub(next.seq);
        let damage = self.damage.take();
        let at_border = facts.header.kind == FrameKind::Open;
        if !at_border {
            self.chain = None;
        }
        if damage.as_ref().is_some_and(|damage| !damage.cut) {
            let gap = self.gap(facts, next.position, missing, events, GapWhy::Damaged);
            self.restart.gap(gap, next.position);
            return;
        }
        let text = format!("{} missing", frames(next.position, position - 1));
        let kind = if at_border {
            FaultKind::Incomplete
        } else {
            FaultKind::Altered
        };
        let name = self.segment_name();
        let told = self.fault(
            &name,
            facts.offset,
            Some(next.position),
            kind,
            Cause::Missing,
            text,
        );
        let gap = self.gap(facts, next.position, missing, events, GapWhy::Missing);
        if at_border {
            self.explained_by_a_crash(told);
            self.restart.gap(gap, next.position);
        }
    }

    /// Numbers of events go on where the frame before ended.
    fn numbers(&mut self, facts: &FrameFacts, standing: Standing) {
        let header = &facts.header;
        let expected = match standing {
            Standing::First => {
                let first = self.last_number == Some(1) && header.kind == FrameKind::Open;
                first.then_some(0)
            }
            Standing::Next => self.next.map(|next| next.seq),
            Standing::Later | Standing::Late => None,
        };
        if expected.is_some_and(|expected| expected != header.first_seq) {
            self.altered(
                facts,
                Cause::Order,
                "its events are not numbered on from the frame before",
            );
        }
        if !matches!(standing, Standing::Late) {
            self.next = Some(Next {
                position: header.position.saturating_add(1),
                seq: header.first_seq.saturating_add(u64::from(header.events)),
                wall_us: header.wall_us,
            });
        }
    }

    fn count(&mut self, facts: FrameFacts, verdict: Verdict, cause: Option<Cause>) {
        let mut judged = Judged {
            verdict,
            cause,
            decodes: true,
        };
        let lie = match &facts.content {
            Content::Wrong(why) => {
                judged.decodes = false;
                self.found.damaged += 1;
                Some(format!("its content is not what its header says: {why}"))
            }
            Content::Events(events) if !events.as_said => {
                Some("its header and its events differ in times or kinds".to_owned())
            }
            Content::Nothing
            | Content::Opening(_)
            | Content::Removed(_)
            | Content::Checkpoint(_)
            | Content::Events(_) => None,
        };
        if let Some(text) = lie {
            self.altered(&facts, Cause::Checksum, &text);
            (judged.verdict, judged.cause) = (Verdict::Altered, Some(Cause::Checksum));
        }
        let header = facts.header;
        let found = &mut self.found;
        found.frames += 1;
        found.lost = found.lost.max(header.lost);
        found.last_sealed_us = Some(header.wall_us);
        let (first, last) = found
            .positions
            .unwrap_or((header.position, header.position));
        found.positions = Some((first.min(header.position), last.max(header.position)));
        if !found.boots.contains(&header.boot) && found.boots.len() < LISTED_MAX {
            found.boots.push(header.boot);
            found.recorded.boots.push(header.boot.to_string());
        }
        if let (Content::Events(events), Some(said)) = (&facts.content, header.of_events) {
            found.events += u64::from(header.events);
            let (first, last) = found.span_us.unwrap_or((said.first_us, said.last_us));
            found.span_us = Some((first.min(said.first_us), last.max(said.last_us)));
            found.add(events);
        }
        let segment = self.segment.as_ref().map_or(0, |segment| segment.index);
        found.stretch(segment, &facts, judged, self.unsigned_from);
    }

    /// All segments were followed: what was still open is told.
    pub(super) fn finish(&mut self) {
        if self.damage.take().is_some() {
            self.found.damaged += 1;
            self.found.push_gap(Gap {
                source: self.source,
                from_us: self.next.map(|next| next.wall_us),
                to_us: None,
                position: self.next.map_or(0, |next| next.position),
                frames: 0,
                events: None,
                why: GapWhy::Damaged,
            });
        }
        self.found.join_stretches();
        let clocks = std::mem::take(&mut self.clocks);
        self.found.notices.extend(clocks.finish());
    }

    fn segment_name(&self) -> String {
        self.segment
            .as_ref()
            .map(|segment| segment.name.clone())
            .unwrap_or_default()
    }

    fn altered(&mut self, facts: &FrameFacts, cause: Cause, text: &str) {
        let name = self.segment_name();
        let position = facts.header.position;
        let text = format!("frame {position}: {text}");
        self.fault(
            &name,
            facts.offset,
            Some(position),
            FaultKind::Altered,
            cause,
            text,
        );
    }

    /// Something is wrong. Gives its place in the list, if it is listed.
    pub(super) fn fault(
        &mut self,
        file: &str,
        offset: u64,
        position: Option<u64>,
        kind: FaultKind,
        cause: Cause,
        text: String,
    ) -> Option<usize> {
        self.found.push_fault(Fault {
            file: file.to_owned(),
            offset,
            position,
            kind,
            cause,
            text,
        })
    }

    fn notice(&mut self, kind: FindingKind, text: String, facts: &FrameFacts) {
        if self.found.notices.len() < LISTED_MAX {
            self.found.notices.push(Notice {
                kind,
                text,
                from_us: Some(facts.header.wall_us),
                to_us: None,
            });
        }
    }

    fn gap(
        &mut self,
        facts: &FrameFacts,
        position: u64,
        frames: u64,
        events: Option<u64>,
        why: GapWhy,
    ) -> Option<usize> {
        self.found.push_gap(Gap {
            source: self.source,
            from_us: self.next.map(|next| next.wall_us),
            to_us: Some(facts.header.wall_us),
            position,
            frames,
            events,
            why,
        })
    }
}

/// How the journal ends, as far as it was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// By a close.
    Close,
    /// By a close, and a signature over it.
    Signed,
}

/// How a frame stands to those before it.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// Nothing stood before it.
    First,
    /// It follows.
    Next,
    /// Others are missing before it.
    Later,
    /// It is one of those that were missing.
    Late,
}

/// `segment 3 is` or `segments 3 to 5 are`.
fn segments(from: u32, to: u32) -> String {
    if from == to {
        format!("segment {from} is")
    } else {
        format!("segments {from} to {to} are")
    }
}

/// `frame 3 is` or `frames 3 to 5 are`.
fn frames(from: u64, to: u64) -> String {
    if from == to {
        format!("frame {from} is")
    } else {
        format!("frames {from} to {to} are")
    }
}

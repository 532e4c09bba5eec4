//! Follows chain, seals and positions over the segments of one journal, in order, and gathers
//! what is wrong, what is missing, and which frames can be trusted.

use std::collections::BTreeMap;

use saigen_schemas::event::{BootId, KindName};
use saigen_schemas::journal::checkpoint::Checkpoint;
use saigen_schemas::journal::seal::{
    ChainValue, EnrolmentId, EnrolmentSecret, Follower, STEPS_MAX, SealCheck, chain_start,
};
use saigen_schemas::journal::{FrameKind, Opening};
use saigen_schemas::report::{Cause, FindingKind, Verdict};

use crate::evidence::clocks::Clocks;
use crate::evidence::scan::{Content, Damage, EventFacts, FrameFacts};
use crate::evidence::signatures::{Root, Signatures, Trust};
use crate::evidence::verdict::{Completeness, Fault, FaultKind, Notice, Stretch, WhoRecorded};
use crate::reference::SourceId;
use crate::stream::{Gap, GapWhy};

/// How many positions a crash may skip: the key on disk is at most that far ahead.
const CRASH_FRAMES_MAX: u64 = 32;

/// Most faults that are listed, and most holes that are remembered.
const LISTED_MAX: usize = 1000;

/// What a frame's seal is checked against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// The enrolment, if it is known from an opening or a key.
    pub(super) enrolment: Option<EnrolmentId>,
    /// Its secret, or its public key, if the examiner holds one.
    pub(super) root: Root<'a>,
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
    /// Whether the chain's value before the next frame is known.
    chain_known: bool,
    sealed: Option<bool>,
    steps_left: u64,
    segment: Option<Segment>,
    last_number: Option<u32>,
    next: Option<Next>,
    holes: Vec<(u64, u64)>,
    damage: Option<Damage>,
    torn: Option<usize>,
    jump: Option<Jump>,
    clocks: Clocks,
    end: End,
    pub(super) found: Totals,
}

/// The segment that is being followed.
struct Segment {
    index: usize,
    name: String,
    number: u32,
    frames: u64,
    told_seal: bool,
}

/// What the frame before leads to.
#[derive(Clone, Copy)]
struct Next {
    position: u64,
    seq: u64,
    wall_us: i64,
}

/// Positions that were skipped where a segment begins, until the next frame says whether that was
/// a crash.
struct Jump {
    fault: Fault,
    gap: Gap,
}

/// What was gathered on the way.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) recorded: WhoRecorded,
    pub(super) frames: u64,
    pub(super) damaged: u64,
    pub(super) events: u64,
    pub(super) lost: u64,
    pub(super) lost_by_source: BTreeMap<String, u64>,
    pub(super) kinds: BTreeMap<KindName, u64>,
    pub(super) sources: BTreeMap<&'static str, u64>,
    pub(super) completeness: Option<Completeness>,
    pub(super) span_us: Option<(i64, i64)>,
    pub(super) positions: Option<(u64, u64)>,
    pub(super) last_sealed_us: Option<i64>,
    /// The last position that is covered by a signature that holds, of the enrolment's key.
    pub(super) signed_to: Option<u64>,
    pub(super) stretches: Vec<Stretch>,
    pub(super) faults: Vec<Fault>,
    pub(super) faults_unlisted: u64,
    pub(super) notices: Vec<Notice>,
    pub(super) gaps: Vec<Gap>,
    boots: Vec<BootId>,
}

impl<'a> Trail<'a> {
    pub(super) fn new(source: SourceId, expected: Expected<'a>) -> Self {
        let start = expected.enrolment.map_or(ChainValue([0; 32]), chain_start);
        Self {
            source,
            expected,
            follower: Follower::new(start, expected.secret()),
            signatures: Signatures::new(expected.enrolment, expected.root),
            unsigned_from: 0,
            chain_known: false,
            sealed: None,
            steps_left: STEPS_MAX,
            segment: None,
            last_number: None,
            next: None,
            holes: Vec::new(),
            damage: None,
            torn: None,
            jump: None,
            clocks: Clocks::default(),
            end: End::Open,
            found: Totals::default(),
        }
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
        if let Some(last) = self.last_number
            && number > last + 1
        {
            let text = format!("{} not here", segments(last + 1, number - 1));
            self.fault(name, 0, None, FaultKind::Incomplete, Cause::Missing, text);
        } else if self.last_number.is_none() && number > 1 {
            let text = format!("{} not here", segments(1, number - 1));
            self.fault(name, 0, None, FaultKind::Incomplete, Cause::Missing, text);
        }
        self.last_number = Some(number);
        self.segment = Some(Segment {
            index,
            name: name.to_owned(),
            number,
            frames: 0,
            told_seal: false,
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
            self.fault(&name, 0, None, FaultKind::Incomplete, Cause::Missing, text);
        }
    }

    /// Bytes that are no frame.
    pub(super) fn damaged(&mut self, damage: Damage) {
        let position = self.next.map(|next| next.position);
        let name = self.segment_name();
        if damage.cut {
            let text = format!(
                "it ends within a frame: {}, {} bytes",
                damage.error, damage.len
            );
            self.torn = Some(self.found.faults.len());
            self.fault(
                &name,
                damage.offset,
                position,
                FaultKind::Incomplete,
                Cause::Missing,
                text,
            );
        } else {
            let text = format!("{}; {} bytes cannot be read", damage.error, damage.len);
            self.fault(
                &name,
                damage.offset,
                position,
                FaultKind::Altered,
                Cause::Checksum,
                text,
            );
        }
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
        self.settle_jump(&facts);
        if let Content::Opening(opening) = &facts.content {
            self.opening(&facts, opening);
        }
        let (verdict, cause) = self.seal(&facts, standing);
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
            | FrameKind::Checkpoint => End::Open,
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
        self.chain_known = false;
        self.signatures.missing();
        let events = facts.header.first_seq.checked_sub(next.seq);
        let damage = self.damage.take();
        if damage.as_ref().is_some_and(|damage| !damage.cut) {
            self.gap(facts, next.position, missing, events, GapWhy::Damaged);
            return;
        }
        let text = format!("{} missing", frames(next.position, position - 1));
        let at_border = facts.header.kind == FrameKind::Open;
        let fault = Fault {
            file: self.segment_name(),
            offset: facts.offset,
            position: Some(next.position),
            kind: if at_border {
                FaultKind::Incomplete
            } else {
                FaultKind::Altered
            },
            cause: Cause::Missing,
            text,
        };
        let gap = Gap {
            source: self.source,
            from_us: Some(next.wall_us),
            to_us: Some(facts.header.wall_us),
            position: next.position,
            frames: missing,
            events,
            why: GapWhy::Missing,
        };
        if at_border && missing <= CRASH_FRAMES_MAX {
            self.jump = Some(Jump { fault, gap });
        } else {
            self.push_fault(fault);
            self.push_gap(gap);
        }
    }

    /// Whether positions that were skipped at a segment's beginning are a declared crash: its
    /// second frame is a boot frame.
    fn settle_jump(&mut self, facts: &FrameFacts) {
        if facts.header.kind == FrameKind::Open {
            return;
        }
        let torn = self.torn.take();
        let Some(Jump { mut fault, mut gap }) = self.jump.take() else {
            return;
        };
        if facts.header.kind == FrameKind::Boot {
            fault.kind = FaultKind::Crash;
            fault.text = format!(
                "the recorder says that it was started again: {}",
                fault.text
            );
            gap.why = GapWhy::Crash;
            if let Some(torn) = torn.and_then(|torn| self.found.faults.get_mut(torn)) {
                torn.kind = FaultKind::Crash;
            }
        }
        self.push_fault(fault);
        self.push_gap(gap);
    }

    /// An opening says what the segment is, and after which value of the chain it stands.
    fn opening(&mut self, facts: &FrameFacts, opening: &Opening) {
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
        let Some(said) = ChainValue::parse(&opening.chain) else {
            self.altered(
                facts,
                Cause::Seal,
                "its opening names no value of the chain",
            );
            self.chain_known = false;
            return;
        };
        let first = opening.segment == 1;
        if first && self.found.frames == 0 {
            if self.expected.enrolment.map(chain_start) != Some(said) {
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
        } else if self.chain_known && self.follower.chain() != said {
            self.altered(facts, Cause::Seal, "the segment before does not end with the value of the chain after which this one stands: frames before were changed");
        }
        if !self.chain_known || self.follower.chain() != said {
            self.unsigned_from = self.found.stretches.len();
        }
        self.follower.restart(said);
        self.chain_known = true;
        if let Err(text) = self.signatures.opening(&facts.header, opening) {
            self.altered(facts, Cause::Seal, text);
        }
    }

    /// Checks the seal, and follows the chain.
    fn seal(&mut self, facts: &FrameFacts, standing: Standing) -> (Verdict, Option<Cause>) {
        let tagged = facts.tag != [0; 16];
        let sealed = self.sealed.unwrap_or(tagged);
        if sealed != tagged {
            let text = if sealed {
                "its seal was taken off"
            } else {
                "it has a seal in a journal without"
            };
            self.seal_fault(facts, text);
            self.chain_known = false;
            return (Verdict::Altered, Some(Cause::Seal));
        }
        if matches!(standing, Standing::Late) {
            return (Verdict::Altered, Some(Cause::Order));
        }
        if let Content::Checkpoint(checkpoint) = &facts.content {
            self.checkpoint(facts, checkpoint);
        }
        self.signatures.frame(&facts.digest);
        let check = self.chain_known.then(|| self.follow(facts));
        match check {
            _ if !sealed => (Verdict::Unsealed, None),
            None => (Verdict::Unverified, Some(Cause::Seal)),
            Some(SealCheck::Good) => (Verdict::Intact, None),
            Some(SealCheck::Unchecked) => (Verdict::Unverified, Some(Cause::Key)),
            Some(SealCheck::Bad) => {
                self.seal_fault(
                    facts,
                    "its seal does not hold: it, or what stood before it, was changed",
                );
                self.chain_known = false;
                (Verdict::Altered, Some(Cause::Seal))
            }
        }
    }

    /// Checks a checkpoint. Where its key is known to be the enrolment's, all that the chain
    /// covers before it is what was recorded, for whoever holds the public key. Its own frame is
    /// covered by the next.
    fn checkpoint(&mut self, facts: &FrameFacts, checkpoint: &Checkpoint) {
        let chain = self.chain_known.then(|| self.follower.chain());
        match self.signatures.checkpoint(checkpoint, &facts.header, chain) {
            Ok(Some(Trust::Proven)) => {
                self.found.signed_to = facts.header.position.checked_sub(1);
                let covered = self.found.stretches.get_mut(self.unsigned_from..);
                for stretch in covered.unwrap_or_default() {
                    if (stretch.verdict, stretch.cause) == (Verdict::Unverified, Some(Cause::Key)) {
                        (stretch.verdict, stretch.cause) = (Verdict::Intact, None);
                    }
                }
                self.unsigned_from = self.found.stretches.len();
            }
            Ok(Some(Trust::Claimed) | None) => {}
            Err(text) => {
                self.altered(facts, Cause::Seal, text);
            }
        }
    }

    /// Follows over one frame. Where the seal does not hold, keys are not derived further than
    /// they were: a header that names a far position must not spoil those of the frames behind it.
    fn follow(&mut self, facts: &FrameFacts) -> SealCheck {
        let mut ahead = self.follower.clone();
        let steps = self.follower.steps_to(facts.header.position);
        if steps > self.steps_left {
            return SealCheck::Bad;
        }
        let check = ahead.follow_digest(&facts.digest, facts.tag, facts.header.position);
        if check == SealCheck::Bad {
            self.steps_left -= steps;
        } else {
            self.follower = ahead;
        }
        check
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
        if let Content::Events(events) = &facts.content {
            found.events += u64::from(header.events);
            let (first, last) = found.span_us.unwrap_or((header.first_us, header.last_us));
            found.span_us = Some((first.min(header.first_us), last.max(header.last_us)));
            found.add(events);
        }
        let segment = self.segment.as_ref().map_or(0, |segment| segment.index);
        found.stretch(segment, &facts, judged);
    }

    /// All segments were followed: what was still open is told.
    pub(super) fn finish(&mut self) {
        if let Some(Jump { fault, gap }) = self.jump.take() {
            self.push_fault(fault);
            self.push_gap(gap);
        }
        if self.damage.take().is_some() {
            self.found.damaged += 1;
            self.push_gap(Gap {
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

    fn seal_fault(&mut self, facts: &FrameFacts, text: &str) {
        let told = self
            .segment
            .as_mut()
            .is_some_and(|segment| std::mem::replace(&mut segment.told_seal, true));
        if !told {
            self.altered(facts, Cause::Seal, text);
        }
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

    /// Something is wrong.
    pub(super) fn fault(
        &mut self,
        file: &str,
        offset: u64,
        position: Option<u64>,
        kind: FaultKind,
        cause: Cause,
        text: String,
    ) {
        self.push_fault(Fault {
            file: file.to_owned(),
            offset,
            position,
            kind,
            cause,
            text,
        });
    }

    fn push_fault(&mut self, fault: Fault) {
        // The gravest is never left out: it is the verdict.
        let gravest = self
            .found
            .faults
            .iter()
            .all(|other| fault.kind < other.kind);
        if self.found.faults.len() < LISTED_MAX || gravest {
            self.found.faults.push(fault);
        } else {
            self.found.faults_unlisted += 1;
        }
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
    ) {
        self.push_gap(Gap {
            source: self.source,
            from_us: self.next.map(|next| next.wall_us),
            to_us: Some(facts.header.wall_us),
            position,
            frames,
            events,
            why,
        });
    }

    fn push_gap(&mut self, gap: Gap) {
        if self.found.gaps.len() < LISTED_MAX {
            self.found.gaps.push(gap);
        }
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

impl Totals {
    fn add(&mut self, events: &EventFacts) {
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
    fn join_stretches(&mut self) {
        self.stretches.dedup_by(|next, last| last.join(next));
    }

    /// Adds a frame to the stretch that it goes on, or begins one.
    fn stretch(&mut self, segment: usize, facts: &FrameFacts, judged: Judged) {
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
        let joined = self
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
struct Judged {
    verdict: Verdict,
    cause: Option<Cause>,
    decodes: bool,
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

//! When a frame is closed, sealed and made durable.
//!
//! A frame closes when it is large enough, five seconds after its first event, or soon after a
//! critical event. What was sealed is durable at those five seconds, and at once after a
//! critical event. When nothing happens a heartbeat is sealed. The writer has no clock: every
//! call brings the time, and [`Writer::deadline_us`] says when the next call must come.
//!
//! How a frame is sealed and written stands in `sealing`, how a segment is opened and signed in `segment`, what
//! goes when the journal has grown to its quota in `quota`, and what gives way before that in `noise`.

use std::collections::VecDeque;
use std::io;

use saigen_schemas::event::{
    ClockStep, Event, Fields, Kind, KindName, Marks, RecordLoss, RecordSuspend, Source, Text, Value,
};
use saigen_schemas::journal::seal::{ChainValue, EnrolmentId, Sealer, chain_start};
use saigen_schemas::journal::{
    FRAME_RAW_BYTES_TARGET, FrameKind, PayloadBuilder, RemovedSegment, merkle,
};

use crate::clock::Now;
use crate::journal::settings::{Identity, Limits, Recording, Urgency, WriteError};
use crate::journal::store::Store;
use crate::journal::tail::Tail;
use crate::keys::KeyState;

/// How long an event may wait before it is durable: what a crash may cost.
const FLUSH_US: u64 = 5_000_000;

/// How long an empty period may be before it is sealed.
const HEARTBEAT_US: u64 = 10_000_000;

/// How long news may wait for a signature that convinces everyone.
const CHECKPOINT_US: u64 = 60_000_000;

/// The least time between two seals made for critical events: 20 a second at the most, so that
/// an attacker who causes many does not make us a burden to the disk.
const CRITICAL_GAP_US: u64 = 50_000;

/// How long a segment is written to.
const SEGMENT_US: u64 = 3_600_000_000;

/// By how much wall and boot clock must part between two calls to be a step. Reading two clocks
/// takes a moment, and a loaded machine may stop us in between.
const CLOCK_STEP_US: u64 = 100_000;

/// By how much boot and monotonic clock must part between two calls to be a sleep.
const SUSPEND_US: u64 = 1_000_000;

/// Writes one journal.
#[derive(Debug)]
pub struct Writer<S> {
    store: S,
    sealer: Sealer,
    key: Option<KeyState>,
    enrolment: EnrolmentId,
    /// The tree over the open segment's frames, and the position of its first.
    tree: merkle::Growing,
    first_position: u64,
    /// The position of the recording's first frame.
    began_at: u64,
    /// When the oldest frame that no checkpoint covers was sealed; heartbeats alone are no news.
    unsigned_us: Option<u64>,
    recording: Recording,
    limits: Limits,
    builder: PayloadBuilder,
    payload: Vec<u8>,
    frame: Vec<u8>,
    next_seq: u64,
    lost: u64,
    segment: u32,
    segment_bytes: u64,
    segment_began_us: u64,
    journal_bytes: u64,
    /// When the first event of the open frame came.
    frame_began_us: Option<u64>,
    /// When the first frame that is not durable yet was written.
    unsynced_us: Option<u64>,
    critical: bool,
    critical_sealed_us: Option<u64>,
    sealed_us: u64,
    offset_us: i64,
    slept_us: u64,
    room: Room,
    /// Number and length of the closed segments that are left, the oldest first.
    closed: VecDeque<(u32, u64)>,
    /// What is told of the newest segments that were removed.
    removed: Vec<RemovedSegment>,
    /// How far lists of removed segments in this journal tell of keys.
    list: Option<quota::ListOfKeys>,
    noise: noise::Noise,
}

/// Whether there is space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Enough,
    /// The disk was full once, or the journal is being closed: the reserve is being used.
    Reserve,
    /// A frame could not be written whole. Nothing is written after it.
    Torn,
}

impl<S: Store> Writer<S> {
    /// Begins a journal in `store` with its first segment.
    ///
    /// # Errors
    /// If nothing can be written.
    pub fn create(
        store: S,
        identity: Identity,
        recording: Recording,
        limits: Limits,
        now: Now,
    ) -> Result<Self, WriteError> {
        Self::begin(store, identity, recording, limits, None, now)
    }

    /// Goes on with a journal that was broken off, in its next segment. The first event must be
    /// the boot: by it a reader knows that the recorder was started again.
    ///
    /// # Errors
    /// If nothing can be written.
    pub fn go_on(
        store: S,
        identity: Identity,
        recording: Recording,
        limits: Limits,
        tail: &Tail,
        now: Now,
    ) -> Result<Self, WriteError> {
        Self::begin(store, identity, recording, limits, Some(tail), now)
    }

    fn begin(
        store: S,
        identity: Identity,
        recording: Recording,
        limits: Limits,
        tail: Option<&Tail>,
        now: Now,
    ) -> Result<Self, WriteError> {
        let (enrolment, key, sealer) = match identity {
            Identity::Sealed(state, key) => {
                let enrolment = state.enrolment();
                (
                    enrolment,
                    Some(state),
                    Sealer::sealed(chain_start(enrolment), key),
                )
            }
            Identity::Unsealed(enrolment) => {
                (enrolment, None, Sealer::unsealed(chain_start(enrolment), 0))
            }
        };
        let mut writer = Self {
            store,
            began_at: sealer.position(),
            sealer,
            key,
            enrolment,
            tree: merkle::Growing::default(),
            first_position: 0,
            unsigned_us: None,
            recording,
            limits,
            builder: PayloadBuilder::default(),
            payload: Vec::new(),
            frame: Vec::new(),
            next_seq: 0,
            lost: 0,
            segment: 0,
            segment_bytes: 0,
            segment_began_us: now.boot_us,
            journal_bytes: 0,
            frame_began_us: None,
            unsynced_us: None,
            critical: false,
            critical_sealed_us: None,
            sealed_us: now.boot_us,
            offset_us: now.offset_us(),
            slept_us: now.slept_us(),
            room: Room::Enough,
            closed: VecDeque::new(),
            removed: Vec::new(),
            list: None,
            noise: noise::Noise::default(),
        };
        if let Some(tail) = tail {
            writer.take_up(tail);
        }
        writer.begin_segment(now)?;
        writer.sync()?;
        Ok(writer)
    }

    /// Goes on where a recording was broken off: in a new segment, after the last whole frame.
    fn take_up(&mut self, tail: &Tail) {
        let position = tail.position.saturating_add(1);
        self.sealer = match self.sealer.key() {
            Some(key) => Sealer::sealed(tail.chain, key.clone()),
            None => Sealer::unsealed(tail.chain, position),
        };
        self.began_at = tail.recording;
        self.next_seq = tail.next_seq;
        self.lost = tail.lost;
        self.segment = tail.segments.last().map_or(0, |(number, _)| *number);
        self.closed.extend(&tail.segments);
        self.journal_bytes = tail.segments.iter().map(|(_, bytes)| bytes).sum();
    }

    /// The number of the next event.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The position of the next frame, and the chain after the last: what an anchor is made of.
    #[must_use]
    pub fn head(&self) -> (u64, ChainValue) {
        (self.sealer.position(), self.sealer.chain())
    }

    /// The segment that is being written, from 1. When it has changed, the state of the machine
    /// should be recorded again, so that the segment stands on its own.
    #[must_use]
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// Bytes written so far.
    #[must_use]
    pub fn journal_bytes(&self) -> u64 {
        self.journal_bytes
    }

    /// Events lost so far, over all sources.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds an event; its own `seq` is not looked at, it gets [`Self::next_seq`].
    ///
    /// Events about the recording itself (losses, clocks, boot, configuration) close the frame
    /// before them and get one of their own.
    ///
    /// # Errors
    /// If a frame had to be written and could not be.
    pub fn push(
        &mut self,
        event: &Event<'_>,
        urgency: Urgency,
        now: Now,
    ) -> Result<(), WriteError> {
        let name = event.kind.name();
        if self.thins(name, urgency, now) {
            return Ok(());
        }
        let kind = frame_kind(name);
        if kind != FrameKind::Data {
            self.seal_events(FrameKind::Data, now)?;
        }
        if !self.builder.has_room(text_bytes(event)) {
            self.seal_events(FrameKind::Data, now)?;
            if !self.builder.has_room(text_bytes(event)) {
                // More than a frame can hold: no source gives this much in one event.
                return self.lose("recorder", Some(1), "an event larger than a frame", now);
            }
        }
        let before = self.builder.raw_len();
        self.builder.push(event);
        if noise::is_noise(name) && urgency == Urgency::Ordinary {
            self.noise
                .count(self.builder.raw_len().saturating_sub(before));
        }
        self.next_seq += 1;
        self.frame_began_us.get_or_insert(now.boot_us);
        self.critical |= urgency == Urgency::Critical;
        if kind != FrameKind::Data {
            self.seal_events(kind, now)?;
            return self.sync();
        }
        if self.builder.raw_len() >= FRAME_RAW_BYTES_TARGET {
            self.seal_events(FrameKind::Data, now)?;
        }
        self.flush_critical(now)
    }

    /// Records that `count` events (none: an unknown number) of a source are missing.
    ///
    /// # Errors
    /// If the frame could not be written.
    pub fn lose(
        &mut self,
        name: &str,
        count: Option<u64>,
        detail: &str,
        now: Now,
    ) -> Result<(), WriteError> {
        let kind = Kind::RecordLoss(RecordLoss {
            name: Some(name.into()),
            count,
            from_us: Some(self.sealed_us),
            to_us: Some(now.boot_us),
            detail: Some(detail.into()),
        });
        self.lost += count.unwrap_or(1);
        self.push_own(kind, now)
    }

    /// Does what is due: closes the frame that has waited, makes durable what was written, seals
    /// an empty period, notices steps of the clock and sleep. Call it at [`Self::deadline_us`].
    ///
    /// # Errors
    /// If a frame could not be written or made durable.
    pub fn tick(&mut self, now: Now) -> Result<(), WriteError> {
        self.notice_clocks(now)?;
        if self.noise.deadline_us().is_some_and(|at| now.boot_us >= at) {
            self.tell_thinned(now)?;
        }
        self.flush_critical(now)?;
        let waited = |since: Option<u64>| {
            since.is_some_and(|since| now.boot_us.saturating_sub(since) >= FLUSH_US)
        };
        if waited(self.frame_began_us) || waited(self.unsynced_us) {
            self.seal_events(FrameKind::Data, now)?;
            self.sync()?;
        }
        if now.boot_us.saturating_sub(self.sealed_us) >= HEARTBEAT_US {
            self.seal(FrameKind::Heartbeat, None, now)?;
            self.sync()?;
            self.keep_to_quota(now)?;
        }
        let unsigned = self
            .unsigned_us
            .map(|since| now.boot_us.saturating_sub(since));
        if unsigned.is_some_and(|waited| waited >= CHECKPOINT_US) {
            self.seal_events(FrameKind::Data, now)?;
            self.checkpoint(now)?;
            self.sync()?;
        }
        Ok(())
    }

    /// When [`Self::tick`] must be called next, on the boot clock.
    #[must_use]
    pub fn deadline_us(&self) -> u64 {
        let critical = self
            .critical_sealed_us
            .filter(|_| self.critical)
            .map(|at| at + CRITICAL_GAP_US);
        let flush = self
            .frame_began_us
            .into_iter()
            .chain(self.unsynced_us)
            .map(|at| at + FLUSH_US);
        flush
            .chain(critical)
            .chain([self.sealed_us + HEARTBEAT_US])
            .chain(self.unsigned_us.map(|at| at + CHECKPOINT_US))
            .chain(self.noise.deadline_us())
            .min()
            .unwrap_or(self.sealed_us)
    }

    /// Ends the journal as it should end, and gives the store back.
    ///
    /// # Errors
    /// If the last frames could not be written: the journal then has an open end.
    pub fn close(mut self, now: Now) -> Result<S, WriteError> {
        // The reserve is kept for this.
        self.store.give_back_reserve();
        self.limits.journal_bytes_max = u64::MAX;
        self.limits.segment_bytes = u64::MAX;
        if self.room == Room::Enough {
            self.room = Room::Reserve;
        }
        self.tell_thinned(now)?;
        self.seal_events(FrameKind::Data, now)?;
        self.seal(FrameKind::Close, None, now)?;
        self.checkpoint(now)?;
        self.sync()?;
        if let (Some(state), Some(key)) = (&mut self.key, self.sealer.key()) {
            state.settle(key).map_err(WriteError::Key)?;
        }
        Ok(self.store)
    }

    fn flush_critical(&mut self, now: Now) -> Result<(), WriteError> {
        let soon = self
            .critical_sealed_us
            .is_some_and(|at| now.boot_us.saturating_sub(at) < CRITICAL_GAP_US);
        if !self.critical || soon {
            return Ok(());
        }
        self.critical_sealed_us = Some(now.boot_us);
        self.seal_events(FrameKind::Data, now)?;
        self.critical = false;
        self.sync()
    }

    fn notice_clocks(&mut self, now: Now) -> Result<(), WriteError> {
        let old_offset_us = std::mem::replace(&mut self.offset_us, now.offset_us());
        if old_offset_us.abs_diff(self.offset_us) >= CLOCK_STEP_US {
            let step = ClockStep {
                old_offset_us: Some(old_offset_us),
                offset_us: Some(self.offset_us),
            };
            self.push_own(Kind::ClockStep(step), now)?;
        }
        let slept = now.slept_us().saturating_sub(self.slept_us);
        self.slept_us = now.slept_us();
        if slept >= SUSPEND_US {
            let suspend = RecordSuspend {
                run_us: Some(slept),
            };
            self.push_own(Kind::RecordSuspend(suspend), now)?;
        }
        Ok(())
    }

    /// Adds an event of the recorder itself.
    fn push_own(&mut self, kind: Kind<'_>, now: Now) -> Result<(), WriteError> {
        let host = std::mem::take(&mut self.recording.host);
        let event = Event {
            seq: self.next_seq,
            time: now.time(),
            recorded_us: None,
            host: Text(host.as_bytes()),
            boot: self.recording.boot,
            source: Source::Recorder,
            actor: None,
            marks: Marks(&[]),
            extra: Fields(&[]),
            kind,
        };
        let pushed = self.push(&event, Urgency::Critical, now);
        self.recording.host = host;
        pushed
    }

    /// Seals the events gathered so far, if there are any.
    fn seal_events(&mut self, kind: FrameKind, now: Now) -> Result<(), WriteError> {
        if self.builder.events() == 0 {
            return Ok(());
        }
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| WriteError::Io {
            doing: "draw random bytes",
            error: io::Error::other(error),
        })?;
        self.payload.clear();
        let raw = u64::try_from(self.builder.raw_len()).unwrap_or(u64::MAX);
        let summary = self.builder.finish(salt, &mut self.payload);
        self.frame_began_us = None;
        let before = self.segment_bytes;
        self.seal(kind, Some(summary), now)?;
        self.noise.sealed(self.segment_bytes - before, raw);
        if self.segment_bytes >= self.limits.segment_bytes
            || now.boot_us.saturating_sub(self.segment_began_us) >= SEGMENT_US
        {
            self.begin_segment(now)?;
        }
        self.keep_to_quota(now)
    }
}

/// The frame that an event needs.
fn frame_kind(kind: KindName) -> FrameKind {
    let own = [
        (KindName::RecordLoss, FrameKind::Loss),
        (KindName::ClockStep, FrameKind::Clock),
        (KindName::RecordSuspend, FrameKind::Suspend),
        (KindName::RecordBoot, FrameKind::Boot),
        (KindName::RecordConfiguration, FrameKind::Configuration),
    ];
    own.into_iter()
        .find(|(name, _)| *name == kind)
        .map_or(FrameKind::Data, |(_, frame)| frame)
}

/// The bytes of an event's texts.
fn text_bytes(event: &Event<'_>) -> usize {
    let mut bytes = event.host.0.len() + event.extra.0.len() + event.marks.0.len();
    event.kind.visit(|_, value| {
        bytes += match value {
            Value::Text(text) => text.0.len(),
            Value::Args(args) => args.0.len(),
            Value::Unsigned(_)
            | Value::Signed(_)
            | Value::Process(_)
            | Value::Ip(_)
            | Value::Hash(_)
            | Value::Guid(_)
            | Value::Word(_) => 0,
        };
    });
    bytes
}

mod noise;
mod quota;
mod sealing;
mod segment;

#[cfg(test)]
mod tests;

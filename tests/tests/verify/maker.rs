//! Makes small journals, by the contract's own writer.

use std::fs;
use std::path::{Path, PathBuf};

use saigen_schemas::event::{
    Args, BootId, ClockStep, Event, Fields, FileWritten, Kind, Marks, ProcessKey, ProcessStart,
    RecordBoot, RecordLoss, Source, Time,
};
use saigen_schemas::journal::checkpoint::{
    CHECKPOINT_BYTES, CHECKPOINT_PAYLOAD_BYTES, Checkpoint, CheckpointKey, Succession,
};
use saigen_schemas::journal::merkle::{self, frame_leaf};
use saigen_schemas::journal::seal::{
    ChainValue, EnrolmentId, EnrolmentSecret, FrameKey, Sealer, chain_start,
};
use saigen_schemas::journal::{
    AHEAD_DEFAULT, Anchor, AuditorKey, EndpointKey, FORMAT_VERSION, FrameHeader, FrameKind,
    OfEvents, Opening, PayloadBuilder, PayloadSummary, Removed, SourceLevel, SuccessionText,
    segment_file_name,
};

/// Wall clock of the first frame, µs.
pub const BEGIN_US: i64 = 1_700_000_000_000_000;

/// Whether a journal is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    Sealed,
    Unsealed,
}

/// A recorder without a machine.
pub struct Recorder {
    auditor: AuditorKey,
    checkpoint_key: Option<CheckpointKey>,
    sealer: Sealer,
    host: String,
    seq: u64,
    clock_s: u32,
    digests: Vec<[u8; 32]>,
    first_position: u64,
    began_at: u64,
    successions: Vec<Succession>,
    /// Whether roots over events are false, as a recorder that is not ours might write them.
    pub false_roots: bool,
    pub segments: Vec<Vec<u8>>,
}

impl Recorder {
    /// Begins a recording of an enrolment, which a byte stands for.
    pub fn new(enrolment: u8, sealing: Sealing) -> Self {
        let auditor = AuditorKey {
            enrolment: EnrolmentId([enrolment; 16]),
            secret: EnrolmentSecret([enrolment; 32]),
            ahead: AHEAD_DEFAULT,
        };
        let start = chain_start(auditor.enrolment);
        let (sealer, checkpoint_key) = match sealing {
            Sealing::Sealed => (
                Sealer::sealed(start, FrameKey::first(&auditor.secret)),
                Some(CheckpointKey::first(&auditor.secret)),
            ),
            Sealing::Unsealed => (Sealer::unsealed(start, 0), None),
        };
        Self {
            auditor,
            checkpoint_key,
            sealer,
            host: format!("host-{enrolment}"),
            seq: 0,
            clock_s: 0,
            digests: Vec::new(),
            first_position: 0,
            began_at: 0,
            successions: Vec::new(),
            false_roots: false,
            segments: Vec::new(),
        }
    }

    /// The journal that most tests begin with: two segments, every sort of frame, a close.
    pub fn story(enrolment: u8, sealing: Sealing) -> Self {
        let mut recorder = Self::new(enrolment, sealing);
        recorder.open();
        recorder.boot();
        recorder.work(3);
        recorder.frame(FrameKind::Heartbeat);
        recorder.checkpoint();
        recorder.open();
        recorder.work(2);
        recorder.loss(7);
        recorder.clock_step();
        recorder.close();
        recorder
    }

    /// Another recording of the same enrolment, in a journal of its own.
    pub fn again(&self) -> Self {
        let mut key = FrameKey::first(&self.auditor.secret);
        while key.position() < self.sealer.position() {
            key.advance();
        }
        let mut recorder = Self::new(self.auditor.enrolment.0[0], Sealing::Sealed);
        recorder.sealer = Sealer::sealed(chain_start(self.auditor.enrolment), key);
        recorder.began_at = recorder.sealer.position();
        recorder.successions.clone_from(&self.successions);
        recorder.checkpoint_key.clone_from(&self.checkpoint_key);
        recorder.clock_s = self.clock_s + 60;
        recorder
    }

    /// The recorder crashes and is started again: so many positions are skipped, and the next segment
    /// says so.
    pub fn crash(&mut self, skipped: u64) {
        let mut key = self.sealer.key().unwrap().clone();
        for _ in 0..skipped {
            key.advance();
        }
        self.sealer = Sealer::sealed(self.sealer.chain(), key);
        self.clock_s += 1;
        self.open();
        self.boot();
    }

    /// A thief of the present keys, who goes on from an earlier frame of the open segment, as if the ones
    /// behind it had never been.
    pub fn thief(&self, kept: &[Vec<u8>], position: u64, chain: ChainValue) -> Self {
        let stolen = self.sealer.key().unwrap();
        let mut thief = Self::new(self.auditor.enrolment.0[0], Sealing::Sealed);
        thief.sealer = Sealer::sealed(chain, FrameKey::resume(*stolen.bytes(), position));
        thief.checkpoint_key.clone_from(&self.checkpoint_key);
        thief.successions.clone_from(&self.successions);
        thief.clock_s = self.clock_s;
        thief.segments = kept.to_vec();
        thief
    }

    /// What the thief must know of the segment that is open: where it begins, its frames, the events so far.
    pub fn within(&mut self, first_position: u64, digests: Vec<[u8; 32]>, seq: u64) {
        (self.first_position, self.digests, self.seq) = (first_position, digests, seq);
    }

    /// The list that says that the first segments are removed, and what is then left.
    pub fn remove(&mut self, last_segment: u32) -> Vec<(u32, Vec<u8>)> {
        let next =
            FrameHeader::read(&self.segments[usize::try_from(last_segment).unwrap()]).unwrap();
        let generation = last_segment - 1;
        let steps = &self.successions[..usize::try_from(generation).unwrap()];
        let removed = Removed {
            last_segment,
            next_position: next.header.position,
            next_seq: next.header.first_seq,
            from_us: next.header.wall_us,
            chain: next.header.before.to_string(),
            generation,
            successions: steps.iter().map(SuccessionText::new).collect(),
            segments: Vec::new(),
        };
        let mut payload = Vec::new();
        let raw_len = removed.write(&mut payload);
        let summary = PayloadSummary {
            raw_len,
            ..PayloadSummary::default()
        };
        self.seal(FrameKind::Removed, summary, &payload);
        self.close();
        let numbered = (1..).zip(self.segments.iter().cloned());
        numbered
            .filter(|(number, _)| *number > last_segment)
            .collect()
    }

    /// The anchor at the last frame.
    pub fn anchor(&self) -> Anchor {
        Anchor {
            enrolment: self.auditor.enrolment,
            recording: self.began_at,
            host: self.host.clone(),
            position: self.sealer.position() - 1,
            chain: self.sealer.chain(),
            sealed_us: self.wall_us(),
        }
    }

    pub fn open(&mut self) {
        if let Some(key) = self.checkpoint_key.as_mut()
            && self.sealer.position() > 0
        {
            self.successions.push(key.succeed(self.auditor.enrolment));
        }
        let told = if self.segments.is_empty() {
            self.successions.as_slice()
        } else {
            &self.successions[self.successions.len().saturating_sub(1)..]
        };
        let number = u32::try_from(self.segments.len() + 1).unwrap();
        let opening = Opening {
            format: FORMAT_VERSION,
            segment: number,
            enrolment: self.auditor.enrolment.to_string(),
            sealed: self.checkpoint_key.is_some(),
            recording: self.began_at,
            host: self.host.clone(),
            tool: "maker".to_owned(),
            configuration_sha256: "00".repeat(32),
            generation: self.checkpoint_key.as_ref().map(CheckpointKey::generation),
            successions: told.iter().map(SuccessionText::new).collect(),
            scope: "system".to_owned(),
            sources: vec![SourceLevel {
                source: "perf".to_owned(),
                level: "own".to_owned(),
                gives: "starts".to_owned(),
                missed: "nothing".to_owned(),
            }],
        };
        let mut payload = Vec::new();
        let raw_len = opening.write(&mut payload);
        self.segments.push(Vec::new());
        self.digests.clear();
        self.first_position = self.sealer.position();
        let summary = PayloadSummary {
            raw_len,
            ..PayloadSummary::default()
        };
        self.seal(FrameKind::Open, summary, &payload);
    }

    pub fn boot(&mut self) {
        let kind = Kind::RecordBoot(RecordBoot {
            kernel: Some("Linux 6".into()),
            ..RecordBoot::default()
        });
        self.events(FrameKind::Boot, &[kind]);
    }

    /// Ordinary events: starts and writes in turn.
    pub fn work(&mut self, events: u32) {
        let paths: Vec<String> = (0..events)
            .map(|n| format!("/srv/data/{}", self.seq + u64::from(n)))
            .collect();
        let kinds: Vec<Kind<'_>> = paths
            .iter()
            .enumerate()
            .map(|(index, path)| {
                if index % 2 == 0 {
                    Kind::ProcessStart(ProcessStart {
                        image: Some(path.as_str().into()),
                        args: Some(Args(b"tool\0--quiet\0")),
                        ..ProcessStart::default()
                    })
                } else {
                    Kind::FileWritten(FileWritten {
                        path: Some(path.as_str().into()),
                        size: Some(17),
                        ..FileWritten::default()
                    })
                }
            })
            .collect();
        self.events(FrameKind::Data, &kinds);
    }

    pub fn loss(&mut self, count: u64) {
        let kind = Kind::RecordLoss(RecordLoss {
            name: Some("perf".into()),
            count: Some(count),
            ..RecordLoss::default()
        });
        self.events(FrameKind::Loss, &[kind]);
    }

    pub fn clock_step(&mut self) {
        let kind = Kind::ClockStep(ClockStep {
            old_offset_us: Some(0),
            offset_us: Some(1),
        });
        self.events(FrameKind::Clock, &[kind]);
    }

    pub fn close(&mut self) {
        self.frame(FrameKind::Close);
        self.checkpoint();
    }

    /// Lets time pass without a frame.
    pub fn sleep(&mut self, seconds: u32) {
        self.clock_s += seconds;
    }

    /// A frame without a payload.
    pub fn frame(&mut self, kind: FrameKind) {
        self.seal(kind, PayloadSummary::default(), b"");
    }

    pub fn checkpoint(&mut self) {
        let Some(key) = self.checkpoint_key.clone() else {
            return;
        };
        self.clock_s += 1;
        let root = merkle::root(self.digests.iter().map(frame_leaf).collect());
        let number = u32::try_from(self.segments.len()).unwrap();
        let blank = Checkpoint::over(number, self.first_position, root);
        let header = FrameHeader {
            raw_len: u32::try_from(CHECKPOINT_BYTES).unwrap(),
            ..self.header(FrameKind::Checkpoint)
        };
        let header = self.sealer.header(&header, CHECKPOINT_PAYLOAD_BYTES);
        let mut payload = Vec::new();
        key.sign(self.auditor.enrolment, &header, &blank)
            .write_payload(&mut payload);
        self.seal_header(&header, &payload);
    }

    fn events(&mut self, frame: FrameKind, kinds: &[Kind<'_>]) {
        let mut builder = PayloadBuilder::default();
        for (index, kind) in (0_u32..).zip(kinds) {
            builder.push(&Event {
                seq: self.seq + u64::from(index),
                time: Time {
                    wall_us: self.wall_us() + i64::from(index),
                    boot_us: Some(u64::from(self.clock_s) * 1_000_000),
                },
                recorded_us: None,
                host: self.host.as_str().into(),
                boot: BootId([8; 16]),
                source: Source::Perf,
                actor: Some(ProcessKey::new(100 + self.clock_s, 5)),
                marks: Marks(b""),
                extra: Fields(b""),
                kind: *kind,
            });
        }
        let mut payload = Vec::new();
        let summary = builder.finish([5; 16], &mut payload);
        self.seal(frame, summary, &payload);
    }

    fn seal(&mut self, kind: FrameKind, summary: PayloadSummary, payload: &[u8]) {
        self.clock_s += 1;
        let header = FrameHeader {
            events: summary.events,
            raw_len: summary.raw_len,
            of_events: kind.holds_events().then_some(OfEvents {
                first_us: summary.first_us,
                last_us: summary.last_us,
                kinds: summary.kinds,
                root: if self.false_roots {
                    [9; 32]
                } else {
                    summary.root
                },
            }),
            ..self.header(kind)
        };
        self.seal_header(&header, payload);
    }

    fn header(&self, kind: FrameKind) -> FrameHeader {
        FrameHeader {
            kind,
            position: 0,
            first_seq: self.seq,
            events: 0,
            payload_len: 0,
            raw_len: 0,
            boot: BootId([8; 16]),
            boot_us: u64::from(self.clock_s) * 1_000_000,
            wall_us: self.wall_us(),
            lost: 0,
            before: ChainValue([0; 32]),
            of_events: None,
        }
    }

    fn seal_header(&mut self, header: &FrameHeader, payload: &[u8]) {
        self.seq += u64::from(header.events);
        let segment = self.segments.last_mut().unwrap();
        self.digests
            .push(self.sealer.seal(header, payload, segment));
    }

    fn wall_us(&self) -> i64 {
        BEGIN_US + i64::from(self.clock_s) * 1_000_000
    }

    /// Events so far.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn enrolment(&self) -> [u8; 16] {
        self.auditor.enrolment.0
    }

    /// Writes the journal to a folder, as a recorder would.
    pub fn write(&self, folder: &Path) {
        write_segments(&self.segments, folder);
        let public = self.auditor.public().write();
        fs::write(folder.join("enrolment.json"), public).unwrap();
    }

    /// Writes the three key files to a folder.
    pub fn write_keys(&self, folder: &Path) -> Keys {
        let keys = Keys {
            auditor: folder.join("auditor.key"),
            endpoint: folder.join("endpoint.key"),
            public: folder.join("enrolment.pub"),
        };
        fs::create_dir_all(folder).unwrap();
        fs::write(&keys.auditor, self.auditor.write().as_bytes()).unwrap();
        fs::write(
            &keys.endpoint,
            EndpointKey::first(&self.auditor).write().as_bytes(),
        )
        .unwrap();
        fs::write(&keys.public, self.auditor.public().write()).unwrap();
        keys
    }
}

/// Where key files are.
#[derive(Clone, Debug)]
pub struct Keys {
    pub auditor: PathBuf,
    pub endpoint: PathBuf,
    pub public: PathBuf,
}

/// Writes segments under the names that they should have.
pub fn write_segments(segments: &[Vec<u8>], folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (number, segment) in (1..).zip(segments) {
        fs::write(folder.join(segment_file_name(number)), segment).unwrap();
    }
}

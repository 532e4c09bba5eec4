//! What the writer promises, held against a store that fails as disks do.

use std::collections::VecDeque;

use saigen_schemas::event::{BootId, FileWritten, RecordBoot};
use saigen_schemas::journal::checkpoint::{Checkpoint, PublicKey};
use saigen_schemas::journal::seal::{EnrolmentSecret, Follower, SealCheck, frame_digest};
use saigen_schemas::journal::{
    AuditorKey, EndpointKey, Enrolment, Frame, FrameHeader, Opening, PayloadReader,
};

use super::*;

mod quota;

/// A disk in memory.
#[derive(Debug, Default)]
struct Disk {
    segments: Vec<Vec<u8>>,
    /// Bytes of all segments that are durable.
    durable: usize,
    syncs: usize,
    room: usize,
    reserve: u64,
    /// What the next writes answer instead of writing.
    faults: VecDeque<io::ErrorKind>,
    /// The most that one write takes.
    bite: usize,
    sync_fails: bool,
}

impl Disk {
    fn roomy() -> Self {
        Self {
            room: usize::MAX,
            bite: usize::MAX,
            ..Self::default()
        }
    }

    fn len(&self) -> usize {
        self.segments.iter().map(Vec::len).sum()
    }
}

impl Store for Disk {
    fn begin_segment(&mut self, number: u32) -> io::Result<()> {
        assert_eq!(usize::try_from(number).unwrap(), self.segments.len() + 1);
        self.segments.push(Vec::new());
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(fault) = self.faults.pop_front() {
            return Err(fault.into());
        }
        let len = bytes.len().min(self.bite).min(self.room);
        if len == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= len;
        self.segments.last_mut().unwrap().extend(&bytes[..len]);
        Ok(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.sync_fails {
            return Err(io::Error::other("the disk is gone"));
        }
        self.syncs += 1;
        self.durable = self.len();
        Ok(())
    }

    fn give_back_reserve(&mut self) -> u64 {
        let reserve = std::mem::take(&mut self.reserve);
        self.room = self.room.saturating_add(usize::try_from(reserve).unwrap());
        reserve
    }

    fn read(&mut self, number: u32, from: u64, len: usize) -> io::Result<Vec<u8>> {
        let segment = &self.segments[usize::try_from(number).unwrap() - 1];
        let from = usize::try_from(from).unwrap().min(segment.len());
        Ok(segment[from..(from + len).min(segment.len())].to_vec())
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        self.segments[usize::try_from(number).unwrap() - 1].clear();
        Ok(())
    }
}

fn at(seconds: f64) -> Now {
    let boot = std::time::Duration::from_secs_f64(1000.0 + seconds);
    let boot_us = u64::try_from(boot.as_micros()).unwrap();
    Now {
        boot_us,
        monotonic_us: boot_us,
        wall_us: 1_700_000_000_000_000 + boot_us.cast_signed(),
    }
}

fn recording() -> Recording {
    Recording {
        host: "pc".into(),
        boot: BootId([7; 16]),
        tool: "saigen-collector 0".into(),
        configuration_sha256: String::new(),
        scope: "system".into(),
        sources: Vec::new(),
    }
}

fn unsealed(disk: Disk) -> Writer<Disk> {
    let identity = Identity::Unsealed(EnrolmentId([1; 16]));
    Writer::create(disk, identity, recording(), Limits::default(), at(0.0)).unwrap()
}

fn event<'a>(path: &'a [u8], now: Now) -> Event<'a> {
    let written = FileWritten {
        path: Some(Text(path)),
        ..FileWritten::default()
    };
    Event {
        seq: 0,
        time: now.time(),
        recorded_us: None,
        host: "pc".into(),
        boot: BootId([7; 16]),
        source: Source::Fanotify,
        actor: None,
        marks: Marks(&[]),
        extra: Fields(&[]),
        kind: Kind::FileWritten(written),
    }
}

/// The frames of all segments, whole ones; what is left at the end of a segment is torn.
fn frames(disk: &Disk) -> (Vec<Frame<'_>>, usize) {
    let mut frames = Vec::new();
    let mut torn = 0;
    for segment in &disk.segments {
        let mut rest = segment.as_slice();
        while let Ok(frame) = FrameHeader::read(rest) {
            rest = &rest[frame.len()..];
            frames.push(frame);
        }
        torn += rest.len();
    }
    (frames, torn)
}

fn kinds(disk: &Disk) -> Vec<FrameKind> {
    frames(disk)
        .0
        .iter()
        .map(|frame| frame.header.kind)
        .collect()
}

fn check_numbers(disk: &Disk) -> u64 {
    let mut seq = 0;
    for (position, frame) in (0..).zip(frames(disk).0) {
        assert_eq!(
            (frame.header.position, frame.header.first_seq),
            (position, seq)
        );
        seq += u64::from(frame.header.events);
    }
    seq
}

#[test]
fn what_is_written_is_read() {
    let mut writer = unsealed(Disk {
        bite: 7,
        ..Disk::roomy()
    });
    for number in 0..1000 {
        let path = format!("/tmp/{number}");
        writer
            .push(&event(path.as_bytes(), at(1.0)), Urgency::Ordinary, at(1.0))
            .unwrap();
    }
    let disk = writer.close(at(2.0)).unwrap();
    assert_eq!(
        kinds(&disk),
        [FrameKind::Open, FrameKind::Data, FrameKind::Close]
    );
    assert_eq!(check_numbers(&disk), 1000);
    let (frames, torn) = frames(&disk);
    assert_eq!(torn, 0);
    let mut reader = PayloadReader::default();
    let mut read = 0;
    let header = frames[1].header;
    let events = reader.read(
        frames[1].payload,
        header.raw_len,
        header.events,
        header.first_seq,
    );
    for event in events.unwrap() {
        let event = event.unwrap();
        let path = format!("/tmp/{read}");
        assert_eq!(event.kind, self::event(path.as_bytes(), at(1.0)).kind);
        read += 1;
    }
    assert_eq!(read, 1000);
    assert_eq!(disk.durable, disk.len());
}

#[test]
fn an_ordinary_event_is_durable_after_five_seconds() {
    let mut writer = unsealed(Disk::roomy());
    writer
        .push(&event(b"/a", at(1.0)), Urgency::Ordinary, at(1.0))
        .unwrap();
    assert_eq!(writer.deadline_us(), at(6.0).boot_us);
    writer.tick(at(5.9)).unwrap();
    assert_eq!(kinds(&writer.store), [FrameKind::Open]);
    writer.tick(at(6.0)).unwrap();
    assert_eq!(kinds(&writer.store), [FrameKind::Open, FrameKind::Data]);
    assert_eq!(writer.store.durable, writer.store.len());
}

#[test]
fn a_frame_that_closed_for_its_size_is_durable_within_five_seconds_too() {
    let mut writer = unsealed(Disk::roomy());
    let mut number = 0;
    while kinds(&writer.store).len() < 2 {
        let path = format!("/{number:0200}");
        writer
            .push(&event(path.as_bytes(), at(1.0)), Urgency::Ordinary, at(1.0))
            .unwrap();
        number += 1;
    }
    assert!(writer.store.durable < writer.store.len());
    writer.tick(at(6.0)).unwrap();
    assert_eq!(writer.store.durable, writer.store.len());
}

#[test]
fn critical_events_are_durable_at_once_but_not_more_than_twenty_times_a_second() {
    let mut writer = unsealed(Disk::roomy());
    let before = writer.store.syncs;
    writer
        .push(&event(b"/a", at(1.0)), Urgency::Critical, at(1.0))
        .unwrap();
    assert_eq!(writer.store.syncs, before + 1);
    for step in 0..100 {
        let now = at(1.0 + f64::from(step) * 0.01);
        writer
            .push(&event(b"/b", now), Urgency::Critical, now)
            .unwrap();
    }
    assert!(writer.store.syncs <= before + 21, "{}", writer.store.syncs);
    let now = at(2.05);
    assert!(writer.deadline_us() <= now.boot_us);
    writer.tick(now).unwrap();
    assert_eq!(writer.store.durable, writer.store.len());
    assert_eq!(check_numbers(&writer.store), 101);
}

#[test]
fn an_empty_period_is_sealed() {
    let mut writer = unsealed(Disk::roomy());
    for _ in 0..100 {
        let due = writer.deadline_us();
        let seconds = std::time::Duration::from_micros(due - at(0.0).boot_us).as_secs_f64();
        assert!(seconds <= 1001.0);
        writer.tick(at(seconds)).unwrap();
    }
    let heartbeats = kinds(&writer.store)
        .iter()
        .filter(|kind| **kind == FrameKind::Heartbeat)
        .count();
    assert_eq!(heartbeats, 100);
}

#[test]
fn a_full_disk_closes_cleanly_in_the_reserve() {
    let opening = unsealed(Disk::roomy()).store.len();
    for room in opening + 1..opening + 600 {
        let mut disk = Disk::roomy();
        disk.room = room;
        disk.reserve = 100_000;
        let mut writer = unsealed(disk);
        let full = (0..10_000).find_map(|number| {
            let path = format!("/{number:0200}");
            let now = at(f64::from(number) * 6.0);
            writer
                .push(&event(path.as_bytes(), now), Urgency::Ordinary, now)
                .and_then(|()| writer.tick(now))
                .err()
        });
        assert!(matches!(full, Some(WriteError::DiskFull)), "{full:?}");
        let disk = writer.close(at(1e5)).unwrap();
        let (read, torn) = frames(&disk);
        assert_eq!(torn, 0, "room {room}");
        assert_eq!(read.last().unwrap().header.kind, FrameKind::Close);
        check_numbers(&disk);
    }
}

#[test]
fn a_full_disk_without_reserve_leaves_every_frame_before_whole() {
    let opening = unsealed(Disk::roomy()).store.len();
    for room in opening + 1..opening + 600 {
        let mut disk = Disk::roomy();
        disk.room = room;
        let mut writer = unsealed(disk);
        let error = (0..100).find_map(|number| {
            let now = at(f64::from(number) * 6.0);
            writer
                .push(&event(b"/a", now), Urgency::Critical, now)
                .err()
        });
        assert!(matches!(error, Some(WriteError::Io { .. })), "{error:?}");
        check_numbers(&writer.store);
    }
}

#[test]
fn an_interrupted_write_is_taken_up_again() {
    let mut disk = Disk::roomy();
    disk.faults.extend([io::ErrorKind::Interrupted; 5]);
    let disk = unsealed(disk).close(at(1.0)).unwrap();
    assert_eq!(kinds(&disk), [FrameKind::Open, FrameKind::Close]);
}

#[test]
fn a_disk_that_cannot_make_durable_is_an_error_and_not_a_silence() {
    let mut writer = unsealed(Disk::roomy());
    writer.store.sync_fails = true;
    writer
        .push(&event(b"/a", at(1.0)), Urgency::Ordinary, at(1.0))
        .unwrap();
    let error = writer.tick(at(7.0)).unwrap_err();
    assert!(error.to_string().contains("the disk is gone"), "{error}");
}

#[test]
fn segments_follow_each_other_with_chain_and_numbers() {
    let limits = Limits {
        segment_bytes: 2000,
        ..Limits::default()
    };
    let identity = Identity::Unsealed(EnrolmentId([1; 16]));
    let mut writer = Writer::create(Disk::roomy(), identity, recording(), limits, at(0.0)).unwrap();
    for number in 0..100 {
        let now = at(f64::from(number));
        writer
            .push(&event(b"/a", now), Urgency::Critical, now)
            .unwrap();
    }
    assert!(writer.segment() > 3);
    let disk = writer.close(at(100.0)).unwrap();
    assert_eq!(check_numbers(&disk), 100);
    for (number, segment) in (1..).zip(&disk.segments) {
        let frame = FrameHeader::read(segment).unwrap();
        let opening = Opening::read(&frame).unwrap();
        assert_eq!(opening.segment, number);
    }
}

#[test]
fn a_stepped_clock_and_a_sleep_are_recorded() {
    let mut writer = unsealed(Disk::roomy());
    writer.tick(at(1.0)).unwrap();
    let mut stepped = at(2.0);
    stepped.wall_us -= 3_600_000_000;
    writer.tick(stepped).unwrap();
    let mut slept = at(100.0);
    slept.wall_us -= 3_600_000_000;
    slept.monotonic_us -= 60_000_000;
    writer.tick(slept).unwrap();
    let own: Vec<_> = kinds(&writer.store)
        .into_iter()
        .filter(|kind| kind.holds_events())
        .collect();
    assert_eq!(own, [FrameKind::Clock, FrameKind::Suspend]);
}

#[test]
fn losses_stand_in_frames_of_their_own_and_in_every_header_after() {
    let mut writer = unsealed(Disk::roomy());
    writer
        .push(&event(b"/a", at(1.0)), Urgency::Ordinary, at(1.0))
        .unwrap();
    writer.lose("perf", Some(5), "ring full", at(1.5)).unwrap();
    let disk = writer.close(at(2.0)).unwrap();
    let lost: Vec<_> = frames(&disk)
        .0
        .iter()
        .map(|frame| (frame.header.kind, frame.header.lost))
        .collect();
    assert_eq!(
        lost,
        [
            (FrameKind::Open, 0),
            (FrameKind::Data, 5),
            (FrameKind::Loss, 5),
            (FrameKind::Close, 5)
        ]
    );
}

#[test]
fn the_recording_begins_with_a_frame_about_its_boot() {
    let mut writer = unsealed(Disk::roomy());
    let boot = Event {
        kind: Kind::RecordBoot(RecordBoot::default()),
        ..event(b"", at(0.0))
    };
    writer.push(&boot, Urgency::Ordinary, at(0.0)).unwrap();
    assert_eq!(kinds(&writer.store), [FrameKind::Open, FrameKind::Boot]);
    assert_eq!(writer.store.durable, writer.store.len());
}

#[test]
fn a_sealed_journal_holds_against_the_enrolment_secret_and_the_next_goes_on_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let made = crate::keys::generate(dir.path()).unwrap();
    let secret: EnrolmentSecret =
        AuditorKey::read(&std::fs::read_to_string(&made.auditor).unwrap())
            .unwrap()
            .secret;
    let mut first = 0;
    for _ in 0..2 {
        let (state, key) = KeyState::open(&made.endpoint).unwrap();
        let identity = Identity::Sealed(state, key);
        let mut writer = Writer::create(
            Disk::roomy(),
            identity,
            recording(),
            Limits::default(),
            at(0.0),
        )
        .unwrap();
        for number in 0..50 {
            let now = at(f64::from(number));
            writer
                .push(&event(b"/a", now), Urgency::Critical, now)
                .unwrap();
        }
        let disk = writer.close(at(60.0)).unwrap();
        let mut follower = Follower::new(chain_start(made.enrolment), Some(&secret));
        for (position, frame) in (first..).zip(frames(&disk).0) {
            assert_eq!(
                follower.follow(&frame, position),
                SealCheck::Good,
                "{position}"
            );
        }
        first += u64::try_from(frames(&disk).0.len()).unwrap();
    }
}

#[test]
fn every_segment_is_signed_by_a_key_that_the_one_before_vouches_for() {
    let dir = tempfile::tempdir().unwrap();
    let made = crate::keys::generate(dir.path()).unwrap();
    let public = Enrolment::read(&std::fs::read_to_string(&made.public).unwrap()).unwrap();
    let (state, key) = KeyState::open(&made.endpoint).unwrap();
    let limits = Limits {
        segment_bytes: 4000,
        ..Limits::default()
    };
    let identity = Identity::Sealed(state, key);
    let mut writer = Writer::create(Disk::roomy(), identity, recording(), limits, at(0.0)).unwrap();
    for number in 0..200 {
        let now = at(f64::from(number));
        writer
            .push(&event(b"/a", now), Urgency::Critical, now)
            .unwrap();
        writer.tick(now).unwrap();
    }
    let disk = writer.close(at(200.0)).unwrap();
    assert!(disk.segments.len() > 3);
    let mut key = public.public_key;
    for (generation, segment) in (0..).zip(&disk.segments) {
        let opening = Opening::read(&FrameHeader::read(segment).unwrap()).unwrap();
        assert_eq!(opening.generation, Some(generation));
        if let [text] = opening.successions.as_slice() {
            let succession = text.read(generation).unwrap();
            assert!(succession.holds(made.enrolment, key));
            key = succession.public_key;
        } else {
            assert_eq!((generation, opening.successions.len()), (0, 0));
        }
        assert_eq!(
            check_checkpoints(segment, made.enrolment, key),
            CheckpointsEnd::Last
        );
    }
    let kept = EndpointKey::read(&std::fs::read_to_string(&made.endpoint).unwrap()).unwrap();
    assert_eq!(kept.checkpoint.public(), key);
}

#[derive(Debug, PartialEq)]
enum CheckpointsEnd {
    /// The last frame of the segment is a checkpoint.
    Last,
    Earlier,
}

/// Checks every checkpoint of a segment against the frames before it.
fn check_checkpoints(segment: &[u8], enrolment: EnrolmentId, key: PublicKey) -> CheckpointsEnd {
    let mut rest = segment;
    let mut leaves = Vec::new();
    let mut end = CheckpointsEnd::Earlier;
    while !rest.is_empty() {
        let frame = FrameHeader::read(rest).unwrap();
        end = CheckpointsEnd::Earlier;
        if frame.header.kind == FrameKind::Checkpoint {
            let checkpoint = Checkpoint::read_frame(&frame).unwrap();
            assert!(checkpoint.holds(enrolment, &frame.header, key));
            assert_eq!(checkpoint.segment_root, merkle::root(leaves.clone()));
            end = CheckpointsEnd::Last;
        }
        leaves.push(merkle::frame_leaf(&frame_digest(
            frame.digested,
            frame.payload,
        )));
        rest = &rest[frame.len()..];
    }
    end
}

#[test]
fn news_are_signed_within_a_minute_and_silence_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let made = crate::keys::generate(dir.path()).unwrap();
    let (state, key) = KeyState::open(&made.endpoint).unwrap();
    let identity = Identity::Sealed(state, key);
    let limits = Limits::default();
    let mut writer = Writer::create(Disk::roomy(), identity, recording(), limits, at(0.0)).unwrap();
    for second in 1..=600 {
        writer.tick(at(f64::from(second))).unwrap();
    }
    let disk = writer.store;
    let signed = kinds(&disk)
        .into_iter()
        .filter(|kind| *kind == FrameKind::Checkpoint)
        .count();
    // The opening was news once; ten minutes of heartbeats were not.
    assert_eq!(signed, 1);
}

#[test]
fn an_event_larger_than_a_frame_is_counted_and_not_written() {
    let mut writer = unsealed(Disk::roomy());
    let huge = vec![b'x'; 5 << 20];
    writer
        .push(&event(&huge, at(1.0)), Urgency::Ordinary, at(1.0))
        .unwrap();
    assert_eq!(writer.lost(), 1);
    let disk = writer.close(at(2.0)).unwrap();
    assert_eq!(
        kinds(&disk),
        [FrameKind::Open, FrameKind::Loss, FrameKind::Close]
    );
}

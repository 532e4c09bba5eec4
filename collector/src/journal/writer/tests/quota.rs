//! What goes, and what gives way, when a journal grows to its quota.

use saigen_schemas::event::ProcessStart;

use super::*;

#[test]
fn the_oldest_segments_go_to_keep_to_a_quota_and_a_list_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let made = crate::keys::generate(dir.path()).unwrap();
    let (state, key) = KeyState::open(&made.endpoint).unwrap();
    let limits = Limits {
        journal_bytes_max: 40_000,
        segment_bytes: 5_000,
    };
    let identity = Identity::Sealed(state, key);
    let mut writer = Writer::create(Disk::roomy(), identity, recording(), limits, at(0.0)).unwrap();
    for number in 0..1000 {
        let now = at(f64::from(number) * 6.0);
        writer
            .push(&event(b"/a", now), Urgency::Critical, now)
            .unwrap();
        writer.tick(now).unwrap();
        assert!(writer.journal_bytes() < 50_000);
    }
    let disk = writer.close(at(1e4)).unwrap();
    assert!(disk.len() < 50_000);
    let gone = disk.segments.iter().take_while(|it| it.is_empty()).count();
    assert!(gone > 5 && disk.segments[gone..].iter().all(|it| !it.is_empty()));
    let (all, _) = frames(&disk);
    let list = all
        .iter()
        .rev()
        .find(|frame| frame.header.kind == FrameKind::Removed)
        .unwrap();
    let removed = saigen_schemas::journal::Removed::read(list).unwrap();
    let first = all[0].header;
    assert_eq!(usize::try_from(removed.last_segment), Ok(gone));
    assert_eq!(
        (removed.next_position, removed.next_seq, removed.from_us),
        (first.position, first.first_seq, first.wall_us)
    );
    assert_eq!(removed.chain, first.before.to_string());
    assert_eq!(usize::try_from(removed.generation).unwrap() + 1, gone);
    let lists = all
        .iter()
        .filter(|frame| frame.header.kind == FrameKind::Removed);
    let steps: Vec<_> = lists
        .map(|list| saigen_schemas::journal::Removed::read(list).unwrap())
        .map(|list| (list.generation, list.successions.len()))
        .collect();
    let whole = |&(generation, steps): &(u32, usize)| usize::try_from(generation) == Ok(steps);
    assert!(
        steps.iter().any(whole) && !steps.iter().all(whole),
        "{steps:?}"
    );
    assert!(removed.segments.iter().all(|one| one.checkpoint.is_some()));
}

#[test]
fn a_quota_that_one_segment_fills_ends_the_recording() {
    let limits = Limits {
        journal_bytes_max: 200,
        segment_bytes: 4_000,
    };
    let identity = Identity::Unsealed(EnrolmentId([1; 16]));
    let mut writer = Writer::create(Disk::roomy(), identity, recording(), limits, at(0.0)).unwrap();
    let error = (0..1000).find_map(|number| {
        let now = at(f64::from(number) * 6.0);
        writer
            .push(&event(b"/a", now), Urgency::Critical, now)
            .err()
    });
    assert!(matches!(
        error,
        Some(WriteError::QuotaReached { bytes: 200 })
    ));
    let disk = writer.close(at(1e4)).unwrap();
    assert_eq!(*kinds(&disk).last().unwrap(), FrameKind::Close);
}

/// A day on which one program writes file after file, and another is started every second.
struct Flood {
    writer: Writer<Disk>,
    files: u64,
    starts: u64,
    /// Seconds until half of the quota was used.
    half: Option<u64>,
}

const QUOTA: u64 = 400_000;
const FILES_A_SECOND: u64 = 40;

impl Flood {
    fn of(seconds: u64, journal_bytes_max: u64, urgency: Urgency) -> Self {
        let limits = Limits {
            journal_bytes_max,
            segment_bytes: 40_000,
        };
        let identity = Identity::Unsealed(EnrolmentId([1; 16]));
        let writer = Writer::create(Disk::roomy(), identity, recording(), limits, at(0.0)).unwrap();
        let mut flood = Self {
            writer,
            files: 0,
            starts: 0,
            half: None,
        };
        for second in 0..seconds {
            flood.second(second, urgency);
            if flood.writer.journal_bytes() >= QUOTA / 2 {
                flood.half.get_or_insert(second);
            }
        }
        flood
    }

    fn second(&mut self, second: u64, urgency: Urgency) {
        let now = at(f64::from(u32::try_from(second).unwrap()));
        for _ in 0..FILES_A_SECOND {
            // A name that does not compress.
            let name = blake3::hash(&self.files.to_le_bytes()).to_string();
            self.writer
                .push(&event(name.as_bytes(), now), urgency, now)
                .unwrap();
            self.files += 1;
        }
        let start = Event {
            kind: Kind::ProcessStart(ProcessStart {
                dev: Some(self.starts),
                ..ProcessStart::default()
            }),
            ..event(b"", now)
        };
        self.writer.push(&start, Urgency::Ordinary, now).unwrap();
        self.starts += 1;
        self.writer.tick(now).unwrap();
    }
}

/// Numbers of the starts that are left, files that are left, and files that losses tell of.
fn left(disk: &Disk) -> (Vec<u64>, u64, u64) {
    let (mut starts, mut files, mut lost) = (Vec::new(), 0, 0);
    let mut reader = PayloadReader::default();
    for frame in frames(disk).0.iter().filter(|it| it.header.events > 0) {
        let header = &frame.header;
        let events = reader
            .read(
                frame.payload,
                header.raw_len,
                header.events,
                header.first_seq,
            )
            .unwrap();
        for event in events {
            let kind = event.unwrap().kind;
            if let Kind::ProcessStart(start) = kind {
                starts.extend(start.dev);
            } else if let Kind::FileWritten(_) = kind {
                files += 1;
            } else if let Kind::RecordLoss(loss) = kind {
                assert_eq!(loss.name, Some("file_noise".into()));
                lost += loss.count.unwrap();
            }
        }
    }
    (starts, files, lost)
}

#[test]
fn file_noise_gives_way_so_that_starts_are_kept_longer_and_the_count_is_sealed() {
    let flood = Flood::of(3_000, QUOTA, Urgency::Ordinary);
    let (counted, half) = (flood.writer.lost(), flood.half.unwrap());
    let (files, starts) = (flood.files, flood.starts);
    let disk = flood.writer.close(at(3_000.0)).unwrap();
    let (left_starts, left_files, told) = left(&disk);
    assert!(
        left_starts.windows(2).all(|two| two[1] == two[0] + 1),
        "no start gives way"
    );
    assert_eq!(left_starts.last(), Some(&(starts - 1)));
    let kept = u64::try_from(left_starts.len()).unwrap();
    assert!(
        kept > 3 * 2 * half,
        "{kept} s are left, where the quota would hold {} s of the flood",
        2 * half
    );
    assert!(told > 0 && told <= counted && counted < files);
    assert!(left_files > 0, "files have their half");
    let last = frames(&disk).0.last().unwrap().header.lost;
    assert!(last >= counted, "each header tells the count");
}

#[test]
fn nothing_gives_way_below_half_of_the_quota_and_nothing_critical_ever() {
    let below = Flood::of(300, u64::MAX, Urgency::Ordinary);
    let files = below.files;
    let disk = below.writer.close(at(300.0)).unwrap();
    let (_, left_files, told) = left(&disk);
    assert_eq!((left_files, told), (files, 0));
    let critical = Flood::of(300, QUOTA, Urgency::Critical);
    assert_eq!(critical.writer.lost(), 0);
}

#[test]
fn whatever_gave_way_is_told_within_five_seconds() {
    let mut flood = Flood::of(1_000, QUOTA, Urgency::Ordinary);
    let second = (1_000..2_000).find(|&second| {
        flood.second(second, Urgency::Ordinary);
        flood.writer.noise.deadline_us().is_some()
    });
    let second = f64::from(u32::try_from(second.unwrap()).unwrap());
    let before = flood.writer.lost();
    assert!(flood.writer.deadline_us() <= at(second + 5.0).boot_us);
    flood.writer.tick(at(second + 5.0)).unwrap();
    assert!(flood.writer.lost() > before);
    assert_eq!(flood.writer.noise.deadline_us(), None);
}

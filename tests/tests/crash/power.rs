//! A loss of power at every moment: what was not made durable is there, or not, or only in part.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use saigen_collector::journal::{Identity, Limits, Store, Urgency, Writer};
use saigen_collector::keys::{KeyState, Made, generate};
use saigen_schemas::journal::{FrameHeader, segment_file_name};
use saigen_schemas::report::Verdict;

use crate::{at, begin, boot, judge, recording, written};

/// What the writer asked of the disk.
#[derive(Clone, Debug)]
enum Asked {
    Begin(u32),
    Write(Vec<u8>),
    Sync,
}

/// Every request, with the key's file as it was when the request came.
type Log = Rc<RefCell<Vec<(Asked, Vec<u8>)>>>;

/// A disk that remembers what was asked of it.
#[derive(Debug)]
struct Remembers {
    log: Log,
    key: PathBuf,
}

impl Remembers {
    fn note(&self, asked: Asked) {
        let key = fs::read(&self.key).unwrap();
        self.log.borrow_mut().push((asked, key));
    }
}

impl Store for Remembers {
    fn begin_segment(&mut self, number: u32) -> io::Result<()> {
        self.note(Asked::Begin(number));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.note(Asked::Write(bytes.to_vec()));
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.note(Asked::Sync);
        Ok(())
    }

    fn give_back_reserve(&mut self) -> u64 {
        0
    }

    fn read(&mut self, _: u32, _: u64, _: usize) -> io::Result<Vec<u8>> {
        Err(io::Error::other("there is no quota here"))
    }

    fn remove(&mut self, _: u32) -> io::Result<()> {
        Err(io::Error::other("there is no quota here"))
    }
}

/// A recording of which every request is known. It is not ended.
fn recorded(made: &Made) -> Vec<(Asked, Vec<u8>)> {
    let log = Log::default();
    let store = Remembers {
        log: Rc::clone(&log),
        key: made.endpoint.clone(),
    };
    let (state, key) = KeyState::open(&made.endpoint).unwrap();
    let limits = Limits {
        segment_bytes: 2_000,
        ..Limits::default()
    };
    let identity = Identity::Sealed(state, key);
    let mut writer = Writer::create(store, identity, recording(), limits, at(0)).unwrap();
    writer.push(&boot(at(0)), Urgency::Critical, at(0)).unwrap();
    for number in 1..60_u64 {
        let now = at(number * 700);
        // Most are durable only after a while, and three fill a frame: much is under way at once.
        let urgency = if number % 20 == 0 {
            Urgency::Critical
        } else {
            Urgency::Ordinary
        };
        let path = format!("/srv/{number}/{}", "x".repeat(70_000));
        writer.push(&written(&path, now), urgency, now).unwrap();
        writer.tick(now).unwrap();
    }
    drop(writer);
    log.borrow().clone()
}

/// What becomes of writes that were not made durable.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// All are there, and half of the one that was under way.
    Kept,
    /// None is there.
    Dropped,
    /// The first is missing, and nothing but zeros in its place; later ones are there.
    Reordered,
}

/// The segments as they are found after the power went at a request.
fn left(log: &[(Asked, Vec<u8>)], fate: Fate) -> (BTreeMap<u32, Vec<u8>>, u64) {
    let mut segments: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let (mut open, mut durable, mut under_way) = (0, 0, Vec::<Vec<u8>>::new());
    for (asked, _) in log {
        match asked {
            Asked::Begin(number) => {
                open = *number;
                segments.entry(open).or_default();
            }
            Asked::Write(bytes) => under_way.push(bytes.clone()),
            Asked::Sync => {
                for bytes in under_way.drain(..) {
                    durable += u64::from(FrameHeader::read(&bytes).unwrap().header.events);
                    segments.get_mut(&open).unwrap().extend(bytes);
                }
            }
        }
    }
    let count = under_way.len();
    for (index, bytes) in under_way.into_iter().enumerate() {
        let segment = segments.get_mut(&open).unwrap();
        match fate {
            Fate::Kept if index + 1 == count => segment.extend(&bytes[..bytes.len() / 2]),
            Fate::Kept => segment.extend(bytes),
            Fate::Dropped => {}
            Fate::Reordered if index == 0 => segment.extend(vec![0; bytes.len()]),
            Fate::Reordered => segment.extend(bytes),
        }
    }
    (segments, durable)
}

fn lay_out(folder: &Path, segments: &BTreeMap<u32, Vec<u8>>) -> PathBuf {
    let journal = folder.join("journal");
    if journal.exists() {
        fs::remove_dir_all(&journal).unwrap();
    }
    fs::create_dir(&journal).unwrap();
    for (number, bytes) in segments {
        fs::write(journal.join(segment_file_name(*number)), bytes).unwrap();
    }
    journal
}

#[test]
fn a_loss_of_power_at_any_moment_costs_what_was_not_durable_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let made = generate(&folder.path().join("keys")).unwrap();
    let log = recorded(&made);
    assert!(log.len() > 40, "{}", log.len());
    // The first requests make the recording: before they are done there is none.
    let first = log
        .iter()
        .position(|(asked, _)| matches!(asked, Asked::Write(_)));
    let made_durable = log[first.unwrap()..]
        .iter()
        .position(|(asked, _)| matches!(asked, Asked::Sync));
    let begun = first.unwrap() + made_durable.unwrap() + 1;
    let mut gone_on = 0;
    for cut in begun..=log.len() {
        for fate in [Fate::Kept, Fate::Dropped, Fate::Reordered] {
            let (segments, durable) = left(&log[..cut], fate);
            let journal = lay_out(folder.path(), &segments);
            fs::write(&made.endpoint, &log[cut - 1].1).unwrap();
            let limits = Limits::default();
            let writer = begin(&journal, &made.endpoint, limits, at(100_000));
            writer.close(at(100_060)).unwrap();
            let judged = judge(&journal, &made.auditor);
            let what = format!(
                "request {cut}, {fate:?}: {:?} {}",
                judged.verdict, judged.explanation
            );
            assert_eq!(judged.verdict, Verdict::CrashGap, "{what}");
            // One more: the boot that the next start recorded.
            assert!(
                judged.events > durable,
                "{what}: {} of {durable}",
                judged.events
            );
            gone_on += 1;
        }
    }
    println!("{gone_on} losses of power");
}

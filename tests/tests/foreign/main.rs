//! Logs that others recorded, with bytes changed, through the whole reader: from the search for
//! evidence to events in order and single records by their references.
//!
//! Nothing may panic, hang, or take more memory than a log of its size should, and what is counted is
//! what is given. Seeds are those of `seeds`, and pieces of recorded evidence where it is at hand.
//! `SAIGEN_MUTATIONS=2000000 cargo test --release -p saigen-tests --test foreign -- --nocapture` tries
//! that often, `SAIGEN_MUTATIONS_FROM=7` from another beginning.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where what it needs is missing"
)]

#[cfg(test)]
mod packed;
#[cfg(test)]
mod seeds;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use saigen_analyzer::import::{read_all, search};
use saigen_analyzer::reference::SourceId;
use saigen_analyzer::stream::EventStream as _;
use saigen_schemas::event::write_json;
use saigen_tests::mutate::{self, Mend, Random};
use saigen_tests::watch::{self, Watching};

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Tries where no number is set: seconds on a slow machine.
const TRIES: u64 = 3_000;

/// The most that the reader may hold at once for a small file, in bytes.
const HELD_MAX: usize = 64 << 20;

/// The same where the file may name an xz stream, whose dictionary its own header sizes: the limit of
/// `docs/EVIDENCE.md`, and the rest.
const HELD_XZ_MAX: usize = (256 << 20) + HELD_MAX;

/// The longest that one small file may take, of the CPU.
const CPU_MAX: Duration = Duration::from_secs(10);

/// Records of a file that are read again by their references.
const SHOWN: usize = 3;

fn main_folder() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package stands in the house")
}

/// All files below a folder, in the order of their paths; none where it is missing.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn set(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("it is a number"))
}

fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

/// What was read of a file.
#[derive(Default)]
struct Read {
    events: u64,
    findings: u64,
}

/// Reads a file as every command does.
fn read(path: &Path) -> Read {
    let found = search(&[path.to_owned()]);
    let places: Vec<_> = (1..).map(SourceId).zip(found.places).collect();
    let foreign = read_all(&places, &[], &mut |_| {}).unwrap();
    let mut stream = foreign.stream();
    let mut told = Read::default();
    let mut wanted = std::collections::BTreeSet::new();
    let mut json = String::new();
    while stream.peek().is_some() {
        let Some((reference, event)) = stream.next() else {
            break;
        };
        told.events += 1;
        if wanted.len() < SHOWN {
            json.clear();
            write_json(&event, "e1:@0", &mut json);
            wanted.insert(reference);
        }
    }
    assert!(stream.failed().is_none());
    assert_eq!(told.events, foreign.events(), "what is counted is given");
    let records = foreign.records(&wanted);
    assert_eq!(
        records.len(),
        wanted.len(),
        "every reference leads to its record"
    );
    for file in &foreign.files {
        told.findings += file.findings.listed.len() as u64;
        let members = file.members.iter();
        told.findings += members
            .map(|own| own.findings.listed.len() as u64)
            .sum::<u64>();
    }
    told
}

/// Ends the program where one file takes too long; the file stays.
fn watch_for_hangs(begun_ms: Arc<AtomicU64>, kept: PathBuf) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let begun = Duration::from_millis(begun_ms.load(Ordering::Relaxed));
            if cpu().saturating_sub(begun) > CPU_MAX {
                eprintln!("hangs: the input is in {}", kept.display());
                std::process::abort();
            }
        }
    });
}

/// Most bytes that may be held for an input.
fn bound(input: &[u8]) -> usize {
    let is_xz = input.windows(6).any(|bytes| bytes == b"\xfd7zXZ\0");
    if is_xz { HELD_XZ_MAX } else { HELD_MAX }
}

#[test]
fn no_change_of_a_log_breaks_the_reader() {
    let mut seeds = seeds::all(main_folder());
    let tries = set("SAIGEN_MUTATIONS").unwrap_or(TRIES);
    let from = set("SAIGEN_MUTATIONS_FROM").unwrap_or(1);
    let mut random = Random::new(from);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    let kept = std::env::temp_dir().join("saigen-mutation");
    let begun_ms = Arc::new(AtomicU64::new(u64::MAX / 2));
    watch_for_hangs(Arc::clone(&begun_ms), path.clone());
    // Recordings hold much that is no event: documents, empty logs.
    seeds.retain(|seed| {
        fs::write(&path, seed).unwrap();
        read(&path).events > 0
    });
    let (mut events, mut findings, mut read_some) = (0, 0, 0_u64);
    let (mut most_held, mut longest) = (0, Duration::ZERO);
    for _ in 0..tries {
        let mut input = mutate::changed(&seeds, &mut random, Mend::Nothing);
        if random.below(16) == 0 {
            input = packed::pack(&input, &mut random);
        }
        fs::write(&path, &input).unwrap();
        let begin = cpu();
        begun_ms.store(u64::try_from(begin.as_millis()).unwrap(), Ordering::Relaxed);
        watch::begin();
        let before = watch::peak();
        let tried = catch_unwind(AssertUnwindSafe(|| read(&path)));
        let held = watch::peak() - before;
        longest = longest.max(cpu().saturating_sub(begin));
        most_held = most_held.max(held);
        let Ok(read) = tried
            .as_ref()
            .map_err(|_| ())
            .and_then(|read| (held <= bound(&input)).then_some(read).ok_or(()))
        else {
            fs::write(&kept, &input).unwrap();
            panic!(
                "broke, or held {held} bytes: the input is in {}",
                kept.display()
            );
        };
        events += read.events;
        findings += read.findings;
        read_some += u64::from(read.events > 0);
    }
    println!(
        "{tries} changed files of {} seeds from {from}: {read_some} gave events, {events} events, \
         {findings} findings; the most held {} KiB, the longest {longest:.0?}",
        seeds.len(),
        most_held / 1024
    );
    assert!(read_some > tries / 10, "the seeds are no evidence");
}

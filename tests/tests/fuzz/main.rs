//! Decoders of what an attacker writes, under bytes that an attacker might write.
//!
//! Seeds are the frames of the bundled journals and what is kept in `fixtures/fuzz/`, one folder a target: an
//! input that once broke something stays there, beside a few that `SAIGEN_FUZZ_KEEP=1` took from the bundled
//! journals. They are changed by a generator of known numbers, so that a
//! failure comes again. `SAIGEN_FUZZ_SECONDS=1800 cargo test -p saigen-tests --test fuzz -- --nocapture`
//! goes on for that long a target, from another beginning each time, and says how often it tried.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where what it needs is missing"
)]

#[cfg(test)]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use saigen_tests::mutate::{self, Random};
use saigen_tests::watch::{self, Watching};
use targets::Target;

/// Tries of one target where no time is set: seconds on a slow machine.
const TRIES: u64 = 4_000;

/// The most that any decoder may ask for at once: the texts of a frame with their shared beginnings put
/// back, doubled as a growing buffer is.
const ALLOCATION_MAX: usize = 160 << 20;

/// How many inputs of a target are kept beside those that broke something, and how long they may be.
const KEPT: usize = 6;
const KEPT_BYTES_MAX: usize = 1_000;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

fn house() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package stands in the house")
}

/// Files of a folder, in the order of their names; none where it is missing.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| {
            entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .collect()
        })
        .unwrap_or_default();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

/// Where inputs of a target are kept.
fn corpus(target: &Target) -> PathBuf {
    house().join("fixtures/fuzz").join(target.name)
}

/// What a target begins with.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = files(&corpus(target))
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    seeds.extend(bundled(target));
    assert!(!seeds.is_empty(), "{}: no seeds", target.name);
    seeds
}

/// What the bundled journals give a target.
fn bundled(target: &Target) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for name in ["day", "intrusion"] {
        let journal = house().join("fixtures/bundled").join(name).join("journal");
        for segment in files(&journal)
            .iter()
            .filter(|path| path.extension().is_some_and(|end| end == "saj"))
        {
            seeds.extend((target.seeds)(&fs::read(segment).unwrap()));
        }
    }
    seeds
}

/// Tries a target; gives how often.
fn run(target: &Target) -> u64 {
    let seconds = std::env::var("SAIGEN_FUZZ_SECONDS").ok();
    let end = seconds.map(|text| {
        let seconds = text.parse().expect("SAIGEN_FUZZ_SECONDS is a number");
        Instant::now() + Duration::from_secs(seconds)
    });
    let begin = match end {
        Some(_) => std::process::id().into(),
        None => 1,
    };
    let mut random = Random::new(begin);
    let seeds = seeds(target);
    for seed in &seeds {
        try_one(target, seed);
    }
    let mut tries = 0;
    while end.map_or(tries < TRIES, |end| Instant::now() < end) {
        let input = mutate::changed(&seeds, &mut random, target.mend);
        try_one(target, &input);
        tries += 1;
    }
    println!("{}: {tries} tries of {} seeds", target.name, seeds.len());
    tries
}

/// Feeds one input; what breaks is kept in a file, and named.
fn try_one(target: &Target, input: &[u8]) {
    watch::begin();
    let tried = catch_unwind(AssertUnwindSafe(|| (target.feed)(input)));
    let largest = watch::largest();
    if tried.is_err() || largest > ALLOCATION_MAX {
        let kept = std::env::temp_dir().join(format!("saigen-fuzz-{}", target.name));
        fs::write(&kept, input).unwrap();
        panic!(
            "{}: broke, or asked for {largest} bytes at once; the input is in {}, keep it in fixtures/fuzz/{}",
            target.name,
            kept.display(),
            target.name
        );
    }
}

/// One test: what is asked for at once is counted for the whole process.
#[test]
fn no_decoder_breaks_or_asks_for_more_than_its_bound() {
    for target in &targets::ALL {
        assert!(run(target) > 0);
    }
}

/// Small inputs of different lengths, from the bundled journals.
fn keep(target: &Target) {
    let mut small = bundled(target);
    small.retain(|seed| seed.len() <= KEPT_BYTES_MAX);
    small.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    small.dedup_by_key(|seed| seed.len());
    fs::create_dir_all(corpus(target)).unwrap();
    let step = small.len().div_ceil(KEPT).max(1);
    for (number, seed) in small.iter().step_by(step).enumerate() {
        fs::write(corpus(target).join(format!("bundled-{number}")), seed).unwrap();
    }
}

#[test]
fn each_target_has_inputs_that_do_not_change_with_the_bundled_journals() {
    for target in &targets::ALL {
        if std::env::var_os("SAIGEN_FUZZ_KEEP").is_some() {
            keep(target);
        }
        assert!(!files(&corpus(target)).is_empty(), "{}", target.name);
    }
}

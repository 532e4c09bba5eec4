//! How many events a second one core holds against rules.
//!
//! `cargo run --release -p saigen-analyzer --example detection_speed -- [RULES…]` holds the events
//! of `fixtures/rules` against the built-in rules, or against those of the folders given
//! (`--ordinary`: only the day's work without an attack), and prints what was loaded, what was refused and how fast it went, in CPU time.

#[path = "../tests/rules/told.rs"]
mod told;

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use saigen_analyzer::detect::{
    Correlator, Engine, Occasion, Placeholders, RuleText, built_in, read_folder,
};
use serde_json::Value;
use told::{Told, told};

/// Rounds over the events; some seconds on a slow core.
const ROUNDS: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut texts: Vec<RuleText> = Vec::new();
    let mut ordinary_only = false;
    for folder in std::env::args_os().skip(1) {
        if folder == "--ordinary" {
            ordinary_only = true;
            continue;
        }
        let read = read_folder(Path::new(&folder))?;
        texts.extend(read.texts);
    }
    if texts.is_empty() {
        texts.extend(built_in());
    }
    let files = texts.len();
    let begin = cpu_time();
    let engine = Engine::new(texts, &Placeholders::new());
    let loading = cpu_time().saturating_sub(begin);
    let counts = engine.counts();
    println!(
        "{files} files: {} rules loaded ({} over several events), {} refused, in {loading:.2?} of CPU time",
        counts.loaded,
        counts.correlations,
        counts.refused.len()
    );
    for refusal in counts.refused.iter().take(20) {
        println!("  {}: {}", refusal.file, refusal.reason);
    }
    let events = events(ordinary_only)?;
    let mut correlator = Correlator::new(&engine);
    let warm: usize = events
        .iter()
        .map(|told| engine.evaluate(&told.event, &told.context).len())
        .sum();
    let begin = cpu_time();
    let mut detections = 0;
    for round in 0..ROUNDS {
        for (index, Told { event, context }) in events.iter().enumerate() {
            let matches = engine.evaluate(event, context);
            if matches.is_empty() {
                continue;
            }
            let occasion = Occasion {
                event: (round, index),
                time: event.time,
                host: event.host.lossy().into_owned(),
                process: event.actor,
            };
            detections += correlator.observe(&occasion, &matches).len();
        }
    }
    let seconds = cpu_time().saturating_sub(begin).as_secs_f64();
    let all = u32::try_from(events.len() * ROUNDS)?;
    println!(
        "{} events, {warm} matches a round, {detections} detections, {all} held in {seconds:.2} CPU seconds: {:.0} events/s",
        events.len(),
        f64::from(all) / seconds
    );
    let idle = engine.never_applicable().count();
    println!("{idle} rules are for log sources that these events are not of");
    Ok(())
}

/// CPU time of this thread so far: the clock on the wall also runs for others.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// All events of the fixtures, those that fire rules and those that do not.
fn events(ordinary_only: bool) -> Result<Vec<Told>, Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/rules");
    let mut paths: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| !ordinary_only || path.ends_with("ordinary.json"));
    paths.sort();
    let mut events = Vec::new();
    for path in paths {
        collect(
            &serde_json::from_str(&fs::read_to_string(path)?)?,
            &mut events,
        );
    }
    Ok(events)
}

fn collect(value: &Value, events: &mut Vec<Told>) {
    if let Some(list) = value.as_array() {
        list.iter().for_each(|value| collect(value, events));
    } else if let Some(object) = value.as_object() {
        if object.contains_key("kind") {
            events.push(told(value));
        } else {
            object.values().for_each(|value| collect(value, events));
        }
    }
}

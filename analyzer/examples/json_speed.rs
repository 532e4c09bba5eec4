//! How fast JSON lines become events, beside `serde_json::Value` parsing the same lines alone.
//!
//! `cargo run --release -p saigen-analyzer --example json_speed -- FILE…` prints, in CPU time of one
//! thread, both speeds, and what the events were.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use saigen_analyzer::import::{At, Finding, ImportError, Sink, Skipped, json};
use saigen_schemas::event::Event;
use serde_json::Value;

/// Counts what it is told.
#[derive(Default)]
struct Counted {
    events: u64,
    bytes: u64,
    kinds: BTreeMap<&'static str, u64>,
    skipped: u64,
    findings: Vec<String>,
}

impl Sink for Counted {
    fn event(&mut self, _: At, event: &Event<'_>) -> Result<(), ImportError> {
        self.events += 1;
        self.bytes += event.extra.0.len() as u64;
        *self.kinds.entry(event.kind.name().as_str()).or_default() += 1;
        Ok(())
    }

    fn skip(&mut self, _: At, _: Skipped) {
        self.skipped += 1;
    }

    fn find(&mut self, finding: Finding) {
        self.findings.push(finding.text);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in std::env::args_os().skip(1) {
        let bytes = fs::read(&file)?;
        let begin = cpu_time();
        let mut counted = Counted::default();
        json::read(&mut Cursor::new(&bytes), &mut counted)?;
        let ours = cpu_time().saturating_sub(begin);
        let begin = cpu_time();
        let values = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
        let parsed = values.filter(|value| value.is_ok()).count();
        let theirs = cpu_time().saturating_sub(begin);
        println!(
            "{}: {} bytes, {} events, {} skipped, {} bytes of other fields; to events {}, to values \
             ({parsed}) {}; {:.2} times",
            file.display(),
            bytes.len(),
            counted.events,
            counted.skipped,
            counted.bytes,
            speed(bytes.len(), ours),
            speed(bytes.len(), theirs),
            theirs.as_secs_f64() / ours.as_secs_f64(),
        );
        println!("  {:?}", counted.kinds);
        for finding in counted.findings.iter().take(5) {
            println!("  {finding}");
        }
    }
    Ok(())
}

fn speed(bytes: usize, time: Duration) -> String {
    let megabytes = u32::try_from(bytes / 1000).unwrap_or(u32::MAX);
    format!(
        "{:.0} MB/s",
        f64::from(megabytes) / 1000.0 / time.as_secs_f64()
    )
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

//! How fast files that others recorded become events in order, and in how much memory.
//!
//! `cargo run --release -p saigen-analyzer --example import_speed -- PATH…` reads all files into
//! the spool, then gives all events once in order, and prints both in time of the wall and of the
//! CPU, with the most memory that the program ever held. `--beside FILE` writes an event log as
//! JSON to nowhere with the evtx crate, on all cores, as its own dump tool does.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use saigen_analyzer::import::{read_all, search};
use saigen_analyzer::reference::SourceId;
use saigen_analyzer::stream::EventStream as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut inputs: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if inputs
        .first()
        .is_some_and(|first| first.as_os_str() == "--beside")
    {
        return beside(&inputs.split_off(1));
    }
    let found = search(&inputs);
    let places: Vec<_> = (1..).map(SourceId).zip(found.places).collect();
    let (wall, cpu) = now();
    let foreign = read_all(&places, &[], &mut |_| {})?;
    let read = since(wall, cpu);
    let bytes: u64 = foreign.files.iter().map(|file| file.bytes).sum();
    let (wall, cpu) = now();
    let mut stream = foreign.stream();
    let (mut events, mut fields) = (0_u64, 0_usize);
    while stream.peek().is_some() {
        if let Some((_, event)) = stream.next() {
            events += 1;
            fields += event.extra.0.len();
        }
    }
    let given = since(wall, cpu);
    println!(
        "{} files, {bytes} bytes, {events} events, {fields} bytes of own fields",
        places.len()
    );
    tell("read", read, events);
    tell("given in order", given, events);
    let status = std::fs::read_to_string("/proc/self/status")?;
    for line in status.lines().filter(|line| line.starts_with("VmHWM")) {
        println!("{line}");
    }
    Ok(())
}

/// The other decoder.
fn beside(paths: &[PathBuf]) -> Result<(), Box<dyn std::error::Error>> {
    for path in paths {
        let (wall, cpu) = now();
        let settings = evtx::ParserSettings::new().num_threads(0).indent(false);
        let mut parser = evtx::EvtxParser::from_path(path)?.with_configuration(settings);
        let mut records = 0;
        let mut nowhere = std::io::BufWriter::new(std::fs::File::create("/dev/null")?);
        for chunk in parser.chunks_json_bytes(false) {
            nowhere.write_all(&chunk.data)?;
            records += chunk.records().count() as u64;
        }
        tell("the evtx crate, to JSON", since(wall, cpu), records);
    }
    Ok(())
}

fn now() -> (Instant, Duration) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = Duration::try_from(cpu).unwrap_or_default();
    (Instant::now(), cpu)
}

fn since(wall: Instant, cpu: Duration) -> (Duration, Duration) {
    let (_, after) = now();
    (wall.elapsed(), after.saturating_sub(cpu))
}

fn tell(what: &str, (wall, cpu): (Duration, Duration), events: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a rate for a reader")]
    let rate = |time: Duration| events as f64 / time.as_secs_f64() / 1000.0;
    println!(
        "{what}: {wall:.2?} of the wall ({:.0} thousand events/s), {cpu:.2?} of CPU ({:.0} thousand/s)",
        rate(wall),
        rate(cpu)
    );
}

//! `kill -9` at any moment.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use saigen_analyzer::evidence::FaultKind;
use saigen_collector::journal::{Limits, Tail, Urgency};
use saigen_schemas::report::Verdict;

use crate::{at, begin, judge, written};

const FOLDER: &str = "SAIGEN_CRASH_FOLDER";

/// How often the recorder is killed where nothing else is asked for.
const KILLS: u64 = 25;

fn limits() -> Limits {
    Limits {
        segment_bytes: 20_000,
        ..Limits::default()
    }
}

/// Not a test by itself: the recorder that is killed, in a process of its own. It says the number of
/// each event that it was told is durable.
#[test]
fn recorder_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let round: u64 = std::env::var("SAIGEN_CRASH_ROUND")
        .unwrap()
        .parse()
        .unwrap();
    let mut ms = round * 10_000_000;
    let mut writer = begin(
        &folder.join("journal"),
        &folder.join("keys/endpoint.key"),
        limits(),
        at(ms),
    );
    let mut out = std::io::stdout();
    loop {
        // The next critical event may be sealed at once.
        ms += 60;
        let now = at(ms);
        let path = format!("/srv/data/{ms}");
        writer
            .push(&written(&path, now), Urgency::Critical, now)
            .unwrap();
        writer.tick(now).unwrap();
        writeln!(out, "durable {}", writer.next_seq()).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn what_was_durable_reads_back_however_often_the_recorder_is_killed() {
    let kills = std::env::var("SAIGEN_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let made = saigen_collector::keys::generate(&folder.path().join("keys")).unwrap();
    let journal = folder.path().join("journal");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::recorder_to_be_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .env("SAIGEN_CRASH_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut durable = 0;
        let mut lines = out.lines().map_while(Result::ok);
        let said = |line: &str| line.strip_prefix("durable ")?.parse::<u64>().ok();
        // Let it begin, then kill it somewhere between two lines or within one.
        for line in lines.by_ref() {
            durable = said(&line).unwrap_or(durable);
            if durable > 0 {
                break;
            }
        }
        assert!(durable > 0, "round {round}: the recorder did not begin");
        std::thread::sleep(Duration::from_micros(random % 20_000));
        child.kill().unwrap();
        for line in lines {
            durable = said(&line).unwrap_or(durable);
        }
        child.wait().unwrap();
        let tail = Tail::read(&journal).unwrap().unwrap();
        assert!(
            tail.next_seq >= durable,
            "round {round}: {durable} durable, {} there",
            tail.next_seq
        );
    }
    let writer = begin(&journal, &made.endpoint, limits(), at(kills * 10_000_000));
    let events = writer.next_seq();
    writer.close(at(kills * 10_000_000 + 60)).unwrap();
    let judged = judge(&journal, &made.auditor);
    assert_eq!(judged.verdict, Verdict::CrashGap, "{}", judged.explanation);
    assert_eq!(judged.events, events);
    // Each kill leaves one place; two were seen for one kill on a busy machine.
    let kills_seen = u64::try_from(judged.faults.len()).unwrap();
    let crashes = judged
        .faults
        .iter()
        .all(|fault| fault.kind == FaultKind::Crash);
    assert!(crashes && kills_seen >= kills, "{:#?}", judged.faults);
    println!("{kills} kills, {events} events, {} frames", judged.frames);
}

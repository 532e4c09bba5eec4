//! Bounds under a flood: what happens to files is thinned first, processes outlive it, and the journal
//! says how much is missing. They need root; see `live`.

#[path = "live/journal.rs"]
mod journal;
mod live;

use journal::{collector, events};
use live::live;
use serde_json::Value;
use std::path::Path;

/// Records a command with these arguments, and gives its events.
fn record(journal: &Path, arguments: &[&str], script: &str) -> Vec<Value> {
    let output = collector()
        .args(["record", "-o"])
        .arg(journal)
        .args(arguments)
        .args(["--", "python3", "-c", script])
        .output()
        .expect("the collector runs");
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    events(journal)
}

fn count(events: &[Value], wanted: impl Fn(&Value) -> bool) -> u64 {
    let found = events.iter().filter(|event| wanted(event)).count();
    u64::try_from(found).expect("a count")
}

/// What the journal says that was left out, by how the reason begins.
fn left_out(events: &[Value], reason: &str) -> u64 {
    events
        .iter()
        .filter(|event| event["kind"] == "record.loss" && event["name"] == "recorder")
        .filter(|event| {
            let detail = event["detail"].as_str().unwrap_or_default();
            detail.starts_with(reason)
        })
        .filter_map(|event| event["count"].as_u64())
        .sum()
}

fn kind_is(event: &Value, kinds: &[&str]) -> bool {
    event["kind"]
        .as_str()
        .is_some_and(|kind| kinds.contains(&kind))
}

#[test]
fn above_the_bound_of_events_files_go_first_and_every_start_is_kept() {
    live("events a second", || {
        let dir = tempfile::tempdir().expect("a directory");
        let work = dir.path().join("work");
        std::fs::create_dir(&work).expect("a directory");
        let script = format!(
            "
import os, subprocess
for n in range(3000):
    path = '{}/f%d' % n
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.unlink(path)
    if n % 75 == 0: subprocess.run(['/bin/true', 'kept', str(n)])
",
            work.display()
        );
        let events = record(
            &dir.path().join("journal"),
            &["--max-events", "250"],
            &script,
        );
        let starts = count(&events, |event| {
            event["kind"] == "process.start" && event["args"][1] == "kept"
        });
        assert_eq!(starts, 40, "processes outlive the noise of files");
        let below = work.to_string_lossy().into_owned();
        let files = count(&events, |event| {
            kind_is(event, &["file.created", "file.written", "file.deleted"])
                && event["path"]
                    .as_str()
                    .is_some_and(|path| path.starts_with(&below))
        });
        let left = left_out(&events, "file events left out: more events");
        assert!(files < 4_500, "{files} of 9000 were written");
        assert!(
            files + left >= 9_000,
            "{files} written and {left} counted of 9000 that happened"
        );
    });
}

#[test]
fn above_its_share_of_the_cpu_the_recorder_looks_at_fewer_files() {
    live("share of the CPU", || {
        let dir = tempfile::tempdir().expect("a directory");
        let work = dir.path().join("work");
        std::fs::create_dir(&work).expect("a directory");
        // Opened to be written to and closed, again and again.
        let script = format!(
            "
import os, subprocess, time
end = time.monotonic() + 5
n = 0
while time.monotonic() < end:
    os.close(os.open('{}/f%d' % (n % 50), os.O_CREAT | os.O_WRONLY))
    n += 1
    if n % 2000 == 0: subprocess.run(['/bin/true', 'kept', str(n)])
subprocess.run(['/bin/true', 'did', str(n)])
",
            work.display()
        );
        let events = record(&dir.path().join("journal"), &["--max-cpu", "1"], &script);
        let did = events
            .iter()
            .find(|event| event["kind"] == "process.start" && event["args"][1] == "did")
            .and_then(|event| event["args"][2].as_str()?.parse::<u64>().ok())
            .expect("the last start is there");
        let starts = count(&events, |event| {
            event["kind"] == "process.start" && event["args"][1] == "kept"
        });
        assert_eq!(starts, did / 2_000);
        let left = left_out(&events, "file events left out: the recorder used more");
        assert!(left > 0, "of {did} opens some are passed over, and counted");
    });
}

#[test]
fn what_a_user_lists_is_told_and_what_is_excluded_is_not() {
    live("lists", || {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        for name in ["noise", "work"] {
            std::fs::create_dir(at(name)).expect("a directory");
        }
        std::fs::write(at("secret"), b"x").expect("a file");
        let path = |name: &str| at(name).display().to_string();
        let settings = format!(
            "watch-reads = ['{}']\nenvironment = [\"SAIGEN_TEST_MARK\"]\nexclude = ['{}']\nmax-events = 40_000\n",
            path("secret"),
            path("noise")
        );
        std::fs::write(at("settings.toml"), settings).expect("a file");
        let script = format!(
            "
import os, subprocess
for name in ('noise', 'work'): open('{0}/%s/f' % name, 'w').close()
open('{0}/secret').read()
subprocess.run(['/bin/true', 'marked'], env={{'SAIGEN_TEST_MARK': 'seen', 'OTHER': 'not'}})
",
            dir.path().display()
        );
        let config = path("settings.toml");
        let events = record(&at("journal"), &["--config", &config], &script);
        let told = |kind: &str, name: &str| {
            count(&events, |event| {
                event["kind"] == kind && event["path"] == path(name)
            })
        };
        assert_eq!(told("file.created", "work/f"), 1);
        assert_eq!(told("file.created", "noise/f"), 0, "it is left out");
        assert!(told("file.read", "secret") > 0, "it is watched");
        let marked = events
            .iter()
            .find(|event| event["kind"] == "process.start" && event["args"][1] == "marked")
            .expect("the start");
        // A page of the new stack may not have been there: then it says so.
        let variables = marked["environment"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        assert!(
            variables == ["SAIGEN_TEST_MARK=seen"] || !marked["had"]["environment"].is_null(),
            "{marked}"
        );
        let configuration = events
            .iter()
            .find(|event| event["kind"] == "record.configuration")
            .and_then(|event| event["content"].as_str())
            .expect("the configuration");
        assert!(configuration.contains(&path("noise")), "{configuration}");
        assert!(configuration.contains("\"events_a_second\":40000"));
    });
}

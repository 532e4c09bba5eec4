//! Whole recordings on the running kernel, read back. They need root; see `live`.

#[path = "live/journal.rs"]
mod journal;
mod live;

use journal::{collector, each_event, events};
use live::live;
use saigen_schemas::event::Kind;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Records a shell script and gives its exit code and events.
fn record(script: &str) -> (Option<i32>, Vec<Value>) {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("journal");
    let code = record_into(&journal, script);
    (code, events(&journal))
}

fn record_into(journal: &Path, script: &str) -> Option<i32> {
    let output = collector()
        .args(["record", "-o"])
        .arg(journal)
        .args(["--linger", "5s", "--", "/bin/sh", "-c", script])
        .output()
        .expect("the collector runs");
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.code()
}

fn of_kind<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events
        .iter()
        .filter(|event| event["kind"] == kind)
        .collect()
}

/// The program of the workload, which stands beside the tests.
fn storm() -> std::path::PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.parent()
        .and_then(Path::parent)
        .expect("the target directory")
        .join("examples/storm")
}

#[test]
fn a_storm_of_starts_is_recorded_whole_or_counted_as_lost() {
    live("storm", || {
        let count = std::env::var("SAIGEN_STORM")
            .ok()
            .and_then(|count| count.parse().ok())
            .unwrap_or(5_000_u64);
        let dir = tempfile::tempdir().expect("a directory");
        let journal = dir.path().join("journal");
        let output = collector()
            .args(["record", "-o"])
            .arg(&journal)
            .arg("--")
            .arg(storm())
            .args([&count.to_string(), "/bin/true", "saigen-storm"])
            .output()
            .expect("the collector runs");
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        let started: u64 = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .expect("the workload's count");
        assert_eq!(started, count);
        let (mut whole, mut seen, mut lost) = (BTreeSet::new(), 0_u64, 0_u64);
        let mut kinds = BTreeMap::new();
        each_event(&journal, |event| {
            if let Kind::ProcessStart(start) = event.kind {
                let args: Vec<_> = start
                    .args
                    .iter()
                    .flat_map(|args| args.iter())
                    .map(|arg| arg.lossy())
                    .collect();
                if let [program, marker, number] = &args[..]
                    && (program.as_ref(), marker.as_ref()) == ("/bin/true", "saigen-storm")
                {
                    whole.insert(number.parse::<u64>().expect("a number"));
                }
                seen += 1;
            } else if let Kind::RecordLoss(loss) = event.kind {
                lost += loss.count.unwrap_or(0);
            }
            *kinds.entry(event.kind.name().as_str()).or_insert(0_u64) += 1;
        });
        eprintln!("{kinds:?}");
        let whole = u64::try_from(whole.len()).expect("a count");
        eprintln!(
            "started {started}, recorded {seen} with the workload itself, whole {whole}, lost {lost}"
        );
        assert!(whole * 1_000 >= started * 999, "{whole} of {started} whole");
        assert!(
            seen + lost >= started,
            "{seen} recorded, {lost} lost, {started} started"
        );
    });
}

#[test]
fn a_command_ends_with_its_own_status() {
    live("status", || {
        let (code, events) = record("exit 7");
        assert_eq!(code, Some(7));
        assert!(!of_kind(&events, "process.start").is_empty());
        assert_eq!(record("kill -9 $$").0, Some(137));
    });
}

#[test]
fn what_detaches_itself_is_followed_and_strangers_are_not() {
    live("tree", || {
        let (_, events) = record(
            "(setsid sh -c 'sleep 0.3; exec /bin/echo saigen-left-behind' >/dev/null 2>&1 &)",
        );
        let starts = of_kind(&events, "process.start");
        assert!(
            starts
                .iter()
                .any(|start| start["args"][1] == "saigen-left-behind"),
            "the one that was left behind is there"
        );
        let root = starts.first().expect("the command")["actor"]["pid"].clone();
        let mut tree = vec![root];
        for event in &events {
            if event["kind"] == "process.fork" && tree.contains(&event["parent"]["pid"]) {
                tree.push(event["actor"]["pid"].clone());
            }
        }
        for event in events.iter().filter(|event| event["actor"].is_object()) {
            assert!(
                tree.contains(&event["actor"]["pid"]),
                "of the tree: {event}"
            );
        }
    });
}

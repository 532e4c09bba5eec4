//! Whole recordings on the running kernel, read back. They need root; see `live`.

#[path = "live/journal.rs"]
mod journal;
mod live;

use journal::{collector, each_event, events};
use live::live;
use saigen_collector::source::audit::{self, Audit};
use saigen_schemas::event::Kind;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

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

#[test]
fn without_audit_most_arguments_are_whole_and_the_others_say_how_they_were_had() {
    live("ladder", || {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = dir.path().join("journal");
        let status = collector()
            .args(["record", "-o"])
            .arg(&journal)
            .args(["--without", "audit", "--"])
            .arg(storm())
            .args(["500", "/bin/true", "saigen-storm"])
            .status()
            .expect("the collector runs");
        assert!(status.success());
        let events = events(&journal);
        let starts: Vec<&Value> = of_kind(&events, "process.start")
            .into_iter()
            .filter(|start| start["image"] == "/usr/bin/true" || start["image"] == "/bin/true")
            .collect();
        assert_eq!(starts.len(), 500);
        let whole = starts
            .iter()
            .filter(|start| start["args"][1] == "saigen-storm" && start["had"]["args"].is_null())
            .count();
        assert!(whole >= 300, "{whole} of 500 whole");
        for start in starts
            .iter()
            .filter(|start| start["args"].is_array() && start["args"][2].is_null())
        {
            assert!(
                start["had"]["args"].is_string(),
                "cut arguments say so: {start}"
            );
        }
    });
}

#[test]
fn a_whole_system_is_recorded_until_it_is_told_to_end() {
    live("system", || {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = dir.path().join("journal");
        let mut recorder = collector()
            .args(["record", "-o"])
            .arg(&journal)
            .spawn()
            .expect("the collector runs");
        std::thread::sleep(Duration::from_millis(1_500));
        let stranger = Command::new("/bin/sh")
            .args(["-c", "/bin/echo saigen-stranger >/dev/null"])
            .status();
        assert!(stranger.expect("sh runs").success());
        std::thread::sleep(Duration::from_millis(300));
        let pid = i32::try_from(recorder.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        assert!(recorder.wait().expect("it ends").success());
        let events = events(&journal);
        let own = recorder.id();
        assert!(
            events.iter().all(|event| event["actor"]["pid"] != own),
            "the recorder does not record itself"
        );
        assert!(
            of_kind(&events, "process.start")
                .iter()
                .any(|start| start["args"][1] == "saigen-stranger")
        );
        assert!(of_kind(&events, "state.process").len() > 1);
        let counts = of_kind(&events, "record.completeness");
        let last = counts.last().expect("counts at the end");
        let count = |name: &str| last[name].as_u64().expect("a count");
        // What was started while the sources were opened, one after the other, not all of them saw.
        let seen_by_some = count("recorded") - count("perf").min(count("recorded"));
        assert!(count("perf") > 0 && seen_by_some <= 5, "{last}");
    });
}

#[test]
fn what_a_killed_recorder_left_in_audit_is_put_back_by_the_next() {
    live("killed", || {
        let before = Audit::status().expect("audit answers");
        let dir = tempfile::tempdir().expect("a directory");
        let mut killed = collector()
            .args(["record", "-o"])
            .arg(dir.path().join("first"))
            .spawn()
            .expect("the collector runs");
        let end = Instant::now() + Duration::from_secs(20);
        while audit::leftover_rules().expect("audit answers") == 0 {
            assert!(Instant::now() < end, "the recorder adds its rules");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(300));
        killed.kill().expect("it runs");
        killed.wait().expect("it ends");
        // Nothing stands between: the kernel may still name the killed one as audit's owner.
        let next = collector()
            .args(["record", "-o"])
            .arg(dir.path().join("next"))
            .args(["--", "true"])
            .status()
            .expect("the collector runs");
        assert!(next.success());
        let told = events(&dir.path().join("next"));
        assert!(
            of_kind(&told, "record.source").iter().any(|source| {
                source["name"] == "recorder"
                    && source["detail"]
                        .as_str()
                        .is_some_and(|detail| detail.contains("did not end by itself"))
            }),
            "the next one says so"
        );
        assert_eq!(audit::leftover_rules().expect("audit answers"), 0);
        let after = Audit::status().expect("audit answers");
        assert_eq!(
            (
                after.enabled,
                after.failure,
                after.backlog_limit,
                after.backlog_wait
            ),
            (
                before.enabled,
                before.failure,
                before.backlog_limit,
                before.backlog_wait
            )
        );
    });
}

#[test]
fn connections_have_their_process_and_both_ends() {
    live("connections", || {
        let script = "python3 -c \"
import socket, threading
server = socket.create_server(('127.0.0.1', 0))
port = server.getsockname()[1]
client = socket.create_connection(('127.0.0.1', port))
taken, _ = server.accept()
client.sendall(b'x' * 1000)
taken.recv(1000)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect(('127.0.0.1', 9))
try:
    socket.create_connection(('127.0.0.1', 1))
except OSError:
    pass
\"";
        let (code, events) = record(script);
        assert_eq!(code, Some(0));
        let connected = of_kind(&events, "network.connected");
        let to = |port: &Value, outcome: &str| {
            connected
                .iter()
                .any(|event| event["remote_port"] == *port && event["outcome"] == outcome)
        };
        let listening = of_kind(&events, "network.listening");
        let port = &listening.first().expect("it listens")["local_port"];
        assert!(to(port, "success"), "{connected:?}");
        assert!(to(&Value::from(9), "success"), "{connected:?}");
        assert!(to(&Value::from(1), "failure"), "{connected:?}");
        assert!(
            of_kind(&events, "network.accepted")
                .iter()
                .any(|event| event["local_port"] == *port)
        );
        let closed = of_kind(&events, "network.closed");
        assert!(closed.iter().any(
            |event| event["remote_port"] == *port && event["sent_bytes"].as_u64() >= Some(1000)
        ));
        let doer = &connected.first().expect("one")["actor"];
        assert!(
            connected
                .iter()
                .chain(&closed)
                .all(|event| event["actor"] == *doer)
        );
    });
}

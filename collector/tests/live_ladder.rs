//! Each source switched off: the journal stays useful, and says what is missing. They need root; see `live`.

#[path = "live/journal.rs"]
mod journal;
mod live;

use journal::{collector, events};
use live::live;
use serde_json::Value;
use std::process::Command;

const SCRIPT: &str = "/bin/echo saigen-rung >file; rm file; sh -c 'exit 5'; sleep 0.7";

fn record(without: &[&str]) -> Vec<Value> {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("journal");
    let mut command = collector();
    command.args(["record", "-o"]).arg(&out);
    for source in without {
        command.args(["--without", source]);
    }
    let output = command
        .args(["--", "/bin/sh", "-c", SCRIPT])
        .current_dir(dir.path())
        .output()
        .expect("the collector runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    events(&out)
}

fn of<'e>(events: &'e [Value], kind: &'static str) -> impl Iterator<Item = &'e Value> {
    events.iter().filter(move |event| event["kind"] == kind)
}

/// The starts of the script are there, and what was left out says so.
fn still_honest(events: &[Value], without: &str) {
    let starts = of(events, "process.start").count();
    assert!(starts >= 5, "{starts} starts without {without}");
    assert!(of(events, "process.fork").count() >= 4);
    assert!(of(events, "process.exit").count() >= 4);
    let told = of(events, "record.source").any(|source| {
        source["name"] == without
            && source["state"] == "down"
            && source["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("missed"))
    });
    assert!(told, "the journal says that {without} is missing");
}

fn code_of_five(events: &[Value]) -> bool {
    of(events, "process.exit").any(|exit| exit["code"] == 5)
}

#[test]
fn without_audit_starts_and_ends_are_there_and_arguments_are_marked() {
    live("no audit", || {
        let events = record(&["audit"]);
        still_honest(&events, "audit");
        for start in of(&events, "process.start") {
            assert!(start["image"].is_string(), "{start}");
            assert!(
                start["had"]["uid"].is_string(),
                "ids are second-hand: {start}"
            );
        }
        assert!(of(&events, "process.start").any(|start| start["args"].is_array()));
        let counts = of(&events, "record.completeness").last().expect("counts");
        assert_eq!(counts["audit"], 0);
        assert_eq!(counts["perf"], counts["recorded"]);
    });
}

#[test]
fn without_fanotify_nothing_is_said_of_files() {
    live("no fanotify", || {
        let events = record(&["fanotify"]);
        still_honest(&events, "fanotify");
        assert_eq!(of(&events, "file.created").count(), 0);
        assert!(code_of_five(&events));
    });
}

#[test]
fn without_the_connector_taskstats_knows_how_processes_ended() {
    live("no connector", || {
        let events = record(&["proc_connector"]);
        still_honest(&events, "proc_connector");
        assert!(code_of_five(&events));
        let counts = of(&events, "record.completeness").last().expect("counts");
        assert_eq!(counts["connector"], 0);
        assert_eq!(counts["audit"], counts["perf"]);
    });
}

#[test]
fn without_taskstats_nobody_knows_what_was_used() {
    live("no taskstats", || {
        let events = record(&["taskstats"]);
        still_honest(&events, "taskstats");
        assert!(of(&events, "process.exit").all(|exit| exit["user_us"].is_null()));
        assert!(code_of_five(&events));
    });
}

#[test]
fn with_the_spine_alone_every_start_is_still_there() {
    live("spine", || {
        let all = [
            "audit",
            "fanotify",
            "proc_connector",
            "sock_diag",
            "taskstats",
            "perf_stacks",
        ];
        let events = record(&all);
        for source in [
            "audit",
            "fanotify",
            "proc_connector",
            "sock_diag",
            "taskstats",
        ] {
            still_honest(&events, source);
        }
        let counts = of(&events, "record.completeness").last().expect("counts");
        assert_eq!(counts["perf"], counts["recorded"]);
        assert!(of(&events, "process.exit").all(|exit| exit["code"].is_null()));
    });
}

#[test]
fn without_privilege_it_says_what_can_be_had_and_leaves_nothing_behind() {
    live("unprivileged", || {
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join("saigen-collector");
        std::fs::copy(env!("CARGO_BIN_EXE_saigen-collector"), &program).expect("a copy");
        std::fs::set_permissions(
            dir.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )
        .expect("open to all");
        let nobody = |arguments: &[&str]| {
            Command::new("setpriv")
                .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
                .args(["--bounding-set", "-all", "--inh-caps", "-all"])
                .arg(&program)
                .args(arguments)
                .current_dir(dir.path())
                .output()
                .expect("setpriv runs")
        };
        let probe = nobody(&["probe", "--json"]);
        assert!(probe.status.success());
        let probe: Value = serde_json::from_slice(&probe.stdout).expect("JSON");
        assert_eq!(probe["records"], false);
        assert!(
            probe["missing_capabilities"]
                .as_array()
                .is_some_and(|missing| missing.len() >= 5)
        );
        let recorded = nobody(&["record", "-o", "journal", "--", "true"]);
        let said = String::from_utf8_lossy(&recorded.stderr).into_owned();
        assert_eq!(recorded.status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!dir.path().join("journal").exists());
    });
}

#[test]
fn in_a_container_it_says_what_can_be_had() {
    live("container", || {
        let probe = Command::new("unshare")
            .args([
                "--pid",
                "--fork",
                "--mount-proc",
                "--net",
                "--mount",
                "--user",
                "--map-root-user",
            ])
            .arg(env!("CARGO_BIN_EXE_saigen-collector"))
            .args(["probe", "--json"])
            .output()
            .expect("unshare runs");
        assert!(
            probe.status.success(),
            "{}",
            String::from_utf8_lossy(&probe.stderr)
        );
        let probe: Value = serde_json::from_slice(&probe.stdout).expect("JSON");
        let sources = probe["sources"].as_array().expect("sources");
        let absent: Vec<&Value> = sources
            .iter()
            .filter(|source| {
                source["step"]
                    .as_str()
                    .is_some_and(|step| step.starts_with("none"))
            })
            .collect();
        assert!(!absent.is_empty());
        for source in absent {
            assert!(
                source["missed"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{source}"
            );
            assert!(
                source["advice"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{source}"
            );
        }
    });
}

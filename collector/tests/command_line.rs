//! The program as others see it: exit codes, one line for each error, nothing written over.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn collector(arguments: &[&str], at: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_saigen-collector"))
        .args(arguments)
        .current_dir(at)
        .output()
        .expect("the program can be run")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that nothing was done, and that one line says so.
fn refused(output: &Output, saying: &str) {
    assert_eq!(output.status.code(), Some(2), "{}", stderr(output));
    let text = stderr(output);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(saying), "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn keys_are_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let made = collector(&["keygen", "-o", "keys"], dir.path());
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    assert_eq!(
        String::from_utf8_lossy(&made.stdout),
        "keys/endpoint.key\nkeys/auditor.key\nkeys/enrolment.pub\n"
    );
    let before = fs::read(dir.path().join("keys/auditor.key")).unwrap();
    refused(
        &collector(&["keygen", "-o", "keys"], dir.path()),
        "keys/endpoint.key: exists already",
    );
    assert_eq!(
        fs::read(dir.path().join("keys/auditor.key")).unwrap(),
        before
    );
}

#[test]
fn keys_are_not_made_where_there_is_no_place() {
    let dir = tempfile::tempdir().unwrap();
    refused(
        &collector(&["keygen", "-o", "a/b/c"], dir.path()),
        "a/b/c: cannot create the directory",
    );
    fs::write(dir.path().join("file"), "").unwrap();
    refused(&collector(&["keygen", "-o", "file"], dir.path()), "file");
}

#[test]
fn what_keygen_says_to_machines_is_json() {
    let dir = tempfile::tempdir().unwrap();
    let made = collector(&["keygen", "-o", "keys", "--json"], dir.path());
    let said: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(said["endpoint_key"], "keys/endpoint.key");
    assert_eq!(said["enrolment"].as_str().unwrap().len(), 32);
}

#[test]
fn a_snapshot_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let taken = collector(&["snapshot", "-o", "state", "--json"], dir.path());
    assert_eq!(taken.status.code(), Some(0), "{}", stderr(&taken));
    let said: serde_json::Value = serde_json::from_slice(&taken.stdout).unwrap();
    assert!(said["events"].as_u64().unwrap() > 0);
    let segment = dir.path().join("state/00000001.saj");
    let before = fs::read(&segment).unwrap();
    refused(
        &collector(&["snapshot", "-o", "state"], dir.path()),
        "state: holds 00000001.saj already",
    );
    assert_eq!(fs::read(&segment).unwrap(), before);
}

#[test]
fn a_word_that_is_none_is_refused_with_two() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["rekord"][..], &["keygen"], &["snapshot", "--output"], &[]] {
        let output = collector(arguments, dir.path());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn help_goes_to_stdout_and_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["keygen", "--help"],
        &["help", "snapshot"],
    ] {
        let output = collector(arguments, dir.path());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn settings_come_from_a_file_and_its_errors_have_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("c.toml");
    fs::write(
        &config,
        "output = \"j\"\nmax-disk = \"7MiB\"\nwithout = [\"audit\"]\n",
    )
    .unwrap();
    let plan = collector(&["record", "--config", "c.toml", "--dry-run"], dir.path());
    assert_eq!(plan.status.code(), Some(0), "{}", stderr(&plan));
    let said = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        said.contains("7 MiB of disk") && said.contains("left out          audit"),
        "{said}"
    );
    assert!(said.contains("LD_PRELOAD"), "{said}");
    assert!(!dir.path().join("j").exists(), "nothing is made");
    let plan = collector(
        &[
            "record",
            "--config",
            "c.toml",
            "--max-disk",
            "9MiB",
            "--dry-run",
        ],
        dir.path(),
    );
    assert!(String::from_utf8_lossy(&plan.stdout).contains("9 MiB of disk"));
    for (text, says) in [
        (
            "maxdisk = \"1\"",
            "c.toml:1:1: unknown name \"maxdisk\"; did you mean max-disk?",
        ),
        ("\nfor = \"1w\"", "c.toml:2:7: for: unknown unit \"w\""),
        ("dns = \"yes\"", "c.toml:1:7: dns: expected true or false"),
        (
            "without = [\"perf\"]",
            "c.toml:1:11: without: expected audit",
        ),
    ] {
        fs::write(&config, text).unwrap();
        refused(
            &collector(
                &["record", "-o", "j", "--config", "c.toml", "--dry-run"],
                dir.path(),
            ),
            says,
        );
    }
    refused(&collector(&["record"], dir.path()), "--output DIR");
}

#[test]
fn a_unit_is_shown_and_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let shown = collector(
        &["install", "--print", "--key", "/etc/k/endpoint.key"],
        dir.path(),
    );
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    let unit = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        unit.contains(" record --below /var/lib/saigen --key /etc/k/endpoint.key"),
        "{unit}"
    );
    assert!(unit.contains("CapabilityBoundingSet="));
    let place = dir.path().join("x.service");
    let arguments = ["install", "--unit", place.to_str().unwrap()];
    assert_eq!(collector(&arguments, dir.path()).status.code(), Some(0));
    refused(&collector(&arguments, dir.path()), "exists already");
    refused(
        &collector(&["install", "--print", "--below", "here"], dir.path()),
        "absolute path",
    );
}

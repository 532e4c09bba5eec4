//! An intrusion whose intruder kills the recorder and goes on: what was not recorded must be told as that.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::score::{Score, moment_us};
use crate::{events, house, program, read, recorded, run, seeds, skipped, text, verdict};

/// A recorder that begins tells of the machine's state before it lets the machine begin.
const BEGINS_US: i64 = 5_000_000;

fn bundled() -> PathBuf {
    house().join("fixtures/bundled/blinded")
}

/// When nobody recorded, by the truth.
fn unrecorded(truth: &Value) -> (i64, i64) {
    let gap = &truth["unrecorded"][0];
    let us = |name: &str| moment_us(&text(&gap[name])).expect("a gap has its times");
    (us("from_utc"), us("until_utc"))
}

/// Both journals, investigated together.
fn report(scenario: &Path, case: &Path) -> Value {
    run(Command::new(program("saigen"))
        .arg("investigate")
        .args([scenario.join("journal"), scenario.join("journal-2")])
        .arg("-o")
        .arg(case)
        .arg("--key")
        .arg(scenario.join("auditor.key")));
    read(&case.join("report.json"))
}

fn each_journal_says_how_it_ended(scenario: &Path) {
    let key = scenario.join("auditor.key");
    assert_eq!(verdict(&scenario.join("journal"), &key), "open_end");
    assert_eq!(verdict(&scenario.join("journal-2"), &key), "intact");
}

/// Nothing of the gap is recorded: the truth's gap is one.
fn the_gap_is_empty(scenario: &Path) {
    let (from, until) = unrecorded(&read(&scenario.join("truth.json")));
    let times = |name: &str| {
        let us = |event: &Value| moment_us(&text(&event["time"])).expect("an event has a time");
        events(&scenario.join(name))
            .iter()
            .map(us)
            .collect::<Vec<_>>()
    };
    let last = times("journal").into_iter().max().expect("events");
    let first = times("journal-2").into_iter().min().expect("events");
    assert!(last <= from, "recorded after the recorder's end");
    assert!(
        first > from && first >= until - BEGINS_US,
        "recorded before it began"
    );
}

/// What a report does not say as it should.
fn faults(truth: &Value, report: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let score = Score::of(truth, report);
    println!("{score}");
    if score.found < score.wanted {
        faults.push(format!("missing: {:?}", score.missing));
    }
    if !score.extra.is_empty() || !score.false_incidents.is_empty() {
        faults.push(format!(
            "others: {:?} {:?}",
            score.extra, score.false_incidents
        ));
    }
    if !score.entry_named {
        faults.push(format!("the entry is not named: {:?}", score.entry));
    }
    let (from, until) = unrecorded(truth);
    let us = |value: &Value| moment_us(&text(value)).unwrap_or(0);
    // The hole begins with the last event that was written and ends with the next recorder's first.
    let covers =
        |gap: &Value| us(&gap["from"]) <= from && us(&gap["to"]) > from && us(&gap["to"]) <= until;
    let gaps = report["incidents"][0]["gaps"].as_array();
    match gaps.and_then(|gaps| gaps.iter().find(|gap| covers(gap))) {
        Some(gap) if text(&gap["text"]).contains("not known") => {}
        Some(gap) => faults.push(format!("the gap is not told as one: {gap}")),
        None => faults.push("the incident does not tell of the gap".to_owned()),
    }
    faults
}

#[test]
fn the_bundled_recordings_around_the_gap_hold() {
    each_journal_says_how_it_ended(&bundled());
    the_gap_is_empty(&bundled());
}

#[test]
fn the_bundled_report_tells_what_nobody_recorded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let truth = read(&bundled().join("truth.json"));
    let unseen = truth["malicious_processes"].as_array().expect("processes");
    assert!(
        unseen.iter().any(|process| process["observed"] == "no"),
        "the intruder did something in the gap"
    );
    let report = report(&bundled(), &folder.path().join("case"));
    assert_eq!(faults(&truth, &report), Vec::<String>::new());
}

#[test]
fn a_fresh_killed_recorder_leaves_a_gap_that_is_told() {
    if let Some(reason) = skipped() {
        println!("skipped: {reason}");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seed = seeds().last().copied().unwrap_or(0);
    let scenario = recorded(seed, &["--story", "blinded"], folder.path());
    each_journal_says_how_it_ended(&scenario);
    the_gap_is_empty(&scenario);
    let report = report(&scenario, &folder.path().join("case"));
    let faults = faults(&read(&scenario.join("truth.json")), &report);
    assert!(faults.is_empty(), "seed {seed}: {}", faults.join("\n"));
}

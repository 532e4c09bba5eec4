//! The renderers, as a reader of their output sees them.
//!
//! `golden/story.report.json` is a report written by hand: an intrusion on a Linux host that
//! never was, with names as an intruder would choose them. It is the input and, byte for byte,
//! what `write_json` makes of it; the other files beside it are what the other renderers make.
//! `SAIGEN_REWRITE_GOLDEN=1 cargo test -p saigen-analyzer --test report` rewrites them.

mod hostile;
mod page;
mod schema;

use std::fs;
use std::path::PathBuf;

use saigen_analyzer::report::{write_html, write_json, write_text, write_timeline};
use saigen_schemas::report::{Report, Tool};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn story() -> Report {
    let json = fs::read(golden("story.report.json")).expect("the golden report is there");
    serde_json::from_slice(&json).expect("the golden report is a report")
}

fn nothing() -> Report {
    let tool = Tool {
        name: "saigen".to_owned(),
        version: "0.1.0".to_owned(),
    };
    Report::new(tool, "saigen investigate quiet.journal -o case".to_owned())
}

fn json(report: &Report) -> String {
    rendered(|out| write_json(report, out))
}

fn text(report: &Report) -> String {
    rendered(|out| write_text(report, out))
}

fn timeline(report: &Report) -> String {
    rendered(|out| write_timeline(report, out))
}

fn html(report: &Report) -> String {
    rendered(|out| write_html(report, out))
}

fn rendered(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("writing to memory");
    String::from_utf8(out).expect("a report is UTF-8")
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    let report = story();
    for (name, made) in [
        ("story.report.json", json(&report)),
        ("story.report.txt", text(&report)),
        ("story.timeline.csv", timeline(&report)),
        ("story.report.html", html(&report)),
    ] {
        if std::env::var_os("SAIGEN_REWRITE_GOLDEN").is_some() {
            fs::write(golden(name), &made).expect("the golden folder is writable");
        }
        let kept = fs::read_to_string(golden(name)).expect("the golden file is there");
        let differs = made.lines().zip(kept.lines()).position(|(a, b)| a != b);
        assert!(
            made == kept,
            "{name} differs from line {:?} on",
            differs.map(|at| at + 1)
        );
    }
}

#[test]
fn what_is_written_as_json_is_read_as_the_same_report() {
    let report = story();
    let again: Report = serde_json::from_str(&json(&report)).expect("a report");
    assert_eq!(again, report);
}

#[test]
fn every_citation_has_its_record() {
    let report = story();
    for reference in report.cited() {
        assert!(
            report.records.contains_key(&reference),
            "{reference} has no record"
        );
    }
}

#[test]
fn the_order_of_detections_does_not_change_the_timeline() {
    let mut report = story();
    let before = timeline(&report);
    report.detections.reverse();
    report.incidents[0].steps.reverse();
    report.incidents[0].files.reverse();
    assert_eq!(timeline(&report), before);
}

#[test]
fn a_report_without_an_incident_says_what_was_looked_at() {
    let mut report = story();
    report.incidents.clear();
    report
        .detections
        .iter_mut()
        .for_each(|detection| detection.incident = None);
    for page in [html(&report), text(&report)] {
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let lower = page.to_lowercase();
        assert!(lower.contains("no incident found"));
        assert!(page.contains("11 detections stayed below it"));
        assert!(page.contains("are not recorded"));
    }
    for page in [html(&nothing()), text(&nothing())] {
        assert!(page.contains("No input was read"));
        assert!(page.contains("No rule fired"));
    }
}

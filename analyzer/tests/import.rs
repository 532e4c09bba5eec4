//! Logs of others through the program: what it says, and where its references lead.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn saigen(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_saigen"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A start of a process as Sysmon tells it, in JSON.
fn start(host: &str, second: u32, pid: u32, parent: u32, line: &str) -> String {
    let guid = |pid: u32| format!("{{00000000-0000-0000-0000-{pid:012}}}");
    let record = serde_json::json!({
        "EventID": 1,
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "SourceName": "Microsoft-Windows-Sysmon",
        "Hostname": host,
        "RecordNumber": pid,
        "UtcTime": format!("2024-01-01 00:00:{second:02}.000"),
        "ProcessId": pid.to_string(),
        "ProcessGuid": guid(pid),
        "ParentProcessId": parent.to_string(),
        "ParentProcessGuid": guid(parent),
        "Image": format!("C:\\Windows\\{}.exe", line.split(' ').next().unwrap_or_default()),
        "CommandLine": line,
    });
    format!("{record}\n")
}

/// A folder with a log in an archive, and one beside it.
fn house() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let inside = [
        start("ws-1.example.test", 1, 10, 4, "explorer"),
        start("ws-1.example.test", 3, 30, 20, "whoami /all"),
    ];
    let mut zip = zip::ZipWriter::new(File::create(at.join("ws-1.zip")).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("logs/sysmon.json", options).unwrap();
    zip.write_all(inside.concat().as_bytes()).unwrap();
    zip.finish().unwrap();
    fs::write(
        at.join("late.jsonl"),
        start("WS-1", 2, 20, 10, "cmd /c whoami"),
    )
    .unwrap();
    fs::write(at.join("notes.txt"), "nothing that is a log\n").unwrap();
    folder
}

#[test]
fn info_says_what_each_file_is_and_leaves_nothing_out() {
    let folder = house();
    let output = saigen(&["info", ".", "--json"], folder.path());
    assert_eq!(code(&output), 0);
    let info = json(&output);
    let rows: Vec<_> = info["evidence"].as_array().unwrap().iter().collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["path"], &rows[0]["format"]),
        (&"late.jsonl".into(), &"json".into())
    );
    assert_eq!(rows[1]["format"], "archive");
    assert_eq!(rows[1]["members"][0]["path"], "logs/sysmon.json");
    assert_eq!(rows[1]["events"], 2);
    assert_eq!(rows[1]["hosts"], serde_json::json!(["ws-1"]));
    assert_eq!(info["strangers"][0]["path"], "notes.txt");
}

#[test]
fn files_and_archives_are_one_tree() {
    let folder = house();
    let tree = text(&saigen(&["tree", "."], folder.path()));
    let depth = |name: &str| {
        let line = tree.lines().find(|line| line.contains(name)).expect(&tree);
        line.find(name).unwrap()
    };
    assert!(
        depth("explorer") < depth("cmd.exe") && depth("cmd.exe") < depth("whoami.exe"),
        "{tree}"
    );
}

#[test]
fn a_reference_into_an_archive_leads_to_the_bytes() {
    let folder = house();
    let at = folder.path();
    let events = text(&saigen(&["events", ".", "--where", "image~whoami"], at));
    let event: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    let reference = event["ref"].as_str().unwrap();
    assert!(
        reference.starts_with("e2!logs/sysmon.json:@"),
        "{reference}"
    );
    assert_eq!(code(&saigen(&["investigate", ".", "-o", "case"], at)), 0);
    let shown = saigen(&["show", "case", reference, "--bytes"], at);
    assert_eq!(
        code(&shown),
        0,
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    let record: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(record["CommandLine"], "whoami /all");
    // The evidence is changed: show says so.
    fs::write(at.join("late.jsonl"), "{\"a\":1}\n").unwrap();
    let late = saigen(&["show", "case", "e1:@0"], at);
    assert_eq!(code(&late), 1);
    let none = saigen(&["show", "case", "e2!logs/sysmon.json:@7"], at);
    assert_eq!(code(&none), 2);
}

#[test]
fn the_order_of_inputs_changes_nothing() {
    let folder = house();
    let at = folder.path();
    let one = saigen(
        &["replay", "--format", "jsonl", "late.jsonl", "ws-1.zip"],
        at,
    );
    let other = saigen(
        &["replay", "--format", "jsonl", "ws-1.zip", "late.jsonl"],
        at,
    );
    assert_eq!(text(&one), text(&other));
    assert_eq!(text(&one).lines().count(), 3);
}

#[test]
fn an_import_is_a_journal_that_points_back() {
    let folder = house();
    let at = folder.path();
    assert_eq!(code(&saigen(&["import", ".", "-o", "kept"], at)), 0);
    assert_eq!(
        code(&saigen(&["import", ".", "-o", "kept"], at)),
        2,
        "it is there"
    );
    let verified = saigen(&["verify", "kept", "--json"], at);
    assert_eq!(code(&verified), 0);
    let whoami = text(&saigen(&["events", "kept", "--where", "image~whoami"], at));
    let event: Value = serde_json::from_str(&whoami).unwrap();
    let origin = event["fields"]["saigen.origin"].as_str().unwrap();
    assert!(origin.starts_with("e2!logs/sysmon.json:@"), "{origin}");
    let sources = text(&saigen(
        &["events", "kept", "--where", "kind=record.source"],
        at,
    ));
    assert!(sources.contains("\"sha256\""), "{sources}");
    // The same files give the same bytes.
    assert_eq!(
        code(&saigen(
            &["import", "late.jsonl", "ws-1.zip", "-o", "again"],
            at
        )),
        0
    );
    let segment = |name: &str| fs::read(at.join(name).join("00000001.saj")).unwrap();
    assert!(segment("kept") == segment("again"));
}

#[test]
fn what_is_damaged_is_read_and_ends_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lines = start("a", 1, 10, 4, "explorer") + "{\"cut\": \n" + &start("a", 2, 20, 10, "cmd");
    fs::write(at.join("a.json"), lines).unwrap();
    let output = saigen(&["info", "a.json", "--json"], at);
    assert_eq!(code(&output), 1);
    let info = json(&output);
    assert_eq!(info["evidence"][0]["verdict"], "damaged");
    assert_eq!(info["evidence"][0]["events"], 2);
    let finding = &info["evidence"][0]["findings"][0];
    assert_eq!(finding["kind"], "damage");
    assert!(finding["offset"].as_u64().unwrap() > 0, "{finding}");
}

#[test]
fn what_is_no_evidence_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("empty.evtx"), b"").unwrap();
    let output = saigen(&["info", "empty.evtx"], at);
    assert_eq!(code(&output), 2);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        words.contains("empty.evtx") && words.contains("the file is empty"),
        "{words}"
    );
}

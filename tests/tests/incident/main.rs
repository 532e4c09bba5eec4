//! A recorded intrusion becomes one incident, and an ordinary day none.
//!
//! The live test records with the collector as anyone would, in namespaces of the
//! scenario's own, and judges with the analyzer's program. It needs root and a kernel that
//! can be recorded, so it runs only when `SAIGEN_LIVE=1` says so. The seeds are fresh in
//! each run and printed; `SAIGEN_SEEDS="3 5"` plays given ones again.

mod blinded;
mod known;
mod score;
mod spread;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use score::{Score, moment_us};
use serde_json::{Value, json};

/// How many of the processes that an incident calls malicious may be others.
const PRECISION_MIN: f64 = 0.9;
/// How many of the truth's stages a story may leave out: what is told is judged more than
/// how much.
const STAGES_MIN: f64 = 0.75;

fn house() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package stands in the house")
}

/// The newest build of a program, in any of the profiles that are in use; built when there is none.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a program");
    let target = test
        .ancestors()
        .nth(3)
        .expect("a test lies in target/PROFILE/deps");
    let built = ["collector", "release", "debug"].map(|profile| target.join(profile).join(name));
    let newest = built.iter().filter(|path| path.exists());
    if let Some(path) =
        newest.max_by_key(|path| fs::metadata(path).and_then(|about| about.modified()).ok())
    {
        return path.clone();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo)
        .args(["build", "--locked", "--bin", name])
        .current_dir(house()));
    target.join("debug").join(name)
}

/// Why nothing can be recorded here, or `None`.
fn skipped() -> Option<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if std::env::var_os("SAIGEN_LIVE").is_none_or(|value| value != "1") {
        return Some("SAIGEN_LIVE=1 is not set");
    }
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        return Some("recording needs root");
    }
    None
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("a program can be started");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} ended with {}: {words}",
        output.status
    );
    output
}

fn read(path: &Path) -> Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Plays and records a scenario; gives its folder.
fn recorded(seed: u64, more: &[&str], folder: &Path) -> PathBuf {
    let scenario = folder.join(format!("scenario-{seed}"));
    run(Command::new(house().join("fixtures/incident/run"))
        .args(["--seed", &seed.to_string(), "--out"])
        .arg(&scenario)
        .arg("--collector")
        .arg(program("saigen-collector"))
        .args(more));
    scenario
}

/// Plays and records a scenario, investigates the journal; gives the truth and the report.
fn play(seed: u64, more: &[&str], folder: &Path) -> (Value, Value) {
    let scenario = recorded(seed, more, folder);
    let case = folder.join(format!("case-{seed}"));
    (
        read(&scenario.join("truth.json")),
        investigated(&scenario, &case),
    )
}

/// Judges the journal of a scenario and gives the report.
fn investigated(scenario: &Path, case: &Path) -> Value {
    let journal = scenario.join("journal");
    let truth = read(&scenario.join("truth.json"));
    nothing_of_this_machine_is_in(&journal, &text(&truth["hosts"][0]));
    run(Command::new(program("saigen"))
        .arg("investigate")
        .arg(&journal)
        .arg("-o")
        .arg(case)
        .arg("--key")
        .arg(scenario.join("auditor.key")));
    read(&case.join("report.json"))
}

/// The events of a journal.
fn events(journal: &Path) -> Vec<Value> {
    let output = run(Command::new(program("saigen"))
        .arg("events")
        .arg(journal)
        .arg("--json"));
    let lines = String::from_utf8_lossy(&output.stdout);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event is a JSON object"))
        .collect()
}

/// What `verify` says of a journal, with its auditor's key.
fn verdict(journal: &Path, key: &Path) -> String {
    let output = run(Command::new(program("saigen"))
        .arg("verify")
        .arg(journal)
        .arg("--key")
        .arg(key)
        .arg("--json"));
    let told: Value = serde_json::from_slice(&output.stdout).expect("a verdict is JSON");
    text(&told["evidence"][0]["verdict"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A recording that is bundled must not tell of the machine that made it.
fn nothing_of_this_machine_is_in(journal: &Path, host: &str) {
    let output = run(Command::new(program("saigen"))
        .arg("events")
        .arg(journal)
        .arg("--json"));
    let events = String::from_utf8_lossy(&output.stdout);
    assert!(!events.is_empty(), "the journal has no events");
    let home = std::env::var("HOME").unwrap_or_default();
    let temporary = std::env::temp_dir().join("saigen-scenario");
    let foreign = [
        house().display().to_string(),
        format!("{home}/.cargo"),
        ".pyenv".into(),
        temporary.display().to_string(),
    ];
    for line in events.lines() {
        for word in &foreign {
            assert!(
                !line.contains(word.as_str()),
                "the journal names {word}: {line}"
            );
        }
        let event: Value = serde_json::from_str(line).expect("an event is a JSON object");
        assert_eq!(event["host"], host, "a foreign host name: {line}");
    }
}

fn seeds() -> Vec<u64> {
    let given = std::env::var("SAIGEN_SEEDS").unwrap_or_default();
    let given: Vec<u64> = given
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    if !given.is_empty() {
        return given;
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    (0..3)
        .map(|at| (now.as_secs() + at * 7919) % 1_000_000)
        .collect()
}

#[test]
fn fresh_intrusions_are_each_one_incident() {
    if let Some(reason) = skipped() {
        println!("skipped: {reason}");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut failed = Vec::new();
    for seed in seeds() {
        let (truth, report) = play(seed, &[], folder.path());
        let score = Score::of(&truth, &report);
        println!("seed {seed}: {score}");
        failed.extend(
            faults(&score)
                .into_iter()
                .map(|fault| format!("seed {seed}: {fault}")),
        );
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn an_ordinary_day_is_no_incident() {
    if let Some(reason) = skipped() {
        println!("skipped: {reason}");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seed = seeds().first().copied().unwrap_or(0);
    let (_truth, report) = play(seed, &["--noise-only"], folder.path());
    let found = titles(&report);
    assert!(
        found.is_empty(),
        "seed {seed}: an ordinary day became {found:?}"
    );
}

#[test]
fn the_bundled_intrusion_is_one_incident() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scenario = house().join("fixtures/bundled/intrusion");
    let report = investigated(&scenario, &folder.path().join("case"));
    let score = Score::of(&read(&scenario.join("truth.json")), &report);
    println!("{score}");
    assert_eq!(faults(&score), Vec::<String>::new(), "{score}");
}

#[test]
fn the_bundled_day_is_no_incident() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = investigated(
        &house().join("fixtures/bundled/day"),
        &folder.path().join("case"),
    );
    assert_eq!(titles(&report), Vec::<String>::new());
}

#[test]
fn without_an_incident_the_gravest_findings_lead_to_a_search_by_hand() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scenario = house().join("fixtures/bundled/day");
    let case = folder.path().join("case");
    let output = run(Command::new(program("saigen"))
        .arg("investigate")
        .arg(scenario.join("journal"))
        .arg("-o")
        .arg(&case)
        .arg("--key")
        .arg(scenario.join("auditor.key")));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let offered = said
        .lines()
        .find_map(|line| line.split_once("saigen trace "));
    let (_, words) = offered.unwrap_or_else(|| panic!("no search is offered:\n{said}"));
    assert!(said.contains("no incident"), "{said}");
    let traced = run(Command::new(program("saigen"))
        .arg("trace")
        .args(words.split_whitespace()));
    assert!(!traced.stdout.is_empty());
}

fn titles(report: &Value) -> Vec<String> {
    let incidents = report["incidents"]
        .as_array()
        .expect("a report has a list of incidents");
    incidents
        .iter()
        .map(|one| one["title"].to_string())
        .collect()
}

/// What is wrong with a score.
fn faults(score: &Score) -> Vec<String> {
    let told = f64::from(u32::try_from(score.stages_told.0).unwrap_or(0));
    let stages = f64::from(u32::try_from(score.stages_told.1).unwrap_or(0));
    let checks = [
        (
            score.found == score.wanted,
            format!("missing: {:?}", score.missing),
        ),
        (
            score.precision() >= PRECISION_MIN,
            format!("others: {:?}", score.extra),
        ),
        (
            score.false_incidents.is_empty(),
            format!("false incidents: {:?}", score.false_incidents),
        ),
        (
            score.entry_named,
            format!("the entry is not named: {:?}", score.entry),
        ),
        (
            score.disorder.is_empty(),
            format!("out of order: {:?}", score.disorder),
        ),
        (
            told >= STAGES_MIN * stages,
            format!("untold: {:?}", score.stages_untold),
        ),
    ];
    checks
        .into_iter()
        .filter(|(right, _)| !right)
        .map(|(_, fault)| fault)
        .collect()
}

/// A truth of three malicious processes and the service that they came through.
fn small_truth() -> Value {
    let process = |pid: u64, second: u32, line: &str| json!({ "host": "h", "pid": pid, "start_utc": format!("2030-01-01T00:00:{second:02}.000Z"), "execs": [], "command_line": line });
    json!({
        "hosts": ["h"],
        "entry": { "remote": "192.0.2.9" },
        "malicious_processes": [process(10, 10, "sh -c x"), process(11, 20, "id"), process(12, 30, "/tmp/t")],
        "compromised_processes": [process(5, 1, "/srv/app/bin/appd /srv/app/app.conf")],
        "chain": [
            { "text": "request", "pids": [10] },
            { "text": "look", "pids": [11] },
            { "text": "a shell's own word", "pids": [] },
            { "text": "tool", "pids": [12] },
        ],
    })
}

/// A report that tells the small truth as it was.
fn right_report() -> Value {
    let process = |node: &str, pid: u64, second: u32, role: &str| json!({ "node": node, "host": "h", "pid": pid, "start": format!("2030-01-01T00:00:{second:02}.400000Z"), "role": role, "command_line": "" });
    let step = |second: u32, actor: &str| json!({ "time": format!("2030-01-01T00:00:{second:02}.400000Z"), "actor": actor, "object": null, "text": actor });
    json!({ "incidents": [{
        "title": "i",
        "entry": [{ "text": "a request from 192.0.2.9 reached appd" }],
        "processes": [
            process("n0", 5, 1, "compromised"),
            process("n1", 10, 10, "malicious"),
            process("n2", 11, 20, "malicious"),
            process("n3", 12, 30, "malicious"),
        ],
        "steps": [step(10, "n1"), step(20, "n2"), step(30, "n3")],
    }]})
}

#[test]
fn a_right_report_scores_full() {
    let score = Score::of(&small_truth(), &right_report());
    assert_eq!(faults(&score), Vec::<String>::new(), "{score}");
    assert_eq!((score.found, score.stages_told), (3, (3, 3)));
}

#[test]
fn each_fault_of_a_report_is_seen() {
    let faults_after = |spoil: &dyn Fn(&mut Value)| {
        let mut report = right_report();
        spoil(&mut report);
        faults(&Score::of(&small_truth(), &report)).len()
    };
    let one = "/incidents/0";
    let at = |report: &mut Value, path: &str, value: Value| {
        *report
            .pointer_mut(&format!("{one}{path}"))
            .expect("the report has it") = value;
    };
    // A pid of another time is another process: one is missing, one is too many, its stage is untold no more.
    assert_eq!(
        faults_after(&|report| at(
            report,
            "/processes/2/start",
            json!("2030-01-01T00:00:22.000Z")
        )),
        2
    );
    assert_eq!(
        faults_after(&|report| at(report, "/processes/2/host", json!("other"))),
        2
    );
    assert_eq!(
        faults_after(&|report| at(report, "/processes/0/pid", json!(6))),
        1
    );
    assert_eq!(
        faults_after(&|report| at(report, "/entry/0/text", json!("unknown"))),
        1
    );
    assert_eq!(
        faults_after(&|report| at(report, "/steps/0/time", json!("2030-01-01T00:00:25.000Z"))),
        1
    );
    assert_eq!(
        faults_after(&|report| at(report, "/steps/2/actor", json!("n9"))),
        1
    );
    assert_eq!(faults_after(&|report| report["incidents"] = json!([])), 3);
    let two = |report: &mut Value| {
        let list = report["incidents"].as_array_mut().expect("a list");
        list.push(json!({ "title": "nothing", "processes": [] }));
    };
    assert_eq!(faults_after(&two), 1);
}

#[test]
fn steps_told_in_another_order_are_seen() {
    let mut report = right_report();
    report["incidents"][0]["steps"][0]["actor"] = json!("n3");
    report["incidents"][0]["steps"][2]["actor"] = json!("n1");
    assert_eq!(Score::of(&small_truth(), &report).disorder.len(), 2);
}

#[test]
fn times_are_read_as_they_are_written() {
    assert_eq!(moment_us("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(
        moment_us("2000-03-01T00:00:00.5Z"),
        Some(951_868_800_500_000)
    );
    assert_eq!(
        moment_us("2024-02-29T12:30:15.123456789Z"),
        Some(1_709_209_815_123_456)
    );
    assert_eq!(moment_us("yesterday"), None);
}

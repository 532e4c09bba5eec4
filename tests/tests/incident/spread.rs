//! An intrusion that goes over three hosts, each with a recorder and a clock of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::score::{Score, moment_us};
use crate::{
    events, house, nothing_of_this_machine_is_in, program, read, recorded, run, seeds, skipped,
    text, verdict,
};

/// How far the two records of one flow may lie apart when the clocks agree, in microseconds: the
/// time on the wire, and a busy machine between the two ends.
const FLOW_US: i64 = 200_000;

/// How many malicious processes may lack a record with their arguments. Where a recorder does not own
/// audit it takes arguments from the new program's stack, and a few come raced.
const WITH_ARGUMENTS_MIN: f64 = 0.95;

fn bundled() -> PathBuf {
    house().join("fixtures/bundled/spread")
}

fn hosts(truth: &Value) -> Vec<String> {
    truth["hosts"]
        .as_array()
        .expect("a truth names its hosts")
        .iter()
        .map(text)
        .collect()
}

/// A recording of several hosts as it lies in its folder: truth, and events by host.
struct Spread {
    truth: Value,
    events: BTreeMap<String, Vec<Value>>,
}

impl Spread {
    fn read(folder: &Path) -> Self {
        let truth = read(&folder.join("truth.json"));
        let of = |host: String| {
            let events = events(&folder.join(&host).join("journal"));
            (host, events)
        };
        Self {
            events: hosts(&truth).into_iter().map(of).collect(),
            truth,
        }
    }

    /// Microseconds by which a host's wall clock is ahead.
    fn ahead_us(&self, host: &str) -> i64 {
        let clocks = self.truth["clocks"].as_array().expect("clocks are told");
        let clock = clocks.iter().find(|clock| clock["host"] == host);
        let milliseconds = clock.and_then(|clock| clock["offset_ms"].as_i64());
        milliseconds.expect("every host has a clock") * 1_000
    }

    fn of_kind<'a>(&'a self, host: &str, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events[host]
            .iter()
            .filter(move |event| event["kind"] == kind)
    }

    /// Flows that both ends recorded: from where the caller is, to where it was taken.
    fn flows(&self) -> Vec<Flow<'_>> {
        let ends = |event: &Value, near: &str, far: &str| {
            [
                format!("{near}_ip"),
                format!("{near}_port"),
                format!("{far}_ip"),
                format!("{far}_port"),
            ]
            .map(|name| event[name.as_str()].to_string())
        };
        let mut flows = Vec::new();
        for from in self.events.keys() {
            for to in self.events.keys().filter(|to| *to != from) {
                for call in self.of_kind(from, "network.connected") {
                    let taken = self.of_kind(to, "network.accepted").find(|taken| {
                        ends(taken, "remote", "local") == ends(call, "local", "remote")
                    });
                    flows.extend(taken.map(|taken| Flow {
                        from,
                        to,
                        call,
                        taken,
                    }));
                }
            }
        }
        flows
    }

    /// What does not hold of the recording.
    fn faults(&self) -> Vec<String> {
        let flows = self.flows();
        let mut faults = self.clock_faults(&flows);
        faults.extend(self.link_faults(&flows));
        faults.extend(self.missing_processes());
        faults
    }

    /// The two records of a flow lie as far apart as the two clocks.
    fn clock_faults(&self, flows: &[Flow<'_>]) -> Vec<String> {
        let mut faults = Vec::new();
        for flow in flows {
            let apart = self.ahead_us(flow.to) - self.ahead_us(flow.from);
            let seen = flow.taken_us() - flow.call_us();
            if (seen - apart).abs() > FLOW_US {
                faults.push(format!(
                    "a flow from {} to {} is {seen} µs apart, the clocks {apart}",
                    flow.from, flow.to
                ));
            }
        }
        faults
    }

    /// Each crossing of the intruder stands in both journals as one flow, called by the process that called.
    fn link_faults(&self, flows: &[Flow<'_>]) -> Vec<String> {
        let links = self.truth["remote_links"]
            .as_array()
            .expect("links are told");
        assert!(links.len() >= 6, "{} links", links.len());
        let is_seen = |link: &&Value| {
            flows.iter().any(|flow| {
                link["from"]["host"] == **flow.from
                    && link["to"]["host"] == **flow.to
                    && link["from"]["pid"] == flow.call["actor"]["pid"]
            })
        };
        links
            .iter()
            .filter(|link| !is_seen(link))
            .map(|link| format!("no flow for {link}"))
            .collect()
    }

    /// What the witness saw was recorded, on its host.
    fn missing_processes(&self) -> Vec<String> {
        let wanted = self.truth["malicious_processes"]
            .as_array()
            .expect("processes are told");
        let starts = |process: &Value| {
            let host = text(&process["host"]);
            let pid = process["pid"].clone();
            let found = self.of_kind(&host, "process.start");
            found
                .filter(|event| event["actor"]["pid"] == pid)
                .cloned()
                .collect::<Vec<_>>()
        };
        let mut faults = Vec::new();
        let mut with_arguments = 0_u32;
        for process in wanted {
            let starts = starts(process);
            if starts.is_empty() {
                faults.push(format!("not recorded: {process}"));
            }
            let executions = process["execs"].as_array().expect("programs are told");
            let is_whole =
                |program: &Value| starts.iter().any(|start| start["args"] == program["args"]);
            with_arguments += u32::from(executions.iter().all(is_whole));
        }
        let all = f64::from(u32::try_from(wanted.len()).unwrap_or(u32::MAX));
        if f64::from(with_arguments) < WITH_ARGUMENTS_MIN * all {
            faults.push(format!("{with_arguments} of {all} have their arguments"));
        }
        faults
    }
}

/// A flow, seen from both ends.
struct Flow<'a> {
    from: &'a String,
    to: &'a String,
    call: &'a Value,
    taken: &'a Value,
}

impl Flow<'_> {
    fn call_us(&self) -> i64 {
        moment_us(&text(&self.call["time"])).expect("an event has a time")
    }

    fn taken_us(&self) -> i64 {
        moment_us(&text(&self.taken["time"])).expect("an event has a time")
    }
}

/// Each journal holds by its own key, and tells of its own host alone.
fn each_journal_holds(folder: &Path) {
    let truth = read(&folder.join("truth.json"));
    for host in hosts(&truth) {
        let journal = folder.join(&host).join("journal");
        let key = folder.join(&host).join("auditor.key");
        assert_eq!(verdict(&journal, &key), "intact", "{host}");
        nothing_of_this_machine_is_in(&journal, &host);
    }
}

#[test]
fn the_bundled_recordings_of_three_hosts_hold() {
    each_journal_holds(&bundled());
}

/// The report on several journals, each checked with its own key.
fn judged(folder: &Path, hosts: &[String], case: &Path) -> Value {
    let mut command = Command::new(program("saigen"));
    command.arg("investigate").arg("-o").arg(case);
    for host in hosts {
        command.arg(folder.join(host).join("journal"));
        command
            .arg("--key")
            .arg(folder.join(host).join("auditor.key"));
    }
    run(&mut command);
    read(&case.join("report.json"))
}

/// What a report on a recording does not say as it was.
fn untrue(folder: &Path, case: &Path) -> Vec<String> {
    let truth = read(&folder.join("truth.json"));
    let report = judged(folder, &hosts(&truth), case);
    let score = Score::of(&truth, &report);
    let mut faults = crate::faults(&score);
    if report["incidents"].as_array().map(Vec::len) != Some(1) {
        faults.push(format!("not one incident: {score}"));
    }
    faults
}

#[test]
fn the_bundled_spread_is_one_incident_over_its_hosts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let faults = untrue(&bundled(), &folder.path().join("case"));
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_journal_given_twice_is_the_same_incident() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let truth = read(&bundled().join("truth.json"));
    let (again, case) = (folder.path().join("again"), folder.path().join("case"));
    let names = hosts(&truth);
    let twice = bundled().join(&names[1]).join("journal");
    run(Command::new("cp").arg("-r").arg(twice).arg(&again));
    let mut command = Command::new(program("saigen"));
    command.arg("investigate").arg("-o").arg(&case).arg(again);
    command.args(
        names
            .iter()
            .map(|host| bundled().join(host).join("journal")),
    );
    run(&mut command);
    let score = Score::of(&truth, &read(&case.join("report.json")));
    assert_eq!(crate::faults(&score), Vec::<String>::new());
}

#[test]
fn a_report_says_how_far_the_clocks_of_its_hosts_are_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let spread = Spread::read(&bundled());
    let report = judged(
        &bundled(),
        &hosts(&spread.truth),
        &folder.path().join("case"),
    );
    let told: Vec<String> = report["scope"]
        .as_array()
        .expect("what was looked at")
        .iter()
        .map(|sentence| text(&sentence["text"]))
        .filter(|sentence| sentence.starts_with("The clock of "))
        .collect();
    assert_eq!(told.len(), hosts(&spread.truth).len() - 1, "{told:?}");
    for sentence in told {
        // "The clock of HOST is N s ahead of that of HOST: …"
        let (clock, _) = sentence.split_once(':').expect("a ground follows");
        let words: Vec<&str> = clock.split(' ').collect();
        let (host, reference) = (words[3], words[words.len() - 1]);
        let at = words
            .iter()
            .position(|one| *one == "s")
            .expect("a span in seconds");
        let seconds: f64 = words[at - 1].parse().expect("a span in seconds");
        let way = if words.contains(&"behind") { -1.0 } else { 1.0 };
        let apart = spread.ahead_us(host) - spread.ahead_us(reference);
        let wrong = way * seconds * 1e6 - f64::from(i32::try_from(apart).expect("minutes"));
        assert!(wrong.abs() < 10_000.0, "{sentence}: {apart} µs");
    }
}

#[test]
fn each_of_several_keys_checks_its_own_journal() {
    let truth = read(&bundled().join("truth.json"));
    let hosts = hosts(&truth);
    let stranger = house().join("fixtures/bundled/intrusion/auditor.key");
    let mut command = Command::new(program("saigen"));
    command
        .arg("verify")
        .arg("--json")
        .arg("--key")
        .arg(&stranger);
    for host in &hosts {
        let folder = bundled().join(host);
        command.arg(folder.join("journal"));
        command.arg("--key").arg(folder.join("auditor.key"));
    }
    let output = run(&mut command);
    let all: Value = serde_json::from_slice(&output.stdout).expect("a verdict on each journal");
    let verdicts = all["evidence"].as_array().expect("a list of journals");
    let told: Vec<&str> = verdicts
        .iter()
        .filter_map(|one| one["verdict"].as_str())
        .collect();
    assert_eq!(told, vec!["intact"; hosts.len()]);
    let words = String::from_utf8_lossy(&output.stderr);
    let unused: Vec<&str> = words
        .lines()
        .filter(|line| line.contains("auditor.key"))
        .collect();
    assert_eq!(unused.len(), 1, "{words}");
    assert!(unused[0].contains("checked nothing"), "{words}");
}

#[test]
fn the_bundled_hosts_tell_of_the_same_flows_by_clocks_of_their_own() {
    let spread = Spread::read(&bundled());
    assert_eq!(spread.faults(), Vec::<String>::new());
    let hosts = hosts(&spread.truth);
    for pair in hosts.windows(2) {
        let apart = spread.ahead_us(&pair[0]) - spread.ahead_us(&pair[1]);
        assert!(apart.abs() > 10 * FLOW_US / 2, "{pair:?}: {apart} µs");
    }
}

#[test]
fn ordinary_work_goes_the_same_ways_as_the_intruder() {
    let spread = Spread::read(&bundled());
    let links = spread.truth["remote_links"].as_array().expect("links");
    let malicious = |flow: &&Flow<'_>| {
        let called = |link: &Value| link["from"]["pid"] == flow.call["actor"]["pid"];
        links.iter().any(called)
    };
    let flows = spread.flows();
    for to in &hosts(&spread.truth)[1..] {
        let here: Vec<&Flow<'_>> = flows.iter().filter(|flow| flow.to == to).collect();
        let ordinary = here.iter().filter(|flow| !malicious(flow)).count();
        assert!(ordinary >= 3, "{to}: {ordinary} of {}", here.len());
        assert!(here.len() > ordinary, "{to}: the intruder came, too");
    }
}

#[test]
fn fresh_recordings_of_three_hosts_hold() {
    if let Some(reason) = skipped() {
        println!("skipped: {reason}");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for seed in seeds().into_iter().take(2) {
        let clock = set_clock();
        let more = ["--story", "spread", "--set-clock", &clock];
        let scenario = recorded(seed, &more, folder.path());
        each_journal_holds(&scenario);
        let faults = Spread::read(&scenario).faults();
        assert!(faults.is_empty(), "seed {seed}: {}", faults.join("\n"));
        let faults = untrue(&scenario, &folder.path().join(format!("case-{seed}")));
        assert!(faults.is_empty(), "seed {seed}: {}", faults.join("\n"));
    }
}

/// The example `set_clock`, built when it is not there yet.
fn set_clock() -> String {
    let test = std::env::current_exe().expect("a test has a program");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("a test lies in PROFILE/deps");
    let path = profile.join("examples/set_clock");
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        run(Command::new(cargo)
            .args([
                "build",
                "--locked",
                "-p",
                "saigen-tests",
                "--example",
                "set_clock",
            ])
            .current_dir(house()));
    }
    path.display().to_string()
}

/// The clock of the bundled intrusion, moved by `milliseconds`.
fn moved(milliseconds: &str, folder: &Path) -> PathBuf {
    let scenario = house().join("fixtures/bundled/intrusion");
    let out = folder.join(format!("moved{milliseconds}"));
    run(Command::new(set_clock())
        .arg(scenario.join("journal"))
        .arg(scenario.join("auditor.key"))
        .arg(milliseconds)
        .arg(&out));
    out
}

#[test]
fn a_clock_that_is_set_by_nothing_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let segment = |journal: PathBuf| fs::read(journal.join("00000001.saj")).expect("a segment");
    let journal = house().join("fixtures/bundled/intrusion/journal");
    assert!(
        segment(moved("0", folder.path())) == segment(journal),
        "a journal that is written again is another"
    );
}

#[test]
fn a_clock_that_is_set_moves_every_wall_clock_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scenario = house().join("fixtures/bundled/intrusion");
    let journal = moved("-90500", folder.path());
    assert_eq!(verdict(&journal, &scenario.join("auditor.key")), "intact");
    let (before, after) = (events(&scenario.join("journal")), events(&journal));
    assert_eq!(before.len(), after.len());
    for (old, new) in before.iter().zip(&after) {
        let us = |event: &Value| moment_us(&text(&event["time"])).expect("an event has a time");
        assert_eq!(us(new) - us(old), -90_500_000, "{old}");
        let names = ["boot_us", "kind", "actor", "host", "args", "path"];
        assert!(names.iter().all(|name| old[name] == new[name]), "{new}");
    }
}

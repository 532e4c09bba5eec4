//! What an examiner knows beside the rules: what is ordinary here, and where to begin a search.

use std::process::Command;

use crate::{house, program, read, run};

#[test]
fn a_baseline_of_an_ordinary_day_leaves_the_intrusion_grave() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bundled = house().join("fixtures/bundled");
    let known = folder.path().join("ordinary.json");
    let day = bundled.join("day/journal");
    let made = || {
        let mut command = Command::new(program("saigen"));
        command.arg("baseline").arg(&day).arg("-o").arg(&known);
        command
    };
    run(&mut made());
    let baseline = read(&known);
    assert_eq!(baseline["schema"], "saigen-baseline/1");
    assert!(
        baseline["rules"]
            .as_object()
            .is_some_and(|all| !all.is_empty())
    );
    // What was written is not written over.
    let again = made().output().expect("a program can be started");
    assert_eq!(again.status.code(), Some(2));
    let case = folder.path().join("case");
    run(Command::new(program("saigen"))
        .arg("investigate")
        .arg(bundled.join("intrusion/journal"))
        .arg("--baseline")
        .arg(&known)
        .arg("-o")
        .arg(&case));
    let report = read(&case.join("report.json"));
    assert_eq!(report["incidents"][0]["severity"], "critical");
    let scope = report["scope"].to_string();
    assert!(scope.contains("the baseline ordinary.json"), "{scope}");
}

#[test]
fn a_trace_by_hand_goes_from_a_process_back_to_what_began_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let case = folder.path().join("case");
    let journal = house().join("fixtures/bundled/intrusion/journal");
    run(Command::new(program("saigen"))
        .arg("investigate")
        .arg(&journal)
        .arg("-o")
        .arg(&case));
    let report = read(&case.join("report.json"));
    let processes = report["incidents"][0]["processes"].as_array().cloned();
    let bad = processes
        .unwrap_or_default()
        .into_iter()
        .find(|process| process["role"] == "malicious")
        .expect("an intrusion has a malicious process");
    let pid = bad["pid"].to_string();
    let traced = run(Command::new(program("saigen"))
        .args(["trace", "--json", "--process", &pid])
        .arg(&case));
    let said: serde_json::Value = serde_json::from_slice(&traced.stdout).expect("JSON");
    let steps = said["steps"].as_array().expect("steps");
    assert!(steps.len() > 1, "{said}");
    let cited = |step: &serde_json::Value| {
        step["evidence"]
            .as_str()
            .is_some_and(|own| own.starts_with("e1:"))
    };
    assert!(steps.iter().any(cited), "{said}");
    let unknown = Command::new(program("saigen"))
        .args(["trace", "--process", "no-such-program"])
        .arg(&case)
        .output()
        .expect("a program can be started");
    assert_eq!(unknown.status.code(), Some(2));
}

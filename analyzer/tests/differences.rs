//! Where we and another implementation of Sigma differ, and are right.
//!
//! `fixtures/differences` holds, for each ground on which a rule fires here and not there (or there
//! and not here), the smallest event of each rule, and the section of the specification that says
//! why. A case's own small rule asks what the rules that it names ask. That the other implementation
//! differs is shown by `tests/sigma/differential.py --minimal`, with the rules themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All cases, each with the name of its file and its number.
fn cases() -> Vec<(String, Value)> {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("fixtures/differences"))
        .expect("the folder of differences")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let fixture: Value =
            serde_json::from_slice(&fs::read(&file).expect("a fixture")).expect("JSON");
        let stem = file
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        for word in ["ground", "why"] {
            assert!(fixture[word].as_str().is_some(), "{stem}: {word}");
        }
        let listed = fixture["cases"].as_array().expect("a list");
        cases.extend(
            listed
                .iter()
                .enumerate()
                .map(|(number, case)| (format!("{stem}-{number}"), case.clone())),
        );
    }
    cases
}

/// How many findings of a case's own rule there are in its records.
fn findings(scratch: &Path, case: &Value, which: &str) -> usize {
    let records: String = case[which]
        .as_array()
        .expect("a list")
        .iter()
        .map(|record| format!("{record}\n"))
        .collect();
    fs::create_dir_all(scratch.join("rules")).expect("a scratch folder and a program that runs");
    fs::write(
        scratch.join("rules/own.yml"),
        case["rule"].as_str().expect("a text"),
    )
    .expect("a scratch folder and a program that runs");
    fs::write(scratch.join("records.jsonl"), records)
        .expect("a scratch folder and a program that runs");
    let output = Command::new(env!("CARGO_BIN_EXE_saigen"))
        .current_dir(scratch)
        .args(["hunt", "records.jsonl", "--no-built-in", "--rules", "rules"])
        .args(["--format", "jsonl"])
        .output()
        .expect("a scratch folder and a program that runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout)
        .expect("a scratch folder and a program that runs")
        .lines()
        .count()
}

#[test]
fn the_smallest_event_of_each_difference_says_who_is_right() {
    let cases = cases();
    assert!(cases.len() > 5);
    for (name, case) in cases {
        let scratch = tempfile::tempdir().unwrap();
        let section = case["section"].as_str().unwrap();
        assert!(section.starts_with("Sigma specification 2.1.0"), "{name}");
        assert!(!case["rules"].as_array().unwrap().is_empty(), "{name}");
        assert_eq!(findings(scratch.path(), &case, "fires"), 1, "{name}: fires");
        assert_eq!(
            findings(scratch.path(), &case, "silent"),
            0,
            "{name}: silent"
        );
    }
}

/// With `SAIGEN_PYSIGMA` the virtual environment of pySigma, and SigmaHQ's rules for Windows in
/// `SAIGEN_SIGMAHQ`, the rules that the cases name are held against both implementations.
#[test]
fn the_other_implementation_differs_on_these_events() {
    let place = |name: &str| std::env::var_os(name);
    let (Some(venv), Some(rules)) = (place("SAIGEN_PYSIGMA"), place("SAIGEN_SIGMAHQ")) else {
        println!(
            "skipped: SAIGEN_PYSIGMA and SAIGEN_SIGMAHQ do not say where pySigma and the rules are"
        );
        return;
    };
    let output = Command::new(Path::new(&venv).join("bin/python3"))
        .arg(root().join("tests/sigma/differential.py"))
        .args(["--inside", "--minimal", "--saigen"])
        .arg(env!("CARGO_BIN_EXE_saigen"))
        .arg("--rules")
        .arg(&rules)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
}

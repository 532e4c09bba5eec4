//! Recorded intrusions, where they are at hand: every process of their ground truth stands under the parent
//! that its record names. A parent without a record of its own start is marked so.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What a ground truth says of processes whose parents are recorded.
const LISTS: [&str; 3] = [
    "malicious_processes",
    "bridge_processes",
    "detached_processes",
];

/// The most that a start may lie beside the stated one. Some exports keep whole seconds alone.
const APART_SECONDS: f64 = 1.0;

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")
}

/// The ground truths, each with what it is of: the file's name without its ending, and its hash.
fn truths() -> Vec<(Value, String, String)> {
    let Ok(folder) = fs::read_dir(shared().join("ground_truth")) else {
        return Vec::new();
    };
    let mut truths = Vec::new();
    for entry in folder {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let truth: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        // Of several recordings of one attack, the first is the one that its process list describes.
        let input = [&truth["input"], &truth["inputs"][0]]
            .into_iter()
            .find_map(|input| Some((input["file"].as_str()?, input["sha256"].as_str()?)));
        if let Some((file, hash)) = input {
            let name = file.trim_end_matches(".json").to_owned();
            truths.push((truth.clone(), name, hash.to_owned()));
        }
    }
    truths
}

/// All archives below a folder.
fn archives(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy();
        if path.is_dir() {
            archives(&path, found);
        } else if name.ends_with(".zip") || name.ends_with(".tar.xz") {
            found.push(path);
        }
    }
}

/// Whether an archive holds a recording: it has its name, without the date, or its list of contents the hash.
fn holds(archive: &Path, name: &str, hash: &str) -> bool {
    let own = archive.file_stem().unwrap().to_string_lossy();
    let contents = fs::read_to_string(format!("{}.index.tsv", archive.display()));
    name.starts_with(&*own) || contents.is_ok_and(|contents| contents.contains(hash))
}

/// The processes that `saigen tree` shows, by the number that it gives them.
fn tree(recording: &Path) -> BTreeMap<u64, Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_saigen"))
        .args(["tree", "--json", "--children", "1000000"])
        .arg(recording)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut nodes = BTreeMap::new();
    for line in text.lines() {
        let node: Value = serde_json::from_str(line).unwrap();
        if node["what"] == "process" {
            nodes.insert(node["id"].as_u64().unwrap(), node);
        }
    }
    nodes
}

/// Seconds of the day.
fn seconds(time: &str) -> f64 {
    let clock = time.split_once('T').unwrap().1.trim_end_matches('Z');
    clock
        .split(':')
        .fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

fn same_text(one: &Value, other: &Value) -> bool {
    let texts = one.as_str().zip(other.as_str());
    texts.is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
}

fn same_host(one: &Value, other: &Value) -> bool {
    let short = |host: &Value| {
        let name = host.as_str().unwrap_or_default();
        let short = name.split('.').next().unwrap_or_default();
        short.to_ascii_lowercase()
    };
    short(one) == short(other)
}

/// The process of a tree that a ground truth speaks of: host, image, start, and the process id where the
/// recording has it, else the command line.
fn found<'t>(tree: &'t BTreeMap<u64, Value>, wanted: &Value) -> Option<&'t Value> {
    let start = seconds(wanted["start_utc"].as_str().unwrap());
    let apart = |node: &Value| {
        let own = node["start"].as_str().map(seconds);
        own.map_or(f64::INFINITY, |own| (own - start).abs())
    };
    let is_same = |node: &Value| {
        if wanted["pid"].is_null() || node["pid"].is_null() {
            node["command_line"] == wanted["command_line"]
        } else {
            node["pid"] == wanted["pid"]
        }
    };
    let fits = tree.values().filter(|node| {
        same_host(&node["host"], &wanted["host"])
            && (wanted["image"].is_null() || same_text(&node["image"], &wanted["image"]))
            && is_same(node)
            && node["recorded"] == "started"
            && apart(node) <= APART_SECONDS
    });
    fits.min_by(|one, other| {
        let rank = |node: &Value| (node["pid"] != wanted["pid"], apart(node));
        rank(one).partial_cmp(&rank(other)).unwrap()
    })
}

/// What is wrong with a process of the ground truth in a tree.
fn misplaced(tree: &BTreeMap<u64, Value>, wanted: &Value) -> Option<String> {
    let what = format!("{} {}", wanted["pid"], wanted["image"]);
    let Some(node) = found(tree, wanted) else {
        return Some(format!("{what}: not in the tree"));
    };
    let parent = node["parent"].as_u64().and_then(|id| tree.get(&id));
    let Some(parent) = parent else {
        return Some(format!("{what}: has no parent"));
    };
    let stated = &wanted["parent_image"];
    if parent["pid"] != wanted["parent_pid"]
        || (!stated.is_null() && !same_text(&parent["image"], stated))
    {
        return Some(format!(
            "{what}: stands under {} {}, not under {} {}",
            parent["pid"], parent["image"], wanted["parent_pid"], wanted["parent_image"]
        ));
    }
    // Who stands at the top without a parent was there before: its own start is not recorded.
    let is_top = parent["parent"].is_null();
    (is_top && parent["recorded"] == "started")
        .then(|| format!("{what}: its parent hangs in the air"))
}

/// The recordings at hand, each with its ground truth.
fn recordings() -> Vec<(PathBuf, Value)> {
    let mut all = Vec::new();
    archives(&shared(), &mut all);
    all.sort();
    if all.is_empty() {
        println!("skipped: no recordings at {}", shared().display());
    }
    let truths = truths();
    let of = |path: &PathBuf| {
        let (truth, ..) = truths
            .iter()
            .find(|(_, name, hash)| holds(path, name, hash))?;
        Some((path.clone(), truth.clone()))
    };
    all.iter().filter_map(of).collect()
}

#[test]
fn every_process_of_the_ground_truth_stands_under_its_recorded_parent() {
    let recordings = recordings();
    let (mut processes, mut wrong) = (0, Vec::new());
    for (path, truth) in &recordings {
        let tree = tree(path);
        let listed = LISTS.iter().filter_map(|list| truth[list].as_array());
        let before = processes;
        for wanted in listed.flatten() {
            processes += 1;
            let name = path.file_stem().unwrap().to_string_lossy();
            wrong.extend(misplaced(&tree, wanted).map(|what| format!("{name}: {what}")));
        }
        println!("{}: {} processes", path.display(), processes - before);
    }
    println!("{} recordings, {processes} processes", recordings.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        recordings.is_empty() || processes > 0,
        "the ground truth names no process"
    );
}

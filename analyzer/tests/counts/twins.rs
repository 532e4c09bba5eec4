//! Event logs and the same records as JSON, which another decoder wrote: both give the same events.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use saigen_analyzer::import::{read_all, search};
use saigen_analyzer::reference::SourceId;
use saigen_analyzer::stream::EventStream as _;
use saigen_schemas::event::write_json;
use serde_json::Value;

use crate::{others, shared};

/// The events of a file, without what only says where they stand.
fn events(folder: &Path, name: &str, bytes: &[u8]) -> Vec<Value> {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    let found = search(std::slice::from_ref(&path));
    let places: Vec<_> = (1..).map(SourceId).zip(found.places).collect();
    let foreign = read_all(&places, &[], &mut |_| {}).unwrap();
    let mut stream = foreign.stream();
    let mut events = Vec::new();
    while stream.peek().is_some() {
        let (_, event) = stream.next().unwrap();
        let mut json = String::new();
        write_json(&event, "e1:@0", &mut json);
        events.push(serde_json::from_str(&json).unwrap());
    }
    events
}

/// Texts of all leaves by their path, in a form in which both decoders write them.
fn leaves(value: &Value, path: &str, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(parts) => {
            for (name, part) in parts {
                leaves(part, &format!("{path}.{name}"), out);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                leaves(item, &format!("{path}.{number}"), out);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            // One writes GUIDs in braces and small letters, and cuts spaces at the end; in a few twins
            // someone wrote a path in other letters.
            let text = text.trim_end().trim_matches(['{', '}']);
            out.insert(path.to_owned(), text.to_lowercase());
        }
        Value::Bool(_) | Value::Number(_) => {
            out.insert(path.to_owned(), value.to_string());
        }
    }
}

/// What differs between two events.
fn differences(one: &Value, other: &Value) -> Vec<String> {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    leaves(one, "", &mut left);
    leaves(other, "", &mut right);
    let names = left
        .keys()
        .chain(right.keys().filter(|name| !left.contains_key(*name)));
    names
        .filter(|name| left.get(*name) != right.get(*name))
        .map(|name| format!("{name}: {:?} beside {:?}", left.get(name), right.get(name)))
        .collect()
}

#[test]
fn a_log_and_its_twin_in_json_give_the_same_events() {
    let archive = shared().join("evtx/sigma-regression_dev.tar.xz");
    if !archive.exists() {
        println!("skipped: no evidence beside the project");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let files: BTreeMap<String, Vec<u8>> = others::unpacked(&archive).into_iter().collect();
    let (mut pairs, mut compared, mut wrong) = (0, 0, Vec::new());
    for (name, log) in files.iter().filter(|(name, _)| name.ends_with(".evtx")) {
        let Some(twin) = files.get(&name.replace(".evtx", ".json")) else {
            continue;
        };
        let ours = events(folder.path(), "log.evtx", log);
        let twins = events(folder.path(), "twin.json", twin);
        pairs += 1;
        if ours.len() != twins.len() {
            wrong.push(format!(
                "{name}: {} events, its twin {}",
                ours.len(),
                twins.len()
            ));
        }
        for (one, other) in ours.iter().zip(&twins) {
            compared += 1;
            let differ = differences(one, other);
            wrong.extend(differ.into_iter().map(|what| format!("{name}: {what}")));
        }
    }
    println!("{pairs} pairs, {compared} events");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(pairs > 50);
}

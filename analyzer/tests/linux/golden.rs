//! Audit records against the golden parses of another decoder: all records, all fields.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;

use saigen_analyzer::import::text;
use serde_json::Value as Json;

use super::{All, unpacked};

const FILES: [&str; 7] = [
    "audit-rhel6.log",
    "audit-rhel7.log",
    "audit-ubuntu14.log",
    "audit-ubuntu16.log",
    "audit-ubuntu17.log",
    "test2.log",
    "test3.log",
];

/// One record: its fields, several values under one name joined.
type Record = BTreeMap<String, String>;

/// The records of a log by type and serial, as our reader tells them.
fn records(bytes: &[u8]) -> BTreeMap<(String, u64), Vec<Record>> {
    let mut all = All::default();
    text::read(&mut Cursor::new(bytes), &mut all).expect("memory can be read");
    let mut records: BTreeMap<_, Vec<Record>> = BTreeMap::new();
    for event in &all.events {
        let mut current: Option<(String, Record)> = None;
        let serial = event.at.number.expect("audit numbers its events");
        let mut keep = |record: Option<(String, Record)>| {
            if let Some((name, record)) = record {
                records.entry((name, serial)).or_default().push(record);
            }
        };
        for (name, value) in &event.fields {
            if name == "type" {
                keep(current.take());
                current = Some((value.to_lowercase(), Record::new()));
            } else if let Some((_, record)) = &mut current {
                let old = record.get(name).cloned();
                let new = old.map_or(value.clone(), |old| format!("{old},{value}"));
                record.insert(name.clone(), new);
            }
        }
        keep(current);
    }
    records
}

/// What the other decoder calls a value of ours.
fn expected(name: &str, record: &Record) -> Option<String> {
    let get = |name: &str| record.get(name).cloned();
    let word = |value: String| {
        if value == "4294967295" {
            "unset".to_owned()
        } else {
            value
        }
    };
    match name {
        "result" => {
            let value = get("res")
                .or_else(|| get("success"))
                .or_else(|| get("apparmor"))?;
            Some(match value.as_str() {
                "1" | "yes" => "success".to_owned(),
                "failed" | "no" | "0" | "DENIED" => "fail".to_owned(),
                _ => value,
            })
        }
        "syscall" => get("SYSCALL"),
        "arch" => get("ARCH"),
        "auid" | "ses" | "old-auid" => get(name).map(word),
        "new_auid" => get("new-auid").map(word),
        "old_auid" => get("old-auid"),
        "subj_user" | "obj_user" => context(record, name, 0),
        "subj_role" | "obj_role" => context(record, name, 1),
        "subj_domain" | "obj_domain" => context(record, name, 2),
        "subj_level" | "obj_level" => context(record, name, 3),
        "subj_category" => context(record, name, 4),
        _ => get(name),
    }
}

/// A part of a security context, `user:role:type:level:category`.
fn context(record: &Record, name: &str, part: usize) -> Option<String> {
    let (which, _) = name.split_once('_')?;
    record
        .get(which)?
        .split(':')
        .nth(part)
        .map(ToOwned::to_owned)
}

/// Whether the other decoder put a value into words of its own that we leave as the record has it.
fn is_interpreted(record_type: &str, name: &str) -> bool {
    matches!(name, "exit" | "sig" | "seccomp") || record_type == "sockaddr" || record_type == "tty"
}

#[test]
fn all_records_and_fields_of_another_decoder_are_ours() {
    let Some(folder) = unpacked("linux/auditd/go-libaudit-testdata.tar.xz") else {
        return;
    };
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in FILES {
        let log = folder.path().join("auparse/testdata").join(file);
        let ours = records(&fs::read(&log).unwrap());
        let golden = fs::read(log.with_file_name(format!("{file}.golden"))).unwrap();
        let golden: Vec<Json> = serde_json::from_slice(&golden).unwrap();
        let mut place: BTreeMap<(String, u64), usize> = BTreeMap::new();
        for record in &golden {
            // A line that the other decoder could not read either.
            let (Some(name), Some(serial)) =
                (record["record_type"].as_str(), record["sequence"].as_u64())
            else {
                continue;
            };
            let key = (name.to_owned(), serial);
            let index = place.entry(key.clone()).or_insert(0);
            let own = ours.get(&key).and_then(|records| records.get(*index));
            *index += 1;
            let Some(own) = own else {
                wrong.push(format!("{file}: no {name} {serial}"));
                continue;
            };
            let data = record["data"].as_object().into_iter().flatten();
            for (field, value) in data.filter(|(field, _)| !is_interpreted(name, field)) {
                compared += 1;
                let value = value.as_str().unwrap_or_default();
                if expected(field, own).as_deref() != Some(value) {
                    let got = expected(field, own);
                    wrong.push(format!(
                        "{file}: {name} {serial} {field}: {value:?}, not {got:?}"
                    ));
                }
            }
        }
    }
    println!("{compared} fields compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 500, "{compared}");
}

#[test]
fn lost_reordered_and_rolled_over_logs_give_their_events() {
    let Some(folder) = unpacked("linux/auditd/go-libaudit-testdata.tar.xz") else {
        return;
    };
    let serials = |name: &str| {
        let bytes = fs::read(folder.path().join("testdata").join(name)).unwrap();
        let mut all = All::default();
        text::read(&mut Cursor::new(bytes), &mut all).unwrap();
        let mut serials: Vec<u64> = all
            .events
            .iter()
            .map(|event| event.at.number.unwrap())
            .collect();
        serials.dedup();
        serials
    };
    let normal = serials("normal.log");
    assert_eq!(serials("out_of_order.log"), normal);
    assert_eq!(serials("lost_messages.log").len(), normal.len());
    let max = u64::from(u32::MAX);
    assert_eq!(serials("rollover.log"), [max - 1, max, 0, 1, 2]);
}

//! Small files, read whole.

use std::collections::BTreeSet;
use std::fs;

use crate::import::foreign::{Foreign, ForeignFile};
use crate::import::{Place, read_all};
use crate::reference::SourceId;
use crate::stream::EventStream as _;

/// Reads files with these names and contents.
fn reading(files: &[(&str, &str)]) -> (tempfile::TempDir, Foreign) {
    let folder = tempfile::tempdir().unwrap();
    let mut places = Vec::new();
    for (number, (name, text)) in (1..).zip(files) {
        let at = folder.path().join(name);
        fs::write(&at, text).unwrap();
        let path = (*name).to_owned();
        places.push((SourceId(number), Place { path, at }));
    }
    let foreign = read_all(&places, &[], &mut |_| {}).unwrap();
    (folder, foreign)
}

fn line(host: &str, second: u32, id: u32) -> String {
    format!(
        "{{\"EventID\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Hostname\":\"{host}\",\"RecordNumber\":{id},\"UtcTime\":\"2024-01-01 00:00:{second:02}.000\",\"ProcessId\":{id},\"ProcessGuid\":\"{{00000000-0000-0000-0000-{id:012}}}\",\"Image\":\"C:\\\\{id}.exe\"}}\n"
    )
}

fn order(foreign: &Foreign) -> Vec<(String, i64, String)> {
    let mut stream = foreign.stream();
    let mut order = Vec::new();
    while let Some(us) = stream.peek() {
        let (reference, event) = stream.next().unwrap();
        assert_eq!(event.time.wall_us, us);
        let host = event.host.lossy().into_owned();
        order.push((reference.to_string(), us / 1_000_000 % 60, host));
    }
    order
}

#[test]
fn files_become_one_stream_in_order_with_one_name_a_host() {
    let old_first: String = (1..5)
        .map(|n| line("ws-1.example.test", 2 * n, n))
        .collect();
    let new_first: String = (1..15).rev().map(|n| line("DC", n, 100 + n)).collect();
    let (_folder, foreign) = reading(&[("a.json", &old_first), ("b.json", &new_first)]);
    let order = order(&foreign);
    assert_eq!(order.len(), 18);
    assert!(
        order.is_sorted_by_key(|(_, second, _)| *second),
        "{order:?}"
    );
    let hosts: BTreeSet<_> = order.iter().map(|(_, _, host)| host.as_str()).collect();
    assert_eq!(hosts, BTreeSet::from(["ws-1", "DC"]));
    let texts: Vec<_> = foreign.files[1]
        .all_findings()
        .map(|(_, f)| &f.text)
        .collect();
    assert!(
        texts[0].contains("from the latest event to the first"),
        "{texts:?}"
    );
    assert_eq!(foreign.files[0].events(), 4);
}

#[test]
fn the_same_bytes_and_the_same_records_are_read_once() {
    let all: String = (1..9).map(|n| line("ws-1", n, n)).collect();
    let some: String = (4..12).map(|n| line("ws-1", n, n)).collect();
    let (_folder, foreign) = reading(&[("a", &all), ("b", &all), ("c", &some)]);
    assert_eq!(order(&foreign).len(), 11);
    let events: u64 = foreign.files.iter().map(ForeignFile::events).sum();
    assert_eq!(events, 11);
    assert!(foreign.files.iter().all(|file| !file.is_damaged()));
}

#[test]
fn a_reference_leads_back_to_the_bytes() {
    let lines: Vec<String> = (1..9).map(|n| line("ws-1", n, n)).collect();
    let (_folder, foreign) = reading(&[("a", &lines.concat())]);
    let mut stream = foreign.stream();
    let mut wanted = BTreeSet::new();
    while stream.peek().is_some() {
        wanted.insert(stream.next().unwrap().0);
    }
    let records = foreign.records(&wanted);
    let found: Vec<_> = records.values().map(|bytes| bytes.as_slice()).collect();
    let expected: Vec<_> = lines
        .iter()
        .map(|line| line.trim_end().as_bytes())
        .collect();
    assert_eq!(found, expected);
}

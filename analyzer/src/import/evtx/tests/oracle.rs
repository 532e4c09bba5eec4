//! Every record of real logs, beside what another decoder makes of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use evtx::{EvtxParser, ParserSettings};
use lzma_rust2::XzReader;
use serde_json::Value;

use crate::import::evtx::binxml::Decoder;
use crate::import::evtx::chunk::{CHUNK_BYTES, ChunkHeader, Walked, records};
use crate::import::windows::Record;

/// Values of a record by its number: those that are not empty, sorted.
type Values = BTreeMap<u64, Vec<Vec<String>>>;

/// The fewest records that an archive is worth a comparison with.
const RECORDS_MIN: usize = 100;

/// The fewest of all archives together.
const ALL_RECORDS_MIN: usize = 15_100;

/// The archives of event logs that are at hand.
fn archives() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/evtx");
    let entries = fs::read_dir(&folder).into_iter().flatten();
    let mut archives: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".tar.xz"))
        .collect();
    archives.sort();
    if archives.is_empty() {
        println!("skipped: no archives of event logs in {}", folder.display());
    }
    archives
}

/// Calls `check` with each event log in an archive.
fn each_log(archive: &Path, mut check: impl FnMut(&str, Vec<u8>)) {
    let file = File::open(archive).unwrap();
    let mut tar = tar::Archive::new(XzReader::new(file, true));
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        if name.to_ascii_lowercase().ends_with(".evtx") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            check(&name, bytes);
        }
    }
}

fn ours(file: &[u8]) -> Values {
    let mut values = Values::new();
    let mut decoder = Decoder::default();
    let mut record = Record::default();
    for chunk in file.get(4096..).unwrap_or_default().chunks(CHUNK_BYTES) {
        let Some(header) = ChunkHeader::read(chunk) else {
            continue;
        };
        decoder.begin_chunk();
        for walked in records(chunk, &header) {
            let Walked::Record(at) = walked else {
                continue;
            };
            record.clear();
            if decoder.decode(chunk, at.content(), &mut record).is_err() {
                continue;
            }
            let texts = record
                .fields()
                .map(|(_, value)| value.lossy().trim().to_owned());
            let mut texts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
            texts.sort_unstable();
            values.entry(at.id).or_default().push(texts);
        }
    }
    values
}

fn theirs(file: Vec<u8>) -> Values {
    let mut values = Values::new();
    let Ok(parser) = EvtxParser::from_buffer(file) else {
        return values;
    };
    let mut parser = parser.with_configuration(ParserSettings::new().indent(false));
    for record in parser.records_json_value().filter_map(Result::ok) {
        let mut texts = Vec::new();
        let event = &record.data["Event"];
        for (name, part) in event.as_object().into_iter().flatten() {
            if !["System", "#attributes", "RenderingInfo"].contains(&name.as_str()) {
                leaves(part, &mut texts);
            }
        }
        texts.sort_unstable();
        values
            .entry(record.event_record_id)
            .or_default()
            .push(texts);
    }
    values
}

fn leaves(value: &Value, texts: &mut Vec<String>) {
    let mut keep = |text: String| {
        if !text.trim().is_empty() {
            texts.push(text.trim().to_owned());
        }
    };
    match value {
        Value::Null => {}
        Value::Bool(truth) => keep(truth.to_string()),
        Value::Number(number) => keep(number.to_string()),
        Value::String(text) => keep(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, texts)),
        Value::Object(parts) => {
            let parts = parts.iter().filter(|(name, _)| *name != "#attributes");
            parts.for_each(|(_, part)| leaves(part, texts));
        }
    }
}

/// Compares all records of an archive, and gives how many there were.
fn compare(archive: &Path) -> usize {
    let (mut records, mut differ, mut missing) = (0, Vec::new(), Vec::new());
    each_log(archive, |name, bytes| {
        let ours = ours(&bytes);
        for (id, theirs) in theirs(bytes) {
            records += 1;
            match ours.get(&id) {
                None => missing.push(format!("{name} {id}")),
                Some(ours) if *ours != theirs => {
                    differ.push(format!("{name} {id}: {ours:?} beside {theirs:?}"));
                }
                Some(_) => {}
            }
        }
    });
    let name = archive.display();
    assert!(
        missing.is_empty(),
        "{name}: {} missing: {:?}",
        missing.len(),
        missing.first()
    );
    let first: Vec<_> = differ.iter().take(5).collect();
    assert!(
        differ.is_empty(),
        "{name}: {} of {records} differ: {first:#?}",
        differ.len()
    );
    assert!(records >= RECORDS_MIN, "{name}: {records} records");
    records
}

#[test]
fn logs_decode_as_by_another_decoder() {
    let archives = archives();
    let records: usize = archives.iter().map(|archive| compare(archive)).sum();
    assert!(
        archives.is_empty() || records >= ALL_RECORDS_MIN,
        "{records} records"
    );
}

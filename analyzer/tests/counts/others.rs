//! How other decoders count the records of a file, and another way into archives.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use evtx::{EvtxParser, ParserSettings};
use regex::bytes::Regex;
use saigen_schemas::report::Format;
use serde_json::{Deserializer, Value};

/// What another decoder says.
pub struct Other {
    pub by: &'static str,
    pub records: u64,
}

/// Counts the records of a file.
pub fn count(format: Format, bytes: &[u8]) -> Other {
    match format {
        Format::Evtx => Other {
            by: "evtx crate",
            records: event_log(bytes),
        },
        Format::Json => Other {
            by: "serde_json",
            records: json(bytes),
        },
        Format::Journal
        | Format::Audit
        | Format::SysmonLinux
        | Format::Syslog
        | Format::Archive => Other {
            by: "stamps",
            records: lines(bytes),
        },
    }
}

fn event_log(bytes: &[u8]) -> u64 {
    let Ok(parser) = EvtxParser::from_buffer(bytes.to_vec()) else {
        return 0;
    };
    let mut parser = parser.with_configuration(ParserSettings::new().indent(false));
    parser.records_json().filter(Result::is_ok).count() as u64
}

/// Objects, one after another or in one list; those that carry records of audit, by their stamps.
fn json(bytes: &[u8]) -> u64 {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let values = Deserializer::from_slice(bytes).into_iter::<Value>();
    let mut records = 0;
    let mut audit = BTreeSet::new();
    let mut count = |value: &Value| match stamp_within(value) {
        Some(stamp) => {
            audit.insert(stamp);
        }
        None => records += 1,
    };
    for value in values.map_while(Result::ok) {
        match &value {
            // What is no object among them is counted too: our reader tells that it skipped it.
            Value::Array(items) => items.iter().for_each(&mut count),
            Value::Object(_) => count(&value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    records + audit.len() as u64
}

/// The stamp of the record of audit that an object carries, with the host that the carrier names.
fn stamp_within(value: &Value) -> Option<Vec<u8>> {
    let fields = value.as_object()?;
    let line = fields.values().filter_map(Value::as_str);
    let stamp = line.filter_map(|text| stamp_of(text.as_bytes())).next()?;
    let host = fields.get("Computer").or_else(|| fields.get("HostName"));
    let host = host.map(Value::to_string).unwrap_or_default();
    Some([stamp, host.into_bytes()].concat())
}

static STAMP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?-u)(?:node=(\S+) )?[^\n]*?audit\((\d+\.\d+:\d+)\)").unwrap());

fn stamp_of(line: &[u8]) -> Option<Vec<u8>> {
    let found = STAMP.captures(line)?;
    let node = found.get(1).map_or(&b""[..], |node| node.as_bytes());
    Some([node, b" ", found.get(2)?.as_bytes()].concat())
}

/// Events of audit by their stamps; each other line that is not blank is a record of its own.
fn lines(bytes: &[u8]) -> u64 {
    let mut stamps = BTreeSet::new();
    let mut others = 0;
    for line in bytes.split(|&byte| byte == b'\n') {
        if let Some(stamp) = stamp_of(line) {
            stamps.insert(stamp);
        } else if !line.trim_ascii().is_empty() {
            others += 1;
        }
    }
    stamps.len() as u64 + others
}

/// How many events `ausearch` finds; `None` where it is not installed. It prints an event twice whose
/// records stand apart, so that the stamps are counted.
pub fn ausearch(bytes: &[u8]) -> Option<u64> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut command = Command::new("ausearch");
    command
        .args(["--format", "raw", "--input"])
        .arg(file.path());
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.ok()?;
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let stamps: BTreeSet<_> = lines.filter_map(stamp_of).collect();
    Some(stamps.len() as u64)
}

/// The files of an archive by their paths; a file that is none, by the empty path.
pub fn unpacked(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    unpack(String::new(), fs::read(path).unwrap(), &mut files);
    files
}

fn whole(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // An archive that was cut gives what is before the cut.
    let _ = reader.read_to_end(&mut bytes);
    bytes
}

fn unpack(name: String, bytes: Vec<u8>, files: &mut Vec<(String, Vec<u8>)>) {
    if bytes.starts_with(b"\xfd7zXZ\0") {
        unpack(name, whole(lzma_rust2::XzReader::new(&*bytes, true)), files);
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        unpack(
            name,
            whole(flate2::read::MultiGzDecoder::new(&*bytes)),
            files,
        );
    } else if bytes.starts_with(b"PK\x03\x04") {
        let mut archive = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
        for number in 0..archive.len() {
            let entry = archive.by_index(number).unwrap();
            if entry.is_file() {
                let inner = String::from_utf8_lossy(entry.name_raw()).into_owned();
                unpack(inner, whole(entry), files);
            }
        }
    } else if bytes.get(257..262) == Some(b"ustar") {
        let mut archive = tar::Archive::new(&*bytes);
        for entry in archive.entries().unwrap().map_while(Result::ok) {
            if entry.header().entry_type().is_file() {
                let inner = entry.path().unwrap().to_string_lossy().into_owned();
                unpack(inner, whole(entry), files);
            }
        }
    } else {
        files.push((name, bytes));
    }
}

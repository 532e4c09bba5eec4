//! Every file of recorded evidence, where it is at hand: as many records as other decoders count.
//!
//! `cargo test -p saigen-analyzer --test counts -- --nocapture` prints the table. The other decoders are the
//! `evtx` crate for event logs, `serde_json` for JSON, and for audit and other lines a count of their stamps
//! that shares no code with the reader; `ausearch` too, where it is installed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod others;
mod twins;

use std::fs;
use std::path::{Path, PathBuf};

use others::Other;
use saigen_analyzer::import::{Member, Skipped, read_all, search};
use saigen_analyzer::reference::SourceId;
use saigen_schemas::report::Format;

const FOLDERS: [&str; 3] = ["evtx", "linux", "windows-json"];

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")
}

/// All files below a folder, in the order of their paths; none where it is missing.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// What our reader makes of a file: its members by their paths.
fn ours(path: &Path) -> Vec<Member> {
    let found = search(&[path.to_owned()]);
    let places: Vec<_> = (1..).map(SourceId).zip(found.places).collect();
    let foreign = read_all(&places, &[], &mut |_| {}).unwrap();
    foreign
        .files
        .into_iter()
        .flat_map(|file| file.members)
        .collect()
}

/// How two counts stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Equal,
    /// The file says that it is damaged, and more was read of it than the other decoder could.
    MoreOfDamaged,
    /// The bytes of another file of the archive, which is read once.
    SameBytes,
    Wrong,
}

fn judge(own: &Member, other: &Other) -> Match {
    let is_repeat = own.counts.events() == 0
        && own
            .findings
            .listed
            .iter()
            .any(|finding| finding.text.starts_with("the same bytes"));
    if own.counts.records == other.records {
        Match::Equal
    } else if is_repeat {
        Match::SameBytes
    } else if own.is_damaged() && own.counts.records > other.records {
        Match::MoreOfDamaged
    } else {
        Match::Wrong
    }
}

#[test]
fn every_file_gives_as_many_records_as_another_decoder_counts() {
    let mut wrong = Vec::new();
    let (mut files, mut records, mut more) = (0, 0, 0);
    for folder in FOLDERS {
        for path in files_below(&shared().join(folder)) {
            let members = ours(&path);
            let mut others = others::unpacked(&path);
            for own in &members {
                let inner = own.path.clone().unwrap_or_default();
                let at = others.iter().position(|(name, _)| *name == inner);
                let bytes = others.remove(at.expect(&inner)).1;
                let other = others::count(own.format, &bytes);
                let how = judge(own, &other);
                let file = path.file_name().unwrap().to_string_lossy().into_owned();
                let line = format!(
                    "{file}!{inner}\t{}\t{}\t{}\t{}\t{how:?}",
                    own.format.word(),
                    own.counts.records,
                    other.by,
                    other.records
                );
                println!("{line}");
                files += 1;
                records += own.counts.records;
                more += u64::from(how == Match::MoreOfDamaged);
                if how == Match::Wrong {
                    wrong.push(line);
                }
            }
            // What we did not take for evidence holds no records for others either.
            for (inner, bytes) in others {
                let log = bytes.starts_with(b"ElfFile\0");
                assert!(!log, "{}!{inner} is not read", path.display());
            }
        }
    }
    if files == 0 {
        println!("skipped: no evidence beside the project");
        return;
    }
    println!("{files} files, {records} records; {more} damaged files gave more than to others");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_damaged_log_gives_what_is_stated_of_it() {
    let truth = shared().join("ground_truth/evtx_decode_counts.json");
    let Ok(truth) = fs::read(truth) else {
        println!("skipped: no evidence beside the project");
        return;
    };
    let truth: serde_json::Value = serde_json::from_slice(&truth).unwrap();
    let members = ours(&shared().join("evtx/evtx-damaged_dev.tar.xz"));
    let items = truth["items"].as_array().unwrap();
    for item in items {
        // Two of them have the same bytes, which are read once.
        let stated = item["records_before_first_error"].as_u64().unwrap();
        let own = members
            .iter()
            .filter(|own| item["sha256"] == own.sha256.as_str());
        let read = own.map(|own| own.counts.events()).max().unwrap();
        println!("{}: {read} events of {stated} records", item["file"]);
        assert!(read >= stated, "{item}: {read}");
    }
    assert!(items.len() > 5);
}

/// Files of audit that are logs: `ausearch` looks for records at the beginning of a line alone, and
/// not in the documents around them.
fn is_plain_log(bytes: &[u8]) -> bool {
    let mut lines = bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    lines.all(|line| line.starts_with(b"type=") || line.starts_with(b"node="))
}

#[test]
fn audit_logs_give_as_many_events_as_ausearch() {
    if others::ausearch(&[]).is_none() {
        println!("skipped: no ausearch");
        return;
    }
    let (mut files, mut left_out, mut wrong) = (0, 0, Vec::new());
    for path in files_below(&shared().join("linux")) {
        let all = others::unpacked(&path);
        for own in ours(&path) {
            let inner = own.path.clone().unwrap_or_default();
            let bytes = &all.iter().find(|(name, _)| *name == inner).unwrap().1;
            if own.format != Format::Audit || !is_plain_log(bytes) {
                continue;
            }
            // A line that is no record it does not print.
            let strangers = own.counts.skipped.get(&Skipped::Stranger).copied();
            let read = own.counts.records - strangers.unwrap_or(0);
            let theirs = others::ausearch(bytes).unwrap();
            let file = path.file_name().unwrap().to_string_lossy();
            let line = format!("{file}!{inner}\t{read}\tausearch\t{theirs}");
            println!("{line}");
            files += 1;
            // It leaves out records that its own parser does not take, AppArmor's among them.
            left_out += read.saturating_sub(theirs);
            if read < theirs {
                wrong.push(line);
            }
        }
    }
    println!("{files} files; ausearch leaves out {left_out} events");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

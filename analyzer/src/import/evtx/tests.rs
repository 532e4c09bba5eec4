//! Logs made by hand, and damaged.

mod forge;
mod oracle;

use std::io::Cursor;

use saigen_schemas::event::Event;
use saigen_schemas::report::FindingKind;

use crate::import::evtx::tests::forge::{log, seal_chunk, seal_file};
use crate::import::evtx::{read, record_at};
use crate::import::{At, Finding, ImportError, Sink, Skipped};

/// Bytes before the first chunk, and of a chunk.
const HEADER: usize = 4096;
const CHUNK: usize = 65536;

/// What a reader told.
#[derive(Debug, Default)]
struct Told {
    events: Vec<(At, Vec<(String, String)>)>,
    hosts: Vec<String>,
    times: Vec<i64>,
    skipped: Vec<(At, Skipped)>,
    findings: Vec<Finding>,
}

impl Sink for Told {
    fn event(&mut self, at: At, event: &Event<'_>) -> Result<(), ImportError> {
        let fields = event.extra.iter();
        let text = |text: saigen_schemas::event::Text<'_>| text.lossy().into_owned();
        let fields = fields.map(|(name, value)| (text(name), text(value)));
        self.events.push((at, fields.collect()));
        self.hosts.push(text(event.host));
        self.times.push(event.time.wall_us);
        Ok(())
    }

    fn skip(&mut self, at: At, why: Skipped) {
        self.skipped.push((at, why));
    }

    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

fn told(file: &[u8]) -> Told {
    let mut told = Told::default();
    read(&mut Cursor::new(file), &mut told).unwrap();
    told
}

fn ids(told: &Told) -> Vec<u64> {
    told.events.iter().filter_map(|(at, _)| at.number).collect()
}

fn grave(told: &Told) -> Vec<(FindingKind, &str)> {
    let grave = told.findings.iter().filter(|finding| match finding.kind {
        FindingKind::Damage | FindingKind::Gap => true,
        FindingKind::Clock | FindingKind::Loss | FindingKind::Note => false,
    });
    grave
        .map(|finding| (finding.kind, finding.text.as_str()))
        .collect()
}

#[test]
fn a_whole_log_gives_every_record_with_its_fields() {
    let file = log(&[3, 2]);
    let told = told(&file);
    assert_eq!(ids(&told), [1, 2, 3, 4, 5]);
    assert_eq!(told.findings, []);
    assert_eq!(told.hosts[0], "host.example.test");
    assert_eq!(told.times[0], 1_704_067_201_000_000);
    let (at, fields) = &told.events[3];
    let has = |name: &str, value: &str| {
        let found = fields.iter().any(|(n, v)| n == name && v == value);
        assert!(found, "{name}={value} in {fields:?}");
    };
    has("Data", "one");
    has("Data", "two");
    let record = record_at(&mut Cursor::new(&file), at.offset).unwrap();
    assert_eq!(&record[..4], b"**\0\0");
    assert_eq!(record[8], 4);
    assert!(record_at(&mut Cursor::new(&file), at.offset + 1).is_err());
}

#[test]
fn every_flipped_byte_of_a_chunk_is_noticed() {
    let file = log(&[3]);
    // Bytes of the header's checksum are not under it, nor are the flags, nor the space behind.
    let used = u32::from_le_bytes(file[HEADER + 48..HEADER + 52].try_into().unwrap()) as usize;
    for at in (0..used).filter(|at| !(120..124).contains(at)) {
        let mut file = file.clone();
        file[HEADER + at] ^= 0x40;
        assert!(!grave(&told(&file)).is_empty(), "byte {at} of the chunk");
    }
}

#[test]
fn a_changed_file_header_is_noticed_and_the_rest_is_read() {
    let mut file = log(&[2]);
    file[24] ^= 1;
    let one = told(&file);
    assert_eq!(ids(&one), [1, 2]);
    assert!(one.findings[0].text.contains("file header's checksum"));
    file[..8].fill(0);
    assert_eq!(ids(&told(&file)), [1, 2]);
}

#[test]
fn a_file_that_was_cut_gives_what_it_holds() {
    let file = log(&[3, 3]);
    let cut = HEADER + CHUNK + 900;
    let told = told(&file[..cut]);
    assert!(ids(&told).starts_with(&[1, 2, 3]));
    let texts = grave(&told);
    assert!(
        texts
            .iter()
            .any(|(_, text)| text.contains("ends in this chunk")),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|(_, text)| text.contains("header counts 2")),
        "{texts:?}"
    );
}

#[test]
fn removed_records_are_a_gap_even_where_checksums_were_made_new() {
    let mut file = log(&[3, 3]);
    // The first chunk is gone, and the header knows nothing of it.
    let mut rest = file.split_off(HEADER + CHUNK);
    let mut again = log(&[3]);
    again.truncate(HEADER);
    let mut between = log(&[2]).split_off(HEADER);
    let free = u32::from_le_bytes(between[48..52].try_into().unwrap());
    assert!(free > 0);
    seal_chunk(&mut between);
    again.append(&mut between);
    again.append(&mut rest);
    again[42] = 2;
    seal_file(&mut again);
    let told = told(&again);
    assert_eq!(ids(&told), [1, 2, 4, 5, 6]);
    assert_eq!(grave(&told), [(FindingKind::Gap, "record 3 is missing")]);
    assert_eq!(told.findings[0].lost, 1);
}

#[test]
fn a_log_in_use_may_be_ahead_of_its_header() {
    let mut file = log(&[3]);
    // Its chunk's header says two, as it did a moment before the third was written.
    let short = log(&[2]);
    file[HEADER..HEADER + 128].copy_from_slice(&short[HEADER..HEADER + 128]);
    assert!(!grave(&told(&file)).is_empty() || ids(&told(&file)) == [1, 2]);
    file[120] = 1;
    let told = told(&file);
    assert_eq!(grave(&told), []);
    assert_eq!(ids(&told), [1, 2, 3]);
    assert!(
        told.findings
            .iter()
            .any(|finding| finding.kind == FindingKind::Note)
    );
}

#[test]
fn no_mutation_panics_or_runs_away() {
    let file = log(&[4, 2]);
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..2000 {
        let mut file = file.clone();
        for _ in 0..1 + next(4) {
            // Where the bytes are that matter: headers, and the records behind them.
            let chunk = HEADER + CHUNK * next(2);
            let at = match next(3) {
                0 => next(128),
                1 => chunk + next(512),
                _ => chunk + 512 + next(1500),
            };
            file[at] = u8::try_from(next(256)).unwrap();
        }
        if next(8) == 0 {
            file.truncate(next(file.len()));
        }
        let told = told(&file);
        assert!(told.events.len() <= 6);
    }
}

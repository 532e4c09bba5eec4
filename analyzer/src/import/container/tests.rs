//! Archives that are whole, cut, and made to do harm.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

const LINE: &[u8] = b"{\"a\":1}\n";

/// What a walk showed.
#[derive(Debug, Default)]
struct Seen {
    leaves: Vec<(Option<String>, Vec<u8>)>,
    strangers: Vec<String>,
    findings: Vec<Finding>,
}

impl Visitor for Seen {
    fn leaf(&mut self, leaf: Leaf<'_>) -> Result<(), ImportError> {
        let mut bytes = Vec::new();
        leaf.input.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, leaf.input.size());
        let path = leaf.member.map(|(_, path)| path.to_owned());
        self.leaves.push((path, bytes));
        Ok(())
    }

    fn stranger(&mut self, path: &str, _: &'static str) {
        self.strangers.push(path.to_owned());
    }

    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

fn seen(bytes: &[u8]) -> Seen {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    let mut seen = Seen::default();
    walk(file, &mut seen).unwrap();
    seen
}

fn paths(seen: &Seen) -> Vec<&str> {
    let paths = seen.leaves.iter();
    paths
        .map(|(path, _)| path.as_deref().unwrap_or(""))
        .collect()
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn tarred(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        // The name as it is: the crate's own way refuses those that lead out.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_file_that_is_no_container_is_itself() {
    let seen = seen(LINE);
    assert_eq!(seen.leaves, [(None, LINE.to_vec())]);
}

#[test]
fn a_compressed_file_is_its_content() {
    let zstd = zstd::bulk::compress(LINE, 1).unwrap();
    for packed in [gzipped(LINE), zstd, gzipped(&gzipped(LINE))] {
        assert_eq!(seen(&packed).leaves, [(None, LINE.to_vec())]);
    }
}

#[test]
fn archives_stand_in_each_other() {
    let inner = zipped(&[("x/b.json", LINE), ("note.bin", b"\0\x01")]);
    let outer = tarred(&[
        ("a.json", LINE),
        ("in.zip", &inner),
        ("c.json.gz", &gzipped(LINE)),
    ]);
    for packed in [outer.clone(), gzipped(&outer)] {
        let seen = seen(&packed);
        assert_eq!(paths(&seen), ["a.json", "in.zip!x/b.json", "c.json.gz"]);
        assert_eq!(seen.strangers, ["in.zip!note.bin"]);
        assert!(seen.findings.is_empty(), "{:?}", seen.findings);
    }
}

#[test]
fn names_that_lead_out_are_names_and_are_told() {
    let names = ["../../etc/cron.d/x", "/root/y", "C:\\z"];
    let files = names.map(|name| (name, LINE));
    for packed in [tarred(&files), zipped(&files)] {
        let seen = seen(&packed);
        assert_eq!(paths(&seen), names);
        assert_eq!(seen.findings.len(), 3);
    }
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let walk_over = |left: u64| {
        let bomb = gzipped(&LINE.repeat(200_000));
        let mut seen = Seen::default();
        let mut walk = Walk {
            visitor: &mut seen,
            left,
            files: 0,
            stopped: false,
        };
        let mut input = Cursor::new(bomb);
        walk.seekable(&mut input, None, 0, None).unwrap();
        seen
    };
    let stopped = walk_over(1 << 20);
    assert!(stopped.leaves[0].1.len() <= 1 << 20);
    assert!(stopped.findings[0].text.contains("the rest is not read"));
    assert_eq!(stopped.findings[0].kind, FindingKind::Damage);
    assert!(walk_over(1 << 30).findings.is_empty());
}

#[test]
fn containers_without_end_end() {
    let mut packed = LINE.to_vec();
    for _ in 0..40 {
        packed = gzipped(&packed);
    }
    let seen = seen(&packed);
    assert!(seen.leaves.is_empty());
    assert!(
        seen.findings[0].text.contains("containers deep"),
        "{:?}",
        seen.findings
    );
}

#[test]
fn a_cut_or_changed_container_gives_what_it_holds() {
    let lines = LINE.repeat(100_000);
    let mut noise = Vec::new();
    for (n, line) in lines.chunks(LINE.len()).enumerate() {
        noise.extend_from_slice(format!("{{\"n\":{}}}\n", n * 7_919 % 65_537).as_bytes());
        noise.extend_from_slice(line);
    }
    let packed = gzipped(&noise);
    let cut = seen(&packed[..packed.len() / 2]);
    assert!(cut.leaves[0].1.len() > 1000 && noise.starts_with(&cut.leaves[0].1));
    assert_eq!(cut.findings.len(), 1);
    let tar = tarred(&[("a.json", LINE), ("b.json", &noise)]);
    let cut = seen(&tar[..tar.len() / 2]);
    assert_eq!(paths(&cut), ["a.json", "b.json"]);
    assert!(!cut.findings.is_empty());
}

#[test]
fn a_zip_whose_directory_was_cut_off_gives_the_files_before_the_cut() {
    let long = LINE.repeat(3000);
    let whole = zipped(&[("a.json", &long), ("b.json", LINE), ("c.json", &long)]);
    let directory = whole.windows(4).rposition(|magic| magic == b"PK\x01\x02");
    let cut = seen(&whole[..directory.unwrap() - 20]);
    assert_eq!(paths(&cut), ["a.json", "b.json", "c.json"]);
    assert_eq!(cut.leaves[0].1, long);
    assert!(long.starts_with(&cut.leaves[2].1));
    assert!(cut.findings[0].text.contains("directory cannot be read"));
    let early = seen(&whole[..40]);
    assert!(early.leaves.len() < 2 && !early.findings.is_empty());
}

#[test]
fn no_mutation_of_an_archive_panics_or_runs_away() {
    let inner = zipped(&[("b.json", LINE)]);
    let files: [(&str, &[u8]); 3] = [("a.json", LINE), ("in.zip", &inner), ("c", b"\x1f\x8b\x08")];
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    let whole = [tarred(&files), zipped(&files), gzipped(&tarred(&files))];
    for turn in 0..1500 {
        let mut packed = whole[turn % whole.len()].clone();
        for _ in 0..1 + next(6) {
            let at = next(packed.len());
            packed[at] = u8::try_from(next(256)).unwrap();
        }
        let seen = seen(&packed);
        assert!(seen.leaves.len() < 10);
    }
}

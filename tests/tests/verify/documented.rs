//! The worked example of the format's document is what the code does.

use std::fs;
use std::path::Path;

use saigen_analyzer::evidence::open;
use saigen_schemas::journal::seal::{
    EnrolmentId, EnrolmentSecret, Follower, FrameKey, SealCheck, chain_start, frame_digest,
};
use saigen_schemas::journal::{FrameHeader, FrameKind};
use saigen_tests::forger::{Frames, mend};

use crate::forged::Court;

fn document() -> String {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(house.join("docs/JOURNAL.md")).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of the document's dump.
fn dump(document: &str) -> Vec<u8> {
    let begin = document.find("```hex\n").unwrap() + 7;
    let end = begin + document[begin..].find("```").unwrap();
    let digits = document[begin..end]
        .lines()
        .flat_map(|line| line.split_whitespace().skip(1));
    digits
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// The value that the document's example gives under a name.
fn value<'d>(document: &'d str, name: &str) -> &'d str {
    let example = &document[document.find("```hex").unwrap()..];
    let mut named = example.lines().map(str::split_whitespace);
    let mut words = named.find_map(|mut words| (words.next() == Some(name)).then_some(words));
    words.as_mut().and_then(Iterator::next).unwrap()
}

#[test]
fn the_worked_example_holds() {
    let document = document();
    let bytes = dump(&document);
    let frame = FrameHeader::read(&bytes).unwrap();
    assert_eq!(
        (frame.len(), frame.header.kind, frame.header.position),
        (bytes.len(), FrameKind::Heartbeat, 0)
    );
    assert_eq!(
        (frame.header.boot_us, frame.header.wall_us),
        (30_000_000, 1_700_000_030_000_000)
    );
    let enrolment = EnrolmentId(std::array::from_fn(|index| u8::try_from(index).unwrap()));
    let secret = EnrolmentSecret([3; 32]);
    let start = chain_start(enrolment);
    assert_eq!(start.to_string(), value(&document, "C_start"));
    assert_eq!(
        hex(&frame_digest(frame.digested, frame.payload)),
        value(&document, "d_0")
    );
    let mut key = FrameKey::first(&secret);
    assert_eq!(hex(key.bytes()), value(&document, "k_0"));
    key.advance();
    assert_eq!(hex(key.bytes()), value(&document, "k_1"));
    assert_eq!(hex(&frame.tag), value(&document, "tag_0"));
    let mut follower = Follower::new(start, Some(&secret));
    assert_eq!(follower.follow(&frame, 0), SealCheck::Good);
    assert_eq!(follower.chain().to_string(), value(&document, "C_0"));
}

#[test]
fn a_journal_of_another_version_is_refused_by_its_number() {
    const VERSION: usize = 12;
    let court = Court::sealed();
    let older = court.story.segments.iter().map(|segment| {
        let mut frames = Frames::of(segment);
        for frame in &mut frames.0 {
            frame[VERSION] = 0;
            mend(frame);
        }
        frames.bytes()
    });
    court.forge(&older.collect::<Vec<_>>());
    let found = open(&[court.journal()]);
    assert!(found.journals.is_empty());
    assert_eq!(found.unread.len(), 2);
    for unread in &found.unread {
        let told = unread.to_string();
        assert!(
            told.contains("format version 0, and this program reads version 1"),
            "{told}"
        );
    }
}

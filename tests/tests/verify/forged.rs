//! What the judge says of journals that were changed.

use std::fs;
use std::path::Path;

use saigen_analyzer::evidence::{Asked, JournalStream, Key, Verification, open, verify};
use saigen_analyzer::stream::EventStream as _;
use saigen_schemas::report::{Cause, Verdict};
use saigen_tests::forger::{self, Frames};

use crate::maker::{Keys, Recorder, Sealing, write_segments};

/// A folder with a journal in it that can be changed, and keys beside it.
pub struct Court {
    pub folder: tempfile::TempDir,
    pub story: Recorder,
    pub keys: Keys,
}

impl Court {
    pub fn new(story: Recorder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = story.write_keys(&folder.path().join("keys"));
        story.write(&folder.path().join("journal"));
        Self {
            folder,
            story,
            keys,
        }
    }

    pub fn sealed() -> Self {
        Self::new(Recorder::story(1, Sealing::Sealed))
    }

    pub fn journal(&self) -> std::path::PathBuf {
        self.folder.path().join("journal")
    }

    /// Puts other segments in the journal's place.
    pub fn forge(&self, segments: &[Vec<u8>]) {
        fs::remove_dir_all(self.journal()).unwrap();
        write_segments(segments, &self.journal());
    }

    fn segment(&self, number: usize) -> Vec<u8> {
        self.story.segments[number - 1].clone()
    }

    /// The journal with segment `number` replaced.
    fn with(&self, number: usize, segment: Vec<u8>) -> Vec<Vec<u8>> {
        let mut segments = self.story.segments.clone();
        segments[number - 1] = segment;
        segments
    }

    pub fn judge(&self) -> Verification {
        let key = Key::read(&self.keys.auditor).unwrap();
        let mut all = judge_all(&self.journal(), Some(&key));
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    pub fn judge_publicly(&self) -> Verification {
        let key = Key::read(&self.keys.public).unwrap();
        judge_all(&self.journal(), Some(&key)).remove(0)
    }

    fn judge_without_key(&self) -> Verification {
        judge_all(&self.journal(), None).remove(0)
    }
}

pub fn judge_all(path: &Path, key: Option<&Key>) -> Vec<Verification> {
    let found = open(&[path.to_owned()]);
    assert!(found.unread.is_empty(), "{:?}", found.unread);
    let asked = Asked {
        key,
        ..Asked::default()
    };
    let judged = found.journals.iter().map(|journal| {
        let verified = verify(journal, asked, &mut |_| {});
        // What is counted is what can be read again.
        let mut stream = JournalStream::new(journal, &verified);
        let mut events = 0;
        while stream.peek().is_some() {
            events += u64::from(stream.next().is_some());
        }
        assert_eq!(events, verified.events, "{}", verified.explanation);
        verified
    });
    judged.collect()
}

/// Whether a verdict tells that something is wrong.
fn noticed(verified: &Verification) -> bool {
    verified.is_damaged() && verified.cause.is_some() && !verified.faults.is_empty()
}

#[test]
fn an_untouched_journal_is_intact_for_who_holds_a_key() {
    let court = Court::sealed();
    let judged = court.judge();
    assert_eq!(judged.verdict, Verdict::Intact, "{}", judged.explanation);
    assert_eq!(
        (judged.events, judged.damaged, judged.lost_by_source["perf"]),
        (court.story.seq(), 0, 7)
    );
    assert_eq!(
        (judged.notices.len(), judged.gaps.len()),
        (0, 0),
        "{:?}",
        judged.notices
    );
    let public = court.judge_publicly();
    assert_eq!(public.verdict, Verdict::Intact, "{}", public.explanation);
    assert!(
        public
            .stretches
            .iter()
            .all(|stretch| stretch.verdict == Verdict::Intact),
        "the last signature covers its own frame"
    );
    let none = court.judge_without_key();
    assert_eq!(
        (none.verdict, none.cause),
        (Verdict::Unverified, Some(Cause::Key))
    );
    assert!(none.trusted().is_empty());
}

#[test]
fn an_unsealed_journal_says_so() {
    let court = Court::new(Recorder::story(1, Sealing::Unsealed));
    assert_eq!(court.judge_without_key().verdict, Verdict::Unsealed);
    let with_key = court.judge();
    assert_eq!(
        (with_key.verdict, with_key.cause),
        (Verdict::Altered, Some(Cause::Seal))
    );
}

/// Flips bits of a journal one at a time: each is noticed, and costs its frame alone.
fn flip_bits(court: &Court, bits_of_byte: impl Fn(usize) -> std::ops::Range<usize>) {
    for (index, segment) in court.story.segments.iter().enumerate() {
        let frames = Frames::of(segment);
        let path = court.journal().join(format!("{:08}.saj", index + 1));
        for (range, frame) in frames.ranges().into_iter().zip(&frames.0) {
            let events = u64::from(frame[32]);
            for bit in range.flat_map(|byte| bits_of_byte(byte).map(move |bit| byte * 8 + bit)) {
                let mut forged = segment.clone();
                forger::flip(&mut forged, bit);
                fs::write(&path, &forged).unwrap();
                let judged = court.judge();
                assert!(
                    noticed(&judged),
                    "{path:?}, bit {bit}: {}",
                    judged.explanation
                );
                assert_eq!(
                    judged.events,
                    court.story.seq() - events,
                    "{path:?}, bit {bit}"
                );
            }
        }
        fs::write(&path, segment).unwrap();
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_costs_its_frame_alone() {
    let mut small = Recorder::new(1, Sealing::Sealed);
    small.open();
    small.work(2);
    small.close();
    flip_bits(&Court::new(small), |_| 0..8);
}

#[test]
fn a_flipped_bit_in_any_byte_of_several_segments_is_noticed() {
    flip_bits(&Court::sealed(), |byte| byte % 8..byte % 8 + 1);
}

#[test]
fn every_cut_is_noticed_and_one_between_frames_is_an_open_end() {
    let court = Court::sealed();
    let last = court.segment(2);
    let borders: Vec<usize> = Frames::of(&last)
        .ranges()
        .iter()
        .map(|range| range.end)
        .collect();
    let path = |number: u32| court.journal().join(format!("{number:08}.saj"));
    for len in 0..last.len() {
        fs::write(path(2), &last[..len]).unwrap();
        let judged = court.judge();
        let expected = if borders.contains(&len) {
            Verdict::OpenEnd
        } else {
            Verdict::Incomplete
        };
        assert_eq!(
            (judged.verdict, judged.cause),
            (expected, Some(Cause::Missing)),
            "cut at {len}: {}",
            judged.explanation
        );
    }
    for border in borders.iter().filter(|border| **border < last.len()) {
        fs::write(path(2), &last[..*border]).unwrap();
        assert_ne!(court.judge_publicly().verdict, Verdict::Intact);
    }
    fs::write(path(2), &last).unwrap();
    let first = court.segment(1);
    for len in 0..first.len() {
        fs::write(path(1), &first[..len]).unwrap();
        assert!(noticed(&court.judge()), "cut at {len}");
    }
}

#[test]
fn what_was_changed_with_a_good_checksum_breaks_the_seal() {
    let court = Court::sealed();
    for number in [1, 2] {
        let whole = Frames::of(&court.segment(number));
        for index in 0..whole.0.len() {
            let every = [
                forger::FIRST_SEQ,
                forger::BOOT_US,
                forger::WALL_US,
                forger::LOST,
                forger::POSITION,
                forger::BEFORE,
                forger::BEFORE + 24,
            ];
            let of_events = [forger::FIRST_US, forger::KINDS];
            let events = usize::from(whole.0[index][32] > 0) * of_events.len();
            for field in every.into_iter().chain(of_events.into_iter().take(events)) {
                let mut frames = whole.clone();
                let frame = &mut frames.0[index];
                let value = forger::u64_at(frame, field);
                forger::set_u64(frame, field, value ^ 1);
                court.forge(&court.with(number, frames.bytes()));
                let judged = court.judge();
                assert_eq!(
                    judged.verdict,
                    Verdict::Altered,
                    "frame {index}, field {field}: {}",
                    judged.explanation
                );
                let public = court.judge_publicly();
                assert!(
                    noticed(&public),
                    "{index}, field {field}: {}",
                    public.explanation
                );
            }
        }
    }
}

#[test]
fn frames_deleted_repeated_and_swapped_are_noticed() {
    let court = Court::sealed();
    for number in [1, 2] {
        let whole = Frames::of(&court.segment(number));
        let last = whole.0.len() - 1;
        for index in 0..=last {
            let tail_cut = number == 2 && index == last;
            if !tail_cut {
                court.forge(&court.with(number, whole.without(index).bytes()));
                let judged = court.judge();
                assert!(
                    noticed(&judged),
                    "{number}: without {index}: {}",
                    judged.explanation
                );
            }
            court.forge(&court.with(number, whole.with_twice(index).bytes()));
            let judged = court.judge();
            assert_eq!(
                (judged.verdict, judged.cause),
                (Verdict::Altered, Some(Cause::Order)),
                "{number}: {index} twice"
            );
            assert_eq!(
                judged.events,
                court.story.seq(),
                "{number}: {index} twice is read once"
            );
            for other in index + 1..=last {
                court.forge(&court.with(number, whole.swapped(index, other).bytes()));
                let judged = court.judge();
                assert_eq!(
                    judged.verdict,
                    Verdict::Altered,
                    "{number}: {index} and {other} swapped"
                );
            }
        }
    }
}

#[test]
fn a_frame_of_another_recording_does_not_belong() {
    let court = Court::sealed();
    let other = Recorder::story(2, Sealing::Sealed);
    for number in [1, 2] {
        let own = Frames::of(&court.segment(number));
        let foreign = Frames::of(&other.segments[number - 1]);
        for index in 1..own.0.len() {
            let mut frames = own.clone();
            frames.0[index].clone_from(&foreign.0[index]);
            court.forge(&court.with(number, frames.bytes()));
            let judged = court.judge();
            assert_eq!(
                (judged.verdict, judged.cause),
                (Verdict::Altered, Some(Cause::Seal)),
                "frame {index}: {}",
                judged.explanation
            );
        }
    }
}

#[test]
fn damage_in_one_frame_costs_that_frame() {
    let court = Court::sealed();
    let mut frames = Frames::of(&court.segment(1));
    let middle = frames.0[2].len() / 2;
    frames.0[2][middle] ^= 0xff;
    court.forge(&court.with(1, frames.bytes()));
    let judged = court.judge();
    assert_eq!(
        (judged.verdict, judged.cause, judged.damaged),
        (Verdict::Altered, Some(Cause::Checksum), 1)
    );
    let verdicts: Vec<(u64, u64, Verdict)> = judged
        .stretches
        .iter()
        .map(|stretch| (stretch.position, stretch.frames, stretch.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [
            (0, 2, Verdict::Intact),
            (3, 2, Verdict::Intact),
            (5, 6, Verdict::Intact)
        ]
    );
    assert_eq!(judged.trusted().len(), 2);
    assert_eq!(judged.gaps.len(), 1);
    assert_eq!(
        (
            judged.gaps[0].position,
            judged.gaps[0].frames,
            judged.gaps[0].events
        ),
        (2, 1, Some(3))
    );
}

#[test]
fn missing_segments_are_named() {
    let court = Court::sealed();
    fs::remove_file(court.journal().join("00000001.saj")).unwrap();
    let judged = court.judge();
    assert_eq!(
        (judged.verdict, judged.cause),
        (Verdict::Incomplete, Some(Cause::Missing))
    );
    assert!(
        judged.explanation.contains("segment 1 is not here"),
        "{}",
        judged.explanation
    );
    assert_eq!(judged.events, 4);
    court.forge(&court.story.segments);
    fs::remove_file(court.journal().join("00000002.saj")).unwrap();
    assert_eq!(court.judge().verdict, Verdict::OpenEnd);
}

#[test]
fn segments_under_each_others_names_or_twice_are_noticed() {
    let court = Court::sealed();
    court.forge(&[court.segment(2), court.segment(1)]);
    let judged = court.judge();
    assert_eq!(
        (judged.verdict, judged.cause),
        (Verdict::Altered, Some(Cause::Order))
    );
    assert_eq!(judged.events, court.story.seq());
    court.forge(&[court.segment(1), court.segment(2), court.segment(2)]);
    let judged = court.judge();
    assert_eq!(
        (judged.verdict, judged.cause),
        (Verdict::Altered, Some(Cause::Order))
    );
    assert_eq!(judged.events, court.story.seq());
}

#[test]
fn recordings_mixed_in_one_folder_are_told_apart() {
    let court = Court::sealed();
    let other = Recorder::story(2, Sealing::Sealed);
    fs::write(court.journal().join("00000003.saj"), &other.segments[0]).unwrap();
    let key = Key::read(&court.keys.auditor).unwrap();
    let all = judge_all(&court.journal(), Some(&key));
    assert_eq!(all.len(), 2);
    assert!(
        all.iter()
            .all(|judged| (judged.verdict, judged.cause) == (Verdict::Altered, Some(Cause::Order)))
    );
    let again = {
        let mut again = court.story.again();
        again.open();
        again.work(1);
        again.close();
        again
    };
    court.forge(&[
        court.segment(1),
        court.segment(2),
        again.segments[0].clone(),
    ]);
    let all = judge_all(&court.journal(), Some(&key));
    assert_eq!(all.len(), 2, "two recordings of one enrolment");
    assert!(all.iter().all(|judged| judged.verdict == Verdict::Altered));
}

#[test]
fn a_later_recording_of_an_enrolment_is_whole_by_itself() {
    let mut again = Recorder::story(1, Sealing::Sealed).again();
    again.open();
    again.work(5);
    again.close();
    let court = Court::new(again);
    let judged = court.judge();
    assert_eq!(judged.verdict, Verdict::Intact, "{}", judged.explanation);
    assert!(
        judged
            .notices
            .iter()
            .any(|notice| notice.text.contains("earlier recordings"))
    );
    let public = court.judge_publicly();
    assert_eq!(public.verdict, Verdict::Intact, "{}", public.explanation);
}

#[test]
fn seals_that_were_taken_off_are_missed() {
    let court = Court::sealed();
    court.forge(&forger::strip(
        &court.story.segments,
        court.story.enrolment(),
    ));
    assert_eq!(
        court.judge_without_key().verdict,
        Verdict::Unsealed,
        "nothing contradicts it"
    );
    let judged = court.judge();
    assert_eq!(
        (judged.verdict, judged.cause),
        (Verdict::Altered, Some(Cause::Seal)),
        "{}",
        judged.explanation
    );
    let public = court.judge_publicly();
    assert_eq!(
        (public.verdict, public.cause),
        (Verdict::Altered, Some(Cause::Seal)),
        "{}",
        public.explanation
    );
}

#[test]
fn anothers_key_checks_nothing() {
    let court = Court::sealed();
    let other = Recorder::story(2, Sealing::Sealed).write_keys(&court.folder.path().join("other"));
    for path in [other.auditor, other.public] {
        let key = Key::read(&path).unwrap();
        let judged = judge_all(&court.journal(), Some(&key)).remove(0);
        assert_eq!(
            (judged.verdict, judged.cause),
            (Verdict::Unverified, Some(Cause::Key))
        );
        assert!(judged.key_is_wrong());
    }
}

#[test]
fn strangers_are_named_and_change_nothing() {
    let court = Court::sealed();
    fs::write(court.journal().join("notes.txt"), "dear auditor").unwrap();
    std::os::unix::fs::symlink("/dev/zero", court.journal().join("00000009.saj")).unwrap();
    let judged = court.judge();
    assert_eq!(judged.verdict, Verdict::Intact);
    for name in ["notes.txt", "00000009.saj"] {
        assert!(
            judged
                .notices
                .iter()
                .any(|notice| notice.text.contains(name)),
            "{name}"
        );
    }
}

#[test]
fn bytes_between_frames_and_behind_the_close_are_noticed() {
    let court = Court::sealed();
    let frames = Frames::of(&court.segment(2));
    for index in 0..=frames.0.len() {
        let mut with = frames.clone();
        with.0.insert(index, b"not a frame".to_vec());
        court.forge(&court.with(2, with.bytes()));
        let judged = court.judge();
        assert_eq!(
            judged.verdict,
            Verdict::Altered,
            "before frame {index}: {}",
            judged.explanation
        );
        assert_eq!(judged.events, court.story.seq());
    }
}

#[test]
fn a_silent_recorder_is_noticed_and_a_silent_end_needs_the_time_of_the_copy() {
    let mut story = Recorder::new(1, Sealing::Sealed);
    story.open();
    story.work(1);
    story.sleep(300);
    story.work(1);
    let court = Court::new(story);
    let judged = court.judge();
    assert_eq!(judged.verdict, Verdict::OpenEnd);
    assert!(
        judged
            .notices
            .iter()
            .any(|notice| notice.text.contains("nothing was sealed for 301")),
        "{:?}",
        judged.notices
    );
    let key = Key::read(&court.keys.auditor).unwrap();
    let found = open(&[court.journal()]);
    let last_us = judged.stretches.last().unwrap().to_us;
    for (after_s, verdict) in [(5, Verdict::OpenEnd), (60, Verdict::Incomplete)] {
        let asked = Asked {
            key: Some(&key),
            acquired_us: Some(last_us + after_s * 1_000_000),
            ..Asked::default()
        };
        assert_eq!(
            verify(&found.journals[0], asked, &mut |_| {}).verdict,
            verdict
        );
    }
}

#[test]
fn a_file_of_beginnings_ends_in_reasonable_time() {
    let court = Court::sealed();
    let mut begin = court.segment(1)[..36].to_vec();
    begin.extend((4_u32 << 20).to_le_bytes());
    let trap = begin.repeat((8 << 20) / begin.len());
    court.forge(&[court.segment(1), trap]);
    let judged = court.judge();
    assert_eq!(judged.verdict, Verdict::Altered);
}

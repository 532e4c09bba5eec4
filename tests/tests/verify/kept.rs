//! What the recorder says of crashes and quotas, what an examiner keeps elsewhere, and what a thief of
//! the present keys can do.

use std::fs;

use saigen_analyzer::evidence::{
    AnchorFrom, Asked, Depth, Held, Key, Verification, open, read_seen, verify, write_seen,
};
use saigen_schemas::journal::seal::{chain_after, frame_digest};
use saigen_schemas::journal::{Anchor, FrameHeader, segment_file_name};
use saigen_schemas::report::{Cause, Verdict};
use saigen_tests::forger::{Frames, POSITION, u64_at};

use crate::forged::Court;
use crate::maker::{Recorder, Sealing};

fn held(anchor: Anchor, from: AnchorFrom) -> [Held; 1] {
    [Held { anchor, from }]
}

fn judge(court: &Court, anchors: &[Held], depth: Depth) -> Verification {
    let key = Key::read(&court.keys.auditor).unwrap();
    let asked = Asked {
        key: Some(&key),
        anchors,
        depth,
        ..Asked::default()
    };
    let found = open(&[court.journal()]);
    verify(&found.journals[0], asked, &mut |_| {})
}

/// A recording that crashed once, after `lost` frames that nobody saw.
fn crashed(lost: u64) -> Recorder {
    let mut story = Recorder::new(1, Sealing::Sealed);
    story.open();
    story.work(3);
    story.work(2);
    story.checkpoint();
    story.work(1);
    story.crash(lost);
    story.work(2);
    story.close();
    story
}

#[test]
fn a_declared_crash_is_a_gap_of_at_most_what_the_key_allows() {
    for (lost, verdict) in [
        (0, Verdict::CrashGap),
        (1, Verdict::CrashGap),
        (32, Verdict::CrashGap),
        (33, Verdict::Incomplete),
    ] {
        let court = Court::new(crashed(lost));
        for judged in [court.judge(), court.judge_publicly()] {
            assert_eq!(judged.verdict, verdict, "{lost}: {}", judged.explanation);
        }
    }
}

#[test]
fn a_torn_frame_before_a_declared_crash_is_part_of_it() {
    let mut story = crashed(4);
    let len = story.segments[0].len();
    story.segments[0].extend_from_within(len - 200..len - 50);
    let court = Court::new(story);
    let judged = court.judge();
    assert_eq!(judged.verdict, Verdict::CrashGap, "{}", judged.explanation);
}

#[test]
fn frames_taken_away_before_a_crash_are_missed_though_the_gap_stays_small() {
    let court = Court::new(crashed(4));
    let first = Frames::of(&court.story.segments[0]);
    let last = first.0.len() - 1;
    court.forge(&[first.without(last).bytes(), court.story.segments[1].clone()]);
    for judged in [court.judge(), court.judge_publicly()] {
        assert_eq!(
            judged.verdict,
            Verdict::Incomplete,
            "{}",
            judged.explanation
        );
        assert_eq!(judged.cause, Some(Cause::Missing));
    }
}

#[test]
fn a_crash_that_nobody_declared_is_missing_frames() {
    let court = Court::sealed();
    let first = Frames::of(&court.story.segments[0]);
    let last = first.0.len() - 1;
    let cut = first.without(last).without(last - 1);
    court.forge(&[cut.bytes(), court.story.segments[1].clone()]);
    let judged = court.judge();
    assert_eq!(
        judged.verdict,
        Verdict::Incomplete,
        "{}",
        judged.explanation
    );
}

#[test]
fn an_anchor_finds_a_cut_tail_and_an_older_copy() {
    let mut story = Recorder::new(1, Sealing::Sealed);
    story.open();
    story.work(3);
    let older = story.segments.clone();
    story.work(2);
    story.checkpoint();
    let anchor = story.anchor();
    let court = Court::new(story);
    for from in [AnchorFrom::Given, AnchorFrom::Seen] {
        let anchors = held(anchor.clone(), from);
        let judged = judge(&court, &anchors, Depth::Seals);
        assert_eq!(judged.verdict, Verdict::OpenEnd, "{}", judged.explanation);
        assert!(
            judged
                .notices
                .iter()
                .any(|notice| notice.text.contains("holds"))
        );
        court.forge(&older);
        let judged = judge(&court, &anchors, Depth::Seals);
        assert_eq!(
            (judged.verdict, judged.cause),
            (Verdict::Incomplete, Some(Cause::Missing)),
            "{}",
            judged.explanation
        );
        court.forge(&court.story.segments);
    }
}

#[test]
fn what_was_seen_is_kept_and_moves_forward_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seen.anchors");
    assert_eq!(read_seen(&path).unwrap(), []);
    let (near, far) = (crashed(0), crashed(5));
    assert!(far.anchor().position > near.anchor().position);
    write_seen(&path, &[], &[far.anchor()]).unwrap();
    let seen = read_seen(&path).unwrap();
    write_seen(&path, &seen, &[near.anchor()]).unwrap();
    let seen = read_seen(&path).unwrap();
    assert_eq!(seen, held(far.anchor(), AnchorFrom::Seen));
}

/// Three segments, of which the recorder removed the first two.
fn shortened() -> (Court, Vec<(u32, Vec<u8>)>) {
    let mut story = Recorder::new(1, Sealing::Sealed);
    for _ in 0..3 {
        story.open();
        story.work(3);
        story.checkpoint();
    }
    story.open();
    let left = story.remove(2);
    (Court::new(story), left)
}

fn leave(court: &Court, left: &[(u32, Vec<u8>)]) {
    fs::remove_dir_all(court.journal()).unwrap();
    fs::create_dir(court.journal()).unwrap();
    for (number, bytes) in left {
        fs::write(court.journal().join(segment_file_name(*number)), bytes).unwrap();
    }
}

#[test]
fn what_a_quota_removed_is_told_from_what_someone_removed() {
    let (court, left) = shortened();
    leave(&court, &left);
    for judged in [court.judge(), court.judge_publicly()] {
        assert_eq!(
            (judged.verdict, judged.cause),
            (Verdict::Incomplete, Some(Cause::Quota)),
            "{}",
            judged.explanation
        );
        assert!(
            judged
                .stretches
                .iter()
                .all(|one| one.verdict == Verdict::Intact),
            "{}",
            judged.explanation
        );
    }
    // One more goes, which no list names.
    leave(&court, &left[1..]);
    let judged = court.judge();
    assert_eq!(
        (judged.verdict, judged.cause),
        (Verdict::Incomplete, Some(Cause::Missing)),
        "{}",
        judged.explanation
    );
}

#[test]
fn a_false_root_is_found_by_a_deep_look_alone() {
    let mut story = Recorder::new(1, Sealing::Sealed);
    story.false_roots = true;
    story.open();
    story.work(3);
    story.close();
    let court = Court::new(story);
    assert_eq!(judge(&court, &[], Depth::Seals).verdict, Verdict::Intact);
    assert_eq!(judge(&court, &[], Depth::Roots).verdict, Verdict::Altered);
    assert_eq!(
        judge(&Court::sealed(), &[], Depth::Roots).verdict,
        Verdict::Intact
    );
}

#[test]
fn the_past_written_again_with_stolen_keys_is_found_with_the_secret_or_an_anchor() {
    let mut story = Recorder::new(1, Sealing::Sealed);
    story.open();
    story.work(3);
    story.checkpoint();
    story.open();
    story.work(2);
    let anchor = story.anchor();
    story.work(4);
    // The thief keeps the opening of the open segment, and writes another content behind it.
    let segment = Frames::of(&story.segments[1]);
    let opening = FrameHeader::read(&segment.0[0]).unwrap();
    let position = u64_at(&segment.0[0], POSITION);
    let kept = [story.segments[0].clone(), segment.0[0].clone()];
    let mut thief = story.thief(&kept, position + 1, chain_after(&opening));
    let digest = frame_digest(opening.digested, opening.payload);
    thief.within(position, vec![digest], opening.header.first_seq);
    thief.work(1);
    thief.work(1);
    thief.close();
    let court = Court::new(story);
    court.forge(&thief.segments);
    let judged = court.judge();
    assert_eq!(
        (judged.verdict, judged.cause),
        (Verdict::Altered, Some(Cause::Seal)),
        "{}",
        judged.explanation
    );
    // The public key alone is deceived within the open segment, as the document says.
    let public = court.judge_publicly();
    assert_eq!(public.verdict, Verdict::Intact, "{}", public.explanation);
    let key = Key::read(&court.keys.public).unwrap();
    let anchors = held(anchor, AnchorFrom::Given);
    let asked = Asked {
        key: Some(&key),
        anchors: &anchors,
        ..Asked::default()
    };
    let found = open(&[court.journal()]);
    let anchored = verify(&found.journals[0], asked, &mut |_| {});
    assert_eq!(
        anchored.verdict,
        Verdict::Altered,
        "{}",
        anchored.explanation
    );
}

#[test]
fn a_tail_that_was_cut_and_continued_is_noticed() {
    let court = Court::sealed();
    let other = Recorder::story(2, Sealing::Sealed);
    let second = Frames::of(&court.story.segments[1]);
    let foreign = Frames::of(&other.segments[1]);
    for kept in 1..second.0.len() - 1 {
        let mut frames = second.0[..kept].to_vec();
        frames.extend(foreign.0[kept..].iter().cloned());
        court.forge(&[court.story.segments[0].clone(), frames.concat()]);
        for judged in [court.judge(), court.judge_publicly()] {
            assert_eq!(
                judged.verdict,
                Verdict::Altered,
                "{kept}: {}",
                judged.explanation
            );
        }
    }
}

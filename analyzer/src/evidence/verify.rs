//! Verifies a journal: scans its segments side by side, follows chain and seals over them in
//! order, and says how far it can be trusted.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use saigen_schemas::event::format_utc;
use saigen_schemas::journal::AHEAD_DEFAULT;
use saigen_schemas::journal::seal::EnrolmentId;
use saigen_schemas::report::{Cause, FindingKind, KeyUsed, Verdict};

use crate::evidence::anchor::{Held, Outcome};
use crate::evidence::clocks::silence_before;
use crate::evidence::files::{Journal, SegmentFile};
use crate::evidence::follow::{Expected, Trail};
use crate::evidence::key::Key;
use crate::evidence::scan::{Depth, Scanned, removed_lists, scan};
use crate::evidence::signatures::{Root, told_by};
use crate::evidence::verdict::{Fault, FaultKind, FileFacts, Notice, Verification};

/// Frames of one segment that may wait to be followed, while segments before it are. It bounds
/// what all segments together hold in memory.
const WAITING_MAX: usize = 1024;

/// What an examiner asks of a verification.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The key to check seals with.
    pub key: Option<&'a Key>,
    /// When the copy was taken of a recording that was still running, wall clock, µs.
    pub acquired_us: Option<i64>,
    /// The anchors that the examiner holds.
    pub anchors: &'a [Held],
    /// How much is made again.
    pub depth: Depth,
}

/// Verifies a journal: each frame's checksum, content, position, chain and seal, and the clocks.
/// `progress` gets the bytes of each frame that was followed.
#[must_use]
pub fn verify(journal: &Journal, asked: Asked<'_>, progress: &mut dyn FnMut(u64)) -> Verification {
    let of_key = |own: EnrolmentId| journal.enrolment.is_none_or(|named| named == own);
    let root = match asked.key {
        Some(Key::Auditor(key)) if of_key(key.enrolment) => Root::Secret(&key.secret),
        Some(Key::Public(key)) if of_key(key.enrolment) => Root::Public(key.public_key),
        Some(Key::Auditor(_) | Key::Public(_)) | None => Root::None,
    };
    let enrolment = journal.enrolment.or(asked.key.map(Key::enrolment));
    let ahead = asked.key.map_or(AHEAD_DEFAULT, Key::ahead);
    let expected = Expected {
        enrolment,
        root,
        ahead,
        anchors: asked.anchors,
    };
    let mut trail = Trail::new(journal.source, expected);
    let headless = journal
        .segments
        .first()
        .is_some_and(|first| first.number > 1);
    if headless && matches!(root, Root::Public(_)) {
        let lists = journal
            .segments
            .iter()
            .flat_map(|segment| removed_lists(&segment.path));
        trail.foretold(&told_by(&lists.collect::<Vec<_>>()));
    }
    for misplaced in &journal.misplaced {
        trail.fault(
            &misplaced.name,
            0,
            None,
            FaultKind::Altered,
            Cause::Order,
            misplaced.text.clone(),
        );
    }
    let files = follow_all(&journal.segments, asked.depth, &mut trail, progress);
    trail.finish();
    judge(journal, asked, enrolment, trail, files)
}

/// Scans the segments on all processors, and follows them in order.
fn follow_all(
    segments: &[SegmentFile],
    depth: Depth,
    trail: &mut Trail<'_>,
    progress: &mut dyn FnMut(u64),
) -> Vec<FileFacts> {
    let (senders, receivers): (Vec<_>, Vec<Receiver<Scanned>>) =
        segments.iter().map(|_| sync_channel(WAITING_MAX)).unzip();
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    // Each sender is taken by the one worker that scans its segment, and dropped at its end.
    let senders: Vec<_> = senders
        .into_iter()
        .map(|sender| std::sync::Mutex::new(Some(sender)))
        .collect();
    thread::scope(|scope| {
        for _ in 0..workers.min(segments.len()) {
            scope.spawn(|| work(segments, depth, &senders, &next));
        }
        let mut files = Vec::with_capacity(segments.len());
        for (index, (segment, receiver)) in segments.iter().zip(receivers).enumerate() {
            trail.segment(index, &segment.name, segment.number);
            files.extend(follow_one(segment, &receiver, trail, progress));
        }
        files
    })
}

/// Takes segment after segment, in order, and scans it.
fn work(
    segments: &[SegmentFile],
    depth: Depth,
    senders: &[std::sync::Mutex<Option<SyncSender<Scanned>>>],
    next: &AtomicUsize,
) {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let (Some(segment), Some(slot)) = (segments.get(index), senders.get(index)) else {
            return;
        };
        let Some(sender) = slot.lock().ok().and_then(|mut sender| sender.take()) else {
            return;
        };
        match File::open(&segment.path) {
            Ok(file) => scan(file, depth, &mut |scanned| sender.send(scanned).is_ok()),
            // The follower has gone if this cannot be sent, and wants nothing more.
            Err(error) => drop(sender.send(Scanned::Unreadable(error))),
        }
    }
}

fn follow_one(
    segment: &SegmentFile,
    receiver: &Receiver<Scanned>,
    trail: &mut Trail<'_>,
    progress: &mut dyn FnMut(u64),
) -> Option<FileFacts> {
    let mut file = None;
    for scanned in receiver {
        match scanned {
            Scanned::Frame(facts) => {
                progress(facts.len);
                trail.frame(*facts);
            }
            Scanned::Damage(damage) => {
                progress(damage.len);
                trail.damaged(damage);
            }
            Scanned::Unreadable(error) => trail.unreadable(&error),
            Scanned::End { bytes, sha256 } => {
                trail.segment_ended();
                file = Some(FileFacts {
                    path: segment.name.clone(),
                    sha256,
                    bytes,
                });
            }
        }
    }
    file
}

/// What was gathered becomes a verdict.
fn judge(
    journal: &Journal,
    asked: Asked<'_>,
    enrolment: Option<EnrolmentId>,
    mut trail: Trail<'_>,
    files: Vec<FileFacts>,
) -> Verification {
    let sealed = trail.sealed().unwrap_or(true);
    let of_key = asked
        .key
        .is_some_and(|key| Some(key.enrolment()) == enrolment);
    if of_key && !sealed {
        let name = journal
            .segments
            .first()
            .map(|segment| segment.name.as_str());
        trail.fault(
            name.unwrap_or_default(),
            0,
            None,
            FaultKind::Altered,
            Cause::Seal,
            "the key's enrolment seals its journals, and this one has no seals: they were taken off"
                .to_owned(),
        );
    }
    let closed = trail.closed();
    let outcomes = trail.anchored();
    let anchor = trail.anchor();
    let mut found = trail.found;
    let last_file = journal.segments.last().map(|segment| segment.name.clone());
    let anchors_checked = outcomes.len();
    for outcome in outcomes {
        match outcome {
            Outcome::Holds(text) => found.notices.push(Notice {
                kind: FindingKind::Note,
                text,
                from_us: None,
                to_us: None,
            }),
            Outcome::Broken(kind, cause, position, text) => found.faults.push(Fault {
                file: last_file.clone().unwrap_or_default(),
                offset: 0,
                position: Some(position),
                kind,
                cause,
                text,
            }),
        }
    }
    let silent = asked
        .acquired_us
        .zip(found.last_sealed_us)
        .filter(|_| !closed)
        .and_then(|(acquired_us, last_us)| silence_before(last_us, acquired_us));
    if let Some(text) = silent {
        found.faults.push(Fault {
            file: last_file.unwrap_or_default(),
            offset: 0,
            position: found.positions.map(|(_, last)| last),
            kind: FaultKind::Incomplete,
            cause: Cause::Missing,
            text,
        });
    }
    for stranger in &journal.strangers {
        found.notices.push(Notice {
            kind: FindingKind::Note,
            text: format!(
                "{stranger} stands beside the segments, is no part of a journal, and was not read"
            ),
            from_us: None,
            to_us: None,
        });
    }
    let standing = Standing {
        asked,
        enrolment,
        sealed,
        closed,
        positions: found.positions,
        last_us: found.last_sealed_us,
        signed_to: found.signed_to,
    };
    let (verdict, cause, explanation) = standing.verdict(&found.faults, found.faults_unlisted);
    Verification {
        source: journal.source,
        path: journal.path.clone(),
        files,
        enrolment: journal.enrolment,
        sealed,
        closed,
        key: match asked.key {
            None => KeyUsed::None,
            Some(Key::Auditor(key)) => KeyUsed::Auditor {
                fingerprint: key.enrolment.to_string(),
            },
            Some(Key::Public(key)) => KeyUsed::Public {
                fingerprint: key.enrolment.to_string(),
            },
        },
        verdict,
        cause,
        explanation,
        recorded: found.recorded,
        frames: found.frames,
        damaged: found.damaged,
        events: found.events,
        lost: found.lost,
        lost_by_source: found.lost_by_source,
        kinds: found.kinds,
        sources: found.sources,
        completeness: found.completeness,
        span_us: found.span_us,
        positions: found.positions,
        signed_to: found.signed_to,
        stretches: found.stretches,
        faults: found.faults,
        faults_unlisted: found.faults_unlisted,
        notices: found.notices,
        gaps: found.gaps,
        anchor,
        anchors_checked,
        depth: asked.depth,
    }
}

/// What a verdict rests on where nothing is wrong.
struct Standing<'a> {
    asked: Asked<'a>,
    enrolment: Option<EnrolmentId>,
    sealed: bool,
    closed: bool,
    positions: Option<(u64, u64)>,
    last_us: Option<i64>,
    signed_to: Option<u64>,
}

impl Standing<'_> {
    fn verdict(&self, faults: &[Fault], unlisted: u64) -> (Verdict, Option<Cause>, String) {
        if let Some(gravest) = faults.iter().min_by_key(|fault| fault.kind) {
            let verdict = match gravest.kind {
                FaultKind::Altered => Verdict::Altered,
                FaultKind::Incomplete => Verdict::Incomplete,
                FaultKind::Crash => Verdict::CrashGap,
            };
            let others = (faults.len() as u64 - 1).saturating_add(unlisted);
            let more = match others {
                0 => String::new(),
                1 => "; one more thing is wrong".to_owned(),
                others => format!("; {others} more things are wrong"),
            };
            let unchecked = match (self.sealed, self.asked.key) {
                (false, _) => "; recorded without a key: anyone could have made it",
                (true, None) => "; its seals were not checked: no key was given",
                (true, Some(key)) if Some(key.enrolment()) != self.enrolment => {
                    "; its seals were not checked: the key is of another enrolment"
                }
                (true, Some(_)) => "",
            };
            let text = format!("{}: {}{more}{unchecked}", gravest.file, gravest.text);
            return (verdict, Some(gravest.cause), text);
        }
        let end = if self.closed {
            String::new()
        } else {
            format!(
                "; there is no close: what came after {} cannot be known",
                self.last_us.map_or_else(|| "it".to_owned(), format_utc)
            )
        };
        match self.asked.key {
            Some(key) if Some(key.enrolment()) != self.enrolment => {
                let own = self
                    .enrolment
                    .map_or_else(|| "unknown".to_owned(), |own| own.to_string());
                let text = format!(
                    "the key is of enrolment {}, this is of {own}: its seals were not checked{end}",
                    key.enrolment()
                );
                (Verdict::Unverified, Some(Cause::Key), text)
            }
            None | Some(_) if !self.sealed => {
                let text = format!(
                    "recorded without a key: checksums and chain hold, but anyone could have made it{end}"
                );
                (Verdict::Unsealed, None, text)
            }
            None => {
                let text = format!(
                    "sealed, and no key was given: checksums and chain hold; --key auditor.key checks the seals{end}"
                );
                (Verdict::Unverified, Some(Cause::Key), text)
            }
            Some(Key::Public(_)) => self.by_signatures(&end),
            Some(Key::Auditor(_)) => {
                let (first, last) = self.positions.unwrap_or((0, 0));
                if self.closed {
                    let text = format!(
                        "every seal holds from frame {first} to the close, frame {last}: nothing was changed, nothing is missing"
                    );
                    (Verdict::Intact, None, text)
                } else {
                    let text = format!("every seal holds from frame {first} to frame {last}{end}");
                    (Verdict::OpenEnd, Some(Cause::Missing), text)
                }
            }
        }
    }

    /// The verdict of who holds the public key: as far as the last checkpoint.
    fn by_signatures(&self, end: &str) -> (Verdict, Option<Cause>, String) {
        let (first, last) = self.positions.unwrap_or((0, 0));
        match self.signed_to {
            Some(signed) if self.closed && signed == last => {
                let text = format!(
                    "every signature holds from frame {first} to the close, frame {signed}: nothing was changed, nothing is missing"
                );
                (Verdict::Intact, None, text)
            }
            Some(signed) => {
                let text = format!(
                    "signed to frame {signed} of {last}; what follows convinces only the holder of the auditor.key{end}"
                );
                (Verdict::OpenEnd, Some(Cause::Missing), text)
            }
            None => {
                let text = format!(
                    "no signature leads back to that enrolment.pub; the auditor.key can check the seals: checksums and chain hold{end}"
                );
                (Verdict::Unverified, Some(Cause::Key), text)
            }
        }
    }
}

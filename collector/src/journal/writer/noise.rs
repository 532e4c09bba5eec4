//! What gives way when a journal nears its quota: the noise of files.
//!
//! One program that writes many files can fill a quota within minutes, and with it push out what was
//! recorded of processes, privileges and connections for days. So from half of the quota on, ordinary
//! events about files get at most half of each segment. What comes beyond is counted, and the count is
//! sealed as a loss. Events about anything else, and critical ones about files (places of persistence,
//! privilege), are always written: at least half of the quota is theirs.

use saigen_schemas::event::{Kind, KindName, RecordLoss};

use super::{Limits, Store, Urgency, WriteError, Writer};
use crate::clock::Now;

/// What part of a quota must be used before anything is thinned, and what part of a segment is for the noise
/// of files from then on: a half.
const SHARE: u64 = 2;

/// How long a count of thinned events waits before it is sealed.
const TOLD_US: u64 = 5_000_000;

/// The name of the loss.
const NAME: &str = "file_noise";

/// What the noise of files takes of the open segment.
#[derive(Debug, Default)]
pub(super) struct Noise {
    /// Bytes before compression of the open frame's events about files.
    frame_raw: u64,
    /// Its share of the segment's bytes so far.
    segment_bytes: u64,
    /// Events that gave way and are not told of yet.
    thinned: u64,
    /// When the first of them came.
    since_us: Option<u64>,
}

impl Noise {
    /// Takes up an event of the open frame that has so many bytes before compression.
    pub(super) fn count(&mut self, raw: usize) {
        self.frame_raw += u64::try_from(raw).unwrap_or(u64::MAX);
    }

    /// The open frame was sealed with so many bytes, from so many before compression.
    pub(super) fn sealed(&mut self, frame_bytes: u64, frame_raw: u64) {
        let noise = std::mem::take(&mut self.frame_raw).min(frame_raw);
        self.segment_bytes += frame_bytes * noise / frame_raw.max(1);
    }

    /// A segment begins.
    pub(super) fn next_segment(&mut self) {
        self.segment_bytes = 0;
    }

    /// When what was thinned must be told at the latest, on the boot clock.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        self.since_us.map(|since| since + TOLD_US)
    }

    fn has_had_its_share(&self, limits: &Limits, journal_bytes: u64) -> bool {
        journal_bytes >= limits.journal_bytes_max / SHARE
            && self.segment_bytes >= limits.segment_bytes / SHARE
    }
}

impl<S: Store> Writer<S> {
    /// Whether an event must give way; it is counted then.
    pub(super) fn thins(&mut self, kind: KindName, urgency: Urgency, now: Now) -> bool {
        let thins = urgency == Urgency::Ordinary
            && is_noise(kind)
            && self
                .noise
                .has_had_its_share(&self.limits, self.journal_bytes);
        if thins {
            self.noise.thinned += 1;
            self.noise.since_us.get_or_insert(now.boot_us);
        }
        thins
    }

    /// Seals the count of what was thinned, if there is any.
    pub(super) fn tell_thinned(&mut self, now: Now) -> Result<(), WriteError> {
        let count = std::mem::take(&mut self.noise.thinned);
        let Some(since_us) = self.noise.since_us.take() else {
            return Ok(());
        };
        self.lost += count;
        self.push_own(
            Kind::RecordLoss(RecordLoss {
                name: Some(NAME.into()),
                count: Some(count),
                from_us: Some(since_us),
                to_us: Some(now.boot_us),
                detail: Some(
                    "ordinary events about files, to keep the rest longer within the quota".into(),
                ),
            }),
            now,
        )
    }
}

/// Whether events of a kind are the noise of files, unless one is critical. Reads of watched files and files in
/// memory are rare and telling.
pub(super) fn is_noise(kind: KindName) -> bool {
    [
        KindName::FileCreated,
        KindName::FileWritten,
        KindName::FileRenamed,
        KindName::FileLinked,
        KindName::FileDeleted,
        KindName::FileAttributes,
        KindName::FileMapped,
    ]
    .contains(&kind)
}

//! The quota: when the journal has grown to it, the oldest segments go, and a sealed list says so.

use saigen_schemas::journal::checkpoint::CHECKPOINT_PAYLOAD_BYTES;
use saigen_schemas::journal::{
    FrameHeader, FrameKind, HEADER_BYTES_MAX, HEADER_BYTES_MIN, Opening, PayloadSummary,
    REMOVED_LISTED_MAX, Removed, RemovedSegment, SuccessionText, hex,
};

use super::{Store, WriteError, Writer};
use crate::clock::Now;

/// Bytes of the frame that ends a closed segment: its checkpoint.
const LAST_FRAME_BYTES: usize = HEADER_BYTES_MIN + CHECKPOINT_PAYLOAD_BYTES;

/// What part of a segment the list of those that were removed may be.
const LISTED_SHARE: u64 = 16;

/// How far the lists of removed segments in this journal tell of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListOfKeys {
    /// The segment with the list that begins with generation 1.
    segment: u32,
    /// The last generation that they tell of.
    generation: u32,
}

impl<S: Store> Writer<S> {
    /// Removes the oldest segments if the journal has reached its quota. The word that they are gone
    /// is durable before they go.
    pub(super) fn keep_to_quota(&mut self, now: Now) -> Result<(), WriteError> {
        let max = self.limits.journal_bytes_max;
        if self.journal_bytes < max {
            return Ok(());
        }
        if self.closed.is_empty() {
            self.begin_segment(now)?;
            if self.segment_bytes >= max {
                return Err(WriteError::QuotaReached { bytes: max });
            }
        }
        let mut left = self.journal_bytes;
        let oldest = self.closed.iter().take_while(|(_, bytes)| {
            let over = left >= max;
            left = left.saturating_sub(*bytes);
            over
        });
        let gone: Vec<(u32, u64)> = oldest.copied().collect();
        let removed = self.list_of(&gone)?;
        self.payload.clear();
        let raw_len = removed.write(&mut self.payload);
        let summary = PayloadSummary {
            raw_len,
            ..PayloadSummary::default()
        };
        self.removed = removed.segments;
        self.seal(FrameKind::Removed, Some(summary), now)?;
        self.sync()?;
        for (number, bytes) in gone {
            self.store
                .remove(number)
                .map_err(cannot("remove the oldest segment"))?;
            self.closed.pop_front();
            self.journal_bytes = self.journal_bytes.saturating_sub(bytes);
        }
        Ok(())
    }

    /// The list that says that these segments are gone, and all before them.
    fn list_of(&mut self, gone: &[(u32, u64)]) -> Result<Removed, WriteError> {
        let mut segments = std::mem::take(&mut self.removed);
        for &(number, bytes) in gone {
            let first = self.first_header(number)?;
            let end = bytes.saturating_sub(LAST_FRAME_BYTES as u64);
            let last = self
                .store
                .read(number, end, LAST_FRAME_BYTES)
                .map_err(cannot("read the oldest segment"))?;
            let signed = FrameHeader::read(&last)
                .is_ok_and(|frame| frame.header.kind == FrameKind::Checkpoint);
            segments.push(RemovedSegment {
                segment: number,
                first_position: first.position,
                first_seq: first.first_seq,
                from_us: first.wall_us,
                bytes,
                checkpoint: signed.then(|| hex::to_hex(&last)),
            });
        }
        // The list itself must stay small beside what is removed.
        let most = self.limits.segment_bytes / LISTED_SHARE / (2 * LAST_FRAME_BYTES as u64);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let older = segments
            .len()
            .saturating_sub(most.clamp(1, REMOVED_LISTED_MAX));
        segments.drain(..older);
        let last_segment = gone.last().map_or(0, |(number, _)| *number);
        let next_number = self
            .closed
            .get(gone.len())
            .map_or(self.segment, |(number, _)| *number);
        let next = self.first_header(next_number)?;
        let generation = self.opening_of(next_number)?.and_then(|it| it.generation);
        let generation = generation.unwrap_or(0).saturating_sub(1);
        // An earlier list that stays says the first part.
        let told = self.list.filter(|list| list.segment > last_segment);
        let from = told.map_or(0, |list| list.generation);
        let known = self
            .key
            .as_ref()
            .map(crate::keys::KeyState::successions)
            .unwrap_or_default();
        let successions = known
            .iter()
            .filter(|step| step.generation > from && step.generation <= generation)
            .map(SuccessionText::new)
            .collect();
        self.list = Some(ListOfKeys {
            segment: told.map_or(self.segment, |list| list.segment),
            generation,
        });
        Ok(Removed {
            last_segment,
            next_position: next.position,
            next_seq: next.first_seq,
            from_us: next.wall_us,
            chain: next.before.to_string(),
            generation,
            successions,
            segments,
        })
    }

    /// The header of a segment's first frame.
    fn first_header(&mut self, number: u32) -> Result<FrameHeader, WriteError> {
        let head = self
            .store
            .read(number, 0, HEADER_BYTES_MAX)
            .map_err(cannot("read the oldest segment"))?;
        let digested = FrameHeader::digested_len(&head)
            .and_then(|len| FrameHeader::read_digested(head.get(..len)?).ok());
        digested.ok_or_else(|| {
            cannot("read the oldest segment")(std::io::Error::other(
                "it does not begin with a frame",
            ))
        })
    }

    fn opening_of(&mut self, number: u32) -> Result<Option<Opening>, WriteError> {
        let mut read = |len| {
            self.store
                .read(number, 0, len)
                .map_err(cannot("read the oldest segment"))
        };
        let Ok(len) = FrameHeader::promised_len(&read(HEADER_BYTES_MAX)?) else {
            return Ok(None);
        };
        let bytes = read(len)?;
        let opening = FrameHeader::read(&bytes).ok();
        Ok(opening.and_then(|frame| Opening::read(&frame).ok()))
    }
}

fn cannot(doing: &'static str) -> impl Fn(std::io::Error) -> WriteError {
    move |error| WriteError::Io { doing, error }
}

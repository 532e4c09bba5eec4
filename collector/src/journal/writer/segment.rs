//! How a segment is opened, signed and closed.

use saigen_schemas::journal::checkpoint::{CHECKPOINT_BYTES, CHECKPOINT_PAYLOAD_BYTES, Checkpoint};
use saigen_schemas::journal::{
    FORMAT_VERSION, FrameHeader, FrameKind, Opening, PayloadSummary, SuccessionText, merkle,
};

use super::sealing::{cannot_sync, header_of, is_full};
use super::{Room, Store, WriteError, Writer};
use crate::clock::Now;

impl<S: Store> Writer<S> {
    /// Signs and closes the open segment, and goes on in the next: what is closed can be taken away.
    ///
    /// # Errors
    /// If a frame could not be written or made durable.
    pub fn seal_off(&mut self, now: Now) -> Result<(), WriteError> {
        self.seal_events(FrameKind::Data, now)?;
        self.begin_segment(now)?;
        self.sync()
    }

    /// Signs all frames of the segment so far; nothing in an unsealed journal.
    pub(super) fn checkpoint(&mut self, now: Now) -> Result<(), WriteError> {
        let Some(state) = &mut self.key else {
            return Ok(());
        };
        let blank = Checkpoint::over(self.segment, self.first_position, self.tree.root());
        let raw_len = u32::try_from(CHECKPOINT_BYTES).unwrap_or(0);
        let header = header_of(FrameKind::Checkpoint, raw_len, None, now);
        let header = FrameHeader {
            first_seq: self.next_seq,
            boot: self.recording.boot,
            lost: self.lost,
            ..header
        };
        let header = self.sealer.header(&header, CHECKPOINT_PAYLOAD_BYTES);
        let checkpoint = state.checkpoint().sign(self.enrolment, &header, &blank);
        self.payload.clear();
        checkpoint.write_payload(&mut self.payload);
        self.seal_header(&header, now)?;
        self.unsigned_us = None;
        Ok(())
    }

    /// The generation of the key that signs the segment about to be opened, and how it came from
    /// the one before. Only the very first segment of an enrolment has none before it.
    fn succession(&mut self) -> Result<(Option<u32>, Vec<SuccessionText>), WriteError> {
        let Some(state) = &mut self.key else {
            return Ok((None, Vec::new()));
        };
        if self.sealer.position() > 0 {
            state.succeed().map_err(WriteError::Key)?;
        }
        // The first opening of a recording tells of all keys, so that it can be checked alone.
        let told = state.successions();
        let told = if self.segment > 1 {
            told.get(told.len().saturating_sub(1)..).unwrap_or_default()
        } else {
            told
        };
        let told = told.iter().map(SuccessionText::new).collect();
        Ok((Some(state.checkpoint().generation()), told))
    }

    /// Signs the segment so far, makes it durable and opens the next.
    pub(super) fn begin_segment(&mut self, now: Now) -> Result<(), WriteError> {
        // A segment that a crash broke off is left as it is.
        let open = self.segment_bytes > 0;
        if open {
            self.checkpoint(now)?;
        }
        self.sync()?;
        let number = self.segment + 1;
        if let Err(error) = self.store.begin_segment(number) {
            if number > 1 && is_full(&error) {
                // The segment before takes the end.
                self.store.give_back_reserve();
                self.room = Room::Reserve;
                return Err(WriteError::DiskFull);
            }
            return Err(WriteError::Io {
                doing: "begin a segment",
                error,
            });
        }
        if open {
            self.closed.push_back((self.segment, self.segment_bytes));
        }
        self.segment = number;
        self.segment_bytes = 0;
        self.noise.next_segment();
        self.segment_began_us = now.boot_us;
        self.tree = merkle::Growing::default();
        self.first_position = self.sealer.position();
        let (generation, successions) = self.succession()?;
        let opening = Opening {
            format: FORMAT_VERSION,
            segment: number,
            enrolment: self.enrolment.to_string(),
            sealed: self.key.is_some(),
            recording: self.began_at,
            host: self.recording.host.clone(),
            tool: self.recording.tool.clone(),
            configuration_sha256: self.recording.configuration_sha256.clone(),
            generation,
            successions,
            scope: self.recording.scope.clone(),
            sources: self.recording.sources.clone(),
        };
        self.payload.clear();
        let raw_len = opening.write(&mut self.payload);
        let summary = PayloadSummary {
            raw_len,
            ..PayloadSummary::default()
        };
        self.seal(FrameKind::Open, Some(summary), now)?;
        if let (Some(state), Some(key)) = (&mut self.key, self.sealer.key()) {
            // The opening tells of the new key: only now may the old one go.
            self.store.sync().map_err(cannot_sync)?;
            state.step_ahead(key).map_err(WriteError::Key)?;
        }
        Ok(())
    }
}

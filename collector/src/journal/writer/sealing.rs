//! How a frame is sealed and written, and when it counts as durable.

use std::io;

use saigen_schemas::event::BootId;
use saigen_schemas::journal::seal::ChainValue;
use saigen_schemas::journal::{FrameHeader, FrameKind, OfEvents, PayloadSummary, merkle};

use super::{Room, Store, WriteError, Writer};
use crate::clock::Now;

impl<S: Store> Writer<S> {
    /// Seals a frame with the payload at hand (none: without one) and writes it.
    pub(super) fn seal(
        &mut self,
        kind: FrameKind,
        content: Option<PayloadSummary>,
        now: Now,
    ) -> Result<(), WriteError> {
        if content.is_none() {
            self.payload.clear();
        }
        let summary = content.unwrap_or_default();
        let of_events = kind.holds_events().then_some(OfEvents {
            first_us: summary.first_us,
            last_us: summary.last_us,
            kinds: summary.kinds,
            root: summary.root,
        });
        let header = FrameHeader {
            first_seq: self.next_seq - u64::from(summary.events),
            events: summary.events,
            boot: self.recording.boot,
            lost: self.lost,
            ..header_of(kind, summary.raw_len, of_events, now)
        };
        self.seal_header(&header, now)
    }

    /// Seals a frame with this header and the payload at hand, and writes it.
    pub(super) fn seal_header(&mut self, header: &FrameHeader, now: Now) -> Result<(), WriteError> {
        if let (Some(state), Some(key)) = (&mut self.key, self.sealer.key())
            && state.is_used_up_by(key)
        {
            // What stands before must be durable before the key on disk goes further ahead: else a
            // loss of power could cost more frames than a crash may hide.
            self.store.sync().map_err(cannot_sync)?;
            state.step_ahead(key).map_err(WriteError::Key)?;
        }
        self.frame.clear();
        let digest = self.sealer.seal(header, &self.payload, &mut self.frame);
        self.tree.push(merkle::frame_leaf(&digest));
        let news = !matches!(header.kind, FrameKind::Heartbeat | FrameKind::Checkpoint);
        if news && self.key.is_some() {
            self.unsigned_us.get_or_insert(now.boot_us);
        }
        self.sealed_us = now.boot_us;
        self.unsynced_us.get_or_insert(now.boot_us);
        let frame = std::mem::take(&mut self.frame);
        let written = self.append(&frame);
        self.frame = frame;
        written
    }

    /// Writes a whole frame, if need be into the space that was kept for the end.
    fn append(&mut self, frame: &[u8]) -> Result<(), WriteError> {
        let before = self.room;
        if before == Room::Torn {
            return Err(cannot_write(io::Error::other("it ends within a frame")));
        }
        self.room = Room::Torn;
        self.room = self.write_whole(frame, before)?;
        let len = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        self.segment_bytes += len;
        self.journal_bytes += len;
        if self.room != before {
            return Err(WriteError::DiskFull);
        }
        Ok(())
    }

    /// Writes all of `frame` and says what room is left.
    fn write_whole(&mut self, frame: &[u8], mut room: Room) -> Result<Room, WriteError> {
        let mut rest = frame;
        while !rest.is_empty() {
            match self.store.write(rest) {
                Ok(0) => return Err(cannot_write(io::ErrorKind::WriteZero.into())),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_full(&error) && room == Room::Enough => {
                    self.store.give_back_reserve();
                    room = Room::Reserve;
                }
                Err(error) => return Err(cannot_write(error)),
            }
        }
        Ok(room)
    }

    pub(super) fn sync(&mut self) -> Result<(), WriteError> {
        if self.unsynced_us.is_none() {
            return Ok(());
        }
        // After a failed sync the kernel may call the lost pages clean: never try again as if
        // nothing had been.
        self.store.sync().map_err(cannot_sync)?;
        self.unsynced_us = None;
        Ok(())
    }
}

/// A header without what the writer and the sealer fill in.
pub(super) fn header_of(
    kind: FrameKind,
    raw_len: u32,
    of_events: Option<OfEvents>,
    now: Now,
) -> FrameHeader {
    FrameHeader {
        kind,
        position: 0,
        first_seq: 0,
        events: 0,
        payload_len: 0,
        raw_len,
        boot: BootId([0; 16]),
        boot_us: now.boot_us,
        wall_us: now.wall_us,
        lost: 0,
        before: ChainValue([0; 32]),
        of_events,
    }
}

fn cannot_write(error: io::Error) -> WriteError {
    WriteError::Io {
        doing: "write to the segment",
        error,
    }
}

pub(super) fn cannot_sync(error: io::Error) -> WriteError {
    WriteError::Io {
        doing: "make the segment durable",
        error,
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&error.kind())
}

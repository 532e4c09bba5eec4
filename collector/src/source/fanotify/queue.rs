//! The group's queue, as the thread that drains sees it: bytes out, nothing looked at.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::wire;
use crate::source::{Batch, Drained, Feed, Source, SourceError};

/// Room that the longest event needs: three names of 255 bytes, four handles of 128, their
/// headers. The kernel answers `EINVAL` to a buffer that the next event does not fit into.
const EVENT_BYTES_MAX: usize = 2048;

/// The batches that are taken in a row before the kernel is asked how many bytes still wait
/// (it walks its whole queue to answer).
const BATCHES_BEFORE_LOOKING: u32 = 16;

/// The queue of a fanotify group.
#[derive(Debug)]
pub struct Queue {
    group: Arc<OwnedFd>,
    waiting_bytes_max: u64,
    full_in_a_row: u32,
    scratch: Vec<u8>,
}

impl Queue {
    pub(super) fn new(group: Arc<OwnedFd>, waiting_bytes_max: u64) -> Self {
        Self {
            group,
            waiting_bytes_max,
            full_in_a_row: 0,
            scratch: Vec::new(),
        }
    }

    /// Reads events into the room that `bytes` has, and gives what stops it.
    fn fill(&self, bytes: &mut Vec<u8>) -> io::Result<Drained> {
        while bytes.capacity() - bytes.len() >= EVENT_BYTES_MAX {
            match rustix::io::read(&self.group, spare_capacity(bytes)) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(Drained::Empty),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Drained::More)
    }

    /// Reads and counts until half of what may wait is left. The queue has no bound of its own
    /// (one that has one forgets without counting), so this is the bound on the kernel's memory.
    fn shed(&mut self) -> io::Result<u64> {
        let mut lost = 0;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.reserve_exact(crate::source::BATCH_BYTES);
        while rustix::io::ioctl_fionread(&self.group)? > self.waiting_bytes_max / 2 {
            scratch.clear();
            let drained = self.fill(&mut scratch)?;
            lost += wire::events(&scratch).fold(0, |count, _| count + 1);
            if drained == Drained::Empty {
                break;
            }
        }
        self.scratch = scratch;
        Ok(lost)
    }

    fn drain_into(&mut self, batch: &mut Batch) -> io::Result<Drained> {
        if self.full_in_a_row >= BATCHES_BEFORE_LOOKING {
            self.full_in_a_row = 0;
            if rustix::io::ioctl_fionread(&self.group)? > self.waiting_bytes_max {
                batch.overruns += self.shed()?;
            }
        }
        let drained = self.fill(&mut batch.bytes)?;
        self.full_in_a_row = match drained {
            Drained::Empty => 0,
            Drained::More => self.full_in_a_row + 1,
        };
        Ok(drained)
    }
}

impl Source for Queue {
    fn feed(&self) -> Feed {
        Feed::Fanotify
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }

    fn drain(&mut self, batch: &mut Batch) -> Result<Drained, SourceError> {
        self.drain_into(batch)
            .map_err(|error| SourceError::new("read fanotify's queue", error))
    }
}

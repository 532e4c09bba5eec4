//! The sources: each opens one interface of the kernel and gives its raw records.
//!
//! A source does no more than move bytes from the kernel into a [`Batch`], on the thread that
//! drains; its `parse` function, on the thread that encodes, cuts the batch into raw records.
//! Batches come from a fixed pool. When the pool is empty nothing is drained: the records then wait
//! in the kernel's buffers, whose overflow the kernel counts exactly.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

pub mod audit;
pub mod dns;
pub mod fanotify;
pub mod native;
pub mod netlink;
pub mod perf;
pub mod proc_connector;
pub mod sock_diag;
pub mod taskstats;
pub mod tracefs;

/// Bytes of one batch. A perf record may reach 64 KiB and an audit datagram 9 KiB, so that a batch
/// always takes at least one; the pool times this is the memory that draining costs.
pub const BATCH_BYTES: usize = 128 * 1024;

/// Where a batch came from, and so how its bytes are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feed {
    /// perf's ring of one CPU: whole `perf_event_header` records.
    Perf,
    /// perf's ring of one CPU for the stacks of new programs: whole `perf_event_header` records.
    Stacks,
    /// Audit's netlink socket: datagrams, each behind its length (`u32`).
    Audit,
    /// The proc connector's netlink socket: datagrams, each behind its length (`u32`).
    ProcConnector,
    /// fanotify's descriptor: whole `fanotify_event_metadata` records.
    Fanotify,
    /// sock_diag's destroy groups: datagrams, each behind its length (`u32`).
    SockDiag,
    /// taskstats' socket: datagrams, each behind its length (`u32`).
    Taskstats,
    /// The packet socket for name resolution: packets from their network header on, each behind its
    /// length (`u32`).
    Dns,
}

impl Feed {
    /// Every feed, in the order in which reports name them.
    pub const ALL: [Feed; 8] = [
        Feed::Perf,
        Feed::Stacks,
        Feed::Audit,
        Feed::ProcConnector,
        Feed::Fanotify,
        Feed::SockDiag,
        Feed::Taskstats,
        Feed::Dns,
    ];

    /// The feed's place in [`Feed::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Feed::Perf => 0,
            Feed::Stacks => 1,
            Feed::Audit => 2,
            Feed::ProcConnector => 3,
            Feed::Fanotify => 4,
            Feed::SockDiag => 5,
            Feed::Taskstats => 6,
            Feed::Dns => 7,
        }
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Feed::Perf => "perf",
            Feed::Stacks => "perf's stacks",
            Feed::Audit => "audit",
            Feed::ProcConnector => "proc connector",
            Feed::Fanotify => "fanotify",
            Feed::SockDiag => "sock_diag",
            Feed::Taskstats => "taskstats",
            Feed::Dns => "name resolution",
        })
    }
}

/// Bytes drained from one source in one go.
#[derive(Debug)]
pub struct Batch {
    /// Where the bytes came from.
    pub feed: Feed,
    /// When they were drained, boot clock, microseconds.
    pub drained_us: u64,
    /// The records, framed as [`Feed`] says. Never longer than [`BATCH_BYTES`].
    pub bytes: Vec<u8>,
    /// Losses noticed while draining that no record tells (a full socket buffer, as `ENOBUFS`).
    pub overruns: u64,
}

impl Batch {
    /// An empty batch with its whole memory taken.
    #[must_use]
    pub fn new() -> Batch {
        Batch {
            feed: Feed::Perf,
            drained_us: 0,
            bytes: Vec::with_capacity(BATCH_BYTES),
            overruns: 0,
        }
    }

    /// How many bytes still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        BATCH_BYTES.saturating_sub(self.bytes.len())
    }

    /// Appends a datagram behind its length. The caller has checked [`Batch::room`].
    pub fn push_datagram(&mut self, datagram: &[u8]) {
        let len = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(datagram);
    }
}

impl Default for Batch {
    fn default() -> Self {
        Batch::new()
    }
}

/// The datagrams of a batch framed by [`Batch::push_datagram`]. A length that lies ends the walk.
pub fn datagrams(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (datagram, tail) = tail.split_at_checked(len)?;
        rest = tail;
        Some(datagram)
    })
}

/// Whether a source has more to give at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All that stood there was taken.
    Empty,
    /// The batch is full; drain again with another.
    More,
}

/// One open interface of the kernel, as the thread that drains sees it.
pub trait Source: Send {
    /// What its batches are marked with.
    fn feed(&self) -> Feed;

    /// The descriptor that becomes readable when there is something to drain.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Moves what stands there into `batch`, without waiting.
    ///
    /// # Errors
    /// What the kernel said, but for "nothing there" and "interrupted". The source is then down.
    fn drain(&mut self, batch: &mut Batch) -> Result<Drained, SourceError>;
}

/// A source that cannot be opened or drained.
#[derive(Debug)]
pub struct SourceError {
    /// What was being done, in words: `open the audit socket`.
    pub doing: &'static str,
    /// What the kernel answered.
    pub error: io::Error,
}

impl SourceError {
    /// An error of the kernel while `doing` something.
    pub fn new(doing: &'static str, error: impl Into<io::Error>) -> SourceError {
        SourceError {
            doing,
            error: error.into(),
        }
    }

    /// The last error of the C library while `doing` something.
    #[must_use]
    pub fn last(doing: &'static str) -> SourceError {
        SourceError {
            doing,
            error: io::Error::last_os_error(),
        }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.error)
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_out_as_they_went_in() {
        let mut batch = Batch::new();
        batch.push_datagram(b"one");
        batch.push_datagram(b"");
        batch.push_datagram(b"three");
        let all: Vec<&[u8]> = datagrams(&batch.bytes).collect();
        assert_eq!(all, [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn a_length_that_lies_ends_the_walk() {
        let mut bytes = 3_u32.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"one");
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        bytes.extend_from_slice(b"x");
        assert_eq!(datagrams(&bytes).count(), 1);
        assert_eq!(datagrams(&bytes[..2]).count(), 0);
    }

    #[test]
    fn every_feed_stands_at_its_index() {
        for (at, feed) in Feed::ALL.iter().enumerate() {
            assert_eq!(feed.index(), at);
        }
    }
}

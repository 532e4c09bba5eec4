//! Edges: who did what to whom, when, and by which records.

use crate::graph::NodeId;
use crate::reference::EventRef;
use crate::replay::ids;

ids! {
    /// An edge of a [`crate::graph::Graph`].
    EdgeId
}

/// What happened between two nodes.
///
/// An edge runs as cause or information flows: from the node that acts to the one that is acted
/// on, from a file to the process that reads it, from a remote place to the process that accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Verb {
    /// Process → process: created it as a copy of itself, and it never ran a program of its own.
    Forked,
    /// Process → process: created the process that then ran this program.
    Started,
    /// Process → process: the same process runs another program from here on (exec).
    Became,
    /// Process → file: created it.
    Created,
    /// Process → file: wrote it.
    Wrote,
    /// File → process: was read by it.
    Read,
    /// File → process: was mapped by it to be executed (a library).
    Mapped,
    /// File → process: is the program, or the script, that it runs.
    Executed,
    /// Process → file: gave it another path.
    Renamed,
    /// Process → file: gave it a further name. File → file: the second leads to the first (a
    /// symbolic link).
    Linked,
    /// File → file: the same bytes came later to another host.
    Copied,
    /// Process → file: removed a name of it.
    Deleted,
    /// Process → file: changed its mode, owner, times or extended attributes.
    ChangedAttributes,
    /// Process → endpoint, process → process (both ends seen): connected to it.
    Connected,
    /// Endpoint → process: had its connection accepted by it.
    Accepted,
    /// Process → endpoint: waited there for connections.
    Listened,
    /// Process → endpoint, process → process: sent bytes.
    Sent,
    /// Endpoint → process, process → process: its bytes were received.
    Received,
    /// Process → name: asked for it. Name → endpoint: answered with it.
    Resolved,
    /// Process → process: attached to it as a debugger does.
    Traced,
    /// Process → process: wrote into it, or started a thread in it.
    Injected,
    /// Process → process (the reader): its memory was read.
    MemoryRead,
    /// Process → process: opened a handle to it.
    Opened,
    /// Account, endpoint, process → session: opened it; session → process: runs in it.
    LoggedOn,
    /// Endpoint, process → account: was refused.
    FailedLogon,
    /// Process → account: took on its identity.
    SwitchedTo,
    /// Process → registry, persistence: set it.
    Configured,
    /// Persistence, file → process: made it run, or let it in (a cron table, a unit, an
    /// authorized key, a shell's profile).
    Triggered,
    /// Process → process: had it started by a broker: the service manager, a scheduler, WMI, a
    /// remote shell of another host.
    Asked,
    /// Process → module: loaded it into the kernel.
    Loaded,
    /// Process → file, endpoint, process: tried to read, connect to or trace it, and was refused.
    Refused,
    /// Process → host: mounted or unmounted a file system, cleared a log.
    Changed,
}

impl Verb {
    /// Every one, in the order of their numbers.
    pub(super) const ALL: &[Self] = &[
        Self::Forked,
        Self::Started,
        Self::Became,
        Self::Created,
        Self::Wrote,
        Self::Read,
        Self::Mapped,
        Self::Executed,
        Self::Renamed,
        Self::Linked,
        Self::Copied,
        Self::Deleted,
        Self::ChangedAttributes,
        Self::Connected,
        Self::Accepted,
        Self::Listened,
        Self::Sent,
        Self::Received,
        Self::Resolved,
        Self::Traced,
        Self::Injected,
        Self::MemoryRead,
        Self::Opened,
        Self::LoggedOn,
        Self::FailedLogon,
        Self::SwitchedTo,
        Self::Configured,
        Self::Triggered,
        Self::Asked,
        Self::Loaded,
        Self::Refused,
        Self::Changed,
    ];

    /// The word, as reports and exports print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forked => "forked",
            Self::Started => "started",
            Self::Became => "became",
            Self::Created => "created",
            Self::Wrote => "wrote",
            Self::Read => "read",
            Self::Mapped => "mapped",
            Self::Executed => "executed",
            Self::Renamed => "renamed",
            Self::Linked => "linked",
            Self::Copied => "copied",
            Self::Deleted => "deleted",
            Self::ChangedAttributes => "changed_attributes",
            Self::Connected => "connected",
            Self::Accepted => "accepted",
            Self::Listened => "listened",
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Resolved => "resolved",
            Self::Traced => "traced",
            Self::Injected => "injected",
            Self::MemoryRead => "memory_read",
            Self::Opened => "opened",
            Self::LoggedOn => "logged_on",
            Self::FailedLogon => "failed_logon",
            Self::SwitchedTo => "switched_to",
            Self::Configured => "configured",
            Self::Triggered => "triggered",
            Self::Asked => "asked",
            Self::Loaded => "loaded",
            Self::Refused => "was_refused",
            Self::Changed => "changed",
        }
    }
}

/// Why an edge is there, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Ground {
    /// One record names both ends.
    Recorded,
    /// Both belong to one login session.
    SameSession,
    /// The same flow, seen from both ends.
    SameFlow,
    /// One listens where the other connects.
    SamePlace,
    /// The same bytes, by hash.
    SameContent,
    /// The same name, where a process below a connection of the two hosts made the second.
    SameName,
    /// A scheduler, service manager or login program ran what the other had left in a place that
    /// is run by it.
    Scheduled,
    /// The arguments of a process name the file.
    Arguments,
    /// Nothing but order and nearness in time.
    Time,
}

impl Ground {
    /// Every one, in the order of their numbers.
    pub(super) const ALL: &[Self] = &[
        Self::Recorded,
        Self::SameSession,
        Self::SameFlow,
        Self::SamePlace,
        Self::SameContent,
        Self::SameName,
        Self::Scheduled,
        Self::Arguments,
        Self::Time,
    ];

    /// The word, as reports and exports print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::SameSession => "same_session",
            Self::SameFlow => "same_flow",
            Self::SamePlace => "same_place",
            Self::SameContent => "same_content",
            Self::SameName => "inferred_by_name",
            Self::Scheduled => "scheduled",
            Self::Arguments => "inferred_by_arguments",
            Self::Time => "inferred_by_time",
        }
    }
}

/// An edge. Events of one verb and ground between the same two nodes are one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Its number.
    pub id: EdgeId,
    /// Where cause or information comes from.
    pub from: NodeId,
    /// Where it goes.
    pub to: NodeId,
    /// What happened.
    pub verb: Verb,
    /// Why we say so.
    pub ground: Ground,
    /// The first time, wall clock, microseconds.
    pub first_us: i64,
    /// The last time.
    pub last_us: i64,
    /// How many events; it stops at the largest number.
    pub count: u32,
    /// How many bytes went along it, where a record says.
    pub bytes: Option<u64>,
    /// The first record.
    pub first: EventRef,
    /// The last record; the first one where there is only one.
    pub last: EventRef,
}

impl Edge {
    /// The latest moment, not after `until_us`, at which this may have happened; `None` if it
    /// first happened later. Between the first and the last time of a merged edge, any moment may
    /// be one.
    #[must_use]
    pub fn latest_until(&self, until_us: i64) -> Option<i64> {
        (self.first_us <= until_us).then(|| self.last_us.min(until_us))
    }

    /// The earliest moment, not before `from_us`, at which this may have happened; `None` if it
    /// last happened earlier.
    #[must_use]
    pub fn earliest_from(&self, from_us: i64) -> Option<i64> {
        (self.last_us >= from_us).then(|| self.first_us.max(from_us))
    }
}

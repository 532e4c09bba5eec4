//! What belongs to an intrusion, and for each thing the ground on which we say so.

use std::collections::BTreeMap;
use std::net::IpAddr;

use saigen_schemas::report::Grade;

use crate::graph::NodeId;
use crate::reconstruct::requests::Request;
use crate::reference::EventRef;

/// The most records that a ground cites.
pub(super) const EVENTS_MAX: usize = 4;

/// Why a process belongs to an intrusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ground {
    /// Rules fired on it, or on what it was told to start.
    Found,
    /// Several rules of different stages fired on what it started.
    Stages,
    /// It runs a program that came during the recording, and grave findings hang below it.
    Brought,
    /// A malicious process started it.
    Child,
    /// It was told by its arguments to start a malicious process.
    Told,
    /// It runs a file that a malicious process wrote.
    Ran,
    /// It was started by what a malicious process had left in a place that is run by itself.
    Left,
    /// Its arguments name a file that a malicious process wrote, and a scheduler started it.
    Named,
    /// It reached an address that only this intrusion uses.
    Reached,
    /// A server started it while it served an address that only this intrusion uses.
    Served,
    /// It is a session opened with a key or an account that a malicious process had changed.
    Opened,
    /// It is a session opened from an address that only this intrusion uses.
    SameAddress,
    /// A server started it for a connection that a malicious process of another host had opened.
    Crossed,
    /// A malicious process had written into the process that started it.
    Injected,
    /// A broker of the system started it because a malicious process had asked for it.
    Asked,
}

/// The ground, with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    /// The kind of ground.
    pub(super) ground: Ground,
    /// The malicious process from which it follows.
    pub(super) from: Option<NodeId>,
    /// The file, session or other thing in between.
    pub(super) by: Option<NodeId>,
    /// The address in between.
    pub(super) ip: Option<IpAddr>,
    /// How well it is founded.
    pub(super) grade: Grade,
    /// The records, the first ones.
    pub(super) events: Vec<EventRef>,
}

impl Why {
    /// A ground between two processes and nothing else.
    pub(super) fn new(
        ground: Ground,
        from: Option<NodeId>,
        grade: Grade,
        events: Vec<EventRef>,
    ) -> Self {
        let mut events = events;
        events.sort_unstable();
        events.dedup();
        events.truncate(EVENTS_MAX);
        Self {
            ground,
            from,
            by: None,
            ip: None,
            grade,
            events,
        }
    }

    /// Whether it says only that something was found here.
    pub(super) const fn is_finding(&self) -> bool {
        matches!(
            self.ground,
            Ground::Found | Ground::Stages | Ground::Brought | Ground::Told
        )
    }

    /// Whether it ties a process to the rest by more than its creator.
    pub(super) const fn is_link(&self) -> bool {
        matches!(
            self.ground,
            Ground::Ran
                | Ground::Left
                | Ground::Named
                | Ground::Opened
                | Ground::SameAddress
                | Ground::Injected
                | Ground::Asked
                | Ground::Crossed
        )
    }

    /// The same, through a file or another thing.
    pub(super) fn by(mut self, by: NodeId) -> Self {
        self.by = Some(by);
        self
    }

    /// The same, through an address.
    pub(super) fn at(mut self, ip: IpAddr) -> Self {
        self.ip = Some(ip);
        self
    }
}

/// A file, or another thing that keeps, with something of the intruder's in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taint {
    /// Who wrote it, the first time.
    pub(super) writer: NodeId,
    /// When.
    pub(super) us: i64,
    /// The record.
    pub(super) event: EventRef,
    /// Whether it came to be by this.
    pub(super) made: Made,
}

/// Whether a tainted thing is the intruder's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// It was created, or given its name, by the intrusion.
    New,
    /// It stood before and was changed.
    Changed,
}

/// A benign process that was made to work for the intruder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Since {
    /// Since when.
    pub(super) us: i64,
    /// How.
    pub(super) how: Taken,
    /// The records.
    pub(super) events: Vec<EventRef>,
    /// How well it is founded.
    pub(super) grade: Grade,
}

/// How a benign process came under another's will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// By a request that it served.
    Request(Request),
    /// A request must have done it; its connection was not recorded.
    UnseenRequest,
    /// It was written into.
    Injected(NodeId),
    /// It runs a program, or maps a library, that was changed.
    Changed(NodeId),
}

/// What an address has to do with an intrusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    /// The process that had to do with it first.
    pub(super) process: NodeId,
    /// When.
    pub(super) us: i64,
    /// The record.
    pub(super) event: EventRef,
}

/// One intrusion: its processes, what they left, whom they talked to.
#[derive(Clone, Debug, Default)]
pub(super) struct Malice {
    /// Its processes.
    pub(super) processes: BTreeMap<NodeId, Why>,
    /// Benign processes that it made work for it.
    pub(super) compromised: BTreeMap<NodeId, Since>,
    /// What it wrote.
    pub(super) taints: BTreeMap<NodeId, Taint>,
    /// Whom it talked to.
    pub(super) remotes: BTreeMap<IpAddr, Remote>,
    /// The requests that led to its roots, by root.
    pub(super) requests: BTreeMap<NodeId, Request>,
}

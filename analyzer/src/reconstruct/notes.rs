//! What the search left out, and why: counted by reason, with a few examples.

use std::collections::BTreeMap;

use saigen_schemas::report::Pruned;

use crate::graph::NodeId;
use crate::reference::EventRef;

/// The most examples of one reason.
const EXAMPLES_MAX: usize = 5;

/// Why something was left out, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// The same rule on the same process and kind of object.
    Duplicate,
    /// A file that everyone reads.
    CommonFile,
    /// A child of a hub that the hub's part alone would join.
    HubSibling,
    /// What a server did for other requests.
    OtherRequest,
    /// A service that was started anew.
    RestartedService,
    /// A file that too many processes wrote or ran.
    RunByMany,
    /// An address that others use, too.
    SharedAddress,
    /// A process outside that read what the intrusion wrote.
    Reader,
    /// A software installation.
    Updater,
    /// A bound of the search.
    Budget,
}

impl Reason {
    /// The word of the report.
    const fn word(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::CommonFile => "read_only_common",
            Self::HubSibling | Self::RestartedService => "hub",
            Self::OtherRequest => "unit",
            Self::RunByMany | Self::SharedAddress | Self::Reader => "in_degree",
            Self::Updater => "updater",
            Self::Budget => "budget",
        }
    }

    /// What was left out and why, for a count.
    fn text(self, count: usize) -> String {
        let (one, many, why) = match self {
            Self::Duplicate => (
                "detection was",
                "detections were",
                "folded into others of the same rule, process and kind of object",
            ),
            Self::CommonFile => (
                "read of a file that every program reads was",
                "reads of files that every program reads were",
                "not followed: sharing such a file means nothing",
            ),
            Self::HubSibling => (
                "other child of a scheduler, login program or first process was",
                "other children of schedulers, login programs and first processes were",
                "not followed: such a parent starts what has nothing to do with each other",
            ),
            Self::OtherRequest => (
                "process that a server started for another request was",
                "processes that a server started for other requests were",
                "not followed: a server is cut into units by the request that it serves",
            ),
            Self::RestartedService => (
                "service of the system that the intrusion started anew was",
                "services of the system that the intrusion started anew were",
                "not followed: what it does from then on is its own",
            ),
            Self::RunByMany => (
                "file that too many run to be the intruder's own was",
                "files that too many run to be the intruder's own were",
                "not followed further: those that ran it are listed as compromised",
            ),
            Self::SharedAddress => (
                "address that others use as well was",
                "addresses that others use as well were",
                "not taken as a link",
            ),
            Self::Reader => (
                "process outside that read the intruder's files was",
                "processes outside that read the intruder's files were",
                "not followed: backups, scanners and curious people read what they did not ask for",
            ),
            Self::Updater => (
                "write by a software installation was",
                "writes by software installations were",
                "not followed: that is how software comes",
            ),
            Self::Budget => (
                "thing was",
                "things were",
                "beyond the bounds of the search",
            ),
        };
        format!("{count} {} {why}.", if count == 1 { one } else { many })
    }
}

/// What was left out, by reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    rows: BTreeMap<Reason, BTreeMap<NodeId, Vec<EventRef>>>,
}

impl Notes {
    /// Notes that something was left out; the same thing counts once.
    pub(super) fn add(&mut self, reason: Reason, what: NodeId, events: &[EventRef]) {
        self.rows
            .entry(reason)
            .or_default()
            .entry(what)
            .or_insert_with(|| events.to_vec());
    }

    /// The notes for the report.
    pub(super) fn pruned(&self) -> Vec<Pruned> {
        let rows = self.rows.iter().map(|(reason, things)| {
            let examples = things.values().flatten().take(EXAMPLES_MAX);
            Pruned {
                ground: reason.word().to_owned(),
                text: reason.text(things.len()),
                count: things.len() as u64,
                evidence: examples.map(|&event| event.into()).collect(),
            }
        });
        rows.collect()
    }
}

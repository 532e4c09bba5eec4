//! Joins: why the parts of an incident are one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use saigen_schemas::report::{Grade, Join};

use crate::graph::NodeId;
use crate::reconstruct::groups::Group;
use crate::reconstruct::malice::{Ground, Why};
use crate::reconstruct::tell::cast::{Cast, cited};
use crate::reconstruct::tell::entry::Beginnings;
use crate::reconstruct::tell::words;
use crate::reference::EventRef;

/// The most records that a join cites.
const EVENTS_MAX: usize = 6;

/// The most nodes that a join names.
const NODES_MAX: usize = 12;

/// The reasons, by what is shared.
pub(super) fn joins(cast: &Cast<'_, '_>, group: &Group, beginnings: &Beginnings) -> Vec<Join> {
    let mut rows: BTreeMap<(u8, String), Row> = BTreeMap::new();
    for (&process, why) in &group.malice.processes {
        if let Some((rank, ground, shared)) = shared(cast, process, why) {
            let row = rows
                .entry((rank, shared))
                .or_insert_with(|| Row::new(ground, why.grade));
            row.add(why.from.into_iter().chain([process]), &why.events);
        }
    }
    for (client, roots) in clients(cast, group) {
        if roots.len() > 1 {
            let row = rows
                .entry((4, client.to_string()))
                .or_insert_with(|| Row::new("remote", Grade::Inferred));
            for (root, event) in roots {
                row.add([root], &[event]);
            }
        }
    }
    for (root, end) in &beginnings.ends {
        if end.kind == crate::reconstruct::backward::EndKind::Inside
            && let Some(file) = end.file
        {
            let row = rows
                .entry((1, cast.path(file)))
                .or_insert_with(|| Row::new("file", Grade::Inferred));
            row.add([end.process, *root], &end.events);
        }
    }
    rows.into_iter()
        .map(|((_, shared), row)| row.join(cast, shared))
        .collect()
}

struct Row {
    ground: &'static str,
    grade: Grade,
    nodes: Vec<NodeId>,
    events: Vec<EventRef>,
}

impl Row {
    const fn new(ground: &'static str, grade: Grade) -> Self {
        Self {
            ground,
            grade,
            nodes: Vec::new(),
            events: Vec::new(),
        }
    }

    fn add(&mut self, nodes: impl IntoIterator<Item = NodeId>, events: &[EventRef]) {
        for node in nodes {
            if !self.nodes.contains(&node) {
                self.nodes.push(node);
            }
        }
        self.events.extend(events);
    }

    fn join(mut self, cast: &Cast<'_, '_>, shared: String) -> Join {
        self.nodes.sort_unstable();
        let names: Vec<String> = self.nodes.iter().map(|node| cast.short(*node)).collect();
        let names = words::some_of(&names, 4);
        let text = match self.ground {
            "file" => format!("{names} belong together by {shared}: one wrote it, another ran it."),
            "persistence" => format!(
                "{names} belong together by {shared}: one left it, and it was run from there."
            ),
            "session" => format!(
                "{names} belong together by {shared}: it was changed, and then let someone in."
            ),
            "remote" => format!(
                "{names} belong together by the address {shared}, which nothing benign had to do with in this way."
            ),
            "flow" => format!(
                "{names} belong together by flows between {shared}: some opened connections, and a server at the other end started the others for them."
            ),
            "broker" => format!(
                "{names} belong together: {shared} asked a broker of the system to start the others."
            ),
            _ => {
                format!("{names} belong together: one wrote into {shared}, which started another.")
            }
        };
        self.events.sort_unstable();
        Join {
            ground: self.ground.to_owned(),
            shared,
            nodes: self
                .nodes
                .iter()
                .filter_map(|node| cast.id(*node))
                .take(NODES_MAX)
                .collect(),
            text,
            grade: self.grade,
            evidence: cited(&self.events, EVENTS_MAX),
        }
    }
}

/// Rank, ground and shared thing of a link that is not a plain creation.
fn shared(cast: &Cast<'_, '_>, process: NodeId, why: &Why) -> Option<(u8, &'static str, String)> {
    let thing = || why.by.map(|by| cast.path(by));
    let address = || why.ip.map(|ip| ip.to_string());
    match why.ground {
        Ground::Ran => Some((1, "file", thing()?)),
        Ground::Left | Ground::Named => Some((2, "persistence", thing()?)),
        Ground::Opened => Some((3, "session", thing()?)),
        Ground::SameAddress | Ground::Served | Ground::Reached => Some((4, "remote", address()?)),
        Ground::Injected => Some((5, "lineage", thing()?)),
        Ground::Crossed => Some((
            4,
            "flow",
            format!("{} and {}", cast.host(why.from?), cast.host(process)),
        )),
        Ground::Asked => Some((6, "broker", why.from.map(|from| cast.short(from))?)),
        Ground::Found | Ground::Stages | Ground::Brought | Ground::Child | Ground::Told => None,
    }
}

/// The roots that servers started, by the client that asked.
fn clients(cast: &Cast<'_, '_>, group: &Group) -> BTreeMap<IpAddr, Vec<(NodeId, EventRef)>> {
    let mut clients: BTreeMap<IpAddr, Vec<(NodeId, EventRef)>> = BTreeMap::new();
    for (&root, request) in &group.malice.requests {
        let client = request.client();
        let other_host = request.peer.is_some() && request.front.is_none();
        if other_host || cast.world.is_own_address(client) {
            continue;
        }
        let records = request.records().into_iter();
        clients
            .entry(client)
            .or_default()
            .extend(records.map(|seen| (root, seen)));
    }
    clients
}

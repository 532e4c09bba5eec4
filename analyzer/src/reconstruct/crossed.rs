//! What a process of one host had another host do: over flows that both recorded.
//!
//! A connection leads to the very process at its other end, and from there to what that server
//! started for it. An address in between says nothing more: whoever else comes from that host is
//! someone else.

use std::collections::BTreeMap;

use saigen_schemas::report::Grade;

use crate::graph::NodeId;
use crate::reconstruct::malice::{Ground, Why};
use crate::reconstruct::reach::HubChild;
use crate::reconstruct::requests::Requests;
use crate::reconstruct::world::{Station, World};

/// What servers started for connections of processes on other hosts.
#[derive(Default)]
pub(super) struct Crossed {
    by_client: BTreeMap<NodeId, Vec<(NodeId, Why)>>,
}

impl Crossed {
    /// Finds, for each session and request that came from a recorded host, who had asked for it.
    pub(super) fn new(world: &World<'_>, requests: &Requests, children: &[HubChild]) -> Self {
        let mut by_client: BTreeMap<NodeId, Vec<(NodeId, Why)>> = BTreeMap::new();
        if world.graph.crossings().is_empty() {
            return Self::default();
        }
        let serves = |child: &&HubChild| matches!(child.station, Station::Service | Station::Login);
        for child in children.iter().filter(serves) {
            let Some(request) = requests.behind_process(world, child.hub, child.process) else {
                continue;
            };
            let Some(peer) = request.peer else { continue };
            let grade = if request.alone {
                Grade::Proven
            } else {
                Grade::Inferred
            };
            let events = vec![peer.event, request.seen];
            let why = Why::new(Ground::Crossed, Some(peer.process), grade, events).at(request.ip);
            let led = by_client.entry(peer.process).or_default();
            led.push((child.process, why));
        }
        Self { by_client }
    }

    /// What a process had started on other hosts, each with its ground.
    pub(super) fn by(&self, client: NodeId) -> &[(NodeId, Why)] {
        self.by_client.get(&client).map_or(&[], Vec::as_slice)
    }
}

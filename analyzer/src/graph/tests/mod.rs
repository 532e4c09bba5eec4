//! What the graph promises, told by small recordings.

mod edges;
mod files;
mod hosts;
mod joins;
mod processes;

use std::net::IpAddr;

use saigen_schemas::event::{
    Args, Event, FileLinked, FileRead, FileWritten, Hash32, Kind, Logon, Near, NetworkAccepted,
    NetworkClosed, NetworkConnected, ProcessKey, ProcessStart, Protocol, StateAccount,
    StateAutostart, StateProcess, Text,
};

use crate::graph::{Edge, Graph, GraphBuilder, Ground, NodeId, NodeKind, Verb, Way};
use crate::reference::EventRef;
use crate::replay::{Recorded, Replay, Tale, WALL_US, key};

impl Tale {
    fn graph(self) -> Graph {
        graph_of(&self.events)
    }
}

pub(super) fn graph_of(events: &[(EventRef, Event<'_>)]) -> Graph {
    let mut replay = Replay::default();
    let mut builder = GraphBuilder::default();
    for (reference, event) in events {
        replay.apply(*reference, event);
        builder.apply(*reference, event, &replay);
    }
    builder.finish(replay)
}

fn processes(graph: &Graph, pid: u32) -> Vec<NodeId> {
    let is = |node: &NodeId| {
        graph
            .process(*node)
            .is_some_and(|process| process.key.pid == pid)
    };
    graph.nodes().filter(is).collect()
}

/// The only node of a pid.
pub(super) fn process(graph: &Graph, pid: u32) -> NodeId {
    let found = processes(graph, pid);
    assert_eq!(found.len(), 1, "pid {pid}: {found:?}");
    found[0]
}

/// The files that ever led by a path.
fn files(graph: &Graph, path: &str) -> Vec<NodeId> {
    let is = |node: &NodeId| {
        graph
            .aliases(*node)
            .any(|alias| alias.path.0 == path.as_bytes())
    };
    graph.nodes().filter(is).collect()
}

fn image(graph: &Graph, node: NodeId) -> String {
    graph
        .process(node)
        .and_then(|process| process.image)
        .unwrap()
        .lossy()
        .into_owned()
}

pub(super) fn edges(graph: &Graph, from: NodeId, to: NodeId) -> Vec<Edge> {
    graph
        .edges()
        .filter(|edge| edge.from == from && edge.to == to)
        .collect()
}

fn verbs(graph: &Graph, from: NodeId, to: NodeId) -> Vec<(Verb, Ground)> {
    edges(graph, from, to)
        .iter()
        .map(|edge| (edge.verb, edge.ground))
        .collect()
}

//! Search by hand: from a chosen thing backward to its causes, or forward to what came of it, by
//! the rules of reconstruction and without any detection.

use std::net::IpAddr;

use saigen_schemas::report::text_from_bytes;

use crate::graph::{Edge, Graph, Ground, Node, NodeId, NodeKind, Verb, Way};
use crate::reconstruct::knowledge::{Place, base_name};
use crate::reconstruct::world::{World, is_creation};
use crate::reference::EventRef;

/// What a search begins at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The process that a record is about, or the thing where there is none.
    Event(EventRef),
    /// Processes by pid, GUID, path or name of the program; with `@HOST` on that host alone.
    Process(String),
    /// Files by path.
    File(String),
    /// Places by address.
    Address(IpAddr),
}

/// Something that a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailStep {
    /// The node.
    pub node: NodeId,
    /// What kind of thing.
    pub kind: NodeKind,
    /// Its host, where it has one.
    pub host: String,
    /// What it is: a command, a path, an address.
    pub label: String,
    /// How far from the start.
    pub hops: u32,
    /// When, wall clock, microseconds; `None` for a start without a time.
    pub us: Option<i64>,
    /// How it was come to: the step before, by its place in the trail, and the edge.
    pub by: Option<(usize, Verb, Ground, [EventRef; 2])>,
    /// Why the search went no further here.
    pub end: Option<&'static str>,
}

/// The nodes at which a search may begin, in the order of the graph.
#[must_use]
pub fn starts(graph: &Graph, start: &Start) -> Vec<NodeId> {
    match start {
        Start::Event(event) => {
            let things = graph.edges_at(*event).filter_map(|edge| graph.edge(edge));
            let actor = graph.actor_at(*event);
            actor
                .or_else(|| things.map(|edge| edge.to).next())
                .into_iter()
                .collect()
        }
        Start::Process(text) => {
            let (what, host) = text
                .rsplit_once('@')
                .map_or((text.as_str(), None), |(what, host)| (what, Some(host)));
            let fits = |id: &NodeId| is_process(graph, *id, what, host);
            graph.nodes().filter(fits).collect()
        }
        Start::File(path) => {
            let fits = |id: &NodeId| {
                graph
                    .aliases(*id)
                    .any(|alias| alias.path.lossy().eq_ignore_ascii_case(path))
            };
            graph.nodes().filter(fits).collect()
        }
        Start::Address(ip) => {
            let fits = |id: &NodeId| match graph.node(*id) {
                Some(Node::Endpoint(place)) => place.ip == Some(ip.to_canonical()),
                _ => false,
            };
            graph.nodes().filter(fits).collect()
        }
    }
}

fn is_process(graph: &Graph, id: NodeId, what: &str, host: Option<&str>) -> bool {
    let Some(process) = graph.process(id) else {
        return false;
    };
    let here = host.is_none_or(|host| {
        let own = graph.host_name(process.host);
        own.lossy().eq_ignore_ascii_case(host)
    });
    let bare = what.trim_matches(['{', '}']);
    let image = process.image.map(|image| text_from_bytes(image.0));
    let guid = process.key.guid.map(|guid| guid.to_string());
    here && (what.parse() == Ok(process.key.pid)
        || guid.is_some_and(|guid| guid.eq_ignore_ascii_case(bare))
        || image.is_some_and(|image| {
            image.eq_ignore_ascii_case(what) || base_name(&image).eq_ignore_ascii_case(what)
        }))
}

/// Searches from one node. A search takes at most `most` nodes.
#[must_use]
pub fn trail(graph: &Graph, start: NodeId, way: Way, most: usize) -> Vec<TrailStep> {
    let world = World::new(graph);
    let from_us = match way {
        Way::Back => i64::MAX,
        Way::Forth => i64::MIN,
    };
    let admit = |edge: &Edge| match way {
        Way::Back => is_cause(&world, start, edge),
        Way::Forth => is_effect(&world, start, edge),
    };
    let reached = graph.walk(start, from_us, way, most.max(1), admit);
    let mut steps: Vec<TrailStep> = Vec::new();
    for one in &reached {
        let edge = one.by.and_then(|by| graph.edge(by));
        let by = edge.and_then(|edge| {
            let before = match way {
                Way::Back => edge.to,
                Way::Forth => edge.from,
            };
            let at = steps.iter().position(|step| step.node == before)?;
            Some((at, edge.verb, edge.ground, [edge.first, edge.last]))
        });
        let us = edge.map(|_| one.at_us).or_else(|| {
            let process = graph.process(one.node)?;
            Some(process.start_us)
        });
        steps.push(TrailStep {
            node: one.node,
            kind: graph.kind(one.node).unwrap_or(NodeKind::Process),
            host: host_of(graph, one.node),
            label: label(&world, one.node),
            hops: one.hops,
            us,
            by,
            end: end(&world, start, one.node),
        });
    }
    if reached.len() >= most.max(1)
        && let Some(last) = steps.last_mut()
    {
        last.end = Some("the bound of the search");
    }
    steps
}

/// Why a search stops at a node.
fn end(world: &World<'_>, start: NodeId, node: NodeId) -> Option<&'static str> {
    (node != start && world.station(node).is_hub())
        .then_some("it starts what has nothing to do with each other")
}

/// Whether an edge says where something came from.
fn is_cause(world: &World<'_>, start: NodeId, edge: &Edge) -> bool {
    let beyond_hub = edge.to != start && world.station(edge.to).is_hub();
    let plain_file = is_everyones(world, edge.from);
    match edge.verb {
        Verb::Forked | Verb::Started | Verb::Became => !beyond_hub,
        Verb::Executed => !beyond_hub && !plain_file,
        Verb::Read => !beyond_hub && world.is_script_of(edge.from, edge.to),
        Verb::Injected | Verb::Asked | Verb::Triggered => true,
        Verb::Created
        | Verb::Wrote
        | Verb::Renamed
        | Verb::Linked
        | Verb::Copied
        | Verb::Configured
        | Verb::LoggedOn => true,
        Verb::Accepted => edge.to == start || !beyond_hub,
        Verb::Connected => world.process(edge.from).is_some() && !beyond_hub,
        Verb::Mapped
        | Verb::Deleted
        | Verb::ChangedAttributes
        | Verb::Listened
        | Verb::Sent
        | Verb::Received
        | Verb::Resolved
        | Verb::Traced
        | Verb::MemoryRead
        | Verb::Opened
        | Verb::FailedLogon
        | Verb::SwitchedTo
        | Verb::Loaded
        | Verb::Refused
        | Verb::Changed => false,
    }
}

/// Whether an edge says what came of something.
fn is_effect(world: &World<'_>, start: NodeId, edge: &Edge) -> bool {
    let of_hub = edge.from != start && world.station(edge.from).is_hub();
    if of_hub || is_everyones(world, edge.from) {
        return false;
    }
    match edge.verb {
        verb if is_creation(verb) => true,
        Verb::Read => world.is_script_of(edge.from, edge.to),
        Verb::Forked
        | Verb::Started
        | Verb::Became
        | Verb::Created
        | Verb::Wrote
        | Verb::Renamed
        | Verb::Linked
        | Verb::Copied
        | Verb::Configured
        | Verb::Deleted
        | Verb::Executed
        | Verb::Mapped
        | Verb::Injected
        | Verb::Asked
        | Verb::Triggered
        | Verb::Connected
        | Verb::Opened
        | Verb::MemoryRead
        | Verb::Loaded
        | Verb::Changed => true,
        Verb::Accepted | Verb::LoggedOn => edge.from == start,
        Verb::ChangedAttributes
        | Verb::Listened
        | Verb::Sent
        | Verb::Received
        | Verb::Resolved
        | Verb::Traced
        | Verb::FailedLogon
        | Verb::SwitchedTo
        | Verb::Refused => false,
    }
}

/// Whether a thing is a file that everyone has and reads.
fn is_everyones(world: &World<'_>, node: NodeId) -> bool {
    let file = world.graph.file(node);
    file.is_some_and(|file| {
        let path = file.path.lossy();
        let stood = file.changed_us.is_none();
        world.knowledge.is(Place::Common, &path)
            || stood && world.knowledge.is(Place::Installed, &path)
    })
}

fn label(world: &World<'_>, node: NodeId) -> String {
    let Some(process) = world.process(node) else {
        return world.label(node);
    };
    let args = process
        .args
        .map(|args| text_from_bytes(&args.command_line()));
    let line = args
        .filter(|line| !line.is_empty())
        .or_else(|| process.command_line.map(|line| text_from_bytes(line.0)))
        .or_else(|| process.image.map(|image| text_from_bytes(image.0)))
        .unwrap_or_else(|| "a process whose program was not recorded".to_owned());
    format!("{line} (pid {})", process.key.pid)
}

fn host_of(graph: &Graph, node: NodeId) -> String {
    let host = graph.host_of(node);
    host.map_or_else(String::new, |host| text_from_bytes(graph.host_name(host).0))
}

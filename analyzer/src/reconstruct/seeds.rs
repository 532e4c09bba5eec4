//! Seeds: where the search begins. Detections, each once for its rule, subject and kind of object.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::{Detection, Level, RuleInfo};
use crate::graph::{NodeId, NodeKind, Verb};
use crate::reconstruct::world::World;
use crate::reference::EventRef;
use crate::replay::HostId;

/// The most processes that one detection is laid upon. A rule over many events (a scan) is about
/// one process; its first ones stand for it.
const SUBJECTS_MAX: usize = 16;

/// The most records that a seed keeps.
const EVENTS_MAX: usize = 8;

/// How much a level weighs. Eight is what an incident needs, so that one finding that is seldom
/// seen without an attack is enough where nothing speaks for an ordinary cause.
pub(super) const fn weight(level: Level) -> f64 {
    match level {
        Level::Informational => 0.0,
        Level::Low => 1.0,
        Level::Medium => 3.0,
        Level::High => 8.0,
        Level::Critical => 16.0,
    }
}

/// A place where the search begins.
#[derive(Clone, Debug)]
pub(super) struct Seed {
    /// The process that the rule is about.
    pub(super) process: NodeId,
    /// What that process did it to, where the record names something.
    pub(super) object: Option<NodeId>,
    /// The first time.
    pub(super) us: i64,
    /// The rule.
    pub(super) rule: Arc<RuleInfo>,
    /// The records behind it, the first ones.
    pub(super) events: Vec<EventRef>,
    /// The detections that it stands for, by their place in the list.
    pub(super) detections: Vec<usize>,
}

impl Seed {
    /// Its weight by its rule's level.
    pub(super) fn weight(&self) -> f64 {
        weight(self.rule.level)
    }
}

/// Lays detections upon processes. The result is ordered by process, rule and object, whatever
/// the order of the detections.
pub(super) fn gather(world: &World<'_>, detections: &[Detection<EventRef>]) -> Vec<Seed> {
    let mut seeds: BTreeMap<(NodeId, String, Option<NodeKind>), Seed> = BTreeMap::new();
    let ran = Ran::new(world);
    for (index, detection) in detections.iter().enumerate() {
        if weight(detection.rule.level) <= 0.0 {
            continue;
        }
        for (process, event) in subjects(world, detection) {
            let object = object_of(world, process, event);
            // That a browser writes what was fetched is its work: a finding about the file is one
            // about whoever ran it.
            let process = object
                .filter(|_| world.brings_files(process))
                .and_then(|file| ran.first_after(world, file))
                .unwrap_or(process);
            let class = object.and_then(|object| world.graph.kind(object));
            let seed = Seed {
                process,
                object,
                us: detection.time.wall_us,
                rule: Arc::clone(&detection.rule),
                events: vec![event],
                detections: vec![index],
            };
            seeds
                .entry((process, detection.rule.id.clone(), class))
                .and_modify(|known| merge(known, &seed))
                .or_insert(seed);
        }
    }
    seeds.into_values().collect()
}

/// What ran each file, by the file's path: a stream of a file (`x.exe:Zone.Identifier`) is a node
/// of its own.
struct Ran(BTreeMap<(HostId, String), NodeId>);

impl Ran {
    fn new(world: &World<'_>) -> Self {
        let mut ran: BTreeMap<(HostId, String), NodeId> = BTreeMap::new();
        for id in world.graph.nodes() {
            if world.process(id).is_none() {
                continue;
            }
            for edge in world
                .incoming(id)
                .filter(|edge| edge.verb == Verb::Executed)
            {
                if let Some(file) = world.graph.file(edge.from) {
                    let path = file.path.lossy().to_lowercase();
                    ran.entry((file.host, path)).or_insert(id);
                }
            }
        }
        Self(ran)
    }

    /// The first process that ran a file, or the file that it is a stream of.
    fn first_after(&self, world: &World<'_>, file: NodeId) -> Option<NodeId> {
        let file = world.graph.file(file)?;
        let path = file.path.lossy().to_lowercase();
        let stream = path.rfind(':').filter(|&at| at > 2);
        let whole = stream.and_then(|at| path.get(..at)).unwrap_or(&path);
        self.0.get(&(file.host, whole.to_owned())).copied()
    }
}

fn merge(known: &mut Seed, other: &Seed) {
    if (other.us, other.object) < (known.us, known.object) {
        known.us = other.us;
        known.object = other.object;
    }
    known.events.extend(&other.events);
    known.events.sort_unstable();
    known.events.dedup();
    known.events.truncate(EVENTS_MAX);
    known.detections.extend(&other.detections);
    known.detections.sort_unstable();
    known.detections.dedup();
}

/// The processes that a detection is about, each with its record. A hub is one only where there
/// is no other: that a server took a connection is no finding about the server.
fn subjects(world: &World<'_>, detection: &Detection<EventRef>) -> Vec<(NodeId, EventRef)> {
    let mut all: Vec<(NodeId, EventRef)> = Vec::new();
    for &event in &detection.events {
        if let Some(actor) = world.graph.actor_at(event)
            && !all.iter().any(|(known, _)| *known == actor)
        {
            all.push((actor, event));
        }
    }
    let below: Vec<_> = all
        .iter()
        .filter(|(process, _)| !world.station(*process).is_hub())
        .copied()
        .take(SUBJECTS_MAX)
        .collect();
    if below.is_empty() {
        all.truncate(SUBJECTS_MAX);
        return all;
    }
    below
}

/// What a record says that a process did something to.
fn object_of(world: &World<'_>, process: NodeId, event: EventRef) -> Option<NodeId> {
    let edges = world
        .graph
        .edges_at(event)
        .filter_map(|edge| world.graph.edge(edge));
    let others = edges.filter_map(|edge| match (edge.from == process, edge.to == process) {
        (true, false) => Some(edge.to),
        (false, true) => Some(edge.from),
        (true, true) | (false, false) => None,
    });
    others
        .filter(|&other| world.graph.kind(other) != Some(NodeKind::Process))
        .min()
}

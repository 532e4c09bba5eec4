//! Backward: from a malicious process to what has no admissible cause in the evidence.
//!
//! Best first and never against time. A cause is the more promising the rarer it is in this
//! evidence, the fewer things it leads to, and the nearer in time. Hubs are crossed along the
//! creation of the process alone; a server's other connections, and a file that everyone reads,
//! are no causes. Where nothing was recorded the search ends and says so.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::graph::{Edge, NodeId, Verb};
use crate::reconstruct::activity::told_to_start;
use crate::reconstruct::knowledge::{Place, Role};
use crate::reconstruct::malice::Malice;
use crate::reconstruct::notes::{Notes, Reason};
use crate::reconstruct::requests::{Peer, Request, Requests};
use crate::reconstruct::world::{Station, World, is_creation};
use crate::reference::EventRef;
use crate::replay::Recorded;

/// The most edges that one search looks at.
const EDGES_MAX: usize = 50_000;
/// The most nodes that one search visits.
const NODES_MAX: usize = 2_000;
/// The most steps from where it began.
const HOPS_MAX: u32 = 64;
/// The most processes, each told by the one before, whose programs are looked at.
const TOLD_MAX: usize = 4;
/// A file that more processes wrote than this has no one writer who is a cause.
const WRITERS_MAX: usize = 8;

/// Where a search ended, and what that says of the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EndKind {
    /// A malicious process of the same intrusion: the cause lies within.
    Inside,
    /// A connection that a server took.
    Request,
    /// A server; which connection it was serving was not recorded.
    UnseenRequest,
    /// A login.
    Session,
    /// A file came over the network.
    Download,
    /// A file came from a removable device.
    Removable,
    /// A person's desktop.
    Clicked,
    /// A broker of the system ran what someone asked for; who that was is not recorded.
    Brokered,
    /// A scheduler or service manager ran what stood there already.
    Job,
    /// A file that is run stood before the recording.
    FileStood,
    /// A process that stood before the recording.
    Stood,
    /// A process whose creator was not recorded.
    Unseen,
}

/// An end of a search.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    /// What it is.
    pub(super) kind: EndKind,
    /// The process at the end: the server, the login program, the downloader.
    pub(super) process: NodeId,
    /// The process below it, on the way.
    pub(super) below: NodeId,
    /// The file in between, where there is one.
    pub(super) file: Option<NodeId>,
    /// The connection, where it is known.
    pub(super) request: Option<Request>,
    /// When.
    pub(super) us: i64,
    /// The records.
    pub(super) events: Vec<EventRef>,
    /// How promising the way to it was, from 0 to 1.
    pub(super) priority: f64,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// Where it ended, the most promising first.
    pub(super) ends: Vec<End>,
    /// The benign processes on the way, each with the one below it.
    pub(super) carriers: BTreeMap<NodeId, NodeId>,
}

struct Visit {
    priority: f64,
    us: i64,
    node: NodeId,
    below: NodeId,
    file: Option<NodeId>,
    events: Vec<EventRef>,
    hops: u32,
}

impl PartialEq for Visit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Visit {}

impl PartialOrd for Visit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Visit {
    /// The most promising is the greatest; of equals the later, then the one with the lower number.
    fn cmp(&self, other: &Self) -> Ordering {
        self.priority
            .total_cmp(&other.priority)
            .then_with(|| self.us.cmp(&other.us))
            .then_with(|| other.node.cmp(&self.node))
    }
}

/// Searches from one process.
pub(super) struct Backward<'w, 'g> {
    world: &'w World<'g>,
    requests: &'w Requests,
    malice: &'w Malice,
    heap: BinaryHeap<Visit>,
    visited: BTreeSet<NodeId>,
    edges: usize,
    trace: Trace,
}

/// Searches from a process to where it came from; notes what is left out.
pub(super) fn trace(
    world: &World<'_>,
    requests: &Requests,
    malice: &Malice,
    from: NodeId,
    notes: &mut Notes,
) -> Trace {
    let mut search = Backward {
        world,
        requests,
        malice,
        heap: BinaryHeap::new(),
        visited: BTreeSet::new(),
        edges: 0,
        trace: Trace::default(),
    };
    let us = world
        .process(from)
        .map_or(i64::MAX, |process| process.start_us);
    search.heap.push(Visit {
        priority: 1.0,
        us,
        node: from,
        below: from,
        file: None,
        events: Vec::new(),
        hops: 0,
    });
    search.told(from);
    while let Some(visit) = search.heap.pop() {
        if search.visited.len() >= NODES_MAX || search.edges >= EDGES_MAX || visit.hops > HOPS_MAX {
            notes.add(Reason::Budget, visit.node, &visit.events);
            continue;
        }
        if search.visited.insert(visit.node) {
            search.visit(&visit, notes);
        }
    }
    let mut trace = search.trace;
    trace.ends.sort_by(|a, b| {
        b.priority.total_cmp(&a.priority).then_with(|| {
            (a.us, a.kind, a.process, a.below).cmp(&(b.us, b.kind, b.process, b.below))
        })
    });
    trace
}

impl Backward<'_, '_> {
    /// What a process was told to start runs the programs that it was told to run: whoever wrote
    /// those is behind it, too.
    fn told(&mut self, from: NodeId) {
        let mut at = from;
        let mut notes = Notes::default();
        for _ in 0..TOLD_MAX {
            let children = self
                .world
                .outgoing(at)
                .filter(|edge| is_creation(edge.verb));
            let told = children.filter(|edge| told_to_start(self.world, at, edge.to));
            let Some(first) = told.min_by_key(|edge| (edge.first_us, edge.id)) else {
                return;
            };
            at = first.to;
            let visit = Visit {
                priority: 1.0,
                us: self
                    .world
                    .process(at)
                    .map_or(first.first_us, |process| process.start_us),
                node: at,
                below: at,
                file: None,
                events: Vec::new(),
                hops: 0,
            };
            self.programs(&visit, &mut notes);
        }
    }

    fn visit(&mut self, visit: &Visit, notes: &mut Notes) {
        let begun = visit.node == visit.below;
        if !begun && self.malice.processes.contains_key(&visit.node) {
            self.end(EndKind::Inside, visit.node, visit, None);
            return;
        }
        if !begun {
            self.trace.carriers.entry(visit.node).or_insert(visit.below);
        }
        if visit.file.is_some() {
            self.fetched(visit);
        }
        if self.world.station(visit.node).is_hub() && !begun {
            // Reached through a file that it wrote: only what it did then is a cause.
            self.hub(visit.node, visit, visit.us);
            return;
        }
        self.creator(visit);
        self.programs(visit, notes);
    }

    fn end(&mut self, kind: EndKind, process: NodeId, visit: &Visit, request: Option<Request>) {
        let mut events = visit.events.clone();
        events.extend(request.iter().flat_map(Request::records));
        events.extend(
            self.world
                .process(visit.below)
                .and_then(|below| below.start_ref),
        );
        events.sort_unstable();
        events.dedup();
        self.trace.ends.push(End {
            kind,
            process,
            below: visit.below,
            file: visit.file,
            us: request.map_or(visit.us, |request| request.us),
            request,
            events,
            priority: visit.priority,
        });
    }

    /// Who created the process.
    fn creator(&mut self, visit: &Visit) {
        let Some(process) = self.world.process(visit.node) else {
            return;
        };
        let here = Visit {
            priority: visit.priority,
            us: process.start_us,
            node: visit.node,
            below: visit.node,
            file: None,
            events: Vec::new(),
            hops: visit.hops,
        };
        let Some(creator) = self.world.cause(visit.node) else {
            let kind = if process.recorded == Recorded::Snapshot {
                EndKind::Stood
            } else {
                EndKind::Unseen
            };
            self.end(kind, visit.node, &here, None);
            return;
        };
        if self.malice.processes.contains_key(&creator) {
            self.end(EndKind::Inside, creator, &here, None);
            return;
        }
        if self.asked_for(visit) {
            if self.world.station(creator).is_hub() {
                self.trace.carriers.entry(creator).or_insert(visit.node);
            }
            return;
        }
        if self.world.station(creator).is_hub() {
            self.trace.carriers.entry(creator).or_insert(visit.node);
            self.hub(creator, &here, process.start_us);
            return;
        }
        let rarity = self.world.rarity_of_start(creator, visit.node);
        self.push(
            creator,
            visit.node,
            process.start_us,
            visit.priority * (0.5 + 0.5 * rarity),
            None,
            process.start_ref,
            visit.hops,
        );
    }

    /// Goes to those who had a broker start the process; whether there were any.
    fn asked_for(&mut self, visit: &Visit) -> bool {
        let asked: Vec<Edge> = self
            .world
            .incoming(visit.node)
            .filter(|edge| edge.verb == Verb::Asked)
            .collect();
        for edge in &asked {
            if self.malice.processes.contains_key(&edge.from) {
                self.end(EndKind::Inside, edge.from, visit, None);
            } else {
                let (priority, seen) = (visit.priority * 0.9, Some(edge.first));
                let (node, hops) = (visit.node, visit.hops);
                self.push(edge.from, node, edge.first_us, priority, None, seen, hops);
            }
        }
        !asked.is_empty()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one visit, named at each call"
    )]
    fn push(
        &mut self,
        node: NodeId,
        below: NodeId,
        us: i64,
        priority: f64,
        file: Option<NodeId>,
        event: Option<EventRef>,
        hops: u32,
    ) {
        self.edges += 1;
        self.heap.push(Visit {
            priority,
            us,
            node,
            below,
            file,
            events: event.into_iter().collect(),
            hops: hops + 1,
        });
    }

    /// What made a hub start, or write, something at a moment.
    fn hub(&mut self, hub: NodeId, visit: &Visit, us: i64) {
        let head = self.world.head_of_workers(hub);
        if head != hub {
            self.trace.carriers.entry(head).or_insert(hub);
        }
        let started = self
            .world
            .process(visit.below)
            .filter(|below| below.start_us == us);
        let done_us = started.and_then(|below| below.end_us);
        let request = self.requests.behind(self.world, hub, us, done_us);
        if let Some(front) = request.and_then(|request| request.front) {
            let proxy = self.world.head_of_workers(front.server);
            self.trace.carriers.entry(proxy).or_insert(head);
        }
        if let Some((request, peer)) = request.and_then(|request| Some((request, request.peer?))) {
            self.crossed(visit, &request, peer);
            return;
        }
        let kind = match (self.world.station(hub), request) {
            (Station::Service, Some(_)) => EndKind::Request,
            (Station::Service, None) => EndKind::UnseenRequest,
            (Station::Login, _) => EndKind::Session,
            (Station::Desktop, _) => EndKind::Clicked,
            (Station::Broker, _) => EndKind::Brokered,
            (Station::Scheduler | Station::Init, _) => {
                self.job(hub, visit);
                return;
            }
            (Station::Ordinary, _) => EndKind::Unseen,
        };
        self.end(kind, hub, visit, request);
    }

    /// A connection from another recorded host: the cause is the process that opened it.
    fn crossed(&mut self, visit: &Visit, request: &Request, peer: Peer) {
        if self.malice.processes.contains_key(&peer.process) {
            self.end(EndKind::Inside, peer.process, visit, Some(*request));
            return;
        }
        self.push(
            peer.process,
            visit.below,
            peer.us,
            visit.priority * 0.9,
            None,
            Some(peer.event),
            visit.hops,
        );
    }

    /// A job: who wrote what made the scheduler run it.
    fn job(&mut self, hub: NodeId, visit: &Visit) {
        let configured: Vec<Edge> = self
            .world
            .incoming(visit.below)
            .filter(|edge| edge.verb == Verb::Triggered && edge.first_us <= visit.us)
            .collect();
        let mut known = false;
        for edge in configured {
            known |= self.writers(edge.from, visit, edge.first_us);
        }
        if !known {
            self.end(EndKind::Job, hub, visit, None);
        }
    }

    /// Who wrote the programs and scripts that a process runs.
    fn programs(&mut self, visit: &Visit, notes: &mut Notes) {
        let runs: Vec<Edge> = self
            .world
            .incoming(visit.node)
            .filter(|edge| {
                matches!(edge.verb, Verb::Executed | Verb::Injected)
                    || edge.verb == Verb::Read && self.world.is_script_of(edge.from, visit.node)
            })
            .collect();
        for edge in runs {
            self.edges += 1;
            if edge.verb == Verb::Injected {
                self.push(
                    edge.from,
                    visit.node,
                    edge.first_us,
                    visit.priority,
                    None,
                    Some(edge.first),
                    visit.hops,
                );
                continue;
            }
            let Some(file) = self.world.graph.file(edge.from) else {
                continue;
            };
            let path = file.path.lossy();
            let here = Visit {
                priority: visit.priority,
                us: visit.us,
                node: visit.node,
                below: visit.node,
                file: Some(edge.from),
                events: vec![edge.first],
                hops: visit.hops,
            };
            if self.writers(edge.from, &here, visit.us) {
                continue;
            }
            let knowledge = &self.world.knowledge;
            if is_removable(&path) {
                self.end(EndKind::Removable, visit.node, &here, None);
            } else if knowledge.is(Place::Common, &path) || knowledge.is(Place::Installed, &path) {
                notes.add(Reason::CommonFile, edge.from, &[edge.first]);
            } else if knowledge.is(Place::Temporary, &path) {
                self.end(EndKind::FileStood, visit.node, &here, None);
            }
        }
    }

    /// Goes to those who wrote a file before a moment; whether there were any.
    fn writers(&mut self, file: NodeId, visit: &Visit, us: i64) -> bool {
        let wrote = |edge: &Edge| {
            matches!(
                edge.verb,
                Verb::Created | Verb::Wrote | Verb::Renamed | Verb::Linked | Verb::Configured
            )
        };
        let mut writers: Vec<Edge> = self.world.graph.before(file, us).filter(wrote).collect();
        writers.retain(|edge| self.world.process(edge.from).is_some());
        writers.truncate(WRITERS_MAX);
        for edge in &writers {
            let near = nearness(us.saturating_sub(edge.first_us));
            let when = edge.latest_until(us).unwrap_or(edge.first_us);
            self.push(
                edge.from,
                visit.below,
                when,
                visit.priority * (0.5 + 0.4 * near),
                Some(file),
                Some(edge.first),
                visit.hops,
            );
        }
        !writers.is_empty()
    }

    /// A process that wrote a file and talked to another machine before: the file came from there.
    fn fetched(&mut self, visit: &Visit) {
        let talked = self.world.outgoing(visit.node).filter(|edge| {
            matches!(edge.verb, Verb::Connected | Verb::Sent)
                && edge.first_us <= visit.us
                && self.world.address(edge.to).is_some()
        });
        let browses = self.world.roles(visit.node).has(Role::Browser);
        let Some(edge) = talked.min_by_key(|edge| (edge.first_us, edge.id)) else {
            if browses {
                self.end(EndKind::Download, visit.node, visit, None);
            }
            return;
        };
        let here = Visit {
            priority: visit.priority,
            us: edge.first_us,
            node: visit.node,
            below: visit.below,
            file: visit.file,
            events: vec![edge.first],
            hops: visit.hops,
        };
        self.end(EndKind::Download, visit.node, &here, None);
    }
}

/// 1 for the same moment, nearer to 0 the longer ago: half for some ten seconds.
fn nearness(before_us: i64) -> f64 {
    let seconds = before_us.max(0) / 1_000_000;
    // A span of more than 2³¹ seconds is as far as any.
    let seconds = f64::from(i32::try_from(seconds).unwrap_or(i32::MAX));
    1.0 / (1.0 + (1.0 + seconds / 10.0).ln())
}

fn is_removable(path: &str) -> bool {
    ["/media/", "/run/media/", "/mnt/"]
        .iter()
        .any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_in_time_is_more_promising() {
        assert!(nearness(0) > nearness(1_000_000_000));
        assert!((nearness(0) - 1.0).abs() < 1e-9 && nearness(i64::MAX) > 0.0);
    }
}

//! Telling: an incident as the report has it. Template text only; every claim has its records.

mod acts;
mod cast;
pub(super) mod clocks;
pub(super) mod entry;
mod joins;
mod objects;
mod steps;
mod story;
mod timeline;
mod title;
mod words;

use std::collections::BTreeSet;

use saigen_schemas::report::{self, EvidenceRef, Gap, Grade, Incident, Link, Moment, Sentence};

use crate::detect::{Detection, Tactic};
use crate::graph::{Edge, Ground as EdgeGround, NodeId, NodeKind, Verb};
use crate::reconstruct::groups::Group;
use crate::reconstruct::knowledge::Place;
use crate::reconstruct::notes::{Notes, Reason};
use crate::reconstruct::requests::Requests;
use crate::reconstruct::score;
use crate::reconstruct::seeds::Seed;
pub(super) use crate::reconstruct::tell::acts::Labels;
use crate::reconstruct::tell::acts::{ACTS_MAX, Act};
use crate::reconstruct::tell::cast::{Cast, cited, user_of};
use crate::reconstruct::tell::entry::Beginnings;
use crate::reconstruct::tell::objects::Objects;
use crate::reconstruct::tell::steps::Steps;
use crate::reconstruct::tell::story::Teller;
use crate::reconstruct::world::{World, is_creation};
use crate::reference::EventRef;

/// The most links that a report lists for one incident.
const LINKS_MAX: usize = 4_000;

/// The most records that a link cites.
const EVENTS_MAX: usize = 2;

/// What all incidents are told from.
pub(super) struct Telling<'a, 'g> {
    pub(super) world: &'a World<'g>,
    pub(super) requests: &'a Requests,
    pub(super) seeds: &'a [Seed],
    pub(super) detections: &'a [Detection<EventRef>],
    pub(super) labels: &'a Labels,
    pub(super) gaps: &'a [Gap],
}

/// An incident as told, with the names of its processes.
pub(super) struct Told {
    pub(super) incident: Incident,
    /// The node of each process, by name.
    pub(super) names: Vec<(NodeId, String)>,
}

impl Telling<'_, '_> {
    /// Tells one group as the incident of an id.
    pub(super) fn tell(
        &self,
        group: &Group,
        beginnings: Beginnings,
        mut notes: Notes,
        id: String,
    ) -> Told {
        let world = self.world;
        let mut acts = acts::collect(
            world,
            group,
            self.labels,
            self.detections,
            &beginnings.uploaders(),
        );
        for act in acts.iter().skip(ACTS_MAX) {
            notes.add(Reason::Budget, act.object, &act.events);
        }
        acts.truncate(ACTS_MAX);
        let cast = Cast::new(world, group, beginnings.carriers.clone());
        let objects = Objects::new(world, &acts, group);
        let steps = Steps {
            cast: &cast,
            group,
            objects: &objects,
            detections: self.detections,
        };
        let entry = entry::entry(&cast, self.requests, group, &beginnings);
        mark_entry(&mut acts, &entry);
        let network = objects.network(&cast, group, &acts);
        let persistence = objects.persistence(&cast, group, &acts);
        let (first, last) = span(world, group, &acts);
        let hosts = hosts(&cast);
        let gaps = gaps_within(self.gaps, &hosts, first, last);
        note_common(world, group, &mut notes);
        let pruned = notes.pruned();
        let told = Teller {
            cast: &cast,
            group,
            acts: &acts,
            steps: &steps,
            entry: &entry,
            network: &network,
            persistence: &persistence,
            gaps: &gaps,
            pruned: &pruned,
        };
        let story = told.story();
        let names = cast
            .rows()
            .iter()
            .filter_map(|(node, _)| Some((*node, cast.id(*node)?)))
            .collect();
        let incident = Incident {
            id,
            title: title::title(world, group, &beginnings, &acts, &hosts),
            severity: score::severity(&group.weighed),
            score: score::rounded(score::total(&group.weighed)),
            score_parts: score::parts(&group.weighed, self.seeds),
            first: Moment::from_us(first),
            last: Moment::from_us(last),
            accounts: accounts(world, group),
            techniques: techniques(&acts, group, self.seeds),
            story,
            steps: steps.tell(&acts),
            processes: cast.processes(self.seeds),
            links: links(&cast, &objects, &acts),
            files: objects.items(&cast, &acts, NodeKind::File),
            registry: objects.items(&cast, &acts, NodeKind::Registry),
            joined_by: joins::joins(&cast, group, &beginnings),
            hosts,
            entry,
            network,
            persistence,
            gaps,
            pruned,
        };
        Told { incident, names }
    }
}

/// The acts that an entry which was seen rests on are how the intruder got in.
fn mark_entry(acts: &mut [Act], entry: &[Sentence]) {
    let seen: BTreeSet<&EvidenceRef> = entry
        .iter()
        .filter(|sentence| sentence.grade != Grade::Gap)
        .flat_map(|sentence| &sentence.evidence)
        .collect();
    let rests = |act: &Act| {
        let mut cited = act.events.iter().map(|&event| EvidenceRef::from(event));
        cited.any(|cited| seen.contains(&cited))
    };
    for act in acts.iter_mut().filter(|act| rests(act)) {
        if !act.tactics.contains(&Tactic::InitialAccess) {
            act.tactics.insert(0, Tactic::InitialAccess);
        }
    }
}

/// From the first request or act to the last.
fn span(world: &World<'_>, group: &Group, acts: &[Act]) -> (i64, i64) {
    let starts = group
        .malice
        .processes
        .keys()
        .filter_map(|process| world.process(*process))
        .map(|process| process.start_us);
    let requests = group
        .malice
        .requests
        .values()
        .filter(|request| request.before_us < 60_000_000)
        .map(|request| request.us);
    let firsts = acts.iter().map(|act| act.us);
    let lasts = acts.iter().map(|act| act.last_us);
    let first = starts
        .clone()
        .chain(requests)
        .chain(firsts)
        .min()
        .unwrap_or(0);
    let last = starts.chain(lasts).max().unwrap_or(first);
    (first, last)
}

fn hosts(cast: &Cast<'_, '_>) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for (process, _) in cast.rows() {
        let host = cast.host(*process);
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

fn accounts(world: &World<'_>, group: &Group) -> Vec<String> {
    let users = group
        .malice
        .processes
        .keys()
        .filter_map(|process| world.process(*process))
        .filter_map(|facts| user_of(&facts));
    users.collect::<BTreeSet<String>>().into_iter().collect()
}

fn techniques(acts: &[Act], group: &Group, seeds: &[Seed]) -> Vec<String> {
    let of_acts = acts.iter().flat_map(|act| act.techniques.iter().cloned());
    let found = group.seeds.iter().filter_map(|&index| seeds.get(index));
    let of_rules = found.flat_map(|seed| seed.rule.techniques.iter().cloned());
    of_acts
        .chain(of_rules)
        .collect::<BTreeSet<String>>()
        .into_iter()
        .collect()
}

fn gaps_within(gaps: &[Gap], hosts: &[String], first: i64, last: i64) -> Vec<Gap> {
    let touches = |gap: &&Gap| {
        let here = gap.host.as_ref().is_none_or(|host| hosts.contains(host));
        let begins = gap.from.is_none_or(|from| from.us() <= last);
        let ends = gap.to.is_none_or(|to| to.us() >= first);
        here && begins && ends
    };
    gaps.iter().filter(touches).cloned().collect()
}

/// Reads of files that everyone reads are no links, and are counted.
fn note_common(world: &World<'_>, group: &Group, notes: &mut Notes) {
    for &process in group.malice.processes.keys() {
        for edge in world.incoming(process).filter(|edge| {
            matches!(
                edge.verb,
                crate::graph::Verb::Read | crate::graph::Verb::Mapped
            )
        }) {
            let common = world
                .graph
                .file(edge.from)
                .is_some_and(|file| world.knowledge.is(Place::Common, &file.path.lossy()));
            if common {
                notes.add(Reason::CommonFile, edge.from, &[edge.first]);
            }
        }
    }
}

/// The edges between the nodes of an incident, with their grounds.
fn links(cast: &Cast<'_, '_>, objects: &Objects, acts: &[Act]) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    let mut known: BTreeSet<(String, String, &'static str)> = BTreeSet::new();
    for (process, _) in cast.rows() {
        for edge in cast
            .world
            .incoming(*process)
            .filter(|edge| is_creation(edge.verb) || edge.verb == Verb::Asked)
        {
            if let (Some(from), Some(to)) = (cast.id(edge.from), cast.id(edge.to)) {
                push(&mut links, &mut known, from, to, &edge);
            }
        }
    }
    for act in acts {
        let other = cast.id(act.object).or_else(|| objects.id_of(act));
        for edge in act
            .edges
            .iter()
            .filter_map(|&edge| cast.world.graph.edge(edge))
        {
            if is_creation(edge.verb) {
                continue;
            }
            let end = |node: NodeId| {
                cast.id(node)
                    .or_else(|| other.clone().filter(|_| node == act.object))
                    .or_else(|| objects.id_of_node(node))
            };
            if let (Some(from), Some(to)) = (end(edge.from), end(edge.to)) {
                push(&mut links, &mut known, from, to, &edge);
            }
        }
    }
    links.sort_by(|a, b| {
        (a.first, &a.verb, &a.from, &a.to).cmp(&(b.first, &b.verb, &b.from, &b.to))
    });
    links.truncate(LINKS_MAX);
    links
}

fn push(
    links: &mut Vec<Link>,
    known: &mut BTreeSet<(String, String, &'static str)>,
    from: String,
    to: String,
    edge: &Edge,
) {
    if !known.insert((from.clone(), to.clone(), edge.verb.as_str())) {
        return;
    }
    let (ground, why) = ground(edge.ground);
    links.push(Link {
        from,
        to,
        verb: edge.verb.as_str().to_owned(),
        ground,
        first: Moment::from_us(edge.first_us),
        last: Moment::from_us(edge.last_us),
        count: u64::from(edge.count),
        why: why.to_owned(),
        evidence: cited(&[edge.first, edge.last], EVENTS_MAX),
    });
}

const fn ground(ground: EdgeGround) -> (report::Ground, &'static str) {
    match ground {
        EdgeGround::Recorded => (report::Ground::Recorded, "One record names both."),
        EdgeGround::SameSession => (
            report::Ground::SameSession,
            "Both belong to one login session.",
        ),
        EdgeGround::SameFlow => (
            report::Ground::SameFlow,
            "The same flow was seen from both ends.",
        ),
        EdgeGround::SamePlace => (
            report::Ground::SameFlow,
            "One listens where the other connects.",
        ),
        EdgeGround::SameContent => (
            report::Ground::SameContent,
            "The bytes are the same by their hash.",
        ),
        EdgeGround::SameName => (
            report::Ground::InferredByTime,
            "It has the name of the other, and a process below a connection of the two hosts made it soon after.",
        ),
        EdgeGround::Scheduled => (
            report::Ground::Scheduled,
            "It was run from a place from which things are run by themselves.",
        ),
        EdgeGround::Arguments => (
            report::Ground::Recorded,
            "The arguments of the one name the other.",
        ),
        EdgeGround::Time => (
            report::Ground::InferredByTime,
            "Only order and nearness in time speak for it.",
        ),
    }
}

//! Reconstruction: from detections to incidents, each with its grounds.
//!
//! ```text
//! detections ─▶ seeds ─▶ activities ─▶ cores ─▶ groups ─▶ told
//!               (what)    (up to a      (which    (forward, joined,   (backward to the entry,
//!                          hub)          are bad)  grave enough)       steps, story)
//! ```
//!
//! Nothing here reads bytes or a clock. The same graph and the same detections, in whatever order,
//! give the same incidents. `docs/RECONSTRUCTION.md` tells how it decides, and why.

mod activity;
mod backward;
mod baseline;
mod cores;
mod crossed;
mod groups;
mod hand;
mod knowledge;
mod malice;
mod notes;
mod reach;
mod requests;
mod score;
mod seeds;
mod spread;
mod tell;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeMap;

use saigen_schemas::report::{self, Gap, Grade, Incident, Matched, Moment, Pruned, Sentence};

use crate::detect::{self, Detection};
use crate::graph::{Graph, NodeId};
use crate::reference::EventRef;
pub use baseline::{BASELINE_BYTES_MAX, Baseline};
pub use hand::{Start, TrailStep, starts, trail};
pub use requests::Connections;

use activity::top_of;
use crossed::Crossed;
use groups::Material;
use notes::{Notes, Reason};
use requests::Requests;
use score::Habits;
use seeds::Seed;
use tell::{Labels, Telling, Told};
use world::World;

/// The most records that a detection of the report cites.
const EVENTS_MAX: usize = 16;

/// What reconstruction looks at.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What happened.
    pub graph: &'a Graph,
    /// The connections that processes took, each with its own moment.
    pub connections: &'a Connections,
    /// What was found, in any order.
    pub detections: &'a [Detection<EventRef>],
    /// Holes in the evidence: losses, gaps, what was altered.
    pub gaps: &'a [Gap],
    /// What rules find in work that is known to be good.
    pub baseline: Option<&'a Baseline>,
}

/// What reconstruction gives: the parts of the report that are its own.
#[derive(Debug)]
pub struct Reconstruction {
    /// The incidents, the gravest first.
    pub incidents: Vec<Incident>,
    /// Every detection, by time, with the incident that it belongs to.
    pub detections: Vec<report::Detection>,
    /// Holes that lie in no incident.
    pub gaps: Vec<Gap>,
    /// What was left out for the whole case.
    pub pruned: Vec<Pruned>,
    /// What was looked at.
    pub scope: Vec<Sentence>,
    /// Totals by name.
    pub counts: BTreeMap<String, u64>,
}

/// Reconstructs the incidents of a graph.
#[must_use]
pub fn reconstruct(input: &Input<'_>) -> Reconstruction {
    let world = World::new(input.graph);
    let requests = Requests::new(&world, input.connections);
    let seeds = seeds::gather(&world, input.detections);
    let tops: Vec<_> = seeds
        .iter()
        .map(|seed| top_of(&world, seed.process))
        .collect();
    let activities = cores::activities(&seeds, &tops);
    let suspects = activities
        .iter()
        .map(|activity| activity.top.root)
        .collect();
    let habits = Habits::new(&seeds, &tops, input.baseline);
    let children = reach::hub_children(&world);
    let crossed = Crossed::new(&world, &requests, &children);
    let material = Material {
        world: &world,
        requests: &requests,
        crossed: &crossed,
        children: &children,
        seeds: &seeds,
        tops: &tops,
        activities: &activities,
        habits: &habits,
        suspects: &suspects,
    };
    let groups = material.groups();
    let labels = Labels::new(&world, input.detections);
    let telling = Telling {
        world: &world,
        requests: &requests,
        seeds: &seeds,
        detections: input.detections,
        labels: &labels,
        gaps: input.gaps,
    };
    let mut told: Vec<Told> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let mut notes = group.notes.clone();
        let beginnings = tell::entry::beginnings(&world, &requests, group, &mut notes);
        told.push(telling.tell(group, beginnings, notes, format!("I{}", index + 1)));
    }
    let detections = rows(input.detections, &seeds, &groups, &told);
    let mut scope = scope(input.graph, input.detections, &seeds, &told);
    scope.extend(tell::clocks::clocks(input.graph));
    let counts = counts(input, &seeds, &told);
    let incidents: Vec<Incident> = told.into_iter().map(|told| told.incident).collect();
    Reconstruction {
        gaps: gaps_outside(input.gaps, &incidents),
        pruned: folded(&world, &seeds, input.detections),
        incidents,
        detections,
        scope,
        counts,
    }
}

/// Every detection as the report has it.
fn rows(
    detections: &[Detection<EventRef>],
    seeds: &[Seed],
    groups: &[groups::Group],
    told: &[Told],
) -> Vec<report::Detection> {
    // A detection belongs to the gravest incident that one of its seeds is in.
    let mut places: BTreeMap<usize, (usize, Option<String>)> = BTreeMap::new();
    for (incident, (group, told)) in groups.iter().zip(told).enumerate() {
        let names: BTreeMap<NodeId, &String> = told
            .names
            .iter()
            .map(|(node, name)| (*node, name))
            .collect();
        for seed in group.seeds.iter().filter_map(|&index| seeds.get(index)) {
            for &detection in &seed.detections {
                let name = names.get(&seed.process).map(|name| (*name).clone());
                places.entry(detection).or_insert((incident, name));
            }
        }
    }
    let mut rows: Vec<report::Detection> = detections
        .iter()
        .enumerate()
        .map(|(index, detection)| {
            row(
                detection,
                places
                    .get(&index)
                    .map(|(incident, name)| (format!("I{}", incident + 1), name.clone())),
            )
        })
        .collect();
    rows.sort_by(|a, b| {
        (a.time, &a.host, &a.evidence, &a.rule).cmp(&(b.time, &b.host, &b.evidence, &b.rule))
    });
    rows
}

fn row(
    detection: &Detection<EventRef>,
    place: Option<(String, Option<String>)>,
) -> report::Detection {
    let (incident, process) = place.map_or((None, None), |(incident, process)| {
        (Some(incident), process)
    });
    let rule = &detection.rule;
    report::Detection {
        rule: rule.id.clone(),
        title: rule.title.clone(),
        level: level(rule.level),
        time: Moment::from_us(detection.time.wall_us),
        host: detection.host.clone(),
        process,
        incident,
        tactics: rule
            .tactics
            .iter()
            .map(|tactic| tactic.name().to_owned())
            .collect(),
        techniques: rule.techniques.clone(),
        matched: detection
            .fields
            .iter()
            .map(|field| Matched {
                field: field.field.clone(),
                value: field.value.clone(),
            })
            .collect(),
        events: detection.events.len() as u64,
        evidence: detection
            .events
            .iter()
            .take(EVENTS_MAX)
            .map(|&event| event.into())
            .collect(),
    }
}

const fn level(level: detect::Level) -> report::Level {
    match level {
        detect::Level::Informational => report::Level::Informational,
        detect::Level::Low => report::Level::Low,
        detect::Level::Medium => report::Level::Medium,
        detect::Level::High => report::Level::High,
        detect::Level::Critical => report::Level::Critical,
    }
}

fn scope(
    graph: &Graph,
    detections: &[Detection<EventRef>],
    seeds: &[Seed],
    told: &[Told],
) -> Vec<Sentence> {
    let inside: usize = told.iter().map(|told| told.incident.processes.len()).sum();
    let fact = |text: String| Sentence {
        text,
        grade: Grade::Proven,
        evidence: Vec::new(),
    };
    let mut scope = vec![fact(format!(
        "{} things and {} relations between them were looked at; {} detections were laid upon them, at {} places.",
        graph.node_count(),
        graph.edge_count(),
        detections.len(),
        seeds.len()
    ))];
    if told.is_empty() {
        let text = if detections.is_empty() {
            "No rule fired. That is no proof that nothing happened: only that nothing recorded here fits a rule. A search by hand (`saigen trace`) from a chosen process, file or address needs no rule."
        } else {
            "No incident: what was found is neither grave enough by itself nor joined by cause to more. Each finding is listed, and `saigen trace --event` goes on from its record."
        };
        scope.push(fact(text.to_owned()));
    } else {
        let incidents = if told.len() == 1 {
            "1 incident holds".to_owned()
        } else {
            format!("{} incidents hold", told.len())
        };
        scope.push(fact(format!("{incidents} {inside} processes.")));
    }
    scope
}

fn counts(input: &Input<'_>, seeds: &[Seed], told: &[Told]) -> BTreeMap<String, u64> {
    let inside = told
        .iter()
        .map(|told| told.incident.processes.len() as u64)
        .sum();
    [
        ("nodes", input.graph.node_count() as u64),
        ("edges", input.graph.edge_count() as u64),
        ("detections", input.detections.len() as u64),
        ("seeds", seeds.len() as u64),
        ("incidents", told.len() as u64),
        ("incident_processes", inside),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}

fn gaps_outside(gaps: &[Gap], incidents: &[Incident]) -> Vec<Gap> {
    let inside = |gap: &&Gap| !incidents.iter().any(|incident| incident.gaps.contains(gap));
    gaps.iter().filter(inside).cloned().collect()
}

/// Detections that were folded into others.
fn folded(world: &World<'_>, seeds: &[Seed], detections: &[Detection<EventRef>]) -> Vec<Pruned> {
    let mut notes = Notes::default();
    for seed in seeds.iter().filter(|seed| seed.detections.len() > 1) {
        for detection in seed
            .detections
            .iter()
            .skip(1)
            .filter_map(|&index| detections.get(index))
        {
            if let Some(event) = detection.events.first()
                && let Some(what) = world
                    .graph
                    .edges_at(*event)
                    .next()
                    .and_then(|edge| world.graph.edge(edge))
            {
                notes.add(Reason::Duplicate, what.to, &[*event]);
            }
        }
    }
    notes.pruned()
}

//! Cores: which processes of an activity are malicious, given what was found in it.

use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::Grade;

use crate::graph::NodeId;
use crate::reconstruct::activity::{Boundary, Top, lifted};
use crate::reconstruct::knowledge::Role;
use crate::reconstruct::malice::{Ground, Why};
use crate::reconstruct::score::{Habits, INCIDENT_MIN};
use crate::reconstruct::seeds::Seed;
use crate::reconstruct::world::{Station, World};

/// The findings of one activity.
pub(super) struct Activity {
    /// Where it hangs.
    pub(super) top: Top,
    /// Its seeds, by their place in the list of all.
    pub(super) seeds: Vec<usize>,
}

/// Groups seeds by activity, in the order of the roots.
pub(super) fn activities(seeds: &[Seed], tops: &[Top]) -> Vec<Activity> {
    let mut groups: BTreeMap<NodeId, Activity> = BTreeMap::new();
    for (index, top) in tops.iter().enumerate().take(seeds.len()) {
        let group = groups.entry(top.root).or_insert_with(|| Activity {
            top: *top,
            seeds: Vec::new(),
        });
        group.seeds.push(index);
    }
    groups.into_values().collect()
}

/// What the findings about one process weigh together at the least, after what each rule finds in
/// unrelated work as well, for malice to go out from it.
const CORE_MIN: f64 = 0.5;

/// The processes from which an activity's malice goes out, each with its ground.
///
/// Below a server the whole activity is what one request made it do. Elsewhere it is what was
/// found, with those that were told to start it: a person's shell is not the intruder's because
/// something under it is, unless findings of several stages hang side by side below it.
///
/// What a weak rule finds in many activities is how this machine is used: it says nothing of one.
pub(super) fn cores(
    world: &World<'_>,
    activity: &Activity,
    seeds: &[Seed],
    habits: &Habits<'_>,
) -> Vec<(NodeId, Why)> {
    let found: Vec<&Seed> = activity
        .seeds
        .iter()
        .filter_map(|&index| seeds.get(index))
        .collect();
    let on_hub = world.station(activity.top.root).is_hub()
        && !world.roles(activity.top.root).has(Role::Shell);
    if let Boundary::Hub(_, Station::Service) = activity.top.boundary {
        return vec![(activity.top.root, found_on(&found))];
    }
    let mut lifts: BTreeMap<NodeId, Vec<&Seed>> = BTreeMap::new();
    for seed in &found {
        if on_hub && seed.process == activity.top.root || world.brings_files(seed.process) {
            continue;
        }
        lifts
            .entry(lifted(world, seed.process))
            .or_default()
            .push(seed);
    }
    let mut cores: BTreeMap<NodeId, Why> = BTreeMap::new();
    for shell in shells_of_stages(world, &lifts) {
        let events = found
            .iter()
            .flat_map(|seed| seed.events.first().copied())
            .collect();
        cores.insert(
            shell,
            Why::new(Ground::Stages, None, Grade::Inferred, events),
        );
    }
    for (process, seeds) in &lifts {
        let weights = seeds
            .iter()
            .map(|seed| seed.weight() * habits.rarity(&seed.rule.id, activity.top.root));
        if weights.sum::<f64>() < CORE_MIN {
            continue;
        }
        cores.insert(*process, found_on(seeds));
        let grave = seeds.iter().any(|seed| seed.weight() >= INCIDENT_MIN);
        if let Some(brought) = brought_above(world, *process).filter(|_| grave) {
            let found = found_on(seeds).events;
            let why = Why::new(Ground::Brought, None, Grade::Inferred, found);
            cores.entry(brought).or_insert(why);
        }
    }
    without_descendants(world, cores)
}

/// The highest process above, within the activity, that runs a program which came during the
/// recording: whoever sits at it did what hangs below it.
fn brought_above(world: &World<'_>, process: NodeId) -> Option<NodeId> {
    let mut seen = BTreeSet::from([process]);
    let (mut at, mut found) = (process, None);
    while let Some(cause) = world.cause(at) {
        if world.station(cause).is_hub() || !seen.insert(cause) {
            break;
        }
        if world.runs_brought_program(cause) {
            found = Some(cause);
        }
        at = cause;
    }
    found
}

fn found_on(seeds: &[&Seed]) -> Why {
    let mut by_weight: Vec<&&Seed> = seeds.iter().collect();
    by_weight.sort_by(|a, b| {
        b.weight()
            .total_cmp(&a.weight())
            .then_with(|| a.events.cmp(&b.events))
    });
    let events = by_weight
        .iter()
        .filter_map(|seed| seed.events.first().copied());
    let mut why = Why::new(Ground::Found, None, Grade::Inferred, Vec::new());
    why.events = events
        .take(crate::reconstruct::malice::EVENTS_MAX)
        .collect();
    why
}

/// Shells and interpreters below which grave findings of at least two stages hang side by side:
/// who did them all sat at that shell.
fn shells_of_stages(world: &World<'_>, lifts: &BTreeMap<NodeId, Vec<&Seed>>) -> BTreeSet<NodeId> {
    let mut below: BTreeMap<NodeId, BTreeMap<u8, BTreeSet<NodeId>>> = BTreeMap::new();
    for (process, seeds) in lifts {
        let Some(parent) = world.cause(*process) else {
            continue;
        };
        let runs = world.roles(parent).any(&[Role::Shell, Role::Interpreter]);
        if !runs || world.station(parent).is_hub() {
            continue;
        }
        for seed in seeds.iter().filter(|seed| seed.weight() >= INCIDENT_MIN) {
            for tactic in &seed.rule.tactics {
                let stages = below.entry(parent).or_default();
                stages.entry(tactic.stage()).or_default().insert(*process);
            }
        }
    }
    let many = below.into_iter().filter(|(_, stages)| {
        let processes: BTreeSet<&NodeId> = stages.values().flatten().collect();
        stages.len() >= 2 && processes.len() >= 2
    });
    many.map(|(shell, _)| shell).collect()
}

/// Descendants follow by themselves.
fn without_descendants(world: &World<'_>, cores: BTreeMap<NodeId, Why>) -> Vec<(NodeId, Why)> {
    let roots: BTreeSet<NodeId> = cores.keys().copied().collect();
    let below = |process: NodeId| {
        let mut at = process;
        let mut seen = BTreeSet::from([process]);
        while let Some(cause) = world.cause(at) {
            if !seen.insert(cause) {
                return false;
            }
            if roots.contains(&cause) {
                return true;
            }
            if world.station(cause).is_hub() {
                return false;
            }
            at = cause;
        }
        false
    };
    cores
        .into_iter()
        .filter(|(process, _)| !below(*process))
        .collect()
}

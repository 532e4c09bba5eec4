//! Incidents: which activities are one intrusion, and which are none.
//!
//! Activities are joined where the search from one comes to a malicious process of another, and
//! where servers started both for the same client. A hub, a moment or an account in common joins
//! nothing. What is grave enough together is an incident; it is then followed further and takes in
//! the findings that it comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::graph::NodeId;
use crate::reconstruct::activity::Top;
use crate::reconstruct::cores::{Activity, cores};
use crate::reconstruct::crossed::Crossed;
use crate::reconstruct::malice::{Malice, Why};
use crate::reconstruct::notes::Notes;
use crate::reconstruct::reach::{HubChild, note_siblings};
use crate::reconstruct::requests::{Request, Requests};
use crate::reconstruct::score::{Habits, Weighed, is_incident, total, weigh};
use crate::reconstruct::seeds::Seed;
use crate::reconstruct::spread::Spread;
use crate::reconstruct::world::World;

/// One incident before it is told.
pub(super) struct Group {
    /// Its seeds, by their place in the list of all.
    pub(super) seeds: Vec<usize>,
    /// What belongs to it.
    pub(super) malice: Malice,
    /// What was left out.
    pub(super) notes: Notes,
    /// What counts for its score.
    pub(super) weighed: Vec<Weighed>,
}

/// Everything that the grouping looks at.
pub(super) struct Material<'w, 'g> {
    pub(super) world: &'w World<'g>,
    pub(super) requests: &'w Requests,
    pub(super) crossed: &'w Crossed,
    pub(super) children: &'w [HubChild],
    pub(super) seeds: &'w [Seed],
    pub(super) tops: &'w [Top],
    pub(super) activities: &'w [Activity],
    pub(super) habits: &'w Habits<'w>,
    /// The roots of the activities.
    pub(super) suspects: &'w BTreeSet<NodeId>,
}

impl Material<'_, '_> {
    /// The incidents, the gravest first.
    pub(super) fn groups(&self) -> Vec<Group> {
        let roots: Vec<Vec<(NodeId, Why)>> = self
            .activities
            .iter()
            .map(|one| cores(self.world, one, self.seeds, self.habits))
            .collect();
        let mut sets = Sets::new(self.activities.len());
        self.join_by_records(&roots, &mut sets);
        self.join_by_client(&mut sets);
        let mut found: Vec<BTreeSet<usize>> = sets
            .members()
            .into_iter()
            .filter(|members| self.is_grave(members))
            .collect();
        loop {
            let groups: Vec<Group> = found
                .iter()
                .map(|members| self.follow(members, &roots))
                .collect();
            let taken = self.taken_in(&found, &groups, &roots);
            if taken == found {
                // Findings without a process of their own are listed, and are no incident.
                let told = |group: &Group| !group.malice.processes.is_empty();
                return ordered(groups.into_iter().filter(told).collect());
            }
            found = taken;
        }
    }

    /// Follows each activity by records alone and joins it to those whose beginning it comes to.
    /// That both ran a program which one of them had installed is no join.
    fn join_by_records(&self, roots: &[Vec<(NodeId, Why)>], sets: &mut Sets) {
        let mut owner: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (index, roots) in roots.iter().enumerate() {
            owner.extend(roots.iter().map(|(process, _)| (*process, index)));
        }
        for (index, roots) in roots.iter().enumerate() {
            let mut spread = Spread::new(self.world, self.suspects, self.crossed);
            for (process, why) in roots {
                spread.add(*process, why.clone());
            }
            spread.run();
            for process in spread.malice.processes.keys() {
                if let Some(&other) = owner.get(process) {
                    sets.join(index, other);
                }
            }
        }
    }

    /// Joins what servers started for the same client.
    fn join_by_client(&self, sets: &mut Sets) {
        let mut clients: BTreeMap<(NodeId, IpAddr), usize> = BTreeMap::new();
        for (index, activity) in self.activities.iter().enumerate() {
            let Some((hub, request)) = self.request_behind(activity) else {
                continue;
            };
            let client = request.client();
            if self.requests.is_everyone(&request) || self.world.is_own_address(client) {
                continue;
            }
            let reached = request.front.map_or(hub, |front| front.server);
            let server = self.world.head_of_workers(reached);
            match clients.get(&(server, client)) {
                Some(&other) => sets.join(index, other),
                None => {
                    clients.insert((server, client), index);
                }
            }
        }
    }

    fn request_behind(&self, activity: &Activity) -> Option<(NodeId, Request)> {
        use crate::reconstruct::activity::Boundary;
        use crate::reconstruct::world::Station;
        let Boundary::Hub(hub, Station::Service) = activity.top.boundary else {
            return None;
        };
        let request = self
            .requests
            .behind_process(self.world, hub, activity.top.root)?;
        Some((hub, request))
    }

    fn weighed(&self, members: &BTreeSet<usize>) -> (Vec<usize>, Vec<Weighed>) {
        let activities = members
            .iter()
            .filter_map(|&index| self.activities.get(index));
        let mut seeds: Vec<usize> = activities
            .flat_map(|activity| activity.seeds.iter().copied())
            .collect();
        seeds.sort_unstable();
        let weighed = weigh(self.world, self.seeds, self.tops, &seeds, self.habits);
        (seeds, weighed)
    }

    fn is_grave(&self, members: &BTreeSet<usize>) -> bool {
        is_incident(&self.weighed(members).1)
    }

    /// Follows a group as far as its certainty allows.
    fn follow(&self, members: &BTreeSet<usize>, roots: &[Vec<(NodeId, Why)>]) -> Group {
        let mut spread = Spread::new(self.world, self.suspects, self.crossed);
        for (process, why) in members
            .iter()
            .filter_map(|&index| roots.get(index))
            .flatten()
        {
            spread.add(*process, why.clone());
        }
        spread.run_far(self.world, self.requests, self.children);
        note_siblings(&mut spread, self.world, self.children);
        let (seeds, weighed) = self.weighed(members);
        Group {
            seeds,
            malice: spread.malice,
            notes: spread.notes,
            weighed,
        }
    }

    /// The groups with the activities that they came to; groups that came to the same are one.
    fn taken_in(
        &self,
        found: &[BTreeSet<usize>],
        groups: &[Group],
        roots: &[Vec<(NodeId, Why)>],
    ) -> Vec<BTreeSet<usize>> {
        let mut sets = Sets::new(self.activities.len());
        let mut owner: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (members, group) in found.iter().zip(groups) {
            let Some(&first) = members.first() else {
                continue;
            };
            for &member in members {
                sets.join(first, member);
            }
            for &process in group.malice.processes.keys() {
                match owner.get(&process) {
                    Some(&other) => sets.join(first, other),
                    None => {
                        owner.insert(process, first);
                    }
                }
            }
        }
        for (index, roots) in roots.iter().enumerate() {
            let seeded = self.activities.get(index).map(|activity| &activity.seeds);
            let subjects = seeded
                .into_iter()
                .flatten()
                .filter_map(|&seed| self.seeds.get(seed))
                .map(|seed| seed.process);
            for process in roots.iter().map(|(process, _)| *process).chain(subjects) {
                if let Some(&first) = owner.get(&process) {
                    sets.join(index, first);
                }
            }
        }
        let kept: BTreeSet<usize> = found.iter().flatten().copied().collect();
        let groups = sets.members().into_iter();
        groups
            .filter(|members| members.iter().any(|member| kept.contains(member)))
            .collect()
    }
}

/// The gravest first; those of one weight by their first process.
fn ordered(mut groups: Vec<Group>) -> Vec<Group> {
    groups.sort_by(|a, b| {
        total(&b.weighed)
            .total_cmp(&total(&a.weighed))
            .then_with(|| {
                a.malice
                    .processes
                    .keys()
                    .next()
                    .cmp(&b.malice.processes.keys().next())
            })
    });
    groups
}

/// Sets that are joined and never taken apart.
struct Sets {
    above: Vec<usize>,
}

impl Sets {
    fn new(count: usize) -> Self {
        Self {
            above: (0..count).collect(),
        }
    }

    fn top(&self, mut at: usize) -> usize {
        while let Some(&above) = self.above.get(at) {
            if above == at {
                break;
            }
            at = above;
        }
        at
    }

    /// The lower number stands for both, so that the result does not depend on the order.
    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.top(one), self.top(other));
        if let Some(slot) = self.above.get_mut(one.max(other)) {
            *slot = one.min(other);
        }
    }

    fn members(&self) -> Vec<BTreeSet<usize>> {
        let mut groups: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for at in 0..self.above.len() {
            groups.entry(self.top(at)).or_default().insert(at);
        }
        groups.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_the_same_in_whatever_order_they_are_joined() {
        let pairs = [(0, 3), (5, 4), (3, 4), (1, 2)];
        let mut forward = Sets::new(7);
        let mut backward = Sets::new(7);
        for (one, other) in pairs {
            forward.join(one, other);
        }
        for (one, other) in pairs.into_iter().rev() {
            backward.join(other, one);
        }
        assert_eq!(forward.members(), backward.members());
        assert_eq!(forward.members().len(), 3);
    }
}

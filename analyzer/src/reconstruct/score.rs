//! Score: how grave a group of findings is, in parts that are shown.
//!
//! A finding weighs by its rule's level, less where an ordinary cause is likely: in a person's own
//! session, in a software installation, and where the same rule fires as well on what has nothing
//! to do with the group. Of the findings of one stage of an attack only the heaviest counts, so
//! that ten rules for one act are one act.

use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::{ScorePart, Severity};

use crate::detect::Tactic;
use crate::graph::NodeId;
use crate::reconstruct::activity::{
    Top, below_package_manager, below_system_script, is_persons_session, was_in_a_file,
};
use crate::reconstruct::baseline::Baseline;
use crate::reconstruct::seeds::Seed;
use crate::reconstruct::world::World;

/// What an incident needs: one finding that is seldom seen without an attack and has no ordinary
/// cause, or several independent stages.
pub(super) const INCIDENT_MIN: f64 = 8.0;

/// A finding of this weight has no ordinary explanation.
const CERTAIN: f64 = 16.0;

/// A finding of this weight is strong: a grave one, also in a person's session.
const STRONG: f64 = 4.0;

/// A finding of this weight supports another: one to be looked at, where nothing speaks for an
/// ordinary cause.
const SUPPORT: f64 = 2.0;

/// From here on it is an attack or very like one.
const HIGH_MIN: f64 = 16.0;

/// From here on, with a goal reached, it is an attack that reached its goal.
const CRITICAL_MIN: f64 = 26.0;

/// In a session that a person opened with an account of their own, findings are more often that
/// person's work.
const PERSON: f64 = 0.5;

/// People who administer a machine change to root many times a day.
const ADMINISTRATOR: f64 = 0.25;

/// Installing software does what an intruder does: fetches, unpacks, writes units and tables.
const INSTALLATION: f64 = 0.25;

/// What is added for each stage beyond the first: independent stages in one group are rare.
const STAGE: f64 = 1.0;

/// A finding as it counts in its group.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    /// The tactic.
    pub(super) tactic: Tactic,
    /// What it weighs.
    pub(super) weight: f64,
    /// Which seed.
    pub(super) seed: usize,
    /// Why it weighs less than its level says.
    pub(super) less: &'static str,
}

/// How often each rule fires on different activities, and in which.
pub(super) struct Habits<'b> {
    activities: BTreeMap<String, BTreeSet<NodeId>>,
    known_good: Option<&'b Baseline>,
}

impl<'b> Habits<'b> {
    /// Counts over all seeds. `tops` are the activities of the seeds, in their order.
    pub(super) fn new(seeds: &[Seed], tops: &[Top], known_good: Option<&'b Baseline>) -> Self {
        let mut activities: BTreeMap<String, BTreeSet<NodeId>> = BTreeMap::new();
        for (seed, top) in seeds.iter().zip(tops) {
            activities
                .entry(seed.rule.id.clone())
                .or_default()
                .insert(top.root);
        }
        Self {
            activities,
            known_good,
        }
    }

    /// In how many activities outside of a group a rule fires, those of the baseline with them.
    fn outside(&self, rule: &str, group: &BTreeSet<NodeId>) -> u32 {
        let all = self.activities.get(rule);
        let outside = all.map_or(0, |all| {
            all.iter().filter(|root| !group.contains(root)).count()
        });
        let known_good = self.known_good.map_or(0, |known| known.activities(rule));
        u32::try_from(outside)
            .unwrap_or(u32::MAX)
            .saturating_add(known_good)
    }

    /// What is left of a finding's weight in one activity for what the same rule finds in others:
    /// 1 where it finds nothing there.
    pub(super) fn rarity(&self, rule: &str, root: NodeId) -> f64 {
        self.beside(rule, &BTreeSet::from([root]))
    }

    /// The same for a group of activities.
    fn beside(&self, rule: &str, group: &BTreeSet<NodeId>) -> f64 {
        1.0 / (1.0 + f64::from(self.outside(rule, group))).sqrt()
    }
}

/// Weighs the seeds of one group. `members` are their places in the list of all.
pub(super) fn weigh(
    world: &World<'_>,
    seeds: &[Seed],
    tops: &[Top],
    members: &[usize],
    habits: &Habits<'_>,
) -> Vec<Weighed> {
    let group: BTreeSet<NodeId> = members
        .iter()
        .filter_map(|&index| tops.get(index))
        .map(|top| top.root)
        .collect();
    let mut best: BTreeMap<u8, Weighed> = BTreeMap::new();
    let mut heaviest_first: Vec<usize> = members.to_vec();
    let weight_of = |index: &usize| seeds.get(*index).map_or(0.0, Seed::weight);
    heaviest_first.sort_by(|a, b| weight_of(b).total_cmp(&weight_of(a)).then_with(|| a.cmp(b)));
    let mut counted: BTreeSet<&str> = BTreeSet::new();
    for index in heaviest_first {
        let (Some(seed), Some(&top)) = (seeds.get(index), tops.get(index)) else {
            continue;
        };
        let (context, less) = context(world, seed, top);
        let habit = habits.beside(&seed.rule.id, &group);
        let weight = seed.weight() * context * habit;
        // A rule of several tactics is one finding: it counts for the stage that is least served.
        let tactics = seed.rule.tactics.iter().copied();
        let stage = tactics
            .map(|tactic| {
                (
                    best.get(&tactic.stage()).map_or(0.0, |known| known.weight),
                    tactic,
                )
            })
            .min_by(|a, b| {
                a.0.total_cmp(&b.0)
                    .then_with(|| a.1.stage().cmp(&b.1.stage()))
            });
        let (served, tactic) = stage.unwrap_or((0.0, Tactic::Execution));
        // A rule that fires on several records is one finding, too.
        if weight > served && counted.insert(&seed.rule.id) {
            let less = if habit < 0.8 {
                "the same rule fires on unrelated work as well"
            } else {
                less
            };
            let stage = tactic.stage();
            best.insert(
                stage,
                Weighed {
                    tactic,
                    weight,
                    seed: index,
                    less,
                },
            );
        }
    }
    best.into_values().collect()
}

fn context(world: &World<'_>, seed: &Seed, top: Top) -> (f64, &'static str) {
    if below_package_manager(world, seed.process) {
        (INSTALLATION, "a software installation did it")
    } else if below_system_script(world, seed.process) {
        (INSTALLATION, "a script that came with the system did it")
    } else if is_persons_session(world, top) && !was_in_a_file(world, seed.process, top) {
        if seed.rule.tactics.contains(&Tactic::PrivilegeEscalation) {
            return (
                ADMINISTRATOR,
                "people who administer take on other rights in their sessions",
            );
        }
        (PERSON, "it happened in a person's own session")
    } else {
        (1.0, "")
    }
}

/// The sum over stages, with what independent stages add.
pub(super) fn total(weighed: &[Weighed]) -> f64 {
    let sum: f64 = weighed.iter().map(|one| one.weight).sum();
    sum + STAGE * f64::from(stages(weighed).saturating_sub(1))
}

/// How many stages have a finding that counts.
pub(super) fn stages(weighed: &[Weighed]) -> u32 {
    let counting = weighed.iter().filter(|one| one.weight >= 1.0);
    u32::try_from(counting.count()).unwrap_or(u32::MAX)
}

/// Whether a group is an incident: grave enough, and not by one finding alone unless that has no
/// ordinary explanation. Any rule is wrong at times; two independent ones about things that are
/// joined by cause are seldom wrong together.
pub(super) fn is_incident(weighed: &[Weighed]) -> bool {
    let at_least = |least: f64| weighed.iter().filter(|one| one.weight >= least).count();
    let certain = at_least(CERTAIN) >= 1;
    let supported = at_least(STRONG) >= 1 && at_least(SUPPORT) >= 2;
    let many = at_least(SUPPORT) >= 4;
    total(weighed) >= INCIDENT_MIN && (certain || supported || many)
}

/// How grave.
pub(super) fn severity(weighed: &[Weighed]) -> Severity {
    let sum = total(weighed);
    let goal = weighed.iter().any(|one| {
        one.weight >= 3.0
            && matches!(
                one.tactic,
                Tactic::CredentialAccess
                    | Tactic::Exfiltration
                    | Tactic::Impact
                    | Tactic::LateralMovement
                    | Tactic::PrivilegeEscalation
                    | Tactic::Persistence
            )
    });
    if sum >= CRITICAL_MIN && goal && stages(weighed) >= 4 {
        Severity::Critical
    } else if sum >= HIGH_MIN && stages(weighed) >= 2 {
        Severity::High
    } else if sum >= INCIDENT_MIN {
        Severity::Medium
    } else {
        Severity::Low
    }
}

/// The parts as the report shows them.
pub(super) fn parts(weighed: &[Weighed], seeds: &[Seed]) -> Vec<ScorePart> {
    let mut parts: Vec<ScorePart> = weighed
        .iter()
        .map(|one| {
            let seed = seeds.get(one.seed);
            let rule = seed.map_or("", |seed| seed.rule.title.as_str());
            let level = seed.map_or("", |seed| seed.rule.level.name());
            let less = if one.less.is_empty() {
                String::new()
            } else {
                format!("; less than its level, since {}", one.less)
            };
            ScorePart {
                name: one.tactic.name().to_owned(),
                value: rounded(one.weight),
                why: format!("the heaviest finding of this stage: {rule} ({level}){less}"),
            }
        })
        .collect();
    let count = stages(weighed);
    if count > 1 {
        parts.push(ScorePart {
            name: "stages".to_owned(),
            value: STAGE * f64::from(count - 1),
            why: format!("{count} different stages of an attack are joined by cause"),
        });
    }
    parts
}

/// Two digits behind the point are enough for a reader, and the same on every machine.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

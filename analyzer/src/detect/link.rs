//! How rules over several events hang together with the rules that they count.

use std::collections::BTreeMap;
use std::sync::Arc;

use rsigma_eval::{CompiledCorrelation, GroupByField};
use rsigma_parser::{CorrelationType, WindowMode};

use crate::detect::load::{Loaded, LoadedCorrelation};
use crate::detect::mend::one_line;
use crate::detect::window::{GROUP_EVENTS_MAX, count_of};
use crate::detect::{Refusal, RuleInfo};

/// How deep correlations may stand on correlations.
const DEPTH_MAX: usize = 10;

/// A correlation rule, joined to the rules that it counts.
pub(super) struct Correlation {
    pub(super) info: Arc<RuleInfo>,
    pub(super) compiled: CompiledCorrelation,
    /// The rules that each of its references stands for.
    pub(super) members: Vec<Vec<Member>>,
    /// Whether it is reported itself, or only feeds others.
    pub(super) reported: bool,
    /// The timespan, in microseconds.
    pub(super) span_us: i64,
}

/// What a reference of a correlation stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Rule(usize),
    Correlation(usize),
}

impl Correlation {
    /// Whether it can never fire, given which rules can never fire.
    pub(super) fn is_dead(&self, dead: &[bool]) -> bool {
        let member_dead = |member: &Member| match member {
            Member::Rule(rule) => dead.get(*rule).copied().unwrap_or(false),
            Member::Correlation(_) => false,
        };
        let dead_reference = |members: &Vec<Member>| members.iter().all(member_dead);
        match self.compiled.correlation_type {
            CorrelationType::Temporal | CorrelationType::TemporalOrdered
                if self.compiled.extended_expr.is_none() =>
            {
                self.members.iter().any(dead_reference)
            }
            CorrelationType::Temporal
            | CorrelationType::TemporalOrdered
            | CorrelationType::EventCount
            | CorrelationType::ValueCount
            | CorrelationType::ValueSum
            | CorrelationType::ValueAvg
            | CorrelationType::ValuePercentile
            | CorrelationType::ValueMedian => self.members.iter().all(dead_reference),
        }
    }
}

/// That a rule feeds a correlation.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub(super) correlation: usize,
    /// Which of the correlation's references the rule is.
    pub(super) reference: usize,
    /// Places of the group's values among the captured ones.
    pub(super) group: Vec<usize>,
    /// Places of the counted or summed values.
    pub(super) values: Vec<usize>,
}

/// How rules and correlations hang together.
#[derive(Default)]
pub(super) struct Links {
    pub(super) correlations: Vec<Correlation>,
    /// For each rule, the fields that its correlations ask for.
    pub(super) captures: Vec<Vec<String>>,
    /// For each rule, the correlations that it feeds.
    pub(super) feeds: Vec<Vec<Feed>>,
    /// For each rule, whether it is reported by itself: one that only feeds correlations is not.
    pub(super) reported: Vec<bool>,
}

/// Joins correlations to their rules; one that names a rule that is not there is refused.
pub(super) fn link(
    rules: &[Loaded],
    correlations: Vec<LoadedCorrelation>,
    refused: &mut Vec<Refusal>,
) -> Links {
    let mut sound = Vec::new();
    for loaded in correlations {
        match rsigma_eval::correlation::compile_correlation(&loaded.rule) {
            Ok(compiled) => sound.push((loaded, compiled)),
            Err(error) => refused.push(refusal(&loaded, one_line(&error.to_string()))),
        }
    }
    // Refusing one may leave another without its part, so this goes on until nothing changes.
    loop {
        let names = names(rules, &sound);
        let broken = sound
            .iter()
            .position(|(loaded, compiled)| fault(loaded, compiled, &names, &sound).is_some());
        let Some(index) = broken else { break };
        let (loaded, compiled) = sound.remove(index);
        let reason = fault(&loaded, &compiled, &names, &sound)
            .unwrap_or_else(|| "it counts itself".to_owned());
        refused.push(refusal(&loaded, reason));
    }
    refused.sort();
    let names = names(rules, &sound);
    let mut links = Links {
        correlations: Vec::new(),
        captures: vec![Vec::new(); rules.len()],
        feeds: vec![Vec::new(); rules.len()],
        reported: vec![true; rules.len()],
    };
    for (index, (loaded, compiled)) in sound.into_iter().enumerate() {
        links.add(index, loaded, compiled, &names, rules);
    }
    links.hide_parts();
    links
}

fn refusal(loaded: &LoadedCorrelation, reason: String) -> Refusal {
    Refusal {
        file: loaded.info.file.clone(),
        title: Some(loaded.info.title.clone()),
        reason,
    }
}

type Names = BTreeMap<String, Vec<Member>>;

/// What each id and name stands for.
fn names(rules: &[Loaded], correlations: &[(LoadedCorrelation, CompiledCorrelation)]) -> Names {
    let mut names = Names::new();
    let mut add = |name: Option<&str>, member| {
        let Some(name) = name else { return };
        let members = names.entry(name.to_owned()).or_default();
        if !members.contains(&member) {
            members.push(member);
        }
    };
    for (index, rule) in rules.iter().enumerate() {
        add(Some(&rule.info.id), Member::Rule(index));
        add(rule.name.as_deref(), Member::Rule(index));
    }
    for (index, (loaded, _)) in correlations.iter().enumerate() {
        add(Some(&loaded.info.id), Member::Correlation(index));
        add(loaded.rule.name.as_deref(), Member::Correlation(index));
    }
    names
}

/// Why a correlation cannot be used, if so.
fn fault(
    loaded: &LoadedCorrelation,
    compiled: &CompiledCorrelation,
    names: &Names,
    all: &[(LoadedCorrelation, CompiledCorrelation)],
) -> Option<String> {
    if compiled.window_mode != WindowMode::Sliding {
        return Some(format!(
            "window {} is not supported",
            compiled.window_mode.as_str()
        ));
    }
    if compiled.rule_refs.is_empty() {
        return Some("it names no rule".to_owned());
    }
    if let Some(missing) = compiled
        .rule_refs
        .iter()
        .find(|name| !names.contains_key(*name))
    {
        return Some(format!("it counts the rule {missing}, which is not loaded"));
    }
    let counts = compiled.correlation_type == CorrelationType::EventCount;
    let most = compiled
        .condition
        .predicates
        .iter()
        .map(|(_, number)| *number)
        .fold(0.0, f64::max);
    if counts && most > count_of(GROUP_EVENTS_MAX) {
        return Some(format!(
            "it counts to {most}, at most {GROUP_EVENTS_MAX} events are remembered"
        ));
    }
    if depth(&loaded.info.id, compiled, names, all, 0) > DEPTH_MAX {
        return Some(format!(
            "it counts itself, or stands on more than {DEPTH_MAX} others"
        ));
    }
    None
}

/// How many correlations stand under one; more than [`DEPTH_MAX`] where they stand on each other.
fn depth(
    id: &str,
    compiled: &CompiledCorrelation,
    names: &Names,
    all: &[(LoadedCorrelation, CompiledCorrelation)],
    so_far: usize,
) -> usize {
    if so_far > DEPTH_MAX {
        return so_far;
    }
    let members = compiled
        .rule_refs
        .iter()
        .filter_map(|name| names.get(name))
        .flatten();
    let below = members.filter_map(|member| match member {
        Member::Correlation(index) => all.get(*index),
        Member::Rule(_) => None,
    });
    let mut deepest = so_far;
    for (loaded, part) in below {
        let found = if loaded.info.id == id {
            DEPTH_MAX + 1
        } else {
            depth(id, part, names, all, so_far + 1)
        };
        deepest = deepest.max(found);
        if deepest > DEPTH_MAX {
            break;
        }
    }
    deepest
}

impl Links {
    fn add(
        &mut self,
        index: usize,
        loaded: LoadedCorrelation,
        compiled: CompiledCorrelation,
        names: &Names,
        rules: &[Loaded],
    ) {
        let members: Vec<Vec<Member>> = compiled
            .rule_refs
            .iter()
            .map(|name| names.get(name).cloned().unwrap_or_default())
            .collect();
        for (reference, standing) in members.iter().enumerate() {
            for member in standing {
                let Member::Rule(rule) = member else { continue };
                let Some(loaded) = rules.get(*rule) else {
                    continue;
                };
                let known = [Some(loaded.info.id.as_str()), loaded.name.as_deref()];
                let known: Vec<&str> = known.into_iter().flatten().collect();
                let group = compiled
                    .group_by
                    .iter()
                    .map(|field| self.capture(*rule, field.resolve(&known)))
                    .collect();
                let counted = compiled.condition.field.iter().flatten();
                let values = counted
                    .map(|name| self.capture(*rule, aliased(&compiled, name, &known)))
                    .collect();
                if let Some(feeds) = self.feeds.get_mut(*rule) {
                    feeds.push(Feed {
                        correlation: index,
                        reference,
                        group,
                        values,
                    });
                }
            }
        }
        let span_us = i64::try_from(compiled.timespan_secs)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000_000);
        self.correlations.push(Correlation {
            info: loaded.info,
            compiled,
            members,
            reported: true,
            span_us,
        });
    }

    /// Captures fields that an exception from a correlation asks for, of every rule that feeds it.
    pub(super) fn capture_for(&mut self, correlation: usize, fields: &[(String, String)]) {
        for rule in 0..self.feeds.len() {
            let feeds = |feed: &Feed| feed.correlation == correlation;
            if self
                .feeds
                .get(rule)
                .is_some_and(|all| all.iter().any(feeds))
            {
                for (name, _) in fields {
                    self.capture(rule, name);
                }
            }
        }
    }

    fn capture(&mut self, rule: usize, field: &str) -> usize {
        let Some(wanted) = self.captures.get_mut(rule) else {
            return usize::MAX;
        };
        if let Some(place) = wanted.iter().position(|name| name == field) {
            return place;
        }
        wanted.push(field.to_owned());
        wanted.len() - 1
    }

    /// A rule that a correlation counts is not reported by itself, unless the correlation says
    /// `generate: true`.
    fn hide_parts(&mut self) {
        let mut hidden = Vec::new();
        for correlation in &self.correlations {
            if !correlation.compiled.generate {
                hidden.extend(correlation.members.iter().flatten().copied());
            }
        }
        for member in hidden {
            match member {
                Member::Rule(rule) => {
                    if let Some(reported) = self.reported.get_mut(rule) {
                        *reported = false;
                    }
                }
                Member::Correlation(index) => {
                    if let Some(correlation) = self.correlations.get_mut(index) {
                        correlation.reported = false;
                    }
                }
            }
        }
    }
}

/// The field behind a name in a condition, which may be an alias of a `group-by` field.
fn aliased<'c>(compiled: &'c CompiledCorrelation, name: &'c str, known: &[&str]) -> &'c str {
    let alias = compiled
        .group_by
        .iter()
        .find(|field| matches!(field, GroupByField::Aliased { .. }) && field.name() == name);
    alias.map_or(name, |field| field.resolve(known))
}

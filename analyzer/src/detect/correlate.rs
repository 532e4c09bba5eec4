//! Rules over several events (Sigma specification 2.1, correlations): counts and orders in a
//! window of event time.
//!
//! The window slides: what counts at an event is what happened at most one timespan before it.
//! A group (the events that agree in the `group-by` fields) that has fired stays quiet until one
//! timespan has passed since, so that a burst is one detection and not one for each event in it.
//! An event that lacks a `group-by` field belongs to no group.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rsigma_eval::{CompiledCorrelation, GroupByField};
use rsigma_parser::{ConditionExpr, CorrelationType, Quantifier, WindowMode};
use saigen_schemas::event::{ProcessKey, Time};

use crate::detect::detection::{Detection, MatchedField, cut, explain, quoted};
use crate::detect::engine::{Engine, Match};
use crate::detect::load::{Loaded, LoadedCorrelation};
use crate::detect::mend::one_line;
use crate::detect::{Refusal, RuleInfo};

/// The most events that one group remembers; the oldest go first.
const GROUP_EVENTS_MAX: usize = 4096;

/// The most groups that one rule remembers. Beyond it those whose window has passed are
/// forgotten, then the oldest.
const GROUPS_MAX: usize = 65_536;

/// The most events that a detection names.
const NAMED_EVENTS_MAX: usize = 256;

/// How deep correlations may stand on correlations.
const DEPTH_MAX: usize = 10;

/// A correlation rule, joined to the rules that it counts.
pub(super) struct Correlation {
    pub(super) info: Arc<RuleInfo>,
    compiled: CompiledCorrelation,
    /// The rules that each of its references stands for.
    members: Vec<Vec<Member>>,
    /// Whether it is reported itself, or only feeds others.
    reported: bool,
    span_us: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
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
struct Feed {
    correlation: usize,
    /// Which of the correlation's references the rule is.
    reference: usize,
    /// Places of the group's values among the captured ones.
    group: Vec<usize>,
    /// Places of the counted or summed values.
    values: Vec<usize>,
}

/// How rules and correlations hang together.
#[derive(Default)]
pub(super) struct Links {
    pub(super) correlations: Vec<Correlation>,
    /// For each rule, the fields that its correlations ask for.
    pub(super) captures: Vec<Vec<String>>,
    feeds: Vec<Vec<Feed>>,
    /// For each rule, whether it is reported by itself: one that only feeds correlations is not.
    reported: Vec<bool>,
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

/// What is known of an event when its matches are counted.
#[derive(Clone, Debug)]
pub struct Occasion<R> {
    /// The caller's name for the event.
    pub event: R,
    /// When it happened. Windows are measured on the wall clock, which all hosts share.
    pub time: Time,
    /// Host that reported it.
    pub host: String,
    /// The process that did it.
    pub process: Option<ProcessKey>,
}

struct Entry<R> {
    time_us: i64,
    reference: usize,
    value: Option<String>,
    event: R,
}

struct Group<R> {
    entries: VecDeque<Entry<R>>,
    quiet_until_us: Option<i64>,
    last_us: i64,
}

/// Turns matches into detections, and counts what several events say together.
///
/// Matches must come in the order of the evidence; the same order gives the same detections.
pub struct Correlator<'e, R> {
    engine: &'e Engine,
    groups: Vec<BTreeMap<Vec<String>, Group<R>>>,
}

impl<'e, R: Clone + PartialEq> Correlator<'e, R> {
    /// A correlator that has seen nothing.
    #[must_use]
    pub fn new(engine: &'e Engine) -> Self {
        let groups = engine
            .links()
            .correlations
            .iter()
            .map(|_| BTreeMap::new())
            .collect();
        Self { engine, groups }
    }

    /// The detections that one event's matches make: first those of single rules, in the order of
    /// the rules, then those of correlations that it completes.
    pub fn observe(&mut self, occasion: &Occasion<R>, matches: &[Match]) -> Vec<Detection<R>> {
        let mut found = Vec::new();
        let links = self.engine.links();
        for matched in matches {
            if links.reported.get(matched.rule).copied().unwrap_or(true) {
                found.extend(self.single(occasion, matched));
            }
        }
        for matched in matches {
            for feed in links.feeds.get(matched.rule).into_iter().flatten() {
                let text = |place: &usize| matched.captured.get(*place).cloned().flatten();
                let Some(group) = feed.group.iter().map(text).collect::<Option<Vec<String>>>()
                else {
                    continue;
                };
                let value = if feed.values.is_empty() {
                    None
                } else {
                    let Some(parts) = feed
                        .values
                        .iter()
                        .map(text)
                        .collect::<Option<Vec<String>>>()
                    else {
                        continue;
                    };
                    Some(parts.join("\u{1f}"))
                };
                let entry = Entry {
                    time_us: occasion.time.wall_us,
                    reference: feed.reference,
                    value,
                    event: occasion.event.clone(),
                };
                self.count(occasion, feed.correlation, group, entry, &mut found);
            }
        }
        found
    }

    fn single(&self, occasion: &Occasion<R>, matched: &Match) -> Option<Detection<R>> {
        let rule = self.engine.info_of(matched)?.clone();
        Some(Detection {
            rule,
            time: occasion.time,
            host: occasion.host.clone(),
            process: occasion.process,
            events: vec![occasion.event.clone()],
            why: explain(&matched.fields),
            fields: matched.fields.clone(),
        })
    }

    fn count(
        &mut self,
        occasion: &Occasion<R>,
        index: usize,
        key: Vec<String>,
        entry: Entry<R>,
        found: &mut Vec<Detection<R>>,
    ) {
        let engine = self.engine;
        let links = engine.links();
        let (Some(correlation), Some(groups)) =
            (links.correlations.get(index), self.groups.get_mut(index))
        else {
            return;
        };
        if groups.len() >= GROUPS_MAX && !groups.contains_key(&key) {
            forget(groups, entry.time_us.saturating_sub(correlation.span_us));
        }
        let group = groups.entry(key.clone()).or_insert_with(|| Group {
            entries: VecDeque::new(),
            quiet_until_us: None,
            last_us: i64::MIN,
        });
        group.last_us = group.last_us.max(entry.time_us);
        let start = group.last_us.saturating_sub(correlation.span_us);
        group.entries.push_back(entry);
        group.entries.retain(|entry| entry.time_us >= start);
        while group.entries.len() > GROUP_EVENTS_MAX {
            group.entries.pop_front();
        }
        if group
            .quiet_until_us
            .is_some_and(|until| group.last_us < until)
        {
            return;
        }
        let Some(reached) = reached(correlation, &group.entries) else {
            return;
        };
        group.quiet_until_us = Some(group.last_us.saturating_add(correlation.span_us));
        let mut events: Vec<R> = Vec::new();
        for entry in &group.entries {
            if events.len() < NAMED_EVENTS_MAX && events.last() != Some(&entry.event) {
                events.push(entry.event.clone());
            }
        }
        let shared: Vec<(String, String)> = correlation
            .compiled
            .group_by
            .iter()
            .map(|field| field.name().to_owned())
            .zip(key)
            .collect();
        if correlation.reported {
            found.push(Detection {
                rule: correlation.info.clone(),
                time: occasion.time,
                host: occasion.host.clone(),
                process: occasion.process,
                why: reason(correlation, reached, events.len(), &shared),
                events,
                fields: shared
                    .iter()
                    .map(|(name, value)| shared_field(name, value))
                    .collect(),
            });
        }
        self.count_above(occasion, index, &shared, found);
    }

    /// Feeds a correlation that fired to those that stand on it; they see its group.
    fn count_above(
        &mut self,
        occasion: &Occasion<R>,
        index: usize,
        shared: &[(String, String)],
        found: &mut Vec<Detection<R>>,
    ) {
        let value_of = |name: &str| {
            shared
                .iter()
                .find(|(own, _)| own == name)
                .map(|(_, value)| value.clone())
        };
        let mut above = Vec::new();
        for (upper, correlation) in self.engine.links().correlations.iter().enumerate() {
            let reference = correlation
                .members
                .iter()
                .position(|members| members.contains(&Member::Correlation(index)));
            let Some(reference) = reference else { continue };
            let key = correlation
                .compiled
                .group_by
                .iter()
                .map(|field| value_of(field.name()))
                .collect::<Option<Vec<_>>>();
            let counted = correlation.compiled.condition.field.iter().flatten();
            let values = counted
                .map(|name| value_of(name))
                .collect::<Option<Vec<_>>>();
            if let (Some(key), Some(values)) = (key, values) {
                above.push((
                    upper,
                    reference,
                    key,
                    (!values.is_empty()).then(|| values.join("\u{1f}")),
                ));
            }
        }
        for (upper, reference, key, value) in above {
            let entry = Entry {
                time_us: occasion.time.wall_us,
                reference,
                value,
                event: occasion.event.clone(),
            };
            self.count(occasion, upper, key, entry, found);
        }
    }
}

fn shared_field(name: &str, value: &str) -> MatchedField {
    MatchedField {
        selection: "group".to_owned(),
        field: name.to_owned(),
        value: cut(value),
        pattern: None,
    }
}

/// Makes room: groups whose window has passed go, then the one that was quiet for longest.
fn forget<R>(groups: &mut BTreeMap<Vec<String>, Group<R>>, start_us: i64) {
    groups.retain(|_, group| group.last_us >= start_us);
    while groups.len() >= GROUPS_MAX {
        let oldest = groups
            .iter()
            .min_by_key(|(_, group)| group.last_us)
            .map(|(key, _)| key.clone());
        let Some(oldest) = oldest else { break };
        groups.remove(&oldest);
    }
}

/// The value that a group has reached, if its correlation's condition holds.
fn reached<R>(correlation: &Correlation, entries: &VecDeque<Entry<R>>) -> Option<f64> {
    let compiled = &correlation.compiled;
    let value = match compiled.correlation_type {
        CorrelationType::EventCount => count_of(entries.len()),
        CorrelationType::ValueCount => {
            let mut values: Vec<&str> = entries
                .iter()
                .filter_map(|entry| entry.value.as_deref())
                .collect();
            values.sort_unstable();
            values.dedup();
            count_of(values.len())
        }
        CorrelationType::Temporal | CorrelationType::TemporalOrdered => {
            return in_time(correlation, entries);
        }
        CorrelationType::ValueSum => numbers(entries).iter().sum(),
        CorrelationType::ValueAvg => {
            let numbers = numbers(entries);
            numbers.iter().sum::<f64>() / count_of(numbers.len())
        }
        CorrelationType::ValuePercentile => percentile(
            numbers(entries),
            compiled.condition.percentile.unwrap_or(50),
        )?,
        CorrelationType::ValueMedian => percentile(numbers(entries), 50)?,
    };
    compiled.condition.check(value).then_some(value)
}

/// `temporal` and `temporal_ordered`: all parts happened, in any order or in the rule's.
fn in_time<R>(correlation: &Correlation, entries: &VecDeque<Entry<R>>) -> Option<f64> {
    let compiled = &correlation.compiled;
    let references = compiled.rule_refs.len();
    let happened: Vec<bool> = (0..references)
        .map(|reference| entries.iter().any(|entry| entry.reference == reference))
        .collect();
    let count = count_of(happened.iter().filter(|happened| **happened).count());
    if let Some(expression) = &compiled.extended_expr {
        return holds(expression, &compiled.rule_refs, &happened).then_some(count);
    }
    if !happened.iter().all(|happened| *happened) {
        return None;
    }
    if compiled.correlation_type == CorrelationType::TemporalOrdered {
        let mut next = 0;
        let mut in_order: Vec<&Entry<R>> = entries.iter().collect();
        in_order.sort_by_key(|entry| entry.time_us);
        for entry in in_order {
            if entry.reference == next {
                next += 1;
            }
        }
        if next < references {
            return None;
        }
    }
    Some(count)
}

fn holds(expression: &ConditionExpr, names: &[String], happened: &[bool]) -> bool {
    let has = |name: &str| {
        names
            .iter()
            .zip(happened)
            .any(|(own, happened)| own == name && *happened)
    };
    match expression {
        ConditionExpr::And(parts) => parts.iter().all(|part| holds(part, names, happened)),
        ConditionExpr::Or(parts) => parts.iter().any(|part| holds(part, names, happened)),
        ConditionExpr::Not(part) => !holds(part, names, happened),
        ConditionExpr::Identifier(name) => has(name),
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => {
            let fitting = names
                .iter()
                .zip(happened)
                .filter(|(name, _)| pattern.matches_detection_name(name));
            let (all, yes) = fitting.fold((0_u64, 0_u64), |(all, yes), (_, happened)| {
                (all + 1, yes + u64::from(*happened))
            });
            match quantifier {
                Quantifier::Any => yes > 0,
                Quantifier::All => yes == all,
                Quantifier::Count(wanted) => yes >= *wanted,
            }
        }
    }
}

fn numbers<R>(entries: &VecDeque<Entry<R>>) -> Vec<f64> {
    entries
        .iter()
        .filter_map(|entry| entry.value.as_deref()?.parse().ok())
        .filter(|number: &f64| number.is_finite())
        .collect()
}

/// The value at a percentile, between two neighbours in proportion.
fn percentile(mut numbers: Vec<f64>, rank: u64) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len().checked_sub(1)?;
    let hundredths = usize::try_from(rank.min(100)).ok()?.saturating_mul(last);
    let (below, rest) = (hundredths / 100, hundredths % 100);
    let low = numbers.get(below)?;
    let high = numbers.get(below + 1).unwrap_or(low);
    Some(low + (high - low) * count_of(rest) / 100.0)
}

/// A count as the number that conditions compare. Counts here stay far below 2^32.
fn count_of(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The sentence for a correlation that fired.
fn reason(
    correlation: &Correlation,
    reached: f64,
    events: usize,
    shared: &[(String, String)],
) -> String {
    let compiled = &correlation.compiled;
    let seconds = compiled.timespan_secs;
    let counted = compiled
        .condition
        .field
        .as_ref()
        .map(|names| names.join(", "))
        .unwrap_or_default();
    let what = match compiled.correlation_type {
        CorrelationType::EventCount => format!("{reached} events within {seconds} s"),
        CorrelationType::ValueCount => {
            format!("{reached} different values of {counted} within {seconds} s")
        }
        CorrelationType::Temporal => format!("{reached} different findings within {seconds} s"),
        CorrelationType::TemporalOrdered => {
            format!("{reached} findings in order within {seconds} s")
        }
        CorrelationType::ValueSum => format!("{counted} adds up to {reached} within {seconds} s"),
        CorrelationType::ValueAvg => {
            format!("the mean of {counted} is {reached} within {seconds} s")
        }
        CorrelationType::ValuePercentile | CorrelationType::ValueMedian => {
            format!("the percentile of {counted} is {reached} within {seconds} s")
        }
    };
    let sharing: Vec<String> = shared
        .iter()
        .map(|(name, value)| format!("{name} {}", quoted(value)))
        .collect();
    if sharing.is_empty() {
        format!("{what}, {events} events named")
    } else {
        format!("{what}, sharing {}", sharing.join(", "))
    }
}

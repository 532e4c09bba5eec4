//! Rules over several events (Sigma specification 2.1, correlations): counts and orders in a
//! window of event time.
//!
//! The window slides: what counts at an event is what happened at most one timespan before it.
//! A group (the events that agree in the `group-by` fields) that has fired stays quiet until one
//! timespan has passed since, so that a burst is one detection and not one for each event in it.
//! An event that lacks a `group-by` field belongs to no group.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rsigma_parser::CorrelationType;
use saigen_schemas::event::{ProcessKey, Time};

use crate::detect::allow::{Exception, Quiet, Suppression};
use crate::detect::detection::{Detection, MatchedField, cut, explain, quoted};
use crate::detect::engine::{Engine, Match};
use crate::detect::link::{Correlation, Member};
use crate::detect::window::{Entry, reached, remember};

/// The most groups that one rule remembers. Beyond it those whose window has passed are
/// forgotten, then the oldest.
const GROUPS_MAX: usize = 65_536;

/// The most events that a detection names.
const NAMED_EVENTS_MAX: usize = 256;

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

/// The events of one rule that agree in its `group-by` fields.
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
    /// How often what quietened which rule, and the first event.
    quieted: BTreeMap<(Quiet, usize), (u64, R)>,
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
        Self {
            engine,
            groups,
            quieted: BTreeMap::new(),
        }
    }

    /// What was quietened so far, in the order of the exceptions and of the rules.
    pub fn suppressed(&self) -> Vec<Suppression<R>> {
        let rows = self.quieted.iter();
        rows.filter_map(|((quiet, rule), (count, first))| {
            Some(Suppression {
                rule: Arc::clone(self.engine.info_at(*rule)?),
                entry: self.engine.quiet_entry(*quiet),
                count: *count,
                first: first.clone(),
            })
        })
        .collect()
    }

    /// The exceptions that covered nothing so far.
    pub fn unused_exceptions(&self) -> Vec<&'e Exception> {
        let used = |place: usize| {
            self.quieted
                .keys()
                .any(|(quiet, _)| *quiet == Quiet::Excepted(place))
        };
        let all = self.engine.exceptions().enumerate();
        all.filter(|(place, _)| !used(*place))
            .map(|(_, exception)| exception)
            .collect()
    }

    fn quieten(&mut self, quiet: Quiet, rule: usize, event: &R) {
        let row = self
            .quieted
            .entry((quiet, rule))
            .or_insert_with(|| (0, event.clone()));
        row.0 += 1;
    }

    /// The detections that one event's matches make: first those of single rules, in the order of
    /// the rules, then those of correlations that it completes.
    pub fn observe(&mut self, occasion: &Occasion<R>, matches: &[Match]) -> Vec<Detection<R>> {
        let mut found = Vec::new();
        let links = self.engine.links();
        for matched in matches {
            if let Some(quiet) = matched.quiet {
                self.quieten(quiet, matched.rule, &occasion.event);
            } else if links.reported.get(matched.rule).copied().unwrap_or(true) {
                found.extend(self.single(occasion, matched));
            }
        }
        for matched in matches.iter().filter(|matched| matched.quiet.is_none()) {
            let named = |name: &str| {
                let names = links.captures.get(matched.rule)?;
                let place = names.iter().position(|own| own == name)?;
                matched.captured.get(place).cloned().flatten()
            };
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
                self.count(occasion, feed.correlation, group, entry, &named, &mut found);
            }
        }
        found
    }

    fn single(&self, occasion: &Occasion<R>, matched: &Match) -> Option<Detection<R>> {
        let rule = Arc::clone(self.engine.info_at(matched.rule)?);
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
        named: &dyn Fn(&str) -> Option<String>,
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
        remember(
            correlation.compiled.correlation_type,
            &mut group.entries,
            entry,
        );
        group.entries.retain(|entry| entry.time_us >= start);
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
        let value = |name: &str| match name {
            "Computer" => Some(occasion.host.clone()),
            _ => shared
                .iter()
                .find(|(own, _)| own == name)
                .map(|(_, value)| value.clone())
                .or_else(|| named(name)),
        };
        let place = engine.place_of_correlation(index);
        if let Some(quiet) = engine.excepted(place, Some(occasion.time.wall_us), &value) {
            return self.quieten(quiet, place, &occasion.event);
        }
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
            self.count(occasion, upper, key, entry, &|_| None, found);
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

//! What the events of one group within one timespan add up to.

use std::collections::VecDeque;

use rsigma_parser::{ConditionExpr, CorrelationType, Quantifier};

use crate::detect::link::Correlation;

/// The most events that one group remembers; the oldest go first.
pub(super) const GROUP_EVENTS_MAX: usize = 4096;

/// An event that counts.
pub(super) struct Entry<R> {
    /// When, on the wall clock, in microseconds.
    pub(super) time_us: i64,
    /// Which of the correlation's references it is of.
    pub(super) reference: usize,
    /// The value that is counted or summed.
    pub(super) value: Option<String>,
    /// The caller's name for the event.
    pub(super) event: R,
}

/// Adds an event to a group, and forgets what can no longer bear on the group's condition: of
/// events with the same value, or of the same part one after the other, the newest stands for all.
pub(super) fn remember<R>(
    kind: CorrelationType,
    entries: &mut VecDeque<Entry<R>>,
    entry: Entry<R>,
) {
    match kind {
        CorrelationType::ValueCount => entries.retain(|old| old.value != entry.value),
        CorrelationType::Temporal | CorrelationType::TemporalOrdered => {
            let same =
                |old: &&Entry<R>| old.reference == entry.reference && old.time_us <= entry.time_us;
            if entries.back().filter(same).is_some() {
                entries.pop_back();
            }
        }
        CorrelationType::EventCount
        | CorrelationType::ValueSum
        | CorrelationType::ValueAvg
        | CorrelationType::ValuePercentile
        | CorrelationType::ValueMedian => {}
    }
    entries.push_back(entry);
    while entries.len() > GROUP_EVENTS_MAX {
        entries.pop_front();
    }
}

/// The value that a group has reached, if its correlation's condition holds.
pub(super) fn reached<R>(correlation: &Correlation, entries: &VecDeque<Entry<R>>) -> Option<f64> {
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
pub(super) fn count_of(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

//! What was found: plain data, with its grounds.

use std::sync::Arc;

use saigen_schemas::event::{ProcessKey, Time};

use crate::detect::RuleInfo;

/// The most characters of a value that are kept in a detection. The event itself has the rest.
const VALUE_CHARS_MAX: usize = 1024;

/// The selection of fields that fitted a list of indicators.
pub(super) const INDICATOR: &str = "indicator";

/// One field that fitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedField {
    /// The part of the rule (its named selection) that it belongs to.
    pub selection: String,
    /// The field's name in the rule; `keyword` for a word anywhere in the event.
    pub field: String,
    /// Its value, cut at 1,024 characters.
    pub value: String,
    /// The rule's pattern, where it is one.
    pub pattern: Option<String>,
}

/// A rule that fired, on one event or on several together.
///
/// `R` is what the caller names events by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection<R> {
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// When: of the last event where there are several.
    pub time: Time,
    /// Host that reported the event.
    pub host: String,
    /// The process that did it.
    pub process: Option<ProcessKey>,
    /// The events behind it, in their order. Never empty.
    pub events: Vec<R>,
    /// What fitted, in the rule's order; for correlations what the events share.
    pub fields: Vec<MatchedField>,
    /// The ground in one sentence.
    pub why: String,
}

/// Cuts a value to what a detection keeps.
pub(super) fn cut(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or(value)),
        None => value.to_owned(),
    }
}

/// The sentence for a rule that fitted one event.
pub(super) fn explain(fields: &[MatchedField]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for field in fields {
        let mut part = format!("{} is {}", field.field, quoted(&field.value));
        if field.selection == INDICATOR
            && let Some(place) = &field.pattern
        {
            part = format!("{} holds {} ({place})", field.field, quoted(&field.value));
        }
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    if parts.is_empty() {
        "no field of the event excludes it".to_owned()
    } else {
        parts.join("; ")
    }
}

/// A value for a sentence: short, in quotes.
pub(super) fn quoted(value: &str) -> String {
    const SHORT: usize = 120;
    match value.char_indices().nth(SHORT) {
        Some((end, _)) => format!("“{}…”", value.get(..end).unwrap_or(value)),
        None => format!("“{value}”"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = "ä".repeat(VALUE_CHARS_MAX + 1);
        assert_eq!(cut(&long).chars().count(), VALUE_CHARS_MAX + 1);
        assert!(cut(&long).ends_with('…'));
        assert_eq!(cut("ä"), "ä");
    }
}

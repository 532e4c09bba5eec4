//! Filters of the specification: each is one more condition of the rules that it names.

use rsigma_parser::{ConditionExpr, FilterRule, SelectorPattern, SigmaRule};

/// Joins a filter to a rule: the rule holds and the filter's condition holds. `number` keeps the
/// names of several filters apart.
pub(in crate::detect) fn join_filter(rule: &mut SigmaRule, filter: &FilterRule, number: usize) {
    let prefix = format!("__filter_{number}_");
    for (name, detection) in &filter.detection.named {
        rule.detection
            .named
            .insert(format!("{prefix}{name}"), detection.clone());
    }
    let own: Vec<ConditionExpr> = filter
        .detection
        .conditions
        .iter()
        .map(|condition| prefix_names(condition, &prefix))
        .collect();
    let joined = ConditionExpr::Or(own);
    for condition in &mut rule.detection.conditions {
        *condition = ConditionExpr::And(vec![condition.clone(), joined.clone()]);
    }
}

fn prefix_names(condition: &ConditionExpr, prefix: &str) -> ConditionExpr {
    let all = |parts: &[ConditionExpr]| {
        parts
            .iter()
            .map(|part| prefix_names(part, prefix))
            .collect()
    };
    match condition {
        ConditionExpr::And(parts) => ConditionExpr::And(all(parts)),
        ConditionExpr::Or(parts) => ConditionExpr::Or(all(parts)),
        ConditionExpr::Not(part) => ConditionExpr::Not(Box::new(prefix_names(part, prefix))),
        ConditionExpr::Identifier(name) => ConditionExpr::Identifier(format!("{prefix}{name}")),
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => ConditionExpr::Selector {
            quantifier: quantifier.clone(),
            pattern: SelectorPattern::Pattern(match pattern {
                SelectorPattern::Them => format!("{prefix}*"),
                SelectorPattern::Pattern(pattern) => format!("{prefix}{pattern}"),
            }),
        },
    }
}

//! Texts with wildcards or dashes of any kind as matchers.

use rsigma_ir::{IrMatcher, IrPattern, IrPatternPart, IrStrOp};

use crate::detect::mend::mark::{ANY_DASH, DASH_CLASS, DASHES};

pub(super) fn plain(op: IrStrOp, text: String, case_insensitive: bool) -> IrMatcher {
    IrMatcher::Str {
        op,
        pattern: IrPattern {
            parts: vec![IrPatternPart::Literal(text)],
        },
        case_insensitive,
    }
}

pub(super) fn contains(text: String, case_insensitive: bool) -> IrMatcher {
    plain(IrStrOp::Contains, text, case_insensitive)
}

pub(super) fn has_dash(pattern: &IrPattern) -> bool {
    let marked = |part: &IrPatternPart| match part {
        IrPatternPart::Literal(text) => text.contains(ANY_DASH),
        IrPatternPart::WildcardMulti | IrPatternPart::WildcardSingle => false,
    };
    pattern.parts.iter().any(marked)
}

/// A text with wildcards or marked dashes: plain where `*` stands only at its ends, else an expression together
/// with the longest text that it needs, so that rules can be chosen by that text.
pub(super) fn wildcards(op: IrStrOp, pattern: &IrPattern, case_insensitive: bool) -> IrMatcher {
    let mut open_start = matches!(op, IrStrOp::Contains | IrStrOp::EndsWith);
    let mut open_end = matches!(op, IrStrOp::Contains | IrStrOp::StartsWith);
    let mut parts = pattern.parts.as_slice();
    while let [IrPatternPart::WildcardMulti, rest @ ..] = parts {
        open_start = true;
        parts = rest;
    }
    while let [rest @ .., IrPatternPart::WildcardMulti] = parts {
        open_end = true;
        parts = rest;
    }
    if let [IrPatternPart::Literal(text)] = parts
        && text.matches(ANY_DASH).count() <= 1
    {
        let op = match (open_start, open_end) {
            (false, false) => IrStrOp::Exact,
            (false, true) => IrStrOp::StartsWith,
            (true, false) => IrStrOp::EndsWith,
            (true, true) => IrStrOp::Contains,
        };
        if !text.contains(ANY_DASH) {
            return plain(op, text.clone(), case_insensitive);
        }
        let each = DASHES.map(|dash| {
            let text = text.replace(ANY_DASH, dash.encode_utf8(&mut [0; 4]));
            plain(op, text, case_insensitive)
        });
        return IrMatcher::AnyOf(each.into());
    }
    let mut expression = String::new();
    let mut longest = "";
    if !open_start {
        expression.push_str(r"\A");
    }
    for part in parts {
        match part {
            IrPatternPart::Literal(text) => {
                for (index, piece) in text.split(ANY_DASH).enumerate() {
                    if index > 0 {
                        expression.push_str(DASH_CLASS);
                    }
                    expression.push_str(&regex::escape(piece));
                    if piece.len() > longest.len() {
                        longest = piece;
                    }
                }
            }
            IrPatternPart::WildcardMulti => expression.push_str(".*"),
            IrPatternPart::WildcardSingle => expression.push('.'),
        }
    }
    if !open_end {
        expression.push_str(r"\z");
    }
    let expression = IrMatcher::Regex {
        pattern: expression,
        case_insensitive,
        multiline: false,
        dotall: true,
        cased: !case_insensitive,
    };
    if longest.is_empty() {
        return expression;
    }
    IrMatcher::AllOf(vec![
        contains(longest.to_owned(), case_insensitive),
        expression,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_at_the_ends_cost_no_expression() {
        let pattern = |text: &str| {
            let parts = text.split_inclusive(['*', '?']).flat_map(|piece| {
                let literal = piece.trim_end_matches(['*', '?']);
                let special = match piece.chars().last() {
                    Some('*') => Some(IrPatternPart::WildcardMulti),
                    Some('?') => Some(IrPatternPart::WildcardSingle),
                    _ => None,
                };
                (!literal.is_empty())
                    .then(|| IrPatternPart::Literal(literal.to_owned()))
                    .into_iter()
                    .chain(special)
            });
            IrPattern {
                parts: parts.collect(),
            }
        };
        assert_eq!(
            wildcards(IrStrOp::Exact, &pattern("*x"), true),
            plain(IrStrOp::EndsWith, "x".into(), true)
        );
        assert_eq!(
            wildcards(IrStrOp::Exact, &pattern("x*"), true),
            plain(IrStrOp::StartsWith, "x".into(), true)
        );
        assert_eq!(
            wildcards(IrStrOp::StartsWith, &pattern("*x*"), true),
            contains("x".into(), true)
        );
        let IrMatcher::AllOf(parts) = wildcards(IrStrOp::StartsWith, &pattern("ab*c"), false)
        else {
            panic!("an expression and its longest text");
        };
        assert_eq!(parts[0], contains("ab".into(), false));
        assert!(
            matches!(&parts[1], IrMatcher::Regex { pattern, dotall: true, .. } if pattern == r"\Aab.*c")
        );
    }
}

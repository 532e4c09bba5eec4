//! Where the matcher falls short of the Sigma specification (2.1), rules are rewritten before it
//! sees them:
//!
//! - `base64offset`: the last character of an encoding depends on the bytes that follow it, so it
//!   is cut off; the matcher would demand it and miss two of three alignments.
//! - `*` and `?` also stand for a line break (shells are started with scripts of many lines), and
//!   a prefix or suffix with a wildcard in it is anchored at its own end.
//! - `expand`: placeholders are filled in from the values given; a rule with a placeholder that
//!   nobody gave is refused instead of never firing.
//! - The matcher chooses the rules for an event by the most telling value that they demand. In
//!   audit's records it takes `type: EXECVE` for that, which every start of a program has; the
//!   type is compared in another way, so that an argument or a name is chosen instead.
//! - `windash`: a dash or slash before a word stands for any of the five dashes, also in texts with
//!   wildcards; the matcher would take a dash within a word for one, and no slash.
//! - A list that holds `null` beside values also fits where the field is missing.
//! - Keywords under `all` may stand in different fields of the event.
//! - Parts of times are read by us: also in the form of Sysmon, `2024-03-08 13:25:59.123`, and
//!   with the comparisons `gt`, `gte`, `lt` and `lte`.
//! - A filter of the specification is joined to its rules as one more condition.

mod base64;
mod filter;
mod mark;
mod pattern;
mod placeholders;

use regex::RegexBuilder;
use rsigma_ir::{IrDetection, IrDetectionItem, IrEncoding, IrMatcher, IrRule, IrStrOp};

use base64::{base64_offsets, encoded_bytes};
use pattern::{contains, has_dash, wildcards};

pub(super) use filter::join_filter;
pub(super) use mark::{mark, time_asked};
pub use placeholders::Placeholders;
pub(super) use placeholders::fill_placeholders;

/// The most memory that one compiled expression may take. The widest of SigmaHQ takes a tenth.
const REGEX_BYTES_MAX: usize = 4 << 20;

/// The most expressions in one rule, so that a rule cannot take memory without end.
const REGEXES_MAX: usize = 500;

/// Rewrites the matchers of a rule. The error says which expression is too large or broken.
pub(super) fn mend(rule: &mut IrRule) -> Result<(), String> {
    let mut regexes = 0;
    let of_audit = rule.logsource.service.as_deref() == Some("auditd");
    for detection in rule.detections.values_mut() {
        take_apart(detection);
        mend_detection(detection, &mut regexes)?;
        if of_audit && let IrDetection::AllOf(items) = detection {
            items.iter_mut().for_each(demote_type);
        }
    }
    Ok(())
}

/// Makes a demanded record type a test that no rule is chosen by.
fn demote_type(item: &mut IrDetectionItem) {
    if item.field.as_deref() == Some("type")
        && let IrMatcher::Str {
            op: IrStrOp::Exact,
            pattern,
            case_insensitive,
        } = &item.matcher
        && let Some(word) = pattern.as_plain()
    {
        item.matcher = IrMatcher::Regex {
            pattern: format!(r"\A{}\z", regex::escape(&word)),
            case_insensitive: *case_insensitive,
            multiline: false,
            dotall: false,
            cased: !*case_insensitive,
        };
    }
}

/// Takes apart what the matcher would hold against one value: nulls beside values, and keywords that
/// must all stand somewhere.
fn take_apart(detection: &mut IrDetection) {
    let items = match detection {
        IrDetection::AllOf(items) => items,
        IrDetection::AnyOf(parts) | IrDetection::And(parts) => {
            return parts.iter_mut().for_each(take_apart);
        }
        IrDetection::Conditional { named, .. } => {
            return named.values_mut().for_each(take_apart);
        }
        // In an array an item without a field is the element itself.
        IrDetection::ArrayMatch { .. } | IrDetection::Keywords(_) => return,
    };
    if items.iter().any(|item| item.field.is_none()) {
        let (words, named): (Vec<_>, Vec<_>) = std::mem::take(items)
            .into_iter()
            .partition(|item| item.field.is_none());
        let mut parts: Vec<IrDetection> = words.into_iter().flat_map(keywords).collect();
        if !named.is_empty() {
            let mut named = IrDetection::AllOf(named);
            take_apart(&mut named);
            parts.push(named);
        }
        *detection = IrDetection::And(parts);
        return;
    }
    let has_null = |item: &IrDetectionItem| matches!(&item.matcher, IrMatcher::AnyOf(values) if values.contains(&IrMatcher::Null));
    if !items.iter().any(has_null) {
        return;
    }
    let (nullable, plain): (Vec<_>, Vec<_>) = std::mem::take(items).into_iter().partition(has_null);
    let mut parts = Vec::with_capacity(nullable.len() + 1);
    if !plain.is_empty() {
        parts.push(IrDetection::AllOf(plain));
    }
    for item in nullable {
        let null = IrDetectionItem {
            matcher: IrMatcher::Null,
            ..item.clone()
        };
        let IrMatcher::AnyOf(mut values) = item.matcher else {
            continue;
        };
        values.retain(|value| *value != IrMatcher::Null);
        let rest = IrDetectionItem {
            field: item.field,
            matcher: IrMatcher::AnyOf(values),
            exists: item.exists,
        };
        parts.push(IrDetection::AnyOf(vec![
            IrDetection::AllOf(vec![null]),
            IrDetection::AllOf(vec![rest]),
        ]));
    }
    *detection = IrDetection::And(parts);
}

/// The keywords of an item without a field: each alone where all are asked for.
fn keywords(item: IrDetectionItem) -> Vec<IrDetection> {
    let words = if let IrMatcher::AllOf(words) = item.matcher {
        words
    } else {
        vec![item.matcher]
    };
    let anywhere = |mut word: IrMatcher| {
        if let IrMatcher::Str { op, .. } = &mut word
            && *op == IrStrOp::Exact
        {
            *op = IrStrOp::Contains;
        }
        IrDetection::Keywords(word)
    };
    words.into_iter().map(anywhere).collect()
}

fn mend_detection(detection: &mut IrDetection, regexes: &mut usize) -> Result<(), String> {
    match detection {
        IrDetection::AllOf(items) => items
            .iter_mut()
            .try_for_each(|item| mend_matcher(&mut item.matcher, regexes)),
        IrDetection::AnyOf(parts) | IrDetection::And(parts) => parts
            .iter_mut()
            .try_for_each(|part| mend_detection(part, regexes)),
        IrDetection::ArrayMatch { body, .. } => mend_detection(body, regexes),
        IrDetection::Conditional { named, .. } => named
            .values_mut()
            .try_for_each(|part| mend_detection(part, regexes)),
        IrDetection::Keywords(matcher) => mend_matcher(matcher, regexes),
    }
}

fn mend_matcher(matcher: &mut IrMatcher, regexes: &mut usize) -> Result<(), String> {
    match matcher {
        IrMatcher::Str {
            op,
            pattern,
            case_insensitive,
        } => {
            if pattern.has_wildcards() || has_dash(pattern) {
                let mended = wildcards(*op, pattern, *case_insensitive);
                *matcher = mended;
            }
            Ok(())
        }
        IrMatcher::Encoded {
            encodings,
            value,
            case_insensitive,
            ..
        } => {
            if encodings.contains(&IrEncoding::Base64Offset) {
                let fits = |text| contains(text, *case_insensitive);
                let mended = base64_offsets(&encoded_bytes(encodings, value))
                    .into_iter()
                    .map(fits)
                    .collect();
                *matcher = IrMatcher::AnyOf(mended);
            }
            Ok(())
        }
        IrMatcher::Regex {
            pattern,
            case_insensitive,
            multiline,
            dotall,
            ..
        } => {
            *regexes += 1;
            if *regexes > REGEXES_MAX {
                return Err(format!("more than {REGEXES_MAX} regular expressions"));
            }
            RegexBuilder::new(pattern)
                .case_insensitive(*case_insensitive)
                .multi_line(*multiline)
                .dot_matches_new_line(*dotall)
                .size_limit(REGEX_BYTES_MAX)
                .build()
                .map(drop)
                .map_err(|error| format!("regular expression: {}", one_line(&error.to_string())))
        }
        IrMatcher::Not(inner) | IrMatcher::TimestampPart { inner, .. } => {
            mend_matcher(inner, regexes)
        }
        IrMatcher::AnyOf(parts) | IrMatcher::AllOf(parts) => parts
            .iter_mut()
            .try_for_each(|part| mend_matcher(part, regexes)),
        IrMatcher::Cidr { .. }
        | IrMatcher::NumericEq(_)
        | IrMatcher::NumericGt(_)
        | IrMatcher::NumericGte(_)
        | IrMatcher::NumericLt(_)
        | IrMatcher::NumericLte(_)
        | IrMatcher::Exists(_)
        | IrMatcher::FieldRef { .. }
        | IrMatcher::Null
        | IrMatcher::BoolEq(_)
        | IrMatcher::Expand { .. } => Ok(()),
    }
}

/// The most letters of a message that are shown: parsers repeat themselves where things are nested.
const MESSAGE_MAX: usize = 240;

/// A message of several lines on one, beginning with a small letter unless it begins with an
/// abbreviation.
pub(super) fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MESSAGE_MAX) {
        line.truncate(end);
        line.push('…');
    }
    let mut letters = line.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if first.is_ascii_uppercase() && second.is_lowercase() => {
            format!(
                "{}{}",
                first.to_ascii_lowercase(),
                line.get(1..).unwrap_or_default()
            )
        }
        _ => line,
    }
}

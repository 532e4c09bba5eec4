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

use std::collections::BTreeMap;

use regex::RegexBuilder;
use rsigma_ir::{
    IrDetection, IrDetectionItem, IrEncoding, IrMatcher, IrPattern, IrPatternPart, IrRule, IrStrOp,
};
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, FilterRule, Modifier, SelectorPattern, SigmaRule,
    SigmaString, SigmaValue,
};

/// Values for the placeholders (`%name%`) of rules with the modifier `expand`.
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// The most memory that one compiled expression may take. The widest of SigmaHQ takes a tenth.
const REGEX_BYTES_MAX: usize = 4 << 20;

/// The most expressions in one rule, so that a rule cannot take memory without end.
const REGEXES_MAX: usize = 500;

/// The most values that placeholders may grow one field of a rule to.
const EXPANDED_MAX: usize = 100_000;

/// Fills the placeholders of a rule. The error names the placeholder that was not given.
pub(super) fn fill_placeholders(rule: &mut SigmaRule, given: &Placeholders) -> Result<(), String> {
    rule.detection
        .named
        .values_mut()
        .try_for_each(|detection| fill_detection(detection, given))
}

fn fill_detection(detection: &mut Detection, given: &Placeholders) -> Result<(), String> {
    match detection {
        Detection::AllOf(items) => items.iter_mut().try_for_each(|item| fill_item(item, given)),
        Detection::AnyOf(parts) | Detection::And(parts) => parts
            .iter_mut()
            .try_for_each(|part| fill_detection(part, given)),
        Detection::ArrayMatch { body, .. } => fill_detection(body, given),
        Detection::Conditional { named, .. } => named
            .values_mut()
            .try_for_each(|part| fill_detection(part, given)),
        Detection::Keywords(_) => Ok(()),
    }
}

fn fill_item(item: &mut DetectionItem, given: &Placeholders) -> Result<(), String> {
    if !item.field.has_modifier(Modifier::Expand) {
        return Ok(());
    }
    item.field
        .modifiers
        .retain(|modifier| *modifier != Modifier::Expand);
    let mut filled = Vec::new();
    for value in &item.values {
        match value {
            SigmaValue::String(text) => {
                for text in fill_text(&text.original, given)? {
                    filled.push(SigmaValue::String(SigmaString::new(&text)));
                }
            }
            SigmaValue::Integer(_)
            | SigmaValue::Float(_)
            | SigmaValue::Bool(_)
            | SigmaValue::Null => {
                filled.push(value.clone());
            }
        }
        if filled.len() > EXPANDED_MAX {
            return Err(format!("placeholders make more than {EXPANDED_MAX} values"));
        }
    }
    item.values = filled;
    Ok(())
}

/// All texts that a text with placeholders stands for.
fn fill_text(text: &str, given: &Placeholders) -> Result<Vec<String>, String> {
    let mut filled = vec![String::new()];
    for (index, part) in text.split('%').enumerate() {
        if index % 2 == 0 {
            filled.iter_mut().for_each(|start| start.push_str(part));
            continue;
        }
        let values = given
            .get(part)
            .ok_or_else(|| format!("placeholder %{part}% is not given"))?;
        if filled.len().saturating_mul(values.len()) > EXPANDED_MAX {
            return Err(format!("placeholders make more than {EXPANDED_MAX} values"));
        }
        filled = filled
            .iter()
            .flat_map(|start| values.iter().map(move |value| format!("{start}{value}")))
            .collect();
    }
    Ok(filled)
}

/// Stands for any dash in texts of rules; Unicode keeps it for private use.
const ANY_DASH: char = '\u{f8f0}';

/// The dashes of `windash`, and the same as a class of an expression.
const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];
const DASH_CLASS: &str = "[-/–—―]";

/// Before the name of a field that is asked for a part of its time, and the part.
const TIME_OF: char = '\u{f8f1}';

/// A field that is asked for a part of its time: the part (`hour`) and the field's own name.
pub(super) fn time_asked(field: &str) -> Option<(&str, &str)> {
    field.strip_prefix(TIME_OF)?.split_once(TIME_OF)
}

/// Takes the modifiers `windash` and those for parts of times away, and marks texts and names of
/// fields instead.
pub(super) fn mark(rule: &mut SigmaRule) {
    rule.detection.named.values_mut().for_each(mark_detection);
}

fn mark_detection(detection: &mut Detection) {
    match detection {
        Detection::AllOf(items) => {
            items.iter_mut().for_each(mark_time);
            items.iter_mut().for_each(mark_item);
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter_mut().for_each(mark_detection);
        }
        Detection::ArrayMatch { body, .. } => mark_detection(body),
        Detection::Conditional { named, .. } => named.values_mut().for_each(mark_detection),
        Detection::Keywords(_) => {}
    }
}

fn mark_time(item: &mut DetectionItem) {
    const PARTS: [(Modifier, &str); 6] = [
        (Modifier::Minute, "minute"),
        (Modifier::Hour, "hour"),
        (Modifier::Day, "day"),
        (Modifier::Week, "week"),
        (Modifier::Month, "month"),
        (Modifier::Year, "year"),
    ];
    let modifiers = &mut item.field.modifiers;
    let asked = PARTS.iter().find(|(part, _)| modifiers.contains(part));
    if let (Some((part, word)), Some(name)) = (asked, &mut item.field.name) {
        modifiers.retain(|modifier| modifier != part);
        *name = format!("{TIME_OF}{word}{TIME_OF}{name}");
    }
}

fn mark_item(item: &mut DetectionItem) {
    const PLAIN: [Modifier; 7] = [
        Modifier::WindAsh,
        Modifier::Contains,
        Modifier::StartsWith,
        Modifier::EndsWith,
        Modifier::All,
        Modifier::Cased,
        Modifier::Neq,
    ];
    let modifiers = &mut item.field.modifiers;
    let plain = modifiers.iter().all(|modifier| PLAIN.contains(modifier));
    if !plain || !modifiers.contains(&Modifier::WindAsh) {
        return;
    }
    modifiers.retain(|modifier| *modifier != Modifier::WindAsh);
    for value in &mut item.values {
        if let SigmaValue::String(text) = value {
            *value = SigmaValue::String(SigmaString::new(&marked(&text.original)));
        }
    }
}

/// A text with its dashes marked: those before a letter or digit and behind none.
fn marked(text: &str) -> String {
    let is_word = |letter: Option<char>| {
        letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    };
    let mut marked = String::with_capacity(text.len());
    let mut before = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_flag =
            DASHES.contains(&letter) && !is_word(before) && is_word(letters.peek().copied());
        marked.push(if is_flag { ANY_DASH } else { letter });
        before = Some(letter);
    }
    marked
}

/// Joins a filter to a rule: the rule holds and the filter's condition holds. `number` keeps the
/// names of several filters apart.
pub(super) fn join_filter(rule: &mut SigmaRule, filter: &FilterRule, number: usize) {
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

/// A message of several lines on one, beginning with a small letter unless it begins with an
/// abbreviation.
pub(super) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
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

fn plain(op: IrStrOp, text: String, case_insensitive: bool) -> IrMatcher {
    IrMatcher::Str {
        op,
        pattern: IrPattern {
            parts: vec![IrPatternPart::Literal(text)],
        },
        case_insensitive,
    }
}

fn contains(text: String, case_insensitive: bool) -> IrMatcher {
    plain(IrStrOp::Contains, text, case_insensitive)
}

fn has_dash(pattern: &IrPattern) -> bool {
    let marked = |part: &IrPatternPart| match part {
        IrPatternPart::Literal(text) => text.contains(ANY_DASH),
        IrPatternPart::WildcardMulti | IrPatternPart::WildcardSingle => false,
    };
    pattern.parts.iter().any(marked)
}

/// A text with wildcards or marked dashes: plain where `*` stands only at its ends, else an expression together
/// with the longest text that it needs, so that rules can be chosen by that text.
fn wildcards(op: IrStrOp, pattern: &IrPattern, case_insensitive: bool) -> IrMatcher {
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

/// The bytes that `base64offset` encodes, after the UTF-16 modifier before it.
fn encoded_bytes(encodings: &[IrEncoding], value: &str) -> Vec<u8> {
    let units = || value.encode_utf16();
    if encodings.contains(&IrEncoding::Wide) {
        units().flat_map(u16::to_le_bytes).collect()
    } else if encodings.contains(&IrEncoding::Utf16Be) {
        units().flat_map(u16::to_be_bytes).collect()
    } else if encodings.contains(&IrEncoding::Utf16) {
        [0xff, 0xfe]
            .into_iter()
            .chain(units().flat_map(u16::to_le_bytes))
            .collect()
    } else {
        value.as_bytes().to_vec()
    }
}

/// What of the three encodings of some bytes, by their place modulo 3 in a longer text, does not
/// depend on the bytes around them.
fn base64_offsets(bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::with_capacity(3);
    for (offset, skip) in [(0, 0), (1, 2), (2, 3)] {
        let mut shifted = vec![0; offset];
        shifted.extend_from_slice(bytes);
        let whole_bits = shifted.len() * 8;
        let text = base64(&shifted);
        // A character is certain when all of its six bits are known.
        if let Some(certain) = text.get(skip..whole_bits / 6)
            && !certain.is_empty()
        {
            texts.push(certain.to_owned());
        }
    }
    texts
}

/// Base64 (RFC 4648 §4) without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, index| {
            bits << 8 | usize::from(group.get(index).copied().unwrap_or(0))
        });
        for digit in 0..=group.len() {
            let index = bits >> (18 - 6 * digit) & 0x3f;
            text.extend(DIGITS.get(index).copied().map(char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn an_encoded_text_is_found_at_every_place_in_every_text() {
        for needle in ["ab", "abc", "/bin/bash", "foobar!"] {
            let patterns = base64_offsets(needle.as_bytes());
            for before in 0..7 {
                for after in ["", "x", "yz", "\u{7f}~~"] {
                    let whole = base64(format!("{}{needle}{after}", "#".repeat(before)).as_bytes());
                    let found = patterns
                        .iter()
                        .any(|pattern| whole.contains(pattern.as_str()));
                    assert!(
                        found,
                        "{needle} after {before} before {after:?}: {patterns:?} in {whole}"
                    );
                }
            }
        }
    }

    #[test]
    fn placeholders_make_every_combination_or_an_error() {
        let given = Placeholders::from([
            (
                "who".to_owned(),
                vec!["root".to_owned(), "admin".to_owned()],
            ),
            ("where".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
        ]);
        assert_eq!(
            fill_text("%who%@%where%", &given).unwrap(),
            ["root@a", "root@b", "admin@a", "admin@b"]
        );
        assert_eq!(fill_text("plain", &given).unwrap(), ["plain"]);
        assert_eq!(
            fill_text("x%nobody%", &given).unwrap_err(),
            "placeholder %nobody% is not given"
        );
    }

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

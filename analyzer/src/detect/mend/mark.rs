//! `windash` and parts of times: the modifiers are taken away, texts and names of fields are marked instead.

use rsigma_parser::{Detection, DetectionItem, Modifier, SigmaRule, SigmaString, SigmaValue};

/// Stands for any dash in texts of rules; Unicode keeps it for private use.
pub(super) const ANY_DASH: char = '\u{f8f0}';

/// The dashes of `windash`, and the same as a class of an expression.
pub(super) const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];
pub(super) const DASH_CLASS: &str = "[-/–—―]";

/// Before the name of a field that is asked for a part of its time, and the part.
const TIME_OF: char = '\u{f8f1}';

/// A field that is asked for a part of its time: the part (`hour`) and the field's own name.
pub(in crate::detect) fn time_asked(field: &str) -> Option<(&str, &str)> {
    field.strip_prefix(TIME_OF)?.split_once(TIME_OF)
}

/// Takes the modifiers `windash` and those for parts of times away, and marks texts and names of
/// fields instead.
pub(in crate::detect) fn mark(rule: &mut SigmaRule) {
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

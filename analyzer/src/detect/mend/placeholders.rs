//! `expand`: placeholders of rules are filled with the values given.

use std::collections::BTreeMap;

use rsigma_parser::{Detection, DetectionItem, Modifier, SigmaRule, SigmaString, SigmaValue};

/// Values for the placeholders (`%name%`) of rules with the modifier `expand`.
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// The most values that placeholders may grow one field of a rule to.
const EXPANDED_MAX: usize = 100_000;

/// Fills the placeholders of a rule. The error names the placeholder that was not given.
pub(in crate::detect) fn fill_placeholders(
    rule: &mut SigmaRule,
    given: &Placeholders,
) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}

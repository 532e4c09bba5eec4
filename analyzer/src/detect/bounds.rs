//! What a text of rules may be before it is parsed, and where in it a fault stands.
//!
//! The parsers of YAML and of conditions take time with the square of how deep things are nested;
//! no rule that anyone wrote comes near these bounds.

/// The deepest nesting of `[` and `{`, which is a tenth of what takes a noticeable time.
const FLOW_DEPTH_MAX: usize = 200;

/// The longest run of `not` in a condition.
const NOTS_MAX: usize = 16;

/// The most faults of one file that are told; the rest are counted.
pub(super) const FAULTS_MAX: usize = 20;

/// The most faults of one file whose lines are looked for: each search reads the file again.
pub(super) const PLACED_MAX: usize = 200;

/// Why a text is not parsed at all, if so.
pub(super) fn fault(text: &str) -> Option<String> {
    let (mut depth, mut nots) = (0_usize, 0_usize);
    for (index, line) in text.lines().enumerate() {
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > FLOW_DEPTH_MAX {
                return Some(format!(
                    "line {}: brackets are nested more than {FLOW_DEPTH_MAX} deep",
                    index + 1
                ));
            }
        }
        for word in line.split_whitespace() {
            nots = if word == "not" { nots + 1 } else { 0 };
            if nots > NOTS_MAX {
                return Some(format!(
                    "line {}: more than {NOTS_MAX} times not in a row",
                    index + 1
                ));
            }
        }
    }
    None
}

/// A reason with the line at which it stands before it: the first line of the rule's document that
/// has the longest word of the reason which stands in the document at all, else that of its title.
pub(super) fn placed(text: &str, title: Option<&str>, reason: &str) -> String {
    let whole = ["line ", "file has ", "no rule in this file"];
    if reason.contains(" at line ") || whole.iter().any(|start| reason.starts_with(start)) {
        return reason.to_owned();
    }
    let is_title = |line: &&str| {
        let name = line.strip_prefix("title:").map(str::trim);
        name.is_some_and(|name| title.is_some_and(|title| name.trim_matches(['"', '\'']) == title))
    };
    let title_at = text.lines().position(|line| is_title(&line)).unwrap_or(0);
    // A document may name its id and status before its title.
    let marks = text.lines().enumerate().take(title_at);
    let first = marks
        .filter(|(_, line)| line.starts_with("---"))
        .last()
        .map_or(0, |(index, _)| index + 1);
    let document = || {
        text.lines()
            .enumerate()
            .skip(first)
            .take_while(|(index, line)| *index == first || !line.starts_with("---"))
    };
    let mut words: Vec<&str> = reason
        .split(|letter: char| letter.is_whitespace() || ['\'', ',', '%'].contains(&letter))
        .map(|word| word.trim_matches([':', '.', ';', '"', '`']))
        .filter(|word| word.len() > 3 && !PLAIN_WORDS.contains(word))
        .collect();
    // What the author named goes before what every rule has.
    words.sort_by_key(|word| (PARTS.contains(word), std::cmp::Reverse(word.len())));
    let named = words
        .iter()
        .find_map(|word| document().find(|(_, line)| line.contains(*word)));
    let line = named.map_or(title_at, |(index, _)| index) + 1;
    format!("line {line}: {reason}")
}

/// Parts that every rule has: they tell the place where nothing better does.
const PARTS: &[&str] = &["detection", "condition", "logsource"];

/// Words that faults are told with, and that may stand anywhere in a rule.
const PLAIN_WORDS: &[&str] = &[
    "error",
    "unknown",
    "missing",
    "required",
    "field",
    "identifier",
    "modifier",
    "title",
    "invalid",
    "given",
    "rule",
    "that",
    "which",
    "more",
    "than",
    "most",
    "line",
    "value",
    "values",
    "loaded",
    "names",
    "expression",
    "regular",
    "unclosed",
    "group",
    "file",
    "read",
];

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "title: one\ndetection:\n    a:\n        Image|frob: x\n    condition: a\n---\ntitle: two\ndetection:\n    a:\n        Image: x\n    condition: b_part\n";

    #[test]
    fn a_fault_is_told_with_its_line() {
        let said = |title, reason| placed(RULES, Some(title), reason);
        assert_eq!(
            said("one", "unknown modifier 'frob'"),
            "line 4: unknown modifier 'frob'"
        );
        assert_eq!(
            said("two", "unknown detection identifier: b_part"),
            "line 11: unknown detection identifier: b_part"
        );
        assert_eq!(said("two", "no such thing"), "line 7: no such thing");
        assert_eq!(said("two", "broken at line 3"), "broken at line 3");
    }

    #[test]
    fn what_would_take_long_is_not_parsed() {
        assert_eq!(fault(RULES), None);
        assert_eq!(
            fault(&format!("a: b\nc: {}", "[".repeat(1000))).as_deref(),
            Some("line 2: brackets are nested more than 200 deep")
        );
        assert_eq!(
            fault(&format!("condition: {}s", "not ".repeat(1000))).as_deref(),
            Some("line 1: more than 16 times not in a row")
        );
        assert_eq!(fault(&"a: [1, {b: c}]\n".repeat(1000)), None);
    }
}

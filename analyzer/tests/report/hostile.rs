//! Evidence is written by the attacker: every text of the report, made as bad as it can be.

use regex::Regex;
use saigen_schemas::report::Report;
use serde_json::Value;

use crate::{html, json, story, text, timeline};

/// What is put behind every text: markup, an attribute's end, a script's end, a terminal
/// escape, marks that turn or hide text, and line ends.
const POISON: &str = "\"'`><img src=x onerror=alert(1)></script></style></svg><script>alert(2)\
    </script>{{7*7}}&lt;\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\r\n\t\u{7f}";

/// Keys whose texts have a form of their own, which the model holds them to.
const TYPED: [&str; 20] = [
    "id",
    "evidence",
    "first",
    "last",
    "from",
    "to",
    "time",
    "start",
    "end",
    "format",
    "verdict",
    "cause",
    "kind",
    "severity",
    "grade",
    "role",
    "direction",
    "level",
    "ground",
    "schema",
];

fn poisoned() -> Report {
    let mut report: Value = serde_json::to_value(story()).expect("JSON");
    // A forged record may also hold what is no JSON at all.
    poison(&mut report);
    for record in report["records"]
        .as_object_mut()
        .expect("records")
        .values_mut()
    {
        for name in ["kind", "json"] {
            spoil(&mut record[name]);
        }
    }
    for incident in report["incidents"].as_array_mut().expect("incidents") {
        for node in incident["processes"].as_array_mut().expect("processes") {
            spoil(&mut node["node"]);
        }
    }
    serde_json::from_value(report).expect("still a report")
}

fn poison(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let typed = TYPED.contains(&name.as_str());
                if !typed || member.is_object() || (member.is_array() && name == "evidence") {
                    poison(member);
                }
            }
        }
        Value::Array(items) => {
            // A list of references is typed; a list of inputs is not.
            let references = Regex::new("^e[0-9]+[:!]").expect("a regex");
            for item in items {
                if !item.as_str().is_some_and(|text| references.is_match(text)) {
                    poison(item);
                }
            }
        }
        Value::String(_) => spoil(value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn spoil(value: &mut Value) {
    if let Value::String(text) = value {
        text.push_str(POISON);
    }
}

/// Whether a character would act on a terminal or an eye.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[test]
fn nothing_that_acts_reaches_an_output() {
    let report = poisoned();
    for (name, made) in [
        ("json", json(&report)),
        ("text", text(&report)),
        ("timeline", timeline(&report)),
        ("html", html(&report)),
    ] {
        let found = made.char_indices().find(|&(_, c)| acts(c));
        let around = found.map(|(at, _)| made[..at].chars().rev().take(60).collect::<String>());
        assert_eq!(found, None, "{name}, after (reversed) {around:?}");
    }
}

#[test]
fn no_markup_of_the_evidence_reaches_the_page() {
    let page = html(&poisoned());
    assert!(!page.contains("<img"));
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script>").count(), 1);
    assert_eq!(page.matches("</style>").count(), 1);
    let tag = Regex::new(r"<[a-zA-Z][^>]*>").expect("a regex");
    let handler = Regex::new(r"\son[a-z]+\s*=").expect("a regex");
    for found in tag.find_iter(&page) {
        assert!(!handler.is_match(found.as_str()), "{}", found.as_str());
    }
    assert!(page.contains("&#60;img src=x onerror=alert(1)&#62;"));
    assert!(page.contains("<span class=x>⟨U+202E⟩</span>"));
}

#[test]
fn every_line_of_text_is_one_that_was_meant() {
    let clean = text(&story());
    let dirty = text(&poisoned());
    assert!(dirty.lines().count() >= clean.lines().count());
    assert!(dirty.lines().all(|line| !line.starts_with("[2J")));
}

#[test]
fn no_cell_of_the_timeline_is_a_formula() {
    let made = timeline(&story());
    let cell = Regex::new(r#""((?:[^"]|"")*)""#).expect("a regex");
    for line in made.lines().skip(1) {
        let cells: Vec<_> = cell.captures_iter(line).collect();
        assert_eq!(cells.len(), 14, "{line}");
        for found in cells {
            assert!(
                !found[1].trim_start().starts_with(['=', '+', '-', '@']),
                "{line}"
            );
        }
    }
    assert!(made.contains("=cmd|"));
}

#[test]
fn text_that_is_too_long_is_cut_and_says_so() {
    let page = html(&story());
    assert!(page.contains("characters⟩"));
    let text = text(&story());
    assert!(text.lines().all(|line| line.chars().count() <= 400));
}

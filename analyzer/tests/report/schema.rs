//! `report.json` keeps to its published schema.
//!
//! The checker below knows the words of JSON Schema 2020-12 that the schema uses, and fails
//! on any other, so that a new word in the schema cannot pass unchecked.

use std::collections::BTreeSet;

use regex::Regex;
use saigen_schemas::report::{
    Cause, Direction, FindingKind, Format, Grade, Ground, JSON_SCHEMA, Level, Role, Severity,
    Verdict,
};
use serde_json::{Map, Value};

use crate::{json, nothing, story};

#[test]
fn reports_keep_to_their_schema() {
    for report in [story(), nothing()] {
        assert_eq!(faults(&parse(&json(&report))), [""; 0]);
    }
}

#[test]
fn what_is_not_in_the_schema_is_noticed() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 8] = [
        (|r| r["schema"] = "saigen-report/2".into(), "/schema"),
        (|r| r["extra"] = 1.into(), "/extra"),
        (
            |r| r["incidents"][0]["severity"] = "grave".into(),
            "/incidents/0/severity",
        ),
        (
            |r| r["incidents"][0]["first"] = "2026-03-02".into(),
            "/incidents/0/first",
        ),
        (
            |r| r["incidents"][0]["processes"][3]["pid"] = (-1).into(),
            "/incidents/0/processes/3/pid",
        ),
        (
            |r| r["evidence"][0]["sha256"] = "00".into(),
            "/evidence/0/sha256",
        ),
        (
            |r| r["detections"][1]["evidence"][0] = "12".into(),
            "/detections/1/evidence/0",
        ),
        (
            |r| drop(r.as_object_mut().expect("object").remove("counts")),
            "",
        ),
    ];
    for (change, place) in changes {
        let mut report = parse(&json(&story()));
        change(&mut report);
        let faults = faults(&report);
        assert_eq!(faults.len(), 1, "{place}: {faults:?}");
        assert!(
            faults[0].starts_with(&format!("{place}: ")),
            "{place}: {faults:?}"
        );
    }
}

/// The words of an enum of the model, from what serde says when it meets another.
fn words<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
    let refused = serde_json::from_value::<T>("no such word".into());
    let refused = refused.err().expect("no such word is a word").to_string();
    let quoted = Regex::new("`([a-z_]+)`").expect("a regex");
    quoted
        .captures_iter(&refused)
        .map(|found| found[1].to_owned())
        .collect()
}

#[test]
fn the_words_of_the_schema_are_those_of_the_model() {
    let schema = parse(JSON_SCHEMA);
    for (name, words) in [
        ("Cause", words::<Cause>()),
        ("Direction", words::<Direction>()),
        ("FindingKind", words::<FindingKind>()),
        ("Format", words::<Format>()),
        ("Grade", words::<Grade>()),
        ("Ground", words::<Ground>()),
        ("Level", words::<Level>()),
        ("Role", words::<Role>()),
        ("Severity", words::<Severity>()),
        ("Verdict", words::<Verdict>()),
    ] {
        let listed = schema["$defs"][name]["oneOf"]
            .as_array()
            .expect("a list of words");
        let listed: BTreeSet<String> = listed
            .iter()
            .map(|one| one["const"].as_str().expect("a word").to_owned())
            .collect();
        assert_eq!(listed, words, "{name}");
        assert!(words.len() > 2, "{name}");
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Every place of a report that does not keep to the schema.
fn faults(report: &Value) -> Vec<String> {
    let schema = parse(JSON_SCHEMA);
    let mut checker = Checker {
        root: &schema,
        faults: Vec::new(),
    };
    checker.check(report, &schema, "");
    checker.faults
}

struct Checker<'a> {
    root: &'a Value,
    faults: Vec<String>,
}

impl<'a> Checker<'a> {
    fn check(&mut self, value: &Value, schema: &'a Value, place: &str) {
        let schema = schema.as_object().expect("a schema is an object");
        for (word, rule) in schema {
            let holds = match word.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" => true,
                "$ref" => {
                    let pointer = rule.as_str().and_then(|r| r.strip_prefix('#'));
                    let target = pointer.and_then(|pointer| self.root.pointer(pointer));
                    self.check(value, target.expect("a reference into this schema"), place);
                    true
                }
                "anyOf" | "oneOf" => {
                    let fitting = self.fitting(value, rule);
                    if word == "oneOf" {
                        fitting == 1
                    } else {
                        fitting > 0
                    }
                }
                "const" => value == rule,
                "type" => has_type(value, rule),
                "minimum" => value
                    .as_f64()
                    .is_none_or(|number| Some(number) >= rule.as_f64()),
                "pattern" => {
                    let pattern = Regex::new(rule.as_str().expect("a pattern")).expect("a regex");
                    value.as_str().is_none_or(|text| pattern.is_match(text))
                }
                "required" => {
                    let names = rule.as_array().expect("a list of names");
                    names
                        .iter()
                        .all(|name| value.get(name.as_str().expect("a name")).is_some())
                }
                "items" => {
                    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(item, rule, &format!("{place}/{at}"));
                    }
                    true
                }
                "properties" | "additionalProperties" => true,
                "propertyNames" => {
                    for name in value.as_object().into_iter().flat_map(Map::keys) {
                        self.check(&Value::from(name.clone()), rule, &format!("{place}/{name}"));
                    }
                    true
                }
                other => panic!("the checker does not know {other:?}"),
            };
            if !holds {
                self.faults.push(format!("{place}: {word} {rule}"));
            }
        }
        self.members(value, schema, place);
    }

    fn members(&mut self, value: &Value, schema: &'a Map<String, Value>, place: &str) {
        for (name, member) in value.as_object().into_iter().flatten() {
            let place = format!("{place}/{name}");
            let known = schema
                .get("properties")
                .and_then(|properties| properties.get(name));
            match (known, schema.get("additionalProperties")) {
                (Some(rule), _) => self.check(member, rule, &place),
                (None, None) => {}
                (None, Some(Value::Bool(false))) => {
                    self.faults.push(format!("{place}: not in the schema"));
                }
                (None, Some(rule)) => self.check(member, rule, &place),
            }
        }
    }

    fn fitting(&self, value: &Value, rules: &'a Value) -> usize {
        let rules = rules.as_array().expect("a list of schemas");
        let fits = |rule: &&'a Value| {
            let mut alone = Checker {
                root: self.root,
                faults: Vec::new(),
            };
            alone.check(value, rule, "");
            alone.faults.is_empty()
        };
        rules.iter().filter(fits).count()
    }
}

fn has_type(value: &Value, rule: &Value) -> bool {
    let one = |name: &Value| match name.as_str().expect("a type's name") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("the checker does not know type {other:?}"),
    };
    match rule.as_array() {
        Some(names) => names.iter().any(one),
        None => one(rule),
    }
}

//! Every built-in rule fires on what it is for, and is silent on what only looks like it.
//!
//! `fixtures/rules/NAME.json` belongs to `analyzer/rules/…/NAME.yml`: cases in which the rule must
//! fire, and cases in which it must not. A case is a list of events, each an object as `saigen
//! events --json` writes them; `actor` and `parent` also say what is known of these processes,
//! `at` is the time in seconds. `ordinary.json` is a day's work without an attack.

mod told;

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use saigen_analyzer::detect::{
    Correlator, Detection, Engine, Level, Occasion, Placeholders, Tactic, built_in, hold_all,
};
use serde_json::Value;
use told::{Told, told};

/// All detections that a case's events make, one after the other.
fn judge(engine: &Engine, case: &Value) -> Vec<Detection<usize>> {
    let mut correlator = Correlator::new(engine);
    let events = as_list(case);
    let mut found = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let Told { event, context } = told(event);
        let occasion = Occasion {
            event: index,
            time: event.time,
            host: event.host.lossy().into_owned(),
            process: event.actor,
        };
        found.extend(correlator.observe(&occasion, &engine.evaluate(&event, &context)));
    }
    found
}

/// The events of a case: a list, or one alone.
fn as_list(case: &Value) -> Vec<Value> {
    case.as_array()
        .cloned()
        .unwrap_or_else(|| vec![case.clone()])
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/rules")
}

fn read(path: &Path) -> Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn engine() -> Engine {
    Engine::new(built_in(), &Placeholders::new())
}

/// The rule that a file is for: the last of its documents, which those before it may serve.
fn rules_by_file(engine: &Engine) -> BTreeMap<String, String> {
    let stem = |file: &str| {
        file.rsplit('/')
            .next()
            .unwrap_or(file)
            .trim_end_matches(".yml")
            .to_owned()
    };
    engine
        .rules()
        .map(|rule| (stem(&rule.file), rule.id.clone()))
        .collect()
}

#[test]
fn every_built_in_rule_loads_and_says_what_a_reader_needs() {
    let engine = engine();
    let counts = engine.counts();
    assert_eq!(counts.refused, []);
    assert_eq!(counts.remarks, []);
    assert!(counts.loaded > 0);
    for rule in engine.rules() {
        let at = &rule.file;
        assert_eq!(rule.id.len(), 36, "{at}: an id of its own");
        assert!(
            !rule.description.is_empty() && rule.title.len() < 100,
            "{at}"
        );
        assert!(
            !rule.techniques.is_empty() && !rule.tactics.is_empty(),
            "{at}: technique and tactic"
        );
        assert!(
            !rule.false_positives.is_empty(),
            "{at}: known ordinary causes"
        );
        for technique in &rule.techniques {
            let page = format!(
                "https://attack.mitre.org/techniques/{}/",
                technique.replace('.', "/")
            );
            assert!(rule.references.contains(&page), "{at}: {page}");
        }
    }
}

#[test]
fn every_rule_fires_on_what_it_is_for_and_is_silent_on_its_look_alike() {
    let engine = engine();
    let rules = rules_by_file(&engine);
    let mut wrong = Vec::new();
    for (stem, id) in &rules {
        let fixture = read(&fixtures().join(format!("{stem}.json")));
        let cases = |name: &str| {
            fixture[name]
                .as_array()
                .unwrap_or_else(|| panic!("{stem}: {name}"))
                .clone()
        };
        for (name, must_fire) in [("fires", true), ("silent", false)] {
            assert!(!cases(name).is_empty(), "{stem}: no case under {name}");
            for (index, case) in cases(name).iter().enumerate() {
                let found = judge(&engine, case);
                if found.iter().any(|detection| detection.rule.id == *id) != must_fire {
                    wrong.push(format!("{stem}: {name}[{index}]"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fixture_has_its_rule() {
    let rules = rules_by_file(&engine());
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && stem != "ordinary"
        {
            assert!(rules.contains_key(&stem), "{stem}.json has no rule");
        }
    }
}

/// The table of the built-in rules in `docs/DETECTION.md`: one row a file, by folder and stage.
fn table(engine: &Engine) -> String {
    let main: BTreeMap<&str, _> = engine
        .rules()
        .map(|rule| (rule.file.as_str(), rule))
        .collect();
    let mut rows: Vec<_> = main.into_values().collect();
    let stage = |tactics: &[Tactic]| tactics.iter().map(|tactic| tactic.stage()).min();
    rows.sort_by_key(|rule| {
        (
            rule.file.split('/').next(),
            stage(&rule.tactics),
            rule.file.as_str(),
        )
    });
    let measured = read(&fixtures().join("../../tests/sigma/measured.json"));
    let mut text = String::from(
        "| Rule | Level | Tactics and techniques | Fires on | Known ordinary causes | Positive event | Hits on benign evidence | Labelled files |\n\
         |---|---|---|---|---|---|---:|---:|\n",
    );
    for rule in rows {
        let count = |of: &str| measured["rules"][&rule.id][of].as_u64().unwrap_or(0);
        let tactics: Vec<&str> = rule.tactics.iter().map(|tactic| tactic.name()).collect();
        let cell = |text: &str| {
            text.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .replace('|', "\\|")
        };
        text.push_str(&format!(
            "| **{}** `{}` | {} | {}: {} | {} | {} | {} | {} | {} |\n",
            cell(&rule.title),
            rule.file,
            rule.level,
            tactics.join(", "),
            rule.techniques.join(", "),
            cell(&rule.description),
            cell(&rule.false_positives.join("; ")),
            positive_event(&rule.file),
            count("benign"),
            count("labelled"),
        ));
    }
    text
}

/// The kinds of the events of a rule's first case: a kind that comes several times is told once.
fn positive_event(file: &str) -> String {
    let stem = file.rsplit('/').next().expect("a name");
    let fixture = read(&fixtures().join(stem.replace(".yml", ".json")));
    let mut kinds: Vec<String> = Vec::new();
    for event in as_list(&fixture["fires"][0]) {
        let kind = event["kind"].as_str().expect("a kind");
        let told = match (event["channel"].as_str(), event["event_id"].as_u64()) {
            (Some(channel), Some(id)) => format!("{channel} {id}"),
            _ => format!("`{kind}`"),
        };
        if !kinds.contains(&told) {
            kinds.push(told);
        }
    }
    kinds.join(", then ")
}

/// With `SAIGEN_REWRITE=1` the table is written instead of compared.
#[test]
fn the_documentation_lists_every_rule() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/DETECTION.md");
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- rules: begin -->\n", "<!-- rules: end -->");
    let (before, rest) = text.split_once(begin).unwrap();
    let (listed, after) = rest.split_once(end).unwrap();
    let expected = table(&engine());
    if std::env::var_os("SAIGEN_REWRITE").is_some() {
        fs::write(&path, format!("{before}{begin}{expected}{end}{after}")).unwrap();
        return;
    }
    assert!(
        listed == expected,
        "run this test with SAIGEN_REWRITE=1 and review the difference"
    );
}

#[test]
fn ordinary_work_gives_nothing_grave() {
    let engine = engine();
    let ordinary = read(&fixtures().join("ordinary.json"));
    assert!(ordinary.as_array().unwrap().len() > 50);
    let grave: Vec<String> = judge(&engine, &ordinary)
        .into_iter()
        .filter(|detection| detection.rule.level >= Level::High)
        .map(|detection| {
            format!(
                "{} at event {:?}: {}",
                detection.rule.title, detection.events, detection.why
            )
        })
        .collect();
    assert!(grave.is_empty(), "{}", grave.join("\n"));
}

#[test]
fn the_same_events_give_the_same_detections_every_time() {
    let ordinary = read(&fixtures().join("ordinary.json"));
    let mut all = ordinary.as_array().unwrap().clone();
    for stem in rules_by_file(&engine()).keys() {
        for case in read(&fixtures().join(format!("{stem}.json")))["fires"]
            .as_array()
            .unwrap()
        {
            all.extend(as_list(case));
        }
    }
    let whole = Value::Array(all);
    let first = judge(&engine(), &whole);
    assert_eq!(first, judge(&engine(), &whole));
    assert!(
        first
            .iter()
            .all(|detection| !detection.events.is_empty() && !detection.why.is_empty())
    );
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let engine = engine();
    let mut all = Vec::new();
    for stem in rules_by_file(&engine).keys() {
        let fixture = read(&fixtures().join(format!("{stem}.json")));
        for case in ["fires", "silent"]
            .iter()
            .flat_map(|name| as_list(&fixture[name]))
        {
            all.extend(as_list(&case));
        }
    }
    // Several batches, so that they can overtake each other.
    let told: Vec<Told> = all.iter().cycle().take(all.len() * 5).map(told).collect();
    let judge = |threads: usize| {
        let mut found = Vec::new();
        let threads = NonZeroUsize::new(threads).unwrap();
        let mut take = |detection: Detection<usize>| found.push(detection);
        let ((), correlator) = hold_all(&engine, threads, &mut take, |feeder| {
            for (index, Told { event, context }) in told.iter().enumerate() {
                feeder.take(index, event, context);
            }
        });
        (correlator.suppressed(), found)
    };
    let alone = judge(1);
    assert!(alone.1.len() > 500);
    for threads in [2, 3, 8] {
        assert!(judge(threads) == alone, "{threads} threads");
    }
}

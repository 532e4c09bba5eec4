//! The stages of an incident, and its steps along time.

use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::{Grade, Incident, Moment};

/// Width of the strip in its own units.
const WIDTH: i64 = 1_000;
/// Where the lanes begin, right of their names.
const LEFT: i64 = 172;
/// Where the lanes end.
const RIGHT: i64 = WIDTH - 14;
const LANE_HEIGHT: i64 = 24;
/// Times on the axis.
const TICKS: i64 = 4;

/// ATT&CK's tactics in their order (version 19), short name and name.
const TACTICS: [(&str, &str); 15] = [
    ("reconnaissance", "Reconnaissance"),
    ("resource-development", "Resource development"),
    ("initial-access", "Initial access"),
    ("execution", "Execution"),
    ("persistence", "Persistence"),
    ("privilege-escalation", "Privilege escalation"),
    ("stealth", "Stealth"),
    ("defense-impairment", "Defense impairment"),
    ("credential-access", "Credential access"),
    ("discovery", "Discovery"),
    ("lateral-movement", "Lateral movement"),
    ("collection", "Collection"),
    ("command-and-control", "Command and control"),
    ("exfiltration", "Exfiltration"),
    ("impact", "Impact"),
];

/// Tactics whose box stands on the page even when nothing belongs to them.
fn always_stands(short: &str) -> bool {
    !matches!(short, "reconnaissance" | "resource-development")
}

/// One tactic of an incident.
pub(super) struct Stage<'a> {
    pub name: String,
    /// Steps that belong to it.
    pub steps: usize,
    pub first: Option<Moment>,
    pub techniques: BTreeSet<&'a str>,
}

/// The tactics in ATT&CK's order; unknown ones behind them by name.
pub(super) fn stages(incident: &Incident) -> Vec<Stage<'_>> {
    let mut stages: BTreeMap<(usize, String), Stage<'_>> = BTreeMap::new();
    for (order, (short, name)) in TACTICS.into_iter().enumerate() {
        if always_stands(short) {
            stages.insert((order, short.to_owned()), Stage::empty(name));
        }
    }
    for step in &incident.steps {
        for tactic in &step.tactics {
            let (order, short, name) = tactic_of(tactic);
            let stage = stages
                .entry((order, short))
                .or_insert_with(|| Stage::empty(&name));
            stage.steps += 1;
            stage.first = Some(stage.first.map_or(step.time, |first| first.min(step.time)));
            stage
                .techniques
                .extend(step.techniques.iter().map(String::as_str));
        }
    }
    stages.into_values().collect()
}

impl Stage<'_> {
    fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            steps: 0,
            first: None,
            techniques: BTreeSet::new(),
        }
    }
}

/// A tactic's place, short name and name.
fn tactic_of(tactic: &str) -> (usize, String, String) {
    let short = tactic.to_lowercase().replace('_', "-");
    match TACTICS.iter().position(|(known, _)| *known == short) {
        Some(order) => (order, short, TACTICS[order].1.to_owned()),
        None => (TACTICS.len(), short.clone(), short),
    }
}

/// The steps along time, a lane for each tactic.
pub(super) struct TimeStrip {
    pub width: i64,
    pub height: i64,
    pub left: i64,
    pub right: i64,
    /// The line of the axis.
    pub axis: i64,
    pub lanes: Vec<Lane>,
    pub ticks: Vec<Tick>,
}

pub(super) struct Lane {
    pub name: String,
    pub y: i64,
    pub dots: Vec<Dot>,
}

/// One or more steps at one place of a lane.
pub(super) struct Dot {
    pub x: i64,
    /// The class that shows the best grade among them.
    pub class: &'static str,
    pub steps: usize,
    pub first: Moment,
    pub text: String,
}

pub(super) struct Tick {
    pub x: i64,
    pub anchor: &'static str,
    pub label: String,
}

impl TimeStrip {
    pub(super) fn new(incident: &Incident) -> Self {
        let mut lanes: BTreeMap<(usize, String), (String, BTreeMap<i64, Dot>)> = BTreeMap::new();
        for step in &incident.steps {
            let x = place(step.time, incident);
            let unnamed = [String::new()];
            let tactics = if step.tactics.is_empty() {
                &unnamed[..]
            } else {
                &step.tactics[..]
            };
            for tactic in tactics {
                let (order, short, name) = tactic_of(tactic);
                let name = if name.is_empty() {
                    "Other steps".to_owned()
                } else {
                    name
                };
                let (_, dots) = lanes
                    .entry((order, short))
                    .or_insert_with(|| (name, BTreeMap::new()));
                let dot = dots.entry(x).or_insert_with(|| Dot {
                    x,
                    class: grade_class(step.grade),
                    steps: 0,
                    first: step.time,
                    text: step.text.clone(),
                });
                dot.steps += 1;
            }
        }
        let lanes: Vec<Lane> = lanes
            .into_values()
            .zip(0i64..)
            .map(|((name, dots), at)| Lane {
                name,
                y: LANE_HEIGHT / 2 + 4 + at * LANE_HEIGHT,
                dots: dots.into_values().collect(),
            })
            .collect();
        let axis = lanes.last().map_or(0, |lane| lane.y + LANE_HEIGHT / 2 + 2);
        Self {
            width: WIDTH,
            height: axis + 22,
            left: LEFT,
            right: RIGHT,
            axis,
            lanes,
            ticks: ticks(incident),
        }
    }
}

fn grade_class(grade: Grade) -> &'static str {
    match grade {
        Grade::Proven => "proven",
        Grade::Inferred => "inferred",
        Grade::Gap => "gap",
    }
}

/// Where on the strip a time stands; a time outside the incident stands at its edge.
fn place(time: Moment, incident: &Incident) -> i64 {
    let first = i128::from(incident.first.us());
    let span = (i128::from(incident.last.us()) - first).max(1);
    let after = (i128::from(time.us()) - first).clamp(0, span);
    let x = i128::from(LEFT) + after * i128::from(RIGHT - LEFT) / span;
    i64::try_from(x).expect("a place between LEFT and RIGHT")
}

fn ticks(incident: &Incident) -> Vec<Tick> {
    let (first, last) = (incident.first.us(), incident.last.us());
    let span = i128::from(last) - i128::from(first);
    if span <= 0 {
        let label = label(incident.first, true);
        return vec![Tick {
            x: LEFT,
            anchor: "start",
            label,
        }];
    }
    (0..=TICKS)
        .map(|at| {
            let after = span * i128::from(at) / i128::from(TICKS);
            let us = i64::try_from(i128::from(first) + after).unwrap_or(last);
            let anchor = match at {
                0 => "start",
                TICKS => "end",
                _ => "middle",
            };
            let dated = at == 0 || span > 86_400_000_000;
            let x = LEFT + (RIGHT - LEFT) * at / TICKS;
            Tick {
                x,
                anchor,
                label: label(Moment::from_us(us), dated),
            }
        })
        .collect()
}

/// A time of day, with its date where that is not the one at the strip's beginning.
fn label(moment: Moment, dated: bool) -> String {
    let text = moment.to_string();
    if dated {
        format!("{}Z", &text[..19])
    } else {
        format!("{}Z", &text[11..19])
    }
}

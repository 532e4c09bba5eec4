//! `report.html`: one page that needs nothing but itself.
//!
//! The page holds its style and its one small script, and a security policy that allows
//! these two by their hashes and nothing else: no network, no frame, no form, no other
//! script, whatever a file name in the evidence says. Everything can be read without the
//! script; it adds keys, a filter and the choice of light or dark.
//!
//! | Part               | Made by                                  |
//! |--------------------|------------------------------------------|
//! | text and structure | `templates/*.html`, escaped by askama    |
//! | text from evidence | [`filters`]: what acts is shown          |
//! | attack graph       | [`graph`]: a laid-out tree, inline SVG   |
//! | stages, time strip | [`strip`]                                |
//! | side panes         | [`pane`]: the record behind each claim   |

mod filters;
mod graph;
mod markup;
mod pane;
mod strip;
mod verification;

use std::io::{self, Write};

use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use saigen_schemas::report::{
    Evidence, EvidenceRef, Ground, Incident, KeyUsed, ObjectItem, Record, Report, Role, Sentence,
    Severity, Verdict,
};
use sha2::{Digest, Sha256};

use graph::{Graph, RowKind};
use markup::{Index, NodeMark, RefMarks, Shown};
use pane::ProcessPane;
use strip::{Stage, TimeStrip};

pub use verification::{VerifiedInput, write_verification};

use super::words::counted;

const STYLE: &str = include_str!("../../../templates/report.css");
const SCRIPT: &str = include_str!("../../../templates/report.js");

/// Rows of one table. A page with more is no longer read, and a browser no longer scrolls it.
const ROWS_MAX: usize = 2_000;
/// Records on the page.
const RECORDS_MAX: usize = 5_000;

/// Writes the report as one HTML page.
///
/// # Errors
///
/// Those of `out`.
pub fn write_html(report: &Report, out: &mut impl Write) -> io::Result<()> {
    Page::new(report).write_into(out)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    style: &'static str,
    script: &'static str,
    style_hash: String,
    script_hash: String,
    index: Index<'a>,
    incidents: Vec<IncidentView<'a>>,
}

/// An incident with what is drawn of it.
struct IncidentView<'a> {
    incident: &'a Incident,
    number: usize,
    stages: Vec<Stage<'a>>,
    strip: TimeStrip,
    graph: Graph<'a>,
    panes: Vec<ProcessPane<'a>>,
}

impl IncidentView<'_> {
    /// The sections of the story that say something which the page has not said above.
    fn story(&self) -> impl Iterator<Item = (&'static str, &[Sentence])> {
        let said = &self.incident.entry[..];
        let sections = self.incident.story.sections().into_iter();
        sections.filter(move |(_, sentences)| !sentences.is_empty() && *sentences != said)
    }

    /// The tables of objects, each with its heading.
    fn objects(&self) -> [(&'static str, &[ObjectItem]); 2] {
        [
            ("Files", &self.incident.files),
            ("Registry", &self.incident.registry),
        ]
    }
}

impl<'a> Page<'a> {
    fn new(report: &'a Report) -> Self {
        let incidents: Vec<IncidentView<'a>> = report
            .incidents
            .iter()
            .enumerate()
            .map(|(number, incident)| {
                let graph = Graph::new(report, incident, number);
                IncidentView {
                    incident,
                    number,
                    stages: strip::stages(incident),
                    strip: TimeStrip::new(incident),
                    panes: pane::processes(report, incident, &graph.drawn),
                    graph,
                }
            })
            .collect();
        let index = Index::new(report, incidents.iter().map(|view| &view.graph.drawn));
        Self {
            report,
            style: STYLE,
            script: SCRIPT,
            style_hash: policy_hash(STYLE),
            script_hash: policy_hash(SCRIPT),
            index,
            incidents,
        }
    }

    /// The marks that lead from a claim to its records.
    fn refs<'s>(&'s self, evidence: &'s [EvidenceRef]) -> RefMarks<'s> {
        RefMarks::new(&self.index, evidence)
    }

    /// A mark that leads to a node of an incident.
    fn node<'s>(&'s self, number: &usize, node: &'s str) -> NodeMark<'s> {
        NodeMark::new(&self.index, *number, node)
    }

    fn incidents_found(&self) -> String {
        counted(self.report.incidents.len(), "incident", "incidents")
    }

    /// The first rows of a list, as many as a page can hold.
    fn some<'s, T>(&self, list: &'s [T]) -> &'s [T] {
        &list[..list.len().min(ROWS_MAX)]
    }

    /// What follows a list that is longer than the page shows; nothing when it is not.
    fn rest<T>(&self, list: &[T]) -> String {
        match list.len().saturating_sub(ROWS_MAX) {
            0 => String::new(),
            more => format!(
                "{} stand in report.json alone.",
                counted(more, "more", "more")
            ),
        }
    }

    fn records(&self) -> impl Iterator<Item = (&EvidenceRef, &Record)> {
        self.report.records.iter().take(RECORDS_MAX)
    }

    /// Detections that belong to no incident.
    fn below_threshold(&self) -> usize {
        self.report
            .detections
            .iter()
            .filter(|detection| detection.incident.is_none())
            .count()
    }

    /// The verdicts of all inputs, each word with how many inputs have it.
    fn verdict_counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts = std::collections::BTreeMap::new();
        for evidence in &self.report.evidence {
            *counts.entry(evidence.verdict).or_insert(0) += 1;
        }
        counts
            .into_iter()
            .map(|(verdict, count)| (verdict_words(verdict), count))
            .collect()
    }
}

/// The hash of an inline part, as a content security policy wants it.
fn policy_hash(part: &str) -> String {
    format!(
        "sha256-{}",
        BASE64_STANDARD.encode(Sha256::digest(part.as_bytes()))
    )
}

fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Intact => "intact",
        Verdict::OpenEnd => "open end",
        Verdict::CrashGap => "crash gap",
        Verdict::Incomplete => "incomplete",
        Verdict::Altered => "altered",
        Verdict::Unsealed => "unsealed",
        Verdict::Unverified => "unverified",
        Verdict::Whole => "whole",
        Verdict::Damaged => "damaged",
    }
}

/// How a verdict is shown: the class of its badge.
fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Intact | Verdict::Whole => "good",
        Verdict::OpenEnd | Verdict::CrashGap | Verdict::Unsealed | Verdict::Unverified => "care",
        Verdict::Incomplete | Verdict::Altered | Verdict::Damaged => "bad",
    }
}

/// How a severity is shown: the class of its badge.
fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "bad",
        Severity::Medium => "care",
        Severity::Low => "good",
    }
}

fn ground_words(ground: Ground) -> &'static str {
    match ground {
        Ground::Recorded => "recorded",
        Ground::SameSession => "same session",
        Ground::SameFlow => "same flow",
        Ground::SameContent => "same content",
        Ground::Scheduled => "scheduled",
        Ground::InferredByTime => "inferred by time",
    }
}

/// A reference as text.
fn reference_text(reference: &EvidenceRef) -> Shown {
    Shown::cut(&reference.to_string(), 160)
}

fn key_words(evidence: &Evidence) -> Shown {
    let words = match &evidence.key {
        KeyUsed::None => "none given".to_owned(),
        KeyUsed::Auditor { fingerprint } => format!("the auditor's key {fingerprint}"),
        KeyUsed::Public { fingerprint } => format!("the public key {fingerprint}"),
    };
    Shown::whole(&words)
}

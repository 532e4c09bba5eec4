//! The report: what the judge found, as plain values.
//!
//! Reconstruction fills these types, the case keeps them, the renderers print them.
//! `report.json` is this model as it stands: its JSON Schema is `schemas/report.schema.json`,
//! and a test holds the two together. Field names are a promise to other programs.
//!
//! Three rules hold for every value here:
//!
//! - **Order is the filler's.** Lists stand in the order in which they are printed. Fill
//!   them by a total key (time, host, evidence), never from a hash map.
//! - **Text is shown, never obeyed.** Text from evidence comes through [`text_from_bytes`]
//!   and is otherwise left as it was: control characters, bidi marks and markup stay in it.
//!   The renderers make them visible.
//! - **Nothing of the machine that made it**: no clock, no path outside the inputs.

mod evidence;
mod finding;
mod incident;
mod moment;
mod reference;
mod text;

pub use evidence::{
    Cause, Completeness, Evidence, EvidenceFile, EvidenceMember, Finding, FindingKind, Format,
    KeyUsed, RecordCounts, SourceSeen, Verdict,
};
pub use finding::{Detection, Level, Matched, RefusedRule, RuleSet, SilentRule, Suppressed};
pub use incident::{
    Act, Direction, Gap, Grade, Ground, Incident, Join, Link, NetworkItem, ObjectItem,
    PersistenceItem, Process, Pruned, Role, ScorePart, Sentence, Severity, Step, Story,
};
pub use moment::{Moment, MomentError};
pub use reference::{EvidenceId, EvidenceRef, Place, ReferenceError};
pub use text::text_from_bytes;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The name of this version of the report, as `schema` in `report.json`.
pub const SCHEMA_NAME: &str = "saigen-report/1";

/// The JSON Schema (draft 2020-12) of `report.json`.
pub const JSON_SCHEMA: &str = include_str!("../report.schema.json");

/// The tables of a case's database, `case.sqlite`, as SQL that makes them.
pub const CASE_SQL: &str = include_str!("../case.sql");

/// Everything that one investigation has to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Always [`SCHEMA_NAME`].
    pub schema: String,
    /// The program that made the report.
    pub tool: Tool,
    /// The command that makes the same report again, with names as they were given but
    /// without folders of the machine (`saigen investigate journal -o case`).
    pub command: String,
    /// Lower-case hex SHA-256: the head of the custody log's first part (tool, rules,
    /// inputs), before the report was written. The case fills it; `None` until then.
    pub custody_head: Option<String>,
    /// The inputs, in the order of their ids.
    pub evidence: Vec<Evidence>,
    /// Incidents by rank, the gravest first.
    pub incidents: Vec<Incident>,
    /// Every detection, in and out of incidents, in order of time.
    pub detections: Vec<Detection>,
    /// The rules: which were loaded, refused, or could never apply to this evidence.
    pub rules: RuleSet,
    /// Detections that an allowlist took away; every use of it is a row.
    pub suppressed: Vec<Suppressed>,
    /// Holes in the evidence that belong to no single incident.
    pub gaps: Vec<Gap>,
    /// What the search left out for the whole case.
    pub pruned: Vec<Pruned>,
    /// What was looked at, and what this evidence cannot show. A report without an
    /// incident rests on these sentences.
    pub scope: Vec<Sentence>,
    /// The record behind every reference that the report cites, so that it can be read
    /// without the evidence at hand.
    pub records: BTreeMap<EvidenceRef, Record>,
    /// Totals by name: `events`, `processes`, `edges`, `detections`, `incidents`, …
    pub counts: BTreeMap<String, u64>,
}

/// The program that made the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// `saigen`.
    pub name: String,
    /// Its version, as `--version` prints it.
    pub version: String,
}

/// One cited record of the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When it happened.
    pub time: Option<Moment>,
    /// The host that reported it.
    pub host: String,
    /// What it is, in the words of the event model (`process.start`).
    pub kind: String,
    /// The record as one JSON object in text, as `saigen show` prints it.
    pub json: String,
    /// Lower-case hex SHA-256 of the record's bytes in the source, where it has bytes of its own.
    pub sha256: Option<String>,
    /// The verdict on the frame or chunk that holds it.
    pub verdict: Verdict,
}

impl Report {
    /// An empty report of a tool and a command: nothing read yet, nothing found.
    pub fn new(tool: Tool, command: String) -> Self {
        Self {
            schema: SCHEMA_NAME.to_owned(),
            tool,
            command,
            custody_head: None,
            evidence: Vec::new(),
            incidents: Vec::new(),
            detections: Vec::new(),
            rules: RuleSet::default(),
            suppressed: Vec::new(),
            gaps: Vec::new(),
            pruned: Vec::new(),
            scope: Vec::new(),
            records: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Every reference that the report cites, in order and once each: what `records` must hold.
    pub fn cited(&self) -> BTreeSet<EvidenceRef> {
        self.reference_lists()
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Every list of references in the report, in the order of the fields.
    fn reference_lists(&self) -> Vec<&[EvidenceRef]> {
        let mut lists: Vec<&[EvidenceRef]> = Vec::new();
        let findings = self.evidence.iter().flat_map(|e| &e.findings);
        lists.extend(findings.map(|f| &f.evidence[..]));
        lists.extend(self.detections.iter().map(|d| &d.evidence[..]));
        lists.extend(self.suppressed.iter().map(|s| &s.evidence[..]));
        lists.extend(self.gaps.iter().map(|g| &g.evidence[..]));
        lists.extend(self.pruned.iter().map(|p| &p.evidence[..]));
        lists.extend(self.scope.iter().map(|s| &s.evidence[..]));
        for incident in &self.incidents {
            incident.push_reference_lists(&mut lists);
        }
        lists
    }

    /// Every list of references in the report, in the order of the fields, to change them.
    pub fn reference_lists_mut(&mut self) -> Vec<&mut Vec<EvidenceRef>> {
        let mut lists: Vec<&mut Vec<EvidenceRef>> = Vec::new();
        let findings = self.evidence.iter_mut().flat_map(|e| &mut e.findings);
        lists.extend(findings.map(|f| &mut f.evidence));
        lists.extend(self.detections.iter_mut().map(|d| &mut d.evidence));
        lists.extend(self.suppressed.iter_mut().map(|s| &mut s.evidence));
        lists.extend(self.gaps.iter_mut().map(|g| &mut g.evidence));
        lists.extend(self.pruned.iter_mut().map(|p| &mut p.evidence));
        lists.extend(self.scope.iter_mut().map(|s| &mut s.evidence));
        for incident in &mut self.incidents {
            incident.push_reference_lists_mut(&mut lists);
        }
        lists
    }
}

//! Detections, and the rules that made them.

use serde::{Deserialize, Serialize};

use super::{EvidenceRef, Moment};

/// A rule that fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// The rule's id.
    pub rule: String,
    /// The rule's title.
    pub title: String,
    /// The rule's level.
    pub level: Level,
    /// When the first of its events happened.
    pub time: Moment,
    /// Where.
    pub host: String,
    /// The process that it is about: a node, which an incident's `processes` lists.
    pub process: Option<String>,
    /// The incident that it belongs to; `None` when it stayed below the threshold.
    pub incident: Option<String>,
    /// ATT&CK tactics of the rule, in their short names (`persistence`).
    pub tactics: Vec<String>,
    /// ATT&CK techniques of the rule (`T1059.004`).
    pub techniques: Vec<String>,
    /// The fields that made the rule fire, and their values.
    pub matched: Vec<Matched>,
    /// Events behind it; more than `evidence` cites when the same thing happened often.
    pub events: u64,
    /// The records that it fired on, the first ones when there are many.
    pub evidence: Vec<EvidenceRef>,
}

/// A field that made a rule fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matched {
    /// The field, by the rule's name for it (`CommandLine`).
    pub field: String,
    /// Its value in the record.
    pub value: String,
}

/// The level of a rule, as Sigma has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For statistics.
    Informational,
    /// Rarely of interest alone.
    Low,
    /// To be looked at.
    Medium,
    /// To be looked at soon.
    High,
    /// To be looked at now.
    Critical,
}

impl Level {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// The rules of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// Lower-case hex SHA-256 over all rules, in their order; empty when there were none.
    pub sha256: String,
    /// Rules loaded.
    pub loaded: u64,
    /// Rules that could not be loaded.
    pub refused: Vec<RefusedRule>,
    /// Rules that could never apply, since this evidence has none of their events.
    pub never_applied: Vec<SilentRule>,
}

/// A rule that could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedRule {
    /// Its file or id.
    pub rule: String,
    /// Why.
    pub reason: String,
}

/// A rule that could never apply to this evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilentRule {
    /// Its id.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// What it waits for and this evidence does not have.
    pub reason: String,
}

/// A detection that an allowlist took away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppressed {
    /// The rule that fired.
    pub rule: String,
    /// The rule's title.
    pub title: String,
    /// The allowlist's entry, as it stands there.
    pub entry: String,
    /// How often.
    pub count: u64,
    /// The first record.
    pub evidence: Vec<EvidenceRef>,
}

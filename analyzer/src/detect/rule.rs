//! Rules as reports speak of them, and texts of rules before they are read.

use crate::detect::{Level, Tactic};

/// The text of one rule file, and how it is called in messages.
#[derive(Clone, Debug)]
pub struct RuleText {
    /// The file's path below the folder that was given; for built-in rules below `rules/`.
    pub name: String,
    /// One or more YAML documents.
    pub text: String,
}

/// What a rule says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// The rule's `id`; where it has none, its `name`, its title or its file.
    pub id: String,
    /// One line: what it finds.
    pub title: String,
    /// How grave.
    pub level: Level,
    /// What it finds and why that matters.
    pub description: String,
    /// ATT&CK techniques, `T1059.004`.
    pub techniques: Vec<String>,
    /// ATT&CK tactics.
    pub tactics: Vec<Tactic>,
    /// All tags as written.
    pub tags: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// Known ordinary causes.
    pub false_positives: Vec<String>,
    /// Stated log source, or the kind of correlation: `linux / process_creation`, `event_count`.
    pub source: String,
    /// Name of the file that it stands in.
    pub file: String,
}

/// A rule, a document or a file that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Name of the file.
    pub file: String,
    /// Title of the rule where it could be read.
    pub title: Option<String>,
    /// The reason: one line, lower case.
    pub reason: String,
}

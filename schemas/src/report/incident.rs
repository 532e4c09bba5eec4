//! An incident: what happened, in which order, and why we say so.

use serde::{Deserialize, Serialize};

use super::{EvidenceRef, Moment};

/// One incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// Its id in this report: `I1` is the gravest.
    pub id: String,
    /// One line that says what it is.
    pub title: String,
    /// How grave it is.
    pub severity: Severity,
    /// The sum of `score_parts`; higher is graver.
    pub score: f64,
    /// The parts of the score, each with its reason.
    pub score_parts: Vec<ScorePart>,
    /// The time of its first event.
    pub first: Moment,
    /// The time of its last event.
    pub last: Moment,
    /// The hosts that it touched.
    pub hosts: Vec<String>,
    /// The accounts that it used.
    pub accounts: Vec<String>,
    /// ATT&CK techniques, by id.
    pub techniques: Vec<String>,
    /// How it began: the nodes that have no admissible cause of their own.
    pub entry: Vec<Sentence>,
    /// What happened, in sentences.
    pub story: Story,
    /// What happened, step by step, in order of time.
    pub steps: Vec<Step>,
    /// The processes, in order of their start.
    pub processes: Vec<Process>,
    /// The edges between nodes, in order of time, each with its ground.
    pub links: Vec<Link>,
    /// The files.
    pub files: Vec<ObjectItem>,
    /// The registry keys and values.
    pub registry: Vec<ObjectItem>,
    /// The connections.
    pub network: Vec<NetworkItem>,
    /// What was left behind to come back.
    pub persistence: Vec<PersistenceItem>,
    /// Holes in the evidence within this incident.
    pub gaps: Vec<Gap>,
    /// What the search left out.
    pub pruned: Vec<Pruned>,
    /// Why its parts are one incident.
    pub joined_by: Vec<Join>,
}

/// How grave an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look.
    Low,
    /// Suspicious.
    Medium,
    /// An attack, or very like one.
    High,
    /// An attack that reached its goal.
    Critical,
}

impl Severity {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One part of a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorePart {
    /// Its name (`path anomaly`).
    pub name: String,
    /// Its share of the score.
    pub value: f64,
    /// Why it is that much.
    pub why: String,
}

/// How well a claim is founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Recorded: the cited records say it.
    Proven,
    /// Concluded from the cited records; the text says by what.
    Inferred,
    /// Not observable: the evidence has a hole here, and nothing was filled in.
    Gap,
}

impl Grade {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Inferred => "inferred",
            Self::Gap => "gap",
        }
    }
}

/// One sentence of the story, with its ground.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentence {
    /// The sentence, plain text.
    pub text: String,
    /// How well it is founded.
    pub grade: Grade,
    /// The records that it rests on; empty only for a gap or for a sentence about the
    /// evidence as a whole.
    pub evidence: Vec<EvidenceRef>,
}

/// The story, in the order in which it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// Where it came from.
    pub root_cause: Vec<Sentence>,
    /// What happened, in order.
    pub timeline: Vec<Sentence>,
    /// On which hosts and as whom.
    pub hosts_and_accounts: Vec<Sentence>,
    /// With what.
    pub tools: Vec<Sentence>,
    /// Who reached the hosts.
    pub communication_in: Vec<Sentence>,
    /// Whom the hosts reached.
    pub communication_out: Vec<Sentence>,
    /// How it would come back.
    pub persistence: Vec<Sentence>,
    /// What was read, taken, changed or destroyed.
    pub damage: Vec<Sentence>,
    /// What the search left out.
    pub pruned: Vec<Sentence>,
    /// What the evidence cannot say.
    pub unknown: Vec<Sentence>,
}

impl Story {
    /// The sections with their headings, in the order in which they are told.
    pub fn sections(&self) -> [(&'static str, &[Sentence]); 10] {
        [
            ("Root cause", &self.root_cause),
            ("Timeline", &self.timeline),
            ("Hosts and accounts", &self.hosts_and_accounts),
            ("Tools", &self.tools),
            ("Communication in", &self.communication_in),
            ("Communication out", &self.communication_out),
            ("Persistence", &self.persistence),
            ("Damage", &self.damage),
            ("Left out", &self.pruned),
            ("Not known", &self.unknown),
        ]
    }

    /// The sentences of the sections, in the same order.
    pub(super) fn sections_mut(&mut self) -> [&mut Vec<Sentence>; 10] {
        [
            &mut self.root_cause,
            &mut self.timeline,
            &mut self.hosts_and_accounts,
            &mut self.tools,
            &mut self.communication_in,
            &mut self.communication_out,
            &mut self.persistence,
            &mut self.damage,
            &mut self.pruned,
            &mut self.unknown,
        ]
    }
}

/// One step of an incident: an actor does something to an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When.
    pub time: Moment,
    /// Where.
    pub host: String,
    /// ATT&CK tactics, in their short names (`execution`).
    pub tactics: Vec<String>,
    /// ATT&CK techniques, by id.
    pub techniques: Vec<String>,
    /// The node that acts.
    pub actor: String,
    /// What it does, one word (`starts`, `writes`, `connects`).
    pub verb: String,
    /// The node that it does it to.
    pub object: Option<String>,
    /// How well the step is founded.
    pub grade: Grade,
    /// The step as a sentence.
    pub text: String,
    /// The rules that fired on it, by id.
    pub rules: Vec<String>,
    /// The records behind it.
    pub evidence: Vec<EvidenceRef>,
}

/// A process of an incident. One node is one process between two execs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its node (`n1`), unique in the incident.
    pub node: String,
    /// Where it ran.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// Its GUID, where the source gives one.
    pub guid: Option<String>,
    /// When it started; `None` when it ran before recording began.
    pub start: Option<Moment>,
    /// When it ended, if that was seen.
    pub end: Option<Moment>,
    /// Its exit code, if that was seen.
    pub exit_code: Option<i64>,
    /// The path of its image.
    pub image: Option<String>,
    /// Lower-case hex SHA-256 of its image.
    pub sha256: Option<String>,
    /// Its arguments, joined and quoted as a shell would read them.
    pub command_line: Option<String>,
    /// How the arguments were had, when not copied by the kernel (`raced`, `reconstructed`,
    /// `truncated`).
    pub command_line_had: Option<String>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// The node that started it, when that is in the incident.
    pub parent: Option<String>,
    /// The account that it ran as.
    pub user: Option<String>,
    /// What it was in the incident.
    pub role: Role,
    /// Why it is in the incident.
    pub why: String,
    /// Its start, and what else says that it belongs here.
    pub evidence: Vec<EvidenceRef>,
}

/// What a process was in an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The attacker's own.
    Malicious,
    /// An ordinary program that did the attacker's work.
    Compromised,
    /// It only leads from one to the other.
    Carrier,
}

impl Role {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malicious => "malicious",
            Self::Compromised => "compromised",
            Self::Carrier => "carrier",
        }
    }
}

/// An edge of the graph, and why it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The node that acts, or the cause.
    pub from: String,
    /// The node that is acted on, or the effect.
    pub to: String,
    /// The verb of the edge (`started`, `wrote`, `connected`).
    pub verb: String,
    /// Why the two belong together.
    pub ground: Ground,
    /// The first time.
    pub first: Moment,
    /// The last time.
    pub last: Moment,
    /// How often.
    pub count: u64,
    /// The ground in words.
    pub why: String,
    /// The records behind it, the first ones when there are many.
    pub evidence: Vec<EvidenceRef>,
}

/// Why two things belong together, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// One record names both.
    Recorded,
    /// Both belong to one logon session.
    SameSession,
    /// The same flow, seen from both ends.
    SameFlow,
    /// The same bytes, by hash or by the same file.
    SameContent,
    /// A service, timer or scheduler ran what the other had left for it.
    Scheduled,
    /// Nothing but the order and nearness in time.
    InferredByTime,
}

impl Ground {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::SameSession => "same_session",
            Self::SameFlow => "same_flow",
            Self::SameContent => "same_content",
            Self::Scheduled => "scheduled",
            Self::InferredByTime => "inferred_by_time",
        }
    }
}

/// A file or a registry key of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectItem {
    /// Its node (`f1`, `r1`), unique in the incident.
    pub node: String,
    /// Where it is.
    pub host: String,
    /// Its path, the last one it was seen at.
    pub path: String,
    /// Other paths of the same thing, earlier names and links.
    pub other_paths: Vec<String>,
    /// Lower-case hex SHA-256, where one was recorded.
    pub sha256: Option<String>,
    /// Its size in bytes, the last one seen.
    pub bytes: Option<u64>,
    /// What was done to it, in order of time.
    pub acts: Vec<Act>,
    /// Why it is in the incident.
    pub why: String,
}

/// Something done to an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// When, the first time.
    pub time: Moment,
    /// What (`created`, `written`, `read`, `executed`, `deleted`).
    pub verb: String,
    /// The process node that did it, when that is in the incident.
    pub process: Option<String>,
    /// How often.
    pub count: u64,
    /// The records behind it, the first ones when there are many.
    pub evidence: Vec<EvidenceRef>,
}

/// A connection of an incident, or a place that was listened at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkItem {
    /// Its node (`c1`), unique in the incident.
    pub node: String,
    /// The host whose records tell of it.
    pub host: String,
    /// Which way it was opened.
    pub direction: Direction,
    /// `tcp`, `udp`, `unix`, …
    pub protocol: String,
    /// The host's own end, `address:port` or a socket's path.
    pub local: Option<String>,
    /// The other end, `address:port`.
    pub remote: Option<String>,
    /// The other end's name, where one was resolved.
    pub remote_name: Option<String>,
    /// Bytes that went out.
    pub sent: Option<u64>,
    /// Bytes that came in.
    pub received: Option<u64>,
    /// When it was opened, the first time.
    pub first: Moment,
    /// When it was last seen.
    pub last: Moment,
    /// How often.
    pub count: u64,
    /// The process node that held it, when that is in the incident.
    pub process: Option<String>,
    /// Why it is in the incident.
    pub why: String,
    /// The records behind it, the first ones when there are many.
    pub evidence: Vec<EvidenceRef>,
}

/// Which way a connection was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From outside to the host.
    In,
    /// From the host to outside.
    Out,
    /// Within the host.
    Local,
    /// The host waited for connections.
    Listening,
}

impl Direction {
    /// The word, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Local => "local",
            Self::Listening => "listening",
        }
    }
}

/// Something left behind to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistenceItem {
    /// Its node, when it is a file or a key of this incident.
    pub node: Option<String>,
    /// Where it is.
    pub host: String,
    /// What it is (`cron`, `systemd`, `authorized_key`, `service`, `run_key`).
    pub mechanism: String,
    /// The file, key or name that holds it.
    pub place: String,
    /// What it would run, or whom it would let in, if that was seen.
    pub runs: Option<String>,
    /// When it was put there.
    pub time: Moment,
    /// The process node that put it there.
    pub process: Option<String>,
    /// ATT&CK techniques, by id.
    pub techniques: Vec<String>,
    /// Process nodes that it has already started.
    pub started: Vec<String>,
    /// How well it is founded.
    pub grade: Grade,
    /// Why we say so.
    pub why: String,
    /// The records behind it.
    pub evidence: Vec<EvidenceRef>,
}

/// A hole in the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// Where.
    pub host: Option<String>,
    /// From when.
    pub from: Option<Moment>,
    /// Until when.
    pub to: Option<Moment>,
    /// Events counted as lost in it, where they were counted.
    pub lost: Option<u64>,
    /// What is missing and why, one sentence.
    pub text: String,
    /// Records that show it.
    pub evidence: Vec<EvidenceRef>,
}

/// Something that the search left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruned {
    /// The ground (`duplicate`, `read_only_common`, `hub`, `unit`, `in_degree`, `updater`,
    /// `budget`).
    pub ground: String,
    /// What was left out and why, one sentence.
    pub text: String,
    /// Edges or nodes left out.
    pub count: u64,
    /// A few examples by record.
    pub evidence: Vec<EvidenceRef>,
}

/// Why two parts are one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The ground (`lineage`, `file`, `hash`, `remote`, `lateral`, `session`, `persistence`).
    pub ground: String,
    /// What they share: a path, a hash, an address, a process.
    pub shared: String,
    /// The nodes that it joins.
    pub nodes: Vec<String>,
    /// One sentence.
    pub text: String,
    /// How well it is founded.
    pub grade: Grade,
    /// The records behind it.
    pub evidence: Vec<EvidenceRef>,
}

impl Incident {
    /// Adds every list of references that this incident cites.
    pub(super) fn push_reference_lists<'a>(&'a self, lists: &mut Vec<&'a [EvidenceRef]>) {
        lists.extend(self.entry.iter().map(|s| &s.evidence[..]));
        for (_, sentences) in self.story.sections() {
            lists.extend(sentences.iter().map(|s| &s.evidence[..]));
        }
        lists.extend(self.steps.iter().map(|s| &s.evidence[..]));
        lists.extend(self.processes.iter().map(|p| &p.evidence[..]));
        lists.extend(self.links.iter().map(|l| &l.evidence[..]));
        for object in self.files.iter().chain(&self.registry) {
            lists.extend(object.acts.iter().map(|a| &a.evidence[..]));
        }
        lists.extend(self.network.iter().map(|n| &n.evidence[..]));
        lists.extend(self.persistence.iter().map(|p| &p.evidence[..]));
        lists.extend(self.gaps.iter().map(|g| &g.evidence[..]));
        lists.extend(self.pruned.iter().map(|p| &p.evidence[..]));
        lists.extend(self.joined_by.iter().map(|j| &j.evidence[..]));
    }

    /// Adds every list of references that this incident cites, to change them.
    pub(super) fn push_reference_lists_mut<'a>(
        &'a mut self,
        lists: &mut Vec<&'a mut Vec<EvidenceRef>>,
    ) {
        lists.extend(self.entry.iter_mut().map(|s| &mut s.evidence));
        for sentences in self.story.sections_mut() {
            lists.extend(sentences.iter_mut().map(|s| &mut s.evidence));
        }
        lists.extend(self.steps.iter_mut().map(|s| &mut s.evidence));
        lists.extend(self.processes.iter_mut().map(|p| &mut p.evidence));
        lists.extend(self.links.iter_mut().map(|l| &mut l.evidence));
        for object in self.files.iter_mut().chain(&mut self.registry) {
            lists.extend(object.acts.iter_mut().map(|a| &mut a.evidence));
        }
        lists.extend(self.network.iter_mut().map(|n| &mut n.evidence));
        lists.extend(self.persistence.iter_mut().map(|p| &mut p.evidence));
        lists.extend(self.gaps.iter_mut().map(|g| &mut g.evidence));
        lists.extend(self.pruned.iter_mut().map(|p| &mut p.evidence));
        lists.extend(self.joined_by.iter_mut().map(|j| &mut j.evidence));
    }
}

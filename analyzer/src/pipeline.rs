//! The whole path, from verified evidence to a report. The one module that knows both wings.
//!
//! ```text
//! read ─▶ detect, replay, graph ─▶ reconstruct ─▶ cite ─▶ report
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use saigen_schemas::event::{Event, write_json};
use saigen_schemas::report::{
    Evidence, EvidenceRef, FindingKind, Gap as GapRow, Grade, Moment, Record, RefusedRule, Report,
    RuleSet, Sentence, SilentRule, Suppressed, Tool,
};
use sha2::{Digest as _, Sha256};

use crate::detect::{
    Context, Detection, Engine, Exception, Feeder, ProcessFacts, Suppression, hold_all,
};
use crate::evidence::{Journal, JournalStream, Records, Verification};
use crate::graph::{Graph, GraphBuilder};
use crate::import::{Foreign, sentence};
use crate::reconstruct::{self, Baseline, Connections, Reconstruction};
use crate::reference::{Citations, EventRef, Place};
use crate::replay::{self, Merge, Replay};
use crate::stream::EventStream;
use crate::unwatched::{self, End, Watch};

/// Events between two calls of a progress.
const STEP: u64 = 1 << 14;

/// What an examiner asks for, beside the evidence.
pub struct Request {
    /// The rules, with lists of indicators and exceptions.
    pub engine: Engine,
    /// Threads that hold events against the rules; the result does not depend on it.
    pub threads: NonZeroUsize,
    /// What rules find in work that is known to be good, with the name and the SHA-256 of its file.
    pub baseline: Option<(Baseline, String, [u8; 32])>,
    /// The program, for the report.
    pub tool: Tool,
    /// The command that makes the same report again.
    pub command: String,
}

/// All evidence of a case: journals that were verified, and files that others recorded.
#[derive(Clone, Copy, Debug)]
pub struct Exhibits<'a> {
    /// Journals, each with its verdict.
    pub journals: &'a [(Journal, Verification)],
    /// Files that others recorded.
    pub foreign: &'a Foreign,
    /// How records in archives are named.
    pub citations: &'a Citations,
}

impl Exhibits<'_> {
    /// Events of all evidence.
    #[must_use]
    pub fn events(&self) -> u64 {
        let journals = self.journals.iter().map(|(_, verified)| verified.events);
        journals.sum::<u64>() + self.foreign.events()
    }
}

/// Goes the whole path from evidence to the report; the case adds the head of its custody
/// log. `progress` gets events as they were read.
#[must_use]
pub fn investigate(
    exhibits: Exhibits<'_>,
    request: Request,
    progress: &mut dyn FnMut(u64),
) -> Report {
    let engine = request.engine;
    let read = read_all(exhibits, &engine, request.threads, progress);
    let journals = exhibits.journals.iter();
    let mut gaps: Vec<GapRow> = journals
        .flat_map(|(_, verified)| gaps_of(verified))
        .chain(unwatched::between(watches(exhibits.journals)))
        .chain(foreign_gaps(exhibits.foreign))
        .collect();
    gaps.sort_by(|a, b| (&a.from, &a.host, &a.text).cmp(&(&b.from, &b.host, &b.text)));
    let graph = read.graph.finish(read.replay);
    let reconstruction = reconstruct::reconstruct(&reconstruct::Input {
        graph: &graph,
        connections: &read.connections,
        detections: &read.detections,
        gaps: &gaps,
        baseline: request.baseline.as_ref().map(|(baseline, ..)| baseline),
    });
    let mut report = Report::new(request.tool, request.command);
    let journals = exhibits.journals.iter();
    report.evidence = journals
        .map(|(_, verified)| verified.to_report())
        .chain(exhibits.foreign.files.iter().map(|file| file.to_report()))
        .collect();
    report.evidence.sort_by_key(|evidence| evidence.id);
    report.rules = rule_set(&engine);
    fill(&mut report, reconstruction);
    report.suppressed = read.suppressed.iter().map(suppressed_row).collect();
    tell_lists(&engine, &mut report);
    tell_baseline(request.baseline.as_ref(), &mut report);
    let cited = cited(&report, exhibits.citations);
    report.records = records(cited, exhibits);
    name(&mut report, exhibits.citations);
    report
}

/// What rules find in all evidence, and how many incidents that would be.
#[must_use]
pub fn baseline(
    exhibits: Exhibits<'_>,
    engine: &Engine,
    threads: NonZeroUsize,
) -> (Baseline, usize) {
    let read = read_all(exhibits, engine, threads, &mut |_| ());
    let graph = read.graph.finish(read.replay);
    let found = reconstruct::reconstruct(&reconstruct::Input {
        graph: &graph,
        connections: &read.connections,
        detections: &read.detections,
        gaps: &[],
        baseline: None,
    });
    let baseline = Baseline::of(&graph, &read.detections, exhibits.events());
    (baseline, found.incidents.len())
}

/// What one pass over the events gives.
struct Read {
    replay: Replay,
    graph: GraphBuilder,
    connections: Connections,
    detections: Vec<Detection<EventRef>>,
    suppressed: Vec<Suppression<EventRef>>,
}

/// Shows all events of all inputs, in one order, to detection, replay and graph.
fn read_all(
    exhibits: Exhibits<'_>,
    engine: &Engine,
    threads: NonZeroUsize,
    progress: &mut dyn FnMut(u64),
) -> Read {
    let mut merge = merged(exhibits);
    let mut read = Read {
        replay: Replay::new(),
        graph: GraphBuilder::default(),
        connections: Connections::default(),
        detections: Vec::new(),
        suppressed: Vec::new(),
    };
    let mut detections = Vec::new();
    let mut found = |detection| detections.push(detection);
    let ((), correlator) = hold_all(engine, threads, &mut found, |feeder| {
        let mut events = 0;
        while merge.step(|reference, event| read.take(reference, event, feeder)) {
            events += 1;
            if events % STEP == 0 {
                progress(STEP);
            }
        }
    });
    read.suppressed = correlator.suppressed();
    read.detections = detections;
    read
}

/// The graph of all evidence, without any rule.
#[must_use]
pub fn graph(exhibits: Exhibits<'_>) -> Graph {
    let (mut replay, mut builder) = (Replay::new(), GraphBuilder::default());
    let mut merge = merged(exhibits);
    while merge.step(|reference, event| {
        replay.apply(reference, event);
        builder.apply(reference, event, &replay);
    }) {}
    builder.finish(replay)
}

/// What a hunt says beside its detections.
#[derive(Debug, Default)]
pub struct Hunted {
    /// Events that were held against the rules.
    pub events: u64,
    /// What exceptions and lists of good files took away.
    pub suppressed: Vec<Suppression<EventRef>>,
    /// Exceptions that covered nothing, as they stand in their file.
    pub unused_exceptions: Vec<String>,
}

/// Which rules fire: `found` gets the detections in the order of the events, `progress` the events as
/// they were read.
pub fn hunt(
    exhibits: Exhibits<'_>,
    engine: &Engine,
    threads: NonZeroUsize,
    found: &mut dyn FnMut(Detection<EventRef>),
    progress: &mut dyn FnMut(u64),
) -> Hunted {
    let mut replay = Replay::new();
    let mut merge = merged(exhibits);
    let mut events = 0;
    let ((), correlator) = hold_all(engine, threads, found, |feeder| {
        while merge.step(|reference, event| {
            feed(reference, event, &replay, feeder);
            replay.apply(reference, event);
        }) {
            events += 1;
            if events % STEP == 0 {
                progress(STEP);
            }
        }
    });
    let unused = correlator.unused_exceptions().into_iter();
    Hunted {
        events,
        suppressed: correlator.suppressed(),
        unused_exceptions: unused.map(Exception::entry).collect(),
    }
}

/// Shows all events to the rules only so far that it is known which of them could apply.
pub fn survey(exhibits: Exhibits<'_>, engine: &Engine) {
    let mut merge = merged(exhibits);
    while merge.step(|_, event| engine.survey(event)) {}
}

/// Hands an event to the rules, with what was known of its process before it.
fn feed(
    reference: EventRef,
    event: &Event<'_>,
    replay: &Replay,
    feeder: &mut Feeder<'_, '_, EventRef>,
) {
    let around = replay.around(event);
    let context = Context {
        actor: around.actor.as_ref().map(facts_for_rules),
        parent: around.parent.as_ref().map(facts_for_rules),
    };
    feeder.take(reference, event, &context);
}

impl Read {
    fn take(
        &mut self,
        reference: EventRef,
        event: &Event<'_>,
        feeder: &mut Feeder<'_, '_, EventRef>,
    ) {
        feed(reference, event, &self.replay, feeder);
        self.replay.apply(reference, event);
        self.graph.apply(reference, event, &self.replay);
        self.connections.apply(reference, event);
    }
}

/// What replay knows of a process, as rules ask for it.
fn facts_for_rules<'r>(facts: &replay::ProcessFacts<'r>) -> ProcessFacts<'r> {
    ProcessFacts {
        key: facts.key,
        image: facts.image,
        args: facts.args,
        command_line: facts.command_line,
        cwd: facts.cwd,
        account: facts.account,
        uid: facts.uid,
        euid: facts.euid,
        login_uid: facts.login_uid,
    }
}

/// All inputs as one stream. Inputs that speak of the same moment come in the order of their hashes,
/// so that the order in which they were named does not matter.
#[must_use]
pub fn merged<'a>(exhibits: Exhibits<'a>) -> Merge<Box<dyn EventStream + 'a>> {
    type Lane<'a> = ([u8; 32], Box<dyn EventStream + 'a>);
    let journals = exhibits.journals.iter();
    let journals = journals.map(|(journal, verified)| -> Lane<'a> {
        let rank = Sha256::digest(verified.sha256()).into();
        (rank, Box::new(JournalStream::new(journal, verified)))
    });
    // Foreign files are one stream already, ordered among themselves by their hashes.
    let foreign: Lane<'a> = ([0; 32], Box::new(exhibits.foreign.stream()));
    Merge::new(journals.chain([foreign]))
}

/// What foreign files say is missing from them.
fn foreign_gaps(foreign: &Foreign) -> impl Iterator<Item = GapRow> {
    foreign.files.iter().flat_map(|file| {
        let hosts = file.hosts();
        let host = (hosts.len() == 1).then(|| hosts.first().cloned()).flatten();
        let missing = file
            .all_findings()
            .filter(|(_, finding)| match finding.kind {
                FindingKind::Gap | FindingKind::Loss => true,
                FindingKind::Clock | FindingKind::Damage | FindingKind::Note => false,
            });
        missing.map(move |(path, finding)| GapRow {
            host: host.clone(),
            from: finding.from_us.map(Moment::from_us),
            to: finding.to_us.map(Moment::from_us),
            lost: (finding.lost > 0).then_some(finding.lost),
            text: format!("{} {}", file.source, sentence(path, finding)),
            evidence: Vec::new(),
        })
    })
}

/// Who was recorded when, by each journal.
fn watches(inputs: &[(Journal, Verification)]) -> Vec<Watch> {
    let watch = |verified: &Verification| {
        let (from_us, to_us) = verified.span_us?;
        Some(Watch {
            host: verified.recorded.hosts.first()?.clone(),
            from_us,
            to_us,
            name: verified.path.clone(),
            end: if verified.closed {
                End::Closed
            } else {
                End::Open
            },
        })
    };
    inputs
        .iter()
        .filter_map(|(_, verified)| watch(verified))
        .collect()
}

fn gaps_of(input: &Verification) -> Vec<GapRow> {
    let host = input.recorded.hosts.first().cloned();
    let holes = input.gaps.iter().map(|gap| GapRow {
        host: host.clone(),
        from: gap.from_us.map(Moment::from_us),
        to: gap.to_us.map(Moment::from_us),
        lost: gap.events,
        text: format!(
            "{} of {} from frame {} on: {}",
            frames(gap.frames),
            gap.source,
            gap.position,
            gap.why
        ),
        evidence: Vec::new(),
    });
    let losses = input
        .lost_by_source
        .iter()
        .filter(|(_, lost)| **lost > 0)
        .map(|(name, &lost)| GapRow {
            host: host.clone(),
            from: input.span_us.map(|(first, _)| Moment::from_us(first)),
            to: input.span_us.map(|(_, last)| Moment::from_us(last)),
            lost: Some(lost),
            text: format!(
                "{lost} events of {name} were lost while {} was recorded",
                input.source
            ),
            evidence: Vec::new(),
        });
    holes.chain(losses).collect()
}

fn frames(count: u64) -> String {
    match count {
        0 => "an unknown number of frames".to_owned(),
        1 => "1 frame".to_owned(),
        count => format!("{count} frames"),
    }
}

fn rule_set(engine: &Engine) -> RuleSet {
    let counts = engine.counts();
    let refused = counts.refused.iter().map(|refusal| RefusedRule {
        rule: refusal.title.clone().map_or_else(
            || refusal.file.clone(),
            |title| format!("{}: {title}", refusal.file),
        ),
        reason: refusal.reason.clone(),
    });
    let silent = engine.never_applicable().map(|rule| SilentRule {
        rule: rule.id.clone(),
        title: rule.title.clone(),
        reason: format!("no event of {} is in this evidence", rule.source),
    });
    let lists = engine.indicators().lists();
    let left_out = lists
        .filter(|list| list.left_out > 0)
        .map(|list| RefusedRule {
            rule: list.name.clone(),
            reason: format!(
                "{} lines or objects of this list were left out: {}",
                list.left_out,
                list.reasons.join("; ")
            ),
        });
    RuleSet {
        sha256: format!("{:x}", HexOf(&engine.sha256())),
        loaded: counts.loaded as u64,
        refused: refused.chain(left_out).collect(),
        never_applied: silent.collect(),
    }
}

fn suppressed_row(row: &Suppression<EventRef>) -> Suppressed {
    Suppressed {
        rule: row.rule.id.clone(),
        title: row.rule.title.clone(),
        entry: row.entry.clone(),
        count: row.count,
        evidence: vec![EvidenceRef::from(row.first)],
    }
}

/// Says which lists were looked for in the evidence.
fn tell_lists(engine: &Engine, report: &mut Report) {
    let lists = engine.indicators().lists().map(|list| Sentence {
        text: format!(
            "The list {} (SHA-256 {:x}) with {} entries was held against every event.",
            list.name,
            HexOf(&list.sha256),
            list.taken
        ),
        grade: Grade::Proven,
        evidence: Vec::new(),
    });
    report.scope.extend(lists);
    let count = engine.indicators().len();
    if count > 0 {
        report.counts.insert("indicators".to_owned(), count as u64);
    }
}

/// Says in the report what was taken as known to be good.
fn tell_baseline(baseline: Option<&(Baseline, String, [u8; 32])>, report: &mut Report) {
    let told = baseline.map(|(baseline, name, sha256)| Sentence {
        text: format!(
            "Findings weigh less where the baseline {name} (SHA-256 {:x}) has the same rule: {} rules, from {} events.",
            HexOf(sha256),
            baseline.rules.len(),
            baseline.events
        ),
        grade: Grade::Proven,
        evidence: Vec::new(),
    });
    report.scope.extend(told);
}

/// Bytes as lower-case hex digits.
struct HexOf<'a>(&'a [u8]);

impl std::fmt::LowerHex for HexOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn fill(report: &mut Report, found: Reconstruction) {
    report.incidents = found.incidents;
    report.detections = found.detections;
    report.gaps = found.gaps;
    report.pruned = found.pruned;
    report.scope = found.scope;
    report.counts = found.counts;
    let totals = |of: fn(&Evidence) -> u64| report.evidence.iter().map(of).sum::<u64>();
    let (events, lost, damaged) = (
        totals(|e| e.events),
        totals(|e| e.lost),
        totals(|e| e.damaged),
    );
    report.counts.extend([
        ("events".to_owned(), events),
        ("lost".to_owned(), lost),
        ("damaged".to_owned(), damaged),
    ]);
}

/// Names the files in archives, which the rest of the report knows by their numbers.
fn name(report: &mut Report, citations: &Citations) {
    for list in report.reference_lists_mut() {
        for reference in list {
            if let Some(found) = citations.find(reference) {
                *reference = citations.name(found);
            }
        }
    }
}

/// The references that the report cites.
fn cited(report: &Report, citations: &Citations) -> BTreeSet<EventRef> {
    let cited = report.cited();
    cited
        .iter()
        .filter_map(|cited| citations.find(cited))
        .collect()
}

/// The record behind each reference.
fn records(cited: BTreeSet<EventRef>, exhibits: Exhibits<'_>) -> BTreeMap<EvidenceRef, Record> {
    let mut readers: Vec<Records<'_>> = exhibits
        .journals
        .iter()
        .map(|(journal, verified)| Records::new(journal, verified))
        .collect();
    let mut records = foreign_records(&cited, exhibits);
    for reference in cited {
        let record = readers.iter_mut().find_map(|reader| reader.get(reference));
        if let Some(raw) = record {
            let record = Record {
                time: Some(Moment::from_us(raw.wall_us)),
                host: raw.host,
                kind: raw.kind.as_str().to_owned(),
                json: raw.json,
                // A record of a journal has no bytes of its own: its frame has, and `show` gives
                // that hash.
                sha256: None,
                verdict: raw.verdict,
            };
            records.insert(exhibits.citations.name(reference), record);
        }
    }
    records
}

/// The records of foreign files: each event, and the hash of the bytes that tell it.
fn foreign_records(
    cited: &BTreeSet<EventRef>,
    exhibits: Exhibits<'_>,
) -> BTreeMap<EvidenceRef, Record> {
    let is_foreign = |reference: &EventRef| match reference.place() {
        Place::Frame { .. } => false,
        Place::Offset { .. } => true,
    };
    let wanted: BTreeSet<EventRef> = cited.iter().copied().filter(is_foreign).collect();
    let mut records = BTreeMap::new();
    if wanted.is_empty() {
        return records;
    }
    let bytes = exhibits.foreign.records(&wanted);
    let verdicts: BTreeMap<_, _> = exhibits
        .foreign
        .files
        .iter()
        .map(|file| (file.source, file.verdict()))
        .collect();
    let mut stream = exhibits.foreign.stream();
    while stream.peek().is_some() {
        let Some((reference, event)) = stream.next() else {
            continue;
        };
        let (Some(bytes), Some(&verdict)) =
            (bytes.get(&reference), verdicts.get(&reference.source()))
        else {
            continue;
        };
        let named = exhibits.citations.name(reference);
        // Of the events of one record the first stands for it.
        records.entry(named).or_insert_with_key(|named| {
            let mut json = String::new();
            write_json(&event, &named.to_string(), &mut json);
            Record {
                time: Some(Moment::from_us(event.time.wall_us)),
                host: event.host.lossy().into_owned(),
                kind: event.kind.name().as_str().to_owned(),
                json,
                sha256: Some(format!("{:x}", HexOf(&Sha256::digest(bytes)))),
                verdict,
            }
        });
    }
    records
}

//! `saigen trace`: a search by hand, from any record, process, file or address of a case.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use saigen_schemas::report::{EvidenceId, EvidenceRef, Report};
use serde_json::json;

use crate::case;
use crate::cli::inputs::{Inputs, Opened};
use crate::cli::{Done, Failure, Screen};
use crate::graph::Way;
use crate::pipeline;
use crate::reconstruct::{Start, TrailStep, starts, trail};
use crate::reference::{EventRef, SourceId};
use crate::report::{TrailRow, write_trail_dot, write_trail_svg, write_trail_text};

/// The most things that one search takes, unless more are asked for.
const MOST: usize = 200;

/// The most beginnings that are searched from.
const STARTS_MAX: usize = 8;

/// Follow causes backward or effects forward from anything in a case, without any rule
///
/// Reads the evidence again from where the custody log says that it was found, and refuses what is not
/// the evidence of the case.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen trace case --event e1:12:3
  saigen trace case --process 4711 --forward
  saigen trace case --process powershell.exe@web-1 --backward --format dot
  saigen trace case --file /tmp/x --format svg > x.svg
  saigen trace case --address 203.0.113.9 --evidence /media/stick/web-1")]
pub struct Trace {
    /// The case
    case: PathBuf,
    #[command(flatten)]
    start: StartArgs,
    /// To causes: where did it come from (the default)
    #[arg(long, conflicts_with = "forward")]
    backward: bool,
    /// To effects: what came of it
    #[arg(long)]
    forward: bool,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The most things that a search takes
    #[arg(long, value_name = "N", default_value_t = MOST)]
    most: usize,
    /// Where the evidence is now, if it was moved since; repeatable
    #[arg(long, value_name = "INPUT")]
    evidence: Vec<PathBuf>,
    /// The key to check the seals with again; again for each further enrolment
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
}

/// What a search begins at.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct StartArgs {
    /// A record, as reports cite it
    #[arg(long, value_name = "REF")]
    event: Option<EvidenceRef>,
    /// A pid, GUID, path or name of a program; with @HOST on that host alone
    #[arg(long, value_name = "PROCESS")]
    process: Option<String>,
    /// The path of a file
    #[arg(long, value_name = "PATH")]
    file: Option<String>,
    /// An address
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
}

/// How a search is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Indented lines
    Text,
    /// One JSON document
    Json,
    /// A graph in the DOT language
    Dot,
    /// A picture
    Svg,
}

impl Trace {
    /// Searches, and prints what it comes to.
    ///
    /// # Errors
    /// Where the case or its evidence cannot be read, the evidence is not that of the case, or
    /// nothing in it fits the start.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let report =
            case::read_report(&self.case).map_err(|error| Failure::new(error.to_string()))?;
        let opened = self.open(&report, screen)?;
        let ids = ids(&report, &opened)?;
        let start = self.start(&ids, &opened)?;
        let graph = pipeline::graph(opened.exhibits());
        let found = starts(&graph, &start);
        if found.is_empty() {
            return Err(Failure::new(
                "nothing in the evidence fits; `saigen events` lists what there is",
            ));
        }
        if found.len() > STARTS_MAX {
            screen.warn(&format!(
                "{} things fit; the first {STARTS_MAX} are searched from",
                found.len()
            ));
        }
        let way = if self.forward { Way::Forth } else { Way::Back };
        let cite = |event: EventRef| {
            let cited = opened.citations.name(event);
            let id = ids.get(&event.source()).copied();
            EvidenceRef {
                source: id.unwrap_or(cited.source),
                ..cited
            }
        };
        let mut rows: Vec<TrailRow> = Vec::new();
        for &node in found.iter().take(STARTS_MAX) {
            let base = rows.len();
            for step in trail(&graph, node, way, self.most) {
                rows.push(self.row(&step, base, &cite, screen));
            }
        }
        self.write(&rows, screen)?;
        Ok(opened.done)
    }

    fn open(&self, report: &Report, screen: &mut Screen) -> Result<Opened, Failure> {
        let places = if self.evidence.is_empty() {
            let known =
                case::locations(&self.case).map_err(|error| Failure::new(error.to_string()))?;
            let mut places = Vec::new();
            for evidence in &report.evidence {
                let place = known.get(&evidence.id).map(PathBuf::from).ok_or_else(|| {
                    Failure::new(format!(
                        "{}: the custody log does not say where it was; give it with --evidence",
                        evidence.id
                    ))
                })?;
                if !place.exists() {
                    return Err(Failure::new(format!(
                        "{}: {} is not there any more; say where it is with --evidence",
                        evidence.id,
                        place.display()
                    )));
                }
                places.push(place);
            }
            places
        } else {
            self.evidence.clone()
        };
        let inputs = Inputs {
            inputs: places,
            key: self.key.clone(),
        };
        inputs.open(None, screen)
    }

    fn start(
        &self,
        ids: &BTreeMap<SourceId, EvidenceId>,
        opened: &Opened,
    ) -> Result<Start, Failure> {
        let given = &self.start;
        let event = given.event.as_ref().map(|event| {
            let source = ids.iter().find(|(_, id)| **id == event.source);
            let here = source.map(|(source, _)| EvidenceRef {
                source: (*source).into(),
                ..event.clone()
            });
            let found = here.and_then(|here| opened.citations.find(&here));
            found
                .map(Start::Event)
                .ok_or_else(|| Failure::new(format!("{event}: the case has no such input or file")))
        });
        event
            .transpose()?
            .or_else(|| given.process.clone().map(Start::Process))
            .or_else(|| given.file.clone().map(Start::File))
            .or_else(|| given.address.map(Start::Address))
            .ok_or_else(|| Failure::new("say where to begin"))
    }

    fn row(
        &self,
        step: &TrailStep,
        base: usize,
        cite: &dyn Fn(EventRef) -> EvidenceRef,
        screen: &Screen,
    ) -> TrailRow {
        let mut evidence: Vec<String> = step
            .by
            .iter()
            .flat_map(|(_, _, _, events)| events.map(|event| cite(event).to_string()))
            .collect();
        evidence.dedup();
        TrailRow {
            above: step.by.map(|(above, ..)| base + above),
            verb: step
                .by
                .map_or_else(String::new, |(_, verb, _, _)| verb.as_str().to_owned()),
            kind: step.kind.as_str(),
            time: step.us.map_or_else(String::new, |us| screen.time(us)),
            host: step.host.clone(),
            label: step.label.clone(),
            evidence: evidence.join(" "),
            end: step.end.unwrap_or_default(),
        }
    }

    fn write(&self, rows: &[TrailRow], screen: &mut Screen) -> Result<(), Failure> {
        let format = if screen.json() {
            Format::Json
        } else {
            self.format
        };
        match format {
            Format::Text => write_trail_text(rows, screen.out())?,
            Format::Dot => write_trail_dot(rows, screen.out())?,
            Format::Svg => write_trail_svg(rows, screen.out())?,
            Format::Json => {
                let rows = rows.iter().enumerate().map(|(at, row)| {
                    json!({ "step": at, "above": row.above, "verb": row.verb, "kind": row.kind,
                        "time": row.time, "host": row.host, "label": row.label,
                        "evidence": row.evidence, "end": row.end })
                });
                let said = json!({ "schema": "saigen-trace/1", "steps": rows.collect::<Vec<_>>() });
                writeln!(screen.out(), "{said:#}")?;
            }
        }
        Ok(())
    }
}

/// Which input of the case each opened one is, by its bytes.
fn ids(report: &Report, opened: &Opened) -> Result<BTreeMap<SourceId, EvidenceId>, Failure> {
    let journals = opened.journals.iter().map(|(journal, verified)| {
        (
            journal.source,
            verified.sha256().to_owned(),
            verified.path.clone(),
        )
    });
    let files = opened.foreign.files.iter().map(|file| {
        let told = file.to_report();
        (file.source, told.sha256, told.path)
    });
    let mut ids = BTreeMap::new();
    for (source, sha256, path) in journals.chain(files) {
        let same = report.evidence.iter().find(|evidence| {
            evidence.sha256 == sha256 && !ids.values().any(|id| *id == evidence.id)
        });
        let Some(same) = same else {
            return Err(Failure::new(format!(
                "{path}: not the evidence that the case was made from"
            )));
        };
        ids.insert(source, same.id);
    }
    let missing = report
        .evidence
        .iter()
        .find(|evidence| !ids.values().any(|id| *id == evidence.id));
    match missing {
        Some(evidence) => Err(Failure::new(format!(
            "{}: {} is missing; a search without it would be another one",
            evidence.id, evidence.path
        ))),
        None => Ok(ids),
    }
}

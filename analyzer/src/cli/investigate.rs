//! `saigen investigate`: from evidence to a case.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use saigen_schemas::report::{Detection, Incident, Moment, Report, Tool, Verdict};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::case::{self, Existing, Location, Occasion, WrittenCase};
use crate::cli::baseline::read_baseline;
use crate::cli::detecting::Detecting;
use crate::cli::inputs::{Inputs, Opened};
use crate::cli::screen::Colour;
use crate::cli::{Done, Failure, Screen};
use crate::pipeline::{self, Request};
use crate::reconstruct::Baseline;
use crate::text::safe_text;

/// The most findings that are shown where there is no incident.
const SHOWN_MAX: usize = 3;

/// Reconstruct what happened, and write a case: reports, database, custody log
///
/// Verifies the evidence, replays it, holds it against rules (the built-in ones and those of
/// --rules), follows causes back and effects forward, and writes what it found into a new folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen investigate /evidence/web-1 --key auditor.key -o case
  saigen investigate /evidence/web-1 /evidence/db-1 --rules sigma/rules/linux -o case

The case holds report.html, report.json, report.txt, timeline.csv, case.sqlite and custody.jsonl.
The same evidence and version give the same bytes; custody.jsonl alone has a clock.")]
pub struct Investigate {
    #[command(flatten)]
    inputs: Inputs,
    /// The folder to write the case to; it must not exist
    #[arg(short, long, value_name = "CASE")]
    output: PathBuf,
    #[command(flatten)]
    detecting: Detecting,
    /// What rules find in work that is known to be good: a file of saigen baseline
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// When the copy of a running recording was taken: finds a tail that was cut off
    #[arg(long, value_name = "TIME")]
    acquired: Option<Moment>,
    /// Replace the case that stands there, if it is a case and nothing else
    #[arg(long)]
    force: bool,
}

impl Investigate {
    /// Goes the whole path and writes the case.
    ///
    /// # Errors
    /// Where nothing could be read, a rule folder is not there, or the case cannot be written.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let existing = if self.force {
            Existing::Replace
        } else {
            Existing::Refuse
        };
        // Before hours of work, not after.
        case::check_place(&self.output, existing).map_err(said)?;
        let request = self.request(screen)?;
        let opened = self.inputs.open(self.acquired.map(Moment::us), screen)?;
        if opened.is_empty() {
            return Err(Failure::new("there is no evidence to investigate"));
        }
        opened.warn(screen);
        let report = investigate(&opened, request, screen);
        let occasion = self.occasion(&opened)?;
        let written = case::write_case(&self.output, report, &occasion, existing).map_err(said)?;
        if screen.json() {
            self.tell_machine(&written, screen)?;
        } else {
            self.tell(&written, screen)?;
        }
        Ok(opened.done)
    }

    fn request(&self, screen: &mut Screen) -> Result<Request, Failure> {
        Ok(Request {
            engine: self.detecting.engine(screen)?,
            threads: self.detecting.threads(),
            baseline: self.baseline.as_deref().map(known_good).transpose()?,
            tool: Tool {
                name: "saigen".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            command: self.command(),
        })
    }

    /// The command that makes the report again, without folders of this machine.
    fn command(&self) -> String {
        let mut words = vec!["saigen investigate".to_owned()];
        words.extend(self.inputs.inputs.iter().map(|path| last_part(path)));
        let key = self.inputs.key.iter();
        words.extend(key.map(|path| format!("--key {}", last_part(path))));
        words.extend(self.detecting.words());
        let baseline = self.baseline.iter();
        words.extend(baseline.map(|path| format!("--baseline {}", last_part(path))));
        words.extend(self.acquired.map(|moment| format!("--acquired {moment}")));
        words.push(format!("-o {}", last_part(&self.output)));
        words.join(" ")
    }

    /// Who, when and where: for the custody log alone.
    #[expect(
        clippy::disallowed_methods,
        reason = "the custody log says when and where it was made"
    )]
    fn occasion(&self, opened: &Opened) -> Result<Occasion, Failure> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let us = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let folder = std::env::current_dir()
            .map_err(|error| Failure::new(format!("the current folder: {error}")))?;
        let journals = opened.journals.iter().map(|(journal, _)| Location {
            id: journal.source.into(),
            path: std::fs::canonicalize(journal.folder())
                .unwrap_or_else(|_| journal.folder())
                .to_string_lossy()
                .into_owned(),
        });
        let foreign = opened.foreign.files.iter().map(|file| Location {
            id: file.source.into(),
            path: file.at.to_string_lossy().into_owned(),
        });
        let mut locations: Vec<Location> = journals.chain(foreign).collect();
        locations.sort_by_key(|location| location.id);
        Ok(Occasion {
            time: Moment::from_us(us),
            who: account(),
            machine: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            arguments: std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            working_directory: folder.to_string_lossy().into_owned(),
            locations,
        })
    }

    fn tell(&self, written: &WrittenCase, screen: &mut Screen) -> Result<(), Failure> {
        for input in &written.report.evidence {
            let verdict = screen.paint(colour_of(input.verdict), input.verdict.word());
            writeln!(
                screen.out(),
                "{}  {}: {verdict}, {} events",
                input.id,
                safe_text(&input.path),
                input.events
            )?;
        }
        let incidents = &written.report.incidents;
        if incidents.is_empty() {
            self.tell_of_none(&written.report.detections, screen)?;
        }
        for incident in incidents {
            writeln!(screen.out(), "{}", summary(incident))?;
            for entry in incident.entry.iter().take(1) {
                writeln!(
                    screen.out(),
                    "    entry ({}): {}",
                    entry.grade.word(),
                    safe_text(&entry.text)
                )?;
            }
        }
        writeln!(screen.out(), "custody head {}", written.custody_head)?;
        writeln!(
            screen.out(),
            "report: {}",
            safe_text(&self.output.join(case::REPORT_HTML).to_string_lossy())
        )?;
        Ok(())
    }

    /// No incident: the gravest findings, and how to search from them by hand.
    fn tell_of_none(&self, found: &[Detection], screen: &mut Screen) -> Result<(), Failure> {
        let case = safe_text(&self.output.to_string_lossy());
        if found.is_empty() {
            writeln!(
                screen.out(),
                "no incident; no rule fired, which is no proof that nothing happened"
            )?;
            writeln!(
                screen.out(),
                "    by hand: saigen trace {case} --process NAME (or --file PATH, --address IP)"
            )?;
            return Ok(());
        }
        let count = found.len();
        let detections = if count == 1 {
            "detection"
        } else {
            "detections"
        };
        writeln!(
            screen.out(),
            "no incident; {count} {detections}, none grave enough or joined to more; the gravest:"
        )?;
        let mut gravest: Vec<&Detection> = found.iter().collect();
        // The order of the report, by time, stays among those of one level.
        gravest.sort_by_key(|one| Reverse(one.level));
        let mut told: Vec<&str> = Vec::new();
        for one in gravest {
            let Some(reference) = one.evidence.first() else {
                continue;
            };
            if told.len() < SHOWN_MAX && !told.contains(&one.rule.as_str()) {
                told.push(&one.rule);
                writeln!(
                    screen.out(),
                    "    {} ({}): saigen trace {case} --event {}",
                    safe_text(&one.title),
                    one.level.word(),
                    safe_text(&reference.to_string())
                )?;
            }
        }
        Ok(())
    }

    fn tell_machine(&self, written: &WrittenCase, screen: &mut Screen) -> Result<(), Failure> {
        let report = &written.report;
        let evidence = report.evidence.iter().map(|input| {
            json!({ "id": input.id, "path": input.path, "verdict": input.verdict, "events": input.events })
        });
        let incidents = report.incidents.iter().map(|incident| {
            json!({ "id": incident.id, "title": incident.title, "severity": incident.severity, "score": incident.score })
        });
        let said = json!({
            "schema": "saigen-investigate/1",
            "case": self.output.to_string_lossy(),
            "evidence": evidence.collect::<Vec<_>>(),
            "incidents": incidents.collect::<Vec<_>>(),
            "detections": report.detections.len(),
            "custody_head": written.custody_head,
            "files": written.files,
        });
        writeln!(screen.out(), "{said:#}")?;
        Ok(())
    }
}

/// A baseline, with the name and the SHA-256 of its file.
fn known_good(path: &Path) -> Result<(Baseline, String, [u8; 32]), Failure> {
    let (baseline, bytes) = read_baseline(path)?;
    Ok((baseline, last_part(path), Sha256::digest(&bytes).into()))
}

fn investigate(opened: &Opened, request: Request, screen: &Screen) -> Report {
    let bar = if screen.watched() {
        ProgressBar::new(opened.exhibits().events())
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) =
        ProgressStyle::with_template("replaying {pos}/{len} events {bar:30} {per_sec}")
    {
        bar.set_style(style);
    }
    let report = pipeline::investigate(opened.exhibits(), request, &mut |events| bar.inc(events));
    bar.finish_and_clear();
    report
}

fn summary(incident: &Incident) -> String {
    safe_text(&format!(
        "{}  {}: {} ({} processes, {} steps, {} to {})",
        incident.id,
        incident.severity.word(),
        incident.title,
        incident.processes.len(),
        incident.steps.len(),
        incident.first,
        incident.last
    ))
}

const fn colour_of(verdict: Verdict) -> Colour {
    match verdict {
        Verdict::Intact | Verdict::Whole => Colour::Good,
        Verdict::OpenEnd | Verdict::Unsealed | Verdict::Unverified => Colour::Careful,
        Verdict::CrashGap | Verdict::Incomplete | Verdict::Altered | Verdict::Damaged => {
            Colour::Bad
        }
    }
}

fn said(error: case::CaseError) -> Failure {
    Failure::new(error.to_string())
}

fn last_part(path: &Path) -> String {
    path.file_name()
        .unwrap_or(OsStr::new("."))
        .to_string_lossy()
        .into_owned()
}

/// The account that runs the program: its name where the system has one, and its number.
fn account() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    named.map_or_else(
        || format!("uid {uid}"),
        |name| format!("{name} (uid {uid})"),
    )
}

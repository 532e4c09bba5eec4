//! `saigen verify`: how far journals can be trusted.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use saigen_schemas::event::format_utc;
use saigen_schemas::journal::Anchor;
use saigen_schemas::report::{KeyUsed, Moment, Verdict};
use serde_json::{Value, json};

use crate::cli::inputs::{Inputs, Opened};
use crate::cli::page::{PageInput, write_page};
use crate::cli::screen::Colour;
use crate::cli::{Done, Failure, Screen};
use crate::evidence::{
    AnchorFrom, Asked, Depth, Fault, FaultKind, Held, Stretch, Verification, read_anchors,
    read_seen, write_seen,
};
use crate::text::safe_text;

/// Most faults of a journal that are shown as text; JSON has all that are kept.
const SHOWN_MAX: usize = 20;

/// Say how far journals can be trusted
///
/// Checks every frame: its checksum, that its content decodes and is what its header says, its
/// position, the numbers of its events, the chain from the beginning of the enrolment, its seal (with the
/// auditor's key) or the signatures (with enrolment.pub), and the clocks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen verify /evidence/web-1 --key auditor.key
  saigen verify /evidence --key auditor.key --json
  saigen verify copy/ --key auditor.key --acquired 2026-05-04T10:15:00Z
  saigen verify copy/ --key auditor.key --anchor anchor.json --report verification.html
  saigen verify copy/ --key enrolment.pub --deep --seen seen.anchors

Verdicts: intact, open_end (no close: the end may be cut), crash_gap, incomplete, altered,
unsealed (recorded without a key), unverified (no key, or another's).")]
pub struct Verify {
    #[command(flatten)]
    inputs: Inputs,
    /// When the copy of a running recording was taken: finds a tail that was cut off
    #[arg(long, value_name = "TIME")]
    acquired: Option<Moment>,
    /// Anchors of the recording, one a line: finds a tail that was cut off, and an older copy
    #[arg(long, value_name = "FILE")]
    anchor: Vec<PathBuf>,
    /// What was seen of each recording before: held against, and then moved forward; made if missing
    #[arg(long, value_name = "FILE")]
    seen: Option<PathBuf>,
    /// Make the roots over all events again
    #[arg(long)]
    deep: bool,
    /// Write one page that an auditor can sign
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// List the verdict on each frame, equal neighbours together
    #[arg(long)]
    frames: bool,
}

impl Verify {
    /// Verifies, and shows the verdicts.
    ///
    /// # Errors
    /// Where nothing could be verified.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let mut held = Vec::new();
        for path in &self.anchor {
            held.extend(read_anchors(path, AnchorFrom::Given)?);
        }
        let given = held.len();
        let seen = self.seen.as_deref().map(read_seen).transpose()?;
        held.extend(seen.iter().flatten().cloned());
        let asked = Asked {
            acquired_us: self.acquired.map(Moment::us),
            anchors: &held,
            depth: if self.deep {
                Depth::Roots
            } else {
                Depth::Seals
            },
            ..Asked::default()
        };
        let mut opened = self.inputs.open_asked(asked, screen)?;
        opened.warn(screen);
        let of_these = |held: &Held| {
            let enrolment = Some(held.anchor.enrolment);
            opened
                .journals
                .iter()
                .any(|(journal, _)| journal.enrolment == enrolment)
        };
        if !held.iter().take(given).all(of_these) {
            screen.warn("an anchor is of another enrolment than these journals: it was held against nothing");
            opened.done = Done::Partly;
        }
        if let Some(path) = &self.seen {
            write_seen(path, &seen.unwrap_or_default(), &newly_seen(&opened))?;
        }
        if let Some(path) = &self.report {
            self.write_report(&opened, path)?;
        }
        if screen.json() {
            let journals = opened
                .journals
                .iter()
                .map(|(_, verified)| as_json(verified));
            let all =
                json!({ "schema": "saigen-verify/1", "evidence": journals.collect::<Vec<_>>() });
            writeln!(screen.out(), "{all:#}")?;
        } else {
            self.show(&opened, screen)?;
        }
        Ok(opened.done)
    }

    /// The page, written new: a report that was signed is never written over.
    fn write_report(&self, opened: &Opened, path: &Path) -> Result<(), Failure> {
        let inputs: Vec<PageInput> = opened
            .journals
            .iter()
            .map(|(_, verified)| self.page_input(verified))
            .collect();
        write_page(inputs, &self.command(), path)
    }

    /// What makes the page again, without the paths of this machine.
    fn command(&self) -> String {
        let name = |path: &PathBuf| {
            let name = path.file_name().unwrap_or(path.as_os_str());
            name.to_string_lossy().into_owned()
        };
        let mut words = vec!["saigen verify".to_owned()];
        words.extend(self.inputs.inputs.iter().map(name));
        words.extend(
            self.inputs
                .key
                .iter()
                .map(|key| format!("--key {}", name(key))),
        );
        words.extend(
            self.anchor
                .iter()
                .map(|path| format!("--anchor {}", name(path))),
        );
        words.extend(
            self.seen
                .iter()
                .map(|path| format!("--seen {}", name(path))),
        );
        words.extend(self.acquired.map(|time| format!("--acquired {time}")));
        words.extend(self.deep.then(|| "--deep".to_owned()));
        words.join(" ")
    }

    fn page_input(&self, verified: &Verification) -> PageInput {
        let spans = verified.trusted().into_iter();
        PageInput {
            evidence: verified.to_report(),
            scope: match verified.recorded.scope.as_deref() {
                Some("tree") => "one command and all that it started".to_owned(),
                Some("system") => "the whole system".to_owned(),
                other => other.unwrap_or("unknown").to_owned(),
            },
            mode: mode_words(verified),
            trusted: spans
                .map(|(from, to)| (Moment::from_us(from), Moment::from_us(to)))
                .collect(),
            anchor: verified.anchor.as_ref().map(Anchor::write),
            unknown: self.unknown(verified),
        }
    }

    /// What a verification of this kind cannot find.
    fn unknown(&self, verified: &Verification) -> Vec<String> {
        let mut unknown = Vec::new();
        if !verified.closed && self.anchor.is_empty() && self.acquired.is_none() {
            unknown.push("whether its end was cut off between two frames, or an older copy is shown: an anchor (--anchor) or the time of the copy (--acquired) would tell".to_owned());
        }
        if !verified.closed && !self.anchor.is_empty() {
            unknown.push("what came after the anchor".to_owned());
        }
        unknown.push(match (&verified.key, verified.sealed) {
            (_, false) => "who recorded it, and whether it was changed: it has no seals".to_owned(),
            (KeyUsed::None, true) => "whether its seals hold: no key was given".to_owned(),
            (KeyUsed::Auditor { .. }, true) => "what a thief of the endpoint's key forged after the theft, if there was one: the past up to then is safe".to_owned(),
            (KeyUsed::Public { .. }, true) => "what a thief of the endpoint's present key wrote into the segment that was open, or after it; the auditor.key tells the first".to_owned(),
        });
        if verified.depth == Depth::Seals {
            unknown.push("whether each root over events is that of its events: --deep makes them again; the seals cover the events themselves".to_owned());
        }
        unknown.push("what the recorder's sources did not see".to_owned());
        unknown
    }

    fn show(&self, opened: &Opened, screen: &mut Screen) -> Result<(), Failure> {
        for (number, (_, verified)) in opened.journals.iter().enumerate() {
            if number > 0 {
                writeln!(screen.out())?;
            }
            show_verdict(verified, screen)?;
            if self.frames {
                for stretch in &verified.stretches {
                    let text = stretch_text(stretch, screen);
                    line(screen, "frames", &text)?;
                }
            }
        }
        Ok(())
    }
}

/// How far each journal goes that nothing contradicts.
fn newly_seen(opened: &Opened) -> Vec<Anchor> {
    let sound = opened.journals.iter().filter(|(_, verified)| {
        let faults = verified.faults.iter();
        verified.verdict != Verdict::Altered
            && faults.clone().all(|fault| fault.kind != FaultKind::Altered)
    });
    sound
        .filter_map(|(_, verified)| verified.anchor.clone())
        .collect()
}

/// By which key, and what was checked.
fn mode_words(verified: &Verification) -> String {
    let by = match (&verified.key, verified.sealed) {
        (_, false) => "no seals: checksums, chain, clocks",
        (KeyUsed::None, true) => "no key: checksums, chain, clocks; seals not checked",
        (KeyUsed::Auditor { .. }, true) if verified.key_is_wrong() => {
            "another enrolment's key: seals not checked"
        }
        (KeyUsed::Auditor { .. }, true) => {
            "the auditor.key: every seal and signature, chain, clocks"
        }
        (KeyUsed::Public { .. }, true) if verified.key_is_wrong() => {
            "another enrolment's key: signatures not checked"
        }
        (KeyUsed::Public { .. }, true) => {
            "the enrolment.pub: signatures up to the last checkpoint, chain, clocks"
        }
    };
    match verified.depth {
        Depth::Seals => by.to_owned(),
        Depth::Roots => format!("{by}, the roots over all events"),
    }
}

fn line(screen: &mut Screen, label: &str, text: &str) -> Result<(), Failure> {
    let label = screen.paint(Colour::Faint, &format!("{label:<12}"));
    writeln!(screen.out(), "    {label} {text}")?;
    Ok(())
}

fn show_verdict(verified: &Verification, screen: &mut Screen) -> Result<(), Failure> {
    writeln!(
        screen.out(),
        "{}  {}",
        verified.source,
        safe_text(&verified.path)
    )?;
    let colour = match verified.verdict {
        Verdict::Intact | Verdict::Whole => Colour::Good,
        Verdict::OpenEnd | Verdict::Unsealed | Verdict::Unverified => Colour::Careful,
        Verdict::CrashGap | Verdict::Incomplete | Verdict::Altered | Verdict::Damaged => {
            Colour::Bad
        }
    };
    let mut verdict = screen.paint(colour, verified.verdict.word());
    if let Some(cause) = verified.cause {
        verdict.push_str(&format!(" ({})", cause.word()));
    }
    line(screen, "verdict", &verdict)?;
    line(screen, "because", &safe_text(&verified.explanation))?;
    line(
        screen,
        "host",
        &safe_text(&verified.recorded.hosts.join(", ")),
    )?;
    line(screen, "enrolment", &identity(verified))?;
    line(screen, "checked", &mode_words(verified))?;
    if let Some((first, last)) = verified.span_us {
        let text = format!("{} to {}", screen.time(first), screen.time(last));
        line(screen, "events from", &text)?;
    }
    let text = format!(
        "{} read, {} damaged or missing",
        verified.frames, verified.damaged
    );
    line(screen, "frames", &text)?;
    let text = format!(
        "{} read, {} lost while recording",
        verified.events, verified.lost
    );
    line(screen, "events", &text)?;
    for (from, to) in verified.trusted() {
        let text = format!("{} to {}", screen.time(from), screen.time(to));
        line(screen, "trusted", &text)?;
    }
    for file in &verified.files {
        let text = format!("{}  {}", file.sha256, safe_text(&file.path));
        line(screen, "sha-256", &text)?;
    }
    for fault in verified.faults.iter().take(SHOWN_MAX) {
        line(screen, "wrong", &safe_text(&fault_text(fault)))?;
    }
    let more = verified.faults.len().saturating_sub(SHOWN_MAX) as u64 + verified.faults_unlisted;
    if more > 0 {
        line(screen, "wrong", &format!("and {more} more"))?;
    }
    for notice in verified.notices.iter().take(SHOWN_MAX) {
        let from = notice
            .from_us
            .map(|from| format!("{}: ", screen.time(from)));
        let text = format!("{}{}", from.unwrap_or_default(), safe_text(&notice.text));
        line(screen, "noticed", &text)?;
    }
    Ok(())
}

fn identity(verified: &Verification) -> String {
    let enrolment = verified
        .enrolment
        .map_or_else(|| "unknown".to_owned(), |id| id.to_string());
    let key = match &verified.key {
        KeyUsed::None if verified.sealed => "sealed; no key was given",
        KeyUsed::None => "not sealed",
        KeyUsed::Auditor { fingerprint } if *fingerprint == enrolment => {
            "checked with its auditor's key"
        }
        KeyUsed::Public { fingerprint } if *fingerprint == enrolment => {
            "checked with its enrolment.pub"
        }
        KeyUsed::Auditor { .. } | KeyUsed::Public { .. } => "the key is of another enrolment",
    };
    format!("{enrolment}, {key}")
}

fn fault_text(fault: &Fault) -> String {
    format!("{} at {:#x}: {}", fault.file, fault.offset, fault.text)
}

fn stretch_text(stretch: &Stretch, screen: &Screen) -> String {
    let last = stretch.position.saturating_add(stretch.frames - 1);
    let cause = stretch.cause.map(|cause| format!(" ({})", cause.word()));
    format!(
        "{} to {last}, sealed {} to {}: {}{}",
        stretch.position,
        screen.time(stretch.from_us),
        screen.time(stretch.to_us),
        stretch.verdict.word(),
        cause.unwrap_or_default()
    )
}

/// A verification for machines: the report's evidence, and what a report has no place for.
fn as_json(verified: &Verification) -> Value {
    let mut value = serde_json::to_value(verified.to_report()).unwrap_or_default();
    let trusted = verified
        .trusted()
        .into_iter()
        .map(|(from, to)| json!({ "from": format_utc(from), "to": format_utc(to) }));
    let stretches = verified.stretches.iter().map(|stretch| {
        json!({
            "first": stretch.position,
            "last": stretch.position.saturating_add(stretch.frames - 1),
            "from": format_utc(stretch.from_us),
            "to": format_utc(stretch.to_us),
            "verdict": stretch.verdict.word(),
            "cause": stretch.cause.map(|cause| cause.word()),
        })
    });
    let faults = verified.faults.iter().map(|fault| {
        json!({
            "file": fault.file,
            "offset": fault.offset,
            "position": fault.position,
            "cause": fault.cause.word(),
            "text": fault.text,
        })
    });
    let gaps = verified.gaps.iter().map(|gap| {
        json!({
            "from": gap.from_us.map(format_utc),
            "to": gap.to_us.map(format_utc),
            "first": gap.position,
            "frames": gap.frames,
            "events": gap.events,
            "why": gap.why.as_str(),
        })
    });
    let more = json!({
        "enrolment": verified.enrolment.map(|id| id.to_string()),
        "sealed": verified.sealed,
        "checked": mode_words(verified),
        "deep": verified.depth == Depth::Roots,
        "anchor": verified.anchor.as_ref().and_then(|anchor| serde_json::from_str::<Value>(&anchor.write()).ok()),
        "closed": verified.closed,
        "boots": verified.recorded.boots,
        "positions": verified.positions.map(|(first, last)| [first, last]),
        "trusted": trusted.collect::<Vec<_>>(),
        "frame_verdicts": stretches.collect::<Vec<_>>(),
        "faults": faults.collect::<Vec<_>>(),
        "faults_unlisted": verified.faults_unlisted,
        "gaps": gaps.collect::<Vec<_>>(),
        "lost_by_source": verified.lost_by_source,
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut value, more) {
        all.extend(more);
    }
    value
}

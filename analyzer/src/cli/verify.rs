//! `saigen verify`: how far journals can be trusted.

use std::io::Write as _;

use clap::Args;
use saigen_schemas::event::format_utc;
use saigen_schemas::report::{KeyUsed, Moment, Verdict};
use serde_json::{Value, json};

use crate::cli::inputs::{Inputs, Opened};
use crate::cli::screen::Colour;
use crate::cli::{Done, Failure, Screen};
use crate::evidence::{Fault, Stretch, Verification};
use crate::text::safe_text;

/// Most faults of a journal that are shown as text; JSON has all that are kept.
const SHOWN_MAX: usize = 20;

/// Say how far journals can be trusted
///
/// Checks every frame: its checksum, that its content decodes and is what its header says, its
/// position, the numbers of its events, the chain from the beginning of the enrolment, its seal (with the
/// auditor's key), and the clocks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen verify /evidence/web-1 --key auditor.key
  saigen verify /evidence --key auditor.key --json
  saigen verify copy/ --key auditor.key --acquired 2026-05-04T10:15:00Z

Verdicts: intact, open_end (no close: the end may be cut), crash_gap, incomplete, altered,
unsealed (recorded without a key), unverified (no key, or another's).")]
pub struct Verify {
    #[command(flatten)]
    inputs: Inputs,
    /// When the copy of a running recording was taken: finds a tail that was cut off
    #[arg(long, value_name = "TIME")]
    acquired: Option<Moment>,
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
        let opened = self.inputs.open(self.acquired.map(Moment::us), screen)?;
        opened.warn(screen);
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
            "named by its enrolment.pub"
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

//! `saigen info`: what evidence is.

use std::io::Write as _;

use clap::Args;
use saigen_schemas::event::format_utc;
use saigen_schemas::journal::FORMAT_VERSION;
use serde_json::{Value, json};

use crate::cli::inputs::Inputs;
use crate::cli::screen::Colour;
use crate::cli::{Done, Failure, Screen, info_foreign};
use crate::evidence::{Journal, Verification};
use crate::import::ForeignFile;
use crate::reference::SourceId;
use crate::text::safe_text;

/// Say what evidence is: format, host, time, what was recorded and what could not be seen
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  saigen info /evidence/web-1\n  saigen info /evidence --json")]
pub struct Info {
    #[command(flatten)]
    inputs: Inputs,
}

impl Info {
    /// Reads the inputs, and shows what they are.
    ///
    /// # Errors
    /// Where nothing could be read.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let opened = self.inputs.open(None, screen)?;
        let mut exhibits: Vec<Exhibit<'_>> = opened
            .journals
            .iter()
            .map(|(journal, verified)| Exhibit::Journal(journal, verified))
            .chain(opened.foreign.files.iter().map(Exhibit::Foreign))
            .collect();
        exhibits.sort_by_key(Exhibit::source);
        if screen.json() {
            let all: Vec<Value> = exhibits.iter().map(Exhibit::as_json).collect();
            let strangers = opened.strangers.iter();
            let strangers = strangers.map(|(path, found)| json!({ "path": path, "found": found }));
            let all = json!({
                "schema": "saigen-info/1",
                "evidence": all,
                "strangers": strangers.collect::<Vec<_>>(),
            });
            writeln!(screen.out(), "{all:#}")?;
        } else {
            for (number, exhibit) in exhibits.iter().enumerate() {
                if number > 0 {
                    writeln!(screen.out())?;
                }
                match exhibit {
                    Exhibit::Journal(journal, verified) => show(journal, verified, screen)?,
                    Exhibit::Foreign(file) => info_foreign::show(file, screen)?,
                }
            }
            for (path, found) in &opened.strangers {
                let path = safe_text(path);
                writeln!(screen.out(), "not read  {path}: {found}")?;
            }
        }
        Ok(opened.done)
    }
}

/// One piece of evidence.
enum Exhibit<'a> {
    Journal(&'a Journal, &'a Verification),
    Foreign(&'a ForeignFile),
}

impl Exhibit<'_> {
    const fn source(&self) -> SourceId {
        match self {
            Self::Journal(journal, _) => journal.source,
            Self::Foreign(file) => file.source,
        }
    }

    fn as_json(&self) -> Value {
        match self {
            Self::Journal(journal, verified) => as_json(journal, verified),
            Self::Foreign(file) => info_foreign::as_json(file),
        }
    }
}

fn show(journal: &Journal, verified: &Verification, screen: &mut Screen) -> Result<(), Failure> {
    let recorded = &verified.recorded;
    let bytes: u64 = verified.files.iter().map(|file| file.bytes).sum();
    writeln!(
        screen.out(),
        "{}  {}",
        verified.source,
        safe_text(&verified.path)
    )?;
    let mut lines = vec![
        (
            "format",
            format!("saigen journal, version {FORMAT_VERSION}"),
        ),
        (
            "size",
            format!("{bytes} bytes in {} segments", journal.segments.len()),
        ),
        ("host", recorded.hosts.join(", ")),
        ("boot", recorded.boots.join(", ")),
        ("recorder", recorded.tool.clone().unwrap_or_default()),
        ("scope", recorded.scope.clone().unwrap_or_default()),
    ];
    if let Some((first, last)) = verified.span_us {
        lines.push(("from", screen.time(first)));
        lines.push(("to", screen.time(last)));
    }
    let sealed = if verified.sealed {
        "sealed"
    } else {
        "not sealed"
    };
    let closed = if verified.closed {
        "closed"
    } else {
        "no close"
    };
    lines.push(("state", format!("{sealed}, {closed}")));
    lines.push(("verdict", verified.verdict.word().to_owned()));
    lines.push(("because", verified.explanation.clone()));
    lines.push((
        "frames",
        format!(
            "{} read, {} damaged or missing",
            verified.frames, verified.damaged
        ),
    ));
    lines.push((
        "events",
        format!(
            "{} read, {} lost while recording",
            verified.events, verified.lost
        ),
    ));
    for (label, text) in lines {
        let label = screen.paint(Colour::Faint, &format!("{label:<12}"));
        writeln!(screen.out(), "    {label} {}", safe_text(&text))?;
    }
    for (kind, count) in &verified.kinds {
        writeln!(screen.out(), "        {:<32} {count:>12}", kind.as_str())?;
    }
    for level in &recorded.sources {
        let label = screen.paint(Colour::Faint, &format!("{:<12}", "source"));
        let missed = if level.missed.is_empty() {
            String::new()
        } else {
            format!("; missed: {}", level.missed)
        };
        let text = format!(
            "{} ({}): {}{missed}",
            level.source, level.level, level.gives
        );
        writeln!(screen.out(), "    {label} {}", safe_text(&text))?;
    }
    Ok(())
}

fn as_json(journal: &Journal, verified: &Verification) -> Value {
    let recorded = &verified.recorded;
    let kinds: serde_json::Map<String, Value> = verified
        .kinds
        .iter()
        .map(|(kind, count)| (kind.as_str().to_owned(), json!(count)))
        .collect();
    json!({
        "id": verified.source.to_string(),
        "path": verified.path,
        "format": "journal",
        "version": FORMAT_VERSION,
        "sha256": verified.sha256(),
        "bytes": verified.files.iter().map(|file| file.bytes).sum::<u64>(),
        "segments": journal.segments.len(),
        "hosts": recorded.hosts,
        "boots": recorded.boots,
        "recorder": recorded.tool,
        "scope": recorded.scope,
        "configuration_sha256": recorded.configuration_sha256,
        "enrolment": verified.enrolment.map(|id| id.to_string()),
        "sealed": verified.sealed,
        "closed": verified.closed,
        "verdict": verified.verdict.word(),
        "cause": verified.cause.map(|cause| cause.word()),
        "explanation": verified.explanation,
        "first": verified.span_us.map(|(first, _)| format_utc(first)),
        "last": verified.span_us.map(|(_, last)| format_utc(last)),
        "frames": verified.frames,
        "damaged": verified.damaged,
        "events": verified.events,
        "lost": verified.lost,
        "kinds": kinds,
        "sources": recorded.sources,
    })
}

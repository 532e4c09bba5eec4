//! `saigen events`: the events of evidence, one a line.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use saigen_schemas::event::{Event, Value, write_json};
use saigen_schemas::report::EvidenceRef;

use crate::cli::filter::Filter;
use crate::cli::inputs::Inputs;
use crate::cli::{Done, Failure, Screen};
use crate::evidence::JournalStream;
use crate::reference::Citations;
use crate::stream::EventStream;
use crate::text::safe_text;

/// Print events, one a line, each with its reference
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen events /evidence/web-1 --where kind=process.start --where 'image~^/tmp/'
  saigen events /evidence/web-1 --where 'time>=2026-05-04T10:00:00Z' --limit 20 --format text

A condition is FIELD=VALUE, FIELD!=VALUE, FIELD~REGEX, FIELD!~REGEX or FIELD with <, <=, >, >=. Fields are
kind (a whole group matches: kind=file), time, host, source, ref, pid, and the fields of the event's kind.")]
pub struct Events {
    #[command(flatten)]
    inputs: Inputs,
    /// Only events that meet this condition; several must all be met
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<Filter>,
    /// How to print an event
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Stop after this many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line
    Jsonl,
    /// One line for a reader
    Text,
}

impl Events {
    /// Prints the events, journal after journal, and then those that others recorded in one order.
    ///
    /// # Errors
    /// Where nothing could be read, or the output not be written.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let opened = self.inputs.open(None, screen)?;
        opened.warn(screen);
        let mut left = self.limit.unwrap_or(u64::MAX);
        for (journal, verified) in &opened.journals {
            let mut stream = JournalStream::new(journal, verified);
            self.print(&mut stream, &opened.citations, &mut left, screen)?;
        }
        let mut stream = opened.foreign.stream();
        self.print(&mut stream, &opened.citations, &mut left, screen)?;
        Ok(opened.done)
    }

    fn print(
        &self,
        stream: &mut dyn EventStream,
        citations: &Citations,
        left: &mut u64,
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        let mut line = String::new();
        while *left > 0 && stream.peek().is_some() {
            let Some((reference, event)) = stream.next() else {
                continue;
            };
            let named = citations.name(reference);
            let mut conditions = self.conditions.iter();
            if !conditions.all(|condition| condition.is_met(&named, &event)) {
                continue;
            }
            line.clear();
            if self.format == Format::Jsonl || screen.json() {
                write_json(&event, &named.to_string(), &mut line);
            } else {
                write_text(&event, &named, screen, &mut line);
            }
            line.push('\n');
            screen.out().write_all(line.as_bytes())?;
            *left -= 1;
        }
        Ok(())
    }
}

/// Appends an event as one line for a reader.
pub(super) fn write_text(
    event: &Event<'_>,
    reference: &EvidenceRef,
    screen: &Screen,
    line: &mut String,
) {
    let head = [
        screen.time(event.time.wall_us),
        safe_text(&reference.to_string()),
        safe_text(&event.host.lossy()),
        event.kind.name().as_str().to_owned(),
    ];
    line.push_str(&head.join(" "));
    if let Some(actor) = event.actor {
        line.push_str(&format!(" pid={}", actor.pid));
    }
    event.kind.visit(|name, value| {
        line.push_str(&format!(" {name}={}", safe_text(&value_text(value))));
    });
}

/// A value as a reader writes it.
pub(super) fn value_text(value: Value<'_>) -> String {
    match value {
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Text(text) => text.lossy().into_owned(),
        Value::Args(args) => String::from_utf8_lossy(&args.command_line()).into_owned(),
        Value::Process(key) => key.pid.to_string(),
        Value::Ip(ip) => ip.to_string(),
        Value::Hash(hash) => hash.to_string(),
        Value::Guid(guid) => guid.to_string(),
        Value::Word(word) => word.to_owned(),
    }
}

//! `saigen hunt`: which rules fire on evidence.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use saigen_schemas::event::format_utc;
use serde_json::{Value, json};

use crate::cli::inputs::Inputs;
use crate::cli::rules::{load, parse_level};
use crate::cli::screen::Colour;
use crate::cli::{Done, Failure, Screen};
use crate::detect::{Detection, Level, Pack};
use crate::pipeline;
use crate::reference::EventRef;
use crate::text::safe_text;

/// Hold events against rules, and print what fires
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen hunt /evidence/web-1
  saigen hunt /evidence --rules sigma/rules/linux --level high --fail-on critical")]
pub struct Hunt {
    #[command(flatten)]
    inputs: Inputs,
    /// Rules in the Sigma language, a file or a folder, beside the built-in ones; repeatable
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Only rules of this level or above
    #[arg(long, value_name = "LEVEL", value_parser = parse_level, default_value = "informational")]
    level: Level,
    /// End with exit code 1 if a rule of this level or above fires
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    fail_on: Option<Level>,
}

impl Hunt {
    /// Holds the events against the rules.
    ///
    /// # Errors
    /// Where nothing could be read, or the rules not be loaded.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let engine = load(Pack::BuiltIn, &self.rules)?;
        let opened = self.inputs.open(None, screen)?;
        opened.warn(screen);
        let mut found = pipeline::hunt(&opened.journals, &engine);
        found.retain(|detection| detection.rule.level >= self.level);
        if screen.json() {
            let rows: Vec<Value> = found.iter().map(as_json).collect();
            let all = json!({ "schema": "saigen-hunt/1", "detections": rows });
            writeln!(screen.out(), "{all:#}")?;
        } else {
            for detection in &found {
                let line = as_text(detection, screen);
                writeln!(screen.out(), "{line}")?;
            }
        }
        let grave = |detection: &Detection<EventRef>| {
            self.fail_on
                .is_some_and(|level| detection.rule.level >= level)
        };
        Ok(if found.iter().any(grave) {
            opened.done.max(Done::Damaged)
        } else {
            opened.done
        })
    }
}

fn as_text(detection: &Detection<EventRef>, screen: &Screen) -> String {
    let level = detection.rule.level;
    let colour = match level {
        Level::Informational | Level::Low => Colour::Faint,
        Level::Medium => Colour::Careful,
        Level::High | Level::Critical => Colour::Bad,
    };
    let process = detection.process.map(|key| format!(" pid={}", key.pid));
    format!(
        "{} {} {}{} {} [{}]: {}",
        screen.time(detection.time.wall_us),
        screen.paint(colour, level.name()),
        safe_text(&detection.host),
        process.unwrap_or_default(),
        safe_text(&detection.rule.title),
        references(detection).join(" "),
        safe_text(&detection.why)
    )
}

fn references(detection: &Detection<EventRef>) -> Vec<String> {
    detection.events.iter().map(EventRef::to_string).collect()
}

fn as_json(detection: &Detection<EventRef>) -> Value {
    let rule = &detection.rule;
    json!({
        "rule": rule.id,
        "title": rule.title,
        "level": rule.level.name(),
        "techniques": rule.techniques,
        "time": format_utc(detection.time.wall_us),
        "host": detection.host,
        "pid": detection.process.map(|key| key.pid),
        "evidence": references(detection),
        "why": detection.why,
    })
}

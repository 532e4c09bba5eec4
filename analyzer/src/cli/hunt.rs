//! `saigen hunt`: which rules fire on evidence.

use std::collections::BTreeMap;
use std::io::Write as _;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use saigen_schemas::event::format_utc;
use serde_json::{Value, json};

use crate::cli::detecting::Detecting;
use crate::cli::inputs::{Inputs, Opened};
use crate::cli::rules::parse_level;
use crate::cli::screen::Colour;
use crate::cli::{Done, Failure, Screen};
use crate::detect::{Detection, Engine, Level, RuleInfo, Suppression};
use crate::pipeline::{self, Hunted};
use crate::reference::{Citations, EventRef};
use crate::report::csv_cell;
use crate::text::safe_text;

/// The most detections that stand below the table of counts.
const LISTED_MAX: usize = 5000;

/// Hold events against rules and indicators, and print what fires
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen hunt /evidence/web-1
  saigen hunt /evidence --rules sigma/rules/linux --level high --fail-on critical
  saigen hunt /evidence --ioc feed.csv --tag T1059 --format jsonl")]
pub struct Hunt {
    #[command(flatten)]
    inputs: Inputs,
    #[command(flatten)]
    detecting: Detecting,
    /// Only rules of this level or above
    #[arg(long, value_name = "LEVEL", value_parser = parse_level, default_value = "informational")]
    level: Level,
    /// Only rules with this tag, technique (T1059 with all below it) or tactic; repeatable
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// End with exit code 1 if a rule of this level or above fires
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    fail_on: Option<Level>,
    /// How to print: counts by level and rule and then the detections; or a detection a line
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Jsonl,
    Csv,
}

/// What was found, as far as it is kept.
#[derive(Default)]
struct Tally {
    /// Count of each rule, the gravest first.
    counts: BTreeMap<(std::cmp::Reverse<Level>, String, String), u64>,
    /// The first detections as lines.
    lines: Vec<String>,
    found: u64,
    /// The gravest level.
    worst: Option<Level>,
    /// What writing said, if it failed.
    failed: Option<std::io::Error>,
}

impl Hunt {
    /// Holds the events against the rules.
    ///
    /// # Errors
    /// Where nothing could be read, or the rules not be loaded.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let engine = self.detecting.engine(screen)?;
        let opened = self.inputs.open(None, screen)?;
        opened.warn(screen);
        let bar = progress(&opened, screen);
        let mut tally = Tally::default();
        self.begin(screen)?;
        let hunted = pipeline::hunt(
            opened.exhibits(),
            &engine,
            self.detecting.threads(),
            &mut |detection| {
                if self.wants(&detection.rule) && tally.failed.is_none() {
                    tally.failed = self.take(&detection, &opened, &mut tally, screen).err();
                }
            },
            &mut |events| bar.inc(events),
        );
        bar.finish_and_clear();
        if let Some(error) = tally.failed {
            return Err(error.into());
        }
        self.end(&tally, &hunted, &engine, screen)?;
        for exception in &hunted.unused_exceptions {
            screen.warn(&format!("an exception was never used: {exception}"));
        }
        let grave = |level: Level| tally.worst.is_some_and(|worst| worst >= level);
        Ok(if self.fail_on.is_some_and(grave) {
            opened.done.max(Done::Damaged)
        } else {
            opened.done
        })
    }

    fn wants(&self, rule: &RuleInfo) -> bool {
        rule.level >= self.level
            && (self.tag.is_empty() || self.tag.iter().any(|tag| has_tag(rule, tag)))
    }

    fn begin(&self, screen: &mut Screen) -> std::io::Result<()> {
        if screen.json() {
            return write!(
                screen.out(),
                "{{\n\"schema\": \"saigen-hunt/1\",\n\"detections\": ["
            );
        }
        match self.format {
            Format::Table | Format::Jsonl => Ok(()),
            Format::Csv => writeln!(
                screen.out(),
                "time,level,title,rule,file,host,pid,techniques,evidence,why"
            ),
        }
    }

    fn take(
        &self,
        detection: &Detection<EventRef>,
        opened: &Opened,
        tally: &mut Tally,
        screen: &mut Screen,
    ) -> std::io::Result<()> {
        let citations = &opened.citations;
        let rule = &detection.rule;
        let first = tally.found == 0;
        tally.found += 1;
        tally.worst = tally.worst.max(Some(rule.level));
        let key = (
            std::cmp::Reverse(rule.level),
            rule.title.clone(),
            rule.id.clone(),
        );
        *tally.counts.entry(key).or_default() += 1;
        if screen.json() {
            let between = if first { "\n" } else { ",\n" };
            return write!(screen.out(), "{between}{}", as_json(detection, citations));
        }
        match self.format {
            Format::Jsonl => writeln!(screen.out(), "{}", as_json(detection, citations)),
            Format::Csv => writeln!(screen.out(), "{}", as_csv(detection, citations)),
            Format::Table => {
                if tally.lines.len() < LISTED_MAX {
                    tally.lines.push(as_text(detection, citations, screen));
                }
                Ok(())
            }
        }
    }

    fn end(
        &self,
        tally: &Tally,
        hunted: &Hunted,
        engine: &Engine,
        screen: &mut Screen,
    ) -> std::io::Result<()> {
        if screen.json() {
            return end_json(tally, hunted, engine, screen);
        }
        match self.format {
            Format::Jsonl | Format::Csv => Ok(()),
            Format::Table => end_table(tally, hunted, engine, screen),
        }
    }
}

/// Whether a rule has a tag, as written or as the technique or tactic that it stands for.
fn has_tag(rule: &RuleInfo, wanted: &str) -> bool {
    let wanted = wanted.to_ascii_lowercase();
    let wanted = wanted.strip_prefix("attack.").unwrap_or(&wanted);
    let is = |tag: &str| {
        let tag = tag.to_ascii_lowercase();
        let tag = tag.strip_prefix("attack.").unwrap_or(&tag);
        tag == wanted
            || tag
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    let tactics = rule.tactics.iter().map(|tactic| tactic.name());
    let own = rule.tags.iter().chain(&rule.techniques);
    own.map(String::as_str).chain(tactics).any(is)
}

fn end_table(
    tally: &Tally,
    hunted: &Hunted,
    engine: &Engine,
    screen: &mut Screen,
) -> std::io::Result<()> {
    for ((level, title, id), count) in &tally.counts {
        let level = screen.paint(colour_of(level.0), &format!("{:<13}", level.0.name()));
        let line = format!("{count:>8}  {level} {}", safe_text(title));
        let id = screen.paint(Colour::Faint, &safe_text(id));
        writeln!(screen.out(), "{line}  {id}")?;
    }
    let counts = engine.counts();
    writeln!(
        screen.out(),
        "{}{} detections of {} rules in {} events; {} rules loaded, {} refused{}",
        if tally.counts.is_empty() { "" } else { "\n" },
        tally.found,
        tally.counts.len(),
        hunted.events,
        counts.loaded,
        counts.refused.len(),
        match engine.indicators().len() {
            0 => String::new(),
            count => format!(", {count} indicators"),
        }
    )?;
    for suppressed in &hunted.suppressed {
        let line = format!(
            "left out {} times: {} ({}), by {}",
            suppressed.count, suppressed.rule.title, suppressed.rule.id, suppressed.entry
        );
        writeln!(screen.out(), "{}", safe_text(&line))?;
    }
    if !tally.lines.is_empty() {
        writeln!(screen.out())?;
    }
    for line in &tally.lines {
        writeln!(screen.out(), "{line}")?;
    }
    let listed = u64::try_from(tally.lines.len()).unwrap_or(u64::MAX);
    if tally.found > listed {
        writeln!(
            screen.out(),
            "… and {} more; --format jsonl gives them all",
            tally.found - listed
        )?;
    }
    Ok(())
}

fn end_json(
    tally: &Tally,
    hunted: &Hunted,
    engine: &Engine,
    screen: &mut Screen,
) -> std::io::Result<()> {
    let by_rule = tally.counts.iter().map(|((level, title, id), count)| {
        json!({ "rule": id, "title": title, "level": level.0.name(), "count": count })
    });
    let by_rule: Vec<Value> = by_rule.collect();
    let suppressed = hunted.suppressed.iter().map(|row: &Suppression<EventRef>| {
        json!({ "rule": row.rule.id, "title": row.rule.title, "entry": row.entry, "count": row.count,
                "evidence": [row.first.to_string()] })
    });
    let suppressed: Vec<Value> = suppressed.collect();
    let counts = engine.counts();
    let totals = json!({
        "events": hunted.events,
        "detections": tally.found,
        "loaded": counts.loaded,
        "refused": counts.refused.len(),
        "indicators": engine.indicators().len(),
    });
    let out = screen.out();
    write!(out, "\n],\n\"rules\": {:#}", Value::Array(by_rule))?;
    write!(out, ",\n\"suppressed\": {:#}", Value::Array(suppressed))?;
    writeln!(out, ",\n\"counts\": {totals:#}\n}}")
}

const fn colour_of(level: Level) -> Colour {
    match level {
        Level::Informational | Level::Low => Colour::Faint,
        Level::Medium => Colour::Careful,
        Level::High | Level::Critical => Colour::Bad,
    }
}

fn as_text(detection: &Detection<EventRef>, citations: &Citations, screen: &Screen) -> String {
    let level = detection.rule.level;
    let process = detection.process.map(|key| format!(" pid={}", key.pid));
    format!(
        "{} {} {}{} {} [{}]: {}",
        screen.time(detection.time.wall_us),
        screen.paint(colour_of(level), level.name()),
        safe_text(&detection.host),
        process.unwrap_or_default(),
        safe_text(&detection.rule.title),
        safe_text(&references(detection, citations).join(" ")),
        safe_text(&detection.why)
    )
}

fn references(detection: &Detection<EventRef>, citations: &Citations) -> Vec<String> {
    let named = detection.events.iter().map(|&event| citations.name(event));
    named.map(|reference| reference.to_string()).collect()
}

fn as_json(detection: &Detection<EventRef>, citations: &Citations) -> Value {
    let rule = &detection.rule;
    let matched = detection.fields.iter().map(
        |field| json!({ "field": field.field, "value": field.value, "pattern": field.pattern }),
    );
    json!({
        "rule": rule.id,
        "title": rule.title,
        "level": rule.level.name(),
        "file": rule.file,
        "techniques": rule.techniques,
        "time": format_utc(detection.time.wall_us),
        "host": detection.host,
        "pid": detection.process.map(|key| key.pid),
        "evidence": references(detection, citations),
        "matched": matched.collect::<Vec<Value>>(),
        "why": detection.why,
    })
}

fn as_csv(detection: &Detection<EventRef>, citations: &Citations) -> String {
    let rule = &detection.rule;
    let pid = detection.process.map(|key| key.pid.to_string());
    let cells = [
        format_utc(detection.time.wall_us),
        rule.level.name().to_owned(),
        rule.title.clone(),
        rule.id.clone(),
        rule.file.clone(),
        detection.host.clone(),
        pid.unwrap_or_default(),
        rule.techniques.join(" "),
        references(detection, citations).join(" "),
        detection.why.clone(),
    ];
    cells.map(|cell| csv_cell(&cell)).join(",")
}

/// A bar over all events, where somebody watches.
fn progress(opened: &Opened, screen: &Screen) -> ProgressBar {
    if !screen.watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(opened.exhibits().events());
    let style = ProgressStyle::with_template("holding {pos}/{len} events {bar:30} {per_sec}");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Placeholders, built_in};

    #[test]
    fn tags_are_techniques_tactics_or_as_written() {
        let engine = Engine::new(built_in(), &Placeholders::new());
        let rule = engine
            .find("win_powershell_encoded_command")
            .next()
            .unwrap();
        for (tag, expected) in [
            ("T1059", true),
            ("t1059.001", true),
            ("attack.t1059", true),
            ("execution", true),
            ("T105", false),
            ("T1059.003", false),
        ] {
            assert_eq!(has_tag(rule, tag), expected, "{tag}");
        }
    }
}

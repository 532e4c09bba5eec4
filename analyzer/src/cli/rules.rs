//! `saigen rules`: which rules there are, and what is wrong with them.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::screen::Colour;
use crate::cli::{Done, Failure, Screen};
use crate::detect::{self, Engine, Level, Pack, Placeholders, RuleInfo};
use crate::text::safe_text;

/// Check, list or show rules
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen rules check sigma/rules/linux
  saigen rules list --json
  saigen rules show program_from_temporary_place")]
pub struct Rules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load rules and say which are refused, and why; exit code 1 if any is
    Check {
        /// Files or folders of rules; the built-in ones if none is given
        rules: Vec<PathBuf>,
    },
    /// List the built-in rules, and those of --rules
    List {
        /// A file or folder of rules; repeatable
        #[arg(long, value_name = "DIR")]
        rules: Vec<PathBuf>,
    },
    /// Show one rule, by its id, title or file name
    Show {
        /// The rule
        name: String,
        /// A file or folder of rules; repeatable
        #[arg(long, value_name = "DIR")]
        rules: Vec<PathBuf>,
    },
}

impl Rules {
    /// Does what is asked with the rules.
    ///
    /// # Errors
    /// Where a folder cannot be read, or a rule is not there.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        match &self.command {
            Command::Check { rules } => check(rules, screen),
            Command::List { rules } => list(&load(Pack::BuiltIn, rules)?, screen),
            Command::Show { name, rules } => show(name, &load(Pack::BuiltIn, rules)?, screen),
        }
    }
}

/// Loads rules.
///
/// # Errors
/// Where a file or folder cannot be read.
pub fn load(pack: Pack, folders: &[PathBuf]) -> Result<Engine, Failure> {
    for folder in folders {
        std::fs::metadata(folder).map_err(|error| {
            let path = folder.display();
            Failure::new(format!("{path}: cannot read rules: {error}"))
        })?;
    }
    detect::load_rules(pack, folders, &Placeholders::default())
        .map_err(|error| Failure::new(format!("cannot read rules: {error}")))
}

/// Reads a level from the command line.
///
/// # Errors
/// In words, where it is none.
pub fn parse_level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| {
        let names: Vec<&str> = Level::ALL.into_iter().map(Level::name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn check(folders: &[PathBuf], screen: &mut Screen) -> Result<Done, Failure> {
    let pack = if folders.is_empty() {
        Pack::BuiltIn
    } else {
        Pack::Without
    };
    let counts = load(pack, folders)?.counts();
    if screen.json() {
        let told = |list: &[detect::Refusal]| -> Vec<Value> {
            let rows = list.iter().map(|refusal| {
                json!({ "file": refusal.file, "title": refusal.title, "reason": refusal.reason })
            });
            rows.collect()
        };
        let all = json!({
            "schema": "saigen-rules-check/1",
            "loaded": counts.loaded,
            "correlations": counts.correlations,
            "filters": counts.filters,
            "refused": told(&counts.refused),
            "remarks": told(&counts.remarks),
        });
        writeln!(screen.out(), "{all:#}")?;
    } else {
        for (colour, word, list) in [
            (Colour::Bad, "refused", &counts.refused),
            (Colour::Careful, "odd", &counts.remarks),
        ] {
            let word = screen.paint(colour, word);
            for refusal in list {
                let title = refusal.title.as_ref().map(|title| format!(" ({title})"));
                let place = safe_text(&format!("{}{}", refusal.file, title.unwrap_or_default()));
                writeln!(
                    screen.out(),
                    "{word} {place}: {}",
                    safe_text(&refusal.reason)
                )?;
            }
        }
        writeln!(
            screen.out(),
            "{} rules loaded, {} of them over several events; {} filters; {} refused",
            counts.loaded,
            counts.correlations,
            counts.filters,
            counts.refused.len()
        )?;
    }
    Ok(if counts.refused.is_empty() {
        Done::Clean
    } else {
        Done::Damaged
    })
}

fn list(engine: &Engine, screen: &mut Screen) -> Result<Done, Failure> {
    if screen.json() {
        let rules: Vec<Value> = engine.rules().map(|rule| as_json(rule)).collect();
        let all = json!({ "schema": "saigen-rules/1", "rules": rules });
        writeln!(screen.out(), "{all:#}")?;
        return Ok(Done::Clean);
    }
    for rule in engine.rules() {
        let level = format!("{:<13}", rule.level.name());
        let techniques = rule.techniques.join(",");
        let line = format!("{level} {:<24} {}", techniques, rule.title);
        writeln!(screen.out(), "{}", safe_text(&line))?;
    }
    Ok(Done::Clean)
}

fn show(name: &str, engine: &Engine, screen: &mut Screen) -> Result<Done, Failure> {
    let mut found = engine.find(name).peekable();
    if found.peek().is_none() {
        return Err(Failure::new(format!(
            "no rule has the id, title or file name {name:?}; saigen rules list names them all"
        )));
    }
    for rule in found {
        if screen.json() {
            writeln!(screen.out(), "{:#}", as_json(rule))?;
            continue;
        }
        let tactics: Vec<&str> = rule.tactics.iter().map(|tactic| tactic.name()).collect();
        let lines = [
            ("title", rule.title.clone()),
            ("id", rule.id.clone()),
            ("file", rule.file.clone()),
            ("level", rule.level.name().to_owned()),
            ("source", rule.source.clone()),
            ("tactics", tactics.join(", ")),
            ("techniques", rule.techniques.join(", ")),
            ("what", rule.description.clone()),
            ("ordinary", rule.false_positives.join("; ")),
            ("see", rule.references.join(" ")),
        ];
        for (label, text) in lines.into_iter().filter(|(_, text)| !text.is_empty()) {
            let label = screen.paint(Colour::Faint, &format!("{label:<11}"));
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            writeln!(screen.out(), "{label} {}", safe_text(&text))?;
        }
    }
    Ok(Done::Clean)
}

fn as_json(rule: &RuleInfo) -> Value {
    let tactics: Vec<&str> = rule.tactics.iter().map(|tactic| tactic.name()).collect();
    json!({
        "id": rule.id,
        "title": rule.title,
        "file": rule.file,
        "level": rule.level.name(),
        "source": rule.source,
        "tactics": tactics,
        "techniques": rule.techniques,
        "tags": rule.tags,
        "description": rule.description,
        "references": rule.references,
        "false_positives": rule.false_positives,
    })
}

//! `saigen rules`: which rules there are, and what is wrong with them.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::detecting::load;
use crate::cli::inputs::Inputs;
use crate::cli::screen::Colour;
use crate::cli::{Done, Failure, Screen};
use crate::detect::{self, Engine, Level, Pack, RuleCounts, RuleInfo};
use crate::pipeline;
use crate::text::safe_text;

/// Check, list or show rules
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen rules check sigma/rules/linux
  saigen rules check sigma/rules --for /evidence --json
  saigen rules list --json
  saigen rules show program_from_temporary_place")]
pub struct Rules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load rules and say which are refused, and why; exit code 1 if any is
    Check(Check),
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

#[derive(Debug, Args)]
struct Check {
    /// Files or folders of rules; the built-in ones if none is given
    rules: Vec<PathBuf>,
    /// Values for placeholders in rules: a file with one `name: value` a line
    #[arg(long, value_name = "FILE")]
    placeholders: Option<PathBuf>,
    /// Also say which of them could fire on this evidence; repeatable
    #[arg(long = "for", value_name = "INPUT")]
    evidence: Vec<PathBuf>,
}

impl Rules {
    /// Does what is asked with the rules.
    ///
    /// # Errors
    /// Where a folder cannot be read, or a rule is not there.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        match &self.command {
            Command::Check(check) => check.run(screen),
            Command::List { rules } => list(&load(Pack::BuiltIn, rules, None)?, screen),
            Command::Show { name, rules } => show(name, &load(Pack::BuiltIn, rules, None)?, screen),
        }
    }
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

impl Check {
    fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let pack = if self.rules.is_empty() {
            Pack::BuiltIn
        } else {
            Pack::Without
        };
        let engine = load(pack, &self.rules, self.placeholders.as_deref())?;
        let mut done = Done::Clean;
        if !self.evidence.is_empty() {
            let inputs = Inputs {
                inputs: self.evidence.clone(),
                key: Vec::new(),
            };
            let opened = inputs.open(None, screen)?;
            opened.warn(screen);
            done = opened.done;
            pipeline::survey(opened.exhibits(), &engine);
        }
        let counts = engine.counts();
        let silent: Vec<&RuleInfo> = if self.evidence.is_empty() {
            engine.without_source().map(AsRef::as_ref).collect()
        } else {
            engine.never_applicable().map(AsRef::as_ref).collect()
        };
        if screen.json() {
            self.tell_machine(&engine, &counts, &silent, screen)?;
        } else {
            self.tell(&counts, &silent, screen)?;
        }
        Ok(if counts.refused.is_empty() {
            done
        } else {
            done.max(Done::Damaged)
        })
    }

    /// What is said of rules that cannot fire.
    fn silent_word(&self) -> &'static str {
        if self.evidence.is_empty() {
            "for a log source that no evidence carries"
        } else {
            "for a log source that this evidence does not carry"
        }
    }

    fn tell(
        &self,
        counts: &RuleCounts,
        silent: &[&RuleInfo],
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        for (colour, word, list) in [
            (Colour::Bad, "refused", &counts.refused),
            (Colour::Careful, "odd", &counts.remarks),
        ] {
            let word = screen.paint(colour, word);
            for refusal in list {
                let title = refusal.title.as_ref().map(|title| format!(" ({title})"));
                let place = safe_text(&format!("{}{}", refusal.file, title.unwrap_or_default()));
                let reason = safe_text(&refusal.reason);
                writeln!(screen.out(), "{word} {place}: {reason}")?;
            }
        }
        let word = screen.paint(Colour::Faint, "silent");
        for rule in silent {
            let line = safe_text(&format!("{} ({}): {}", rule.file, rule.title, rule.source));
            writeln!(screen.out(), "{word} {line}")?;
        }
        writeln!(
            screen.out(),
            "{} rules loaded, {} of them over several events; {} filters; {} refused; {} {}",
            counts.loaded,
            counts.correlations,
            counts.filters,
            counts.refused.len(),
            silent.len(),
            self.silent_word()
        )?;
        Ok(())
    }

    fn tell_machine(
        &self,
        engine: &Engine,
        counts: &RuleCounts,
        silent: &[&RuleInfo],
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        let told = |list: &[detect::Refusal]| -> Vec<Value> {
            let rows = list.iter().map(|refusal| {
                json!({ "file": refusal.file, "title": refusal.title, "reason": refusal.reason })
            });
            rows.collect()
        };
        let named = |rule: &RuleInfo| {
            json!({ "id": rule.id, "title": rule.title, "file": rule.file,
                    "level": rule.level.name(), "source": rule.source })
        };
        let loaded: Vec<Value> = engine.rules().map(|rule| named(rule)).collect();
        let not_applicable: Vec<Value> = silent.iter().map(|rule| named(rule)).collect();
        let all = json!({
            "schema": "saigen-rules-check/1",
            "loaded": counts.loaded,
            "refused": counts.refused.len(),
            "correlations": counts.correlations,
            "filters": counts.filters,
            "applicable": counts.loaded - silent.len(),
            "not_applicable": silent.len(),
            "loaded_rules": loaded,
            "refused_rules": told(&counts.refused),
            "remarks": told(&counts.remarks),
            "not_applicable_rules": not_applicable,
        });
        writeln!(screen.out(), "{all:#}")?;
        Ok(())
    }
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

//! The command line: its words, its help, its exit codes.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::{Arg, Parser};
use serde_json::json;

use crate::install::Service;
use crate::{acquire, keys, probe, record, snapshot};
use words::{Asked, Given, Shape};

mod settings;
mod shapes;
mod words;

/// The exit code of what was not done.
const NOT_DONE: u8 = 2;

/// What does a command.
type Does = fn(&Given) -> Result<ExitCode, String>;

/// All commands, in the order of the help, and what does them.
const SHAPES: &[(&Shape, Does)] = &[
    (&shapes::INSTALL, run_install),
    (&shapes::KEYGEN, run_keygen),
    (&shapes::PROBE, run_probe),
    (&shapes::RECORD, run_record),
    (&shapes::SNAPSHOT, run_snapshot),
    (&shapes::ANCHOR, run_anchor),
    (&shapes::SEAL_OFF, run_seal_off),
];

/// Does what the arguments ask for, and says how it went.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    act(&mut Parser::from_iter(arguments)).unwrap_or_else(|message| {
        say(&format!("saigen-collector: {message}"));
        ExitCode::from(NOT_DONE)
    })
}

/// Reads the command's word, then what the command takes, and does it.
fn act(parser: &mut Parser) -> Result<ExitCode, String> {
    let word = match parser.next().map_err(|error| error.to_string())? {
        Some(Arg::Short('h') | Arg::Long("help")) => return told(&help()),
        Some(Arg::Short('V') | Arg::Long("version")) => return told(&version()),
        Some(Arg::Value(word)) if word == "help" => {
            return match parser.next().map_err(|error| error.to_string())? {
                None => told(&help()),
                Some(Arg::Value(word)) => told(&shape(&word.to_string_lossy())?.0.help()),
                Some(other) => Err(other.unexpected().to_string()),
            };
        }
        Some(Arg::Value(word)) => word,
        Some(other) => return Err(format!("{}; {HELP}", other.unexpected())),
        None => return Err(format!("expected a command; {HELP}")),
    };
    let (shape, does) = shape(&word.to_string_lossy())?;
    match shape.read(parser) {
        Ok(Asked::Help) => told(&shape.help()),
        Ok(Asked::Version) => told(&version()),
        Ok(Asked::Do(given)) => does(&given),
        Err(what) => Err(format!(
            "{}: {what}; saigen-collector {0} --help says what it takes",
            shape.name
        )),
    }
}

/// Where a person who mistyped is sent.
const HELP: &str = "saigen-collector --help lists the commands";

/// The command of that word, and what does it.
fn shape(word: &str) -> Result<(&'static Shape, Does), String> {
    let found = SHAPES.iter().find(|(shape, _)| shape.name == word);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = SHAPES.iter().map(|(shape, _)| shape.name).collect();
        let near = crate::config::nearest(word, &names).unwrap_or_default();
        format!("unknown command {word:?}; did you mean {near}? {HELP}")
    })
}

fn told(text: &str) -> Result<ExitCode, String> {
    print(text)?;
    Ok(ExitCode::SUCCESS)
}

fn version() -> String {
    format!("saigen-collector {}", env!("CARGO_PKG_VERSION"))
}

fn help() -> String {
    let mut text = format!("{}\nCommands:\n", shapes::ABOUT);
    for (shape, _) in SHAPES {
        text.push_str(&format!("  {:<9} {}\n", shape.name, shape.about));
    }
    text.push('\n');
    text.push_str(shapes::EXAMPLES_AND_CODES);
    text
}

/// A line for the person, on stderr.
fn say(line: &str) {
    // Nobody may be listening; that is no reason to stop.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Data, on stdout.
fn print(text: &str) -> Result<(), String> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("stdout: cannot write: {error}"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn run_keygen(given: &Given) -> Result<ExitCode, String> {
    let made = keys::generate(&given.needed("output")?).map_err(|error| error.to_string())?;
    if given.has("json") {
        let files = json!({
            "enrolment": made.enrolment.to_string(),
            "endpoint_key": made.endpoint,
            "auditor_key": made.auditor,
            "enrolment_pub": made.public,
        });
        print(&files.to_string())?;
    } else {
        for path in [&made.endpoint, &made.auditor, &made.public] {
            print(&path.display().to_string())?;
        }
    }
    say("endpoint.key goes to the machine that is recorded: record --key endpoint.key");
    say(
        "auditor.key stays with the auditor, away from that machine: saigen verify --key auditor.key",
    );
    Ok(ExitCode::SUCCESS)
}

fn run_probe(given: &Given) -> Result<ExitCode, String> {
    let probe = probe::probe();
    let text = if given.has("json") {
        json!(probe).to_string()
    } else {
        probe.to_string()
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn run_install(given: &Given) -> Result<ExitCode, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let service = Service {
        program,
        journals: given.path("below").unwrap_or(shapes::BELOW.into()),
        key: given.path("key"),
        config: given.path("config"),
    };
    if given.has("print") {
        let unit = service.unit().map_err(|error| error.to_string())?;
        print(unit.trim_end())?;
    } else {
        let unit = given.path("unit").unwrap_or(shapes::UNIT.into());
        service.install(&unit).map_err(|error| error.to_string())?;
        print(&unit.display().to_string())?;
        say("now: systemctl daemon-reload && systemctl enable --now saigen-collector");
    }
    Ok(ExitCode::SUCCESS)
}

fn run_record(given: &Given) -> Result<ExitCode, String> {
    let options = settings::options(given).map_err(|what| format!("record: {what}"))?;
    if given.has("dry-run") {
        print(&record::plan(&options))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(below) = &given.path("below") {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(below);
        made.map_err(|error| format!("{}: cannot make the directory: {error}", below.display()))?;
    }
    let words = &mut |line: &str| say(&format!("saigen-collector: {line}"));
    let ended = record::record(&options, words).map_err(|error| error.to_string())?;
    let starts = ended.starts;
    // The command owns stdout.
    if given.has("json") {
        let counts = json!({
            "journal": options.output,
            "events": ended.events,
            "lost": ended.lost,
            "starts": {
                "recorded": starts.recorded,
                "whole": starts.whole,
                "audit": starts.audit,
                "perf": starts.perf,
                "connector": starts.connector,
            },
        });
        say(&counts.to_string());
    } else {
        say(&format!(
            "saigen-collector: {}: {} events, {} lost; {} starts, {} with whole arguments (audit {}, perf {}, connector {})",
            options.output.display(),
            ended.events,
            ended.lost,
            starts.recorded,
            starts.whole,
            starts.audit,
            starts.perf,
            starts.connector,
        ));
    }
    if let Some(full) = ended.full {
        return Err(format!("{}: {full}", options.output.display()));
    }
    Ok(ExitCode::from(ended.code.unwrap_or(0)))
}

fn run_snapshot(given: &Given) -> Result<ExitCode, String> {
    let output = given.needed("output")?;
    let taken = snapshot::to_journal(&output).map_err(|error| error.to_string())?;
    for missed in &taken.missed {
        say(&format!("left out: {missed}"));
    }
    let text = if given.has("json") {
        json!({ "journal": output, "events": taken.events, "missed": taken.missed }).to_string()
    } else {
        format!("{}: {} events", output.display(), taken.events)
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn run_anchor(given: &Given) -> Result<ExitCode, String> {
    let anchor = acquire::anchor(&journal(given)?).map_err(|error| error.to_string())?;
    print(&anchor.write())?;
    Ok(ExitCode::SUCCESS)
}

fn run_seal_off(given: &Given) -> Result<ExitCode, String> {
    let taken = acquire::seal_off(&journal(given)?, &given.needed("output")?)
        .map_err(|error| error.to_string())?;
    if given.has("json") {
        let files: Vec<_> = taken
            .files
            .iter()
            .map(|file| json!({ "path": file.name, "bytes": file.bytes, "sha256": file.sha256 }))
            .collect();
        let all = json!({
            "anchor": serde_json::from_str::<serde_json::Value>(&taken.anchor.write()).ok(),
            "files": files,
            "running": taken.running,
        });
        print(&all.to_string())?;
    } else {
        for file in &taken.files {
            print(&format!("{}  {}", file.sha256, file.name))?;
        }
        print(&taken.anchor.write())?;
    }
    say("write down the anchor: frame and chain say how far this copy goes");
    if taken.running {
        say("the recording goes on; what follows is not in this copy");
    }
    Ok(ExitCode::SUCCESS)
}

/// The directory of a journal that a command works on.
fn journal(given: &Given) -> Result<PathBuf, String> {
    let argument = given.argument.as_ref().map(PathBuf::from);
    argument.ok_or_else(|| "DIR is missing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_help_and_is_found_by_its_word() {
        for (known, _) in SHAPES {
            assert_eq!(shape(known.name).unwrap().0.name, known.name);
            assert!(help().contains(known.about));
        }
        assert!(
            shape("rekord")
                .unwrap_err()
                .contains("did you mean record?")
        );
    }

    #[test]
    fn a_setting_of_the_file_is_an_option_too() {
        let (record, _) = shape("record").unwrap();
        for name in crate::config::NAMES {
            assert!(
                record.options.iter().any(|word| word.name == name),
                "{name}"
            );
        }
    }
}

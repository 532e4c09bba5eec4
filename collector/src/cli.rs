//! The command line: its words, its help, its exit codes.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::json;

use crate::{keys, snapshot};

/// The exit code of what was not done.
const NOT_DONE: u8 = 2;

/// Records what happens on this machine into a journal that cannot be quietly changed.
///
/// It works from user mode alone: no kernel module, no eBPF, nothing that programs must wait
/// for. Journals are read by `saigen`, on any machine; nothing is sent anywhere.
#[derive(Debug, Parser)]
#[command(name = "saigen-collector", version, propagate_version = true, after_help = EXAMPLES, after_long_help = EXAMPLES_AND_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  saigen-collector keygen -o keys
  saigen-collector snapshot -o state";

const EXAMPLES_AND_CODES: &str = "\
Examples:
  Make the keys of an enrolment; keep auditor.key away from the endpoint:
      saigen-collector keygen -o keys

  Write down the state of this machine:
      saigen-collector snapshot -o state

Exit codes:
  0  done
  2  not done; one line on stderr says what, where, and what to do";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the keys of an enrolment
    Keygen(KeygenArgs),
    /// Write down the state of the machine: processes, sockets, modules, accounts, autostarts
    Snapshot(SnapshotArgs),
}

/// Make the keys of an enrolment.
///
/// Writes three files: endpoint.key goes to the machine that is recorded, where `record --key`
/// uses it and moves it forward; auditor.key stays with the auditor, away from that machine, and
/// proves with `saigen verify --key` that nothing was changed; enrolment.pub is for anyone.
/// Existing files are never written over.
#[derive(Debug, Args)]
struct KeygenArgs {
    /// The directory for the three files; made if it is missing
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Write down the state of the machine: processes, sockets, modules, accounts, autostarts.
///
/// The same that `record` writes when it begins, into an unsealed journal of its own. Without
/// root, what belongs to others is left out, and it says so.
#[derive(Debug, Args)]
struct SnapshotArgs {
    /// The directory of the journal; must be new or empty
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Does what the arguments ask for, and says how it went.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come here too, and are no failure. A closed pipe is the reader's choice.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(NOT_DONE));
        }
    };
    let done = match &cli.command {
        Command::Keygen(args) => run_keygen(args),
        Command::Snapshot(args) => run_snapshot(args),
    };
    done.unwrap_or_else(|message| {
        say(&format!("saigen-collector: {message}"));
        ExitCode::from(NOT_DONE)
    })
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

fn run_keygen(args: &KeygenArgs) -> Result<ExitCode, String> {
    let made = keys::generate(&args.output).map_err(|error| error.to_string())?;
    if args.json {
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

fn run_snapshot(args: &SnapshotArgs) -> Result<ExitCode, String> {
    let taken = snapshot::to_journal(&args.output).map_err(|error| error.to_string())?;
    for missed in &taken.missed {
        say(&format!("left out: {missed}"));
    }
    let text = if args.json {
        json!({ "journal": args.output, "events": taken.events, "missed": taken.missed })
            .to_string()
    } else {
        format!("{}: {} events", args.output.display(), taken.events)
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}

//! The command line: arguments become a call, a result becomes an exit code.
//!
//! One file a command. A new one is a file with a struct of arguments and a `run`, and one line in
//! each of the two lists below.

mod baseline;
mod check_proof;
mod completions;
mod detecting;
mod events;
mod export;
mod filter;
mod hunt;
mod import;
mod info;
mod info_foreign;
mod inputs;
mod investigate;
mod man;
mod page;
mod prove;
mod query;
mod replay;
mod rules;
mod score;
mod screen;
mod show;
mod show_foreign;
mod trace;
mod tree;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use screen::{Done, Failure, Screen, Zone};

/// Reads evidence, says how far it can be trusted, and tells what happened.
#[derive(Debug, Parser)]
#[command(
    name = "saigen",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done; 1 done, and evidence that was read is altered, damaged or \
incomplete; 2 not done.\nEvidence is opened read-only and never changed."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Give results as JSON, for machines
    #[arg(long, global = true)]
    json: bool,
    /// Show times at this offset from UTC in texts (+02:00); JSON is always UTC
    #[arg(
        long,
        global = true,
        value_name = "OFFSET",
        default_value = "Z",
        allow_hyphen_values = true
    )]
    timezone: Zone,
}

#[derive(Debug, Subcommand)]
enum Command {
    Investigate(investigate::Investigate),
    Verify(verify::Verify),
    Info(info::Info),
    Events(events::Events),
    Tree(tree::ShowTree),
    Replay(replay::PlayEvents),
    Hunt(hunt::Hunt),
    Import(import::Import),
    Rules(rules::Rules),
    Show(show::Show),
    Prove(prove::Prove),
    CheckProof(check_proof::CheckProof),
    Query(query::Query),
    Trace(trace::Trace),
    Baseline(baseline::MakeBaseline),
    Score(score::Score),
    Export(export::Export),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        match self {
            Self::Investigate(command) => command.run(screen),
            Self::Verify(command) => command.run(screen),
            Self::Info(command) => command.run(screen),
            Self::Events(command) => command.run(screen),
            Self::Tree(command) => command.run(screen),
            Self::Replay(command) => command.run(screen),
            Self::Hunt(command) => command.run(screen),
            Self::Import(command) => command.run(screen),
            Self::Rules(command) => command.run(screen),
            Self::Show(command) => command.run(screen),
            Self::Prove(command) => command.run(screen),
            Self::CheckProof(command) => command.run(screen),
            Self::Query(command) => command.run(screen),
            Self::Trace(command) => command.run(screen),
            Self::Baseline(command) => command.run(screen),
            Self::Score(command) => command.run(screen),
            Self::Export(command) => command.run(screen),
            Self::Completions(command) => command.run(screen),
            Self::Man(command) => command.run(screen),
        }
    }
}

/// The program's command line, for manual pages and completions.
fn definition() -> clap::Command {
    Arguments::command()
}

/// Runs the program with its arguments.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is asked for and goes to stdout; its reader may have gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let mut screen = Screen::new(arguments.json, arguments.timezone);
    let result = arguments.command.run(&mut screen);
    screen.end(result)
}

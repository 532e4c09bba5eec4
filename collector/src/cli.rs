//! The command line: its words, its help, its exit codes.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde_json::json;

use crate::config::{self, Flag, Setting, Value};
use crate::install::{self, Service};
use crate::normalize::ledger;
use crate::record::sources::Dns;
use crate::record::{self, Options};
use crate::source::Feed;
use crate::source::audit::Share;
use crate::{acquire, keys, probe, snapshot, tree};

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
  saigen-collector probe
  saigen-collector keygen -o keys
  saigen-collector record -o journal --key keys/endpoint.key
  saigen-collector record -o journal -- make
  saigen-collector snapshot -o state";

const EXAMPLES_AND_CODES: &str = "\
Examples:
  Make the keys of an enrolment; keep auditor.key away from the endpoint:
      saigen-collector keygen -o keys

  Record the whole system for an hour, sealed:
      saigen-collector record -o journal --key keys/endpoint.key --for 1h

  Record one command and all that it starts, and end with its status:
      saigen-collector record -o journal -- make

  Write down the state of this machine:
      saigen-collector snapshot -o state

Exit codes:
  0  done
  2  not done; one line on stderr says what, where, and what to do
  record -- COMMAND ends with the command's own status, 128 and the signal if one ended it";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a unit of systemd that records from the next boot on
    Install(InstallArgs),
    /// Make the keys of an enrolment
    Keygen(KeygenArgs),
    /// Say what this machine offers a recorder, and what would be missed
    Probe(ProbeArgs),
    /// Record the system, or one command and all that it starts, into a journal
    Record(RecordArgs),
    /// Write down the state of the machine: processes, sockets, modules, accounts, autostarts
    Snapshot(SnapshotArgs),
    /// Print how far a recording has come, to be kept elsewhere
    Anchor(AnchorArgs),
    /// Copy the closed segments of a recording to a stick, with hashes and anchor
    SealOff(SealOffArgs),
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

/// Say what this machine offers a recorder, and what would be missed.
///
/// Each interface of the kernel is tried as `record` would open it; nothing is changed. Without
/// root it says what is lacking.
#[derive(Debug, Args)]
struct ProbeArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Record the system, or one command and all that it starts, into a journal.
///
/// Needs root, or the capabilities that `probe` names. Ends by SIGTERM or SIGINT, after --for, or
/// with the command and its tree; the journal is then closed. With a command, only its processes
/// are recorded: all that it forks, however they detach themselves.
#[derive(Debug, Args)]
struct RecordArgs {
    /// The directory of the journal; new, empty, or with a recording that a crash broke off
    #[arg(short, long, value_name = "DIR", conflicts_with = "below")]
    output: Option<PathBuf>,
    /// A directory below which this recording makes one of its own, named by the second of its beginning
    #[arg(long, value_name = "DIR")]
    below: Option<PathBuf>,
    /// Settings: a file of lines such as max-disk = "2GiB"; options given here go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print what would be recorded, from what, within which bounds, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// The endpoint's key, which seals the journal and is moved forward; without it nothing is sealed
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// How long: 90s, 15m, 1h, 2d
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Disk space that the journal may take: 500MiB, 2GiB (the default); then the oldest segments are removed, and it says so
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_disk: Option<u64>,
    /// Kernel memory for the rings of all CPUs together: 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = size)]
    kernel_buffers: Option<u64>,
    /// A source to leave out: audit, fanotify, proc_connector, sock_diag, taskstats or perf_stacks; may be given again
    #[arg(long, value_name = "SOURCE", value_parser = optional_source)]
    without: Vec<Feed>,
    /// Record name resolution too: answers of name servers, seen on the network
    #[arg(long)]
    dns: bool,
    /// Beside another audit daemon add our own rules, which fill its log too
    #[arg(long)]
    share_audit: bool,
    /// How long what a command leaves behind is followed: 10s by default
    #[arg(long, value_name = "TIME", value_parser = duration)]
    linger: Option<Duration>,
    /// Print the counts at the end as JSON, on stderr
    #[arg(long)]
    json: bool,
    /// The command to record, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Write a unit of systemd that records from the next boot on.
///
/// The unit gives the recorder what it needs and nothing more; each start makes a journal of its own.
/// An existing unit is never written over. Afterwards: systemctl daemon-reload, systemctl enable --now saigen-collector.
#[derive(Debug, Args)]
struct InstallArgs {
    /// The directory below which each start makes its journal
    #[arg(long, value_name = "DIR", default_value = "/var/lib/saigen")]
    below: PathBuf,
    /// The endpoint's key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A file of settings for record
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the unit is written
    #[arg(long, value_name = "FILE", default_value = install::UNIT)]
    unit: PathBuf,
    /// Print the unit, and do nothing
    #[arg(long)]
    print: bool,
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

/// Print how far a recording has come, to be kept elsewhere.
///
/// One line: the position of the last whole frame, and the chain after it. Print it, sign it, send it
/// away: `saigen verify --anchor FILE` then finds a tail that was cut off, and an older copy that is
/// shown as new. It works while the recording goes on.
#[derive(Debug, Args)]
struct AnchorArgs {
    /// The directory of the journal
    #[arg(value_name = "DIR")]
    journal: PathBuf,
}

/// Copy the closed segments of a recording to a stick, with hashes and anchor.
///
/// A recorder that is writing signs and closes its segment first, and goes on. The copy stands in
/// STICK/journal, SHA256SUMS and anchor.json beside it. Everything is read back. Write the anchor down.
#[derive(Debug, Args)]
struct SealOffArgs {
    /// The directory of the journal
    #[arg(value_name = "DIR")]
    journal: PathBuf,
    /// Where the copy goes; must not hold one
    #[arg(short, long, value_name = "STICK")]
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
        Command::Install(args) => run_install(args),
        Command::Keygen(args) => run_keygen(args),
        Command::Probe(args) => run_probe(args),
        Command::Record(args) => run_record(args),
        Command::Snapshot(args) => run_snapshot(args),
        Command::Anchor(args) => run_anchor(args),
        Command::SealOff(args) => run_seal_off(args),
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

fn run_probe(args: &ProbeArgs) -> Result<ExitCode, String> {
    let probe = probe::probe();
    let text = if args.json {
        json!(probe).to_string()
    } else {
        probe.to_string()
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn run_install(args: &InstallArgs) -> Result<ExitCode, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let service = Service {
        program,
        journals: args.below.clone(),
        key: args.key.clone(),
        config: args.config.clone(),
    };
    if args.print {
        let unit = service.unit().map_err(|error| error.to_string())?;
        print(unit.trim_end())?;
    } else {
        service
            .install(&args.unit)
            .map_err(|error| error.to_string())?;
        print(&args.unit.display().to_string())?;
        say("now: systemctl daemon-reload && systemctl enable --now saigen-collector");
    }
    Ok(ExitCode::SUCCESS)
}

/// What stands in the file of settings, for the options that were not given.
#[derive(Debug, Default)]
struct FromFile {
    output: Option<PathBuf>,
    key: Option<PathBuf>,
    duration: Option<Duration>,
    max_disk: Option<u64>,
    kernel_buffers: Option<u64>,
    linger: Option<Duration>,
    without: Vec<Feed>,
    dns: Option<Flag>,
    share_audit: Option<Flag>,
}

impl FromFile {
    fn read(path: &Path) -> Result<FromFile, String> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(config::FILE_BYTES_MAX).read_to_string(&mut text))
            .map_err(|error| format!("{}: cannot read the settings: {error}", path.display()))?;
        let settings =
            config::parse(&text).map_err(|error| format!("{}:{error}", path.display()))?;
        let mut found = FromFile::default();
        for setting in &settings {
            found.take(setting).map_err(|what| {
                let at = setting.at;
                format!(
                    "{}:{}:{}: {}: {what}",
                    path.display(),
                    at.line,
                    at.column,
                    setting.name
                )
            })?;
        }
        Ok(found)
    }

    fn take(&mut self, setting: &Setting) -> Result<(), String> {
        let text = || match &setting.value {
            Value::Text(text) => Ok(text.as_str()),
            Value::Flag(_) | Value::List(_) => Err("expected a text in quotes".to_owned()),
        };
        let flag = || match setting.value {
            Value::Flag(flag) => Ok(flag),
            Value::Text(_) | Value::List(_) => Err("expected true or false".to_owned()),
        };
        match setting.name {
            "output" => self.output = Some(text()?.into()),
            "key" => self.key = Some(text()?.into()),
            "for" => self.duration = Some(duration(text()?)?),
            "max-disk" => self.max_disk = Some(size(text()?)?),
            "kernel-buffers" => self.kernel_buffers = Some(size(text()?)?),
            "linger" => self.linger = Some(duration(text()?)?),
            "dns" => self.dns = Some(flag()?),
            "share-audit" => self.share_audit = Some(flag()?),
            "without" => match &setting.value {
                Value::List(list) => {
                    for word in list {
                        self.without.push(optional_source(word)?);
                    }
                }
                Value::Text(_) | Value::Flag(_) => {
                    return Err("expected a list of texts".to_owned());
                }
            },
            // Each of the names that a file may hold stands above.
            other => return Err(format!("{other} is not an option of record")),
        }
        Ok(())
    }
}

/// The options as given, then as the file says, then by default.
fn options(args: &RecordArgs) -> Result<Options, String> {
    let file = match &args.config {
        Some(path) => FromFile::read(path)?,
        None => FromFile::default(),
    };
    let output = match &args.below {
        Some(below) => record::name_below(below),
        None => args
            .output
            .clone()
            .or(file.output)
            .ok_or("record needs a directory for its journal: --output DIR, or --below DIR")?,
    };
    Ok(Options {
        output,
        key: args.key.clone().or(file.key),
        duration: args.duration.or(file.duration),
        max_disk: args
            .max_disk
            .or(file.max_disk)
            .unwrap_or(record::DISK_BYTES),
        kernel_bytes: args
            .kernel_buffers
            .or(file.kernel_buffers)
            .unwrap_or(record::KERNEL_BYTES),
        without: if args.without.is_empty() {
            file.without
        } else {
            args.without.clone()
        },
        dns: if args.dns || file.dns == Some(Flag::Yes) {
            Dns::Seen
        } else {
            Dns::Left
        },
        share: if args.share_audit || file.share_audit == Some(Flag::Yes) {
            Share::Yes
        } else {
            Share::No
        },
        linger: args.linger.or(file.linger).unwrap_or(tree::LINGER),
        command: args.command.clone(),
    })
}

fn run_record(args: &RecordArgs) -> Result<ExitCode, String> {
    let options = options(args)?;
    if args.dry_run {
        print(&record::plan(&options))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(below) = &args.below {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(below);
        made.map_err(|error| format!("{}: cannot make the directory: {error}", below.display()))?;
    }
    let words = &mut |line: &str| say(&format!("saigen-collector: {line}"));
    let ended = record::record(&options, words).map_err(|error| error.to_string())?;
    let starts = ended.starts;
    // The command owns stdout.
    if args.json {
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

/// A source that a recording can do without.
fn optional_source(word: &str) -> Result<Feed, String> {
    Feed::ALL
        .into_iter()
        .find(|feed| ![Feed::Perf, Feed::Dns].contains(feed) && ledger::name(*feed) == word)
        .ok_or_else(|| {
            "expected audit, fanotify, proc_connector, sock_diag, taskstats or perf_stacks"
                .to_owned()
        })
}

/// A time such as `90s`, `15m`, `1h`, `2d`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text)?;
    let seconds = match unit {
        "s" | "" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        other => return Err(format!("unknown unit {other:?}, expected s, m, h or d")),
    };
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(|| "too long".to_owned())
}

/// A size such as `512KiB`, `500MiB`, `2GiB`; `K`, `M` and `G` mean the same.
fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text)?;
    let bytes = match unit {
        "B" | "" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        other => {
            return Err(format!(
                "unknown unit {other:?}, expected KiB, MiB, GiB or TiB"
            ));
        }
    };
    number
        .checked_mul(bytes)
        .ok_or_else(|| "too large".to_owned())
}

fn number_and_unit(text: &str) -> Result<(u64, &str), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number = number
        .parse()
        .map_err(|_| "expected a whole number and a unit".to_owned())?;
    Ok((number, unit))
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

fn run_anchor(args: &AnchorArgs) -> Result<ExitCode, String> {
    let anchor = acquire::anchor(&args.journal).map_err(|error| error.to_string())?;
    print(&anchor.write())?;
    Ok(ExitCode::SUCCESS)
}

fn run_seal_off(args: &SealOffArgs) -> Result<ExitCode, String> {
    let taken =
        acquire::seal_off(&args.journal, &args.output).map_err(|error| error.to_string())?;
    if args.json {
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn times_and_sizes_are_read_with_their_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("7"), Ok(7));
        for bad in ["", "h", "1w", "-1s", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "GiB", "1GB", "99999999TiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}

//! What is to be recorded, in words for people and for the journal.

use super::Options;
use super::sources::Dns;
use crate::clock;
use crate::isolate::Isolation;
use crate::normalize::{environment, ledger};
use crate::source::audit::Share;
use saigen_schemas::journal::SourceLevel;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A free name for a recording below a directory: the second of its beginning, so that the names are in
/// the order of time.
#[must_use]
pub fn name_below(below: &Path) -> PathBuf {
    let mut second = clock::wall_us() / 1_000_000;
    loop {
        let path = below.join(format!("journal-{second}"));
        // Two starts in one second, or a clock that went back.
        if path.symlink_metadata().is_err() {
            return path;
        }
        second += 1;
    }
}

/// What would be recorded, from what, and within which bounds, in words. Nothing is changed.
#[must_use]
pub fn plan(options: &Options) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name:<18}{value}");
    };
    let path = |path: &Path| path.display().to_string();
    let command: Vec<_> = options
        .command
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    line(
        "records",
        &if command.is_empty() {
            "the whole system".to_owned()
        } else {
            format!("{} and all that it starts", command.join(" "))
        },
    );
    line("journal", &path(&options.output));
    line(
        "sealed",
        &options
            .key
            .as_deref()
            .map_or_else(|| "no: without a key".to_owned(), path),
    );
    line(
        "bounds",
        &format!(
            "{} MiB of disk, {} MiB of rings in the kernel, {} events a second, {} % of one CPU",
            options.max_disk >> 20,
            options.kernel_bytes >> 20,
            options.bounds.events_a_second,
            options.bounds.cpu_percent
        ),
    );
    let without: Vec<_> = options
        .without
        .iter()
        .map(|feed| ledger::name(*feed))
        .collect();
    if !without.is_empty() {
        line("left out", &without.join(", "));
    }
    if options.dns == Dns::Seen {
        line("names", "answers of name servers are recorded");
    }
    let chosen = environment::CHOSEN.iter().copied();
    let added = options.lists.variables.iter().map(Vec::as_slice);
    let names: Vec<String> = chosen.chain(added).map(shown).collect();
    line("variables", &names.join(" "));
    for read in crate::source::fanotify::watched_reads(&options.lists.reads) {
        line("reads of", &shown(&read));
    }
    for directory in &options.lists.excluded {
        line("no files below", &shown(directory));
    }
    text.push('\n');
    text.push_str(&crate::probe::probe().to_string());
    text
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

/// Sources and settings, as the journal holds them.
pub(super) fn configuration(
    options: &Options,
    levels: &[SourceLevel],
    isolation: &Isolation,
) -> String {
    let command: Vec<_> = options
        .command
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    let texts = |list: &[Vec<u8>]| list.iter().map(|text| shown(text)).collect::<Vec<_>>();
    serde_json::json!({
        "command": command,
        "dns": options.dns == Dns::Seen,
        "isolation": isolation,
        "duration_s": options.duration.map(|duration| duration.as_secs()),
        "kernel_bytes": options.kernel_bytes,
        "linger_s": options.linger.as_secs(),
        "max_disk_bytes": options.max_disk,
        "events_a_second": options.bounds.events_a_second,
        "cpu_percent": options.bounds.cpu_percent,
        "reads_added": texts(&options.lists.reads),
        "variables_added": texts(&options.lists.variables),
        "excluded": texts(&options.lists.excluded),
        "share_audit": options.share == Share::Yes,
        "sealed": options.key.is_some(),
        "sources": levels,
    })
    .to_string()
}

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
            "{} MiB of disk, {} MiB of rings in the kernel",
            options.max_disk >> 20,
            options.kernel_bytes >> 20
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
    let names: Vec<_> = environment::CHOSEN
        .iter()
        .map(|name| String::from_utf8_lossy(name))
        .collect();
    line("variables", &names.join(" "));
    for read in crate::source::fanotify::watched_reads() {
        line(
            "reads of",
            &String::from_utf8_lossy(&read).escape_debug().to_string(),
        );
    }
    text.push('\n');
    text.push_str(&crate::probe::probe().to_string());
    text
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
    serde_json::json!({
        "command": command,
        "dns": options.dns == Dns::Seen,
        "isolation": isolation,
        "duration_s": options.duration.map(|duration| duration.as_secs()),
        "kernel_bytes": options.kernel_bytes,
        "linger_s": options.linger.as_secs(),
        "max_disk_bytes": options.max_disk,
        "share_audit": options.share == Share::Yes,
        "sealed": options.key.is_some(),
        "sources": levels,
    })
    .to_string()
}

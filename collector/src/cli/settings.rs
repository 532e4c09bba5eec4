//! The settings of a recording: as given, then as the file says, then by default.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::words::Given;
use crate::config::{self, Flag, Setting, Value};
use crate::lists::{self, Lists};
use crate::normalize::ledger;
use crate::record::sources::Dns;
use crate::record::thin::{self, Bounds};
use crate::record::{self, Options};
use crate::source::Feed;
use crate::source::audit::Share;
use crate::tree;

/// What stands in the file of settings, for the options that were not given.
#[derive(Debug, Default)]
struct FromFile {
    output: Option<PathBuf>,
    key: Option<PathBuf>,
    duration: Option<Duration>,
    max_disk: Option<u64>,
    max_events: Option<u64>,
    max_cpu: Option<u32>,
    kernel_buffers: Option<u64>,
    linger: Option<Duration>,
    without: Vec<Feed>,
    lists: Lists,
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
            Value::Number(_) | Value::Flag(_) | Value::List(_) => {
                Err("expected a text in quotes".to_owned())
            }
        };
        let flag = || match setting.value {
            Value::Flag(flag) => Ok(flag),
            Value::Text(_) | Value::Number(_) | Value::List(_) => {
                Err("expected true or false".to_owned())
            }
        };
        let number = || match setting.value {
            Value::Number(number) => Ok(number),
            Value::Text(_) | Value::Flag(_) | Value::List(_) => {
                Err("expected a whole number".to_owned())
            }
        };
        match setting.name {
            "output" => self.output = Some(text()?.into()),
            "key" => self.key = Some(text()?.into()),
            "for" => self.duration = Some(duration(text()?)?),
            "max-disk" => self.max_disk = Some(size(text()?)?),
            "max-events" => self.max_events = Some(events(number()?)?),
            "max-cpu" => self.max_cpu = Some(percent(number()?)?),
            "kernel-buffers" => self.kernel_buffers = Some(size(text()?)?),
            "linger" => self.linger = Some(duration(text()?)?),
            "dns" => self.dns = Some(flag()?),
            "share-audit" => self.share_audit = Some(flag()?),
            "without" => self.without = list(&setting.value, optional_source)?,
            "watch-reads" => self.lists.reads = list(&setting.value, lists::path)?,
            "environment" => self.lists.variables = list(&setting.value, lists::variable)?,
            "exclude" => self.lists.excluded = list(&setting.value, lists::directory)?,
            // Each of the names that a file may hold stands above.
            other => return Err(format!("{other} is not an option of record")),
        }
        Ok(())
    }
}

/// The list that was given; none given, that of the file.
fn given_or<T>(given: Vec<T>, file: Vec<T>) -> Vec<T> {
    if given.is_empty() { file } else { given }
}

/// Each text of a list, read by `read`, which says what it expected.
fn list<T>(value: &Value, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    match value {
        Value::List(texts) => texts.iter().map(|text| read(text)).collect(),
        Value::Text(_) | Value::Number(_) | Value::Flag(_) => {
            Err("expected a list of texts".to_owned())
        }
    }
}

/// The options as given, then as the file says, then by default.
pub(super) fn options(given: &Given) -> Result<Options, String> {
    let file = match given.path("config") {
        Some(path) => FromFile::read(&path)?,
        None => FromFile::default(),
    };
    let output = match (given.path("below"), given.path("output")) {
        (Some(_), Some(_)) => return Err("--output and --below do not go together".to_owned()),
        (Some(below), None) => record::name_below(&below),
        (None, output) => output
            .or(file.output)
            .ok_or("needs a directory for its journal: --output DIR, or --below DIR")?,
    };
    let time = |name| Ok::<_, String>(given.read(name, duration)?.pop());
    let bytes = |name| Ok::<_, String>(given.read(name, size)?.pop());
    let without = given.read("without", optional_source)?;
    let whole = |text: &str| {
        let number = text.parse::<u64>();
        number.map_err(|_| "expected a whole number".to_owned())
    };
    let max_events = given.read("max-events", |text| events(whole(text)?))?.pop();
    let max_cpu = given.read("max-cpu", |text| percent(whole(text)?))?.pop();
    Ok(Options {
        output,
        key: given.path("key").or(file.key),
        duration: time("for")?.or(file.duration),
        max_disk: bytes("max-disk")?
            .or(file.max_disk)
            .unwrap_or(record::DISK_BYTES),
        kernel_bytes: bytes("kernel-buffers")?
            .or(file.kernel_buffers)
            .unwrap_or(record::KERNEL_BYTES),
        bounds: Bounds {
            events_a_second: max_events
                .or(file.max_events)
                .unwrap_or(thin::EVENTS_A_SECOND),
            cpu_percent: max_cpu.or(file.max_cpu).unwrap_or(thin::CPU_PERCENT),
        },
        lists: Lists {
            reads: given_or(given.read("watch-reads", lists::path)?, file.lists.reads),
            variables: given_or(
                given.read("environment", lists::variable)?,
                file.lists.variables,
            ),
            excluded: given_or(
                given.read("exclude", lists::directory)?,
                file.lists.excluded,
            ),
        },
        without: given_or(without, file.without),
        dns: if given.has("dns") || file.dns == Some(Flag::Yes) {
            Dns::Seen
        } else {
            Dns::Left
        },
        share: if given.has("share-audit") || file.share_audit == Some(Flag::Yes) {
            Share::Yes
        } else {
            Share::No
        },
        linger: time("linger")?.or(file.linger).unwrap_or(tree::LINGER),
        command: given.tail.clone(),
    })
}

/// Events a second: below this even an idle machine would be thinned.
fn events(number: u64) -> Result<u64, String> {
    const LEAST: u64 = 100;
    const MOST: u64 = 10_000_000;
    (LEAST..=MOST)
        .contains(&number)
        .then_some(number)
        .ok_or_else(|| format!("expected {LEAST} to {MOST} events a second, found {number}"))
}

/// A share of one CPU in percent; more than 100 on a machine that has several to spare.
fn percent(number: u64) -> Result<u32, String> {
    u32::try_from(number)
        .ok()
        .filter(|percent| (1..=1_000).contains(percent))
        .ok_or_else(|| format!("expected 1 to 1000 percent of one CPU, found {number}"))
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

#[cfg(test)]
mod tests {
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
}

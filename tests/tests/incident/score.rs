//! Holds a report against the truth of a recording.
//!
//! Both are read as plain JSON, as anyone else would. A process is known by its host, its
//! pid and a start within a second of any of its programs' starts or of its fork, since a
//! pid alone may be reused.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// How far two clocks' readings of one start may lie apart, in microseconds.
const NEAR_US: i64 = 1_000_000;

/// A process of the truth.
struct Known {
    host: String,
    pid: u64,
    starts_us: Vec<i64>,
    label: String,
}

impl Known {
    fn read(process: &Value) -> Self {
        let mut starts_us: Vec<i64> = ["start_utc", "forked_utc"]
            .iter()
            .filter_map(|name| moment_us(process[name].as_str()?))
            .collect();
        for exec in list(&process["execs"]) {
            starts_us.extend(exec["start_utc"].as_str().and_then(moment_us));
        }
        Self {
            host: text(&process["host"]),
            pid: process["pid"].as_u64().unwrap_or(0),
            starts_us,
            label: format!("{} {}", process["pid"], text(&process["command_line"])),
        }
    }

    fn is(&self, claimed: &Value) -> bool {
        let start = claimed["start"].as_str().and_then(moment_us);
        let near = |start: i64| {
            self.starts_us
                .iter()
                .any(|own| (own - start).abs() <= NEAR_US)
        };
        claimed["host"].as_str() == Some(&self.host)
            && claimed["pid"].as_u64() == Some(self.pid)
            && start.is_none_or(near)
    }
}

/// What a report says against what happened.
pub struct Score {
    /// Malicious processes of the truth.
    pub wanted: usize,
    /// Those that the best incident names.
    pub found: usize,
    /// Those that it does not name.
    pub missing: Vec<String>,
    /// Processes that it calls malicious or compromised and that are neither.
    pub extra: Vec<String>,
    /// Incidents that name no malicious process at all.
    pub false_incidents: Vec<String>,
    /// Whether an entry names the service that was broken into or where the request came from.
    pub entry_named: bool,
    /// The entry's sentences.
    pub entry: Vec<String>,
    /// Stages of the truth that have a step of one of their processes, over all that left one.
    pub stages_told: (usize, usize),
    /// Stages that no step tells of.
    pub stages_untold: Vec<String>,
    /// What stands in the wrong order: steps by their time, or stages by the truth's order.
    pub disorder: Vec<String>,
}

impl Score {
    /// Scores the incident that names most of the truth's malicious processes.
    pub fn of(truth: &Value, report: &Value) -> Self {
        let known =
            |name: &str| -> Vec<Known> { list(&truth[name]).iter().map(Known::read).collect() };
        // What ran while nothing was recorded, or so shortly before that it may not have been written, is not wanted.
        let observed = |process: &&Value| {
            process["observed"]
                .as_str()
                .is_none_or(|word| word == "yes")
        };
        let malicious = list(&truth["malicious_processes"]);
        let wanted: Vec<Known> = malicious.iter().filter(observed).map(Known::read).collect();
        let mut ignored = known("compromised_processes");
        ignored.extend(known("malicious_processes"));
        ignored.extend(known("bridge_processes"));
        ignored.extend(known("forks"));
        let hits = |incident: &Value| {
            let claimed = list(&incident["processes"]);
            wanted
                .iter()
                .filter(|own| claimed.iter().any(|one| own.is(one)))
                .count()
        };
        let incidents = list(&report["incidents"]);
        let nothing = Value::Null;
        let best = incidents
            .iter()
            .rev()
            .max_by_key(|incident| hits(incident))
            .unwrap_or(&nothing);
        let claimed = list(&best["processes"]);
        let mut extra: Vec<String> = claimed
            .iter()
            .filter(|one| one["role"] != "carrier")
            .filter(|one| !wanted.iter().chain(&ignored).any(|own| own.is(one)))
            .map(|one| format!("{} {}", one["pid"], text(&one["command_line"])))
            .collect();
        extra.sort();
        extra.dedup();
        let missing = wanted
            .iter()
            .filter(|own| !claimed.iter().any(|one| own.is(one)));
        let empty = incidents.iter().filter(|incident| hits(incident) == 0);
        let entry: Vec<String> = list(&best["entry"])
            .iter()
            .map(|one| text(&one["text"]))
            .collect();
        let (stages_told, stages_untold, disorder) = story(truth, best);
        Self {
            wanted: wanted.len(),
            found: hits(best),
            missing: missing.map(|own| own.label.clone()).collect(),
            extra,
            false_incidents: empty.map(|incident| text(&incident["title"])).collect(),
            entry_named: entry.iter().any(|sentence| names_entry(truth, sentence)),
            entry,
            stages_told,
            stages_untold,
            disorder,
        }
    }

    /// Found over wanted; 1 when nothing was wanted.
    pub fn recall(&self) -> f64 {
        ratio(self.found, self.wanted)
    }

    /// Found over all that are called malicious or compromised.
    pub fn precision(&self) -> f64 {
        ratio(self.found, self.found + self.extra.len())
    }
}

impl fmt::Display for Score {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "recall {:.3} ({} of {}), precision {:.3} ({} others), stages told {} of {}, entry named: {}",
            self.recall(),
            self.found,
            self.wanted,
            self.precision(),
            self.extra.len(),
            self.stages_told.0,
            self.stages_told.1,
            self.entry_named
        )?;
        let lists = [
            ("missing", &self.missing),
            ("other", &self.extra),
            ("false incident", &self.false_incidents),
            ("entry", &self.entry),
            ("untold", &self.stages_untold),
            ("disorder", &self.disorder),
        ];
        for (name, lines) in lists {
            for line in lines {
                writeln!(out, "  {name}: {line}")?;
            }
        }
        Ok(())
    }
}

fn names_entry(truth: &Value, sentence: &str) -> bool {
    let entry = &truth["entry"];
    let service = text(&truth["compromised_processes"][0]["command_line"]);
    let program = service
        .split(' ')
        .find(|word| word.contains("/bin/") && !word.starts_with("/usr/bin/"));
    let remote = entry["remote"].as_str();
    let names = [
        program.map(|path| path.rsplit('/').next().unwrap_or(path)),
        remote,
    ];
    names
        .into_iter()
        .flatten()
        .any(|name| sentence.contains(name))
}

/// Which stages of the truth the steps tell, and what of it stands in the wrong order.
///
/// A step tells a stage when its actor or object is one of the stage's processes. Only
/// stages that left processes count: what a shell does by itself leaves none.
fn story(truth: &Value, incident: &Value) -> ((usize, usize), Vec<String>, Vec<String>) {
    let steps = list(&incident["steps"]);
    let mut disorder = Vec::new();
    // Hosts have clocks of their own: only steps of one host are in order by what is shown.
    let mut last_of: BTreeMap<String, &Value> = BTreeMap::new();
    for next in steps {
        if let Some(one) = last_of.insert(text(&next["host"]), next)
            && text(&one["time"]) > text(&next["time"])
        {
            disorder.push(format!(
                "{} stands before {}",
                text(&one["text"]),
                text(&next["text"])
            ));
        }
    }
    let process_of = |node: &Value| {
        let found = list(&incident["processes"])
            .iter()
            .find(|one| one["node"] == *node && !node.is_null());
        found.and_then(|one| Some((text(&one["host"]), one["pid"].as_u64()?)))
    };
    let (mut told, mut all, mut untold, mut last) = (0, 0, Vec::new(), (0, String::new()));
    for stage in list(&truth["chain"]) {
        let pids: Vec<u64> = list(&stage["pids"])
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        if pids.is_empty() {
            continue;
        }
        all += 1;
        let of_stage = |step: &Value| {
            let acts = [process_of(&step["actor"]), process_of(&step["object"])];
            let own = |host: &str| stage["host"].as_str().is_none_or(|own| own == host);
            acts.into_iter()
                .flatten()
                .any(|(host, pid)| own(&host) && pids.contains(&pid))
        };
        let label = text(&stage["text"]);
        match steps.iter().position(of_stage) {
            None => untold.push(label),
            Some(at) => {
                told += 1;
                if at < last.0 {
                    disorder.push(format!("{label} is told before {}", last.1));
                }
                last = (at, label);
            }
        }
    }
    ((told, all), untold, disorder)
}

fn ratio(part: usize, whole: usize) -> f64 {
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    if whole == 0 {
        1.0
    } else {
        count(part) / count(whole)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Microseconds since 1970 of an RFC 3339 time in UTC (`2030-01-02T03:04:05.678Z`).
pub fn moment_us(text: &str) -> Option<i64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // Days from the civil date: years begin in March, so that the leap day comes last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
    Some(
        (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000
            + micros.parse::<i64>().ok()?,
    )
}

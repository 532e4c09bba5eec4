//! What is known of a scenario: a `gt/1` file, read leniently, since each kind of evidence has
//! other things to tell.
//!
//! | Field of the file | What is made of it |
//! |---|---|
//! | `malicious_processes`, rows of `detached_processes` with a guid or a start, else `direct_steps` | wanted |
//! | of these, consoles (`conhost.exe`), and those that were not surely recorded (`observed`) | neither wanted nor counted against |
//! | `compromised_processes` | wanted as compromised, since `compromised_since` |
//! | `bridge_processes`, `forks`, `shell_startup_children`, `entry`, `root`, the ends of `remote_links` | neither wanted nor counted against |
//! | `cross_process` | an edge from source to destination |
//! | `remote_links`, `cross_host` | two hosts that one incident must span |
//! | `chain`, `phases`, `steps`, else the wanted processes by start | the order |
//! | `entry`, `delivery`, `logons`, `remote_links`, else the first wanted process | names of the beginning |

use std::collections::BTreeSet;
use std::fmt;

use saigen_schemas::report::{Moment, Process};
use serde_json::Value;

/// Two readings of one start may lie this far apart: sources stamp it at different moments.
const NEAR_US: i64 = 1_000_000;

/// A file that is no truth of this kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthError(String);

impl fmt::Display for TruthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TruthError {}

/// What a known process counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It must be in the incident.
    Wanted,
    /// It must be there as one that was taken over.
    Compromised,
    /// It may be there or not.
    Neutral,
}

/// A process that the truth names.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) part: Part,
    /// Lower case, its first label; `None` where the truth has no hosts.
    host: Option<String>,
    pid: Option<u64>,
    guid: Option<String>,
    starts_us: Vec<i64>,
    parent_guid: Option<String>,
    parent_pid: Option<u64>,
    /// Since when it was taken over, wall clock, microseconds.
    pub(super) since_us: Option<i64>,
    pub(super) label: String,
}

impl Known {
    fn read(row: &Value, part: Part) -> Self {
        let starts = ["start_utc", "forked_utc", "first_utc"];
        let mut starts_us: Vec<i64> = starts
            .iter()
            .filter_map(|name| moment_us(row[*name].as_str()?))
            .collect();
        for exec in list(&row["execs"]) {
            starts_us.extend(exec["start_utc"].as_str().and_then(moment_us));
        }
        let command = ["command_line", "cmd", "image"]
            .iter()
            .find_map(|name| row[*name].as_str().filter(|text| !text.is_empty()));
        let image = row["image"].as_str().unwrap_or_default();
        // What ran while nothing was recorded, or at the edge of that, cannot be asked for.
        let unseen = matches!(row["observed"].as_str(), Some("no" | "unsure"));
        let console = base_name(image).eq_ignore_ascii_case("conhost.exe") || unseen;
        Self {
            part: if console && part == Part::Wanted {
                Part::Neutral
            } else {
                part
            },
            host: row["host"].as_str().map(short_host),
            pid: row["pid"].as_u64(),
            guid: ["guid", "guuid"]
                .iter()
                .find_map(|name| row[*name].as_str())
                .map(plain_guid),
            starts_us,
            parent_guid: row["parent_guid"].as_str().map(plain_guid),
            parent_pid: row["parent_pid"].as_u64(),
            since_us: row["compromised_since"].as_str().and_then(moment_us),
            label: format!(
                "{} {}",
                row["pid"].as_u64().unwrap_or_default(),
                command.unwrap_or_default()
            ),
        }
    }

    /// Whether a process of a report is this one: by GUID where both have one, else by host, pid
    /// and a start that is near.
    pub(super) fn is(&self, claimed: &Process) -> bool {
        if let (Some(own), Some(other)) = (&self.guid, &claimed.guid) {
            return *own == plain_guid(other);
        }
        let near = |start: Moment| {
            self.starts_us.is_empty()
                || self
                    .starts_us
                    .iter()
                    .any(|own| own.abs_diff(start.us()) <= NEAR_US.unsigned_abs())
        };
        let host = self.host.as_deref();
        host.is_none_or(|host| host == short_host(&claimed.host))
            && self.pid == Some(u64::from(claimed.pid))
            && claimed.start.is_none_or(near)
    }

    fn same(&self, other: &Self) -> bool {
        if let (Some(own), Some(other)) = (&self.guid, &other.guid) {
            return own == other;
        }
        self.pid == other.pid
            && self.host == other.host
            && self.starts_us.first() == other.starts_us.first()
    }
}

/// One thing of the expected order.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The processes that did it, by their place in the list of the known.
    pub(super) processes: Vec<usize>,
    /// When, wall clock, microseconds.
    pub(super) us: Option<i64>,
    pub(super) label: String,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Its name.
    pub id: String,
    pub(super) known: Vec<Known>,
    /// Whether it lists all malicious processes; else what hangs below those is not counted.
    pub(super) complete: bool,
    /// Known processes of which the first acted on the second.
    pub(super) edges: Vec<(usize, usize)>,
    /// Sets of hosts that one link must join.
    pub(super) crossings: Vec<BTreeSet<String>>,
    pub(super) expected: Vec<Expected>,
    /// Names by which the beginning is known, lower case.
    pub(super) beginnings: BTreeSet<String>,
}

impl Truth {
    /// Reads a truth from the text of its file.
    ///
    /// # Errors
    /// Where the text is no JSON, or not of the schema `gt/1`.
    pub fn read(text: &str) -> Result<Self, TruthError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| TruthError(format!("no JSON document: {error}")))?;
        match value["schema"].as_str() {
            Some("gt/1") => {}
            Some(other) => {
                return Err(TruthError(format!(
                    "expected the schema gt/1, found {other:?}"
                )));
            }
            None => {
                return Err(TruthError(
                    "expected the schema gt/1, found none".to_owned(),
                ));
            }
        }
        let known = known(&value);
        let listed = known.iter().filter(|one| one.part == Part::Wanted).count();
        let total = value["malicious_total"].as_u64();
        let expected = expected(&value, &known);
        Ok(Self {
            id: value["id"].as_str().unwrap_or_default().to_owned(),
            complete: total.is_none_or(|total| total <= listed as u64),
            edges: edges(&value, &known),
            crossings: crossings(&value),
            beginnings: beginnings(&value),
            expected,
            known,
        })
    }

    /// How many processes it wants.
    #[must_use]
    pub fn wanted(&self) -> usize {
        let wanted = self.known.iter().filter(|one| one.part == Part::Wanted);
        wanted.count()
    }

    /// The known process that a process of a report is.
    pub(super) fn find(&self, claimed: &Process) -> Option<usize> {
        // What is wanted comes first in the list, so that a process in two lists counts once.
        self.known.iter().position(|one| one.is(claimed))
    }
}

fn known(value: &Value) -> Vec<Known> {
    let rows = |name: &str| list(&value[name]).iter().filter(|row| row.is_object());
    let mut known: Vec<Known> = Vec::new();
    let mut add = |row: &Value, part: Part| {
        let one = Known::read(row, part);
        if !known.iter().any(|other| other.same(&one)) {
            known.push(one);
        }
    };
    for row in rows("malicious_processes") {
        add(row, Part::Wanted);
    }
    if list(&value["malicious_processes"]).is_empty() {
        rows("direct_steps").for_each(|row| add(row, Part::Wanted));
    }
    let whole = |row: &&Value| row["guid"].is_string() || row["start_utc"].is_string();
    rows("detached_processes")
        .filter(whole)
        .for_each(|row| add(row, Part::Wanted));
    rows("compromised_processes").for_each(|row| add(row, Part::Compromised));
    for name in ["bridge_processes", "forks", "shell_startup_children"] {
        rows(name).for_each(|row| add(row, Part::Neutral));
    }
    for link in rows("remote_links") {
        for (host, end) in link["seen_on"].as_object().into_iter().flatten() {
            let mut end = end.clone();
            if end.is_object() {
                end["host"] = Value::from(host.as_str());
                add(&end, Part::Neutral);
            }
        }
    }
    for name in ["entry", "root"] {
        if value[name].is_object() {
            add(&value[name], Part::Neutral);
        }
    }
    known
}

fn edges(value: &Value, known: &[Known]) -> Vec<(usize, usize)> {
    let mut edges = Vec::new();
    for (child, one) in known.iter().enumerate() {
        if one.part != Part::Wanted {
            continue;
        }
        let by_guid = known
            .iter()
            .position(|other| other.guid.is_some() && other.guid == one.parent_guid);
        let by_pid = || {
            let older = |other: &Known| {
                one.parent_guid.is_none()
                    && other.host == one.host
                    && one.parent_pid.is_some()
                    && other.pid == one.parent_pid
                    && other.starts_us.first() <= one.starts_us.last()
            };
            let parents = known.iter().enumerate().filter(|(_, other)| older(other));
            let last = parents.max_by_key(|(_, other)| other.starts_us.first());
            last.map(|(at, _)| at)
        };
        if let Some(parent) = by_guid.or_else(by_pid).filter(|&parent| parent != child) {
            edges.push((parent, child));
        }
    }
    for row in list(&value["cross_process"]) {
        let end = |name: &str| {
            let guid = row[name].as_str().map(plain_guid)?;
            known
                .iter()
                .position(|one| one.guid.as_deref() == Some(&guid))
        };
        if let (Some(from), Some(to)) = (end("src_guid"), end("dst_guid")) {
            edges.push((from, to));
        }
    }
    edges
}

fn crossings(value: &Value) -> Vec<BTreeSet<String>> {
    let rows = list(&value["remote_links"])
        .iter()
        .chain(list(&value["cross_host"]));
    let mut crossings: Vec<BTreeSet<String>> = Vec::new();
    for row in rows {
        let Some(seen) = row["seen_on"].as_object() else {
            continue;
        };
        let hosts: BTreeSet<String> = seen.keys().map(|host| short_host(host)).collect();
        if hosts.len() > 1 && !crossings.contains(&hosts) {
            crossings.push(hosts);
        }
    }
    crossings
}

fn expected(value: &Value, known: &[Known]) -> Vec<Expected> {
    let mut expected = Vec::new();
    for name in ["chain", "phases", "steps"] {
        for row in list(&value[name]).iter().filter(|row| row.is_object()) {
            expected.extend(expected_row(row, known));
        }
    }
    if expected.is_empty() {
        let wanted = known.iter().enumerate();
        let mut wanted: Vec<(usize, &Known)> = wanted
            .filter(|(_, one)| one.part == Part::Wanted && !one.starts_us.is_empty())
            .collect();
        wanted.sort_by_key(|(_, one)| one.starts_us.first().copied());
        expected.extend(wanted.into_iter().map(|(at, one)| Expected {
            processes: vec![at],
            us: one.starts_us.first().copied(),
            label: one.label.clone(),
        }));
    }
    expected
}

fn expected_row(row: &Value, known: &[Known]) -> Option<Expected> {
    let guid = row["guid"].as_str().map(plain_guid);
    let mut pids: Vec<u64> = list(&row["pids"])
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    let times = ["utc", "start_utc"];
    let us = times
        .iter()
        .find_map(|name| row[*name].as_str())
        .and_then(moment_us);
    if guid.is_none() {
        pids.extend(row["pid"].as_u64());
    }
    let mut processes: Vec<usize> = Vec::new();
    for (at, one) in known.iter().enumerate() {
        let by_guid = guid.is_some() && one.guid == guid;
        let by_pid = one.pid.is_some_and(|pid| pids.contains(&pid));
        // A pid is used again: of one pid, the process that started last before the step.
        let late = us.is_some_and(|us| one.starts_us.iter().all(|start| *start > us + NEAR_US));
        let single = row["pid"].is_u64() && one.part == Part::Neutral;
        if by_guid || (by_pid && !(late && single)) {
            processes.push(at);
        }
    }
    let consoles = processes
        .iter()
        .all(|&at| known.get(at).is_none_or(|one| one.part == Part::Neutral));
    if processes.is_empty() || consoles {
        return None;
    }
    let names = ["step", "text", "phase"];
    let label = names.iter().find_map(|name| row[*name].as_str());
    Some(Expected {
        processes,
        us,
        label: label.unwrap_or_default().to_owned(),
    })
}

fn beginnings(value: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |text: Option<&str>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            names.insert(base_name(text).to_lowercase());
        }
    };
    let entry = &value["entry"];
    add(entry["image"].as_str());
    add(entry["remote"].as_str());
    for row in list(&value["delivery"]) {
        // A stream of a file (its mark of origin) is named by the file.
        let path = row["path"].as_str().map(|path| {
            let stream = path.rfind(':').filter(|at| *at > 2);
            stream.map_or(path, |at| &path[..at])
        });
        add(path);
    }
    list(&value["logons"])
        .iter()
        .for_each(|row| add(row["ip"].as_str()));
    for row in list(&value["remote_links"]) {
        let tuple = row["five_tuple"].as_str();
        add(tuple.and_then(|tuple| tuple.split(':').next()));
        let ends = row["seen_on"].as_object().into_iter().flatten();
        let client = ends
            .map(|(_, end)| end)
            .find(|end| end["initiated"] == "true");
        add(client.and_then(|end| end["image"].as_str()));
    }
    if names.is_empty() {
        let first = list(&value["malicious_processes"]).first();
        let root = [&value["root"], first.unwrap_or(&Value::Null)];
        let mut names = BTreeSet::new();
        for row in root {
            let name = row["image"].as_str().or(row["cmd"].as_str());
            names.extend(name.map(|name| base_name(name).to_lowercase()));
        }
        return names;
    }
    names
}

/// A host by its first label, lower case: one machine is called by its full name as well.
pub(super) fn short_host(host: &str) -> String {
    let first = if host.parse::<std::net::IpAddr>().is_ok() {
        host
    } else {
        host.split('.').next().unwrap_or(host)
    };
    first.to_lowercase()
}

fn plain_guid(guid: &str) -> String {
    guid.trim_matches(['{', '}']).to_lowercase()
}

fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A time of RFC 3339 in UTC, however many digits its fraction has.
fn moment_us(text: &str) -> Option<i64> {
    let plain = text.strip_suffix('Z')?;
    let cut = plain
        .find('.')
        .map_or(plain.len(), |dot| (dot + 7).min(plain.len()));
    let moment: Moment = format!("{}Z", plain.get(..cut)?).parse().ok()?;
    Some(moment.us())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_truth_is_refused() {
        for text in ["", "[]", "{}", r#"{"schema":"labels/1"}"#] {
            assert!(Truth::read(text).is_err(), "{text}");
        }
        assert_eq!(Truth::read(r#"{"schema":"gt/1"}"#).unwrap().wanted(), 0);
    }

    #[test]
    fn consoles_are_not_wanted_and_a_process_in_two_lists_counts_once() {
        let text = r#"{"schema":"gt/1","id":"x","malicious_processes":[
            {"host":"H.example","pid":5,"guid":"A-1","start_utc":"2030-01-01T00:00:00Z","image":"C:\\a.exe"},
            {"host":"H","pid":6,"guid":"A-2","start_utc":"2030-01-01T00:00:01Z","image":"C:\\Windows\\conhost.exe","parent_guid":"a-1"}],
            "detached_processes":[{"host":"h","pid":5,"guid":"a-1","start_utc":"2030-01-01T00:00:00Z"},{"pid":9}],
            "chain":[{"step":"one","guid":"A-1","utc":"2030-01-01T00:00:00.1234567Z"},{"step":"two","guid":"A-2"}]}"#;
        let truth = Truth::read(text).unwrap();
        assert_eq!((truth.wanted(), truth.known.len()), (1, 2));
        assert_eq!(truth.expected.len(), 1, "a console is no step");
        assert_eq!(truth.expected[0].us.map(|us| us % 1_000_000), Some(123_456));
        assert_eq!(truth.known[0].host.as_deref(), Some("h"));
    }
}

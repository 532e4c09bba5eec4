//! A report against a truth, number by number.

use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::{Incident, Moment, Process, Report, Role, Severity};
use serde::Serialize;

use super::order::Order;
use super::truth::{Part, Truth, short_host};

/// What a report says against what happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The scenario.
    pub truth: String,
    /// Processes that it wants.
    pub wanted: usize,
    /// Over all incidents together.
    pub all: Fit,
    /// The incident that holds most of the wanted ones, of equals the one with fewer others.
    pub best: Option<Fit>,
    /// Its id, its rank from 1, and how grave it is called.
    pub incident: Option<(String, usize, Severity)>,
    /// The wanted processes that it does not hold.
    pub missing: Vec<String>,
    /// The processes that it calls malicious or compromised, and that are not.
    pub others: Vec<String>,
    /// The processes that were taken over.
    pub compromised: Vec<Since>,
    /// Edges of the best incident.
    pub edges: Edges,
    /// How it began.
    pub entry: Entry,
    /// The order of its steps.
    pub order: Order,
    /// How large it is.
    pub size: Size,
    /// Incidents that hold a wanted process.
    pub incidents_of_truth: usize,
    /// Incidents that hold none, by severity.
    pub false_incidents: BTreeMap<&'static str, usize>,
}

/// Processes found, and what else was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fit {
    /// Wanted processes that are named.
    pub found: usize,
    /// Processes that are named as malicious or compromised, and that are not.
    pub others: usize,
}

impl Fit {
    /// Found over wanted; `None` where nothing is wanted.
    #[must_use]
    pub fn recall(&self, wanted: usize) -> Option<f64> {
        ratio(self.found, wanted)
    }

    /// Found over all that are named; `None` where nothing is named.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        ratio(self.found, self.found + self.others)
    }
}

/// A process that was taken over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Since {
    /// Which.
    pub process: String,
    /// How it is called, if it is named at all.
    pub role: Option<Role>,
    /// How far the time since when it is called so lies from the true one, in seconds.
    pub off_s: Option<f64>,
}

/// Edges between known processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Edges {
    /// Edges of the truth: who started whom, who wrote into whom.
    pub wanted: usize,
    /// Those that the incident has.
    pub found: usize,
    /// Creations between known processes that the incident has and the truth has otherwise.
    pub wrong: usize,
    /// Pairs of hosts that are to be joined.
    pub crossings: usize,
    /// Those that a link of the incident joins, or whose processes it holds together.
    pub crossed: usize,
}

/// How the incident is said to have begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The place, from 1, of the first sentence that names the true beginning.
    pub rank: Option<usize>,
    /// How many sentences there are.
    pub sentences: usize,
    /// What the true beginning is known by.
    pub names: BTreeSet<String>,
}

/// How much stands on the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Processes, files, registry entries and connections.
    pub nodes: usize,
    /// Processes among them.
    pub processes: usize,
    /// Links between them.
    pub links: usize,
    /// Steps.
    pub steps: usize,
}

/// Compares a report with a truth.
#[must_use]
pub fn score(report: &Report, truth: &Truth) -> Compared {
    let incidents: Vec<Named<'_>> = report
        .incidents
        .iter()
        .map(|incident| Named::new(truth, incident))
        .collect();
    let ranked = incidents.iter().enumerate();
    let best = ranked
        .filter(|(_, named)| !named.found.is_empty())
        .max_by_key(|(rank, named)| {
            let others = usize::MAX - named.others.len();
            (named.found.len(), others, usize::MAX - rank)
        });
    let mut all_found: BTreeSet<usize> = BTreeSet::new();
    let mut all_others: BTreeSet<String> = BTreeSet::new();
    let mut false_incidents: BTreeMap<&'static str, usize> = BTreeMap::new();
    for named in &incidents {
        all_found.extend(&named.found);
        all_others.extend(named.others.iter().cloned());
        if named.found.is_empty() {
            *false_incidents
                .entry(named.incident.severity.word())
                .or_default() += 1;
        }
    }
    let nothing = BTreeSet::new();
    let found = best.map_or(&nothing, |(_, named)| &named.found);
    let missing = truth.known.iter().enumerate();
    let missing = missing.filter(|(at, one)| one.part == Part::Wanted && !found.contains(at));
    let order = Order {
        expected: truth.expected.len(),
        told: 0,
        tau: None,
        falling: 0,
        untold: Vec::new(),
    };
    let told = best.map(|(_, named)| named);
    Compared {
        truth: truth.id.clone(),
        wanted: truth.wanted(),
        all: Fit {
            found: all_found.len(),
            others: all_others.len(),
        },
        best: told.map(|named| Fit {
            found: named.found.len(),
            others: named.others.len(),
        }),
        incident: best.map(|(rank, named)| {
            let incident = named.incident;
            (incident.id.clone(), rank + 1, incident.severity)
        }),
        missing: missing.map(|(_, one)| one.label.clone()).collect(),
        others: told.map_or_else(Vec::new, |named| named.others.iter().cloned().collect()),
        compromised: compromised(truth, told),
        edges: told.map_or_else(
            || Edges {
                wanted: truth.edges.len(),
                crossings: truth.crossings.len(),
                ..Edges::default()
            },
            |named| named.edges(truth),
        ),
        entry: told.map_or_else(Entry::default, |named| named.entry(truth)),
        order: told.map_or(order, |named| {
            Order::of(truth, named.incident, &named.nodes)
        }),
        size: told.map_or_else(Size::default, |named| size(named.incident)),
        incidents_of_truth: incidents
            .iter()
            .filter(|named| !named.found.is_empty())
            .count(),
        false_incidents,
    }
}

/// An incident with the known process behind each node.
struct Named<'r> {
    incident: &'r Incident,
    nodes: BTreeMap<&'r str, usize>,
    found: BTreeSet<usize>,
    others: BTreeSet<String>,
}

impl<'r> Named<'r> {
    fn new(truth: &Truth, incident: &'r Incident) -> Self {
        let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
        for process in &incident.processes {
            if let Some(at) = truth.find(process) {
                nodes.insert(&process.node, at);
            }
        }
        let by_node: BTreeMap<&str, &Process> = incident
            .processes
            .iter()
            .map(|process| (process.node.as_str(), process))
            .collect();
        let part = |node: &str| nodes.get(node).and_then(|&at| truth.known.get(at));
        let mut found = BTreeSet::new();
        let mut others = BTreeSet::new();
        for process in &incident.processes {
            // A process that is another program since is one process still.
            let above = first_unit(process, &by_node);
            let known = part(&process.node).or_else(|| part(&above.node));
            match (known.map(|known| known.part), process.role) {
                (Some(Part::Wanted), Role::Malicious | Role::Compromised) => {
                    let node = [&process.node, &above.node];
                    found.extend(node.iter().find_map(|node| nodes.get(node.as_str())));
                }
                (Some(_), _) | (None, Role::Carrier) => {}
                (None, Role::Malicious | Role::Compromised) => {
                    let excused = is_console(process)
                        || !truth.complete && below_known(truth, process, &by_node, &nodes);
                    if !excused {
                        others.insert(label(above));
                    }
                }
            }
        }
        Self {
            incident,
            nodes,
            found,
            others,
        }
    }

    fn edges(&self, truth: &Truth) -> Edges {
        let mut has: BTreeSet<(usize, usize)> = BTreeSet::new();
        let at = |node: &str| self.nodes.get(node).copied();
        for process in &self.incident.processes {
            if let (Some(parent), Some(child)) =
                (process.parent.as_deref().and_then(at), at(&process.node))
            {
                has.insert((parent, child));
            }
        }
        let mut wrong = 0;
        for (parent, child) in &has {
            let otherwise = truth.edges.iter().any(|(_, other)| other == child);
            if parent != child && otherwise && !truth.edges.contains(&(*parent, *child)) {
                wrong += 1;
            }
        }
        for link in &self.incident.links {
            if let (Some(from), Some(to)) = (at(&link.from), at(&link.to)) {
                has.insert((from, to));
            }
        }
        let found = truth.edges.iter().filter(|edge| has.contains(edge));
        let crossed = truth.crossings.iter().filter(|hosts| self.crosses(hosts));
        Edges {
            wanted: truth.edges.len(),
            found: found.count(),
            wrong,
            crossings: truth.crossings.len(),
            crossed: crossed.count(),
        }
    }

    /// Whether the incident has a link between processes of two of these hosts.
    fn crosses(&self, hosts: &BTreeSet<String>) -> bool {
        let of: BTreeMap<&str, String> = self
            .incident
            .processes
            .iter()
            .map(|process| (process.node.as_str(), short_host(&process.host)))
            .collect();
        let links = self.incident.links.iter();
        let ends = links.map(|link| (link.from.as_str(), link.to.as_str()));
        let parents = self
            .incident
            .processes
            .iter()
            .filter_map(|process| Some((process.parent.as_deref()?, process.node.as_str())));
        ends.chain(parents).any(|(from, to)| {
            let (Some(from), Some(to)) = (of.get(from), of.get(to)) else {
                return false;
            };
            from != to && hosts.contains(from) && hosts.contains(to)
        })
    }

    fn entry(&self, truth: &Truth) -> Entry {
        let names = |text: &str| {
            let text = text.to_lowercase();
            truth.beginnings.iter().any(|name| text.contains(name))
        };
        let entry = &self.incident.entry;
        Entry {
            rank: entry
                .iter()
                .position(|sentence| names(&sentence.text))
                .map(|at| at + 1),
            sentences: entry.len(),
            names: truth.beginnings.clone(),
        }
    }
}

/// The unit of the same process from which a unit became.
fn first_unit<'r>(process: &'r Process, by_node: &BTreeMap<&str, &'r Process>) -> &'r Process {
    let mut at = process;
    for _ in 0..by_node.len() {
        let above = at.parent.as_deref().and_then(|node| by_node.get(node));
        match above {
            Some(above)
                if above.pid == at.pid && above.host == at.host && above.guid == at.guid =>
            {
                at = above;
            }
            Some(_) | None => break,
        }
    }
    at
}

/// Whether a process hangs below a known one, in the incident.
fn below_known(
    truth: &Truth,
    process: &Process,
    by_node: &BTreeMap<&str, &Process>,
    nodes: &BTreeMap<&str, usize>,
) -> bool {
    let mut at = process;
    for _ in 0..by_node.len() {
        let Some(above) = at.parent.as_deref().and_then(|node| by_node.get(node)) else {
            return false;
        };
        let known = nodes
            .get(above.node.as_str())
            .and_then(|&at| truth.known.get(at));
        if known.is_some() {
            return true;
        }
        at = above;
    }
    false
}

fn is_console(process: &Process) -> bool {
    let image = process.image.as_deref().unwrap_or_default();
    let name = image.rsplit(['/', '\\']).next().unwrap_or(image);
    name.eq_ignore_ascii_case("conhost.exe")
}

fn label(process: &Process) -> String {
    let what = process
        .command_line
        .as_deref()
        .or(process.image.as_deref())
        .unwrap_or_default();
    let start = process
        .start
        .map_or_else(|| "before".to_owned(), |start| start.to_string());
    format!("{} {} {start} {what}", process.host, process.pid)
}

fn compromised(truth: &Truth, named: Option<&Named<'_>>) -> Vec<Since> {
    let known = truth.known.iter().enumerate();
    let wanted = known.filter(|(_, one)| one.part == Part::Compromised);
    let since = wanted.map(|(at, one)| {
        let node = named.and_then(|named| {
            let mut nodes = named.nodes.iter().filter(|(_, known)| **known == at);
            nodes.next().map(|(node, _)| (named.incident, *node))
        });
        let role = node.and_then(|(incident, node)| {
            let mut processes = incident.processes.iter();
            processes
                .find(|process| process.node == node)
                .map(|process| process.role)
        });
        let why = node.and_then(|(incident, node)| {
            let mut processes = incident.processes.iter();
            processes
                .find(|process| process.node == node)
                .map(|process| process.why.as_str())
        });
        let first = why.and_then(moment_in);
        let off = first.zip(one.since_us).map(|(first, since)| {
            let off = i32::try_from(first.abs_diff(since) / 1000).unwrap_or(i32::MAX);
            f64::from(off) / 1000.0
        });
        Since {
            process: one.label.clone(),
            role,
            off_s: off,
        }
    });
    since.collect()
}

/// The moment that a sentence names, in microseconds.
fn moment_in(text: &str) -> Option<i64> {
    let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
    words
        .find_map(|word| word.trim_end_matches('.').parse::<Moment>().ok())
        .map(Moment::us)
}

fn size(incident: &Incident) -> Size {
    let things = incident.files.len() + incident.registry.len() + incident.network.len();
    Size {
        nodes: incident.processes.len() + things,
        processes: incident.processes.len(),
        links: incident.links.len(),
        steps: incident.steps.len(),
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    (whole > 0).then(|| count(part) / count(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use saigen_schemas::report::{Grade, Sentence, Step, Tool};
    use serde_json::json;

    /// A process of a report; a GUID where the pid is over 100.
    fn process(node: &str, parent: Option<&str>, pid: u32, second: i64, role: Role) -> Process {
        Process {
            node: node.to_owned(),
            host: "H.example".to_owned(),
            pid,
            guid: (pid > 100).then(|| format!("{{G-{pid}}}")),
            start: Some(Moment::from_us(second * 1_000_000)),
            end: None,
            exit_code: None,
            image: Some("/x".to_owned()),
            sha256: None,
            command_line: None,
            command_line_had: None,
            cwd: None,
            parent: parent.map(str::to_owned),
            user: None,
            role,
            why: String::new(),
            evidence: Vec::new(),
        }
    }

    fn incident(id: &str, processes: Vec<Process>) -> Incident {
        let steps = processes.iter().map(|process| Step {
            time: process.start.unwrap_or(Moment::from_us(0)),
            host: process.host.clone(),
            tactics: Vec::new(),
            techniques: Vec::new(),
            actor: process.node.clone(),
            verb: "runs".to_owned(),
            object: None,
            grade: Grade::Proven,
            text: String::new(),
            rules: Vec::new(),
            evidence: Vec::new(),
        });
        Incident {
            id: id.to_owned(),
            title: String::new(),
            severity: Severity::High,
            score: 1.0,
            score_parts: Vec::new(),
            first: Moment::from_us(0),
            last: Moment::from_us(0),
            hosts: Vec::new(),
            accounts: Vec::new(),
            techniques: Vec::new(),
            entry: vec![Sentence {
                text: "A connection from 192.0.2.9 came.".to_owned(),
                grade: Grade::Proven,
                evidence: Vec::new(),
            }],
            story: saigen_schemas::report::Story::default(),
            steps: steps.collect(),
            processes,
            links: Vec::new(),
            files: Vec::new(),
            registry: Vec::new(),
            network: Vec::new(),
            persistence: Vec::new(),
            gaps: Vec::new(),
            pruned: Vec::new(),
            joined_by: Vec::new(),
        }
    }

    fn report(incidents: Vec<Incident>) -> Report {
        let tool = Tool {
            name: "saigen".to_owned(),
            version: "0".to_owned(),
        };
        let mut report = Report::new(tool, String::new());
        report.incidents = incidents;
        report
    }

    fn truth() -> Truth {
        let row = |pid: u32, parent: u32, second: u32| {
            json!({ "host": "h", "pid": pid, "parent_pid": parent, "image": "/x",
                "start_utc": format!("1970-01-01T00:00:{second:02}Z") })
        };
        let value = json!({
            "schema": "gt/1", "id": "t",
            "malicious_processes": [row(1, 0, 10), row(2, 1, 20), row(3, 2, 30),
                { "pid": 104, "guid": "g-104", "start_utc": "1970-01-01T00:00:40Z" }],
            "compromised_processes": [{ "host": "h", "pid": 7, "compromised_since": "1970-01-01T00:00:09Z" }],
            "entry": { "host": "h", "pid": 8, "image": "/srv/web", "remote": "192.0.2.9" },
        });
        Truth::read(&value.to_string()).unwrap()
    }

    #[test]
    fn what_is_found_and_what_is_too_much_is_counted() {
        let mut taken = process("n9", None, 7, 1, Role::Compromised);
        taken.why = "It was written into at 1970-01-01T00:00:10.500000Z.".to_owned();
        let compared = score(
            &report(vec![
                incident("I1", vec![process("n1", None, 55, 5, Role::Malicious)]),
                incident(
                    "I2",
                    vec![
                        taken,
                        process("n1", None, 1, 10, Role::Malicious),
                        process("n2", Some("n1"), 2, 20, Role::Malicious),
                        // The same process after an exec.
                        process("n3", Some("n2"), 2, 25, Role::Malicious),
                        // A pid that is used again, much later.
                        process("n4", Some("n2"), 3, 50, Role::Malicious),
                        process("n5", Some("n2"), 104, 48, Role::Malicious),
                        process("n6", None, 8, 0, Role::Carrier),
                    ],
                ),
            ]),
            &truth(),
        );
        assert_eq!(
            compared.best,
            Some(Fit {
                found: 3,
                others: 1
            })
        );
        assert_eq!(
            compared.incident,
            Some(("I2".to_owned(), 2, Severity::High))
        );
        assert_eq!(
            compared.all,
            Fit {
                found: 3,
                others: 2
            }
        );
        assert_eq!(compared.missing, ["3 /x"]);
        assert_eq!(compared.false_incidents, BTreeMap::from([("high", 1)]));
        assert_eq!((compared.edges.wanted, compared.edges.found), (2, 1));
        assert_eq!(compared.entry.rank, Some(1));
        assert_eq!((compared.order.told, compared.order.tau), (3, Some(1.0)));
        assert_eq!(compared.compromised[0].off_s, Some(1.5));
        assert_eq!(compared.compromised[0].role, Some(Role::Compromised));
    }

    #[test]
    fn an_empty_report_scores_nothing() {
        let compared = score(&report(Vec::new()), &truth());
        assert_eq!((compared.best, compared.incident), (None, None));
        assert_eq!(
            (compared.missing.len(), compared.incidents_of_truth),
            (4, 0)
        );
    }
}

//! The cast: every process that an incident tells of, with its part and its name in sentences.

use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::{Moment, Process, Role, text_from_bytes};

use crate::graph::{NodeId, ProcessNode};
use crate::reconstruct::groups::Group;
use crate::reconstruct::knowledge::Role::Interpreter;
use crate::reconstruct::knowledge::base_name;
use crate::reconstruct::malice::{Ground, Taken, Why};
use crate::reconstruct::seeds::Seed;
use crate::reconstruct::tell::words;
use crate::reconstruct::world::World;
use crate::reference::EventRef;
use crate::replay::Recorded;
use saigen_schemas::report::EvidenceRef;

/// The most records that a row cites.
const EVENTS_MAX: usize = 6;

/// The processes of one incident.
pub(super) struct Cast<'w, 'g> {
    pub(super) world: &'w World<'g>,
    group: &'w Group,
    ids: BTreeMap<NodeId, String>,
    rows: Vec<(NodeId, Role)>,
    below: BTreeMap<NodeId, NodeId>,
}

impl<'w, 'g> Cast<'w, 'g> {
    /// Casts the malicious processes, those that were taken over, and the benign ones between.
    pub(super) fn new(
        world: &'w World<'g>,
        group: &'w Group,
        carriers: BTreeMap<NodeId, NodeId>,
    ) -> Self {
        let mut parts: BTreeMap<NodeId, Role> =
            carriers.keys().map(|&id| (id, Role::Carrier)).collect();
        parts.extend(
            group
                .malice
                .compromised
                .keys()
                .map(|&id| (id, Role::Compromised)),
        );
        parts.extend(
            group
                .malice
                .processes
                .keys()
                .map(|&id| (id, Role::Malicious)),
        );
        let mut rows: Vec<(NodeId, Role)> = parts
            .into_iter()
            .filter(|(id, _)| world.process(*id).is_some())
            .collect();
        let start = |id: NodeId| {
            world
                .process(id)
                .map_or(i64::MAX, |process| process.start_us)
        };
        rows.sort_by_cached_key(|(id, _)| (world.even_us(*id, start(*id)), *id));
        let ids = rows
            .iter()
            .enumerate()
            .map(|(index, (id, _))| (*id, format!("n{}", index + 1)))
            .collect();
        Self {
            world,
            group,
            ids,
            rows,
            below: carriers,
        }
    }

    /// The name of a process's node in this incident.
    pub(super) fn id(&self, process: NodeId) -> Option<String> {
        self.ids.get(&process).cloned()
    }

    /// The processes with their parts, by their start.
    pub(super) fn rows(&self) -> &[(NodeId, Role)] {
        &self.rows
    }

    /// Whether a process is the intruder's own.
    pub(super) fn is_malicious(&self, process: NodeId) -> bool {
        self.group.malice.processes.contains_key(&process)
    }

    /// The nearest process above that is in the incident.
    pub(super) fn parent(&self, process: NodeId) -> Option<NodeId> {
        let mut seen = BTreeSet::from([process]);
        let mut at = process;
        while let Some(cause) = self.world.cause(at).filter(|cause| seen.insert(*cause)) {
            if self.ids.contains_key(&cause) {
                return Some(cause);
            }
            at = cause;
        }
        None
    }

    /// A process in a sentence: `sh (pid 42, www-data)`.
    pub(super) fn name(&self, process: NodeId) -> String {
        let Some(facts) = self.world.process(process) else {
            return "a process".to_owned();
        };
        let user = user_of(&facts).map_or_else(String::new, |user| format!(", {user}"));
        format!(
            "{} (pid {}{user})",
            self.program(process, &facts),
            facts.key.pid
        )
    }

    /// A process in a sentence that names its account already: `sh (pid 42)`.
    pub(super) fn short(&self, process: NodeId) -> String {
        let facts = self.world.process(process);
        facts.map_or_else(
            || "a process".to_owned(),
            |facts| format!("{} (pid {})", self.program(process, &facts), facts.key.pid),
        )
    }

    /// The name of a program in a sentence; of an interpreter also that of its script.
    fn program(&self, process: NodeId, facts: &ProcessNode<'_>) -> String {
        let Some(image) = facts.image else {
            return "a process".to_owned();
        };
        let image = text_from_bytes(image.0);
        let name = base_name(&image);
        let first = facts.args.and_then(|args| args.iter().nth(1));
        let script = first.map(|first| text_from_bytes(first.0)).filter(|first| {
            let interprets = self.world.roles(process).has(Interpreter);
            interprets && !first.starts_with('-') && first.contains('/')
        });
        script.map_or_else(
            || name.to_owned(),
            |script| format!("{name} {}", base_name(&script)),
        )
    }

    /// What a process was told to run, for a sentence.
    pub(super) fn command(&self, process: NodeId) -> String {
        let Some(facts) = self.world.process(process) else {
            return "a program".to_owned();
        };
        let image = facts.image.map(|image| text_from_bytes(image.0));
        let line = command_line(&facts)
            .or(image)
            .unwrap_or_else(|| "a program whose name was not recorded".to_owned());
        words::command(&line)
    }

    /// The host of a process, by name.
    pub(super) fn host(&self, process: NodeId) -> String {
        let host = self.world.process(process).map(|facts| facts.host);
        host.map_or_else(String::new, |host| {
            text_from_bytes(self.world.graph.host_name(host).0)
        })
    }

    /// The rows of the report.
    pub(super) fn processes(&self, seeds: &[Seed]) -> Vec<Process> {
        self.rows
            .iter()
            .filter_map(|(id, role)| self.process(*id, *role, seeds))
            .collect()
    }

    fn process(&self, id: NodeId, role: Role, seeds: &[Seed]) -> Option<Process> {
        let facts = self.world.process(id)?;
        let (why, mut events) = self.why(id, role, seeds);
        events.splice(0..0, facts.start_ref);
        Some(Process {
            node: self.id(id)?,
            host: self.host(id),
            pid: facts.key.pid,
            guid: facts.key.guid.map(|guid| guid.to_string()),
            start: (facts.recorded != Recorded::Implied).then(|| Moment::from_us(facts.start_us)),
            end: facts.end_us.map(Moment::from_us),
            exit_code: facts.exit.and_then(|exit| exit.code).map(i64::from),
            image: facts.image.map(|image| text_from_bytes(image.0)),
            sha256: facts.sha256.map(|hash| hash.to_string()),
            command_line: command_line(&facts),
            command_line_had: facts.args_had.map(|had| had.as_str().to_owned()),
            cwd: facts.cwd.map(|cwd| text_from_bytes(cwd.0)),
            parent: self.parent(id).and_then(|parent| self.id(parent)),
            user: user_of(&facts),
            role,
            why,
            evidence: cited(&events, EVENTS_MAX),
        })
    }

    /// Why a process is in the incident, in one sentence, with the records.
    fn why(&self, id: NodeId, role: Role, seeds: &[Seed]) -> (String, Vec<EventRef>) {
        match role {
            Role::Malicious => self.group.malice.processes.get(&id).map_or_else(
                || (String::new(), Vec::new()),
                |why| (self.why_malicious(id, why, seeds), why.events.clone()),
            ),
            Role::Compromised => self.why_compromised(id),
            Role::Carrier => {
                let below = self
                    .below
                    .get(&id)
                    .map_or_else(String::new, |below| format!(" {}", self.short(*below)));
                (
                    format!("It leads to{below}; nothing speaks against the program itself."),
                    Vec::new(),
                )
            }
        }
    }

    fn why_compromised(&self, id: NodeId) -> (String, Vec<EventRef>) {
        let Some(since) = self.group.malice.compromised.get(&id) else {
            return (String::new(), Vec::new());
        };
        let moment = Moment::from_us(since.us);
        let text = match since.how {
            Taken::Request(request) => {
                format!(
                    "It did the work of the request from {} since {moment}.",
                    endpoint(&request.client().to_string(), request.asker().1)
                )
            }
            Taken::UnseenRequest => format!(
                "It started a malicious process at {moment}; the request behind that was not recorded."
            ),
            Taken::Injected(by) => format!("{} wrote into it at {moment}.", self.short(by)),
            Taken::Changed(file) => format!(
                "It runs {}, which the intrusion had changed, since {moment}.",
                self.path(file)
            ),
        };
        (text, since.events.clone())
    }

    fn why_malicious(&self, id: NodeId, why: &Why, seeds: &[Seed]) -> String {
        let from = why
            .from
            .map_or_else(|| "the intrusion".to_owned(), |from| self.short(from));
        let thing = why
            .by
            .map_or_else(|| "a file".to_owned(), |by| self.path(by));
        let ip = why.ip.map_or_else(String::new, |ip| ip.to_string());
        match why.ground {
            Ground::Found => {
                let found = self.found_on(id, why, seeds);
                if found.is_empty() {
                    "Rules fired on what it did or started.".to_owned()
                } else {
                    format!("Rules fired: {}.", words::some_of(&found, 3))
                }
            }
            Ground::Stages => {
                "Findings of several stages of an attack hang side by side below it.".to_owned()
            }
            Ground::Brought => {
                "It runs a program that came during the recording, and grave findings hang below it."
                    .to_owned()
            }
            Ground::Child => format!("{} started it.", from),
            Ground::Told => format!("Its arguments say that it starts {from}."),
            Ground::Ran => format!("It runs {thing}, which {from} wrote."),
            Ground::Left => format!("It was started by {thing}, which {from} wrote."),
            Ground::Named => format!(
                "A scheduler started it, and its arguments name {thing}, which {from} wrote."
            ),
            Ground::Reached => {
                format!("It reached {ip}, an address that only this intrusion uses.")
            }
            Ground::Served => format!(
                "A server started it for a request from {ip}, an address that this intrusion uses."
            ),
            Ground::Opened => format!(
                "It is a session that was opened after {from} changed {thing}, in a way not seen before."
            ),
            Ground::SameAddress => {
                format!("It is a session opened from {ip}, an address that this intrusion uses.")
            }
            Ground::Crossed => format!(
                "A server started it for the connection from {ip} that {from} had opened on {}.",
                why.from.map(|from| self.host(from)).unwrap_or_default()
            ),
            Ground::Asked => format!("A broker of the system started it for {from}."),
            Ground::Injected => format!("A process that {from} had written into started it."),
        }
    }

    fn found_on(&self, id: NodeId, why: &Why, seeds: &[Seed]) -> Vec<String> {
        let mut titles: Vec<String> = Vec::new();
        let members = self
            .group
            .seeds
            .iter()
            .filter_map(|&index| seeds.get(index));
        for seed in members.filter(|seed| {
            seed.process == id || why.events.iter().any(|event| seed.events.contains(event))
        }) {
            if !titles.contains(&seed.rule.title) {
                titles.push(seed.rule.title.clone());
            }
        }
        titles
    }

    /// The path of a file, or the name of another thing, for a sentence.
    pub(super) fn path(&self, thing: NodeId) -> String {
        self.world.label(thing)
    }
}

/// The account as which a process ran.
pub(super) fn user_of(facts: &ProcessNode<'_>) -> Option<String> {
    let named = facts.account.map(|account| text_from_bytes(account.0));
    named.or_else(|| match facts.euid.or(facts.uid)? {
        0 => Some("root".to_owned()),
        uid => Some(format!("uid {uid}")),
    })
}

/// The arguments of a process as a shell would read them.
pub(super) fn command_line(facts: &ProcessNode<'_>) -> Option<String> {
    let args = facts
        .args
        .filter(|args| !args.0.is_empty())
        .map(|args| text_from_bytes(&args.command_line()));
    args.or_else(|| facts.command_line.map(|line| text_from_bytes(line.0)))
}

/// An address with its port.
pub(super) fn endpoint(ip: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
        Some(port) => format!("{ip}:{port}"),
        None => ip.to_owned(),
    }
}

/// Records as the report cites them: once each, the first ones, in order.
pub(super) fn cited(events: &[EventRef], most: usize) -> Vec<EvidenceRef> {
    let mut known: Vec<EventRef> = Vec::new();
    for &event in events {
        if !known.contains(&event) && known.len() < most {
            known.push(event);
        }
    }
    known.into_iter().map(Into::into).collect()
}

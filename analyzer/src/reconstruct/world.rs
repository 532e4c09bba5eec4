//! The graph as the search sees it: the part that each process plays, and how rare things are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use saigen_schemas::event::Text;
use saigen_schemas::report::text_from_bytes;

use crate::graph::{Edge, FileForm, Graph, Ground, Node, NodeId, ProcessNode, Verb};
use crate::reconstruct::knowledge::{Knowledge, Place, Role, Roles, base_name};
use crate::replay::{HostId, Recorded};

/// The part that a process plays for those that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Station {
    /// Its children are its own work.
    Ordinary,
    /// It answers requests: a child belongs to the request that was served, not to the server.
    Service,
    /// It lets people in: a child is a session.
    Login,
    /// It runs what others left: a child is a job.
    Scheduler,
    /// It starts services, containers or everything: a child is on its own.
    Init,
    /// It is a person's desktop: a child is what that person clicked.
    Desktop,
    /// It runs here what another host, or another program, asked for.
    Broker,
}

impl Station {
    /// Whether being its child says nothing about it, nor about its other children.
    pub(super) const fn is_hub(self) -> bool {
        !matches!(self, Self::Ordinary)
    }
}

/// Programs that take connections at times and are no servers for that.
const NO_SERVERS: [Role; 6] = [
    Role::Transfer,
    Role::Shell,
    Role::Loader,
    Role::Browser,
    Role::Document,
    Role::Discovery,
];

/// What is known beforehand of one process.
#[derive(Clone, Copy)]
struct Facts {
    roles: Roles,
    station: Station,
    /// Number of its program's name; `None` without one.
    name: Option<u32>,
}

/// The graph with what is concluded from it once, before any search.
pub(super) struct World<'g> {
    pub(super) graph: &'g Graph,
    pub(super) knowledge: Knowledge,
    facts: Vec<Option<Facts>>,
    /// How often a program of one name started one of another.
    pairs: HashMap<(u32, u32), u32>,
    /// Endpoints by address.
    places: BTreeMap<IpAddr, Vec<NodeId>>,
    /// The addresses at which recorded hosts listen, their own ones.
    own: BTreeSet<IpAddr>,
    /// By host the first start that was recorded as it happened: what stood before is older.
    recorded_us: BTreeMap<HostId, i64>,
}

impl<'g> World<'g> {
    /// Looks at every process once.
    pub(super) fn new(graph: &'g Graph) -> Self {
        let mut world = Self {
            graph,
            knowledge: Knowledge::built_in(),
            facts: Vec::new(),
            pairs: HashMap::new(),
            places: BTreeMap::new(),
            own: BTreeSet::new(),
            recorded_us: BTreeMap::new(),
        };
        let mut names = HashMap::new();
        for id in graph.nodes() {
            world.note_place(id);
            let facts = world.process(id).map(|process| {
                if !matches!(process.recorded, Recorded::Snapshot | Recorded::Implied) {
                    let first = world.recorded_us.entry(process.host).or_insert(i64::MAX);
                    *first = process.start_us.min(*first);
                }
                world.look_at(id, &process, &mut names)
            });
            world.facts.push(facts);
        }
        world.pass_stations_on();
        world.count_pairs();
        world
    }

    fn note_place(&mut self, id: NodeId) {
        if let Some(Node::Endpoint(endpoint)) = self.graph.node(id)
            && let Some(ip) = endpoint.ip
        {
            self.places.entry(ip).or_default().push(id);
            if endpoint.host.is_some() {
                self.own.insert(ip);
            }
        }
    }

    fn look_at(
        &self,
        id: NodeId,
        process: &ProcessNode<'_>,
        names: &mut HashMap<String, u32>,
    ) -> Facts {
        let image = image_of(process);
        let roles = image
            .as_deref()
            .map(|image| self.knowledge.roles(image))
            .unwrap_or_default();
        let name = image.as_deref().map(|image| {
            let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
            *names.entry(base_name(image).to_owned()).or_insert(next)
        });
        Facts {
            roles,
            station: self.station_of(id, image.as_deref(), roles),
            name,
        }
    }

    /// A process plays a part by its name only if its program stands where programs of the system
    /// stand: a file called `cron` in `/tmp` is no scheduler.
    fn station_of(&self, id: NodeId, image: Option<&str>, roles: Roles) -> Station {
        let hidden = |image: &str| image.contains("/.") || image.contains("\\.");
        let windows = image.is_some_and(|image| image.contains('\\'));
        let installed = image.is_none_or(|image| {
            !self.knowledge.is(Place::Temporary, image)
                && !image.starts_with("/home/")
                && !hidden(image)
                && (!windows || self.knowledge.is(Place::Installed, image))
        });
        let serves = || {
            let mut edges = self.incoming(id).chain(self.outgoing(id));
            edges.any(|edge| matches!(edge.verb, Verb::Accepted | Verb::Listened))
        };
        if installed && roles.has(Role::Login) {
            Station::Login
        } else if installed && roles.has(Role::Scheduler) {
            Station::Scheduler
        } else if installed && roles.any(&[Role::Init, Role::ServiceManager]) {
            Station::Init
        } else if installed && roles.has(Role::Desktop) {
            Station::Desktop
        } else if installed && roles.has(Role::RemoteBroker) {
            Station::Broker
        } else if (installed && roles.any(&[Role::WebServer, Role::Database]))
            || (installed && !roles.any(&NO_SERVERS) && serves())
        {
            Station::Service
        } else {
            Station::Ordinary
        }
    }

    /// A copy of a hub that runs no program of its own is that hub's worker.
    fn pass_stations_on(&mut self) {
        // Parents come before their children in the order of first sight, but for those that were
        // only named later: a second pass reaches them, and chains of copies are short.
        for _ in 0..2 {
            for id in self.graph.nodes() {
                let Some(process) = self.process(id) else {
                    continue;
                };
                let copied = process
                    .parent
                    .filter(|_| process.previous.is_none() && self.is_copy(id));
                let Some(station) = copied.map(|parent| self.station(parent)) else {
                    continue;
                };
                if let Some(Some(facts)) = self.facts.get_mut(id.index())
                    && facts.station == Station::Ordinary
                {
                    facts.station = station;
                }
            }
        }
    }

    fn count_pairs(&mut self) {
        for id in self.graph.nodes() {
            let Some(name) = self.facts_of(id).and_then(|facts| facts.name) else {
                continue;
            };
            let parent = self
                .cause(id)
                .and_then(|parent| self.facts_of(parent)?.name);
            if let Some(parent) = parent {
                *self.pairs.entry((parent, name)).or_default() += 1;
            }
        }
    }

    fn facts_of(&self, id: NodeId) -> Option<&Facts> {
        self.facts.get(id.index())?.as_ref()
    }

    /// The process of a node; `None` for other nodes.
    pub(super) fn process(&self, id: NodeId) -> Option<ProcessNode<'g>> {
        self.graph.process(id)
    }

    /// Edges into a node, by their first time.
    pub(super) fn incoming(&self, id: NodeId) -> impl Iterator<Item = Edge> + 'g {
        let graph = self.graph;
        graph
            .incoming(id)
            .iter()
            .filter_map(move |&edge| graph.edge(edge))
    }

    /// Edges out of a node, by their last time.
    pub(super) fn outgoing(&self, id: NodeId) -> impl Iterator<Item = Edge> + 'g {
        let graph = self.graph;
        graph
            .outgoing(id)
            .iter()
            .filter_map(move |&edge| graph.edge(edge))
    }

    /// The roles of a process by its program's name.
    pub(super) fn roles(&self, id: NodeId) -> Roles {
        self.facts_of(id)
            .map(|facts| facts.roles)
            .unwrap_or_default()
    }

    /// The part that a process plays for those that it starts.
    pub(super) fn station(&self, id: NodeId) -> Station {
        self.facts_of(id)
            .map_or(Station::Ordinary, |facts| facts.station)
    }

    /// Whether a process is a copy of its parent that never ran a program of its own.
    pub(super) fn is_copy(&self, id: NodeId) -> bool {
        let mut created = self.incoming(id);
        created.any(|edge| edge.verb == Verb::Forked)
    }

    /// Whether a process is a hub's copy that goes on with the hub's work.
    pub(super) fn is_worker(&self, id: NodeId) -> bool {
        self.station(id).is_hub() && self.is_copy(id)
    }

    /// The text that tells a process what to do: its arguments without its own name, or the
    /// command line where a source gives one text.
    pub(super) fn told(&self, id: NodeId) -> Option<String> {
        let process = self.process(id)?;
        if let Some(args) = process.args {
            let words: Vec<String> = args
                .iter()
                .skip(1)
                .map(|arg| arg.lossy().into_owned())
                .collect();
            return Some(words.join(" ")).filter(|told| !told.is_empty());
        }
        let line = process.command_line?.lossy().into_owned();
        behind_program(&line)
            .filter(|told| !told.is_empty())
            .map(str::to_owned)
    }

    /// The unit from which a unit came: the same process before its exec, or its parent.
    pub(super) fn cause(&self, id: NodeId) -> Option<NodeId> {
        let process = self.process(id)?;
        process
            .previous
            .or(process.parent)
            .filter(|&cause| cause != id)
    }

    /// The process of which a hub's worker is a copy; any other process itself.
    pub(super) fn head_of_workers(&self, id: NodeId) -> NodeId {
        let mut at = id;
        for _ in 0..64 {
            match self.cause(at) {
                Some(above) if self.is_worker(at) && self.station(above).is_hub() => at = above,
                _ => break,
            }
        }
        at
    }

    /// A node other than a process, for a sentence: its path, its name, its address.
    pub(super) fn label(&self, id: NodeId) -> String {
        let text = |text: Text<'_>| text_from_bytes(text.0);
        match self.graph.node(id) {
            None => String::new(),
            Some(Node::Process(process)) => format!("pid {}", process.key.pid),
            Some(Node::File(file)) if file.form == FileForm::Memory => {
                format!("the memory file {:?}", text(file.path))
            }
            Some(Node::File(file)) => text(file.path),
            Some(Node::Endpoint(place)) => match (place.ip, place.port, place.path) {
                (Some(ip), Some(port), _) => SocketAddr::new(ip, port).to_string(),
                (Some(ip), None, _) => ip.to_string(),
                (None, Some(port), _) => format!("port {port}"),
                (None, None, Some(path)) => text(path),
                (None, None, None) => "an unknown place".to_owned(),
            },
            Some(Node::Name(name)) => text(name.name),
            Some(Node::Account(account)) => account.name.map_or_else(
                || {
                    account
                        .uid
                        .map_or_else(|| "an account".to_owned(), |uid| format!("uid {uid}"))
                },
                text,
            ),
            Some(Node::Session(session)) => format!("session {}", session.session),
            Some(Node::Persistence(item)) => text(item.name),
            Some(Node::Module(module)) => text(module.name),
            Some(Node::Registry(key)) => text(key.path),
            Some(Node::Pipe(pipe)) => text(pipe.name),
            Some(Node::Host(host)) => text(host.name),
        }
    }

    /// From where the session of a process was opened, if another place is recorded: the address,
    /// with the account.
    pub(super) fn origin_of(&self, process: NodeId) -> Option<String> {
        let session = self.graph.session_of(process)?;
        let Node::Session(session) = self.graph.node(session)? else {
            return None;
        };
        let ip = session
            .remote_ip
            .filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
        let name = session
            .remote_host
            .filter(|name| !matches!(name.0, b"" | b"-"));
        let place = ip.map(|ip| ip.to_string()).or_else(|| name.map(text_of))?;
        let account = session
            .account
            .map_or_else(String::new, |account| format!(" as {}", text_of(account)));
        Some(format!("{place}{account}"))
    }

    /// The address of an endpoint.
    pub(super) fn address(&self, id: NodeId) -> Option<IpAddr> {
        let Node::Endpoint(endpoint) = self.graph.node(id)? else {
            return None;
        };
        endpoint.ip
    }

    /// The endpoints at an address.
    pub(super) fn places_of(&self, ip: IpAddr) -> &[NodeId] {
        self.places.get(&ip).map_or(&[], Vec::as_slice)
    }

    /// Whether an address is one of a recorded host's own. It is followed by flows to the very
    /// process at their other end, and never as an address.
    pub(super) fn is_own_address(&self, ip: IpAddr) -> bool {
        self.own.contains(&ip) || self.graph.is_recorded_address(ip)
    }

    /// A moment of a node's host, to be compared with those of other hosts.
    pub(super) fn even_us(&self, node: NodeId, us: i64) -> i64 {
        self.graph.even_us(node, us)
    }

    /// All paths that a file had, the last one first.
    pub(super) fn paths(&self, id: NodeId) -> Vec<String> {
        let mut paths: Vec<String> = Vec::new();
        let last = self
            .graph
            .file(id)
            .map(|file| file.path.lossy().into_owned());
        let others = self
            .graph
            .aliases(id)
            .map(|alias| alias.path.lossy().into_owned());
        for path in last.into_iter().chain(others) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        paths
    }

    /// Whether a file, changed, would let someone open a session like this one: the account's
    /// authorized keys, the table of accounts, the login program's configuration.
    pub(super) fn lets_in(&self, thing: NodeId, session: &ProcessNode<'_>) -> bool {
        let Some(file) = self.graph.file(thing) else {
            return false;
        };
        if file.host != session.host {
            return false;
        }
        let path = file.path.lossy();
        let mechanism = self
            .knowledge
            .place(Place::Persistence, &path)
            .map(|note| note.reason);
        match mechanism {
            Some("authorized_key") => {
                // The home of a session is where it starts, or bears the account's name.
                let home = path.split("/.ssh/").next().unwrap_or("");
                let at_home = session.cwd.is_some_and(|cwd| cwd.lossy() == home);
                let by_name = session
                    .account
                    .is_some_and(|name| base_name(home) == name.lossy());
                at_home || by_name || path.starts_with("/etc/ssh/")
            }
            Some("account" | "sshd_config" | "pam") => true,
            _ => false,
        }
    }

    /// Whether a file is the script that an interpreter was told to run: its first argument.
    pub(super) fn is_script_of(&self, file: NodeId, process: NodeId) -> bool {
        let Some(facts) = self.process(process) else {
            return false;
        };
        if !self
            .roles(process)
            .any(&[Role::Shell, Role::Interpreter, Role::Loader])
        {
            return false;
        }
        if facts.args.is_none() {
            return self.is_loaded_by_name(file, process);
        }
        let first = facts
            .args
            .and_then(|args| args.iter().nth(1).map(|arg| arg.lossy().into_owned()));
        first.is_some_and(|first| {
            !first.starts_with('-')
                && self
                    .paths(file)
                    .iter()
                    .any(|path| base_name(path) == base_name(&first))
        })
    }

    /// Whether a process is a person's browser or the like, from where programs are installed: that
    /// it writes what was fetched is its work.
    pub(super) fn brings_files(&self, process: NodeId) -> bool {
        let image = self.process(process).and_then(|process| process.image);
        self.roles(process).has(Role::Browser)
            && image.is_some_and(|image| self.knowledge.is(Place::Installed, &image.lossy()))
    }

    /// Whether the program of a process stands outside of where programs are installed, and was
    /// written by another process since recording began.
    pub(super) fn runs_brought_program(&self, process: NodeId) -> bool {
        let Some(start_us) = self.process(process).map(|facts| facts.start_us) else {
            return false;
        };
        let brought = |file: NodeId| {
            let path = self
                .graph
                .file(file)
                .map(|file| file.path.lossy().into_owned());
            let outside = path.is_some_and(|path| !self.knowledge.is(Place::Installed, &path));
            outside
                && self.incoming(file).any(|edge| {
                    matches!(edge.verb, Verb::Created | Verb::Wrote | Verb::Renamed)
                        && edge.from != process
                        && edge.first_us <= start_us
                        && !self.roles(edge.from).has(Role::BuildTool)
                })
        };
        let mut programs = self
            .incoming(process)
            .filter(|edge| edge.verb == Verb::Executed);
        programs.any(|edge| brought(edge.from))
    }

    /// Whether the script that an interpreter was told to run, and nothing else, stands among the
    /// programs of the system and was not written since recording began.
    pub(super) fn runs_system_script(&self, process: NodeId) -> bool {
        let Some(told) = self.told(process) else {
            return false;
        };
        let mut words = told
            .split_whitespace()
            .filter(|word| !word.starts_with('/'));
        let script = words.next().map(|word| word.trim_matches('"'));
        let alone = words.next().is_none();
        let stands = |path: &str| path.contains('\\') && self.knowledge.is(Place::Installed, path);
        let written = self
            .incoming(process)
            .any(|edge| edge.verb == Verb::Read && edge.ground == Ground::Arguments);
        alone && script.is_some_and(stands) && !written
    }

    /// Whether the one text of a command line names a file that holds a program or a script.
    fn is_loaded_by_name(&self, file: NodeId, process: NodeId) -> bool {
        let named = self.incoming(process).any(|edge| {
            edge.from == file && edge.verb == Verb::Read && edge.ground == Ground::Arguments
        });
        named
            && self.paths(file).iter().any(|path| {
                let end = path
                    .rsplit_once('.')
                    .map(|(_, end)| end.to_ascii_lowercase());
                end.is_some_and(|end| RUN_BY_NAME.contains(&end.as_str()))
            })
    }

    /// Whether a job is first seen after a moment, and had not been seen for as long before it.
    pub(super) fn is_new_work(&self, job: NodeId, since_us: i64) -> bool {
        let Some(facts) = self.process(job) else {
            return false;
        };
        let (image, told) = (facts.image, self.told(job));
        let same = |other: NodeId| {
            self.process(other).is_some_and(|process| {
                process.host == facts.host
                    && process.start_us < since_us
                    && process.image == image
                    && self.told(other) == told
            })
        };
        let recorded_us = self.recorded_us.get(&facts.host);
        let watched = since_us.saturating_sub(recorded_us.copied().unwrap_or(i64::MAX));
        let took = facts.start_us.saturating_sub(since_us);
        took >= 0 && took <= watched && !self.graph.nodes().any(same)
    }

    /// How rare it is in this evidence that the program of the one starts the program of the
    /// other: 1 for once, nearer to 0 the more often.
    pub(super) fn rarity_of_start(&self, parent: NodeId, child: NodeId) -> f64 {
        let name = |id| self.facts_of(id).and_then(|facts| facts.name);
        let (Some(parent), Some(child)) = (name(parent), name(child)) else {
            return 1.0;
        };
        let seen = self.pairs.get(&(parent, child)).copied().unwrap_or(1);
        1.0 / f64::from(seen.max(1)).sqrt()
    }
}

/// Ends of names of files that hold programs or scripts on Windows.
const RUN_BY_NAME: [&str; 23] = [
    "exe", "dll", "ocx", "cpl", "scr", "com", "pif", "msi", "ps1", "psm1", "bat", "cmd", "vbs",
    "vbe", "js", "jse", "wsf", "hta", "sct", "inf", "xml", "csproj", "chm",
];

/// Whether an edge says where a process comes from.
pub(super) const fn is_creation(verb: Verb) -> bool {
    matches!(verb, Verb::Forked | Verb::Started | Verb::Became)
}

/// What stands behind the program in a command line of one text, which may be in quotes.
fn behind_program(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map(|(_, rest)| rest),
        None => line.split_once(' ').map(|(_, rest)| rest),
    };
    rest.map(str::trim)
}

fn text_of(text: Text<'_>) -> String {
    text_from_bytes(text.0)
}

/// The path of a process's program for the table, as text.
pub(super) fn image_of(process: &ProcessNode<'_>) -> Option<String> {
    process.image.map(|image| image.lossy().into_owned())
}

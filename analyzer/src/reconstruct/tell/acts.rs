//! Acts: what the processes of an incident did, one for each thing they did it to, in order of time.

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::{Detection, Level, Tactic};
use crate::graph::{Edge, EdgeId, Ground, NodeId, NodeKind, Verb};
use crate::reconstruct::groups::Group;
use crate::reconstruct::knowledge::{Place, Role, folder};
use crate::reconstruct::malice::Taken;
use crate::reconstruct::world::{World, is_creation};
use crate::reference::EventRef;

/// The most records that an act cites.
const EVENTS_MAX: usize = 4;

/// The most acts of one incident that become steps; what is beyond is counted.
pub(super) const ACTS_MAX: usize = 4_000;

/// Bytes from which on a connection after something was packed is called a departure of data,
/// though nothing says that it was the packed file: less is talk.
const DEPARTURE_BYTES: u64 = 65_536;

/// What kind of act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    /// Started a process, or went on as another program.
    Starts,
    /// Made or changed a file.
    Writes,
    /// Gave a file another name.
    Renames,
    /// Gave a file a further name.
    Links,
    /// Changed mode, owner or times.
    ChangesAttributes,
    /// Removed a file.
    Deletes,
    /// Read a watched file.
    Reads,
    /// Opened a connection.
    Connects,
    /// Took a connection.
    Accepts,
    /// Waited for connections.
    Listens,
    /// Asked for a name.
    Resolves,
    /// Wrote into, traced or read another process.
    Touches,
    /// Took on another identity, or was refused.
    Switches,
    /// Configured a service, a task, a registry value.
    Configures,
    /// Loaded code into the kernel, changed mounts, cleared a log.
    ChangesSystem,
    /// Tried something and was refused.
    Tries,
}

impl Deed {
    /// The word of the report.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Starts => "starts",
            Self::Writes => "writes",
            Self::Renames => "renames",
            Self::Links => "links",
            Self::ChangesAttributes => "changes_attributes",
            Self::Deletes => "deletes",
            Self::Reads => "reads",
            Self::Connects => "connects",
            Self::Accepts => "accepts",
            Self::Listens => "listens",
            Self::Resolves => "resolves",
            Self::Touches => "touches",
            Self::Switches => "switches",
            Self::Configures => "configures",
            Self::ChangesSystem => "changes_system",
            Self::Tries => "tries",
        }
    }

    const fn of(verb: Verb) -> Option<Self> {
        Some(match verb {
            Verb::Forked | Verb::Started | Verb::Became => Self::Starts,
            Verb::Created | Verb::Wrote => Self::Writes,
            Verb::Renamed => Self::Renames,
            Verb::Linked => Self::Links,
            Verb::ChangedAttributes => Self::ChangesAttributes,
            Verb::Deleted => Self::Deletes,
            Verb::Read => Self::Reads,
            Verb::Connected | Verb::Sent | Verb::Received => Self::Connects,
            Verb::Accepted => Self::Accepts,
            Verb::Listened => Self::Listens,
            Verb::Resolved => Self::Resolves,
            Verb::Traced | Verb::Injected | Verb::MemoryRead | Verb::Opened => Self::Touches,
            Verb::SwitchedTo | Verb::FailedLogon => Self::Switches,
            Verb::Configured => Self::Configures,
            Verb::Loaded | Verb::Changed => Self::ChangesSystem,
            Verb::Refused => Self::Tries,
            Verb::Mapped
            | Verb::Executed
            | Verb::Triggered
            | Verb::Asked
            | Verb::LoggedOn
            | Verb::Copied => return None,
        })
    }
}

/// Something that a process did.
#[derive(Clone, Debug)]
pub(super) struct Act {
    /// When, the first time.
    pub(super) us: i64,
    /// The last time.
    pub(super) last_us: i64,
    /// The process that did it.
    pub(super) actor: NodeId,
    /// What.
    pub(super) deed: Deed,
    /// To what.
    pub(super) object: NodeId,
    /// Its edges.
    pub(super) edges: Vec<EdgeId>,
    /// How often.
    pub(super) count: u64,
    /// Bytes that went out.
    pub(super) sent: Option<u64>,
    /// Bytes that came in.
    pub(super) received: Option<u64>,
    /// The records, the first ones.
    pub(super) events: Vec<EventRef>,
    /// The detections on it, by their place in the list.
    pub(super) detections: Vec<usize>,
    /// Techniques and tactics: of the rules, else as documented for such an act.
    pub(super) techniques: Vec<String>,
    /// The tactics.
    pub(super) tactics: Vec<Tactic>,
}

/// Which detections stand on which edges, and on which processes without any.
pub(in crate::reconstruct) struct Labels {
    edges: BTreeMap<EdgeId, BTreeSet<usize>>,
    actors: BTreeMap<NodeId, BTreeSet<usize>>,
}

impl Labels {
    /// Lays every detection that counts upon the edges of its records.
    pub(in crate::reconstruct) fn new(
        world: &World<'_>,
        detections: &[Detection<EventRef>],
    ) -> Self {
        let mut labels = Self {
            edges: BTreeMap::new(),
            actors: BTreeMap::new(),
        };
        let counting =
            |detection: &Detection<EventRef>| detection.rule.level > Level::Informational;
        for (index, detection) in detections
            .iter()
            .enumerate()
            .filter(|(_, detection)| counting(detection))
        {
            for &event in &detection.events {
                let mut any = false;
                for edge in world.graph.edges_at(event) {
                    labels.edges.entry(edge).or_default().insert(index);
                    any = true;
                }
                if let Some(actor) = world.graph.actor_at(event).filter(|_| !any) {
                    labels.actors.entry(actor).or_default().insert(index);
                }
            }
        }
        labels
    }
}

/// Collects the acts of an incident's malicious processes, and of the servers that started them.
pub(super) struct Collector<'w, 'g> {
    world: &'w World<'g>,
    group: &'w Group,
    labels: &'w Labels,
    detections: &'w [Detection<EventRef>],
    acts: BTreeMap<(NodeId, Deed, NodeId), Act>,
}

/// All acts in order of time, with what servers wrote for the intrusion to run.
pub(super) fn collect<'w, 'g>(
    world: &'w World<'g>,
    group: &'w Group,
    labels: &'w Labels,
    detections: &'w [Detection<EventRef>],
    uploaders: &BTreeSet<NodeId>,
) -> Vec<Act> {
    let mut collector = Collector {
        world,
        group,
        labels,
        detections,
        acts: BTreeMap::new(),
    };
    for &process in group.malice.processes.keys() {
        collector.born(process);
        let outgoing: Vec<Edge> = world
            .outgoing(process)
            .filter(|edge| !is_creation(edge.verb))
            .filter(|edge| edge.ground != Ground::SameFlow || edge.verb == Verb::Connected)
            .collect();
        for edge in outgoing {
            collector.add(process, edge.to, &edge);
        }
        let incoming: Vec<Edge> = world
            .incoming(process)
            .filter(|edge| !is_creation(edge.verb) && edge.ground != Ground::SameFlow)
            .collect();
        // What came in by a flow is told by the place that it came from.
        for edge in incoming {
            collector.add(process, edge.from, &edge);
        }
    }
    for &process in uploaders {
        collector.served(process);
    }
    for (&process, since) in &group.malice.compromised {
        if matches!(since.how, Taken::Injected(_)) {
            collector.taken_over(process, since.us);
        }
    }
    let mut acts: Vec<Act> = collector.acts.into_values().collect();
    // Hosts' clocks differ: their acts are put in order by one of them.
    acts.sort_by_cached_key(|act| {
        let us = world.even_us(act.actor, act.us);
        (us, act.deed, act.actor, act.object)
    });
    departures(world, &mut acts);
    acts
}

impl Collector<'_, '_> {
    /// The start of a malicious process: its creator's act.
    fn born(&mut self, process: NodeId) {
        let Some(facts) = self.world.process(process) else {
            return;
        };
        let creation = self
            .world
            .incoming(process)
            .find(|edge| is_creation(edge.verb));
        if self.world.is_copy(process)
            && creation.is_some_and(|edge| !self.labels.edges.contains_key(&edge.id))
        {
            return;
        }
        let actor = self.world.cause(process).unwrap_or(process);
        let mut edges: Vec<EdgeId> = creation.map(|edge| edge.id).into_iter().collect();
        edges.extend(
            self.world
                .incoming(process)
                .filter(|edge| edge.verb == Verb::Executed)
                .map(|edge| edge.id),
        );
        let mut detections: BTreeSet<usize> = edges
            .iter()
            .filter_map(|edge| self.labels.edges.get(edge))
            .flatten()
            .copied()
            .collect();
        detections.extend(self.labels.actors.get(&process).into_iter().flatten());
        let mut act = Act {
            us: facts.start_us,
            last_us: facts.start_us,
            actor,
            deed: Deed::Starts,
            object: process,
            edges,
            count: 1,
            sent: None,
            received: None,
            events: facts.start_ref.into_iter().collect(),
            detections: detections.into_iter().collect(),
            techniques: Vec::new(),
            tactics: Vec::new(),
        };
        if act.events.is_empty() {
            act.events.extend(creation.map(|edge| edge.first));
        }
        self.name_techniques(&mut act);
        self.acts.insert((actor, Deed::Starts, process), act);
    }

    /// What a process did since it was written into, as far as a rule fired on it or it reached
    /// whom the intrusion reached: the rest may be its own.
    fn taken_over(&mut self, process: NodeId, since_us: i64) {
        let later: Vec<Edge> = self
            .world
            .outgoing(process)
            .filter(|edge| !is_creation(edge.verb) && edge.last_us >= since_us)
            .collect();
        for mut edge in later {
            let address = self.world.address(edge.to);
            let intruders = address.is_some_and(|ip| self.group.malice.remotes.contains_key(&ip));
            let keeper =
                edge.verb == Verb::Opened && self.world.roles(edge.to).has(Role::Credentials);
            if intruders || keeper || self.labels.edges.contains_key(&edge.id) {
                if edge.first_us < since_us {
                    // Of a merged edge only its end is known to lie behind.
                    (edge.first_us, edge.first) = (edge.last_us, edge.last);
                }
                self.add(process, edge.to, &edge);
            }
        }
    }

    /// What a server wrote and the intrusion then ran.
    fn served(&mut self, process: NodeId) {
        let wrote = self
            .world
            .outgoing(process)
            .filter(|edge| matches!(edge.verb, Verb::Created | Verb::Wrote));
        let wrote: Vec<Edge> = wrote.collect();
        for edge in wrote {
            let run = self.world.outgoing(edge.to).any(|run| {
                let runs = run.verb == Verb::Executed || self.world.is_script_of(edge.to, run.to);
                runs && self.group.malice.processes.contains_key(&run.to)
            });
            if run {
                self.add(process, edge.to, &edge);
            }
        }
    }

    fn add(&mut self, actor: NodeId, object: NodeId, edge: &Edge) {
        let Some(deed) = Deed::of(edge.verb) else {
            return;
        };
        let labels = self.labels.edges.get(&edge.id);
        if labels.is_none() && !self.is_telling(deed, edge.verb, object) {
            return;
        }
        let mut act = Act {
            us: edge.first_us,
            last_us: edge.last_us,
            actor,
            deed,
            object,
            edges: vec![edge.id],
            count: u64::from(edge.count),
            sent: edge.bytes.filter(|_| edge.verb == Verb::Sent),
            received: edge.bytes.filter(|_| edge.verb == Verb::Received),
            events: vec![edge.first],
            detections: labels.into_iter().flatten().copied().collect(),
            techniques: Vec::new(),
            tactics: Vec::new(),
        };
        self.name_techniques(&mut act);
        match self.acts.get_mut(&(actor, deed, object)) {
            Some(known) => merge(known, act),
            None => {
                self.acts.insert((actor, deed, object), act);
            }
        }
    }

    /// Whether an act is worth a sentence when no rule fired on it. Writing to a device, reading
    /// what everyone reads and asking for a process's own files are not.
    fn is_telling(&self, deed: Deed, verb: Verb, object: NodeId) -> bool {
        let world = self.world;
        match world.graph.kind(object) {
            Some(NodeKind::File) => {
                let path = world.label(object);
                let device = path.starts_with("/dev/") && !path.starts_with("/dev/shm/")
                    || path.starts_with("/proc/")
                    || path.starts_with("/sys/");
                let common = deed == Deed::Reads
                    && world.knowledge.is(Place::Common, &path)
                    && !world.knowledge.is(Place::Credential, &path);
                !device && !common && !self.is_byproduct(object, &path)
            }
            // Whoever lists processes opens them all; what keeps the credentials is another matter.
            Some(NodeKind::Process) if verb == Verb::Opened => {
                world.roles(object).has(Role::Credentials)
            }
            Some(NodeKind::Process) => deed != Deed::Connects,
            Some(NodeKind::Registry) => {
                let path = world.label(object);
                world.knowledge.is(Place::Persistence, &path)
            }
            Some(NodeKind::Pipe) => verb == Verb::Created,
            Some(
                NodeKind::Endpoint
                | NodeKind::Name
                | NodeKind::Account
                | NodeKind::Session
                | NodeKind::Persistence
                | NodeKind::Module
                | NodeKind::Host,
            ) => true,
            None => false,
        }
    }

    /// Whether a file is written by the system's libraries for any program, and was not run.
    fn is_byproduct(&self, file: NodeId, path: &str) -> bool {
        let run = |edge: Edge| matches!(edge.verb, Verb::Executed | Verb::Mapped);
        self.world.knowledge.is(Place::Byproduct, path) && !self.world.outgoing(file).any(run)
    }

    fn name_techniques(&self, act: &mut Act) {
        let mut techniques: BTreeSet<String> = BTreeSet::new();
        let mut tactics: BTreeSet<Tactic> = BTreeSet::new();
        for detection in act
            .detections
            .iter()
            .filter_map(|&index| self.detections.get(index))
        {
            techniques.extend(detection.rule.techniques.iter().cloned());
            tactics.extend(detection.rule.tactics.iter().copied());
        }
        if techniques.is_empty()
            && let Some((technique, tactic)) = self.documented(act)
        {
            techniques.insert(technique.to_owned());
            tactics.insert(tactic);
        }
        act.techniques = techniques.into_iter().collect();
        act.tactics = tactics.into_iter().collect();
    }

    /// What such an act is by documentation, where no rule named it.
    fn documented(&self, act: &Act) -> Option<(&'static str, Tactic)> {
        let (world, knowledge) = (self.world, &self.world.knowledge);
        let path = world.label(act.object);
        let note = |place| {
            knowledge
                .place(place, &path)
                .and_then(|note| note.technique)
        };
        match act.deed {
            Deed::Starts => self.documented_start(act.object),
            Deed::Writes | Deed::Renames | Deed::Links => note(Place::Persistence)
                .map(|technique| (technique, Tactic::Persistence))
                .or_else(|| {
                    note(Place::Trace)
                        .filter(|_| self.is_wiped(act, &path))
                        .map(|technique| (technique, Tactic::Stealth))
                }),
            Deed::ChangesAttributes => {
                let runs = world
                    .graph
                    .file(act.object)
                    .and_then(|file| file.mode)
                    .is_some_and(|mode| mode & 0o111 != 0);
                runs.then_some(("T1222.002", Tactic::DefenseImpairment))
            }
            Deed::Deletes => {
                let own = self.group.malice.taints.contains_key(&act.object);
                note(Place::Trace)
                    .or_else(|| own.then_some("T1070.004"))
                    .map(|technique| (technique, Tactic::Stealth))
            }
            Deed::Reads => {
                note(Place::Credential).map(|technique| (technique, Tactic::CredentialAccess))
            }
            Deed::Connects => Some(("T1071", Tactic::CommandAndControl))
                .filter(|_| world.address(act.object).is_some()),
            Deed::Touches => Some(("T1055", Tactic::PrivilegeEscalation)),
            Deed::Switches => Some(("T1078", Tactic::PrivilegeEscalation)),
            Deed::Configures => Some(("T1543", Tactic::Persistence)),
            Deed::ChangesSystem | Deed::Accepts | Deed::Listens | Deed::Resolves | Deed::Tries => {
                None
            }
        }
    }

    /// Logs and histories are written all day: by their own programs, and by whatever inherited
    /// one as its output. Emptying one, or being told of it by name, is something else.
    fn is_wiped(&self, act: &Act, path: &str) -> bool {
        let world = self.world;
        let empty = world.graph.file(act.object).and_then(|file| file.size) == Some(0);
        empty
            || world
                .told(act.actor)
                .is_some_and(|told| told.contains(path))
    }

    fn documented_start(&self, process: NodeId) -> Option<(&'static str, Tactic)> {
        let world = self.world;
        let facts = world.process(process)?;
        let image = facts.image.map(|image| image.lossy().into_owned())?;
        let roles = world.roles(process);
        let note = |role| {
            world
                .knowledge
                .note(role, &image)
                .and_then(|note| note.technique)
        };
        let previous = world.cause(process).and_then(|cause| world.process(cause));
        let gained = previous.is_some_and(|previous| {
            previous.euid.is_some_and(|euid| euid != 0) && facts.euid == Some(0)
        });
        if gained {
            Some(("T1548", Tactic::PrivilegeEscalation))
        } else if roles.has(Role::Discovery) {
            note(Role::Discovery).map(|technique| (technique, Tactic::Discovery))
        } else if roles.has(Role::Archiver) {
            note(Role::Archiver).map(|technique| (technique, Tactic::Collection))
        } else if roles.has(Role::Transfer) {
            note(Role::Transfer).map(|technique| (technique, Tactic::CommandAndControl))
        } else if roles.has(Role::Shell) {
            Some(("T1059.004", Tactic::Execution))
        } else if world.knowledge.is(Place::Temporary, &image) || folder(&image).contains("/.") {
            Some(("T1204.002", Tactic::Execution))
        } else {
            None
        }
    }
}

fn merge(known: &mut Act, other: Act) {
    known.us = known.us.min(other.us);
    known.last_us = known.last_us.max(other.last_us);
    known.count = known.count.max(other.count);
    known.sent = known.sent.or(other.sent);
    known.received = known.received.or(other.received);
    known.edges.extend(other.edges);
    known.events.extend(other.events);
    known.events.sort_unstable();
    known.events.dedup();
    known.events.truncate(EVENTS_MAX);
    known.detections.extend(other.detections);
    known.detections.sort_unstable();
    known.detections.dedup();
    for technique in other.techniques {
        if !known.techniques.contains(&technique) {
            known.techniques.push(technique);
        }
    }
    for tactic in other.tactics {
        if !known.tactics.contains(&tactic) {
            known.tactics.push(tactic);
        }
    }
}

/// A connection that was opened after something was packed and carries more out than in is a
/// departure of data, when the process was told of the packed file or much went out.
fn departures(world: &World<'_>, acts: &mut [Act]) {
    let packed: Vec<(i64, String)> = acts
        .iter()
        .filter(|act| act.deed == Deed::Writes)
        .map(|act| (act.us, world.label(act.object)))
        .filter(|(_, path)| world.knowledge.is(Place::Archive, path))
        .collect();
    for act in acts.iter_mut().filter(|act| act.deed == Deed::Connects) {
        let out = act.sent.unwrap_or(0);
        let told = world.told(act.actor).unwrap_or_default();
        let named = |(us, path): &(i64, String)| *us <= act.us && told.contains(path.as_str());
        let packed_before = packed.iter().any(|(us, _)| *us <= act.us);
        let much = packed_before && out >= DEPARTURE_BYTES;
        if out > act.received.unwrap_or(0) && (packed.iter().any(named) || much) {
            let technique = "T1048".to_owned();
            if !act
                .techniques
                .iter()
                .any(|known| known.starts_with(&technique))
            {
                act.techniques.push(technique);
            }
            act.tactics.retain(|tactic| {
                *tactic != Tactic::Exfiltration && *tactic != Tactic::CommandAndControl
            });
            act.tactics.insert(0, Tactic::Exfiltration);
        }
    }
}

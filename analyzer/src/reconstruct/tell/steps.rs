//! Steps: each act as one sentence with its techniques, rules and records.

use saigen_schemas::report::{Grade, Moment, Step};

use crate::detect::Detection;
use crate::graph::{Node, NodeId, Verb};
use crate::reconstruct::groups::Group;
use crate::reconstruct::malice::{Ground, Why};
use crate::reconstruct::requests::Request;
use crate::reconstruct::tell::acts::{Act, Deed};
use crate::reconstruct::tell::cast::{Cast, cited, endpoint, user_of};
use crate::reconstruct::tell::objects::Objects;
use crate::reconstruct::tell::words;
use crate::reconstruct::world::Station;
use crate::reference::EventRef;

/// The most records that a step cites.
const EVENTS_MAX: usize = 4;

/// A request that was taken longer before than this is named without the span: the record may
/// bear the moment at which the server began to wait.
const SPAN_MAX_US: i64 = 5_000_000;

/// Tells acts as steps.
pub(super) struct Steps<'a, 'w, 'g> {
    pub(super) cast: &'a Cast<'w, 'g>,
    pub(super) group: &'a Group,
    pub(super) objects: &'a Objects,
    pub(super) detections: &'a [Detection<EventRef>],
}

impl Steps<'_, '_, '_> {
    /// The steps of a list of acts, in their order.
    pub(super) fn tell(&self, acts: &[Act]) -> Vec<Step> {
        acts.iter().map(|act| self.step(act)).collect()
    }

    fn step(&self, act: &Act) -> Step {
        let mut rules: Vec<String> = Vec::new();
        for detection in act
            .detections
            .iter()
            .filter_map(|&index| self.detections.get(index))
        {
            if !rules.contains(&detection.rule.id) {
                rules.push(detection.rule.id.clone());
            }
        }
        let actor = self.cast.id(act.actor).or_else(|| self.cast.id(act.object));
        let mut events = act.events.clone();
        let request = self
            .group
            .malice
            .requests
            .get(&act.object)
            .filter(|_| act.deed == Deed::Starts);
        events.extend(request.into_iter().flat_map(Request::records));
        let (link, grade) = self.link(act);
        Step {
            time: Moment::from_us(act.us),
            host: self.cast.host(act.actor),
            tactics: act
                .tactics
                .iter()
                .map(|tactic| tactic.name().to_owned())
                .collect(),
            techniques: act.techniques.clone(),
            actor: actor.unwrap_or_default(),
            verb: act.deed.word().to_owned(),
            object: self.cast.id(act.object).or_else(|| self.objects.id_of(act)),
            grade,
            text: format!("{}{link}.", self.text(act)),
            rules,
            evidence: cited(&events, EVENTS_MAX),
        }
    }

    /// What ties a start to the intrusion, for the timeline.
    pub(super) fn tie(&self, act: &Act) -> String {
        self.link(act).0
    }

    /// What ties a start to the intrusion when its parent does not, and how well that is founded.
    fn link(&self, act: &Act) -> (String, Grade) {
        if act.deed != Deed::Starts {
            return (String::new(), Grade::Proven);
        }
        let Some(why) = self.group.malice.processes.get(&act.object) else {
            return (String::new(), Grade::Proven);
        };
        let text = self.link_text(act, why);
        if let Some(request) = self.group.malice.requests.get(&act.object) {
            // That it was started is recorded; that it was for this request only where no other
            // connection can be meant.
            let grade = if request.alone {
                Grade::Proven
            } else {
                Grade::Inferred
            };
            return (text, grade);
        }
        let grade = if text.is_empty() {
            Grade::Proven
        } else {
            why.grade
        };
        (text, grade)
    }

    fn link_text(&self, act: &Act, why: &Why) -> String {
        if let Some(request) = self.group.malice.requests.get(&act.object) {
            let who = endpoint(&request.ip.to_string(), request.port);
            let peer = request.peer.map_or_else(String::new, |peer| {
                let (short, host) = (self.cast.short(peer.process), self.cast.host(peer.process));
                format!(", which {short} on {host} had opened")
            });
            if let Some(front) = request.front {
                let (short, host) = (self.cast.short(front.server), self.cast.host(front.server));
                let who = endpoint(&front.ip.to_string(), front.port);
                return format!(" for a connection from {who}, which {short} on {host} passed on");
            }
            return if request.before_us <= SPAN_MAX_US {
                format!(
                    " {} after it accepted a connection from {who}{peer}",
                    words::span(request.before_us)
                )
            } else {
                format!("; the last connection that it had accepted was from {who}{peer}")
            };
        }
        let thing = why.by.map(|by| self.cast.path(by)).unwrap_or_default();
        let from = why
            .from
            .map(|from| self.cast.short(from))
            .unwrap_or_default();
        match why.ground {
            Ground::Ran => format!(", which runs {thing}, written by {from}"),
            Ground::Left => format!(", as {thing} says, which {from} wrote"),
            Ground::Named => format!(", which names {thing}, written by {from}"),
            Ground::Reached => why.ip.map_or_else(String::new, |ip| {
                format!(", which reached {ip} as the intrusion did")
            }),
            Ground::Opened => format!(", a session that {thing} lets in since {from} changed it"),
            Ground::SameAddress => why
                .ip
                .map_or_else(String::new, |ip| format!(", a session from {ip}")),
            Ground::Injected => format!(" after {from} had written into it"),
            Ground::Crossed => format!(", for a connection that {from} had opened"),
            Ground::Asked => format!(", as {from} had asked"),
            Ground::Found
            | Ground::Stages
            | Ground::Brought
            | Ground::Child
            | Ground::Told
            | Ground::Served => String::new(),
        }
    }

    fn text(&self, act: &Act) -> String {
        if act.deed == Deed::Starts && act.actor == act.object {
            return format!("{}; who started it was not recorded", self.ran(act));
        }
        format!("{} {}", self.cast.name(act.actor), self.predicate(act))
    }

    /// What the actor of an act did, without naming the actor.
    pub(super) fn predicate(&self, act: &Act) -> String {
        let times = if act.count > 1 {
            format!(", {} times", act.count)
        } else {
            String::new()
        };
        let path = self.cast.path(act.object);
        match act.deed {
            Deed::Starts => self.start(act),
            Deed::Writes => format!("wrote {path}{}{times}", self.size(act.object)),
            Deed::Renames => format!("gave the name {path} to {}", self.old_name(act.object)),
            Deed::Links => format!("made the link {path}"),
            Deed::ChangesAttributes => {
                format!("changed {} of {path}{times}", self.mode(act.object))
            }
            Deed::Deletes => format!("deleted {path}{times}"),
            Deed::Reads => format!("read {path}{times}"),
            Deed::Connects => format!("connected to {}{}{times}", self.far(act), self.carried(act)),
            Deed::Accepts => format!("accepted a connection from {path}{times}"),
            Deed::Listens => format!("waited for connections at {path}"),
            Deed::Resolves => format!("asked for the name {path}{times}"),
            Deed::Touches => format!("{} {}", self.touch(act), self.other(act.object)),
            Deed::Switches => format!("{} {path}{times}", self.switched(act)),
            Deed::Configures => format!("configured {path}{times}"),
            Deed::Tries => format!("tried {} and was refused{times}", self.other(act.object)),
            Deed::ChangesSystem => format!("changed the system: {path}{times}"),
        }
    }

    fn ran(&self, act: &Act) -> String {
        let pid = self
            .cast
            .world
            .process(act.object)
            .map_or(0, |process| process.key.pid);
        format!("{} (pid {pid}) ran", self.cast.command(act.object))
    }

    fn start(&self, act: &Act) -> String {
        let world = self.cast.world;
        if act.actor == act.object {
            return "ran; who started it was not recorded".to_owned();
        }
        let command = self.cast.command(act.object);
        let process = world.process(act.object);
        let pid = process.map_or(0, |process| process.key.pid);
        let same = process.is_some_and(|process| process.previous == Some(act.actor));
        let users = [act.actor, act.object]
            .map(|id| world.process(id).and_then(|process| user_of(&process)));
        let as_user = match users {
            [before, Some(after)] if before.as_ref() != Some(&after) => format!(" as {after}"),
            [_, Some(_) | None] => String::new(),
        };
        if world.is_copy(act.object) {
            return format!("made a copy of itself (pid {pid}){as_user}");
        }
        let verb = if same { "went on as" } else { "started" };
        let pid = if same {
            String::new()
        } else {
            format!(" (pid {pid})")
        };
        let job = match world.station(act.actor) {
            Station::Scheduler => " as a job",
            Station::Login => " for a session",
            Station::Ordinary
            | Station::Service
            | Station::Init
            | Station::Desktop
            | Station::Broker => "",
        };
        format!("{verb} {command}{pid}{as_user}{job}")
    }

    fn switched(&self, act: &Act) -> &'static str {
        match self.first_verb(act) {
            Some(Verb::FailedLogon) => "was refused as",
            _ => "took on the identity",
        }
    }

    fn first_verb(&self, act: &Act) -> Option<Verb> {
        let edges = act
            .edges
            .iter()
            .filter_map(|&edge| self.cast.world.graph.edge(edge));
        edges.map(|edge| edge.verb).min()
    }

    fn size(&self, file: NodeId) -> String {
        let size = self.cast.world.graph.file(file).and_then(|file| file.size);
        size.map_or_else(String::new, |size| format!(" ({})", words::size(size)))
    }

    fn old_name(&self, file: NodeId) -> String {
        let paths = self.cast.world.paths(file);
        paths.get(1).cloned().unwrap_or_else(|| "a file".to_owned())
    }

    fn mode(&self, file: NodeId) -> String {
        let mode = self.cast.world.graph.file(file).and_then(|file| file.mode);
        mode.map_or_else(
            || "attributes".to_owned(),
            |mode| format!("the mode to {:04o}", mode & 0o7777),
        )
    }

    fn carried(&self, act: &Act) -> String {
        match (act.sent, act.received) {
            (Some(sent), Some(received)) => format!(
                ", sent {} and received {}",
                words::size(sent),
                words::size(received)
            ),
            (Some(sent), None) => format!(" and sent {}", words::size(sent)),
            (None, Some(received)) => format!(" and received {}", words::size(received)),
            (None, None) => String::new(),
        }
    }

    fn touch(&self, act: &Act) -> &'static str {
        match self.first_verb(act) {
            Some(Verb::Injected) => "wrote into the memory of",
            Some(Verb::MemoryRead) => "read the memory of",
            Some(Verb::Opened) => "opened",
            _ => "traced",
        }
    }

    /// What was connected to: a place, or the very process at the other end, and its host.
    fn far(&self, act: &Act) -> String {
        let (own, far) = (self.cast.host(act.actor), self.cast.host(act.object));
        let other = self.other(act.object);
        match self.cast.world.process(act.object) {
            Some(_) if own != far => format!("{other} on {far}"),
            Some(_) | None => other,
        }
    }

    fn other(&self, object: NodeId) -> String {
        match self.cast.world.graph.node(object) {
            Some(Node::Process(_)) => self.cast.name(object),
            _ => self.cast.path(object),
        }
    }
}

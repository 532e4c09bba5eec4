//! Forward: what a malicious process did, and what did its work later.
//!
//! Malice goes down to children and along what the intruder left: files that are run, places that
//! start things by themselves, processes that were written into. It never goes up to parents, nor
//! to whoever merely read a file. [`crate::reconstruct::reach`] takes it further, along addresses
//! and sessions, once an intrusion is certain enough.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use saigen_schemas::report::Grade;

use crate::graph::{Edge, Ground as EdgeGround, Node, NodeId, NodeKind, Verb};
use crate::reconstruct::activity::lifted;
use crate::reconstruct::crossed::Crossed;
use crate::reconstruct::knowledge::{Place, Role};
use crate::reconstruct::malice::{Ground, Made, Malice, Remote, Since, Taint, Taken, Why};
use crate::reconstruct::notes::{Notes, Reason};
use crate::reconstruct::world::{Station, World, is_creation};
use crate::reference::EventRef;

/// The most processes of one intrusion. A million children of one process are one act, and a page
/// shows some; what is beyond is counted.
pub(super) const PROCESSES_MAX: usize = 20_000;

/// A file that more processes run than this is a program of everyone, whoever wrote it: those
/// that run it are no longer called the intruder's own.
const RUNNERS_MAX: usize = 256;

/// Spreads one intrusion from its roots as far as records lead.
pub(super) struct Spread<'w, 'g> {
    world: &'w World<'g>,
    /// What is found.
    pub(super) malice: Malice,
    /// What is left out.
    pub(super) notes: Notes,
    /// Roots of activities in which something was found.
    suspects: &'w BTreeSet<NodeId>,
    crossed: &'w Crossed,
    queue: BTreeSet<(i64, NodeId)>,
    things: BTreeSet<(i64, NodeId)>,
}

impl<'w, 'g> Spread<'w, 'g> {
    /// Nothing found yet.
    pub(super) fn new(
        world: &'w World<'g>,
        suspects: &'w BTreeSet<NodeId>,
        crossed: &'w Crossed,
    ) -> Self {
        Self {
            world,
            crossed,
            suspects,
            malice: Malice::default(),
            notes: Notes::default(),
            queue: BTreeSet::new(),
            things: BTreeSet::new(),
        }
    }

    /// Adds a process with its ground; a process that is in already keeps its first ground.
    pub(super) fn add(&mut self, process: NodeId, why: Why) -> bool {
        if let Some(known) = self.malice.processes.get_mut(&process) {
            // What ties it to the rest of the intrusion says more than that something was found.
            if known.is_finding() && why.is_link() && why.from != Some(process) {
                *known = why;
            }
            return false;
        }
        if self.malice.processes.len() >= PROCESSES_MAX {
            self.notes.add(Reason::Budget, process, &why.events);
            return false;
        }
        let start = self
            .world
            .process(process)
            .map_or(i64::MAX, |process| process.start_us);
        self.malice.processes.insert(process, why);
        self.queue
            .insert((self.world.even_us(process, start), process));
        true
    }

    /// Goes on until nothing follows any more.
    pub(super) fn run(&mut self) {
        loop {
            if let Some((_, process)) = self.queue.pop_first() {
                self.follow(process, i64::MIN);
            } else if let Some((us, thing)) = self.things.pop_first() {
                self.follow_thing(thing, us);
            } else {
                return;
            }
        }
    }

    /// Follows what a process did from a moment on.
    fn follow(&mut self, process: NodeId, from_us: i64) {
        let mut edges: Vec<Edge> = self.world.graph.after(process, from_us).collect();
        edges.sort_by_key(|edge| (edge.first_us, edge.id));
        for edge in edges {
            match edge.verb {
                Verb::Forked | Verb::Started | Verb::Became => self.follow_child(process, &edge),
                Verb::Asked => self.follow_asked(process, &edge),
                Verb::Created | Verb::Wrote | Verb::Renamed | Verb::Linked | Verb::Configured => {
                    self.taint(process, &edge);
                }
                Verb::Injected | Verb::Traced => self.take_over(process, &edge),
                Verb::Connected | Verb::Sent => self.talk(process, edge.to, &edge),
                Verb::Read
                | Verb::Mapped
                | Verb::Executed
                | Verb::Deleted
                | Verb::ChangedAttributes
                | Verb::Accepted
                | Verb::Listened
                | Verb::Received
                | Verb::Resolved
                | Verb::MemoryRead
                | Verb::Opened
                | Verb::LoggedOn
                | Verb::FailedLogon
                | Verb::SwitchedTo
                | Verb::Triggered
                | Verb::Refused
                | Verb::Loaded
                | Verb::Copied
                | Verb::Changed => {}
            }
        }
        for (child, why) in self.crossed.by(process) {
            self.add(*child, why.clone());
        }
        for edge in self.world.incoming(process) {
            if matches!(edge.verb, Verb::Accepted | Verb::Received) && edge.last_us >= from_us {
                self.talk(process, edge.from, &edge);
            }
        }
    }

    /// A child is the intruder's, unless it is a service of the system that was only started
    /// anew: what it does from then on is its own.
    fn follow_child(&mut self, parent: NodeId, edge: &Edge) {
        let child = edge.to;
        let restarted = edge.verb != Verb::Forked && self.is_system_service(child);
        if restarted {
            self.notes
                .add(Reason::RestartedService, child, &[edge.first]);
            return;
        }
        let why = Why::new(Ground::Child, Some(parent), Grade::Proven, vec![edge.first]);
        self.add(child, why);
    }

    /// What a broker started because a malicious process asked it to.
    fn follow_asked(&mut self, asker: NodeId, edge: &Edge) {
        let events = vec![edge.first, edge.last];
        let why = Why::new(Ground::Asked, Some(asker), Grade::Inferred, events);
        self.add(edge.to, why);
    }

    /// A program of the system that is made to run on its own, by its name and its place.
    fn is_system_service(&self, process: NodeId) -> bool {
        let world = self.world;
        let roles = world.roles(process);
        let standing = [
            Role::Init,
            Role::ServiceManager,
            Role::Login,
            Role::Scheduler,
            Role::WebServer,
            Role::Database,
        ];
        let image = world.process(process).and_then(|process| process.image);
        let installed =
            image.is_some_and(|image| world.knowledge.is(Place::Installed, &image.lossy()));
        let clean = world.incoming(process).all(|edge| {
            edge.verb != Verb::Executed || !self.malice.taints.contains_key(&edge.from)
        });
        roles.any(&standing) && installed && clean
    }

    fn taint(&mut self, writer: NodeId, edge: &Edge) {
        let thing = edge.to;
        let (path, created_us) = match self.world.graph.node(thing) {
            Some(Node::File(file)) => (file.path.lossy().into_owned(), file.created_us),
            Some(Node::Persistence(item)) => (item.name.lossy().into_owned(), None),
            _ => return,
        };
        let knowledge = &self.world.knowledge;
        if knowledge.is(Place::Trace, &path)
            || path.starts_with("/dev/") && !path.starts_with("/dev/shm/")
        {
            return;
        }
        let new = matches!(edge.verb, Verb::Created | Verb::Linked | Verb::Renamed)
            || created_us.is_some_and(|us| us >= edge.first_us && us <= edge.last_us)
            || self.made_by_intruder(thing);
        let made = if new { Made::New } else { Made::Changed };
        let taint = Taint {
            writer,
            us: edge.first_us,
            event: edge.first,
            made,
        };
        match self.malice.taints.get(&thing) {
            Some(known) if (known.us, known.writer) <= (taint.us, writer) => {}
            Some(_) | None => {
                self.malice.taints.insert(thing, taint);
                self.things.insert((taint.us, thing));
            }
        }
    }

    /// Whether the creation of a thing is the intruder's own act.
    fn made_by_intruder(&self, thing: NodeId) -> bool {
        let mut creations = self
            .world
            .incoming(thing)
            .filter(|edge| edge.verb == Verb::Created);
        creations.any(|edge| self.malice.processes.contains_key(&edge.from))
    }

    /// What runs a tainted file does the intruder's work.
    fn follow_thing(&mut self, thing: NodeId, us: i64) {
        let Some(taint) = self.malice.taints.get(&thing).copied() else {
            return;
        };
        let edges: Vec<Edge> = self.world.graph.after(thing, us).collect();
        let runs = |edge: &&Edge| matches!(edge.verb, Verb::Executed | Verb::Mapped);
        let runners = edges.iter().filter(runs).count();
        for edge in &edges {
            let script = edge.verb == Verb::Read && self.world.is_script_of(thing, edge.to);
            if script || matches!(edge.verb, Verb::Executed | Verb::Mapped) {
                self.follow_run(thing, &taint, edge, runners);
            } else if edge.verb == Verb::Read && !self.malice.processes.contains_key(&edge.to) {
                self.notes.add(Reason::Reader, edge.to, &[edge.first]);
            } else if edge.verb == Verb::Triggered {
                self.follow_trigger(thing, &taint, edge);
            } else if edge.verb == Verb::Linked {
                self.follow_link(&taint, edge, us);
            } else if edge.verb == Verb::Copied && taint.made == Made::New {
                self.follow_copy(thing, &taint, edge);
            }
        }
    }

    /// A further name of a tainted file leads to the same content.
    fn follow_link(&mut self, taint: &Taint, edge: &Edge, us: i64) {
        let link = Taint {
            us: edge.first_us.max(us),
            event: edge.first,
            ..*taint
        };
        if let Entry::Vacant(free) = self.malice.taints.entry(edge.to) {
            free.insert(link);
            self.things.insert((link.us, edge.to));
        }
    }

    /// The bytes that the intruder made came to another host: they are the same there, unless they
    /// stand where programs of the system are installed.
    fn follow_copy(&mut self, thing: NodeId, taint: &Taint, edge: &Edge) {
        if self.is_installed(edge.to) || self.is_installed(thing) {
            return;
        }
        let copy = Taint {
            us: edge.first_us,
            event: edge.first,
            ..*taint
        };
        if let Entry::Vacant(free) = self.malice.taints.entry(edge.to) {
            free.insert(copy);
            self.things.insert((copy.us, edge.to));
        }
    }

    /// What a place that starts things by itself started. Which line of which table it was is not
    /// recorded, so that only a job counts in which something was found, and that was never seen
    /// before, for as long as it took to be seen after. A session says who came, not who let them
    /// in, and is looked at elsewhere.
    fn follow_trigger(&mut self, thing: NodeId, taint: &Taint, edge: &Edge) {
        let job = self.world.cause(edge.to).is_some_and(|hub| {
            matches!(
                self.world.station(hub),
                Station::Scheduler | Station::Init | Station::Desktop | Station::Broker
            )
        });
        if !job
            || edge.ground != EdgeGround::Scheduled
            || self.malice.processes.contains_key(&edge.to)
        {
            return;
        }
        if !self.suspects.contains(&edge.to) || !self.world.is_new_work(edge.to, taint.us) {
            self.notes.add(Reason::HubSibling, edge.to, &[edge.first]);
            return;
        }
        let events = vec![taint.event, edge.first];
        let why = Why::new(Ground::Left, Some(taint.writer), Grade::Inferred, events).by(thing);
        self.add(edge.to, why);
    }

    fn follow_run(&mut self, thing: NodeId, taint: &Taint, edge: &Edge, runners: usize) {
        let process = edge.to;
        let why = Why::new(
            Ground::Ran,
            Some(taint.writer),
            Grade::Inferred,
            vec![taint.event, edge.first],
        )
        .by(thing);
        let everyones =
            runners > RUNNERS_MAX || taint.made == Made::Changed && self.is_installed(thing);
        if everyones || edge.verb == Verb::Mapped {
            self.notes.add(Reason::RunByMany, thing, &[edge.first]);
            self.compromise(
                process,
                edge.first_us,
                Taken::Changed(thing),
                Grade::Inferred,
                why.events,
            );
            return;
        }
        self.add_with_teller(process, why);
    }

    /// Adds a process, and those above it that were told to start it.
    pub(super) fn add_with_teller(&mut self, process: NodeId, why: Why) {
        let teller = lifted(self.world, process);
        let mut at = process;
        let events = why.events.clone();
        self.add(process, why);
        while at != teller {
            let Some(above) = self.world.cause(at) else {
                return;
            };
            let told = Why::new(Ground::Told, Some(at), Grade::Inferred, events.clone());
            self.add(above, told);
            at = above;
        }
    }

    fn is_installed(&self, thing: NodeId) -> bool {
        let file = self.world.graph.file(thing);
        file.is_some_and(|file| {
            self.world
                .knowledge
                .is(Place::Installed, &file.path.lossy())
        })
    }

    fn take_over(&mut self, by: NodeId, edge: &Edge) {
        let target = edge.to;
        let foreign = self.world.graph.kind(target) == Some(NodeKind::Process)
            && !self.malice.processes.contains_key(&target);
        if foreign && edge.verb == Verb::Injected {
            self.compromise(
                target,
                edge.first_us,
                Taken::Injected(by),
                Grade::Proven,
                vec![edge.first],
            );
        }
    }

    /// Notes a benign process as taken over, and follows what it does from then on.
    pub(super) fn compromise(
        &mut self,
        process: NodeId,
        us: i64,
        how: Taken,
        grade: Grade,
        events: Vec<EventRef>,
    ) {
        let earlier = self
            .malice
            .compromised
            .get(&process)
            .is_some_and(|known| known.us <= us);
        if earlier || self.malice.processes.contains_key(&process) {
            return;
        }
        self.malice.compromised.insert(
            process,
            Since {
                us,
                how,
                events,
                grade,
            },
        );
        if let Taken::Injected(by) = how {
            let hub = self.world.station(process).is_hub();
            let after = self.world.graph.after(process, us);
            let children: Vec<Edge> = after
                .filter(|edge| is_creation(edge.verb) && edge.first_us >= us)
                .filter(|edge| !hub || self.is_suspicious_child(edge.to))
                .collect();
            for edge in children {
                let why = Why::new(
                    Ground::Injected,
                    Some(by),
                    Grade::Inferred,
                    vec![edge.first],
                )
                .by(process);
                self.add(edge.to, why);
            }
        }
    }

    /// Whether a child of a hub that was written into is of the kind that an intruder starts: the
    /// hub goes on with its own work besides.
    fn is_suspicious_child(&self, child: NodeId) -> bool {
        let tools = [
            Role::Shell,
            Role::Interpreter,
            Role::Loader,
            Role::Transfer,
            Role::Discovery,
        ];
        self.suspects.contains(&child) || self.world.roles(child).any(&tools)
    }

    fn talk(&mut self, process: NodeId, place: NodeId, edge: &Edge) {
        let Some(ip) = self.world.address(place) else {
            return;
        };
        if !is_elsewhere(ip) || self.world.is_own_address(ip) {
            return;
        }
        let remote = Remote {
            process,
            us: edge.first_us,
            event: edge.first,
        };
        let known = self.malice.remotes.entry(ip).or_insert(remote);
        if (remote.us, remote.process) < (known.us, known.process) {
            *known = remote;
        }
    }
}

/// Whether an address can be another machine.
pub(super) fn is_elsewhere(ip: IpAddr) -> bool {
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

//! Objects: the files, connections, registry keys and lasting footholds of an incident.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::{
    self, Direction, Grade, Moment, NetworkItem, ObjectItem, PersistenceItem, text_from_bytes,
};

use crate::graph::{Node, NodeId, NodeKind, PersistenceKind, Verb};
use crate::reconstruct::groups::Group;
use crate::reconstruct::knowledge::Place;
use crate::reconstruct::malice::Ground;
use crate::reconstruct::tell::acts::{Act, Deed};
use crate::reconstruct::tell::cast::{Cast, cited, endpoint};
use crate::reconstruct::world::World;

/// The most records that an item cites.
const EVENTS_MAX: usize = 3;

/// The names of an incident's objects: `f1`, `r1`, `c1`.
pub(super) struct Objects {
    ids: BTreeMap<NodeId, String>,
    /// Connections are told apart by who held them.
    flows: BTreeMap<(NodeId, Deed, NodeId), String>,
}

impl Objects {
    /// Names the objects of acts in the order in which they first appear.
    pub(super) fn new(world: &World<'_>, acts: &[Act], group: &Group) -> Self {
        let mut ids: BTreeMap<NodeId, String> = BTreeMap::new();
        let mut counts: BTreeMap<char, usize> = BTreeMap::new();
        let mut flows: BTreeMap<(NodeId, Deed, NodeId), String> = BTreeMap::new();
        for act in acts
            .iter()
            .filter(|act| world.graph.kind(act.object) == Some(NodeKind::Endpoint))
        {
            let next = format!("c{}", flows.len() + 1);
            flows
                .entry((act.actor, act.deed, act.object))
                .or_insert(next);
        }
        let by_link = group.malice.processes.values().filter_map(|why| why.by);
        for object in acts.iter().map(|act| act.object).chain(by_link) {
            let letter = match world.graph.kind(object) {
                Some(NodeKind::File) => 'f',
                Some(NodeKind::Registry) => 'r',
                Some(
                    NodeKind::Process
                    | NodeKind::Endpoint
                    | NodeKind::Name
                    | NodeKind::Account
                    | NodeKind::Session
                    | NodeKind::Persistence
                    | NodeKind::Module
                    | NodeKind::Pipe
                    | NodeKind::Host,
                )
                | None => continue,
            };
            if let Entry::Vacant(free) = ids.entry(object) {
                let count = counts.entry(letter).or_default();
                *count += 1;
                free.insert(format!("{letter}{count}"));
            }
        }
        Self { ids, flows }
    }

    /// The name of what an act was done to.
    pub(super) fn id_of(&self, act: &Act) -> Option<String> {
        let flow = self.flows.get(&(act.actor, act.deed, act.object)).cloned();
        flow.or_else(|| self.id(act.object))
    }

    /// The name of a file or key.
    pub(super) fn id_of_node(&self, object: NodeId) -> Option<String> {
        self.id(object)
    }

    fn id(&self, object: NodeId) -> Option<String> {
        self.ids.get(&object).cloned()
    }

    /// The files, or the registry keys, by their first act.
    pub(super) fn items(
        &self,
        cast: &Cast<'_, '_>,
        acts: &[Act],
        kind: NodeKind,
    ) -> Vec<ObjectItem> {
        let mut rows: BTreeMap<NodeId, Vec<report::Act>> = BTreeMap::new();
        let mut order: Vec<NodeId> = Vec::new();
        for act in acts
            .iter()
            .filter(|act| cast.world.graph.kind(act.object) == Some(kind))
        {
            if !rows.contains_key(&act.object) {
                order.push(act.object);
            }
            rows.entry(act.object).or_default().push(report::Act {
                time: Moment::from_us(act.us),
                verb: done(act.deed).to_owned(),
                process: cast.id(act.actor),
                count: act.count,
                evidence: cited(&act.events, EVENTS_MAX),
            });
        }
        order
            .into_iter()
            .filter_map(|object| self.item(cast, object, rows.remove(&object)?))
            .collect()
    }

    fn item(
        &self,
        cast: &Cast<'_, '_>,
        object: NodeId,
        acts: Vec<report::Act>,
    ) -> Option<ObjectItem> {
        let world = cast.world;
        let node = world.graph.node(object)?;
        let (host, sha256, bytes) = if let Node::File(file) = node {
            let hash = file.sha256.map(|hash| hash.to_string());
            (file.host, hash, file.size)
        } else if let Node::Registry(key) = node {
            (key.host, None, None)
        } else {
            return None;
        };
        let path = world.label(object);
        let mut other_paths = world.paths(object);
        other_paths.retain(|other| *other != path);
        let verbs: Vec<String> = acts
            .iter()
            .map(|act| act.verb.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        Some(ObjectItem {
            node: self.id(object)?,
            host: text_from_bytes(world.graph.host_name(host).0),
            path,
            other_paths,
            sha256,
            bytes,
            why: format!(
                "It was {} by processes of the incident.",
                super::words::list(&verbs)
            ),
            acts,
        })
    }

    /// The connections, by their first time: those of the malicious processes, and the requests
    /// that led to them.
    pub(super) fn network(
        &self,
        cast: &Cast<'_, '_>,
        group: &Group,
        acts: &[Act],
    ) -> Vec<NetworkItem> {
        let world = cast.world;
        let mut items: Vec<NetworkItem> = Vec::new();
        for act in acts {
            let Some(Node::Endpoint(place)) = world.graph.node(act.object) else {
                continue;
            };
            let Some(direction) = direction_of(act.deed) else {
                continue;
            };
            let address = place
                .ip
                .map(|ip| endpoint(&ip.to_string(), place.port))
                .or_else(|| place.path.map(|path| text_from_bytes(path.0)));
            let listens = direction == Direction::Listening;
            let local_only = place.path.is_some() || place.ip.is_some_and(|ip| ip.is_loopback());
            items.push(NetworkItem {
                node: self.id_of(act).unwrap_or_default(),
                host: cast.host(act.actor),
                direction: if local_only && !listens {
                    Direction::Local
                } else {
                    direction
                },
                protocol: place
                    .protocol
                    .map_or_else(|| "tcp".to_owned(), |protocol| protocol.as_str().to_owned()),
                local: address.clone().filter(|_| listens),
                remote: address.filter(|_| !listens),
                remote_name: place.name.map(|name| text_from_bytes(name.0)),
                sent: act.sent,
                received: act.received,
                first: Moment::from_us(act.us),
                last: Moment::from_us(act.last_us),
                count: act.count,
                process: cast.id(act.actor),
                why: if cast.is_malicious(act.actor) {
                    "A malicious process held it.".to_owned()
                } else {
                    "A process of the incident held it.".to_owned()
                },
                evidence: cited(&act.events, EVENTS_MAX),
            });
        }
        for (index, mut item) in requests(cast, group).into_iter().enumerate() {
            item.node = format!("c{}", self.flows.len() + index + 1);
            items.push(item);
        }
        items.sort_by(|a, b| {
            (a.first, &a.host, &a.remote, &a.process)
                .cmp(&(b.first, &b.host, &b.remote, &b.process))
        });
        items
    }

    /// What was left to come back.
    pub(super) fn persistence(
        &self,
        cast: &Cast<'_, '_>,
        group: &Group,
        acts: &[Act],
    ) -> Vec<PersistenceItem> {
        let mut items: Vec<PersistenceItem> = Vec::new();
        let mut known: BTreeSet<NodeId> = BTreeSet::new();
        for act in acts.iter().filter(|act| cast.is_malicious(act.actor)) {
            if !matches!(
                act.deed,
                Deed::Writes | Deed::Renames | Deed::Links | Deed::Configures
            ) {
                continue;
            }
            if let Some(item) = self.foothold(cast, group, act)
                && known.insert(act.object)
            {
                items.push(item);
            }
        }
        items
    }

    fn foothold(&self, cast: &Cast<'_, '_>, group: &Group, act: &Act) -> Option<PersistenceItem> {
        let world = cast.world;
        let place = world.label(act.object);
        let (mechanism, technique) =
            if let Node::Persistence(item) = world.graph.node(act.object)? {
                (mechanism_of(item.kind).to_owned(), "T1543")
            } else {
                let note = world.knowledge.place(Place::Persistence, &place)?;
                (note.reason.to_owned(), note.technique.unwrap_or("T1546"))
            };
        let started: Vec<NodeId> = group
            .malice
            .processes
            .iter()
            .filter(|(process, why)| {
                let by = why.by == Some(act.object);
                by && matches!(why.ground, Ground::Left | Ground::Opened)
                    || matches!(
                        why.ground,
                        Ground::Named | Ground::Found | Ground::SameAddress
                    ) && triggered(world, act.object, **process)
            })
            .map(|(process, _)| *process)
            .collect();
        let deleted = world
            .graph
            .file(act.object)
            .and_then(|file| file.deleted_us);
        let gone = deleted.map_or_else(String::new, |us| {
            format!(" It was removed at {}.", Moment::from_us(us))
        });
        Some(PersistenceItem {
            node: self.id(act.object),
            host: cast.host(act.actor),
            runs: runs(world, act.object, &started, cast)
                .filter(|_| meaning(&mechanism) != LETS_IN),
            time: Moment::from_us(act.us),
            process: cast.id(act.actor),
            techniques: vec![technique.to_owned()],
            started: started
                .iter()
                .filter_map(|process| cast.id(*process))
                .collect(),
            grade: Grade::Proven,
            why: format!(
                "{} wrote it, and what stands in this place {}.{gone}",
                cast.short(act.actor),
                meaning(&mechanism)
            ),
            evidence: cited(&act.events, EVENTS_MAX),
            mechanism,
            place,
        })
    }
}

/// Whether the graph puts a process down to a file.
fn triggered(world: &World<'_>, file: NodeId, process: NodeId) -> bool {
    let mut causes = world
        .incoming(process)
        .filter(|edge| edge.verb == Verb::Triggered);
    causes.any(|edge| edge.from == file)
}

/// What a foothold runs: as its record says it, else as what it started shows.
fn runs(
    world: &World<'_>,
    object: NodeId,
    started: &[NodeId],
    cast: &Cast<'_, '_>,
) -> Option<String> {
    let node = world.graph.node(object)?;
    let said = if let Node::Persistence(item) = node {
        item.command
    } else if let Node::Registry(key) = node {
        key.details
    } else {
        None
    };
    let said = said.map(|said| text_from_bytes(said.0));
    said.or_else(|| started.first().map(|process| cast.command(*process)))
}

const fn direction_of(deed: Deed) -> Option<Direction> {
    if matches!(deed, Deed::Connects) {
        Some(Direction::Out)
    } else if matches!(deed, Deed::Accepts) {
        Some(Direction::In)
    } else if matches!(deed, Deed::Listens) {
        Some(Direction::Listening)
    } else {
        None
    }
}

const fn mechanism_of(kind: PersistenceKind) -> &'static str {
    match kind {
        PersistenceKind::Service => "service",
        PersistenceKind::Driver => "driver",
        PersistenceKind::ScheduledTask => "scheduled_task",
        PersistenceKind::WmiSubscription => "wmi_subscription",
    }
}

/// What stands there runs nothing.
const LETS_IN: &str = "decides who is let in";

/// What a mechanism does, for a sentence.
pub(super) fn meaning(mechanism: &str) -> &'static str {
    match mechanism {
        "cron" | "at" | "scheduled_task" => "is run by the scheduler",
        "systemd" | "init" | "service" | "driver" => "is started with the system",
        "authorized_key" | "sshd_config" | "account" | "sudoers" | "pam" => LETS_IN,
        "shell_profile" | "desktop" | "motd" | "run_key" | "startup_folder" => {
            "runs when someone logs in"
        }
        "ld_preload" => "is loaded into every program",
        _ => "is started by the system",
    }
}

fn requests(cast: &Cast<'_, '_>, group: &Group) -> Vec<NetworkItem> {
    let mut rows: BTreeMap<(NodeId, String), NetworkItem> = BTreeMap::new();
    for (root, request) in &group.malice.requests {
        let (reached, port, us) = match request.front {
            None => (request.server, request.local_port, request.us),
            Some(front) => (front.server, front.local_port, front.us),
        };
        let client = request.client().to_string();
        let item = NetworkItem {
            node: String::new(),
            host: cast.host(reached),
            direction: Direction::In,
            protocol: "tcp".to_owned(),
            local: port.map(|port| format!("port {port}")),
            remote: Some(client.clone()),
            remote_name: None,
            sent: None,
            received: None,
            first: Moment::from_us(us),
            last: Moment::from_us(us),
            count: 1,
            process: cast.id(reached),
            why: match request.front {
                None => format!("The server started {} for it.", cast.short(*root)),
                Some(_) => format!(
                    "It was passed on to {}, which started {} for it.",
                    cast.short(request.server),
                    cast.short(*root)
                ),
            },
            evidence: cited(&request.records(), EVENTS_MAX),
        };
        let key = (reached, client);
        rows.entry(key)
            .and_modify(|known| {
                known.count += 1;
                known.last = known.last.max(item.last);
                if item.first < known.first {
                    known.first = item.first;
                    known.why.clone_from(&item.why);
                    known.evidence.clone_from(&item.evidence);
                }
            })
            .or_insert(item);
    }
    rows.into_values().collect()
}

/// What was done to an object, as a reader says it.
const fn done(deed: Deed) -> &'static str {
    match deed {
        Deed::Starts => "executed",
        Deed::Writes => "written",
        Deed::Renames => "renamed",
        Deed::Links => "linked",
        Deed::ChangesAttributes => "changed in mode or owner",
        Deed::Deletes => "deleted",
        Deed::Reads => "read",
        Deed::Connects | Deed::Accepts => "connected",
        Deed::Listens => "listened at",
        Deed::Resolves => "resolved",
        Deed::Touches => "touched",
        Deed::Switches => "switched to",
        Deed::Configures => "set",
        Deed::ChangesSystem => "changed",
        Deed::Tries => "tried",
    }
}

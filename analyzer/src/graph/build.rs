//! Building a graph from the replayed stream.

mod arguments;
mod autostarts;
mod brokers;
mod copies;
mod crossings;
mod files;
mod network;
mod processes;
mod sessions;
mod things;

use std::collections::BTreeMap;

use saigen_schemas::event::{Event, Kind};

use crate::graph::query::Adjacency;
use crate::graph::store::{NodeRow, Store, Touch};
use crate::graph::{EdgeId, Graph, Ground, ModuleForm, NodeId, NodeKind, PersistenceKind, Verb};
use crate::reference::EventRef;
use crate::replay::{Applied, HostId, MachineId, Replay, Step, Table, TextId, Texts, UnitId};
use autostarts::Autostarts;
use brokers::Ways;
use files::{Content, FileIndex, Identity};
use network::Network;
use sessions::Accounts;

/// Builds a [`Graph`]: takes the same stream as a [`Replay`], after it.
///
/// ```
/// # use saigen_analyzer::graph::{Graph, GraphBuilder};
/// # use saigen_analyzer::replay::Replay;
/// # use saigen_analyzer::reference::EventRef;
/// # use saigen_schemas::event::{Event, Kind};
/// fn graph_of(stream: &[(EventRef, Event<'_>)]) -> Graph {
///     let mut replay = Replay::default();
///     let mut builder = GraphBuilder::default();
///     for (reference, event) in stream {
///         replay.apply(*reference, event);
///         builder.apply(*reference, event, &replay);
///     }
///     builder.finish(replay)
/// }
/// ```
#[derive(Default)]
pub struct GraphBuilder {
    store: Store,
    texts: Texts,
    /// The first edges of each node that is the younger end of them. A younger node has few, so
    /// that looking through them is faster than any table.
    chains: Vec<Chain>,
    /// The edge before each one in its chain.
    next_in_chain: Vec<Option<EdgeId>>,
    /// The edges of those that have more, by what makes them one.
    known: Table<(NodeId, NodeId, Verb, Ground), EdgeId>,
    touches: Vec<Touch>,
    /// The edge by which each unit came to be, by the unit's row.
    births: Vec<Option<EdgeId>>,
    sessions: BTreeMap<(MachineId, u64), NodeId>,
    files: FileIndex,
    network: Network,
    ways: Ways,
    accounts: Accounts,
    autostarts: Autostarts,
    things: Things,
    /// Reused for paths that are put together.
    scratch: Vec<u8>,
}

/// Most edges of a node that are looked through one by one.
const CHAIN_MAX: u8 = 8;

/// The edges of which a node is the younger end: the last of them, and how many.
#[derive(Clone, Copy, Default)]
struct Chain {
    first: Option<EdgeId>,
    len: u8,
}

/// Nodes of things that their names tell apart.
#[derive(Default)]
struct Things {
    hosts: Table<HostId, NodeId>,
    modules: Table<(HostId, ModuleForm, TextId), NodeId>,
    persistence: Table<(HostId, PersistenceKind, TextId), NodeId>,
    named: Table<(HostId, NodeKind, TextId), NodeId>,
}

/// The event that is being taken in, and what replay made of it.
#[derive(Clone, Copy)]
struct Scene<'r> {
    event: EventRef,
    at_us: i64,
    replay: &'r Replay,
    applied: Applied,
    /// The node of the event's actor.
    actor: Option<NodeId>,
}

impl<'r> Scene<'r> {
    /// The scene of an act that is told after the evidence was read, by the record of it and the
    /// node that did it; `None` where the replay has taken nothing.
    fn of_act(
        replay: &'r Replay,
        event: EventRef,
        at_us: i64,
        actor: Option<NodeId>,
    ) -> Option<Self> {
        let applied = Applied {
            step: Step::Acted,
            ..replay.applied()?
        };
        Some(Self {
            event,
            at_us,
            replay,
            applied,
            actor,
        })
    }
}

/// What a new edge says beside its ends.
#[derive(Clone, Copy)]
struct Says {
    verb: Verb,
    ground: Ground,
}

impl Says {
    const fn recorded(verb: Verb) -> Self {
        Self {
            verb,
            ground: Ground::Recorded,
        }
    }
}

impl GraphBuilder {
    /// Takes the next event, which the replay has just taken.
    pub fn apply(&mut self, reference: EventRef, event: &Event<'_>, replay: &Replay) {
        let Some(applied) = replay.applied() else {
            return;
        };
        let actor = applied.actor.and_then(|unit| self.process(unit));
        let scene = Scene {
            event: reference,
            at_us: event.time.wall_us,
            replay,
            applied,
            actor,
        };
        let before = self.touches.len();
        self.take_life(&scene, event);
        self.take_deed(&scene, &event.kind);
        if self.touches.len() == before && actor.is_some() {
            let event = self.store.refs.pack(reference);
            self.touches.push(Touch {
                event,
                edge: None,
                actor,
            });
        }
    }

    /// The graph of everything that was taken in. The replay gives its processes.
    #[must_use]
    pub fn finish(mut self, replay: Replay) -> Graph {
        let clocks = self.join_hosts(&replay);
        self.join_brokers(&replay);
        self.join_copies(&replay, &clocks);
        let ways = std::mem::take(&mut self.ways);
        (self.known, self.chains, self.next_in_chain) = Default::default();
        self.touches.sort_unstable();
        self.touches.shrink_to_fit();
        let edges = &self.store.edges;
        let nodes = self.store.nodes.len();
        let outgoing = Adjacency::new(edges, nodes, |row| row.from, |id, _| edges.last_us(id));
        let incoming = Adjacency::new(edges, nodes, |row| row.to, |_, row| row.first_us());
        self.store.edges.settle();
        Graph {
            processes: replay.into_processes(),
            texts: self.texts,
            store: self.store,
            outgoing,
            incoming,
            touches: self.touches,
            sessions: self.sessions,
            crossings: ways.crossings,
            addresses: ways.own,
            clocks,
        }
    }

    /// What the event means beyond the life of its actor.
    fn take_deed(&mut self, scene: &Scene<'_>, kind: &Kind<'_>) {
        match kind {
            Kind::FileCreated(_)
            | Kind::FileWritten(_)
            | Kind::FileRenamed(_)
            | Kind::FileLinked(_)
            | Kind::FileDeleted(_)
            | Kind::FileAttributes(_)
            | Kind::FileMapped(_)
            | Kind::FileMemory(_)
            | Kind::FileRead(_) => self.take_file(scene, kind),
            Kind::NetworkConnected(net) => self.connected(scene, net),
            Kind::NetworkAccepted(net) => self.accepted(scene, net),
            Kind::NetworkListening(net) => self.listening(scene, net),
            Kind::NetworkClosed(net) => self.closed(scene, net),
            Kind::NetworkResolved(net) => self.resolved(scene, net),
            Kind::StateSocket(socket) => self.stood_open(scene, socket),
            Kind::ProcessTraced(traced) => self.traced(scene, traced),
            Kind::ProcessOpened(_) => self.opened(scene),
            Kind::CredentialsChanged(change) => self.changed_identity(scene, change),
            Kind::Logon(logon) => self.logged_on(scene, logon),
            Kind::Logoff(logoff) => self.logged_off(scene, logoff),
            Kind::FailedLogon(refused) => self.refused_logon(scene, refused),
            Kind::PrivilegeSwitch(switch) => self.switched(scene, switch),
            Kind::StateAccount(account) => self.account_stood(scene, account),
            Kind::StateAutostart(state) => self.autostart_stood(scene, state),
            Kind::ModuleLoaded(loaded) => self.module_loaded(scene, loaded),
            Kind::BpfLoaded(bpf) => self.bpf_loaded(scene, bpf),
            Kind::Mounted(_) | Kind::LogCleared(_) => self.changes_host(scene),
            Kind::Registry(registry) => self.registry_changed(scene, registry),
            Kind::ServiceChange(service) => self.service_changed(scene, service),
            Kind::DriverChange(driver) => self.driver_changed(scene, driver),
            Kind::ScheduledTask(task) => self.task_changed(scene, task),
            Kind::WmiSubscription(wmi) => self.subscribed(scene, wmi),
            Kind::Pipe(pipe) => self.piped(scene, pipe),
            // Lives of processes are taken by `take_life`; the others name no second thing.
            Kind::ProcessStart(_)
            | Kind::ProcessFork(_)
            | Kind::ProcessExit(_)
            | Kind::StateProcess(_)
            | Kind::StateModule(_)
            | Kind::NamespaceEntered(_)
            | Kind::ScriptBlock(_)
            | Kind::RecordSource(_)
            | Kind::RecordLoss(_)
            | Kind::ClockStep(_)
            | Kind::RecordBoot(_)
            | Kind::RecordSuspend(_)
            | Kind::RecordConfiguration(_)
            | Kind::RecordHeartbeat(_)
            | Kind::RecordCompleteness(_)
            | Kind::RecordRaw(_) => {}
        }
    }

    fn take_file(&mut self, scene: &Scene<'_>, kind: &Kind<'_>) {
        if let Kind::FileWritten(written) = kind {
            self.wrote(scene, written);
        } else if let Kind::FileRenamed(renamed) = kind {
            self.renamed(scene, renamed);
        } else if let Kind::FileLinked(linked) = kind {
            self.linked(scene, linked);
        } else if let Kind::FileDeleted(deleted) = kind {
            self.deleted(scene, deleted);
        } else if let Kind::FileRead(read) = kind {
            self.read(scene, read);
        } else if let Kind::FileCreated(made) = kind {
            let file = self.made_file(scene, Identity::new(made.path, made.dev, made.inode));
            if let Some(file) = file {
                self.learn_content(
                    file,
                    Content {
                        mode: made.mode,
                        ..Content::default()
                    },
                );
                self.note_change(scene, file);
            }
            self.does(scene, Verb::Created, file);
        } else if let Kind::FileAttributes(changed) = kind {
            let file = self.file(
                scene,
                Identity::new(changed.path, changed.dev, changed.inode),
            );
            if let Some(file) = file {
                self.learn_content(
                    file,
                    Content {
                        mode: changed.mode,
                        ..Content::default()
                    },
                );
            }
            self.does(scene, Verb::ChangedAttributes, file);
        } else if let Kind::FileMapped(mapped) = kind {
            let file = self.file(scene, Identity::new(mapped.path, mapped.dev, mapped.inode));
            self.takes(scene, Verb::Mapped, file);
        } else if let Kind::FileMemory(memory) = kind {
            let file = self.memory_file(scene, memory.name.unwrap_or_default());
            if let Some(file) = file {
                self.note_change(scene, file);
            }
            self.does(scene, Verb::Created, file);
        }
    }

    /// Makes a node of a row of the table of its kind.
    fn add_node(&mut self, kind: NodeKind, row: usize) -> Option<NodeId> {
        let id = NodeId::from_index(self.store.nodes.len())?;
        let row = u32::try_from(row).ok()?;
        self.store.nodes.push(NodeRow { kind, row });
        Some(id)
    }

    /// The node of a unit.
    fn process(&mut self, unit: UnitId) -> Option<NodeId> {
        let index = unit.index();
        if let Some(&Some(known)) = self.store.unit_nodes.get(index) {
            return Some(known);
        }
        let node = self.add_node(NodeKind::Process, self.store.process_rows.len())?;
        self.store.process_rows.push(unit);
        if self.store.unit_nodes.len() <= index {
            self.store.unit_nodes.resize(index + 1, None);
            self.births.resize(index + 1, None);
        }
        if let Some(slot) = self.store.unit_nodes.get_mut(index) {
            *slot = Some(node);
        }
        Some(node)
    }

    /// Notes that something happened at the scene's moment, between two nodes.
    fn link(&mut self, scene: &Scene<'_>, from: NodeId, to: NodeId, says: Says) -> Option<EdgeId> {
        self.link_at(scene, scene.at_us, (from, to), says)
    }

    /// Notes that something happened at a moment, by the scene's event. A second time makes the
    /// edge longer. Nothing leads from a node to itself.
    fn link_at(
        &mut self,
        scene: &Scene<'_>,
        at_us: i64,
        (from, to): (NodeId, NodeId),
        says: Says,
    ) -> Option<EdgeId> {
        if from == to {
            return None;
        }
        let id = match self.known_edge(from, to, says) {
            Some(id) => {
                self.store.prolong(id, at_us, scene.event);
                id
            }
            None => {
                let first = self.store.refs.pack(scene.event);
                let says_both = (says.verb, says.ground);
                let id = self.store.edges.add((from, to), says_both, at_us, first)?;
                self.remember_edge(id, from, to, says);
                id
            }
        };
        self.touch(scene, id);
        Some(id)
    }

    /// The edge that says this already.
    fn known_edge(&self, from: NodeId, to: NodeId, says: Says) -> Option<EdgeId> {
        let chain = self.chains.get(from.max(to).index())?;
        let mut next = chain.first;
        while let Some(id) = next {
            let row = self.store.edges.get(id)?;
            let same = row.from == from && row.to == to;
            if same && row.verb() == says.verb && row.ground() == says.ground {
                return Some(id);
            }
            next = self.next_in_chain.get(id.index()).copied().flatten();
        }
        if chain.len < CHAIN_MAX {
            return None;
        }
        self.known.get(&(from, to, says.verb, says.ground)).copied()
    }

    fn remember_edge(&mut self, id: EdgeId, from: NodeId, to: NodeId, says: Says) {
        let owner = from.max(to).index();
        if self.chains.len() <= owner {
            self.chains
                .resize(self.store.nodes.len().max(owner + 1), Chain::default());
        }
        let mut before = None;
        if let Some(chain) = self.chains.get_mut(owner) {
            if chain.len < CHAIN_MAX {
                chain.len += 1;
                before = chain.first.replace(id);
            } else {
                self.known.insert((from, to, says.verb, says.ground), id);
            }
        }
        self.next_in_chain.push(before);
    }

    fn touch(&mut self, scene: &Scene<'_>, edge: EdgeId) {
        let event = self.store.refs.pack(scene.event);
        self.touches.push(Touch {
            event,
            edge: Some(edge),
            actor: scene.actor,
        });
    }
}

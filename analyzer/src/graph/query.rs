//! A finished graph, and what can be asked of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use saigen_schemas::event::{Args, Text};

use crate::graph::edges::{EdgeRow, Edges, NO_BYTES};
use crate::graph::store::{NodeRow, Store, Touch};
use crate::graph::{
    AccountNode, Alias, Edge, EdgeId, EndpointNode, Exit, FileNode, HostNode, ModuleNode, NameNode,
    Node, NodeId, NodeKind, PersistenceNode, PipeNode, ProcessNode, RegistryNode, SessionNode,
};
use crate::reference::EventRef;
use crate::replay::{HostId, MachineId, Processes, TextId, Texts, UnitId};

/// A finished graph.
///
/// Adjacency is kept in rows, one list of edges for all nodes and an index into it (compressed
/// sparse rows): edges out of a node by their last time, edges into it by their first time, so
/// that a search forward or backward in time is a cut in a sorted list.
pub struct Graph {
    pub(super) processes: Processes,
    pub(super) texts: Texts,
    pub(super) store: Store,
    pub(super) outgoing: Adjacency,
    pub(super) incoming: Adjacency,
    /// Which edges each event belongs to, sorted.
    pub(super) touches: Vec<Touch>,
    /// Children of each process node, and members of each session, come from the processes.
    pub(super) sessions: BTreeMap<(MachineId, u64), NodeId>,
    /// Flows that two hosts recorded, by host and time of the server.
    pub(super) crossings: Vec<Crossing>,
    /// The host of an address; `None` where several hosts call it theirs.
    pub(super) addresses: BTreeMap<IpAddr, Option<HostId>>,
    /// How far the clocks of hosts are apart.
    pub(super) clocks: Vec<HostClock>,
}

/// A flow that two hosts recorded, one end each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The process that connected.
    pub client: NodeId,
    /// Its host.
    pub client_host: HostId,
    /// When, by the client's clock, microseconds.
    pub client_us: i64,
    /// The client's record.
    pub client_event: EventRef,
    /// The process that took the connection.
    pub server: NodeId,
    /// Its host.
    pub server_host: HostId,
    /// When, by the server's clock, microseconds.
    pub server_us: i64,
    /// The server's record.
    pub server_event: EventRef,
    /// The port of the server.
    pub server_port: u16,
    /// The port from which the client came.
    pub client_port: u16,
}

/// How far a host's clock is ahead of that of another, as the flows show that both recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostClock {
    /// The host.
    pub host: HostId,
    /// The host whose clock the others are held to; itself for the reference.
    pub reference: HostId,
    /// How far it is ahead of the reference, microseconds; negative for behind.
    pub ahead_us: i64,
    /// The host with which it shares the flows that show this; `None` for the reference.
    pub by: Option<HostId>,
    /// How many flows show it; their median is taken.
    pub flows: usize,
    /// How far the middle half of these flows lies apart, microseconds.
    pub spread_us: i64,
}

/// Memory that a graph holds, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Edges.
    pub edges: usize,
    /// Edges by node, both ways.
    pub adjacency: usize,
    /// Which edges each event belongs to.
    pub events: usize,
    /// Nodes of all kinds, without processes.
    pub nodes: usize,
    /// Processes and their texts.
    pub processes: usize,
    /// All other texts.
    pub texts: usize,
}

impl Memory {
    /// The parts, each with its name.
    #[must_use]
    pub const fn parts(&self) -> [(&'static str, usize); 6] {
        [
            ("edges", self.edges),
            ("adjacency", self.adjacency),
            ("events", self.events),
            ("nodes", self.nodes),
            ("processes", self.processes),
            ("texts", self.texts),
        ]
    }
}

/// Edges by node.
#[derive(Default)]
pub(super) struct Adjacency {
    /// Where the edges of each node begin in `edges`; one more at the end.
    starts: Vec<u32>,
    edges: Vec<EdgeId>,
}

impl Adjacency {
    /// Sorts edges by the node that `end` picks, and those of one node by `time`, then number.
    pub(super) fn new(
        edges: &Edges,
        nodes: usize,
        end: impl Fn(&EdgeRow) -> NodeId,
        time: impl Fn(EdgeId, &EdgeRow) -> i64,
    ) -> Self {
        let rows = edges.rows();
        let mut starts = vec![0_u32; nodes + 1];
        for row in rows {
            if let Some(count) = starts.get_mut(end(row).index() + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut slots: Vec<Option<EdgeId>> = vec![None; rows.len()];
        for (index, row) in rows.iter().enumerate() {
            if let Some(cursor) = next.get_mut(end(row).index()) {
                if let Some(slot) = slots.get_mut(*cursor as usize) {
                    *slot = EdgeId::from_index(index);
                }
                *cursor += 1;
            }
        }
        let mut edges: Vec<EdgeId> = slots.into_iter().flatten().collect();
        for pair in starts.windows(2) {
            if let [from, to] = *pair
                && let Some(list) = edges.get_mut(from as usize..to as usize)
            {
                let us = |edge: EdgeId| rows.get(edge.index()).map(|row| time(edge, row));
                list.sort_by_key(|edge| (us(*edge), *edge));
            }
        }
        Self { starts, edges }
    }

    const fn heap_bytes(&self) -> usize {
        self.starts.capacity() * size_of::<u32>() + self.edges.capacity() * size_of::<EdgeId>()
    }

    fn of(&self, node: NodeId) -> &[EdgeId] {
        let from = self.starts.get(node.index()).copied().unwrap_or(0);
        let to = self.starts.get(node.index() + 1).copied().unwrap_or(from);
        self.edges
            .get(from as usize..to as usize)
            .unwrap_or_default()
    }
}

impl Graph {
    /// How many nodes there are.
    #[must_use]
    pub const fn node_count(&self) -> usize {
        self.store.nodes.len()
    }

    /// How many edges there are.
    #[must_use]
    pub const fn edge_count(&self) -> usize {
        self.store.edges.len()
    }

    /// Memory that the graph holds.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory {
            edges: self.store.edges.heap_bytes(),
            adjacency: self.outgoing.heap_bytes() + self.incoming.heap_bytes(),
            events: self.touches.capacity() * size_of::<Touch>(),
            nodes: self.store.node_bytes(),
            processes: self.processes.heap_bytes(),
            texts: self.texts.heap_bytes(),
        }
    }

    /// All nodes, in the order of first sight.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.store.nodes.len()).filter_map(NodeId::from_index)
    }

    /// All edges, in the order of their first record.
    pub fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        (0..self.store.edges.len())
            .filter_map(EdgeId::from_index)
            .filter_map(|id| self.edge(id))
    }

    /// An edge; `None` for an id of another graph.
    #[must_use]
    pub fn edge(&self, id: EdgeId) -> Option<Edge> {
        let row = self.store.edges.get(id)?;
        let more = self.store.edges.more(id);
        let first = self.store.refs.unpack(row.first)?;
        Some(Edge {
            id,
            from: row.from,
            to: row.to,
            verb: row.verb(),
            ground: row.ground(),
            first_us: row.first_us(),
            last_us: more.map_or(row.first_us(), |more| more.last_us),
            count: more.map_or(1, |more| more.count),
            bytes: more
                .map(|more| more.bytes)
                .filter(|&bytes| bytes != NO_BYTES),
            first,
            last: more.map_or(Some(first), |more| self.store.refs.unpack(more.last))?,
        })
    }

    /// The kind of a node; `None` for an id of another graph.
    #[must_use]
    pub fn kind(&self, id: NodeId) -> Option<NodeKind> {
        self.store.nodes.get(id.index()).map(|row| row.kind)
    }

    /// A node with all that is known of it; `None` for an id of another graph.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<Node<'_>> {
        let NodeRow { kind, row } = *self.store.nodes.get(id.index())?;
        let index = row as usize;
        let store = &self.store;
        Some(match kind {
            NodeKind::Process => Node::Process(self.unit(*store.process_rows.get(index)?)?),
            NodeKind::File => Node::File(self.file_row(index)?),
            NodeKind::Endpoint => {
                let row = store.endpoints.get(index)?;
                Node::Endpoint(EndpointNode {
                    host: row.key.host,
                    protocol: row.key.protocol,
                    ip: row.key.ip,
                    port: row.key.port,
                    path: self.text(row.key.path),
                    name: self.text(row.name),
                })
            }
            NodeKind::Name => Node::Name(NameNode {
                name: self.texts.get(*store.names.get(index)?),
            }),
            NodeKind::Account => {
                let row = store.accounts.get(index)?;
                Node::Account(AccountNode {
                    host: row.host,
                    uid: row.uid,
                    name: self.text(row.name),
                })
            }
            NodeKind::Session => {
                let row = store.sessions.get(index)?;
                Node::Session(SessionNode {
                    host: row.host,
                    session: row.session,
                    account: self.text(row.account),
                    terminal: self.text(row.terminal),
                    remote_ip: row.remote_ip,
                    remote_host: self.text(row.remote_host),
                    first_us: row.first_us,
                    end_us: row.end_us,
                })
            }
            NodeKind::Persistence => {
                let row = store.persistence.get(index)?;
                Node::Persistence(PersistenceNode {
                    host: row.host,
                    kind: row.kind,
                    name: self.texts.get(row.name),
                    command: self.text(row.command),
                })
            }
            NodeKind::Module => {
                let row = store.modules.get(index)?;
                Node::Module(ModuleNode {
                    host: row.host,
                    name: self.texts.get(row.name),
                    form: row.form,
                })
            }
            NodeKind::Registry => {
                let row = store.registry.get(index)?;
                Node::Registry(RegistryNode {
                    host: row.host,
                    path: self.texts.get(row.name),
                    details: self.text(row.details),
                })
            }
            NodeKind::Pipe => {
                let row = store.pipes.get(index)?;
                Node::Pipe(PipeNode {
                    host: row.host,
                    name: self.texts.get(row.name),
                })
            }
            NodeKind::Host => {
                let host = *store.hosts.get(index)?;
                Node::Host(HostNode {
                    host,
                    name: self.host_name(host),
                })
            }
        })
    }

    /// A process node; `None` for any other node.
    #[must_use]
    pub fn process(&self, id: NodeId) -> Option<ProcessNode<'_>> {
        self.unit(self.unit_of(id)?)
    }

    /// A file node; `None` for any other node.
    #[must_use]
    pub fn file(&self, id: NodeId) -> Option<FileNode<'_>> {
        let NodeRow { kind, row } = *self.store.nodes.get(id.index())?;
        (kind == NodeKind::File)
            .then(|| self.file_row(row as usize))
            .flatten()
    }

    /// The names that a file had, the last one first; nothing for any other node.
    pub fn aliases(&self, id: NodeId) -> impl Iterator<Item = Alias<'_>> {
        let row = self.store.nodes.get(id.index()).copied();
        let mut next = row
            .filter(|row| row.kind == NodeKind::File)
            .and_then(|row| self.store.files.get(row.row as usize))
            .and_then(|file| file.alias);
        std::iter::from_fn(move || {
            let alias = self.store.aliases.get(next?.index())?;
            next = alias.before;
            Some(Alias {
                path: self.texts.get(alias.path),
                from_us: alias.from_us,
                to_us: alias.to_us,
                seen: alias.seen,
            })
        })
    }

    /// The path by which a file went at a moment: the latest name that it had got by then, or
    /// else its first. `None` for any other node.
    #[must_use]
    pub fn path_at(&self, id: NodeId, at_us: i64) -> Option<Text<'_>> {
        let mut first = None;
        for alias in self.aliases(id) {
            if alias.from_us <= at_us {
                return Some(alias.path);
            }
            first = Some(alias.path);
        }
        first
    }

    /// The name of a host.
    #[must_use]
    pub fn host_name(&self, host: HostId) -> Text<'_> {
        self.processes.host_name(host)
    }

    /// Flows that two hosts recorded, one end each.
    #[must_use]
    pub fn crossings(&self) -> &[Crossing] {
        &self.crossings
    }

    /// How far the clocks of hosts are apart, in the order in which they were placed.
    #[must_use]
    pub fn clocks(&self) -> &[HostClock] {
        &self.clocks
    }

    /// Whether an address is that of a host that was recorded.
    #[must_use]
    pub fn is_recorded_address(&self, ip: IpAddr) -> bool {
        self.addresses.contains_key(&ip.to_canonical())
    }

    /// How far the clock of a host is ahead of the reference, microseconds; 0 where nothing says.
    #[must_use]
    pub fn ahead_us(&self, host: HostId) -> i64 {
        let clock = self.clocks.iter().find(|clock| clock.host == host);
        clock.map_or(0, |clock| clock.ahead_us)
    }

    /// A moment that a node's host tells, as the clock of the reference would: only such moments
    /// of two hosts may be compared.
    #[must_use]
    pub fn even_us(&self, node: NodeId, us: i64) -> i64 {
        if self.clocks.is_empty() {
            return us;
        }
        let host = self.host_of(node);
        us.saturating_sub(host.map_or(0, |host| self.ahead_us(host)))
    }

    /// The host of a node; `None` for what belongs to none.
    #[must_use]
    pub fn host_of(&self, node: NodeId) -> Option<HostId> {
        match self.node(node)? {
            Node::Process(process) => Some(process.host),
            Node::File(file) => Some(file.host),
            Node::Endpoint(place) => place.host,
            Node::Account(account) => Some(account.host),
            Node::Session(session) => Some(session.host),
            Node::Persistence(item) => Some(item.host),
            Node::Module(module) => Some(module.host),
            Node::Registry(key) => Some(key.host),
            Node::Pipe(pipe) => Some(pipe.host),
            Node::Host(host) => Some(host.host),
            Node::Name(_) => None,
        }
    }

    /// Edges out of a node, by their last time.
    #[must_use]
    pub fn outgoing(&self, node: NodeId) -> &[EdgeId] {
        self.outgoing.of(node)
    }

    /// Edges into a node, by their first time.
    #[must_use]
    pub fn incoming(&self, node: NodeId) -> &[EdgeId] {
        self.incoming.of(node)
    }

    /// One step back in time: edges into a node that first happened no later than `until_us`, the
    /// latest first.
    pub fn before(&self, node: NodeId, until_us: i64) -> impl Iterator<Item = Edge> + '_ {
        let list = self.incoming(node);
        let cut = list.partition_point(|&id| {
            self.store
                .edges
                .get(id)
                .is_some_and(|row| row.first_us() <= until_us)
        });
        let early = list.get(..cut).unwrap_or_default();
        early.iter().rev().filter_map(|&id| self.edge(id))
    }

    /// One step forward in time: edges out of a node that last happened no earlier than
    /// `from_us`, the earliest first.
    pub fn after(&self, node: NodeId, from_us: i64) -> impl Iterator<Item = Edge> + '_ {
        let list = self.outgoing(node);
        let cut = list.partition_point(|&id| self.store.edges.last_us(id) < from_us);
        let late = list.get(cut..).unwrap_or_default();
        late.iter().filter_map(|&id| self.edge(id))
    }

    /// How many edges leave a node. A node from which very many leave is a hub, whatever its name.
    #[must_use]
    pub fn fan_out(&self, node: NodeId) -> usize {
        self.outgoing(node).len()
    }

    /// How many edges lead into a node.
    #[must_use]
    pub fn in_degree(&self, node: NodeId) -> usize {
        self.incoming(node).len()
    }

    /// The edges that an event belongs to, also where it was merged into an older one.
    pub fn edges_at(&self, event: EventRef) -> impl Iterator<Item = EdgeId> + '_ {
        self.touches_at(event).filter_map(|touch| touch.edge)
    }

    /// The process that an event is about: its actor, as it was then.
    #[must_use]
    pub fn actor_at(&self, event: EventRef) -> Option<NodeId> {
        self.touches_at(event).find_map(|touch| touch.actor)
    }

    fn touches_at(&self, event: EventRef) -> impl Iterator<Item = &Touch> {
        let packed = self.store.refs.find(event);
        let from = self
            .touches
            .partition_point(|touch| packed.is_none_or(|packed| touch.event < packed));
        let late = self.touches.get(from..).unwrap_or_default();
        late.iter()
            .take_while(move |touch| Some(touch.event) == packed)
    }

    /// The session that a process belongs to.
    #[must_use]
    pub fn session_of(&self, process: NodeId) -> Option<NodeId> {
        let unit = self.unit_of(process)?;
        let machine = self.processes.machine_of(unit)?;
        let session = self.processes.session(unit)?;
        self.sessions.get(&(machine, session)).copied()
    }

    fn text(&self, id: Option<TextId>) -> Option<Text<'_>> {
        id.map(|id| self.texts.get(id))
    }

    fn file_row(&self, index: usize) -> Option<FileNode<'_>> {
        let row = self.store.files.get(index)?;
        Some(FileNode {
            host: row.host,
            path: self.texts.get(row.path),
            generation: row.generation,
            dev: row.dev,
            inode: row.inode,
            form: row.form,
            autostart: row.autostart,
            autostart_command: self.text(row.autostart_command),
            size: row.size,
            mode: row.mode,
            sha256: row.sha256,
            created_us: row.created_us,
            changed_us: row.changed_us,
            deleted_us: row.deleted_us,
        })
    }

    fn unit_of(&self, id: NodeId) -> Option<UnitId> {
        let NodeRow { kind, row } = *self.store.nodes.get(id.index())?;
        let row = (kind == NodeKind::Process).then_some(row as usize)?;
        self.store.process_rows.get(row).copied()
    }

    fn node_of(&self, unit: UnitId) -> Option<NodeId> {
        self.store.unit_nodes.get(unit.index()).copied().flatten()
    }

    fn unit(&self, id: UnitId) -> Option<ProcessNode<'_>> {
        let unit = self.processes.unit(id)?;
        let process = self.processes.process(unit.process)?;
        let text = |id: Option<TextId>| id.map(|id| self.processes.texts.get(id));
        let next = unit.next.and_then(|next| self.processes.unit(next));
        let last = process.last_unit == id;
        let exit = process.exit_ref.filter(|_| last).map(|seen| Exit {
            code: process.exit_code,
            signal: process.exit_signal,
            seen,
        });
        Some(ProcessNode {
            host: self.processes.host_of(process.machine)?,
            key: process.key,
            unit: unit.number,
            recorded: process.recorded,
            image: text(unit.image),
            args: text(unit.args).map(|args| Args(args.0)),
            args_had: unit.args_had,
            command_line: text(unit.command_line),
            script: text(unit.script),
            cwd: text(unit.cwd),
            uid: unit.uid,
            euid: unit.euid,
            login_uid: unit.login_uid,
            session: unit.session,
            tty: text(unit.tty),
            account: self.processes.account_of(id),
            container: text(unit.container),
            sha256: unit.sha256,
            start_us: unit.start_us,
            end_us: if last {
                process.end_us
            } else {
                next.map(|next| next.start_us)
            },
            exit,
            start_ref: unit.start_ref,
            parent: process.parent.and_then(|parent| self.node_of(parent)),
            previous: unit.previous.and_then(|previous| self.node_of(previous)),
        })
    }
}

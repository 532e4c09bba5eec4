//! How nodes and edges are kept: rows of tables, texts by id.

use std::net::IpAddr;

use saigen_schemas::event::{AutostartKind, Hash32, Protocol};

use crate::graph::edges::Edges;
use crate::graph::refs::{PackedRef, Refs};
use crate::graph::{EdgeId, FileForm, ModuleForm, NodeId, NodeKind, PersistenceKind};
use crate::reference::EventRef;
use crate::replay::{HostId, TextId, UnitId, ids};

ids! {
    /// A row of the table of files.
    FileId
    /// A row of the table of names that files had.
    AliasId
}

/// A node: its kind, and its row in the table of that kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeRow {
    pub(super) kind: NodeKind,
    pub(super) row: u32,
}

/// That an event belongs to an edge, or (without edge) only to the node of its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Touch {
    pub(super) event: PackedRef,
    pub(super) edge: Option<EdgeId>,
    pub(super) actor: Option<NodeId>,
}

/// A process node is a unit of the table of processes.
pub(super) type ProcessRow = UnitId;

/// A file.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) host: HostId,
    pub(super) node: NodeId,
    pub(super) path: TextId,
    pub(super) generation: u32,
    pub(super) dev: Option<u64>,
    pub(super) inode: Option<u64>,
    pub(super) form: FileForm,
    pub(super) autostart: Option<AutostartKind>,
    pub(super) autostart_command: Option<TextId>,
    pub(super) size: Option<u64>,
    pub(super) mode: Option<u32>,
    pub(super) sha256: Option<Hash32>,
    pub(super) created_us: Option<i64>,
    /// When it was last written, or came to its place, since recording began.
    pub(super) changed_us: Option<i64>,
    /// Who did that.
    pub(super) changed_by: Option<UnitId>,
    pub(super) deleted_us: Option<i64>,
    /// The last of its names; earlier ones hang on it.
    pub(super) alias: Option<AliasId>,
    /// How many of its known names still lead to it.
    pub(super) names: u32,
}

/// A name that a file had.
#[derive(Clone, Debug)]
pub(super) struct AliasRow {
    pub(super) path: TextId,
    pub(super) from_us: i64,
    pub(super) to_us: Option<i64>,
    pub(super) seen: EventRef,
    pub(super) before: Option<AliasId>,
}

/// A place of the network, or a Unix socket. It is its own key, without the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EndpointKey {
    pub(super) host: Option<HostId>,
    pub(super) protocol: Option<Protocol>,
    pub(super) ip: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) path: Option<TextId>,
}

#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) key: EndpointKey,
    pub(super) name: Option<TextId>,
}

#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) host: HostId,
    pub(super) uid: Option<u32>,
    pub(super) name: Option<TextId>,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) host: HostId,
    pub(super) session: u64,
    pub(super) account: Option<TextId>,
    pub(super) terminal: Option<TextId>,
    pub(super) remote_ip: Option<IpAddr>,
    pub(super) remote_host: Option<TextId>,
    pub(super) first_us: i64,
    pub(super) end_us: Option<i64>,
}

#[derive(Clone, Debug)]
pub(super) struct Persistence {
    pub(super) host: HostId,
    pub(super) kind: PersistenceKind,
    pub(super) name: TextId,
    pub(super) command: Option<TextId>,
    /// When it was configured, as the first record says; `None` where it only ran.
    pub(super) first_us: Option<i64>,
}

#[derive(Clone, Debug)]
pub(super) struct Module {
    pub(super) host: HostId,
    pub(super) name: TextId,
    pub(super) form: ModuleForm,
}

/// A registry key or a pipe: a thing of a host that its name tells apart.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) host: HostId,
    pub(super) name: TextId,
    pub(super) details: Option<TextId>,
}

/// The tables of a graph.
#[derive(Default)]
pub(super) struct Store {
    pub(super) nodes: Vec<NodeRow>,
    pub(super) edges: Edges,
    pub(super) refs: Refs,
    pub(super) process_rows: Vec<ProcessRow>,
    /// The node of each unit, by the unit's row.
    pub(super) unit_nodes: Vec<Option<NodeId>>,
    pub(super) files: Vec<File>,
    pub(super) aliases: Vec<AliasRow>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) names: Vec<TextId>,
    pub(super) accounts: Vec<Account>,
    pub(super) sessions: Vec<Session>,
    pub(super) persistence: Vec<Persistence>,
    pub(super) modules: Vec<Module>,
    pub(super) registry: Vec<Named>,
    pub(super) pipes: Vec<Named>,
    pub(super) hosts: Vec<HostId>,
}

impl Store {
    /// The same happened again.
    pub(super) fn prolong(&mut self, edge: EdgeId, at_us: i64, event: EventRef) {
        let event = self.refs.pack(event);
        self.edges.cover(edge, at_us, event);
        self.edges.count(edge);
    }

    /// It happened at this moment, too, by an event that is part of what is counted already.
    pub(super) fn cover(&mut self, edge: EdgeId, at_us: i64, event: EventRef) {
        let event = self.refs.pack(event);
        self.edges.cover(edge, at_us, event);
    }

    /// Memory of all nodes, without processes and texts, in bytes.
    pub(super) const fn node_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<NodeRow>()
            + self.process_rows.capacity() * size_of::<ProcessRow>()
            + self.unit_nodes.capacity() * size_of::<Option<NodeId>>()
            + self.files.capacity() * size_of::<File>()
            + self.aliases.capacity() * size_of::<AliasRow>()
            + self.endpoints.capacity() * size_of::<Endpoint>()
            + self.names.capacity() * size_of::<TextId>()
            + self.accounts.capacity() * size_of::<Account>()
            + self.sessions.capacity() * size_of::<Session>()
            + self.persistence.capacity() * size_of::<Persistence>()
            + self.modules.capacity() * size_of::<Module>()
            + (self.registry.capacity() + self.pipes.capacity()) * size_of::<Named>()
    }
}

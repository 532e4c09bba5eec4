//! Nodes: the things that events are about.

use std::net::IpAddr;

use saigen_schemas::event::{Args, AutostartKind, Had, Hash32, ProcessKey, Protocol, Text};

use crate::reference::EventRef;
use crate::replay::{HostId, Recorded, ids};

ids! {
    /// A node of a [`crate::graph::Graph`], numbered in the order of first sight.
    NodeId
}

/// The kind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// A unit of a process: what it did between two execs.
    Process,
    /// A file, through all its names.
    File,
    /// A place that can be connected to, or that connections come from.
    Endpoint,
    /// A name that was resolved.
    Name,
    /// An account of a host.
    Account,
    /// A login session.
    Session,
    /// Something configured to run by itself that is no file: a service, a task, a subscription.
    Persistence,
    /// A kernel module, a driver or a BPF program.
    Module,
    /// A registry key or value.
    Registry,
    /// A named pipe.
    Pipe,
    /// A host.
    Host,
}

impl NodeKind {
    /// The word, as reports and exports print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::File => "file",
            Self::Endpoint => "endpoint",
            Self::Name => "name",
            Self::Account => "account",
            Self::Session => "session",
            Self::Persistence => "persistence",
            Self::Module => "module",
            Self::Registry => "registry",
            Self::Pipe => "pipe",
            Self::Host => "host",
        }
    }
}

/// What is known of a node. Everything is borrowed from the graph.
#[derive(Clone, Copy, Debug)]
#[expect(
    missing_docs,
    reason = "each variant is the struct of its name, documented there"
)]
pub enum Node<'g> {
    Process(ProcessNode<'g>),
    File(FileNode<'g>),
    Endpoint(EndpointNode<'g>),
    Name(NameNode<'g>),
    Account(AccountNode<'g>),
    Session(SessionNode<'g>),
    Persistence(PersistenceNode<'g>),
    Module(ModuleNode<'g>),
    Registry(RegistryNode<'g>),
    Pipe(PipeNode<'g>),
    Host(HostNode<'g>),
}

/// A unit of a process: from its fork (or an exec) to the next exec or its end.
///
/// A fork that does nothing before it execs is one unit with that exec. A process that execs
/// again opens a further unit, and [`crate::graph::Verb::Became`] leads from the one to the other.
#[derive(Clone, Copy, Debug)]
pub struct ProcessNode<'g> {
    /// Where it ran.
    pub host: HostId,
    /// Which process; unique with host and boot.
    pub key: ProcessKey,
    /// Number of the unit in its process, from 0.
    pub unit: u32,
    /// How we know of the process.
    pub recorded: Recorded,
    /// Path of its program. Of a fork without exec: the program of which it is a copy.
    pub image: Option<Text<'g>>,
    /// Its arguments (of a fork without exec: those of its parent).
    pub args: Option<Args<'g>>,
    /// How the arguments were had, when not copied by the kernel.
    pub args_had: Option<Had>,
    /// The command line where a source gives one text instead of arguments.
    pub command_line: Option<Text<'g>>,
    /// The script that an interpreter was started for by `#!`.
    pub script: Option<Text<'g>>,
    /// Working directory at its start.
    pub cwd: Option<Text<'g>>,
    /// Real user id, the last known.
    pub uid: Option<u32>,
    /// Effective user id, the last known.
    pub euid: Option<u32>,
    /// Login user id; none where nobody had logged in.
    pub login_uid: Option<u32>,
    /// Login session id; none where there is none.
    pub session: Option<u64>,
    /// Controlling terminal.
    pub tty: Option<Text<'g>>,
    /// Name of the account of `euid`.
    pub account: Option<Text<'g>>,
    /// Container id.
    pub container: Option<Text<'g>>,
    /// SHA-256 of the image.
    pub sha256: Option<Hash32>,
    /// Start of the unit, wall clock, microseconds; of a process that stood when recording began
    /// as the kernel remembers it; of one that is only named, when it was first named.
    pub start_us: i64,
    /// End of the unit: the next exec, or the process's exit. `None`: not seen to end.
    pub end_us: Option<i64>,
    /// How the process ended, if this is its last unit and the end was recorded.
    pub exit: Option<Exit>,
    /// The record of its start: the exec, or else the fork or the snapshot.
    pub start_ref: Option<EventRef>,
    /// The unit that created the process by fork; what re-parenting did later does not change it.
    pub parent: Option<NodeId>,
    /// The unit of the same process before its exec.
    pub previous: Option<NodeId>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, if it ended by itself.
    pub code: Option<u32>,
    /// Signal, if one ended it.
    pub signal: Option<u32>,
    /// The record.
    pub seen: EventRef,
}

/// A file, through all its names. A path that is made anew after the file was deleted or
/// replaced leads to another file.
#[derive(Clone, Copy, Debug)]
pub struct FileNode<'g> {
    /// Where it is.
    pub host: HostId,
    /// Its last known path. All names, with times: [`crate::graph::Graph::aliases`].
    pub path: Text<'g>,
    /// How many files led by this path before it.
    pub generation: u32,
    /// Its device, major in the upper 32 bits.
    pub dev: Option<u64>,
    /// Its inode.
    pub inode: Option<u64>,
    /// What kind of thing it is.
    pub form: FileForm,
    /// What would start what it says or holds, if its place is one of those.
    pub autostart: Option<AutostartKind>,
    /// What it starts, as the snapshot at the recording's begin has it.
    pub autostart_command: Option<Text<'g>>,
    /// Its last known size, in bytes.
    pub size: Option<u64>,
    /// Its last known mode bits.
    pub mode: Option<u32>,
    /// SHA-256 of its content, the last known.
    pub sha256: Option<Hash32>,
    /// When it came to be, if that was recorded: wall clock, microseconds.
    pub created_us: Option<i64>,
    /// When it was last written, or came to its place, since recording began.
    pub changed_us: Option<i64>,
    /// When its last known name was removed.
    pub deleted_us: Option<i64>,
}

/// What kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileForm {
    /// With a path on a file system.
    Ordinary,
    /// In memory, without a path, `memfd_create(2)`.
    Memory,
}

/// A name that a file had.
#[derive(Clone, Copy, Debug)]
pub struct Alias<'g> {
    /// The path.
    pub path: Text<'g>,
    /// Since when, wall clock, microseconds.
    pub from_us: i64,
    /// Until when, if that was seen.
    pub to_us: Option<i64>,
    /// The record that gave it this name, or first used it.
    pub seen: EventRef,
}

/// A place that can be connected to, or that connections come from.
#[derive(Clone, Copy, Debug)]
pub struct EndpointNode<'g> {
    /// The host whose own place it is: of listeners, loopback addresses and Unix sockets. `None`
    /// for an address that any host may reach.
    pub host: Option<HostId>,
    /// Transport.
    pub protocol: Option<Protocol>,
    /// Address.
    pub ip: Option<IpAddr>,
    /// Port; `None` where it is a client's, which means nothing.
    pub port: Option<u16>,
    /// Path or name of a Unix socket.
    pub path: Option<Text<'g>>,
    /// Name of the other end, where a record or a resolution says it.
    pub name: Option<Text<'g>>,
}

/// A name that was resolved.
#[derive(Clone, Copy, Debug)]
pub struct NameNode<'g> {
    /// The name.
    pub name: Text<'g>,
}

/// An account of a host.
#[derive(Clone, Copy, Debug)]
pub struct AccountNode<'g> {
    /// The host.
    pub host: HostId,
    /// User id.
    pub uid: Option<u32>,
    /// Name.
    pub name: Option<Text<'g>>,
}

/// A login session of a host.
#[derive(Clone, Copy, Debug)]
pub struct SessionNode<'g> {
    /// The host.
    pub host: HostId,
    /// Its id: `ses` of audit, a Windows logon id.
    pub session: u64,
    /// Who logged in.
    pub account: Option<Text<'g>>,
    /// Terminal.
    pub terminal: Option<Text<'g>>,
    /// From where.
    pub remote_ip: Option<IpAddr>,
    /// From where, by name.
    pub remote_host: Option<Text<'g>>,
    /// First seen, wall clock, microseconds.
    pub first_us: i64,
    /// When it ended, if that was seen.
    pub end_us: Option<i64>,
}

/// Something configured to run by itself that is no file.
#[derive(Clone, Copy, Debug)]
pub struct PersistenceNode<'g> {
    /// The host.
    pub host: HostId,
    /// What starts it.
    pub kind: PersistenceKind,
    /// Its name.
    pub name: Text<'g>,
    /// What it runs, the last known.
    pub command: Option<Text<'g>>,
}

/// What kind of configured thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersistenceKind {
    /// A service.
    Service,
    /// A driver.
    Driver,
    /// A scheduled task.
    ScheduledTask,
    /// A WMI filter, consumer or binding.
    WmiSubscription,
}

/// A kernel module, a driver or a BPF program.
#[derive(Clone, Copy, Debug)]
pub struct ModuleNode<'g> {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub name: Text<'g>,
    /// Whether it is a BPF program or a module.
    pub form: ModuleForm,
}

/// What kind of code in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModuleForm {
    /// A module or driver.
    Module,
    /// A BPF program.
    Bpf,
}

/// A registry key or value.
#[derive(Clone, Copy, Debug)]
pub struct RegistryNode<'g> {
    /// The host.
    pub host: HostId,
    /// Its path.
    pub path: Text<'g>,
    /// Its content, the last known.
    pub details: Option<Text<'g>>,
}

/// A named pipe.
#[derive(Clone, Copy, Debug)]
pub struct PipeNode<'g> {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub name: Text<'g>,
}

/// A host.
#[derive(Clone, Copy, Debug)]
pub struct HostNode<'g> {
    /// Which.
    pub host: HostId,
    /// Its name, as it calls itself.
    pub name: Text<'g>,
}

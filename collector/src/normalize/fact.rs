//! Facts: what was normalized and waits for its turn, with texts of its own.
//!
//! A fact knows its process by pid until its turn comes: by then all that tells which process had
//! the pid has been read.

use crate::procfs::Ids;
use crate::source::audit::assemble::AuditEvent;
use crate::source::dns::Answer;
use crate::source::fanotify::Mount;
use saigen_schemas::event::{Namespace, Outcome, ProcessKey, Protocol, Source, SourceState, Touch};
use std::net::IpAddr;
use std::sync::Arc;

/// Something that happened.
#[derive(Debug)]
pub struct Fact {
    /// When, boot clock, microseconds.
    pub at_us: u64,
    /// Audit's number of it, where audit told: what one process did comes in the order of these.
    pub serial: Option<u64>,
    /// Who reported it.
    pub source: Source,
    /// Which process it is about.
    pub who: Who,
    /// What.
    pub detail: Detail,
}

/// Which process a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// None, or nobody knows.
    Nobody,
    /// The process that had the pid then.
    Pid(u32),
    /// This one.
    Key(ProcessKey),
}

/// What happened.
#[derive(Debug)]
pub enum Detail {
    /// A program was started: the oldest start of this process that waits.
    Start,
    /// If the start that audit told of under this serial still waits alone, it is recorded.
    AuditStartAlone {
        /// Its serial.
        serial: u64,
    },
    /// If the start that the connector told of still waits alone, it is recorded.
    NoteStartAlone,
    /// A process was made.
    Fork {
        /// By whom.
        parent: ProcessKey,
    },
    /// A process ended.
    Exit,
    /// Ids or capabilities changed.
    Credentials(Box<Credentials>),
    /// A process was reached into.
    Traced {
        /// The process that it was done to.
        target: u32,
        /// How.
        how: Touch,
        /// Whether it was done.
        outcome: Outcome,
    },
    /// Something happened to a file.
    File(Box<FileFact>),
    /// A file was mapped executable.
    Mapped {
        /// Its path.
        path: Arc<[u8]>,
        /// Its device, as `makedev(3)` packs it, and its inode.
        id: (u64, u64),
    },
    /// A memory file was made.
    Memory {
        /// Its flags.
        flags: u64,
        /// Its name, if it could still be asked for.
        name: Option<Vec<u8>>,
    },
    /// io_uring changed names in a directory.
    Uring {
        /// The operation, in the journal's word.
        operation: &'static str,
        /// What it was done to, one path or two; empty where the kernel did not copy them: the work is
        /// done by another thread than the one that named them.
        paths: Vec<u8>,
    },
    /// Something happened to a connection.
    Flow(FlowFact),
    /// A module was loaded, or tried to.
    Module {
        /// Its name.
        name: Vec<u8>,
        /// Whether it was done.
        outcome: Outcome,
        /// The system call.
        call: &'static str,
    },
    /// A name was resolved.
    Resolved(Box<Answer>),
    /// A BPF program came or went.
    Bpf {
        /// Its name, where the kernel told it.
        name: Option<Vec<u8>>,
        /// The kernel's number of it.
        id: u64,
        /// The kernel's hash of it.
        tag: [u8; 8],
        /// Came or went.
        state: SourceState,
    },
    /// A file system was mounted, moved or unmounted, or the root changed.
    Mounted {
        /// Where.
        path: Vec<u8>,
        /// What, and its type, as the mount table had it soon after.
        what: Option<Box<Mount>>,
        /// The system call.
        call: &'static str,
    },
    /// A process has another namespace than the one that made it, or than before.
    Namespace {
        /// Which.
        namespace: Namespace,
        /// Its inode.
        inode: u64,
    },
    /// A login, logout, refusal, or switch of identity.
    Session(Box<SessionFact>),
    /// Somebody else configured audit.
    AuditChanged {
        /// The record's text.
        text: Vec<u8>,
    },
}

/// A program's start, gathered from all who saw it.
#[derive(Debug, Default)]
pub struct Start {
    /// When, boot clock, microseconds.
    pub at_us: u64,
    /// The path that was asked for, as perf saw it.
    pub asked: Vec<u8>,
    /// The program that was mapped; empty if no mapping was seen.
    pub image: Arc<[u8]>,
    /// Device (as `makedev(3)` packs it) and inode of the image.
    pub image_id: (u64, u64),
    /// Texts that perf's copy of the stack held.
    pub stack: Option<StackTexts>,
    /// What audit said.
    pub audit: Option<Box<AuditEvent>>,
    /// What the connector saw.
    pub note: Option<StartNote>,
    /// Whether perf saw it.
    pub by_perf: SeenBy,
}

/// Whether a source saw a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeenBy {
    /// It did not.
    #[default]
    No,
    /// It did.
    Yes,
}

/// Texts found on the new program's stack.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StackTexts {
    /// Arguments, each ended by NUL.
    pub args: Vec<u8>,
    /// Whether all arguments are there.
    pub whole: Whole,
    /// Chosen variables of the environment, each ended by NUL.
    pub environment: Vec<u8>,
    /// Whether the whole environment could be looked at.
    pub environment_whole: Whole,
}

/// Whether all of something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Whole {
    /// It is.
    #[default]
    Yes,
    /// Some is missing.
    No,
}

/// A start that the connector told of.
#[derive(Debug, Default)]
pub struct StartNote {
    /// When, boot clock, microseconds.
    pub at_us: u64,
    /// What `/proc` said right after, where no better source of arguments is there.
    pub raced: Option<Box<Raced>>,
}

/// What `/proc` said of a process after its start.
#[derive(Debug, Default)]
pub struct Raced {
    /// Arguments.
    pub args: Vec<u8>,
    /// Program.
    pub exe: Vec<u8>,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// Login user.
    pub login_uid: Option<u32>,
    /// Ids.
    pub ids: Option<Ids>,
}

/// A change of ids or capabilities.
#[derive(Debug)]
pub struct Credentials {
    /// The call that did it; empty if it is not known.
    pub call: &'static str,
    /// Ids afterwards; what the source does not say is `None`.
    pub ids: [Option<u32>; 4],
    /// Effective capabilities afterwards, where the call set them.
    pub capabilities: Option<u64>,
}

/// What happened to a file, and to which.
#[derive(Debug)]
pub struct FileFact {
    /// What.
    pub what: FileWhat,
    /// Its path, or the path before.
    pub path: Option<Vec<u8>>,
    /// The path after, of a rename.
    pub to: Option<Vec<u8>>,
    /// Device, major in the upper 32 bits.
    pub dev: Option<u64>,
    /// Inode.
    pub inode: Option<u64>,
    /// What it was like when it was looked at.
    pub status: Option<FileState>,
    /// When it happened by the file's own clock, boot clock; may be early by a tick.
    pub changed_us: Option<u64>,
}

/// A file as it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// Bytes.
    pub size: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When its content was last changed, as it says itself, UTC.
    pub modified_us: i64,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the kind of event of its name")]
pub enum FileWhat {
    Created,
    Linked,
    Written,
    Renamed,
    Deleted,
    Attributes,
    Read,
}

/// Something that happened to a connection.
#[derive(Debug, Clone, Copy)]
pub struct FlowFact {
    /// What.
    pub what: FlowWhat,
    /// Transport, where it is known.
    pub protocol: Option<Protocol>,
    /// This end.
    pub local: Option<(IpAddr, u16)>,
    /// The other end.
    pub remote: Option<(IpAddr, u16)>,
    /// How the process is known.
    pub owner: Owner,
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowWhat {
    /// It was opened from here.
    Connected(Outcome),
    /// It was taken from elsewhere.
    Accepted,
    /// It is waited for.
    Listening,
    /// It ended.
    Closed {
        /// How long it stood.
        run_us: Option<u64>,
        /// Whether the other end said that it was done, which the kernel counts as a byte.
        fin: Fin,
    },
}

/// Whether the other end of a connection said that it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fin {
    /// It did not.
    #[default]
    No,
    /// It did.
    Yes,
    /// The states that were seen fit both.
    Perhaps,
}

/// How a connection's process is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It made the call.
    Caller,
    /// It, or one that it made, waits for connections there.
    Listener,
    /// It made the call, and the transport follows from what no other source saw.
    CallerByExclusion,
}

/// A login, logout, refusal or switch of identity, from a program's own record.
#[derive(Debug, Default)]
pub struct SessionFact {
    /// Which.
    pub what: SessionWhat,
    /// The account.
    pub account: Vec<u8>,
    /// Its id.
    pub uid: Option<u32>,
    /// Login session.
    pub session: Option<u32>,
    /// Terminal.
    pub terminal: Vec<u8>,
    /// Address of the other end.
    pub remote_ip: Option<IpAddr>,
    /// Name of the other end.
    pub remote_host: Vec<u8>,
    /// The program that says it.
    pub program: Vec<u8>,
    /// What was done, in the program's word.
    pub operation: Vec<u8>,
    /// The command, of a switch.
    pub command: Vec<u8>,
    /// Whether it was allowed.
    pub outcome: Option<Outcome>,
}

/// Which kind of session's event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionWhat {
    /// A login.
    #[default]
    Logon,
    /// A logout.
    Logoff,
    /// A refusal.
    Refused,
    /// A switch of identity.
    Switch,
}

/// A device as events have it: major in the upper 32 bits, minor in the lower.
#[must_use]
pub fn event_device(dev: u64) -> u64 {
    u64::from(rustix::fs::major(dev)) << 32 | u64::from(rustix::fs::minor(dev))
}

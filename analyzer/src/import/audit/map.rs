//! What an audit event says, as events of ours.

use std::collections::{HashMap, HashSet};

use saigen_schemas::event::{
    Args, BootId, Event, Fields, FieldsBuf, Had, Kind, KindName, Marks, ProcessFork, ProcessKey,
    RecordRaw, Source, StateProcess, Text, Time,
};

use crate::import::audit::calls;
use crate::import::audit::kinds::RecordType;
use crate::import::audit::parsed::{Parsed, Record};
use crate::import::audit::programs;
use crate::import::audit::subject::{Call, Subject};
use crate::import::audit::syscalls::Syscalls;
use crate::import::audit::window::Gathered;
use crate::import::audit::{paths, start};
use crate::import::{At, ImportError, Sink, Skipped};

/// Most processes that are remembered as told of. Linux has at most 4 million pids; a host that
/// uses so many is told again of some, which costs an event each.
const TOLD_MAX: usize = 1 << 20;

/// Most children of `clone3` whose nature is open.
const OPEN_MAX: usize = 1 << 14;

/// Turns events of audit into ours, one after the other.
#[derive(Debug)]
pub(super) struct Mapper {
    syscalls: Syscalls,
    parsed: Parsed,
    extra: FieldsBuf,
    /// Hosts by the order of their first event.
    hosts: Vec<Vec<u8>>,
    /// Processes, by host and pid, that an event told of already.
    told: HashSet<(usize, u32)>,
    /// What `clone3` made, process or thread: it is told when the pid does something.
    open: HashMap<(usize, u32), OpenFork>,
    args: Vec<u8>,
}

/// A `clone3` that made a thread or a process.
#[derive(Clone, Copy, Debug)]
struct OpenFork {
    at: At,
    wall_us: i64,
    recorded_us: Option<i64>,
    parent: u32,
}

/// Where events go, with what all events of one record share.
pub(super) struct Out<'o> {
    pub(super) sink: &'o mut dyn Sink,
    pub(super) at: At,
    pub(super) wall_us: i64,
    pub(super) recorded_us: Option<i64>,
    pub(super) host: &'o [u8],
    pub(super) serial: u32,
    pub(super) extra: Fields<'o>,
    /// The record was told before.
    is_later: bool,
}

impl Out<'_> {
    /// Tells an event.
    pub(super) fn tell(
        &mut self,
        actor: Option<ProcessKey>,
        kind: Kind<'_>,
        marks: Marks<'_>,
    ) -> Result<(), ImportError> {
        let event = Event {
            seq: 0,
            time: Time {
                wall_us: self.wall_us,
                boot_us: None,
            },
            recorded_us: self.recorded_us,
            host: Text(self.host),
            boot: BootId::default(),
            source: Source::Audit,
            actor,
            marks,
            extra: self.extra,
            kind,
        };
        if self.is_later {
            self.sink.later_event(self.at, &event)
        } else {
            self.sink.event(self.at, &event)
        }
    }

    /// Tells a record that is of no kind of its own.
    pub(super) fn tell_raw(
        &mut self,
        actor: Option<ProcessKey>,
        record: Record<'_>,
    ) -> Result<(), ImportError> {
        let number = u64::from(record.record_type().0);
        let kind = Kind::RecordRaw(RecordRaw {
            channel: Some("audit".into()),
            provider: Some(Text(record.type_name())),
            event_id: Some(number).filter(|&number| number != 0 && number < 10_000),
            record_id: Some(u64::from(self.serial)),
            message: None,
        });
        self.tell(actor, kind, Marks(b""))
    }
}

/// A process by its pid alone: audit does not say when it began.
pub(super) fn key(pid: Option<u32>) -> Option<ProcessKey> {
    pid.filter(|&pid| pid != 0)
        .map(|pid| ProcessKey::new(pid, 0))
}

/// A mark for one field of a kind.
pub(super) fn mark(kind: KindName, field: &str, had: Had) -> Option<[u8; 2]> {
    let index = kind.fields().iter().position(|&own| own == field)?;
    Some([u8::try_from(index).ok()?, u8::try_from(had.code()).ok()?])
}

impl Mapper {
    pub(super) fn new() -> Self {
        Self {
            syscalls: Syscalls::new(),
            parsed: Parsed::default(),
            extra: FieldsBuf::default(),
            hosts: Vec::new(),
            told: HashSet::new(),
            open: HashMap::new(),
            args: Vec::new(),
        }
    }

    /// Tells what an event says.
    pub(super) fn map(
        &mut self,
        event: &mut Gathered,
        sink: &mut dyn Sink,
    ) -> Result<(), ImportError> {
        let Some(at) = event.at else {
            return Ok(());
        };
        let mut parsed = std::mem::take(&mut self.parsed);
        parsed.fill(event);
        let told = self.map_parsed(&parsed, event, at, sink);
        parsed.empty_into(event);
        self.parsed = parsed;
        told
    }

    fn map_parsed(
        &mut self,
        parsed: &Parsed,
        event: &Gathered,
        at: At,
        sink: &mut dyn Sink,
    ) -> Result<(), ImportError> {
        let first = parsed
            .records()
            .find(|record| record.record_type() != RecordType::EOE);
        let Some(first) = first else {
            sink.skip(at, Skipped::Empty);
            return Ok(());
        };
        let mut extra = std::mem::take(&mut self.extra);
        parsed.extra(&self.syscalls, &mut extra);
        let host = match event.host.as_slice() {
            b"" => first.known(b"node").unwrap_or_default(),
            host => host,
        };
        let mut out = Out {
            sink,
            at,
            wall_us: event.wall_us,
            recorded_us: event.recorded_us,
            host,
            serial: event.serial,
            extra: extra.as_fields(),
            is_later: false,
        };
        let told = self.tell(parsed, first, &mut out);
        self.extra = extra;
        told
    }

    fn tell(
        &mut self,
        parsed: &Parsed,
        first: Record<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), ImportError> {
        let host = self.host(out.host);
        let caller = parsed
            .find(RecordType::SYSCALL)
            .or_else(|| parsed.find(RecordType::AUOMS));
        let Some(record) = caller else {
            return self.tell_program(parsed, first, host, out);
        };
        let call = Call::of(record, &self.syscalls);
        let has_args = parsed.find(RecordType::EXECVE).is_some();
        if call.is_done() && (has_args || matches!(call.name, b"execve" | b"execveat")) {
            self.told_of(host, call.subject.pid);
            return start::tell(parsed, record, &call, &mut self.args, out);
        }
        self.introduce(parsed, &call.subject, host, out)?;
        if let Some(child) = forked(&call) {
            self.told_of(host, Some(child));
            let fork = ProcessFork {
                parent: key(call.subject.pid),
            };
            return out.tell(key(Some(child)), Kind::ProcessFork(fork), Marks(b""));
        }
        if call.name == b"clone3"
            && let Some((child, parent)) = child_of(&call).zip(call.subject.pid)
        {
            self.keep_open((host, child), parent, out);
        }
        if call.name == b"exit_group"
            && let Some(pid) = call.subject.pid
        {
            self.told.remove(&(host, pid));
        }
        calls::tell(parsed, record, &call, out)
    }

    /// An event without a system call: what a program, the daemon or the kernel says.
    fn tell_program(
        &mut self,
        parsed: &Parsed,
        first: Record<'_>,
        host: usize,
        out: &mut Out<'_>,
    ) -> Result<(), ImportError> {
        let subject = Subject::of(first);
        if subject.exe.is_some() {
            self.introduce(parsed, &subject, host, out)?;
        }
        programs::tell(first, &subject, out)
    }

    /// Tells of a process whose beginning is not in the log what this record says of it: it stood
    /// already.
    fn introduce(
        &mut self,
        parsed: &Parsed,
        subject: &Subject<'_>,
        host: usize,
        out: &mut Out<'_>,
    ) -> Result<(), ImportError> {
        let Some(pid) = subject.pid.filter(|&pid| pid != 0) else {
            return Ok(());
        };
        if self.told.contains(&(host, pid)) {
            return Ok(());
        }
        if let Some(open) = self.open.remove(&(host, pid)) {
            self.told_of(host, Some(pid));
            return tell_open(open, pid, out);
        }
        self.told_of(host, Some(pid));
        let title = start::title(parsed);
        let kind = StateProcess {
            parent: key(subject.ppid),
            image: subject.image().map(Text),
            args: title.map(Args),
            cwd: paths::cwd(parsed).map(Text),
            name: subject.comm.map(Text),
            uid: subject.uid,
            euid: subject.euid,
            gid: subject.gid,
            login_uid: subject.auid,
            session: subject.session,
            tty: subject.tty.map(Text),
            account: subject.account.map(Text),
            container: None,
            sha256: None,
            started_us: None,
        };
        let had = if title.is_some_and(start::is_cut_title) {
            Had::Truncated
        } else {
            Had::Raced
        };
        let args = title.and_then(|_| mark(KindName::StateProcess, "args", had));
        let marks = args.as_ref().map_or(&b""[..], |mark| mark);
        let fields = std::mem::replace(&mut out.extra, Fields(b""));
        let told = out.tell(key(Some(pid)), Kind::StateProcess(kind), Marks(marks));
        out.extra = fields;
        told
    }

    fn host(&mut self, name: &[u8]) -> usize {
        match self.hosts.iter().position(|own| own == name) {
            Some(place) => place,
            None => {
                self.hosts.push(name.to_vec());
                self.hosts.len() - 1
            }
        }
    }

    fn told_of(&mut self, host: usize, pid: Option<u32>) {
        let Some(pid) = pid else {
            return;
        };
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert((host, pid));
    }

    fn keep_open(&mut self, child: (usize, u32), parent: u32, out: &Out<'_>) {
        if self.open.len() >= OPEN_MAX {
            self.open.clear();
        }
        self.told.remove(&child);
        let open = OpenFork {
            at: out.at,
            wall_us: out.wall_us,
            recorded_us: out.recorded_us,
            parent,
        };
        self.open.insert(child, open);
    }
}

/// Tells of a fork by `clone3`, at its own place and time.
fn tell_open(open: OpenFork, child: u32, out: &mut Out<'_>) -> Result<(), ImportError> {
    let now = (out.at, out.wall_us, out.recorded_us);
    let fields = std::mem::replace(&mut out.extra, Fields(b""));
    (out.at, out.wall_us, out.recorded_us) = (open.at, open.wall_us, open.recorded_us);
    let fork = ProcessFork {
        parent: key(Some(open.parent)),
    };
    out.is_later = true;
    let told = out.tell(key(Some(child)), Kind::ProcessFork(fork), Marks(b""));
    out.is_later = false;
    (out.at, out.wall_us, out.recorded_us) = now;
    out.extra = fields;
    told
}

/// The pid that a call gave to its caller's child.
fn child_of(call: &Call<'_>) -> Option<u32> {
    if call.success != Some(true) {
        return None;
    }
    u32::try_from(call.exit?).ok().filter(|&pid| pid != 0)
}

/// The process that a call made. `clone3` has its flags in memory, where audit does not look: what it
/// made may be a thread.
fn forked(call: &Call<'_>) -> Option<u32> {
    /// `CLONE_THREAD`, `clone(2)`.
    const THREAD: u64 = 0x1_0000;
    match call.name {
        b"fork" | b"vfork" => child_of(call),
        b"clone" if call.args[0] & THREAD == 0 => child_of(call),
        _ => None,
    }
}

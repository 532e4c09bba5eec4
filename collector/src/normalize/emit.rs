//! Facts whose turn has come, as events.

use super::fact::{
    Credentials, Detail, Fact, FileFact, FileWhat, Fin, FlowFact, FlowWhat, Owner, SessionFact,
    SessionWhat, Who, event_device,
};
use super::flows::Seen;
use super::{Normalizer, Scope, Sink, Wanted};
use crate::process_table::Process;
use crate::source::dns;
use saigen_schemas::event::{
    Args, BpfLoaded, Change, CredentialsChanged, Event, FailedLogon, Fields, FileAttributes,
    FileCreated, FileDeleted, FileLinked, FileMapped, FileMemory, FileRead, FileRenamed,
    FileWritten, Had, Kind, KindName, Logoff, Logon, Marks, ModuleLoaded, Mounted,
    NamespaceEntered, Near, NetworkAccepted, NetworkClosed, NetworkConnected, NetworkListening,
    NetworkResolved, Outcome, PrivilegeSwitch, ProcessExit, ProcessFork, ProcessKey, ProcessTraced,
    Protocol, RecordRaw, RecordSource, Source, SourceState, Text, Time, Touch,
};
use std::fmt::Write as _;
use std::net::IpAddr;

/// How long one process's reaches into another count as one, microseconds: a debugger writes word by word.
const TOUCH_US: u64 = 1_000_000;

/// How long after a process turned to a name server an answer may be its own, microseconds: as long
/// as the C library asks one server.
const LOOKUP_US: u64 = 5_000_000;

/// Reaches that are remembered.
const TOUCHES_MAX: usize = 4_096;

impl Normalizer {
    /// Settles who did something and when; `None` if that is nobody to record. A start is settled
    /// when its turn comes: its partners may still be on their way.
    pub(super) fn settle(&mut self, due_us: u64, fact: Fact) -> Option<(u64, Fact)> {
        if start_of(&fact.detail).is_some() {
            return Some((due_us, fact));
        }
        let Fact {
            at_us,
            serial,
            source,
            who,
            detail,
        } = fact;
        let actor = match self.true_owner(who, &detail, at_us) {
            Who::Nobody | Who::Pid(0) => None,
            Who::Key(key) => Some(key),
            Who::Pid(pid) => Some(self.table.key(pid, at_us)),
        };
        let process = actor.and_then(|key| self.table.get(key));
        let wanted = match process {
            Some(process) => self.wanted(process.place),
            // What no process is known for is the system's, not the tree's.
            None if self.settings.scope == Scope::Tree => Wanted::No,
            None => Wanted::Yes,
        };
        if wanted == Wanted::No {
            return None;
        }
        let started_us = actor
            .zip(serial)
            .and_then(|(key, serial)| self.starts.began_before(key.pid, serial));
        let at_us = self
            .true_time(at_us, actor, &detail)
            .max(started_us.unwrap_or(0));
        let who = actor.map_or(Who::Nobody, Who::Key);
        Some((
            at_us,
            Fact {
                at_us,
                serial,
                source,
                who,
                detail,
            },
        ))
    }

    /// Emits a settled fact.
    pub(super) fn emit(&mut self, fact: Fact, sink: Sink<'_>) {
        let Fact {
            at_us,
            source,
            who,
            detail,
            ..
        } = fact;
        if let (Some(which), Who::Pid(pid)) = (start_of(&detail), who) {
            let start = match which {
                StartOf::Perf => self.starts.take(pid),
                StartOf::Audit(serial) => self.starts.take_audit(pid, serial),
                StartOf::Note => self.starts.take_note(pid, at_us),
            };
            if let Some(start) = start {
                self.emit_start(pid, start, sink);
            }
            return;
        }
        let actor = match who {
            Who::Key(key) => Some(key),
            Who::Nobody | Who::Pid(_) => None,
        };
        self.emit_detail(at_us, source, actor, &detail, sink);
    }

    /// A connection from elsewhere belongs to who accepted it, where audit told; an answer of a name
    /// server to who turned to it, if that was one process alone.
    fn true_owner(&self, who: Who, detail: &Detail, at_us: u64) -> Who {
        if let Detail::Resolved(answer) = detail {
            return self.asker(answer.server, at_us);
        }
        if let Detail::Flow(FlowFact {
            what: FlowWhat::Accepted,
            remote: Some(remote),
            owner: Owner::Listener,
            ..
        }) = detail
        {
            return self.flows.acceptor(*remote).map_or(who, Who::Pid);
        }
        who
    }

    fn asker(&self, server: IpAddr, at_us: u64) -> Who {
        let mut askers = self
            .lookups
            .iter()
            .filter(|(asked_us, _, asked)| {
                *asked == server && *asked_us <= at_us && at_us - *asked_us <= LOOKUP_US
            })
            .map(|(_, pid, _)| *pid);
        match askers.next() {
            Some(first) if askers.all(|pid| pid == first) => Who::Pid(first),
            Some(_) | None => Who::Nobody,
        }
    }

    /// When it happened. Audit's and the files' clocks advance by the tick and may date a deed
    /// before its doer; fanotify's records are dated when they are drained, after their doer may
    /// have ended.
    fn true_time(&self, at_us: u64, actor: Option<ProcessKey>, detail: &Detail) -> u64 {
        let Some(key) = actor else { return at_us };
        let Detail::File(file) = detail else {
            return at_us.max(key.start_us);
        };
        let process = self.table.get(key);
        let began_us = process
            .map(|process| process.image_us)
            // It may have taken up another program since.
            .filter(|image_us| *image_us <= at_us)
            .map_or(key.start_us, |image_us| image_us.max(key.start_us));
        let ended_us = process
            .and_then(|process| process.ended_us)
            .unwrap_or(at_us);
        let told_us = file.changed_us.unwrap_or(at_us);
        told_us.max(began_us).min(ended_us.min(at_us))
    }

    fn emit_detail(
        &mut self,
        at_us: u64,
        source: Source,
        actor: Option<ProcessKey>,
        detail: &Detail,
        sink: Sink<'_>,
    ) {
        let kind = match detail {
            Detail::Start | Detail::AuditStartAlone { .. } | Detail::NoteStartAlone => return,
            Detail::Fork { parent } => Kind::ProcessFork(ProcessFork {
                parent: Some(*parent),
            }),
            Detail::Exit => Kind::ProcessExit(self.exit_of(actor, at_us)),
            Detail::Credentials(change) => {
                let Some(changed) = actor.and_then(|key| self.credentials(key, change)) else {
                    return;
                };
                Kind::CredentialsChanged(changed)
            }
            Detail::Traced {
                target,
                how,
                outcome,
            } => {
                let target = self.table.key(*target, at_us);
                if self.touched_before(actor, target, *how, at_us) == Before::Yes {
                    return;
                }
                Kind::ProcessTraced(ProcessTraced {
                    target: Some(target),
                    how: Some(*how),
                    outcome: Some(*outcome),
                    ..ProcessTraced::default()
                })
            }
            Detail::File(file) => file_kind(file),
            Detail::Mapped { path, id } => Kind::FileMapped(FileMapped {
                path: Some(Text(path)),
                inode: Some(Near(id.1)),
                dev: Some(event_device(id.0)),
                ..FileMapped::default()
            }),
            Detail::Memory { flags, name } => {
                if name.is_some() {
                    self.mark(KindName::FileMemory, "name", Had::Raced);
                }
                Kind::FileMemory(FileMemory {
                    name: name.as_deref().map(Text),
                    flags: Some(*flags),
                })
            }
            Detail::Uring { operation, paths } => Kind::RecordRaw(RecordRaw {
                channel: Some(Text(b"audit")),
                provider: Some(Text(operation.as_bytes())),
                message: (!paths.is_empty()).then_some(Text(paths)),
                ..RecordRaw::default()
            }),
            Detail::Flow(flow) => return self.emit_flow(at_us, source, actor, flow, sink),
            Detail::Module {
                name,
                outcome,
                call,
            } => module_kind(name, *outcome, call),
            Detail::Resolved(answer) => {
                let (record, code) = (dns::record_name(answer.record), dns::code_name(answer.code));
                let kind = Kind::NetworkResolved(NetworkResolved {
                    query: Some(Text(&answer.query)),
                    record: Some(Text(record.as_bytes())),
                    answers: args(&answer.answers),
                    status: Some(Text(code.as_bytes())),
                    server_ip: Some(answer.server),
                });
                return self.send(at_us, source, actor, kind, sink);
            }
            Detail::Bpf {
                name,
                id,
                tag,
                state,
            } => {
                let mut hex = String::with_capacity(16);
                for byte in tag {
                    // Writing to a text cannot fail.
                    let _ = write!(hex, "{byte:02x}");
                }
                let kind = Kind::BpfLoaded(BpfLoaded {
                    name: name.as_deref().map(Text),
                    id: Some(*id),
                    tag: Some(Text(hex.as_bytes())),
                    state: Some(*state),
                    ..BpfLoaded::default()
                });
                return self.send(at_us, source, actor, kind, sink);
            }
            Detail::Mounted { path, what, call } => {
                if what.is_some() {
                    self.mark(KindName::Mounted, "device", Had::Raced);
                    self.mark(KindName::Mounted, "filesystem", Had::Raced);
                }
                let what = what.as_deref();
                Kind::Mounted(Mounted {
                    device: what.map(|mount| Text(&mount.source)),
                    path: Some(Text(path)),
                    filesystem: what.map(|mount| Text(&mount.fs_type)),
                    options: Some(Text(call.as_bytes())),
                    change: Some(if *call == "umount" {
                        Change::Deleted
                    } else {
                        Change::Created
                    }),
                    outcome: Some(Outcome::Success),
                })
            }
            Detail::Namespace { namespace, inode } => Kind::NamespaceEntered(NamespaceEntered {
                namespace: Some(*namespace),
                inode: Some(*inode),
                call: None,
            }),
            Detail::Session(session) => session_kind(session),
            Detail::AuditChanged { text } => {
                return self.emit_audit_changed(at_us, source, actor, text, sink);
            }
        };
        self.send(at_us, source, actor, kind, sink);
    }

    fn exit_of(&mut self, actor: Option<ProcessKey>, at_us: u64) -> ProcessExit {
        let Some(key) = actor else {
            return ProcessExit::default();
        };
        let status = self
            .codes
            .remove(&key.pid)
            .filter(|(noted_us, _)| *noted_us >= key.start_us)
            .map(|(_, code)| code);
        // `wait(2)`: the low seven bits are the signal, the next byte but one the code.
        let signal = status
            .map(|status| status & 0x7f)
            .filter(|signal| *signal != 0);
        let used = self
            .used
            .remove(&key.pid)
            .filter(|(noted_us, _)| *noted_us >= key.start_us)
            .map(|(_, used)| used);
        ProcessExit {
            user_us: used.map(|used| used.user_us),
            system_us: used.map(|used| used.system_us),
            read_bytes: used.map(|used| used.read_bytes),
            written_bytes: used.map(|used| used.written_bytes),
            peak_bytes: used.map(|used| used.peak_bytes),
            code: status
                .filter(|_| signal.is_none())
                .map(|status| status >> 8 & 0xff),
            signal,
            run_us: at_us.checked_sub(key.start_us),
        }
    }

    /// What changed, beside what was known of the process; `None` if nothing did.
    fn credentials(
        &mut self,
        key: ProcessKey,
        change: &Credentials,
    ) -> Option<CredentialsChanged<'static>> {
        let process: &mut Process = self.table.get_mut(key)?;
        let old = process.ids;
        let [uid, euid, gid, egid] = change.ids;
        process.ids.uid = uid.unwrap_or(old.uid);
        process.ids.euid = euid.unwrap_or(old.euid);
        process.ids.gid = gid.unwrap_or(old.gid);
        process.ids.egid = egid.unwrap_or(old.egid);
        if process.ids == old && change.capabilities.is_none() {
            return None;
        }
        Some(CredentialsChanged {
            call: (!change.call.is_empty()).then_some(Text(change.call.as_bytes())),
            old_uid: Some(old.uid),
            uid: Some(process.ids.uid),
            old_euid: Some(old.euid),
            euid: Some(process.ids.euid),
            gid: Some(process.ids.gid),
            egid: Some(process.ids.egid),
            capabilities: change.capabilities,
            outcome: Some(Outcome::Success),
        })
    }

    fn touched_before(
        &mut self,
        actor: Option<ProcessKey>,
        target: ProcessKey,
        how: Touch,
        at_us: u64,
    ) -> Before {
        if self.touches.len() >= TOUCHES_MAX {
            self.touches.clear();
        }
        match self.touches.insert((actor, target, how), at_us) {
            Some(last_us) if at_us.saturating_sub(last_us) < TOUCH_US => Before::Yes,
            Some(_) | None => Before::No,
        }
    }

    fn emit_flow(
        &mut self,
        at_us: u64,
        source: Source,
        actor: Option<ProcessKey>,
        flow: &FlowFact,
        sink: Sink<'_>,
    ) {
        let mut protocol = flow.protocol;
        if flow.owner == Owner::CallerByExclusion {
            let pid = actor.map_or(0, |key| key.pid);
            match (flow.what, flow.remote, flow.local) {
                (FlowWhat::Connected(_), Some(remote), _) => {
                    if self.flows.saw_connect(pid, remote) == Seen::Yes {
                        return;
                    }
                    // perf sees every TCP socket: what it did not see is the other one.
                    protocol = Some(Protocol::Udp);
                }
                (FlowWhat::Listening, _, Some(local))
                    if self.flows.is_listening(local.1) == Seen::Yes =>
                {
                    return;
                }
                (_, _, _) => {}
            }
        }
        let (local_ip, local_port) = (flow.local.map(|end| end.0), flow.local.map(|end| end.1));
        let (remote_ip, remote_port) = (flow.remote.map(|end| end.0), flow.remote.map(|end| end.1));
        let kind = match flow.what {
            FlowWhat::Connected(outcome) => Kind::NetworkConnected(NetworkConnected {
                protocol,
                local_ip,
                local_port,
                remote_ip,
                remote_port,
                outcome: Some(outcome),
                ..NetworkConnected::default()
            }),
            FlowWhat::Accepted => Kind::NetworkAccepted(NetworkAccepted {
                protocol,
                local_ip,
                local_port,
                remote_ip,
                remote_port,
                ..NetworkAccepted::default()
            }),
            FlowWhat::Listening => Kind::NetworkListening(NetworkListening {
                protocol,
                local_ip,
                local_port,
                path: None,
            }),
            FlowWhat::Closed { run_us, fin } => {
                let ends = flow.local.zip(flow.remote);
                let carried =
                    ends.and_then(|(local, remote)| self.flows.take_carried(local, remote));
                if fin == Fin::Perhaps && carried.is_some() {
                    self.mark(KindName::NetworkClosed, "received_bytes", Had::Approximate);
                }
                let last_word = u64::from(fin == Fin::Yes);
                Kind::NetworkClosed(NetworkClosed {
                    sent_bytes: carried.map(|carried| carried.sent),
                    received_bytes: carried
                        .map(|carried| carried.received.saturating_sub(last_word)),
                    cookie: carried.map(|carried| Near(carried.cookie)),
                    protocol,
                    local_ip,
                    local_port,
                    remote_ip,
                    remote_port,
                    run_us,
                })
            }
        };
        if flow.protocol.is_none() && protocol.is_some() {
            self.mark(kind.name(), "protocol", Had::Reconstructed);
        }
        self.send(at_us, source, actor, kind, sink);
    }

    fn emit_audit_changed(
        &mut self,
        at_us: u64,
        source: Source,
        actor: Option<ProcessKey>,
        text: &[u8],
        sink: Sink<'_>,
    ) {
        let raw = Kind::RecordRaw(RecordRaw {
            channel: Some(Text(b"audit")),
            provider: Some(Text(b"kernel")),
            event_id: Some(u64::from(super::sessions::CONFIG_CHANGE)),
            message: Some(Text(text)),
            ..RecordRaw::default()
        });
        self.send(at_us, source, actor, raw, sink);
        if text.windows(15).any(|window| window == b"audit_enabled=0") {
            let down = Kind::RecordSource(RecordSource {
                name: Some(Text(b"audit")),
                state: Some(SourceState::Down),
                detail: Some(Text(b"somebody switched audit off: arguments and identities are missed from here on")),
            });
            self.send(at_us, Source::Recorder, None, down, sink);
        }
    }

    /// Says how a field of the next event was had.
    pub(super) fn mark(&mut self, kind: KindName, field: &str, had: Had) {
        let at = kind
            .fields()
            .iter()
            .position(|name| *name == field)
            .and_then(|at| u8::try_from(at).ok());
        if let (Some(at), Ok(code)) = (at, u8::try_from(had.code())) {
            self.marks.extend_from_slice(&[at, code]);
        }
    }

    /// Sends an event, with the marks that were made for it.
    pub(super) fn send(
        &mut self,
        at_us: u64,
        source: Source,
        actor: Option<ProcessKey>,
        kind: Kind<'_>,
        sink: Sink<'_>,
    ) {
        sink(&Event {
            seq: 0,
            time: Time {
                wall_us: i64::try_from(at_us)
                    .unwrap_or(i64::MAX)
                    .saturating_add(self.clocks.offset_us()),
                boot_us: Some(at_us),
            },
            recorded_us: None,
            host: Text(&self.settings.host),
            boot: self.settings.boot,
            source,
            actor,
            marks: Marks(&self.marks),
            extra: Fields::default(),
            kind,
        });
        self.marks.clear();
    }

    /// Sends an event of the recorder itself.
    pub fn send_own(&mut self, at_us: u64, kind: Kind<'_>, sink: Sink<'_>) {
        self.marks.clear();
        self.send(at_us, Source::Recorder, None, kind, sink);
    }
}

/// Whose start a fact stands for.
enum StartOf {
    Perf,
    Audit(u64),
    Note,
}

fn start_of(detail: &Detail) -> Option<StartOf> {
    match detail {
        Detail::Start => Some(StartOf::Perf),
        Detail::AuditStartAlone { serial } => Some(StartOf::Audit(*serial)),
        Detail::NoteStartAlone => Some(StartOf::Note),
        Detail::Fork { .. }
        | Detail::Exit
        | Detail::Credentials(_)
        | Detail::Traced { .. }
        | Detail::File(_)
        | Detail::Mapped { .. }
        | Detail::Memory { .. }
        | Detail::Uring { .. }
        | Detail::Flow(_)
        | Detail::Resolved(_)
        | Detail::Module { .. }
        | Detail::Bpf { .. }
        | Detail::Mounted { .. }
        | Detail::Namespace { .. }
        | Detail::Session(_)
        | Detail::AuditChanged { .. } => None,
    }
}

/// Whether something was told a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Yes,
    No,
}

fn module_kind<'a>(name: &'a [u8], outcome: Outcome, call: &'static str) -> Kind<'a> {
    if matches!(call, "init_module" | "finit_module") {
        return Kind::ModuleLoaded(ModuleLoaded {
            name: Some(Text(name)),
            outcome: Some(outcome),
            ..ModuleLoaded::default()
        });
    }
    Kind::RecordRaw(RecordRaw {
        channel: Some(Text(b"audit")),
        provider: Some(Text(call.as_bytes())),
        message: Some(Text(name)),
        ..RecordRaw::default()
    })
}

fn file_kind(file: &FileFact) -> Kind<'_> {
    let path = file.path.as_deref().map(Text);
    let inode = file.inode.map(Near);
    let dev = file.dev;
    let mode = file.status.map(|status| status.mode);
    match file.what {
        FileWhat::Created => Kind::FileCreated(FileCreated {
            path,
            inode,
            dev,
            mode,
            ..FileCreated::default()
        }),
        FileWhat::Linked => Kind::FileLinked(FileLinked {
            path,
            inode,
            dev,
            target: None,
        }),
        FileWhat::Written => Kind::FileWritten(FileWritten {
            path,
            inode,
            dev,
            size: file.status.map(|status| status.size),
            mode,
            sha256: None,
        }),
        FileWhat::Renamed => Kind::FileRenamed(FileRenamed {
            path,
            to: file.to.as_deref().map(Text),
            inode,
            dev,
        }),
        FileWhat::Deleted => Kind::FileDeleted(FileDeleted {
            path,
            inode,
            dev,
            ..FileDeleted::default()
        }),
        FileWhat::Attributes => Kind::FileAttributes(FileAttributes {
            path,
            inode,
            dev,
            mode,
            uid: file.status.map(|status| status.uid),
            gid: file.status.map(|status| status.gid),
            modified_us: file.status.map(|status| status.modified_us),
            ..FileAttributes::default()
        }),
        FileWhat::Read => Kind::FileRead(FileRead {
            path,
            inode,
            dev,
            // It was opened, or there would be no record.
            outcome: Some(Outcome::Success),
            ..FileRead::default()
        }),
    }
}

fn session_kind(session: &SessionFact) -> Kind<'_> {
    let known = |bytes: &'_ [u8]| !bytes.is_empty();
    let account = known(&session.account).then_some(Text(&session.account));
    let terminal = known(&session.terminal).then_some(Text(&session.terminal));
    let program = known(&session.program).then_some(Text(&session.program));
    let remote_host = known(&session.remote_host).then_some(Text(&session.remote_host));
    match session.what {
        SessionWhat::Logon => Kind::Logon(Logon {
            account,
            uid: session.uid,
            session: session.session.map(u64::from),
            terminal,
            remote_ip: session.remote_ip,
            remote_host,
            program,
            method: known(&session.operation).then_some(Text(&session.operation)),
            ..Logon::default()
        }),
        SessionWhat::Logoff => Kind::Logoff(Logoff {
            account,
            uid: session.uid,
            session: session.session.map(u64::from),
            terminal,
            program,
        }),
        SessionWhat::Refused => Kind::FailedLogon(FailedLogon {
            account,
            terminal,
            remote_ip: session.remote_ip,
            remote_host,
            program,
            reason: known(&session.operation).then_some(Text(&session.operation)),
            ..FailedLogon::default()
        }),
        SessionWhat::Switch => Kind::PrivilegeSwitch(PrivilegeSwitch {
            to_account: account,
            program,
            command: known(&session.command).then_some(Text(&session.command)),
            terminal,
            outcome: session.outcome,
            ..PrivilegeSwitch::default()
        }),
    }
}

/// Arguments as events have them.
pub(super) fn args(bytes: &[u8]) -> Option<Args<'_>> {
    (!bytes.is_empty()).then_some(Args(bytes))
}

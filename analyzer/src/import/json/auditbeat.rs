//! Events in the Elastic Common Schema: auditbeat's modules (auditd, system, file integrity), the
//! endpoint sensor, and any shipper that fills `event.category`.

use std::borrow::Cow;

use saigen_schemas::event::{
    Args, FailedLogon, FileAttributes, FileCreated, FileDeleted, FileRead, FileRenamed,
    FileWritten, Hash32, Kind, Logoff, Logon, NetworkAccepted, NetworkConnected, NetworkListening,
    NetworkResolved, Outcome, ProcessExit, ProcessFork, ProcessKey, ProcessStart, Protocol,
    RecordRaw, Source, StateProcess,
};

use crate::import::json::Work;
use crate::import::json::pick::{
    self, Out, any, as_text, find, holds, ip, list, number, text, time,
};
use crate::import::json::tree::Value;
use crate::import::windows::value::sha256;
use crate::import::{At, ImportError, Sink};

/// Whether an object is an event of the schema that is no Windows record.
pub(super) fn is_event(object: Value<'_>) -> bool {
    let has = |path: &str| find(object, path).is_some();
    let says_what = has("event.category") || has("event.action") || has("event.module");
    says_what && has("@timestamp") && !has("winlog.channel") && !has("winlog.event_id")
}

/// Tells an event that is of a kind; whether it is.
pub(super) fn tell(
    object: Value<'_>,
    at: At,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<bool, ImportError> {
    with_out(object, at, work, sink, |actor, out| {
        let is = |category: &str| holds(object, "event.category", category);
        Ok(is("process") && process(object, actor, out)?
            || is("file") && file(object, actor, out)?
            || (is("network") || is("network_traffic")) && flow(object, actor, out)?
            || (is("authentication") || is("session")) && session(object, actor, out)?)
    })
}

/// Tells an event of no kind.
pub(super) fn tell_raw(
    object: Value<'_>,
    at: At,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    with_out(object, at, work, sink, |actor, out| {
        let provider = any(object, &["event.module", "event.dataset"]);
        let action = text(object, "event.action");
        let message = any(object, &["message", "event.original"]);
        let kind = RecordRaw {
            channel: as_text(&provider),
            provider: as_text(&action),
            message: as_text(&message),
            ..RecordRaw::default()
        };
        out.tell(actor, Kind::RecordRaw(kind))
    })
}

fn with_out<R>(
    object: Value<'_>,
    at: At,
    work: &mut Work,
    sink: &mut dyn Sink,
    tell: impl FnOnce(Option<ProcessKey>, &mut Out<'_>) -> Result<R, ImportError>,
) -> Result<R, ImportError> {
    let Work {
        fields,
        path,
        text: buffer,
        ..
    } = work;
    pick::all(object, path, buffer, fields);
    let host = any(
        object,
        &[
            "host.hostname",
            "host.name",
            "agent.hostname",
            "beat.hostname",
        ],
    )
    .unwrap_or_default();
    let shipped = time(object, "event.created").or_else(|| time(object, "event.ingested"));
    let wall_us = time(object, "@timestamp");
    let mut out = Out {
        sink,
        at,
        source: Source::Ecs,
        host: &host,
        wall_us,
        recorded_us: shipped.filter(|_| shipped != wall_us),
        extra: fields.as_fields(),
    };
    tell(key(object, "process"), &mut out)
}

fn key(object: Value<'_>, process: &str) -> Option<ProcessKey> {
    let process_at = |name: &str| format!("{process}.{name}");
    let id = text(object, &process_at("entity_id")).and_then(|id| pick::identity(&id));
    pick::process(number(object, &process_at("pid")), id)
}

fn parent(object: Value<'_>) -> Option<ProcessKey> {
    key(object, "process.parent").or_else(|| pick::process(number(object, "process.ppid"), None))
}

/// Whether what was done is one of these, by `event.type` or `event.action`.
fn did(object: Value<'_>, words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| holds(object, "event.type", word) || holds(object, "event.action", word))
}

fn failed(object: Value<'_>) -> bool {
    let no = |path: &str, words: [&str; 2]| words.iter().any(|word| holds(object, path, word));
    no("event.outcome", ["failure", "fail"]) || no("auditd.result", ["fail", "failed"])
}

fn process(
    object: Value<'_>,
    actor: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<bool, ImportError> {
    if actor.is_none() || failed(object) {
        return Ok(false);
    }
    if did(object, &["end", "process_stopped", "process_terminated"]) {
        let kind = ProcessExit {
            code: number(object, "process.exit_code"),
            ..ProcessExit::default()
        };
        out.tell(actor, Kind::ProcessExit(kind))?;
        return Ok(true);
    }
    if did(object, &["fork"]) && !did(object, &["exec"]) {
        let fork = ProcessFork {
            parent: parent(object),
        };
        out.tell(actor, Kind::ProcessFork(fork))?;
        return Ok(true);
    }
    let stood = did(object, &["existing_process", "already_running"]);
    let started = did(
        object,
        &[
            "start",
            "exec",
            "executed",
            "process_started",
            "creation",
            "process_creation",
        ],
    );
    if !stood && !started {
        return Ok(false);
    }
    if stood {
        standing(object, actor, out)?;
    } else {
        begun(object, actor, out)?;
    }
    Ok(true)
}

/// What is said of a process, whether it begins or stood.
struct Who<'o> {
    image: Option<Cow<'o, [u8]>>,
    args: Option<Vec<u8>>,
    cwd: Option<Cow<'o, [u8]>>,
    tty: Option<Cow<'o, [u8]>>,
    account: Option<Cow<'o, [u8]>>,
    container: Option<Cow<'o, [u8]>>,
    sha256: Option<Hash32>,
    uid: Option<u32>,
    euid: Option<u32>,
    login_uid: Option<u32>,
}

impl<'o> Who<'o> {
    fn of(object: Value<'o>) -> Self {
        let uid = number(object, "user.id").or_else(|| number(object, "process.user.id"));
        Self {
            image: any(object, &["process.executable", "auditd.data.exe"]),
            args: list(object, "process.args"),
            cwd: any(object, &["process.working_directory", "auditd.data.cwd"]),
            tty: any(object, &["process.tty.name", "auditd.data.tty"])
                .filter(|tty| tty.as_ref() != b"(none)"),
            account: any(
                object,
                &["user.effective.name", "user.name", "process.user.name"],
            ),
            container: any(object, &["container.id", "process.container.id"]),
            sha256: text(object, "process.hash.sha256").and_then(|hash| sha256(&hash)),
            uid,
            euid: number(object, "user.effective.id").or(uid),
            login_uid: number(object, "user.audit.id")
                .or_else(|| number(object, "auditd.data.auid")),
        }
    }
}

fn standing(
    object: Value<'_>,
    actor: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    let who = Who::of(object);
    let name = text(object, "process.name");
    let state = StateProcess {
        parent: parent(object),
        image: as_text(&who.image),
        args: who.args.as_deref().map(Args),
        cwd: as_text(&who.cwd),
        name: as_text(&name),
        uid: who.uid,
        euid: who.euid,
        gid: number(object, "group.id"),
        login_uid: who.login_uid,
        session: number(object, "auditd.session"),
        tty: as_text(&who.tty),
        account: as_text(&who.account),
        container: as_text(&who.container),
        sha256: who.sha256,
        started_us: time(object, "process.start"),
    };
    out.tell(actor, Kind::StateProcess(state))
}

fn begun(
    object: Value<'_>,
    actor: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    let who = Who::of(object);
    let line = text(object, "process.command_line").filter(|_| who.args.is_none());
    let parent_image = text(object, "process.parent.executable");
    let parent_args = list(object, "process.parent.args").map(|args| Args(&args).command_line());
    let parent_line =
        text(object, "process.parent.command_line").or_else(|| parent_args.map(Cow::Owned));
    let start = ProcessStart {
        parent: parent(object),
        image: as_text(&who.image),
        args: who.args.as_deref().map(Args),
        command_line: as_text(&line),
        cwd: as_text(&who.cwd),
        uid: who.uid,
        gid: number(object, "group.id").or_else(|| number(object, "user.group.id")),
        euid: who.euid,
        login_uid: who.login_uid,
        session: number(object, "auditd.session"),
        tty: as_text(&who.tty),
        account: as_text(&who.account),
        container: as_text(&who.container),
        sha256: who.sha256,
        parent_image: as_text(&parent_image),
        parent_command_line: as_text(&parent_line),
        ..ProcessStart::default()
    };
    out.tell(actor, Kind::ProcessStart(start))
}

fn file(
    object: Value<'_>,
    actor: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<bool, ImportError> {
    let path = any(object, &["file.path", "auditd.summary.object.primary"]);
    if path.is_none() {
        return Ok(false);
    }
    let path = as_text(&path);
    let digest = any(object, &["file.hash.sha256", "hash.sha256"]).and_then(|hash| sha256(&hash));
    let before = any(object, &["file.Ext.original.path", "file.origin.path"]);
    let mode = text(object, "file.mode")
        .and_then(|mode| u32::from_str_radix(std::str::from_utf8(&mode).ok()?, 8).ok());
    if failed(object) {
        let kind = FileRead {
            path,
            outcome: Some(Outcome::Failure),
            ..FileRead::default()
        };
        let reads = did(object, &["access", "opened-file", "read"]);
        if reads {
            out.tell(actor, Kind::FileRead(kind))?;
        }
        return Ok(reads);
    }
    let kind = if did(object, &["deletion", "deleted", "delete"]) {
        Kind::FileDeleted(FileDeleted {
            path,
            ..FileDeleted::default()
        })
    } else if before.is_some() && did(object, &["rename", "renamed", "moved", "change"]) {
        Kind::FileRenamed(FileRenamed {
            path: as_text(&before),
            to: path,
            ..FileRenamed::default()
        })
    } else if did(object, &["creation", "created", "create", "moved"]) {
        Kind::FileCreated(FileCreated {
            path,
            mode,
            ..FileCreated::default()
        })
    } else if did(
        object,
        &[
            "attributes_modified",
            "changed-file-permissions-of",
            "changed-file-ownership-of",
        ],
    ) {
        Kind::FileAttributes(FileAttributes {
            path,
            mode,
            uid: number(object, "file.uid"),
            gid: number(object, "file.gid"),
            ..FileAttributes::default()
        })
    } else if did(
        object,
        &[
            "change",
            "updated",
            "modification",
            "overwrite",
            "opened-file",
        ],
    ) && !did(object, &["access"])
    {
        Kind::FileWritten(FileWritten {
            path,
            size: number(object, "file.size"),
            mode,
            sha256: digest,
            ..FileWritten::default()
        })
    } else if did(object, &["access", "open", "read"]) {
        Kind::FileRead(FileRead {
            path,
            outcome: Some(Outcome::Success),
            ..FileRead::default()
        })
    } else {
        return Ok(false);
    };
    out.tell(actor, kind)?;
    Ok(true)
}

fn flow(
    object: Value<'_>,
    actor: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<bool, ImportError> {
    let query = any(object, &["dns.question.name", "dns.query"]);
    if query.is_some() {
        let answers = list(object, "dns.resolved_ip");
        let record = text(object, "dns.question.type");
        let status = text(object, "dns.response_code");
        let kind = NetworkResolved {
            query: as_text(&query),
            record: as_text(&record),
            answers: answers.as_deref().map(Args),
            status: as_text(&status),
            server_ip: None,
        };
        out.tell(actor, Kind::NetworkResolved(kind))?;
        return Ok(true);
    }
    let end = |name: &str| {
        (
            ip(object, &format!("{name}.ip")),
            number::<u16>(object, &format!("{name}.port")),
        )
    };
    let (source, destination) = (end("source"), end("destination"));
    let protocol = match text(object, "network.transport").as_deref() {
        Some(b"tcp") => Some(Protocol::Tcp),
        Some(b"udp") => Some(Protocol::Udp),
        Some(b"icmp" | b"ipv6-icmp") => Some(Protocol::Icmp),
        Some(_) | None => None,
    };
    let host = any(object, &["destination.domain", "dns.resolved_name"]);
    let inbound = ["ingress", "inbound", "incoming"]
        .iter()
        .any(|word| holds(object, "network.direction", word));
    let accepts = inbound || did(object, &["accepted-connection-from", "connection_accepted"]);
    let kind = if did(object, &["bound-socket", "listen", "listening"]) && source.0.is_some() {
        Kind::NetworkListening(NetworkListening {
            protocol,
            local_ip: source.0,
            local_port: source.1,
            path: None,
        })
    } else if accepts && source.0.is_some() {
        Kind::NetworkAccepted(NetworkAccepted {
            protocol,
            local_ip: destination.0,
            local_port: destination.1,
            remote_ip: source.0,
            remote_port: source.1,
            ..NetworkAccepted::default()
        })
    } else if destination.0.is_some() {
        Kind::NetworkConnected(NetworkConnected {
            protocol,
            local_ip: source.0,
            local_port: source.1,
            remote_ip: destination.0,
            remote_port: destination.1,
            remote_host: as_text(&host),
            outcome: Some(if failed(object) {
                Outcome::Failure
            } else {
                Outcome::Success
            }),
            ..NetworkConnected::default()
        })
    } else {
        return Ok(false);
    };
    out.tell(actor, kind)?;
    Ok(true)
}

fn session(
    object: Value<'_>,
    actor: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<bool, ImportError> {
    let account = any(
        object,
        &[
            "user.name",
            "user.effective.name",
            "user.audit.name",
            "related.user",
        ],
    );
    let program = any(
        object,
        &["process.executable", "process.name", "event.module"],
    );
    let terminal = any(object, &["process.tty.name", "auditd.data.terminal"]);
    let remote_host = text(object, "source.domain");
    let method = any(object, &["system.auth.ssh.method", "event.action"]);
    let kind = if did(
        object,
        &["end", "ended-session", "logged-out", "user_logout"],
    ) {
        Kind::Logoff(Logoff {
            account: as_text(&account),
            uid: number(object, "user.id"),
            session: number(object, "auditd.session"),
            terminal: as_text(&terminal),
            program: as_text(&program),
        })
    } else if failed(object) {
        Kind::FailedLogon(FailedLogon {
            account: as_text(&account),
            terminal: as_text(&terminal),
            remote_ip: ip(object, "source.ip"),
            remote_host: as_text(&remote_host),
            program: as_text(&program),
            reason: as_text(&method),
            ..FailedLogon::default()
        })
    } else if did(
        object,
        &[
            "start",
            "logged-in",
            "ssh_login",
            "user_login",
            "started-session",
        ],
    ) {
        Kind::Logon(Logon {
            account: as_text(&account),
            uid: number(object, "user.id"),
            session: number(object, "auditd.session"),
            terminal: as_text(&terminal),
            remote_ip: ip(object, "source.ip"),
            remote_port: number(object, "source.port"),
            remote_host: as_text(&remote_host),
            program: as_text(&program),
            method: as_text(&method),
            ..Logon::default()
        })
    } else {
        return Ok(false);
    };
    out.tell(actor, kind)?;
    Ok(true)
}

//! Falco's alerts (`output_fields`) and sysdig's events as JSON: fields of one flat table, `evt.type`,
//! `proc.pid`, `fd.name`, …

use saigen_schemas::event::{
    FileAttributes, FileCreated, FileDeleted, FileRead, FileRenamed, FileWritten, Kind,
    NetworkAccepted, NetworkConnected, Outcome, ProcessFork, ProcessKey, ProcessStart, Protocol,
    RecordRaw, Source, Text,
};

use crate::import::json::Work;
use crate::import::json::pick::{self, Out, any, as_text, find, ip, is_true, number, text, time};
use crate::import::json::tree::{Sort, Value};
use crate::import::json::unknown::any_time;
use crate::import::{At, ImportError, Sink};

/// Whether an object is an alert or an event.
pub(super) fn is_event(object: Value<'_>) -> bool {
    let alert = object
        .get("output_fields")
        .is_some_and(|fields| fields.sort() == Sort::Object);
    let event = object.get("evt.type").is_some() && object.get("evt.num").is_some();
    (alert && object.get("rule").is_some()) || event
}

/// Tells an alert or event.
pub(super) fn tell(
    object: Value<'_>,
    at: At,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    let Work {
        fields,
        path,
        text: buffer,
        ..
    } = work;
    pick::all(object, path, buffer, fields);
    // Rules ask for fields by their own names, without what they stand in.
    let table = object.get("output_fields").unwrap_or(object);
    for (name, value) in table.entries().filter(|(_, value)| value.is_scalar()) {
        if value.sort() != Sort::Null {
            path.clear();
            name.write(path);
            fields.push(path, value.text(buffer).0);
        }
    }
    let host = any(object, &["hostname", "host"]).unwrap_or_default();
    let stamp = [
        "evt.time.iso8601",
        "evt.time",
        "evt.rawtime",
        "evt.outputtime",
    ]
    .into_iter()
    .find_map(|name| any_time(table.get(name)?));
    let alert = time(object, "time");
    let wall_us = stamp.or(alert);
    let mut out = Out {
        sink,
        at,
        source: Source::Falco,
        host: &host,
        wall_us,
        recorded_us: alert.filter(|_| stamp.is_some() && alert != stamp),
        extra: fields.as_fields(),
    };
    let actor = process(table, "proc.pid", "proc.vpid");
    if let Some(actor) = actor
        && by_type(table, actor, &mut out)?
    {
        return Ok(());
    }
    let rule = any(object, &["rule", "evt.type"]);
    let message = any(object, &["output", "evt.info", "evt.args"]);
    let kind = Kind::RecordRaw(RecordRaw {
        channel: Some("falco".into()),
        provider: as_text(&rule),
        message: as_text(&message),
        ..RecordRaw::default()
    });
    out.tell(actor, kind)
}

fn process(table: Value<'_>, pid: &str, other: &str) -> Option<ProcessKey> {
    let pid = number(table, pid).or_else(|| number(table, other));
    pick::process(pid, None)
}

/// Tells what the event's type says; whether it is one that says enough.
fn by_type(table: Value<'_>, actor: ProcessKey, out: &mut Out<'_>) -> Result<bool, ImportError> {
    let Some(event) = text(table, "evt.type") else {
        return Ok(false);
    };
    let path = any(
        table,
        &["fs.path.name", "fd.name", "evt.arg.path", "evt.abspath"],
    );
    let path = as_text(&path);
    let source = any(table, &["fs.path.source", "evt.arg.oldpath"]);
    let target = any(table, &["fs.path.target", "evt.arg.newpath"]);
    let kind = match event.as_ref() {
        b"execve" | b"execveat" | b"spawned_process" => {
            start(table, actor, out)?;
            return Ok(true);
        }
        b"clone" | b"fork" | b"vfork" | b"clone3" if find(table, "proc.ppid").is_some() => {
            Kind::ProcessFork(ProcessFork {
                parent: process(table, "proc.ppid", "proc.pvpid"),
            })
        }
        b"connect" | b"sendto" | b"sendmsg" => return flow(table, actor, Way::Out, out),
        b"accept" | b"accept4" => return flow(table, actor, Way::In, out),
        b"open" | b"openat" | b"openat2" | b"creat" if path.is_some() => opened(table, path),
        b"unlink" | b"unlinkat" | b"rmdir" if path.is_some() => Kind::FileDeleted(FileDeleted {
            path,
            ..FileDeleted::default()
        }),
        b"mkdir" | b"mkdirat" | b"mknod" | b"mknodat" if path.is_some() => {
            Kind::FileCreated(FileCreated {
                path,
                ..FileCreated::default()
            })
        }
        b"rename" | b"renameat" | b"renameat2" if target.is_some() => {
            Kind::FileRenamed(FileRenamed {
                path: as_text(&source),
                to: as_text(&target),
                ..FileRenamed::default()
            })
        }
        b"chmod" | b"fchmod" | b"fchmodat" | b"chown" | b"fchown" | b"fchownat" | b"lchown"
            if path.is_some() =>
        {
            Kind::FileAttributes(FileAttributes {
                path,
                ..FileAttributes::default()
            })
        }
        b"write" | b"pwrite" | b"writev" if is_file(table) && path.is_some() => {
            Kind::FileWritten(FileWritten {
                path,
                ..FileWritten::default()
            })
        }
        _ => return Ok(false),
    };
    out.tell(Some(actor), kind)?;
    Ok(true)
}

fn is_file(table: Value<'_>) -> bool {
    text(table, "fd.typechar").as_deref() == Some(b"f")
        || text(table, "fd.type").as_deref() == Some(b"file")
}

fn opened<'k>(table: Value<'_>, path: Option<Text<'k>>) -> Kind<'k> {
    let flags = text(table, "evt.arg.flags").unwrap_or_default();
    let has = |flag: &[u8]| flags.split(|&byte| byte == b'|').any(|own| own == flag);
    if is_true(table, "evt.is_open_create") || has(b"O_F_CREATED") {
        Kind::FileCreated(FileCreated {
            path,
            ..FileCreated::default()
        })
    } else if is_true(table, "evt.is_open_write") || has(b"O_WRONLY") || has(b"O_RDWR") {
        Kind::FileWritten(FileWritten {
            path,
            ..FileWritten::default()
        })
    } else {
        Kind::FileRead(FileRead {
            path,
            outcome: Some(Outcome::Success),
            ..FileRead::default()
        })
    }
}

fn start(table: Value<'_>, actor: ProcessKey, out: &mut Out<'_>) -> Result<(), ImportError> {
    let image = any(table, &["proc.exepath", "proc.exe"]);
    let line = any(table, &["proc.cmdline", "proc.exeline"]);
    let cwd = text(table, "proc.cwd");
    let account = text(table, "user.name");
    let tty = text(table, "proc.tty").filter(|tty| tty.as_ref() != b"0");
    let container = text(table, "container.id").filter(|id| id.as_ref() != b"host");
    let parent_image = any(table, &["proc.pexepath", "proc.pexe"]);
    let parent_line = text(table, "proc.pcmdline");
    let start = ProcessStart {
        parent: process(table, "proc.ppid", "proc.pvpid"),
        image: as_text(&image),
        command_line: as_text(&line),
        cwd: as_text(&cwd),
        euid: number(table, "user.uid"),
        login_uid: number(table, "user.loginuid"),
        session: number(table, "proc.sid"),
        tty: as_text(&tty),
        account: as_text(&account),
        container: as_text(&container),
        parent_image: as_text(&parent_image),
        parent_command_line: as_text(&parent_line),
        ..ProcessStart::default()
    };
    out.tell(Some(actor), Kind::ProcessStart(start))
}

/// Which way a connection went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    In,
}

/// A connection by its ends: local and remote (`lip`, `rip`), or client and server (`cip`, `sip`).
fn flow(
    table: Value<'_>,
    actor: ProcessKey,
    way: Way,
    out: &mut Out<'_>,
) -> Result<bool, ImportError> {
    let end = |names: [&str; 4]| {
        let [own, port, other, other_port] = names;
        (
            ip(table, own).or_else(|| ip(table, other)),
            number::<u16>(table, port).or_else(|| number(table, other_port)),
        )
    };
    let (client, server) = (["fd.cip", "fd.cport"], ["fd.sip", "fd.sport"]);
    let ([near, near_port], [far, far_port]) = match way {
        Way::Out => (client, server),
        Way::In => (server, client),
    };
    let local = end(["fd.lip", "fd.lport", near, near_port]);
    let remote = end(["fd.rip", "fd.rport", far, far_port]);
    if remote.0.is_none() {
        return Ok(false);
    }
    let protocol = match text(table, "fd.l4proto").as_deref() {
        Some(b"tcp") => Some(Protocol::Tcp),
        Some(b"udp") => Some(Protocol::Udp),
        Some(_) | None => None,
    };
    let host = text(table, "fd.sip.name");
    let kind = match way {
        Way::Out => Kind::NetworkConnected(NetworkConnected {
            protocol,
            local_ip: local.0,
            local_port: local.1,
            remote_ip: remote.0,
            remote_port: remote.1,
            remote_host: as_text(&host),
            ..NetworkConnected::default()
        }),
        Way::In => Kind::NetworkAccepted(NetworkAccepted {
            protocol,
            local_ip: local.0,
            local_port: local.1,
            remote_ip: remote.0,
            remote_port: remote.1,
            ..NetworkAccepted::default()
        }),
    };
    out.tell(Some(actor), kind)?;
    Ok(true)
}

//! Tetragon: one object an event, under the name of what happened: `process_exec`, `process_exit`,
//! `process_kprobe`, …, with `node_name` and `time` beside it.
//!
//! An `exec_id` names one exec, not one process: a process that execs again has another, and its
//! predecessor's as `parent_exec_id`. Those are followed back to the first, which stands for the process.

use std::borrow::Cow;
use std::collections::HashMap;

use saigen_schemas::event::{
    FileMapped, FileRead, FileWritten, Guid, Kind, NetworkAccepted, NetworkClosed,
    NetworkConnected, NetworkListening, Outcome, ProcessExit, ProcessKey, ProcessStart, Protocol,
    RecordRaw, Source, StateProcess, Text,
};

use crate::import::json::Work;
use crate::import::json::pick::{self, Out, any, as_text, holds, ip, number, text, time};
use crate::import::json::tree::{Sort, Value};
use crate::import::{At, ImportError, Sink};

/// Names under which an event stands.
const NAMES: [&str; 8] = [
    "process_exec",
    "process_exit",
    "process_kprobe",
    "process_tracepoint",
    "process_uprobe",
    "process_lsm",
    "process_loader",
    "process_usdt",
];

/// Most execs that are remembered as further ones of a process.
const FURTHER_MAX: usize = 1 << 16;

/// Execs that are not the first of their process, with the first.
pub(super) type Further = HashMap<Guid, Guid>;

/// The event's name, if an object is one of Tetragon.
pub(super) fn name_of(object: Value<'_>) -> Option<&'static str> {
    NAMES.into_iter().find(|name| {
        let event = object.get(name);
        event.is_some_and(|event| event.get("process").is_some())
    })
}

/// Tells an event.
pub(super) fn tell(
    object: Value<'_>,
    name: &'static str,
    at: At,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    let Work {
        fields,
        path,
        text: buffer,
        further,
        ..
    } = work;
    let Some(event) = object.get(name) else {
        return Ok(());
    };
    pick::all(object, path, buffer, fields);
    let host = text(object, "node_name").unwrap_or_default();
    let begun = time(event, "process.start_time").filter(|_| name == "process_exec");
    let recorded = time(object, "time");
    let mut out = Out {
        sink,
        at,
        source: Source::Tetragon,
        host: &host,
        wall_us: begun.or(recorded),
        recorded_us: recorded.filter(|_| begun.is_some() && begun != recorded),
        extra: fields.as_fields(),
    };
    if name == "process_exec" {
        follow(event, further);
    }
    let actor = key(event.get("process"), further);
    match name {
        "process_exec" => start(event, actor, further, &mut out),
        "process_exit" => out.tell(actor, exit(event)),
        "process_loader" => {
            let file = text(event, "path");
            let kind = Kind::FileMapped(FileMapped {
                path: as_text(&file),
                ..FileMapped::default()
            });
            out.tell(actor, kind)
        }
        _ => probe(event, name, actor, &mut out),
    }
}

/// Remembers an exec without a clone as one of the process before it.
fn follow(event: Value<'_>, further: &mut Further) {
    let flags = text(event, "process.flags").unwrap_or_default();
    let has = |flag: &[u8]| flags.split(|&byte| byte == b' ').any(|own| own == flag);
    let same_pid = number::<u32>(event, "process.pid") == number(event, "parent.pid");
    if !has(b"execve") || has(b"clone") || !same_pid {
        return;
    }
    let identity = |path: &str| text(event, path).and_then(|id| pick::identity(&id));
    let before = identity("process.parent_exec_id").or_else(|| identity("parent.exec_id"));
    if let Some((own, before)) = identity("process.exec_id").zip(before) {
        if further.len() >= FURTHER_MAX {
            further.clear();
        }
        let first = further.get(&before).copied().unwrap_or(before);
        if first != own {
            further.insert(own, first);
        }
    }
}

fn key(process: Option<Value<'_>>, further: &Further) -> Option<ProcessKey> {
    let process = process?;
    let own = text(process, "exec_id").and_then(|id| pick::identity(&id));
    let first = own.map(|own| further.get(&own).copied().unwrap_or(own));
    pick::process(number(process, "pid"), first)
}

/// The program and what stood behind it, as one line.
fn line(process: Value<'_>) -> Option<Vec<u8>> {
    let mut line = text(process, "binary")?.into_owned();
    if let Some(arguments) = text(process, "arguments") {
        line.push(b' ');
        line.extend_from_slice(&arguments);
    }
    Some(line)
}

/// A container's id, without its runtime.
fn container(process: Value<'_>) -> Option<Cow<'_, [u8]>> {
    let id = any(process, &["pod.container.id", "docker"])?;
    let bare =
        memchr::memmem::find(&id, b"://").map(|at| id.get(at + 3..).unwrap_or_default().to_vec());
    Some(bare.map_or(id, Cow::Owned))
}

fn start(
    event: Value<'_>,
    actor: Option<ProcessKey>,
    further: &Further,
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    let Some(process) = event.get("process") else {
        return Ok(());
    };
    let parent = key(event.get("parent"), further).or_else(|| {
        let id = text(process, "parent_exec_id").and_then(|id| pick::identity(&id));
        pick::process(None, id)
    });
    let parent = parent.filter(|parent| Some(*parent) != actor);
    let image = text(process, "binary");
    let line = line(process);
    let cwd = text(process, "cwd");
    let container = container(process);
    let account = text(process, "process_credentials.user");
    let parent_image = text(event, "parent.binary").filter(|_| parent.is_some());
    let parent_line = event
        .get("parent")
        .and_then(self::line)
        .filter(|_| parent.is_some());
    let flags = text(process, "flags").unwrap_or_default();
    // What ran before Tetragon did is told from /proc.
    if flags
        .split(|&byte| byte == b' ')
        .any(|flag| flag == b"procFS")
    {
        let stood = StateProcess {
            parent,
            image: as_text(&image),
            cwd: as_text(&cwd),
            uid: number(process, "uid"),
            login_uid: number(process, "auid"),
            container: as_text(&container),
            started_us: out.wall_us,
            ..StateProcess::default()
        };
        return out.tell(actor, Kind::StateProcess(stood));
    }
    let start = ProcessStart {
        parent,
        image: as_text(&image),
        command_line: line.as_deref().map(Text),
        cwd: as_text(&cwd),
        uid: number(process, "process_credentials.uid").or_else(|| number(process, "uid")),
        gid: number(process, "process_credentials.gid"),
        euid: number(process, "process_credentials.euid"),
        egid: number(process, "process_credentials.egid"),
        login_uid: number(process, "auid"),
        account: as_text(&account),
        mnt_ns: number(process, "ns.mnt.inum"),
        pid_ns: number(process, "ns.pid.inum"),
        container: as_text(&container),
        parent_image: as_text(&parent_image),
        parent_command_line: parent_line.as_deref().map(Text),
        ..ProcessStart::default()
    };
    out.tell(actor, Kind::ProcessStart(start))
}

fn exit<'k>(event: Value<'_>) -> Kind<'k> {
    let signal = text(event, "signal").and_then(|name| signal_of(&name));
    Kind::ProcessExit(ProcessExit {
        code: number(event, "status").filter(|_| signal.is_none()),
        signal,
        ..ProcessExit::default()
    })
}

/// The number of a signal's name on Linux, `signal(7)`.
fn signal_of(name: &[u8]) -> Option<u32> {
    const NAMES: [&[u8]; 31] = [
        b"SIGHUP",
        b"SIGINT",
        b"SIGQUIT",
        b"SIGILL",
        b"SIGTRAP",
        b"SIGABRT",
        b"SIGBUS",
        b"SIGFPE",
        b"SIGKILL",
        b"SIGUSR1",
        b"SIGSEGV",
        b"SIGUSR2",
        b"SIGPIPE",
        b"SIGALRM",
        b"SIGTERM",
        b"SIGSTKFLT",
        b"SIGCHLD",
        b"SIGCONT",
        b"SIGSTOP",
        b"SIGTSTP",
        b"SIGTTIN",
        b"SIGTTOU",
        b"SIGURG",
        b"SIGXCPU",
        b"SIGXFSZ",
        b"SIGVTALRM",
        b"SIGPROF",
        b"SIGWINCH",
        b"SIGIO",
        b"SIGPWR",
        b"SIGSYS",
    ];
    let place = NAMES.iter().position(|own| *own == name)?;
    u32::try_from(place + 1).ok()
}

/// What a probe saw: flows and files by their arguments, the rest as it is.
fn probe(
    event: Value<'_>,
    name: &'static str,
    actor: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    let function = any(event, &["function_name", "event", "symbol"]).unwrap_or_default();
    let argument = |name: &str| {
        let args = event.get("args")?;
        args.items().find_map(|argument| argument.get(name))
    };
    let flow = argument("sock_arg").or_else(|| argument("sockaddr_arg"));
    if let Some(kind) = flow.and_then(|flow| flow_of(&function, flow)) {
        return out.tell(actor, kind);
    }
    let file = argument("file_arg").or_else(|| argument("path_arg"));
    let path = file.and_then(|file| text(file, "path"));
    let mask = argument("int_arg").filter(|mask| mask.sort() == Sort::Number);
    if let Some(kind) = file_of(&function, as_text(&path), mask) {
        return out.tell(actor, kind);
    }
    let kind = Kind::RecordRaw(RecordRaw {
        channel: Some(name.into()),
        provider: Some(Text(&function)),
        ..RecordRaw::default()
    });
    out.tell(actor, kind)
}

fn flow_of<'k>(function: &[u8], flow: Value<'_>) -> Option<Kind<'k>> {
    let protocol = if holds(flow, "protocol", "IPPROTO_TCP") {
        Some(Protocol::Tcp)
    } else if holds(flow, "protocol", "IPPROTO_UDP") {
        Some(Protocol::Udp)
    } else {
        None
    };
    let local = (ip(flow, "saddr"), number(flow, "sport"));
    let remote = (
        ip(flow, "daddr").or_else(|| ip(flow, "addr")),
        number(flow, "dport").or_else(|| number(flow, "port")),
    );
    Some(match function {
        b"tcp_connect" | b"udp_sendmsg" | b"security_socket_connect" => {
            Kind::NetworkConnected(NetworkConnected {
                protocol,
                local_ip: local.0,
                local_port: local.1,
                remote_ip: remote.0,
                remote_port: remote.1,
                outcome: Some(Outcome::InProgress),
                ..NetworkConnected::default()
            })
        }
        b"inet_csk_accept" | b"tcp_v4_syn_recv_sock" | b"tcp_v6_syn_recv_sock" => {
            Kind::NetworkAccepted(NetworkAccepted {
                protocol,
                local_ip: local.0,
                local_port: local.1,
                remote_ip: remote.0,
                remote_port: remote.1,
                ..NetworkAccepted::default()
            })
        }
        b"inet_csk_listen_start" | b"inet_listen" | b"security_socket_listen" => {
            Kind::NetworkListening(NetworkListening {
                protocol,
                local_ip: local.0,
                local_port: local.1,
                path: None,
            })
        }
        b"tcp_close" => Kind::NetworkClosed(NetworkClosed {
            protocol,
            local_ip: local.0,
            local_port: local.1,
            remote_ip: remote.0,
            remote_port: remote.1,
            ..NetworkClosed::default()
        }),
        _ => return None,
    })
}

fn file_of<'k>(
    function: &[u8],
    path: Option<Text<'k>>,
    mask: Option<Value<'_>>,
) -> Option<Kind<'k>> {
    /// `MAY_WRITE` of the kernel's permission checks.
    const MAY_WRITE: u64 = 2;
    path?;
    let mask = mask.and_then(|mask| std::str::from_utf8(mask.raw()).ok()?.parse::<u64>().ok());
    let writes = match function {
        b"security_file_permission" => mask? & MAY_WRITE != 0,
        b"security_path_truncate" => true,
        b"security_file_open" | b"security_mmap_file" | b"fd_install" => false,
        _ => return None,
    };
    Some(if writes {
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
    })
}

//! Kunai: one object an event, `data` beside `info`.
//!
//! Its `guuid` names a process for the life of the machine. `clone` is told by the new process. Until
//! version 0.3 a file was under `file`, since then under `path`.

use saigen_schemas::event::{
    Args, BpfLoaded, FileCreated, FileDeleted, FileMapped, FileRead, FileRenamed, FileWritten,
    Guid, Hash32, Kind, ModuleLoaded, NetworkConnected, NetworkResolved, Outcome, ProcessExit,
    ProcessFork, ProcessKey, ProcessStart, ProcessTraced, Protocol, RecordLoss, RecordRaw, Source,
    SourceState, Text, Touch,
};

use crate::import::json::Work;
use crate::import::json::pick::{self, Out, any, as_text, ip, is_true, number, text, time};
use crate::import::json::tree::Value;
use crate::import::windows::value::sha256;
use crate::import::{At, ImportError, Sink};

/// Whether an object is an event of Kunai.
pub(super) fn is_event(object: Value<'_>) -> bool {
    object.get("data").is_some()
        && object.at_path(&["info", "event", "name"]).is_some()
        && object.at_path(&["info", "task"]).is_some()
}

/// Tells an event.
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
    let host = any(object, &["info.host.hostname", "info.host.name"]).unwrap_or_default();
    let mut out = Out {
        sink,
        at,
        source: Source::Kunai,
        host: &host,
        wall_us: time(object, "info.utc_time"),
        recorded_us: None,
        extra: fields.as_fields(),
    };
    let name = text(object, "info.event.name").unwrap_or_default();
    let task = key(object, "info.task");
    match name.as_ref() {
        b"execve" | b"execve_script" => start(object, task, &mut out),
        b"connect" | b"send_data" => flow(object, task, &name, &mut out),
        b"dns_query" => resolved(object, task, &mut out),
        b"mmap_exec" | b"file_unlink" | b"file_rename" | b"file_create" | b"write_close"
        | b"write" | b"write_config" | b"read" | b"read_config" => {
            file(object, task, &name, &mut out)
        }
        b"bpf_prog_load" | b"bpf_socket_filter" | b"init_module" => {
            kernel(object, task, &name, &mut out)
        }
        _ => {
            let kind = process(object, &name).unwrap_or_else(|| raw(object, &name));
            out.tell(task, kind)
        }
    }
}

fn key(object: Value<'_>, task: &str) -> Option<ProcessKey> {
    let task = pick::find(object, task)?;
    let guid = text(task, "guuid").and_then(|guid| pick::identity(&guid));
    let known = guid.filter(|guid| *guid != Guid::default());
    pick::process(number(task, "tgid").or_else(|| number(task, "pid")), known)
}

fn raw<'k>(object: Value<'_>, name: &'k [u8]) -> Kind<'k> {
    Kind::RecordRaw(RecordRaw {
        channel: Some("kunai".into()),
        provider: Some(Text(name)),
        event_id: number(object, "info.event.id"),
        ..RecordRaw::default()
    })
}

/// What happened to processes beside their start.
fn process<'k>(object: Value<'_>, name: &[u8]) -> Option<Kind<'k>> {
    let is_thread = number::<u32>(object, "info.task.pid") != number(object, "info.task.tgid");
    match name {
        b"clone" if !is_thread => Some(Kind::ProcessFork(ProcessFork {
            parent: key(object, "info.parent_task"),
        })),
        b"exit_group" => Some(exit(object)),
        b"exit" if !is_thread => Some(exit(object)),
        b"ptrace" => Some(Kind::ProcessTraced(ProcessTraced {
            target: key(object, "data.target.task"),
            how: Some(Touch::Ptrace),
            ..ProcessTraced::default()
        })),
        b"loss" => Some(Kind::RecordLoss(RecordLoss {
            name: Some("kunai".into()),
            count: number(object, "data.read")
                .or_else(|| number(object, "data.lost"))
                .or_else(|| number(object, "data.count")),
            ..RecordLoss::default()
        })),
        _ => None,
    }
}

fn exit<'k>(object: Value<'_>) -> Kind<'k> {
    Kind::ProcessExit(ProcessExit {
        code: number(object, "data.error_code"),
        ..ProcessExit::default()
    })
}

fn start(
    object: Value<'_>,
    task: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    let is_script = pick::find(object, "data.interpreter").is_some();
    let exe = if is_script {
        "data.interpreter"
    } else {
        "data.exe"
    };
    let exe = pick::find(object, exe);
    let image = exe.and_then(|exe| any(exe, &["path", "file"]));
    let script = is_script
        .then(|| any(object, &["data.exe.path", "data.exe.file"]))
        .flatten();
    let line = text(object, "data.command_line");
    let parent_image = text(object, "data.parent_exe");
    let parent_line = text(object, "data.parent_command_line");
    let container = any(
        object,
        &["info.host.container.name", "info.host.container.id"],
    );
    let cwd = text(object, "data.cwd");
    let hashes = exe.and_then(hashes);
    let start = ProcessStart {
        parent: key(object, "info.parent_task"),
        image: as_text(&image),
        command_line: as_text(&line),
        cwd: as_text(&cwd),
        uid: number(object, "info.task.uid"),
        gid: number(object, "info.task.gid"),
        mnt_ns: number(object, "info.task.namespaces.mnt"),
        container: as_text(&container),
        script: as_text(&script),
        sha256: exe.and_then(digest),
        hashes: hashes.as_deref().map(Text::from),
        parent_image: as_text(&parent_image),
        parent_command_line: as_text(&parent_line),
        ..ProcessStart::default()
    };
    out.tell(task, Kind::ProcessStart(start))
}

fn digest(exe: Value<'_>) -> Option<Hash32> {
    sha256(&text(exe, "sha256")?)
}

/// The hashes of a file, `ALGORITHM=hex,…`.
fn hashes(exe: Value<'_>) -> Option<String> {
    let known = ["md5", "sha1", "sha256"].into_iter().filter_map(|name| {
        let hash = text(exe, name)?;
        Some(format!(
            "{}={}",
            name.to_ascii_uppercase(),
            String::from_utf8_lossy(&hash)
        ))
    });
    let all: Vec<String> = known.collect();
    (!all.is_empty()).then(|| all.join(","))
}

fn flow(
    object: Value<'_>,
    task: Option<ProcessKey>,
    name: &[u8],
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    let Some(remote_ip) = ip(object, "data.dst.ip") else {
        return out.tell(task, raw(object, name));
    };
    let host = text(object, "data.dst.hostname").filter(|host| host.as_ref() != b"?");
    let protocol = match any(object, &["data.socket.proto", "data.socket.type"]).as_deref() {
        Some(b"tcp" | b"TCP" | b"IPPROTO_TCP" | b"SOCK_STREAM") => Some(Protocol::Tcp),
        Some(b"udp" | b"UDP" | b"IPPROTO_UDP" | b"SOCK_DGRAM") => Some(Protocol::Udp),
        Some(_) | None => None,
    };
    let refused = pick::find(object, "data.connected").is_some_and(|flag| flag.raw() == b"false");
    let kind = Kind::NetworkConnected(NetworkConnected {
        protocol,
        local_ip: ip(object, "data.src.ip"),
        local_port: number(object, "data.src.port"),
        remote_ip: Some(remote_ip),
        remote_port: number(object, "data.dst.port"),
        remote_host: as_text(&host),
        outcome: Some(if refused {
            Outcome::InProgress
        } else {
            Outcome::Success
        }),
        ..NetworkConnected::default()
    });
    out.tell(task, kind)
}

fn resolved(
    object: Value<'_>,
    task: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    let query = text(object, "data.query");
    let mut answers = Vec::new();
    let response = text(object, "data.response").unwrap_or_default();
    for answer in response.split(|&byte| byte == b';') {
        if !answer.is_empty() && !answer.contains(&0) {
            answers.extend_from_slice(answer);
            answers.push(0);
        }
    }
    let kind = Kind::NetworkResolved(NetworkResolved {
        query: as_text(&query),
        answers: (!answers.is_empty()).then_some(Args(&answers)),
        server_ip: ip(object, "data.dns_server.ip"),
        ..NetworkResolved::default()
    });
    out.tell(task, kind)
}

fn file(
    object: Value<'_>,
    task: Option<ProcessKey>,
    name: &[u8],
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    if pick::find(object, "data.success").is_some() && !is_true(object, "data.success") {
        return out.tell(task, raw(object, name));
    }
    let path = any(object, &["data.path", "data.file"]);
    let path = as_text(&path);
    let kind = match name {
        b"mmap_exec" => {
            let mapped = pick::find(object, "data.mapped");
            let path = mapped.and_then(|mapped| any(mapped, &["path", "file"]));
            let hashes = mapped.and_then(hashes);
            let kind = Kind::FileMapped(FileMapped {
                path: as_text(&path),
                sha256: mapped.and_then(digest),
                hashes: hashes.as_deref().map(Text::from),
                ..FileMapped::default()
            });
            return out.tell(task, kind);
        }
        b"file_rename" => {
            let (old, new) = (text(object, "data.old"), text(object, "data.new"));
            let kind = Kind::FileRenamed(FileRenamed {
                path: as_text(&old),
                to: as_text(&new),
                ..FileRenamed::default()
            });
            return out.tell(task, kind);
        }
        b"file_unlink" => Kind::FileDeleted(FileDeleted {
            path,
            ..FileDeleted::default()
        }),
        b"file_create" => Kind::FileCreated(FileCreated {
            path,
            ..FileCreated::default()
        }),
        b"write_close" | b"write" | b"write_config" => Kind::FileWritten(FileWritten {
            path,
            ..FileWritten::default()
        }),
        _ => Kind::FileRead(FileRead {
            path,
            outcome: Some(Outcome::Success),
            ..FileRead::default()
        }),
    };
    out.tell(task, kind)
}

fn kernel(
    object: Value<'_>,
    task: Option<ProcessKey>,
    name: &[u8],
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    /// `BPF_PROG_TYPE_SOCKET_FILTER`, `bpf(2)`: what a filter of the old kind becomes in the kernel.
    const SOCKET_FILTER: u32 = 1;
    let called = any(object, &["data.name", "data.module_name"]);
    let tag = text(object, "data.tag");
    let arguments = text(object, "data.args");
    let kind = match name {
        b"init_module" => Kind::ModuleLoaded(ModuleLoaded {
            name: as_text(&called),
            arguments: as_text(&arguments),
            outcome: pick::find(object, "data.loaded").map(|loaded| {
                if loaded.raw() == b"true" {
                    Outcome::Success
                } else {
                    Outcome::Failure
                }
            }),
            ..ModuleLoaded::default()
        }),
        b"bpf_socket_filter" => Kind::BpfLoaded(BpfLoaded {
            program_type: Some(SOCKET_FILTER),
            state: Some(SourceState::Up),
            ..BpfLoaded::default()
        }),
        _ => Kind::BpfLoaded(BpfLoaded {
            name: as_text(&called),
            program_type: number(object, "data.prog_type.id"),
            id: number(object, "data.id"),
            tag: as_text(&tag),
            state: Some(SourceState::Up),
        }),
    };
    out.tell(task, kind)
}

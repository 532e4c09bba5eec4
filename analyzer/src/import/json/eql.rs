//! Events in the normal form of the Event Query Language (`event_type`, `subtype`, `unique_pid`), as its
//! library of recordings has them.

use saigen_schemas::event::{
    BootId, Change, Event, FileCreated, FileDeleted, FileMapped, FileRenamed, FileWritten, Kind,
    Marks, NetworkAccepted, NetworkConnected, NetworkResolved, ProcessExit, ProcessKey,
    ProcessStart, Registry, Source, Text, Time,
};

use crate::import::json::tree::Value;
use crate::import::json::unknown::any_time;
use crate::import::json::{Work, leaves};
use crate::import::windows::value::{address, guid, number};
use crate::import::{At, ImportError, NO_TIME_US, Sink};

/// Whether an object is one: what it is and whose, in EQL's words.
pub(super) fn is_one(object: Value<'_>) -> bool {
    let has = |key: &str| object.get(key).is_some();
    has("event_type") && has("timestamp") && (has("unique_pid") || has("process_name"))
}

/// Tells the event of an object.
pub(super) fn tell(
    object: Value<'_>,
    at: At,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    let Work {
        record,
        fields,
        path,
        ..
    } = work;
    // The record's buffer holds the texts without their escapes.
    record.clear();
    fields.clear();
    path.clear();
    leaves(object, path, &mut |name, value| {
        record.push_with(name, |out| value.write(out));
    });
    let Some(mut kind) = kind(&|name| record.get(name).filter(|text| !text.is_empty())) else {
        return super::unknown::tell(object, at, work, sink);
    };
    for (name, value) in record.fields() {
        fields.push(name.0, value.0);
    }
    // Rules ask for whoever did it under Sysmon's name.
    if !matches!(kind, Kind::ProcessStart(_))
        && let Some(image) = record.get("process_path")
    {
        fields.push(b"Image", image.0);
    }
    let process = |guids: &str, pids: &str| {
        let guid = record.get(guids).and_then(|text| guid(text.0));
        let pid = record.get(pids).and_then(|text| number(text.0));
        let pid = pid.and_then(|pid| u32::try_from(pid).ok());
        (guid.is_some() || pid.is_some()).then_some(ProcessKey {
            pid: pid.unwrap_or(0),
            start_us: 0,
            guid,
        })
    };
    if let Kind::ProcessStart(start) = &mut kind {
        start.parent = process("unique_ppid", "ppid");
    }
    let time = object.get("timestamp").and_then(any_time);
    sink.event(
        at,
        &Event {
            seq: 0,
            time: Time {
                wall_us: time.unwrap_or(NO_TIME_US),
                boot_us: None,
            },
            recorded_us: None,
            host: record.get("hostname").unwrap_or_default(),
            boot: BootId::default(),
            source: Source::Json,
            actor: process("unique_pid", "pid"),
            marks: Marks::default(),
            extra: fields.as_fields(),
            kind,
        },
    )
}

fn kind<'a>(get: &dyn Fn(&str) -> Option<Text<'a>>) -> Option<Kind<'a>> {
    let subtype = get("subtype").unwrap_or_default().0;
    let kind = match get("event_type")?.0 {
        b"process" if subtype == b"terminate" => Kind::ProcessExit(ProcessExit::default()),
        b"process" => Kind::ProcessStart(ProcessStart {
            image: get("process_path"),
            command_line: get("command_line"),
            account: get("user").or_else(|| get("user_name")),
            parent_image: get("parent_process_path"),
            session: get("logon_id").and_then(|text| number(text.0)),
            ..ProcessStart::default()
        }),
        b"image_load" => Kind::FileMapped(FileMapped {
            path: get("image_path"),
            ..FileMapped::default()
        }),
        b"file" => file(subtype, get),
        b"registry" => Kind::Registry(Registry {
            change: Some(match subtype {
                b"create" => Change::Created,
                b"delete" => Change::Deleted,
                b"rename" => Change::Renamed,
                _ => Change::Set,
            }),
            path: get("registry_path").or_else(|| get("registry_key")),
            details: get("registry_data"),
        }),
        b"network" if subtype == b"incoming" => Kind::NetworkAccepted(NetworkAccepted {
            local_ip: ip(get("destination_address")),
            local_port: port(get("destination_port")),
            remote_ip: ip(get("source_address")),
            remote_port: port(get("source_port")),
            ..NetworkAccepted::default()
        }),
        b"network" => Kind::NetworkConnected(NetworkConnected {
            local_ip: ip(get("source_address")),
            local_port: port(get("source_port")),
            remote_ip: ip(get("destination_address")),
            remote_port: port(get("destination_port")),
            ..NetworkConnected::default()
        }),
        b"dns" => Kind::NetworkResolved(NetworkResolved {
            query: get("query_name"),
            ..NetworkResolved::default()
        }),
        _ => return None,
    };
    Some(kind)
}

fn file<'a>(subtype: &[u8], get: &dyn Fn(&str) -> Option<Text<'a>>) -> Kind<'a> {
    let path = get("file_path");
    match subtype {
        b"delete" => Kind::FileDeleted(FileDeleted {
            path,
            ..FileDeleted::default()
        }),
        b"rename" => Kind::FileRenamed(FileRenamed {
            path: get("old_file_path"),
            to: path,
            ..FileRenamed::default()
        }),
        b"modify" => Kind::FileWritten(FileWritten {
            path,
            ..FileWritten::default()
        }),
        _ => Kind::FileCreated(FileCreated {
            path,
            ..FileCreated::default()
        }),
    }
}

fn ip(text: Option<Text<'_>>) -> Option<std::net::IpAddr> {
    address(text?.0)
}

fn port(text: Option<Text<'_>>) -> Option<u16> {
    u16::try_from(number(text?.0)?).ok()
}

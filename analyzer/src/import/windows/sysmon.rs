//! Sysmon: each event id, and where its fields go (Sysmon's own schema, 1.0 to 4.90).
//!
//! | Id | Kind | | Id | Kind |
//! |---:|---|---|---:|---|
//! | 1 | `process.start` | | 15 | `file.created` (a stream) |
//! | 2 | `file.attributes` | | 16 | `record.configuration` |
//! | 3 | `network.connected`, `network.accepted` | | 17, 18 | `script.pipe` |
//! | 4 | `record.source` | | 19, 20, 21 | `configuration.wmi_subscription` |
//! | 5 | `process.exit` | | 22 | `network.resolved` |
//! | 6 | `kernel.module_loaded` | | 23, 26 | `file.deleted` |
//! | 7 | `file.mapped` | | 24 | `record.raw` (clipboard) |
//! | 8 | `process.traced` (remote thread) | | 25 | `process.traced` (image replaced) |
//! | 9 | `file.read` (raw device) | | 27, 28 | `record.raw` (blocked) |
//! | 10 | `process.opened` | | 29 | `file.created` (executable) |
//! | 11 | `file.created` | | 255 | `record.raw` (error) |
//! | 12, 13, 14 | `configuration.registry` | | | |

use saigen_schemas::event::{
    Args, Change, FileAttributes, FileCreated, FileDeleted, FileMapped, FileRead, Kind,
    ModuleLoaded, NetworkAccepted, NetworkConnected, NetworkResolved, Outcome, Pipe, ProcessExit,
    ProcessKey, ProcessOpened, ProcessStart, ProcessTraced, Protocol, RecordConfiguration,
    RecordSource, Registry, SourceState, Text, Touch, WmiSubscription,
};

use crate::import::windows::record::Record;
use crate::import::windows::take::{Made, Taker, says_something};
use crate::import::windows::{Mapped, Row, value};

/// Which ids give which kind.
pub(super) const ROWS: &[Row] = &[
    (&[1], start),
    (&[2], creation_time_changed),
    (&[3], connection),
    (&[4], state),
    (&[5], exit),
    (&[6], driver),
    (&[7], image_loaded),
    (&[8], remote_thread),
    (&[9], raw_read),
    (&[10], process_opened),
    (&[11], file_created),
    (&[12, 13, 14], registry),
    (&[15], stream_created),
    (&[16], configuration),
    (&[17, 18], pipe),
    (&[19], wmi_filter),
    (&[20], wmi_consumer),
    (&[21], wmi_binding),
    (&[22], name_resolved),
    (&[23, 26], file_deleted),
    (&[25], image_replaced),
    (&[29], executable_created),
];

/// Texts that consist of several fields.
pub(super) fn make(record: &Record, id: u32, made: &mut Made) {
    match id {
        1 => {
            let parts = ["Company", "Product", "Description"].map(|name| {
                record
                    .get(name)
                    .filter(|text| says_something(*text) && !text.0.contains(&0))
            });
            // One that is missing would move the others: then all stay under their names.
            if let [Some(company), Some(product), Some(description)] = parts {
                for part in [company, product, description] {
                    made.list.extend_from_slice(part.0);
                    made.list.push(0);
                }
            }
        }
        // `type:  5 name.example;203.0.113.7;` : kinds other than addresses are named, each ends with `;`.
        22 => {
            let answers = record.get("QueryResults").unwrap_or_default();
            let parts = answers.0.split(|&byte| byte == b';');
            for part in parts.map(<[u8]>::trim_ascii) {
                if says_something(Text(part)) && !part.contains(&0) {
                    made.list.extend_from_slice(part);
                    made.list.push(0);
                }
            }
        }
        _ => {}
    }
}

/// The process that a record is about, under every spelling of its GUID.
pub(super) fn actor(fields: &Taker<'_>) -> Option<ProcessKey> {
    fields.process(&["ProcessGuid", "ProcessGUID"], &["ProcessId", "ProcessID"])
}

fn start<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = actor(fields);
    let hashes = fields.take("Hashes");
    let version = fields.list().map(Args);
    if version.is_some() {
        for name in ["Description", "Product", "Company"] {
            fields.take(name);
        }
    }
    let kind = ProcessStart {
        image: fields.take("Image"),
        original_name: fields.take("OriginalFileName"),
        command_line: fields.take("CommandLine"),
        cwd: fields.take("CurrentDirectory"),
        account: fields.take("User"),
        session: fields.number("LogonId"),
        tty: fields.take("TerminalSessionId"),
        integrity: fields.take("IntegrityLevel"),
        sha256: hashes.and_then(|text| value::sha256(text.0)),
        hashes,
        parent: fields.process(
            &["ParentProcessGuid", "ParentProcessGUID"],
            &["ParentProcessId", "ParentProcessID"],
        ),
        parent_image: fields.take("ParentImage"),
        parent_command_line: fields.take("ParentCommandLine"),
        version,
        ..ProcessStart::default()
    };
    // Without an identity it is no start of a process that could be found again.
    actor.map(|actor| Mapped::by(actor, Kind::ProcessStart(kind)))
}

pub(super) fn exit<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = actor(fields)?;
    Some(Mapped::by(actor, Kind::ProcessExit(ProcessExit::default())))
}

fn creation_time_changed<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = FileAttributes {
        path: Some(fields.take("TargetFilename")?),
        ..FileAttributes::default()
    };
    Some(Mapped::new(actor(fields), Kind::FileAttributes(kind)))
}

/// The source of a connection is who began it, also where that is the other machine.
pub(super) fn connection<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = actor(fields);
    let protocol = fields.read("Protocol").and_then(|text| protocol(text.0));
    let source = (
        fields.take_address("SourceIp"),
        fields.take_port("SourcePort"),
    );
    let destination = (
        fields.take_address("DestinationIp"),
        fields.take_port("DestinationPort"),
    );
    let inbound = fields
        .read("Initiated")
        .is_some_and(|text| text.0.eq_ignore_ascii_case(b"false"));
    let kind = if inbound {
        Kind::NetworkAccepted(NetworkAccepted {
            protocol,
            local_ip: destination.0,
            local_port: destination.1,
            remote_ip: source.0,
            remote_port: source.1,
            remote_host: fields.take("SourceHostname"),
            ..NetworkAccepted::default()
        })
    } else {
        Kind::NetworkConnected(NetworkConnected {
            protocol,
            local_ip: source.0,
            local_port: source.1,
            remote_ip: destination.0,
            remote_port: destination.1,
            remote_host: fields.take("DestinationHostname"),
            outcome: Some(Outcome::Success),
            ..NetworkConnected::default()
        })
    };
    Some(Mapped::new(actor, kind))
}

/// The transport, by its name or its number in the IP header (IANA, protocol numbers).
pub(super) fn protocol(text: &[u8]) -> Option<Protocol> {
    [
        (&b"tcp"[..], &b"6"[..], Protocol::Tcp),
        (b"udp", b"17", Protocol::Udp),
        (b"icmp", b"1", Protocol::Icmp),
        (b"icmpv6", b"58", Protocol::Icmp),
        (b"sctp", b"132", Protocol::Sctp),
    ]
    .into_iter()
    .find(|(name, number, _)| text.eq_ignore_ascii_case(name) || text == *number)
    .map(|(_, _, protocol)| protocol)
}

pub(super) fn state<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let state = match fields.read("State")?.0 {
        b"Started" => SourceState::Up,
        b"Stopped" => SourceState::Down,
        _ => return None,
    };
    let kind = RecordSource {
        name: Some("Sysmon".into()),
        state: Some(state),
        detail: None,
    };
    Some(Mapped::new(None, Kind::RecordSource(kind)))
}

pub(super) fn configuration<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = RecordConfiguration {
        tool: Some("Sysmon".into()),
        content: fields.read("Configuration"),
        sha256: fields
            .read("ConfigurationFileHash")
            .and_then(|text| value::sha256(text.0)),
    };
    Some(Mapped::new(None, Kind::RecordConfiguration(kind)))
}

fn driver<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = ModuleLoaded {
        path: Some(fields.take("ImageLoaded")?),
        hashes: fields.take("Hashes"),
        signature: fields.take("Signature"),
        outcome: Some(Outcome::Success),
        ..ModuleLoaded::default()
    };
    Some(Mapped::new(None, Kind::ModuleLoaded(kind)))
}

fn image_loaded<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = actor(fields);
    let path = fields.take("ImageLoaded")?;
    let hashes = fields.take("Hashes");
    let kind = FileMapped {
        path: Some(path),
        sha256: hashes.and_then(|text| value::sha256(text.0)),
        hashes,
        signature: fields.take("Signature"),
        ..FileMapped::default()
    };
    Some(Mapped::new(actor, Kind::FileMapped(kind)))
}

/// Schemas before 4.0 write `Guid`, later ones `GUID`, and some shippers level them.
fn source(fields: &Taker<'_>) -> Option<ProcessKey> {
    fields.process(
        &["SourceProcessGUID", "SourceProcessGuid"],
        &["SourceProcessId", "SourceProcessID"],
    )
}

fn target(fields: &Taker<'_>) -> Option<ProcessKey> {
    fields.process(
        &["TargetProcessGUID", "TargetProcessGuid"],
        &["TargetProcessId", "TargetProcessID"],
    )
}

fn remote_thread<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = ProcessTraced {
        target: target(fields),
        how: Some(Touch::RemoteThread),
        target_image: fields.take("TargetImage"),
        // Module, function and address are three fields that rules ask for: all are kept.
        start_place: fields.read_any(&["StartFunction", "StartModule", "StartAddress"]),
        outcome: Some(Outcome::Success),
    };
    Some(Mapped::new(source(fields), Kind::ProcessTraced(kind)))
}

pub(super) fn process_opened<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = ProcessOpened {
        target: target(fields),
        target_image: fields.take("TargetImage"),
        access: fields.number("GrantedAccess"),
        call_trace: fields.take("CallTrace"),
    };
    Some(Mapped::new(source(fields), Kind::ProcessOpened(kind)))
}

fn image_replaced<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = actor(fields);
    let kind = ProcessTraced {
        target: actor,
        how: Some(Touch::ImageReplaced),
        target_image: fields.read("Image"),
        start_place: None,
        outcome: Some(Outcome::Success),
    };
    // Who did it is not recorded; the process that was changed stands in its place.
    Some(Mapped::new(actor, Kind::ProcessTraced(kind)))
}

pub(super) fn raw_read<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = FileRead {
        path: Some(fields.read("Device")?),
        ..FileRead::default()
    };
    Some(Mapped::new(actor(fields), Kind::FileRead(kind)))
}

fn created<'a>(fields: &Taker<'a>, hashes: Option<Text<'a>>) -> Option<Mapped<'a>> {
    let actor = actor(fields);
    let kind = FileCreated {
        path: Some(fields.take("TargetFilename")?),
        created_us: fields.moment("CreationUtcTime"),
        hashes,
        ..FileCreated::default()
    };
    Some(Mapped::new(actor, Kind::FileCreated(kind)))
}

pub(super) fn file_created<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    created(fields, None)
}

fn stream_created<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    created(fields, fields.take("Hash"))
}

fn executable_created<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    created(fields, fields.take("Hashes"))
}

pub(super) fn file_deleted<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = actor(fields);
    let kind = FileDeleted {
        path: Some(fields.take("TargetFilename")?),
        hashes: fields.take("Hashes"),
        archived: fields.read("Archived"),
        ..FileDeleted::default()
    };
    Some(Mapped::new(actor, Kind::FileDeleted(kind)))
}

fn registry<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = actor(fields);
    let path = fields.take("TargetObject")?;
    let word = fields.read("EventType").map(|text| text.0);
    let change = match word.filter(|word| word.ends_with(b"Key") || word.ends_with(b"Value")) {
        // Shippers have a field of this name for themselves; then only the message still says it.
        None => line_of(fields.record().message().0, b"EventType: "),
        word => word,
    };
    let change = match change {
        Some(b"CreateKey" | b"CreateValue" | b"CreateKeyTransacted") => Change::Created,
        Some(b"DeleteKey" | b"DeleteValue") => Change::Deleted,
        Some(b"RenameKey" | b"RenameValue") => Change::Renamed,
        Some(b"SetValue") => Change::Set,
        Some(_) | None => match fields.record().event_id {
            Some(12) => return None,
            Some(14) => Change::Renamed,
            Some(_) | None => Change::Set,
        },
    };
    let kind = Registry {
        change: Some(change),
        path: Some(path),
        details: fields.take_any(&["Details", "NewName"]),
    };
    Some(Mapped::new(actor, Kind::Registry(kind)))
}

/// What follows a name on its line of a message.
fn line_of<'m>(message: &'m [u8], name: &[u8]) -> Option<&'m [u8]> {
    let mut lines = message.split(|&byte| byte == b'\n');
    lines.find_map(|line| Some(line.strip_prefix(name)?.trim_ascii()))
}

fn pipe<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = actor(fields);
    let created = fields.record().event_id == Some(17);
    let kind = Pipe {
        name: Some(fields.take("PipeName")?),
        change: Some(if created {
            Change::Created
        } else {
            Change::Set
        }),
    };
    Some(Mapped::new(actor, Kind::Pipe(kind)))
}

fn subscription<'a>(
    fields: &Taker<'a>,
    item: &'static str,
    name: Option<Text<'a>>,
    content: Option<Text<'a>>,
) -> Option<Mapped<'a>> {
    let deleted = fields
        .read("Operation")
        .is_some_and(|text| text.0.eq_ignore_ascii_case(b"Deleted"));
    let kind = WmiSubscription {
        change: Some(if deleted {
            Change::Deleted
        } else {
            Change::Created
        }),
        item: Some(item.into()),
        name,
        content,
        account: fields.take("User"),
    };
    Some(Mapped::new(None, Kind::WmiSubscription(kind)))
}

fn wmi_filter<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    subscription(fields, "filter", fields.take("Name"), fields.take("Query"))
}

fn wmi_consumer<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    subscription(
        fields,
        "consumer",
        fields.take("Name"),
        fields.take("Destination"),
    )
}

fn wmi_binding<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    subscription(
        fields,
        "binding",
        fields.read("Consumer"),
        fields.read("Filter"),
    )
}

fn name_resolved<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = actor(fields);
    let kind = NetworkResolved {
        query: Some(fields.take("QueryName")?),
        status: fields.take("QueryStatus"),
        answers: fields.list().map(Args),
        ..NetworkResolved::default()
    };
    Some(Mapped::new(actor, Kind::NetworkResolved(kind)))
}

//! The Security log: who logged on, what ran, what was reached
//! (Microsoft, *Appendix L: Events to Monitor* and *Advanced security audit policy*).
//!
//! | Id | Kind |
//! |---|---|
//! | 4688, 4689 | `process.start`, `process.exit` |
//! | 4624; 4625, 4771, 4776 where refused | `session.logon`; `session.failed_logon` |
//! | 4634, 4647 | `session.logoff` |
//! | 4648, 4672 | `session.privilege_switch` |
//! | 4697 | `configuration.service`, or `configuration.driver` by its type |
//! | 4698 to 4702 | `configuration.scheduled_task` |
//! | 4657 | `configuration.registry` |
//! | 4656, 4663 of a process | `process.opened` |
//! | 4663 of a file | `file.read`, `file.written` or `file.deleted` by its access mask |
//! | 5156, 5157 | `network.connected` or `network.accepted` by its direction |
//! | 5154 | `network.listening` |
//! | 1102 | `record.log_cleared` |
//!
//! All others (accounts and groups 4720–4767, tickets 4768–4770, shares 5140 and 5145, handles, policy,
//! directory) are `record.raw` with all their fields.

use saigen_schemas::event::{
    Change, DriverChange, FailedLogon, FileDeleted, FileRead, FileWritten, Kind, LogCleared,
    Logoff, Logon, NetworkAccepted, NetworkConnected, NetworkListening, Outcome, PrivilegeSwitch,
    ProcessExit, ProcessKey, ProcessOpened, ProcessStart, Registry, ScheduledTask, ServiceChange,
    Text,
};

use crate::import::windows::record::Record;
use crate::import::windows::sysmon::protocol;
use crate::import::windows::take::{Made, Taker, says_something};
use crate::import::windows::value::number;
use crate::import::windows::{Mapped, Row, task};

/// Which ids give which kind.
pub(super) const ROWS: &[Row] = &[
    (&[4688], start),
    (&[4689], exit),
    (&[4624], logon),
    (&[4625], failed_logon),
    (&[4771, 4776], refused_by_controller),
    (&[4634, 4647], logoff),
    (&[4648], other_credentials),
    (&[4672], special_privileges),
    (&[4697], service_installed),
    (&[4698, 4699, 4700, 4701, 4702], scheduled_task),
    (&[4657], registry_value),
    (&[4656], handle_asked),
    (&[4663], object_reached),
    (&[5156, 5157], connection),
    (&[5154], listening),
    (&[1102], cleared),
];

/// Rights of a file, `winnt.h`: these change it, this one removes it.
const WRITES: u64 = 0x2 | 0x4;
const DELETES: u64 = 0x1_0000;
const READS: u64 = 0x1;

/// `DOMAIN\name` of subject and target, the path of a registry value, the command of a task.
pub(super) fn make(record: &Record, id: u32, made: &mut Made) {
    account(
        record,
        "SubjectDomainName",
        "SubjectUserName",
        &mut made.subject,
    );
    account(
        record,
        "TargetDomainName",
        "TargetUserName",
        &mut made.target,
    );
    match id {
        4657 => {
            let key = record.get("ObjectName").unwrap_or_default();
            short_key(key.0, &mut made.path);
            if let Some(name) = record.get("ObjectValueName") {
                made.path.push(b'\\');
                made.path.extend_from_slice(name.0);
            }
            let kind = record.get("NewValueType").unwrap_or_default();
            let value = record.get("NewValue").unwrap_or_default();
            details(kind.0, value.0, &mut made.list);
        }
        4698 | 4702 => {
            let content = record
                .get("TaskContent")
                .or_else(|| record.get("TaskContentNew"));
            task::command(content.unwrap_or_default().0, &mut made.path);
        }
        _ => {}
    }
}

/// `DOMAIN\name`; only the name where there is no domain.
fn account(record: &Record, domain: &str, name: &str, out: &mut Vec<u8>) {
    let Some(name) = record.get(name).filter(|name| says_something(*name)) else {
        return;
    };
    if let Some(domain) = record.get(domain).filter(|domain| says_something(*domain)) {
        out.extend_from_slice(domain.0);
        out.push(b'\\');
    }
    out.extend_from_slice(name.0);
}

/// A key of the kernel's naming under the name that Sysmon and rules call it by.
fn short_key(key: &[u8], out: &mut Vec<u8>) {
    let roots: [(&[u8], &[u8]); 2] = [
        (b"\\REGISTRY\\MACHINE", b"HKLM"),
        (b"\\REGISTRY\\USER", b"HKU"),
    ];
    for (long, short) in roots {
        if let Some((root, rest)) = key.split_at_checked(long.len())
            && root.eq_ignore_ascii_case(long)
        {
            out.extend_from_slice(short);
            out.extend_from_slice(rest);
            return;
        }
    }
    out.extend_from_slice(key);
}

/// A value as Sysmon writes it and rules expect it, by its type (`REG_DWORD`, `REG_QWORD`, `REG_BINARY`, which stand
/// as numbers of messages). Numbers are decimal here.
fn details(kind: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let text = match (kind, number(value)) {
        (b"%%1876", Some(number)) => format!("DWORD (0x{number:08x})"),
        (b"%%1883", Some(number)) => {
            format!(
                "QWORD (0x{:08x}-0x{:08x})",
                number >> 32,
                number & 0xffff_ffff
            )
        }
        (b"%%1875", _) => "Binary Data".to_owned(),
        _ => return out.extend_from_slice(value),
    };
    out.extend_from_slice(text.as_bytes());
}

/// The process that a record names; process 0 is the idle process and means none.
pub(super) fn actor(fields: &Taker<'_>) -> Option<ProcessKey> {
    process(fields, &["ProcessId", "ProcessID"])
}

fn process(fields: &Taker<'_>, names: &[&str]) -> Option<ProcessKey> {
    let pid = names.iter().find_map(|name| fields.small(name))?;
    (pid != 0).then_some(ProcessKey::new(pid, 0))
}

/// `NewProcessId` is the new process, `ProcessId` the one that made it.
fn start<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = process(fields, &["NewProcessId"])?;
    let target = fields.target();
    let session = match target {
        Some(_) => fields.number("TargetLogonId"),
        None => fields.number("SubjectLogonId"),
    };
    let kind = ProcessStart {
        parent: self::actor(fields),
        image: fields.take("NewProcessName"),
        command_line: fields.take_any(&["CommandLine", "ProcessCommandLine"]),
        parent_image: fields.take("ParentProcessName"),
        account: target.or_else(|| fields.subject()),
        session,
        integrity: fields.read("MandatoryLabel"),
        ..ProcessStart::default()
    };
    Some(Mapped::by(actor, Kind::ProcessStart(kind)))
}

fn exit<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = ProcessExit {
        code: fields.small("Status"),
        ..ProcessExit::default()
    };
    Some(Mapped::by(actor(fields)?, Kind::ProcessExit(kind)))
}

fn logon<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = Logon {
        by_account: fields.take("SubjectUserName"),
        account: Some(fields.take("TargetUserName")?),
        domain: fields.take("TargetDomainName"),
        session: fields.number("TargetLogonId"),
        logon_type: fields.take("LogonType"),
        method: fields.take("AuthenticationPackageName"),
        remote_host: fields.take("WorkstationName"),
        program: fields.take("ProcessName"),
        remote_ip: fields.take_address("IpAddress"),
        remote_port: fields.take_port("IpPort"),
        ..Logon::default()
    };
    Some(Mapped::new(actor(fields), Kind::Logon(kind)))
}

fn failed_logon<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = FailedLogon {
        account: fields.take("TargetUserName"),
        domain: fields.take("TargetDomainName"),
        reason: fields.read_any(&["SubStatus", "Status"]),
        logon_type: fields.take("LogonType"),
        remote_host: fields.take("WorkstationName"),
        program: fields.take("ProcessName"),
        remote_ip: fields.take_address("IpAddress"),
        ..FailedLogon::default()
    };
    Some(Mapped::new(actor(fields), Kind::FailedLogon(kind)))
}

/// 4771 is always a refusal; 4776 is one by its status.
fn refused_by_controller<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    if fields.number("Status") == Some(0) {
        return None;
    }
    let kind = FailedLogon {
        account: Some(fields.take("TargetUserName")?),
        reason: fields.read("Status"),
        remote_host: fields.read("Workstation"),
        remote_ip: fields.take_address("IpAddress"),
        ..FailedLogon::default()
    };
    Some(Mapped::new(None, Kind::FailedLogon(kind)))
}

fn logoff<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = Logoff {
        account: fields.take("TargetUserName"),
        session: fields.number("TargetLogonId"),
        ..Logoff::default()
    };
    Some(Mapped::new(None, Kind::Logoff(kind)))
}

fn other_credentials<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = PrivilegeSwitch {
        account: fields.take("SubjectUserName"),
        to_account: Some(fields.read("TargetUserName")?),
        program: fields.take("ProcessName"),
        outcome: Some(Outcome::Success),
        ..PrivilegeSwitch::default()
    };
    Some(Mapped::new(actor(fields), Kind::PrivilegeSwitch(kind)))
}

fn special_privileges<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = PrivilegeSwitch {
        account: fields.take("SubjectUserName"),
        privileges: Some(fields.take("PrivilegeList")?),
        outcome: Some(Outcome::Success),
        ..PrivilegeSwitch::default()
    };
    Some(Mapped::new(None, Kind::PrivilegeSwitch(kind)))
}

fn service_installed<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let name = Some(fields.take("ServiceName")?);
    let client = process(fields, &["ClientProcessId"]);
    // SERVICE_KERNEL_DRIVER and SERVICE_FILE_SYSTEM_DRIVER, `winnt.h`.
    let kind = if matches!(fields.number("ServiceType"), Some(1 | 2)) {
        Kind::DriverChange(DriverChange {
            change: Some(Change::Created),
            name,
            path: fields.read("ServiceFileName"),
            start: fields.read("ServiceStartType"),
        })
    } else {
        Kind::ServiceChange(ServiceChange {
            change: Some(Change::Created),
            name,
            command_line: fields.take("ServiceFileName"),
            start: fields.take("ServiceStartType"),
            account: fields.take("ServiceAccount"),
        })
    };
    Some(Mapped::new(client, kind))
}

fn scheduled_task<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = ScheduledTask {
        change: Some(match fields.record().event_id {
            Some(4698) => Change::Created,
            Some(4699) => Change::Deleted,
            Some(_) | None => Change::Set,
        }),
        name: Some(fields.take("TaskName")?),
        content: fields.take_any(&["TaskContent", "TaskContentNew"]),
        command_line: fields.path(),
        ..ScheduledTask::default()
    };
    let client = process(fields, &["ClientProcessId"]);
    Some(Mapped::new(client, Kind::ScheduledTask(kind)))
}

fn registry_value<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = Registry {
        change: Some(match fields.read("OperationType").map(|text| text.0) {
            Some(b"%%1904") => Change::Created,
            Some(b"%%1906") => Change::Deleted,
            Some(_) | None => Change::Set,
        }),
        path: fields.path(),
        details: fields.list().map(Text),
    };
    Some(Mapped::new(actor(fields), Kind::Registry(kind)))
}

fn process_opened<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = ProcessOpened {
        target: None,
        target_image: Some(fields.read("ObjectName")?),
        access: fields.number("AccessMask"),
        call_trace: None,
    };
    Some(Mapped::new(actor(fields), Kind::ProcessOpened(kind)))
}

/// A handle that was asked for tells of a process alone: of files it says what may be done, and 4663
/// what is.
fn handle_asked<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    match fields.read("ObjectType")?.0 {
        b"Process" => process_opened(fields),
        _ => None,
    }
}

fn object_reached<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    match fields.read("ObjectType")?.0 {
        b"Process" => process_opened(fields),
        b"File" => file_reached(fields),
        _ => None,
    }
}

fn file_reached<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let path = Some(fields.read("ObjectName")?);
    let access = fields.number("AccessMask")?;
    let kind = if access & DELETES != 0 {
        Kind::FileDeleted(FileDeleted {
            path,
            ..FileDeleted::default()
        })
    } else if access & WRITES != 0 {
        Kind::FileWritten(FileWritten {
            path,
            ..FileWritten::default()
        })
    } else if access & READS != 0 {
        Kind::FileRead(FileRead {
            path,
            outcome: Some(Outcome::Success),
            access: Some(access),
            ..FileRead::default()
        })
    } else {
        return None;
    };
    Some(Mapped::new(actor(fields), kind))
}

/// The source is who began it, in both directions.
fn connection<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let protocol = fields.read("Protocol").and_then(|text| protocol(text.0));
    let port = |name| u16::try_from(fields.number(name)?).ok();
    let source = (fields.address("SourceAddress"), port("SourcePort"));
    let destination = (fields.address("DestAddress"), port("DestPort"));
    let outcome = Some(match fields.record().event_id {
        Some(5157) => Outcome::Failure,
        Some(_) | None => Outcome::Success,
    });
    let kind = match fields.read("Direction")?.0 {
        b"%%14593" => Kind::NetworkConnected(NetworkConnected {
            protocol,
            local_ip: source.0,
            local_port: source.1,
            remote_ip: destination.0,
            remote_port: destination.1,
            outcome,
            ..NetworkConnected::default()
        }),
        b"%%14592" if outcome == Some(Outcome::Success) => Kind::NetworkAccepted(NetworkAccepted {
            protocol,
            local_ip: destination.0,
            local_port: destination.1,
            remote_ip: source.0,
            remote_port: source.1,
            ..NetworkAccepted::default()
        }),
        _ => return None,
    };
    Some(Mapped::new(actor(fields), kind))
}

fn listening<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = NetworkListening {
        protocol: fields.read("Protocol").and_then(|text| protocol(text.0)),
        local_ip: fields.address("SourceAddress"),
        local_port: fields
            .number("SourcePort")
            .and_then(|port| u16::try_from(port).ok()),
        ..NetworkListening::default()
    };
    Some(Mapped::new(actor(fields), Kind::NetworkListening(kind)))
}

/// Also 104 of the System log, which names the log that was cleared.
pub(super) fn cleared<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let log = fields.read("Channel").unwrap_or(Text(b"Security"));
    let kind = LogCleared {
        name: Some(log),
        account: fields.subject().or_else(|| fields.read("SubjectUserName")),
    };
    Some(Mapped::new(None, Kind::LogCleared(kind)))
}

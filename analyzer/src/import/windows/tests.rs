//! Each table, by a record of each id: the kind it becomes, its places, and what stays under its name.

mod sysmon;

use serde_json::{Value as Json, json};

use crate::import::At;
use crate::import::tests::Told;
use crate::import::windows::{Part, Record, Scratch, map};

const SYSMON: &str = "Microsoft-Windows-Sysmon";
const SECURITY: &str = "Microsoft-Windows-Security-Auditing";
const POWERSHELL: &str = "Microsoft-Windows-PowerShell";
const SERVICES: &str = "Service Control Manager";
const TASKS: &str = "Microsoft-Windows-TaskScheduler";
const GUID: &str = "{11111111-2222-3333-4444-555555555555}";
const BARE: &str = "11111111-2222-3333-4444-555555555555";

fn event(provider: &str, id: u32, fields: &[(&str, &str)]) -> Json {
    let mut record = Record::default();
    record.event_id = Some(id);
    record.time_us = Some(1_900_000_000_000_000);
    record.process_id = Some(808);
    record.set(Part::Provider, provider.as_bytes());
    record.set(Part::Channel, b"Log");
    for (name, value) in fields {
        record.push(name.as_bytes(), value.as_bytes());
    }
    record.push_head(b"Level", b"4");
    let mut told = Told::default();
    let at = At {
        offset: 0,
        number: None,
    };
    map(&record, &mut Scratch::default(), at, &mut told).unwrap();
    assert_eq!(told.events.len(), 1);
    told.events.remove(0)
}

/// Asserts a kind, places, and fields that stay.
fn is(event: &Json, kind: &str, places: &[(&str, Json)], kept: &[(&str, &str)]) {
    assert_eq!(event["kind"], kind, "{event}");
    for (place, expected) in places {
        let value = place.split('.').fold(event, |value, key| &value[key]);
        assert_eq!(value, expected, "{place} of {event}");
    }
    for (name, expected) in kept {
        assert_eq!(event["fields"][name], *expected, "{name} of {event}");
    }
    assert_eq!(event["fields"]["Level"], "4", "{event}");
}

/// The process of a Sysmon record, then the fields.
fn sysmon(id: u32, fields: &[(&str, &str)]) -> Json {
    let mut all = vec![
        ("UtcTime", "2031-05-04 10:00:01.125"),
        ("ProcessGuid", GUID),
        ("ProcessId", "12"),
        ("Image", "C:\\x.exe"),
    ];
    all.extend_from_slice(fields);
    let event = event(SYSMON, id, &all);
    assert_eq!(event["time"], "2031-05-04T10:00:01.125000Z");
    assert_eq!(event["record_time"], "2030-03-17T17:46:40.000000Z");
    assert_eq!(event["source"], "sysmon");
    event
}

#[test]
fn the_new_process_of_4688_is_the_child() {
    let fields = [
        ("SubjectUserName", "ida"),
        ("SubjectDomainName", "DESK7"),
        ("SubjectLogonId", "0x3e8"),
        ("NewProcessId", "0x10"),
        ("NewProcessName", "C:\\c.exe"),
        ("ProcessId", "0x20"),
        ("CommandLine", "c /x"),
        ("TargetUserName", "-"),
        ("TargetLogonId", "0x0"),
        ("ParentProcessName", "C:\\p.exe"),
    ];
    let places = [
        ("actor.pid", json!(16)),
        ("parent.pid", json!(32)),
        ("image", json!("C:\\c.exe")),
        ("command_line", json!("c /x")),
        ("parent_image", json!("C:\\p.exe")),
        ("account", json!("DESK7\\ida")),
        ("session", json!(1000)),
    ];
    let kept = [
        ("NewProcessId", "0x10"),
        ("ProcessId", "0x20"),
        ("SubjectUserName", "ida"),
        ("EventID", "4688"),
        ("Channel", "Log"),
        ("Provider_Name", SECURITY),
    ];
    is(
        &event(SECURITY, 4688, &fields),
        "process.start",
        &places,
        &kept,
    );
    let exit = event(SECURITY, 4689, &[("ProcessId", "0x10"), ("Status", "0x1")]);
    is(
        &exit,
        "process.exit",
        &[("code", json!(1))],
        &[("ProcessId", "0x10")],
    );
}

#[test]
fn sessions_are_told_by_who_and_from_where() {
    let fields = [
        ("SubjectUserName", "HOST$"),
        ("TargetUserName", "ida"),
        ("TargetDomainName", "DESK7"),
        ("TargetLogonId", "0xabc"),
        ("LogonType", "3"),
        ("IpAddress", "192.0.2.9"),
        ("IpPort", "50001"),
        ("ProcessId", "0x0"),
        ("Status", "0xc000006d"),
        ("SubStatus", "0xc000006a"),
    ];
    let places = [
        ("account", json!("ida")),
        ("domain", json!("DESK7")),
        ("logon_type", json!("3")),
        ("remote_ip", json!("192.0.2.9")),
    ];
    let logon = event(SECURITY, 4624, &fields);
    is(
        &logon,
        "session.logon",
        &places,
        &[("TargetLogonId", "0xabc")],
    );
    assert_eq!(logon["session"], 0xabc);
    assert_eq!(logon["by_account"], "HOST$");
    assert!(logon.get("actor").is_none());
    let failed = event(SECURITY, 4625, &fields);
    is(
        &failed,
        "session.failed_logon",
        &places,
        &[("Status", "0xc000006d")],
    );
    assert_eq!(failed["reason"], "0xc000006a");
    is(
        &event(SECURITY, 4634, &fields),
        "session.logoff",
        &[("account", json!("ida"))],
        &[],
    );
    is(
        &event(SECURITY, 4648, &fields),
        "session.privilege_switch",
        &[("to_account", json!("ida"))],
        &[],
    );
    is(
        &event(SECURITY, 4776, &fields),
        "session.failed_logon",
        &[],
        &[],
    );
    let granted = [("TargetUserName", "ida"), ("Status", "0x0")];
    is(
        &event(SECURITY, 4776, &granted),
        "record.raw",
        &[],
        &granted,
    );
    let special = [
        ("SubjectUserName", "ida"),
        ("PrivilegeList", "SeDebugPrivilege"),
    ];
    let places = [("privileges", json!("SeDebugPrivilege"))];
    is(
        &event(SECURITY, 4672, &special),
        "session.privilege_switch",
        &places,
        &[],
    );
}

#[test]
fn objects_are_told_by_their_type_and_access() {
    for (kind, mask, expected) in [
        ("File", "0x1", "file.read"),
        ("File", "0x2", "file.written"),
        ("File", "0x10000", "file.deleted"),
        ("File", "0x20000", "record.raw"),
        ("Process", "0x1410", "process.opened"),
        ("Key", "0x1", "record.raw"),
    ] {
        let fields = [
            ("ObjectType", kind),
            ("ObjectName", "C:\\o"),
            ("AccessMask", mask),
            ("ProcessId", "0x8"),
        ];
        let event = event(SECURITY, 4663, &fields);
        is(&event, expected, &[("actor.pid", json!(8))], &fields);
    }
}

#[test]
fn the_filtering_platform_names_who_began() {
    for (id, direction, kind) in [
        (5156, "%%14593", "network.connected"),
        (5156, "%%14592", "network.accepted"),
        (5157, "%%14593", "network.connected"),
        (5157, "%%14592", "record.raw"),
    ] {
        let fields = [
            ("ProcessID", "40"),
            ("Direction", direction),
            ("SourceAddress", "192.0.2.1"),
            ("DestAddress", "198.51.100.2"),
            ("DestPort", "445"),
            ("Protocol", "6"),
        ];
        is(
            &event(SECURITY, id, &fields),
            kind,
            &[("actor.pid", json!(40))],
            &fields,
        );
    }
}

#[test]
fn services_and_tasks_are_configuration() {
    for (kind, image, expected) in [
        ("user mode service", "C:\\s.exe", "configuration.service"),
        ("kernel mode driver", "C:\\s", "configuration.driver"),
        ("Kernelmodustreiber", "C:\\s.sys", "configuration.driver"),
    ] {
        let fields = [
            ("ServiceName", "s"),
            ("ImagePath", image),
            ("ServiceType", kind),
        ];
        is(
            &event(SERVICES, 7045, &fields),
            expected,
            &[("name", json!("s"))],
            &[],
        );
    }
    for (state, binary, change) in [
        ("running", "", json!("started")),
        (
            "wird ausgeführt",
            "730076006300320033002F0034000000",
            json!("started"),
        ),
        (
            "beendet",
            "730076006300320033002F0031000000",
            json!("stopped"),
        ),
    ] {
        let fields = [("param1", "s"), ("param2", state), ("Binary", binary)];
        is(
            &event(SERVICES, 7036, &fields),
            "configuration.service",
            &[("change", change)],
            &[],
        );
    }
    let content = "<Exec><Command>cmd</Command><Arguments>/c x</Arguments></Exec>";
    let created = event(
        SECURITY,
        4698,
        &[("TaskName", "\\t"), ("TaskContent", content)],
    );
    let places = [
        ("name", json!("\\t")),
        ("command_line", json!("cmd /c x")),
        ("content", json!(content)),
    ];
    is(&created, "configuration.scheduled_task", &places, &[]);
    for (id, change) in [
        (106, "created"),
        (140, "set"),
        (141, "deleted"),
        (100, "started"),
        (102, "stopped"),
    ] {
        let event = event(TASKS, id, &[("TaskName", "\\t")]);
        is(
            &event,
            "configuration.scheduled_task",
            &[("change", json!(change))],
            &[],
        );
    }
    let ran = event(
        TASKS,
        129,
        &[("TaskName", "\\t"), ("Path", "c.exe"), ("ProcessID", "77")],
    );
    let places = [("process.pid", json!(77)), ("command_line", json!("c.exe"))];
    is(
        &ran,
        "configuration.scheduled_task",
        &places,
        &[("Path", "c.exe")],
    );
}

#[test]
fn scripts_are_seen_in_the_process_that_wrote_the_record() {
    let fields = [
        ("MessageNumber", "1"),
        ("MessageTotal", "2"),
        ("ScriptBlockText", "Get-Date"),
        ("ScriptBlockId", "i"),
    ];
    let places = [
        ("actor.pid", json!(808)),
        ("text", json!("Get-Date")),
        ("parts", json!(2)),
    ];
    is(
        &event(POWERSHELL, 4104, &fields),
        "script.block",
        &places,
        &[],
    );
    let fields = [
        ("ContextInfo", "  Severity = x\r\n  User = D\\u\r\n"),
        ("Payload", "p"),
    ];
    let places = [("text", json!("p")), ("account", json!("D\\u"))];
    is(
        &event(POWERSHELL, 4103, &fields),
        "script.block",
        &places,
        &[fields[0]],
    );
    let details = "\tNewEngineState=Available\r\n\r\n\tHostApplication=powershell -x\r\n";
    let started = event(
        "PowerShell",
        400,
        &[("Data", "Available"), ("Data", details)],
    );
    is(
        &started,
        "record.raw",
        &[],
        &[("HostApplication", "powershell -x")],
    );
}

#[test]
fn cleared_logs_name_who_did_it() {
    let fields = [("SubjectUserName", "ida"), ("SubjectDomainName", "D")];
    let places = [("name", json!("Security")), ("account", json!("D\\ida"))];
    is(
        &event("Microsoft-Windows-Eventlog", 1102, &fields),
        "record.log_cleared",
        &places,
        &fields,
    );
    let mut other = fields.to_vec();
    other.push(("Channel", "System"));
    let places = [("name", json!("System"))];
    is(
        &event("Microsoft-Windows-Eventlog", 104, &other),
        "record.log_cleared",
        &places,
        &[],
    );
}

#[test]
fn remote_sessions_are_told() {
    let fields = [
        ("User", "D\\u"),
        ("SessionID", "2"),
        ("Address", "192.0.2.7"),
    ];
    let provider = "Microsoft-Windows-TerminalServices-LocalSessionManager";
    let places = [
        ("account", json!("D\\u")),
        ("remote_ip", json!("192.0.2.7")),
    ];
    is(
        &event(provider, 21, &fields),
        "session.logon",
        &places,
        &fields,
    );
    is(
        &event(provider, 23, &fields),
        "session.logoff",
        &[],
        &fields,
    );
    let provider = "Microsoft-Windows-TerminalServices-RemoteConnectionManager";
    let reached = event(provider, 1149, &[("Param1", "u"), ("Param3", "192.0.2.7")]);
    is(
        &reached,
        "network.accepted",
        &[("remote_ip", json!("192.0.2.7"))],
        &[("Param1", "u")],
    );
}

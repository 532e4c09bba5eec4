//! What Sysmon's records become.

use serde_json::json;

use crate::import::windows::tests::{BARE, GUID, SECURITY, SYSMON, event, is, sysmon};

#[test]
fn sysmon_tells_of_the_process_that_did_it() {
    let by = [("actor.pid", json!(12)), ("actor.guid", json!(BARE))];
    for (id, field, kind, place) in [
        (2, "TargetFilename", "file.attributes", "path"),
        (7, "ImageLoaded", "file.mapped", "path"),
        (11, "TargetFilename", "file.created", "path"),
        (13, "TargetObject", "configuration.registry", "path"),
        (15, "TargetFilename", "file.created", "path"),
        (17, "PipeName", "script.pipe", "name"),
        (18, "PipeName", "script.pipe", "name"),
        (22, "QueryName", "network.resolved", "query"),
        (23, "TargetFilename", "file.deleted", "path"),
        (26, "TargetFilename", "file.deleted", "path"),
        (29, "TargetFilename", "file.created", "path"),
    ] {
        let event = sysmon(id, &[(field, "a value")]);
        is(
            &event,
            kind,
            &[(place, json!("a value"))],
            &[("Image", "C:\\x.exe")],
        );
        is(&event, kind, &by, &[]);
        assert!(event["fields"].get(field).is_none(), "{event}");
    }
    is(&sysmon(5, &[]), "process.exit", &by, &[]);
    for id in [24, 27, 28, 255] {
        is(
            &sysmon(id, &[]),
            "record.raw",
            &by,
            &[("Image", "C:\\x.exe")],
        );
    }
    let raw = sysmon(9, &[("Device", "\\Device\\HarddiskVolume1")]);
    is(
        &raw,
        "file.read",
        &by,
        &[("Device", "\\Device\\HarddiskVolume1")],
    );
}

#[test]
fn a_thread_and_a_handle_have_two_processes() {
    let fields = [
        ("SourceProcessGUID", GUID),
        ("SourceProcessId", "7"),
        ("SourceImage", "C:\\s.exe"),
        (
            "TargetProcessGuid",
            "{21111111-2222-3333-4444-555555555555}",
        ),
        ("TargetProcessId", "8"),
        ("TargetImage", "C:\\t.exe"),
        ("GrantedAccess", "0x1010"),
        ("StartFunction", "LoadLibraryA"),
    ];
    let places = [
        ("actor.pid", json!(7)),
        ("actor.guid", json!(BARE)),
        ("target.pid", json!(8)),
        ("target_image", json!("C:\\t.exe")),
    ];
    let opened = event(SYSMON, 10, &fields);
    is(
        &opened,
        "process.opened",
        &places,
        &[("GrantedAccess", "0x1010")],
    );
    assert_eq!(opened["access"], 0x1010);
    let thread = event(SYSMON, 8, &fields);
    is(
        &thread,
        "process.traced",
        &places,
        &[("StartFunction", "LoadLibraryA")],
    );
    assert_eq!(thread["how"], "remote_thread");
    let tampered = sysmon(25, &[("Type", "Image is replaced")]);
    is(
        &tampered,
        "process.traced",
        &[("how", json!("image_replaced"))],
        &[],
    );
}

#[test]
fn a_guid_alone_is_an_identity() {
    let event = event(
        SYSMON,
        11,
        &[("ProcessGuid", GUID), ("TargetFilename", "C:\\a")],
    );
    assert_eq!(event["actor"]["guid"], BARE);
    assert!(event["actor"].get("pid").is_none_or(|pid| pid == 0));
    let start = self::event(
        SYSMON,
        1,
        &[("ProcessGuid", GUID), ("ParentProcessId", "4")],
    );
    assert_eq!(start["parent"]["pid"], 4);
}

#[test]
fn the_source_of_a_connection_began_it() {
    let ends = [
        ("Protocol", "tcp"),
        ("SourceIp", "192.0.2.1"),
        ("SourcePort", "50000"),
        ("DestinationIp", "198.51.100.2"),
        ("DestinationPort", "443"),
        ("DestinationHostname", "name.example"),
    ];
    let mut fields = ends.to_vec();
    fields.push(("Initiated", "true"));
    let out = sysmon(3, &fields);
    let places = [
        ("local_ip", json!("192.0.2.1")),
        ("remote_port", json!(443)),
        ("remote_host", json!("name.example")),
        ("protocol", json!("tcp")),
    ];
    is(&out, "network.connected", &places, &[("Initiated", "true")]);
    fields.pop();
    fields.push(("Initiated", "false"));
    let places = [
        ("local_ip", json!("198.51.100.2")),
        ("remote_ip", json!("192.0.2.1")),
    ];
    is(&sysmon(3, &fields), "network.accepted", &places, &[]);
}

#[test]
fn the_registry_tells_what_was_done() {
    for (id, word, change) in [
        (12, "CreateKey", "created"),
        (12, "DeleteValue", "deleted"),
        (13, "SetValue", "set"),
        (14, "RenameKey", "renamed"),
        // The shipper's word in the place of Sysmon's.
        (13, "INFO", "set"),
    ] {
        let fields = [
            ("EventType", word),
            ("TargetObject", "HKLM\\a"),
            ("Details", "b"),
        ];
        let places = [("change", json!(change)), ("details", json!("b"))];
        is(
            &sysmon(id, &fields),
            "configuration.registry",
            &places,
            &[("EventType", word)],
        );
    }
    let unclear = sysmon(12, &[("EventType", "INFO"), ("TargetObject", "HKLM\\a")]);
    is(&unclear, "record.raw", &[], &[("TargetObject", "HKLM\\a")]);
    let security = event(
        SECURITY,
        4657,
        &[
            ("ObjectName", "\\REGISTRY\\MACHINE\\SOFTWARE\\a"),
            ("ObjectValueName", "b"),
            ("OperationType", "%%1904"),
            ("NewValueType", "%%1876"),
            ("NewValue", "300"),
        ],
    );
    let places = [
        ("path", json!("HKLM\\SOFTWARE\\a\\b")),
        ("change", json!("created")),
        ("details", json!("DWORD (0x0000012c)")),
    ];
    is(
        &security,
        "configuration.registry",
        &places,
        &[("ObjectValueName", "b")],
    );
}

#[test]
fn sysmon_tells_of_drivers_subscriptions_and_itself() {
    let driver = event(
        SYSMON,
        6,
        &[("ImageLoaded", "C:\\d.sys"), ("Signed", "false")],
    );
    is(
        &driver,
        "kernel.module_loaded",
        &[("path", json!("C:\\d.sys"))],
        &[("Signed", "false")],
    );
    for (id, item) in [(19, "filter"), (20, "consumer"), (21, "binding")] {
        let fields = [("Operation", "Created"), ("Name", "n"), ("Consumer", "c")];
        let kind = "configuration.wmi_subscription";
        is(
            &event(SYSMON, id, &fields),
            kind,
            &[("item", json!(item))],
            &[],
        );
    }
    let stopped = event(SYSMON, 4, &[("State", "Stopped")]);
    is(
        &stopped,
        "record.source",
        &[("state", json!("down"))],
        &[("State", "Stopped")],
    );
    is(&event(SYSMON, 16, &[]), "record.configuration", &[], &[]);
    let answers = sysmon(
        22,
        &[
            ("QueryName", "a"),
            ("QueryResults", "type:  5 b;192.0.2.4;"),
        ],
    );
    is(
        &answers,
        "network.resolved",
        &[("answers", json!(["type:  5 b", "192.0.2.4"]))],
        &[],
    );
}

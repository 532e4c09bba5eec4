//! Windows records in every shape of JSON: the same event, and rules' fields at hand.

mod linux;

use serde_json::Value as Json;

use crate::import::json::{read, record_at};
use crate::import::tests::{Counted, Told, mutate};

/// One process start of Sysmon, as the shapes below carry it.
const FLAT: &str = r#"{"EventID":1,"SourceName":"Microsoft-Windows-Sysmon","Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"desk7.example","EventTime":"2031-05-04 12:00:01","@timestamp":"2031-05-04T10:00:03.250Z","EventType":"INFO","RecordNumber":77,"ExecutionProcessID":3100,"UtcTime":"2031-05-04 10:00:01.125","ProcessGuid":"{11111111-2222-3333-4444-555555555555}","ProcessId":"4242","Image":"C:\\Tools\\a b.exe","CommandLine":"\"C:\\Tools\\a b.exe\" -x","Company":"-","ParentProcessGuid":"{11111111-2222-3333-4444-000000000001}","ParentProcessId":"4000","ParentImage":"C:\\Windows\\explorer.exe","Hashes":"MD5=00,SHA256=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","LogonId":"0x3e7","User":"DESK7\\ida","tags":["x"]}"#;

const NESTED: &str = r##"{"Event":{"#attributes":{"xmlns":"x"},"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon"}},"EventID":1,"Version":5,"TimeCreated":{"#attributes":{"SystemTime":"2031-05-04T10:00:01.130000Z"}},"EventRecordID":77,"Execution":{"#attributes":{"ProcessID":3100,"ThreadID":9}},"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"desk7.example"},"EventData":{"UtcTime":"2031-05-04 10:00:01.125","ProcessGuid":"11111111-2222-3333-4444-555555555555","ProcessId":4242,"Image":"C:\\Tools\\a b.exe","CommandLine":"\"C:\\Tools\\a b.exe\" -x","Company":"-","ParentProcessGuid":"11111111-2222-3333-4444-000000000001","ParentProcessId":4000,"ParentImage":"C:\\Windows\\explorer.exe","LogonId":"0x3e7","User":"DESK7\\ida"}}}"##;

const NAMED_DATA: &str = r##"{"Event":{"System":{"Provider":{"@Name":"Microsoft-Windows-Sysmon"},"EventID":{"#text":"1"},"TimeCreated":{"@SystemTime":"2031-05-04T10:00:01.130Z"},"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"desk7.example"},"EventData":{"Data":[{"@Name":"UtcTime","#text":"2031-05-04 10:00:01.125"},{"@Name":"ProcessGuid","#text":"{11111111-2222-3333-4444-555555555555}"},{"@Name":"ProcessId","#text":"4242"},{"@Name":"Image","#text":"C:\\Tools\\a b.exe"},{"@Name":"CommandLine","#text":"\"C:\\Tools\\a b.exe\" -x"},{"@Name":"ParentProcessGuid","#text":"{11111111-2222-3333-4444-000000000001}"},{"@Name":"ParentProcessId","#text":"4000"},{"@Name":"ParentImage","#text":"C:\\Windows\\explorer.exe"},{"@Name":"User","#text":"DESK7\\ida"}]}}}"##;

const BEAT_7: &str = r#"{"@timestamp":"2031-05-04T10:00:01.130Z","agent":{"name":"collector"},"host":{"name":"collector"},"message":"Process Create:","winlog":{"channel":"Microsoft-Windows-Sysmon/Operational","provider_name":"Microsoft-Windows-Sysmon","computer_name":"desk7.example","event_id":1,"record_id":77,"process":{"pid":3100},"event_data":{"UtcTime":"2031-05-04 10:00:01.125","ProcessGuid":"{11111111-2222-3333-4444-555555555555}","ProcessId":"4242","Image":"C:\\Tools\\a b.exe","CommandLine":"\"C:\\Tools\\a b.exe\" -x","ParentProcessGuid":"{11111111-2222-3333-4444-000000000001}","ParentProcessId":"4000","ParentImage":"C:\\Windows\\explorer.exe","User":"DESK7\\ida"}}}"#;

const BEAT_6: &str = r#"{"@timestamp":"2031-05-04T10:00:01.130Z","beat":{"name":"collector"},"log_name":"Microsoft-Windows-Sysmon/Operational","source_name":"Microsoft-Windows-Sysmon","computer_name":"desk7.example","event_id":1,"record_number":"77","event_data":{"UtcTime":"2031-05-04 10:00:01.125","ProcessGuid":"{11111111-2222-3333-4444-555555555555}","ProcessId":"4242","Image":"C:\\Tools\\a b.exe","CommandLine":"\"C:\\Tools\\a b.exe\" -x","ParentProcessGuid":"{11111111-2222-3333-4444-000000000001}","ParentProcessId":"4000","ParentImage":"C:\\Windows\\explorer.exe","User":"DESK7\\ida"}}"#;

const MESSAGE_ONLY: &str = r#"{"EventTime":"2031-05-04 10:00:01","Hostname":"desk7.example","EventType":"INFO","SeverityValue":2,"EventID":1,"SourceName":"Microsoft-Windows-Sysmon","Channel":"Microsoft-Windows-Sysmon/Operational","ProcessID":3100,"AccountName":"SYSTEM","Domain":"NT AUTHORITY","Message":"Process Create:\r\nRuleName: \r\nUtcTime: 2031-05-04 10:00:01.125\r\nProcessGuid: {11111111-2222-3333-4444-555555555555}\r\nProcessId: 4242\r\nImage: C:\\Tools\\a b.exe\r\nCommandLine: \"C:\\Tools\\a b.exe\" -x\r\nUser: DESK7\\ida\r\nParentProcessGuid: {11111111-2222-3333-4444-000000000001}\r\nParentProcessId: 4000\r\nParentImage: C:\\Windows\\explorer.exe"}"#;

const BEAT_ECS: &str = r#"{"@timestamp":"2031-05-04T10:00:01.125Z","event":{"code":"1"},"process":{"entity_id":"{11111111-2222-3333-4444-555555555555}","pid":4242,"executable":"C:\\Tools\\a b.exe","command_line":"\"C:\\Tools\\a b.exe\" -x","parent":{"entity_id":"{11111111-2222-3333-4444-000000000001}","pid":4000,"executable":"C:\\Windows\\explorer.exe"},"hash":{"md5":"00"}},"user":{"name":"ida","domain":"DESK7"},"winlog":{"channel":"Microsoft-Windows-Sysmon/Operational","provider_name":"Microsoft-Windows-Sysmon","computer_name":"desk7.example","event_id":"1","event_data":{"Company":"-"}}}"#;

const WAZUH: &str = r#"{"timestamp":"2031-05-04T10:00:02.000+0000","data":{"win":{"system":{"providerName":"Microsoft-Windows-Sysmon","eventID":"1","channel":"Microsoft-Windows-Sysmon/Operational","computer":"desk7.example","systemTime":"2031-05-04T10:00:01.1300000Z","eventRecordID":"77"},"eventdata":{"utcTime":"2031-05-04 10:00:01.125","processGuid":"{11111111-2222-3333-4444-555555555555}","processId":"4242","image":"C:\\\\Tools\\\\a b.exe","commandLine":"\"C:\\\\Tools\\\\a b.exe\" -x","parentProcessGuid":"{11111111-2222-3333-4444-000000000001}","parentProcessId":"4000","parentImage":"C:\\\\Windows\\\\explorer.exe","user":"DESK7\\\\ida"}}}}"#;

fn one(json: &str) -> Json {
    let told = Told::by(read, json.as_bytes());
    assert!(told.skipped.is_empty() && told.findings.is_empty());
    assert_eq!(told.events.len(), 1, "{json}");
    told.events[0].clone()
}

#[test]
fn every_shape_tells_the_same_start() {
    let dotted = BEAT_7.replace(
        "\"winlog\":{\"channel\"",
        "\"winlog\":{},\"winlog.channel\"",
    );
    let dotted = dotted
        .replace("\"provider_name\"", "\"winlog.provider_name\"")
        .replace("\"computer_name\"", "\"winlog.computer_name\"")
        .replace("\"event_id\"", "\"winlog.event_id\"")
        .replace("\"event_data\"", "\"winlog.event_data\"")
        .replace("}}}", "}}");
    let shapes = [
        FLAT.to_owned(),
        NESTED.to_owned(),
        NAMED_DATA.to_owned(),
        BEAT_7.to_owned(),
        dotted,
        BEAT_6.to_owned(),
        BEAT_ECS.to_owned(),
        WAZUH.to_owned(),
        MESSAGE_ONLY.to_owned(),
        format!("{{\"_index\":\"w\",\"_source\":{FLAT}}}"),
        format!("{{\"preview\":false,\"result\":{FLAT}}}"),
        format!("{{\"took\":1,\"hits\":{{\"total\":1,\"hits\":[{{\"_source\":{FLAT}}}]}}}}"),
        format!("[{NESTED}]"),
    ];
    for shape in shapes {
        let event = one(&shape);
        assert_eq!(event["kind"], "process.start", "{shape}");
        assert_eq!(event["source"], "sysmon");
        assert_eq!(event["time"], "2031-05-04T10:00:01.125000Z");
        assert_eq!(event["host"], "desk7.example");
        assert_eq!(event["actor"]["pid"], 4242);
        assert_eq!(
            event["actor"]["guid"],
            "11111111-2222-3333-4444-555555555555"
        );
        assert_eq!(event["parent"]["pid"], 4000);
        assert_eq!(event["image"], "C:\\Tools\\a b.exe");
        assert_eq!(event["command_line"], "\"C:\\Tools\\a b.exe\" -x");
        assert_eq!(event["account"], "DESK7\\ida");
        assert_eq!(event["fields"]["EventID"], "1");
        assert!(event["fields"].get("Image").is_none(), "{event}");
    }
}

#[test]
fn a_clock_without_a_zone_is_set_by_one_that_has() {
    let event = one(FLAT);
    assert_eq!(event["record_time"], "2031-05-04T10:00:01.000000Z");
    assert_eq!(event["session"], 999);
    assert_eq!(event["fields"]["LogonId"], "0x3e7");
    assert_eq!(event["fields"]["Company"], "-");
    assert!(event["sha256"].as_str().unwrap().starts_with("0011"));
}

#[test]
fn a_record_of_no_kind_keeps_all_its_fields() {
    let event = one(
        r#"{"EventID":4720,"SourceName":"Microsoft-Windows-Security-Auditing","Channel":"Security","Hostname":"dc1","TimeCreated":"2031-05-04T10:00:00Z","RecordNumber":5,"TargetUserName":"eve","SubjectUserName":"root","Message":"A user account was created."}"#,
    );
    assert_eq!(event["kind"], "record.raw");
    assert_eq!(event["channel"], "Security");
    assert_eq!(event["provider"], "Microsoft-Windows-Security-Auditing");
    assert_eq!(event["event_id"], 4720);
    assert_eq!(event["fields"]["TargetUserName"], "eve");
    assert_eq!(event["fields"]["SubjectUserName"], "root");
}

#[test]
fn json_of_no_known_shape_is_kept_under_dotted_names() {
    let event = one(
        r#"{"ts":1620000000.25,"hostname":"box","a":{"b":[1,2],"c":null,"d":"x\ny"},"msg":"hello"}"#,
    );
    assert_eq!(event["kind"], "record.raw");
    assert_eq!(event["source"], "json");
    assert_eq!(event["time"], "2021-05-03T00:00:00.250000Z");
    assert_eq!(event["host"], "box");
    assert_eq!(event["message"], "hello");
    assert_eq!(event["fields"]["a.d"], "x\ny");
    assert!(event["fields"].get("a.b").is_some());
}

#[test]
fn normal_forms_of_eql_are_events() {
    let event = one(
        r#"{"event_type":"process","subtype":"create","pid":10,"ppid":4,"process_path":"C:\\x.exe","command_line":"x","timestamp":131883573237130000,"unique_pid":"{42FC7E13-CB3E-5C05-0000-0010A0125101}","unique_ppid":"{42FC7E13-CB3D-5C05-0000-0010A0125101}"}"#,
    );
    assert_eq!(event["kind"], "process.start");
    assert_eq!(event["time"], "2018-12-04T00:35:23.713000Z");
    assert_eq!(event["parent"]["pid"], 4);
    assert_eq!(event["actor"]["pid"], 10);
}

#[test]
fn a_record_can_be_had_again_by_its_place() {
    let file = format!("\u{feff}[\n  {FLAT},\n  {{\"hits\":[{BEAT_6},{FLAT}]}}\n]");
    let told = Told::by(read, file.as_bytes());
    assert_eq!(told.events.len(), 3);
    for (place, expected) in told.places.iter().zip([FLAT, BEAT_6, FLAT]) {
        let bytes = record_at(&mut std::io::Cursor::new(file.as_bytes()), place.offset).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
    let none = record_at(&mut std::io::Cursor::new(file.as_bytes()), 12).unwrap_err();
    assert!(
        none.to_string().contains("expected a JSON object"),
        "{none}"
    );
}

#[test]
fn records_within_a_list_of_wide_characters_have_the_place_of_the_list() {
    let file: Vec<u8> = format!("\u{feff}{{\"é\":1,\"hits\":[{BEAT_6},{FLAT}]}}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let told = Told::by(read, &file);
    assert_eq!(told.events.len(), 2);
    for place in &told.places {
        assert!(record_at(&mut std::io::Cursor::new(&file), place.offset).is_ok());
    }
}

#[test]
fn changed_bytes_never_panic() {
    let file = [
        FLAT,
        NESTED,
        NAMED_DATA,
        BEAT_7,
        BEAT_6,
        BEAT_ECS,
        WAZUH,
        MESSAGE_ONLY,
    ]
    .join("\n");
    mutate(file.as_bytes(), 2000, |bytes, counted: &mut Counted| {
        read(&mut std::io::Cursor::new(bytes), counted).unwrap();
    });
}

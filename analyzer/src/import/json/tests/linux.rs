//! JSON of Linux tools to events.

use crate::import::json;
use crate::import::tests::{Told, mutate};

fn told(text: &str) -> Told {
    Told::by(json::read, text.as_bytes())
}

const KUNAI: &str = r#"{"data":{"exe":{"path":"/tmp/x","sha256":"abababababababababababababababababababababababababababababababab","md5":"00"},"command_line":"./x -a","parent_exe":"/bin/bash"},
"info":{"host":{"name":"web-1","container":{"name":"c1","type":"docker"}},"event":{"source":"kunai","id":1,"name":"execve"},
"task":{"name":"x","pid":11,"tgid":11,"guuid":"11111111-2222-3333-4444-555555555555","uid":0,"gid":5,"namespaces":{"mnt":7}},
"parent_task":{"name":"bash","pid":10,"tgid":10,"guuid":"11111111-2222-3333-4444-666666666666"},"utc_time":"2024-01-02T03:04:05.123456789Z"}}
{"data":{"exe":{"path":"/tmp/x"},"flags":"0"},"info":{"host":{"name":"web-1","container":null},"event":{"id":5,"name":"clone"},"task":{"pid":12,"tgid":12,"guuid":"11111111-2222-3333-4444-777777777777"},"parent_task":{"pid":11,"tgid":11,"guuid":"11111111-2222-3333-4444-555555555555"},"utc_time":"2024-01-02T03:04:06Z"}}
{"data":{"dst":{"ip":"192.0.2.7","port":443,"hostname":"x.example"},"socket":{"proto":"tcp"},"connected":true},"info":{"host":{"name":"web-1"},"event":{"id":60,"name":"connect"},"task":{"pid":13,"tgid":12,"guuid":"11111111-2222-3333-4444-777777777777"},"utc_time":"2024-01-02T03:04:07Z"}}
{"data":{"error_code":3},"info":{"host":{"name":"web-1"},"event":{"id":4,"name":"exit_group"},"task":{"pid":12,"tgid":12,"guuid":"11111111-2222-3333-4444-777777777777"},"utc_time":"2024-01-02T03:04:08Z"}}
"#;

#[test]
fn kunai_names_processes_for_their_life() {
    let told = told(KUNAI);
    let start = told.one("process.start");
    assert_eq!(start["host"], "web-1");
    assert_eq!(start["time"], "2024-01-02T03:04:05.123456Z");
    assert_eq!(start["image"], "/tmp/x");
    assert_eq!(
        start["actor"]["guid"],
        "11111111-2222-3333-4444-555555555555"
    );
    assert_eq!(start["parent"]["pid"], 10);
    assert_eq!(start["container"], "c1");
    assert_eq!(start["parent_image"], "/bin/bash");
    assert!(
        start["hashes"]
            .as_str()
            .unwrap()
            .starts_with("MD5=00,SHA256=abab")
    );
    let fork = told.one("process.fork");
    assert_eq!(
        (&fork["actor"]["pid"], &fork["parent"]["pid"]),
        (&12.into(), &11.into())
    );
    let flow = told.one("network.connected");
    assert_eq!(flow["actor"]["pid"], 12, "the process, not the thread");
    assert_eq!(
        (&flow["remote_port"], &flow["protocol"]),
        (&443.into(), &"tcp".into())
    );
    assert_eq!(told.one("process.exit")["code"], 3);
    assert_eq!(start["fields"]["data.exe.path"], "/tmp/x");
}

const TETRAGON: &str = r#"{"process_exec":{"process":{"exec_id":"AAA","pid":20,"uid":0,"cwd":"/","binary":"/bin/sh","arguments":"-c x","flags":"execve clone","start_time":"2024-01-02T03:04:05Z","auid":1000,"pod":{"container":{"id":"containerd://c0ffee"}}},"parent":{"exec_id":"PPP","pid":19,"binary":"/usr/bin/shim"}},"node_name":"n1","time":"2024-01-02T03:04:05.5Z"}
{"process_exec":{"process":{"exec_id":"BBB","pid":20,"uid":0,"binary":"/bin/id","flags":"execve","start_time":"2024-01-02T03:04:06Z","parent_exec_id":"AAA"},"parent":{"exec_id":"AAA","pid":20,"binary":"/bin/sh"}},"node_name":"n1","time":"2024-01-02T03:04:06Z"}
{"process_kprobe":{"process":{"exec_id":"BBB","pid":20,"binary":"/bin/id"},"function_name":"tcp_connect","args":[{"sock_arg":{"family":"AF_INET","protocol":"IPPROTO_TCP","saddr":"10.0.0.1","daddr":"192.0.2.7","sport":40000,"dport":443}}]},"node_name":"n1","time":"2024-01-02T03:04:07Z"}
{"process_kprobe":{"process":{"exec_id":"BBB","pid":20,"binary":"/bin/id"},"function_name":"security_file_permission","args":[{"file_arg":{"path":"/etc/passwd"}},{"int_arg":2}]},"node_name":"n1","time":"2024-01-02T03:04:07Z"}
{"process_exit":{"process":{"exec_id":"BBB","pid":20,"binary":"/bin/id"},"signal":"SIGKILL"},"node_name":"n1","time":"2024-01-02T03:04:08Z"}
"#;

#[test]
fn tetragons_execs_of_one_process_are_one_process() {
    let told = told(TETRAGON);
    let starts = told.of("process.start");
    assert_eq!(starts[0]["command_line"], "/bin/sh -c x");
    assert_eq!(starts[0]["container"], "c0ffee");
    assert_eq!(starts[0]["record_time"], "2024-01-02T03:04:05.500000Z");
    assert_eq!(starts[0]["parent_image"], "/usr/bin/shim");
    let first = &starts[0]["actor"];
    assert_eq!(&starts[1]["actor"], first, "an exec makes no process");
    assert!(starts[1].get("parent").is_none());
    let flow = told.one("network.connected");
    assert_eq!(
        (&flow["actor"], &flow["remote_ip"]),
        (first, &"192.0.2.7".into())
    );
    assert_eq!(told.one("file.written")["path"], "/etc/passwd");
    assert_eq!(told.one("process.exit")["signal"], 9);
}

const ECS: &str = r#"{"@timestamp":"2024-01-02T03:04:05Z","event":{"category":["process"],"type":["start"],"action":"executed","module":"auditd","created":"2024-01-02T03:04:09Z"},"host":{"name":"web-1"},"process":{"pid":30,"parent":{"pid":29},"executable":"/bin/ls","args":["ls","-l a"],"working_directory":"/tmp","entity_id":"q+/x"},"user":{"id":"1000","name":"ada","audit":{"id":"1000"}},"auditd":{"session":"7","result":"success"}}
{"@timestamp":"2024-01-02T03:04:06Z","event.category":"network","event.action":"connected-to","host.name":"web-1","process.pid":30,"destination.ip":"192.0.2.7","destination.port":443,"network.transport":"tcp","network.direction":"egress"}
{"@timestamp":"2024-01-02T03:04:06Z","event":{"category":"file","type":["deletion"],"action":"deleted"},"host":{"name":"web-1"},"process":{"pid":30},"file":{"path":"/tmp/x"}}
{"@timestamp":"2024-01-02T03:04:06Z","event":{"category":["authentication"],"action":"ssh_login","outcome":"failure"},"host":{"name":"web-1"},"user":{"name":"bob"},"source":{"ip":"192.0.2.9"}}
{"@timestamp":"2024-01-02T03:04:07Z","event":{"category":["configuration"],"action":"changed-audit-configuration"},"host":{"name":"web-1"},"message":"said"}
"#;

#[test]
fn events_of_the_common_schema_are_told_by_category() {
    let told = told(ECS);
    let start = told.one("process.start");
    assert_eq!(start["args"], serde_json::json!(["ls", "-l a"]));
    assert_eq!(
        (&start["parent"]["pid"], &start["account"]),
        (&29.into(), &"ada".into())
    );
    assert_eq!(
        (&start["session"], &start["login_uid"]),
        (&7.into(), &1000.into())
    );
    assert_eq!(start["record_time"], "2024-01-02T03:04:09.000000Z");
    assert!(
        start["actor"]["guid"].is_string(),
        "made of the recorded identity"
    );
    let flow = told.one("network.connected");
    assert_eq!(
        (&flow["remote_ip"], &flow["host"]),
        (&"192.0.2.7".into(), &"web-1".into())
    );
    assert_eq!(told.one("file.deleted")["path"], "/tmp/x");
    assert_eq!(told.one("session.failed_logon")["remote_ip"], "192.0.2.9");
    assert_eq!(told.one("record.raw")["message"], "said");
}

const FALCO: &str = r#"{"hostname":"n1","output":"shell","priority":"Notice","rule":"Shell","source":"syscall","time":"2024-01-02T03:04:05.5Z","output_fields":{"evt.type":"execve","evt.time":1704164645123456789,"proc.pid":40,"proc.ppid":39,"proc.exepath":"/bin/sh","proc.cmdline":"sh -i","proc.pcmdline":"runc","user.name":"root","user.uid":0,"container.id":"c0ffee","proc.tty":34816}}
{"hostname":"n1","output":"x","priority":"Notice","rule":"Out","time":"2024-01-02T03:04:06Z","output_fields":{"evt.type":"connect","proc.pid":40,"fd.lip":"10.0.0.1","fd.lport":5,"fd.rip":"192.0.2.7","fd.rport":443,"fd.l4proto":"tcp"}}
{"hostname":"n1","output":"y","priority":"Notice","rule":"K8s","time":"2024-01-02T03:04:07Z","output_fields":{"ka.verb":"create"}}
"#;

#[test]
fn falcos_alerts_are_told_by_the_event_behind_them() {
    let told = told(FALCO);
    let start = told.one("process.start");
    assert_eq!(start["time"], "2024-01-02T03:04:05.123456Z");
    assert_eq!(
        (&start["parent"]["pid"], &start["container"]),
        (&39.into(), &"c0ffee".into())
    );
    assert_eq!(
        start["fields"]["proc.exepath"], "/bin/sh",
        "under its own name"
    );
    assert_eq!(start["fields"]["rule"], "Shell");
    assert_eq!(told.one("network.connected")["remote_port"], 443);
    assert_eq!(told.one("record.raw")["provider"], "K8s");
}

const CARRIED: &str = r#"{"TimeGenerated":"2024-01-02T03:04:09Z","HostName":"web-1","ProcessName":"auditd","SyslogMessage":"type=SYSCALL msg=audit(1704164645.001:7): arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid=50 uid=0 comm=\"id\" exe=\"/usr/bin/id\""}
{"TimeGenerated":"2024-01-02T03:04:09Z","HostName":"web-1","ProcessName":"auditd","SyslogMessage":"type=EXECVE msg=audit(1704164645.001:7): argc=1 a0=\"id\""}
{"HostName":"web-1","SyslogMessage":"<Event><System><Provider Name=\"Linux-Sysmon\"/><EventID>1</EventID><TimeCreated SystemTime=\"2024-01-02T03:04:05Z\"/><Computer>web-1</Computer></System><EventData><Data Name=\"UtcTime\">2024-01-02 03:04:04.5</Data><Data Name=\"ProcessId\">60</Data><Data Name=\"Image\">/bin/ls</Data><Data Name=\"CommandLine\">ls &quot a&quot </Data><Data Name=\"LogonId\">1000</Data><Data Name=\"TerminalSessionId\">6</Data></EventData></Event>"}
{"__REALTIME_TIMESTAMP":"1704164645000001","_HOSTNAME":"web-1","SYSLOG_IDENTIFIER":"sshd","_PID":"70","MESSAGE":"Accepted password for ada from 192.0.2.7 port 5 ssh2"}
{"__REALTIME_TIMESTAMP":"1704164646000001","_HOSTNAME":"web-1","_TRANSPORT":"audit","_AUDIT_TYPE_NAME":"SERVICE_STOP","_AUDIT_ID":"9","MESSAGE":"SERVICE_STOP pid=1 uid=0 msg='unit=ufw comm=\"systemd\" exe=\"/lib/systemd/systemd\" res=success'"}
{"@timestamp":"2024-01-02T03:04:08Z","host":{"name":"web-1"},"message":"Jan  2 03:04:07 web-1 su[8]: (to root) ada on pts/0","event":{"module":"system"}}
{"@timestamp":"2024-01-02T03:04:09Z","log":"no line of any kind"}
"#;

#[test]
fn lines_of_linux_logs_are_found_in_what_carries_them() {
    let told = told(CARRIED);
    let starts = told.of("process.start");
    let by_source = |source: &str| {
        let found: Vec<_> = starts
            .iter()
            .filter(|start| start["source"] == source)
            .collect();
        assert_eq!(found.len(), 1, "{source}");
        found[0]
    };
    let audit = by_source("audit");
    assert_eq!(
        (&audit["host"], &audit["args"][0]),
        (&"web-1".into(), &"id".into())
    );
    assert_eq!(audit["record_time"], "2024-01-02T03:04:09.000000Z");
    let sysmon = by_source("sysmon_linux");
    assert_eq!(sysmon["command_line"], "ls \"a\"");
    assert_eq!(
        (&sysmon["login_uid"], &sysmon["session"]),
        (&1000.into(), &6.into())
    );
    assert_eq!(sysmon["time"], "2024-01-02T03:04:04.500000Z");
    let logon = told.one("session.logon");
    assert_eq!(
        (&logon["host"], &logon["actor"]["pid"]),
        (&"web-1".into(), &70.into())
    );
    let service = told.one("configuration.service");
    assert_eq!(
        (&service["name"], &service["source"]),
        (&"ufw".into(), &"audit".into())
    );
    assert_eq!(told.one("session.privilege_switch")["to_account"], "root");
    assert_eq!(
        told.of("record.raw").len(),
        1,
        "what no reader knows is kept"
    );
}

const OSQUERY: &str = r#"{"name":"pack_p_process_events","hostIdentifier":"web-1","unixTime":1704164650,"action":"added","columns":{"pid":"80","parent":"79","path":"/bin/ls","cmdline":"ls -l","cwd":"\"/tmp\"","uid":"0","auid":"1000","time":"1704164645"}}
{"name":"sockets","hostIdentifier":"web-1","unixTime":1704164650,"action":"added","columns":{"action":"connect","pid":"80","path":"/bin/ls","remote_address":"192.0.2.7","remote_port":"443","time":"1704164646"}}
{"name":"users","hostIdentifier":"web-1","unixTime":1704164650,"action":"added","columns":{"username":"ada"}}
"#;

#[test]
fn rows_of_event_tables_are_told() {
    let told = told(OSQUERY);
    let start = told.one("process.start");
    assert_eq!(
        (&start["cwd"], &start["parent"]["pid"]),
        (&"/tmp".into(), &79.into())
    );
    assert_eq!(start["time"], "2024-01-02T03:04:05.000000Z");
    assert_eq!(told.one("network.connected")["remote_port"], 443);
    assert_eq!(told.one("record.raw")["fields"]["columns.username"], "ada");
}

#[test]
fn no_change_of_a_byte_is_a_panic() {
    for seed in [KUNAI, TETRAGON, ECS, FALCO, CARRIED, OSQUERY] {
        mutate(seed.as_bytes(), 800, |bytes, told| {
            json::read(&mut std::io::Cursor::new(bytes), told).unwrap();
        });
    }
}

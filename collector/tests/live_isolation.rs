//! A running recorder has given up what it does not need; what it records has not. They need root; see `live`.

#[path = "live/journal.rs"]
mod journal;
mod live;

use journal::{collector, events};
use live::live;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The lines of a `/proc/…/status`.
fn status(path: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).expect("a status");
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[test]
fn a_running_recorder_keeps_what_it_names_and_nothing_else() {
    live("isolation", || {
        let dir = tempfile::tempdir().expect("a directory");
        let out = dir.path().join("journal");
        let mut recorder = collector()
            .args(["record", "-o"])
            .arg(&out)
            .spawn()
            .expect("the collector runs");
        let threads = format!("/proc/{}/task", recorder.id());
        let end = Instant::now() + Duration::from_secs(20);
        // The draining thread is started when everything is given up.
        while fs::read_dir(&threads).expect("threads").count() < 2 {
            assert!(Instant::now() < end, "the recorder starts its thread");
            std::thread::sleep(Duration::from_millis(10));
        }
        for thread in fs::read_dir(&threads).expect("threads") {
            let status = status(&thread.expect("a thread").path().join("status"));
            assert_eq!(status["Seccomp"], "2", "a filter of system calls");
            assert_eq!(status["NoNewPrivs"], "1");
            assert_eq!(status["CapInh"], "0000000000000000");
            assert_eq!(status["CapAmb"], "0000000000000000");
            // audit_control 30, sys_admin 21, sys_ptrace 19, sys_chroot 18, ipc_lock 14, net_admin 12,
            // dac_read_search 2.
            let kept = 1_u64 << 30 | 1 << 21 | 1 << 19 | 1 << 18 | 1 << 14 | 1 << 12 | 1 << 2;
            for set in ["CapEff", "CapPrm", "CapBnd"] {
                let held = u64::from_str_radix(&status[set], 16).expect("a set");
                assert_eq!(held & !kept, 0, "{set} {held:#x}");
            }
        }
        let locked = &status(Path::new(&format!("/proc/{}/status", recorder.id())))["VmLck"];
        assert_ne!(locked, "0 kB", "keys cannot be swapped out");
        let pid = i32::try_from(recorder.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        assert!(recorder.wait().expect("it ends").success());
        let events = events(&out);
        let configuration = events
            .iter()
            .find(|event| event["kind"] == "record.configuration")
            .expect("a configuration");
        let content = configuration["content"].as_str().expect("a text");
        let content: serde_json::Value = serde_json::from_str(content).expect("JSON");
        assert_eq!(
            content["isolation"]["missing"],
            serde_json::json!([]),
            "nothing was left out"
        );
        let kept = content["isolation"]["capabilities"]
            .as_array()
            .expect("a list");
        assert!(
            kept.iter()
                .all(|kept| kept["reason"].as_str().is_some_and(|why| why.len() > 10)),
            "each with its reason: {kept:?}"
        );
        // What it reads under the filter is still whole.
        assert!(events.iter().any(|event| event["kind"] == "state.account"));
        assert!(events.iter().any(|event| event["kind"] == "state.socket"));
        assert!(
            events
                .iter()
                .any(|event| event["kind"] == "state.process" && event["sha256"].is_string())
        );
    });
}

#[test]
fn the_recorded_command_inherits_none_of_it() {
    live("inheritance", || {
        let dir = tempfile::tempdir().expect("a directory");
        let said = dir.path().join("said");
        let script = format!("cat /proc/self/status >{}; ulimit -c", said.display());
        let output = collector()
            .args(["record", "-o"])
            .arg(dir.path().join("journal"))
            .args(["--", "/bin/sh", "-c", &script])
            .output()
            .expect("the collector runs");
        assert!(output.status.success());
        let (inside, outside) = (status(&said), status(Path::new("/proc/self/status")));
        for line in [
            "CapInh",
            "CapPrm",
            "CapEff",
            "CapBnd",
            "CapAmb",
            "NoNewPrivs",
            "Seccomp",
            "VmLck",
        ] {
            assert_eq!(inside[line], outside[line], "{line}");
        }
        let limit = std::process::Command::new("/bin/sh")
            .args(["-c", "ulimit -c"])
            .output()
            .expect("sh runs");
        assert_eq!(output.stdout, limit.stdout, "the limit of core dumps");
    });
}

#[test]
fn a_service_manager_hears_that_recording_goes_on_and_when_it_stalls() {
    live("manager", || {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
        let wait = Duration::from_secs(30);
        socket.set_read_timeout(Some(wait)).expect("a time");
        let mut recorder = collector()
            .args(["record", "-o"])
            .arg(dir.path().join("journal"))
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000")
            .spawn()
            .expect("the collector runs");
        let hear = || {
            let mut word = [0; 64];
            let length = socket.recv(&mut word).ok()?;
            Some(String::from_utf8_lossy(&word[..length]).into_owned())
        };
        assert_eq!(hear().as_deref(), Some("READY=1"));
        assert_eq!(hear().as_deref(), Some("WATCHDOG=1"));
        assert_eq!(hear().as_deref(), Some("WATCHDOG=1"));
        let pid = i32::try_from(recorder.id()).ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw).expect("a pid");
        let send = |signal| rustix::process::kill_process(pid, signal).expect("it runs");
        send(rustix::process::Signal::STOP);
        socket
            .set_read_timeout(Some(Duration::from_secs(2)))
            .expect("a time");
        // What was said before it was stopped may still stand there; then there is silence.
        let said = (0..2).filter_map(|_| hear()).count();
        assert!(said < 2, "a stopped recorder says nothing");
        send(rustix::process::Signal::CONT);
        send(rustix::process::Signal::TERM);
        socket.set_read_timeout(Some(wait)).expect("a time");
        let end = std::iter::from_fn(hear).find(|word| word == "STOPPING=1");
        assert!(end.is_some(), "the end is said");
        assert!(recorder.wait().expect("it ends").success());
    });
}

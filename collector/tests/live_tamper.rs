//! What somebody does to the recorder's means is told in its journal. They need root; see `live`.

#[path = "live/background.rs"]
mod background;
#[path = "live/journal.rs"]
mod journal;
mod live;

use background::Background;
use journal::events;
use live::live;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What the journal says of a source, in order.
fn told(events: &[Value], name: &str, state: &str) -> Vec<String> {
    events
        .iter()
        .filter(|event| {
            event["kind"] == "record.source" && event["name"] == name && event["state"] == state
        })
        .filter_map(|event| event["detail"].as_str().map(str::to_owned))
        .collect()
}

/// Runs auditctl, which this test needs as an intruder would.
fn auditctl(arguments: &[&str]) {
    let done = Command::new("/usr/sbin/auditctl").args(arguments).output();
    assert!(
        done.expect("auditctl runs").status.success(),
        "{arguments:?}"
    );
}

#[test]
fn who_switches_audit_off_or_empties_its_rules_is_told_of() {
    live("audit", || {
        if !Path::new("/usr/sbin/auditctl").exists() {
            eprintln!("audit: skipped, there is no auditctl");
            return;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let out = dir.path().join("journal");
        let recorder = Background::start(&out, &[]);
        std::thread::sleep(Duration::from_millis(2_500));
        auditctl(&["-e", "0"]);
        std::thread::sleep(Duration::from_millis(3_500));
        auditctl(&["-e", "1"]);
        std::thread::sleep(Duration::from_millis(3_000));
        auditctl(&["-D"]);
        std::thread::sleep(Duration::from_millis(9_000));
        recorder.end();
        let events = events(&out);
        let down = told(&events, "audit", "down");
        assert!(
            down.iter().any(|detail| detail.contains("switched off")),
            "{down:?}"
        );
        assert!(
            down.iter().any(|detail| detail.contains("were removed")),
            "{down:?}"
        );
        let up = told(&events, "audit", "up");
        assert!(
            up.iter().any(|detail| detail.contains("as it should be")),
            "{up:?}"
        );
        let raw = |event: &&Value| event["kind"] == "record.raw" && event["channel"] == "audit";
        assert!(
            events.iter().any(|event| raw(&event)),
            "the kernel's own word on it"
        );
    });
}

#[test]
fn who_carries_the_journal_away_is_told_of() {
    live("journal", || {
        let dir = tempfile::tempdir().expect("a directory");
        let (here, there) = (dir.path().join("here"), dir.path().join("there"));
        let recorder = Background::start(&here, &[]);
        std::fs::rename(&here, &there).expect("it can be moved");
        std::thread::sleep(Duration::from_millis(2_500));
        recorder.end();
        let down = told(&events(&there), "journal", "down");
        assert!(
            down.iter().any(|detail| detail.contains("moved")),
            "{down:?}"
        );
    });
}

/// A file system of its own, gone with the value.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(place: &Path) -> Disk {
        std::fs::create_dir(place).expect("a directory");
        mount(&["-t", "tmpfs", "-o", "size=64m", "saigen-test"], place);
        Disk(place.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The test has ended either way; a mount that stays is seen by who looks.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], place: &Path) {
    let done = Command::new("mount").args(arguments).arg(place).status();
    assert!(done.expect("mount runs").success(), "{arguments:?}");
}

#[test]
fn a_disk_that_is_unmounted_under_the_journal_leaves_a_record() {
    live("unmounted", || {
        let dir = tempfile::tempdir().expect("a directory");
        let (place, again) = (dir.path().join("disk"), dir.path().join("again"));
        let disk = Disk::mount(&place);
        let recorder = Background::start(&place.join("journal"), &[]);
        // Bound elsewhere, it can be read afterwards: the recorder goes on writing to it unseen.
        std::fs::create_dir(&again).expect("a directory");
        mount(&["--bind", place.to_str().expect("a path")], &again);
        let bound = Disk(again.clone());
        drop(disk);
        std::thread::sleep(Duration::from_millis(2_500));
        recorder.end();
        let events = events(&again.join("journal"));
        let down = told(&events, "journal", "down");
        assert!(
            down.iter().any(|detail| detail.contains("unmounted")),
            "{down:?}"
        );
        let umount = events.iter().any(|event| {
            event["kind"] == "kernel.mounted"
                && event["options"] == "umount"
                && event["path"] == place.to_string_lossy().as_ref()
        });
        assert!(umount, "and who did it is there too");
        drop(bound);
    });
}

#[test]
fn rules_stand_beside_another_audit_daemon_only_where_that_is_asked_for() {
    live("share", || {
        if !Path::new("/usr/sbin/auditd").exists() {
            eprintln!("share: skipped, there is no auditd");
            return;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("audit.log");
        let configuration = format!(
            "log_file = {}\nlog_format = RAW\nflush = NONE\nlocal_events = yes\nwrite_logs = yes\n\
             space_left = 20\nadmin_space_left = 10\nspace_left_action = IGNORE\n\
             admin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\n",
            log.display()
        );
        std::fs::write(dir.path().join("auditd.conf"), configuration).expect("a file");
        let before = saigen_collector::source::audit::Audit::status().expect("audit answers");
        let mut daemon = Command::new("/usr/sbin/auditd")
            .args(["-f", "-s", "nochange", "-c"])
            .arg(dir.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("auditd runs");
        std::thread::sleep(Duration::from_millis(1_500));
        auditctl(&["-e", "1"]);
        let record = |name: &str, arguments: &[&str]| {
            let out = dir.path().join(name);
            let recorder = Background::start(&out, arguments);
            std::thread::sleep(Duration::from_millis(800));
            let rules = saigen_collector::source::audit::leftover_rules().expect("audit answers");
            let run = Command::new("/bin/sh")
                .args(["-c", "/bin/echo saigen-beside >/dev/null"])
                .status();
            assert!(run.expect("sh runs").success());
            std::thread::sleep(Duration::from_millis(800));
            recorder.end();
            (rules, events(&out))
        };
        let (alone, _) = record("alone", &[]);
        let (shared, events) = record("shared", &["--share-audit"]);
        let left = saigen_collector::source::audit::leftover_rules().expect("audit answers");
        let owner = saigen_collector::source::audit::Audit::status()
            .expect("audit answers")
            .pid;
        let daemon_pid = daemon.id();
        let pid = i32::try_from(daemon_pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a pid");
        // It may have ended by itself; the assertions below say so.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        daemon.wait().expect("it ends");
        auditctl(&["-e", &before.enabled.to_string()]);
        assert_eq!(owner, daemon_pid, "the daemon keeps its socket");
        assert_eq!(alone, 0, "no rule of ours without being asked");
        assert!(shared > 10, "{shared} rules");
        assert_eq!(left, 0, "and they are removed");
        let start = events
            .iter()
            .find(|event| event["kind"] == "process.start" && event["args"][1] == "saigen-beside")
            .expect("the start");
        assert!(start["had"]["args"].is_null() && start["cwd"].is_string());
    });
}

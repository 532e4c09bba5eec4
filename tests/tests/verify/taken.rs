//! A journal taken away from a machine that is being recorded.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{built, saigen};

fn done(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Why nothing can be recorded here, or `None`.
fn skipped() -> Option<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if std::env::var_os("SAIGEN_LIVE").is_none_or(|value| value != "1") {
        return Some("SAIGEN_LIVE=1 is not set");
    }
    let root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    (!root).then_some("recording needs root")
}

/// A recorder that is ended with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collector(arguments: &[&str], folder: &Path) -> Output {
    Command::new(built("saigen-collector"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Waits until a file is there that the recorded command leaves.
fn wait_for(path: &Path) {
    let end = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < end, "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_taken_from_a_running_recorder_holds_to_its_anchor_and_can_be_signed_for() {
    if let Some(reason) = skipped() {
        println!("skipped: {reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(&collector(&["keygen", "-o", "keys"], at));
    let running = Command::new(built("saigen-collector"))
        .args([
            "record",
            "-o",
            "journal",
            "--key",
            "keys/endpoint.key",
            "--",
        ])
        .args([
            "sh",
            "-c",
            "/bin/true; : > worked; while [ ! -e enough ]; do sleep 0.2; done",
        ])
        .current_dir(at)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut running = Running(running);
    wait_for(&at.join("worked"));
    done(&collector(&["seal-off", "journal", "-o", "stick"], at));
    assert!(
        running.0.try_wait().unwrap().is_none(),
        "the recording goes on"
    );
    let sums = Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(at.join("stick"))
        .output()
        .unwrap();
    done(&sums);
    let later: Value = serde_json::from_str(&done(&collector(&["anchor", "journal"], at))).unwrap();
    fs::write(at.join("later.json"), later.to_string()).unwrap();
    fs::write(at.join("enough"), "").unwrap();
    assert!(running.0.wait().unwrap().success());
    let verify = |journal: &str, anchor: &str| {
        let mut arguments = vec!["verify", journal, "--key", "keys/enrolment.pub"];
        arguments.extend(["--anchor", anchor, "--json"]);
        let output = saigen(&arguments, at);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdict = told["evidence"][0]["verdict"].as_str().unwrap().to_owned();
        (output.status.code(), verdict)
    };
    let says = |code: i32, word: &str| (Some(code), word.to_owned());
    assert_eq!(
        verify("stick/journal", "stick/anchor.json"),
        says(0, "open_end")
    );
    assert_eq!(verify("stick/journal", "later.json"), says(1, "incomplete"));
    assert_eq!(verify("journal", "stick/anchor.json"), says(0, "intact"));
    assert_eq!(verify("journal", "later.json"), says(0, "intact"));
    let page = at.join("page.html");
    let page_name = page.to_str().unwrap();
    done(&saigen(
        &[
            "verify",
            "journal",
            "--key",
            "keys/auditor.key",
            "--report",
            page_name,
        ],
        at,
    ));
    let page = fs::read_to_string(page).unwrap();
    for told in [
        "intact",
        "default-src 'none'",
        later["enrolment"].as_str().unwrap(),
    ] {
        assert!(page.contains(told), "{told} is not on the page");
    }
    assert!(!page.contains("<script"), "the page runs nothing");
}

//! A recorder of the whole system that runs while a test does something.

use crate::journal::collector;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The recorder while it runs; it is killed if the test fails before it is ended.
pub struct Background(Child);

impl Background {
    /// Starts to record, and returns when sources and journal are open.
    pub fn start(out: &Path, arguments: &[&str]) -> Background {
        let child = collector()
            .args(["record", "-o"])
            .arg(out)
            .args(arguments)
            .stderr(Stdio::null())
            .spawn()
            .expect("the collector runs");
        let recorder = Background(child);
        let threads = format!("/proc/{}/task", recorder.0.id());
        let end = Instant::now() + Duration::from_secs(60);
        // The draining thread is started last.
        while std::fs::read_dir(&threads).expect("threads").count() < 2 {
            assert!(Instant::now() < end, "the recorder starts its thread");
            std::thread::sleep(Duration::from_millis(10));
        }
        recorder
    }

    /// Asks the recorder to end, and waits until it has.
    pub fn end(mut self) {
        let pid = i32::try_from(self.0.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        assert!(self.0.wait().expect("it ends").success());
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It has ended, or the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! The recorded command: started among enabled sources, followed to the end of its tree.
//!
//! Every process that the recorder forks is of the tree, and so is all that they fork: by who forked,
//! not by process groups or sessions, so that nothing daemonises its way out.

#![expect(unsafe_code, reason = "fork(2) of the command, and its end")]

use crate::record::drain::unblock_signals;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// What is waited for after the command has ended, so that what it left behind is recorded.
pub const LINGER: Duration = Duration::from_secs(10);

/// The exit code of a command that was never let go, or could not be run: that of a shell.
const NOT_RUN: i32 = 127;

/// The command while it waits at the gate and while it runs, and its tree after it.
#[derive(Debug)]
pub struct Tree {
    pid: Pid,
    /// The command waits until something is written here, and ends if this is closed instead.
    gate: Option<File>,
    /// What became of the command's start: nothing if it runs, else the system's error number.
    answer: File,
    ended: Option<(WaitStatus, u64)>,
    linger: Duration,
}

/// How far a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The command runs.
    Runs,
    /// The command has ended; some that it started have not.
    Lingers,
    /// All have ended, or were waited for long enough.
    Over,
}

impl Tree {
    /// Makes the command's process, which waits until [`Self::let_go`]. It has what we have now, and
    /// nothing of what we give up later. The sources must be enabled by now: audit gives a context
    /// only to processes that are born after.
    ///
    /// # Errors
    /// No process can be made.
    pub fn prepare(command: &[OsString], linger: Duration) -> io::Result<Tree> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let (gate, opened) = pipe_with(PipeFlags::CLOEXEC).map(|(read, write)| (write, read))?;
        let (told, tells) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut command = Command::new(program);
        command.args(arguments);
        // SAFETY: the child shares nothing that changes: memory is its own copy, and the C library
        // keeps its allocator usable over a fork. It reads the gate, and runs the command or ends.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        if pid == 0 {
            drop((gate, told));
            run(File::from(opened), File::from(tells), &mut command);
        }
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::Other)?;
        Ok(Tree {
            pid,
            gate: Some(File::from(gate)),
            answer: File::from(told),
            ended: None,
            linger,
        })
    }

    /// Lets the command run.
    ///
    /// # Errors
    /// The command cannot be started.
    pub fn let_go(&mut self) -> io::Result<()> {
        let Some(mut gate) = self.gate.take() else {
            return Ok(());
        };
        gate.write_all(&[1])?;
        drop(gate);
        let mut error = Vec::new();
        Read::by_ref(&mut self.answer)
            .take(4)
            .read_to_end(&mut error)?;
        match error.first_chunk::<4>() {
            None => Ok(()),
            Some(number) => Err(io::Error::from_raw_os_error(i32::from_le_bytes(*number))),
        }
    }

    /// Whether the command still waits to be let go.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.gate.is_some()
    }

    /// The command's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Looks whether the command has ended. Of its tree `alive` processes were by the records up to
    /// `complete_us`; the time is `now_us`, both on the boot clock.
    pub fn stage(&mut self, alive: usize, complete_us: u64, now_us: u64) -> Stage {
        if self.ended.is_none()
            && let Ok(Some((_, status))) = waitpid(Some(self.pid), WaitOptions::NOHANG)
        {
            self.ended = Some((status, now_us));
        }
        let linger_us = u64::try_from(self.linger.as_micros()).unwrap_or(u64::MAX);
        match self.ended {
            None => Stage::Runs,
            // Until what it did last has been read, nobody knows whom it left behind.
            Some((_, ended_us)) if complete_us <= ended_us => Stage::Lingers,
            Some((_, ended_us)) if alive > 0 && now_us < ended_us.saturating_add(linger_us) => {
                Stage::Lingers
            }
            Some(_) => Stage::Over,
        }
    }

    /// Passes a request to end on to the command.
    pub fn terminate(&self) {
        if self.ended.is_none() {
            // It may have ended a moment ago; then there is nobody to tell.
            let _ = kill_process(self.pid, Signal::TERM);
        }
    }

    /// Does not wait for what the command leaves behind.
    pub fn hurry(&mut self) {
        self.linger = Duration::ZERO;
    }

    /// The command's status as a shell gives it: its exit code, or 128 and the signal. `None` while it runs.
    #[must_use]
    pub fn code(&self) -> Option<u8> {
        let (status, _) = self.ended?;
        let code = status
            .exit_status()
            .or_else(|| status.terminating_signal().map(|signal| 128 + signal))?;
        u8::try_from(code & 0xff).ok()
    }
}

/// The command's process: waits at the gate, becomes the command, or tells why not.
fn run(mut gate: File, mut tells: File, command: &mut Command) -> ! {
    let mut byte = [0];
    if gate.read_exact(&mut byte).is_ok() {
        unblock_signals();
        let error = command.exec();
        let number = error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error());
        // Whoever waits for it may be gone; then nobody needs to know.
        let _ = tells.write_all(&number.to_le_bytes());
    }
    // SAFETY: ends this process at once; what is buffered belongs to the one that forked it.
    unsafe { libc::_exit(NOT_RUN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(command: &[OsString], linger: Duration) -> io::Result<Tree> {
        let mut tree = Tree::prepare(command, linger)?;
        tree.let_go()?;
        Ok(tree)
    }

    fn ended(command: &[&str]) -> Option<u8> {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let mut tree = started(&command, Duration::ZERO).unwrap();
        while tree.stage(0, 1, 0) == Stage::Runs {
            std::thread::sleep(Duration::from_millis(2));
        }
        tree.code()
    }

    #[test]
    fn the_commands_status_is_passed_on() {
        assert_eq!(ended(&["true"]), Some(0));
        assert_eq!(ended(&["sh", "-c", "exit 7"]), Some(7));
        assert_eq!(ended(&["sh", "-c", "kill -9 $$"]), Some(137));
    }

    #[test]
    fn a_command_that_cannot_be_started_is_an_error() {
        let error = started(&[OsString::from("/nonexistent/command")], LINGER).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(Tree::prepare(&[], LINGER).is_err());
    }

    #[test]
    fn a_command_that_is_never_let_go_never_runs() {
        let dir = tempfile::tempdir().unwrap();
        let proof = dir.path().join("ran");
        let command = [OsString::from("touch"), proof.clone().into_os_string()];
        let mut tree = Tree::prepare(&command, Duration::ZERO).unwrap();
        assert!(tree.waits());
        tree.gate = None;
        while tree.stage(0, 1, 0) == Stage::Runs {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!proof.exists());
    }

    #[test]
    fn what_is_left_behind_is_waited_for_and_not_for_ever() {
        let mut tree = started(&[OsString::from("true")], Duration::from_micros(80)).unwrap();
        while tree.stage(0, 0, 1_000) == Stage::Runs {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(tree.stage(0, 900, 1_010), Stage::Lingers, "not all is read");
        assert_eq!(tree.stage(1, 1_020, 1_040), Stage::Lingers, "one is left");
        assert_eq!(tree.stage(0, 1_020, 1_040), Stage::Over);
        assert_eq!(
            tree.stage(1, 1_070, 1_080),
            Stage::Over,
            "it was waited for long enough"
        );
    }
}

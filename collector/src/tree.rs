//! The recorded command: started among enabled sources, followed to the end of its tree.
//!
//! Every process that the recorder forks is of the tree, and so is all that they fork: by who forked,
//! not by process groups or sessions, so that nothing daemonises its way out.

#![expect(
    unsafe_code,
    reason = "the child lets signals through again between fork and exec"
)]

use crate::record::drain::unblock_signals;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// What is waited for after the command has ended, so that what it left behind is recorded.
pub const LINGER: Duration = Duration::from_secs(10);

/// The command while it runs, and its tree after it.
#[derive(Debug)]
pub struct Tree {
    child: Child,
    ended: Option<(ExitStatus, u64)>,
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
    /// Starts the command. The sources must be enabled by now: audit gives a context only to
    /// processes that are born after.
    ///
    /// # Errors
    /// The command cannot be started.
    pub fn start(command: &[OsString], linger: Duration) -> io::Result<Tree> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let mut command = Command::new(program);
        command.args(arguments);
        // SAFETY: the closure only changes the signal mask, which is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                unblock_signals();
                Ok(())
            });
        }
        Ok(Tree {
            child: command.spawn()?,
            ended: None,
            linger,
        })
    }

    /// The command's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Looks whether the command has ended. Of its tree `alive` processes were by the records up to
    /// `complete_us`; the time is `now_us`, both on the boot clock.
    pub fn stage(&mut self, alive: usize, complete_us: u64, now_us: u64) -> Stage {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
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
        if self.ended.is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // It may have ended a moment ago; then there is nobody to tell.
            let _ = kill_process(pid, Signal::TERM);
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
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))?;
        u8::try_from(code & 0xff).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(command: &[&str]) -> Option<u8> {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let mut tree = Tree::start(&command, Duration::ZERO).unwrap();
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
        assert!(Tree::start(&[OsString::from("/nonexistent/command")], LINGER).is_err());
        assert!(Tree::start(&[], LINGER).is_err());
    }

    #[test]
    fn what_is_left_behind_is_waited_for_and_not_for_ever() {
        let mut tree = Tree::start(&[OsString::from("true")], Duration::from_micros(80)).unwrap();
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

//! Isolation: once everything is open, the recorder gives up what it no longer needs.
//!
//! What it reads was written by whoever is recorded. Should a mistake in reading ever be turned
//! against us, little is to be had: few capabilities are left, no program can be run, no system
//! call is answered but those of a list, nothing of our memory is dumped or swapped out. The
//! recorded command is made before, and waits at a gate: it inherits none of this.

mod filter;
mod privilege;

pub use privilege::{KEPT, Kept, Need};

use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, capabilities};
use serde::Serialize;

/// What the isolated recorder must still be able to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs(pub Vec<Need>);

/// What became of each part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Isolation {
    /// Capabilities that are left, each with its reason.
    pub capabilities: Vec<&'static Kept>,
    /// Parts that this system does not give, in words.
    pub missing: Vec<String>,
}

/// Gives up everything but `needs`, in this thread and those that it starts from now on. No other
/// thread may run yet. A part that cannot be had is told and left out: a recorder with less
/// isolation is better than none.
#[must_use]
pub fn isolate(needs: &Needs) -> Isolation {
    let mut isolation = Isolation::default();
    let mut part = |what: &str, done: Result<(), Errno>| {
        if let Err(error) = done {
            isolation.missing.push(format!("{what}: {error}"));
        }
    };
    part("no core dumps", no_dumps());
    part("memory that is never swapped out", lock_memory());
    let dropped = privilege::keep_only(&needs.0);
    part("fewer capabilities", dropped);
    part("no new privileges", rustix::thread::set_no_new_privs(true));
    part("a filter of system calls", filter::install());
    isolation.capabilities = privilege::held(&needs.0);
    isolation
}

/// Keys are in our memory: no core dump may hold them, and no process of our own user may look.
fn no_dumps() -> Result<(), Errno> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)
}

/// Locks each page once it is used, now and later: keys never reach a swap device, and a machine
/// that swaps does not stop the recorder.
fn lock_memory() -> Result<(), Errno> {
    let held = capabilities(None)?.effective;
    if !held.contains(CapabilitySet::IPC_LOCK) {
        // Later pages are counted against this limit; if it ran out, memory would.
        let all = Rlimit {
            current: None,
            maximum: None,
        };
        rustix::process::setrlimit(Resource::Memlock, all)?;
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
}

//! Which capabilities stay, and why.

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use serde::Serialize;

/// Something that needs a capability while recording goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Memory is locked as it is taken.
    Memory,
    /// Files of others are read, for hashes and names.
    Files,
    /// Programs, directories and namespaces of processes are looked at.
    Processes,
    /// Rules of ours stand in audit, or its state is asked for.
    Audit,
    /// Mounts that come are watched, as those see them who mounted them.
    Mounts,
    /// The process connector is told that nobody listens any more.
    Connector,
    /// A command is recorded, and told to end when we are.
    Command,
    /// The journal or the key stands in a directory of another user.
    ForeignDirectory,
}

/// A capability that stays.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its name, as `capabilities(7)` has it, in small letters.
    pub name: &'static str,
    /// Why.
    pub reason: &'static str,
    #[serde(skip)]
    set: CapabilitySet,
    #[serde(skip)]
    need: Need,
}

/// Every capability that may stay, and for which need.
pub const KEPT: &[Kept] = &[
    Kept {
        name: "cap_ipc_lock",
        reason: "keeps memory that it takes later from being swapped out",
        set: CapabilitySet::IPC_LOCK,
        need: Need::Memory,
    },
    Kept {
        name: "cap_dac_read_search",
        reason: "reads programs for their hashes, and finds files by their handles",
        set: CapabilitySet::DAC_READ_SEARCH,
        need: Need::Files,
    },
    Kept {
        name: "cap_sys_ptrace",
        reason: "looks at programs, directories and namespaces of processes in /proc",
        set: CapabilitySet::SYS_PTRACE,
        need: Need::Processes,
    },
    Kept {
        name: "cap_audit_control",
        reason: "asks audit what it lost, and removes the recorder's rules at the end",
        set: CapabilitySet::AUDIT_CONTROL,
        need: Need::Audit,
    },
    Kept {
        name: "cap_sys_admin",
        reason: "puts fanotify's marks on file systems that are mounted later, and enters mount namespaces to look",
        set: CapabilitySet::SYS_ADMIN,
        need: Need::Mounts,
    },
    Kept {
        name: "cap_sys_chroot",
        reason: "enters mount namespaces to look",
        set: CapabilitySet::SYS_CHROOT,
        need: Need::Mounts,
    },
    Kept {
        name: "cap_net_admin",
        reason: "tells the process connector at the end that nobody listens",
        set: CapabilitySet::NET_ADMIN,
        need: Need::Connector,
    },
    Kept {
        name: "cap_kill",
        reason: "passes a request to end on to the recorded command",
        set: CapabilitySet::KILL,
        need: Need::Command,
    },
    Kept {
        name: "cap_dac_override",
        reason: "writes to a directory that belongs to another user",
        set: CapabilitySet::DAC_OVERRIDE,
        need: Need::ForeignDirectory,
    },
];

/// The most capabilities that a kernel can have.
const CAPABILITIES_MAX: u32 = 63;

/// Drops every capability of this thread that `needs` do not name, in all its sets.
///
/// # Errors
/// What the kernel said.
pub fn keep_only(needs: &[Need]) -> Result<(), Errno> {
    let wanted = KEPT
        .iter()
        .filter(|kept| needs.contains(&kept.need))
        .fold(CapabilitySet::empty(), |all, kept| all | kept.set);
    let held = capabilities(None)?;
    // The bounding set first: to change it takes a capability that goes with the others.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for number in 0..=CAPABILITIES_MAX {
            let one = CapabilitySet::from_bits_retain(1 << number);
            if wanted.contains(one) {
                continue;
            }
            match rustix::thread::remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                // Beyond the last that this kernel knows.
                Err(Errno::INVAL) => break,
                Err(error) => return Err(error),
            }
        }
    }
    match rustix::thread::clear_ambient_capability_set() {
        // Before Linux 4.3 there is none.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error),
    }
    let left = held.permitted & wanted;
    set_capabilities(
        None,
        CapabilitySets {
            effective: left,
            permitted: left,
            inheritable: CapabilitySet::empty(),
        },
    )
}

/// Those of `needs` that this thread holds now.
pub fn held(needs: &[Need]) -> Vec<&'static Kept> {
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    KEPT.iter()
        .filter(|kept| needs.contains(&kept.need) && effective.contains(kept.set))
        .collect()
}

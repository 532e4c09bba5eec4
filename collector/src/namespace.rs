//! Seeing the machine as a recorded process sees it: its mounts, its network.
//!
//! A namespace belongs to a thread. Each look is made by a thread of its own that enters,
//! looks and ends, so that no other work ever runs in a namespace that is not its own.

#![expect(
    unsafe_code,
    reason = "a thread takes its own working directory by unshare(2)"
)]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::thread::{LinkNameSpaceType, UnshareFlags};

/// Runs `work` with the mounts and the root directory of process `pid`.
///
/// # Errors
/// If the process is gone or may not be looked at, or no thread can be started.
pub fn in_mounts_of<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let root = File::open(format!("/proc/{pid}/root"))?;
    let mounts = File::open(format!("/proc/{pid}/ns/mnt"))?;
    in_a_thread(|| {
        // SAFETY: unshare(2) of the file system attributes alone changes which directory this
        // thread calls its own, and no descriptor.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS)? };
        rustix::thread::move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
        rustix::process::fchdir(&root)?;
        rustix::process::chroot(".")?;
        Ok(work())
    })
}

/// Runs `work` in the network of process `pid`. A socket that it opens stays in that network.
///
/// # Errors
/// If the process is gone or may not be looked at, or no thread can be started.
pub fn in_network_of<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let network = File::open(format!("/proc/{pid}/ns/net"))?;
    in_a_thread(|| {
        rustix::thread::move_into_link_name_space(
            network.as_fd(),
            Some(LinkNameSpaceType::Network),
        )?;
        Ok(work())
    })
}

/// Runs `work` with the host name of process `pid`.
///
/// # Errors
/// If the process is gone or may not be looked at, or no thread can be started.
pub fn in_names_of<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let names = File::open(format!("/proc/{pid}/ns/uts"))?;
    in_a_thread(|| {
        rustix::thread::move_into_link_name_space(
            names.as_fd(),
            Some(LinkNameSpaceType::HostNameAndNISDomainName),
        )?;
        Ok(work())
    })
}

fn in_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("namespace".to_owned())
            .stack_size(256 << 10)
            .spawn_scoped(scope, work)?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

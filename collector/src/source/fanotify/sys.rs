//! The system calls of fanotify and of file handles that rustix does not have.

#![expect(
    unsafe_code,
    reason = "fanotify and file handles are reached by raw system calls"
)]
#![expect(
    clippy::host_endian_bytes,
    reason = "the kernel's structures are in the machine's own order"
)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::wire::{FileId, HANDLE_BYTES_MAX};

/// `AT_HANDLE_FID` (Linux 6.5): a handle to be compared, which need not be openable.
const AT_HANDLE_FID: libc::c_int = 0x200;

/// A `struct file_handle` with room for the longest handle.
#[repr(C)]
struct Handle {
    handle_bytes: u32,
    handle_type: i32,
    handle: [u8; HANDLE_BYTES_MAX],
}

/// Opens a fanotify group: `flags` are `FAN_*` of `fanotify_init(2)`.
///
/// # Errors
/// The kernel's: `EPERM` without `CAP_SYS_ADMIN`, `EINVAL` for a flag that it does not
/// know, `ENOSYS` without fanotify.
pub fn init(flags: u32) -> io::Result<OwnedFd> {
    let event_flags = (libc::O_RDONLY | libc::O_LARGEFILE | libc::O_CLOEXEC).unsigned_abs();
    // SAFETY: fanotify_init takes two numbers and touches no memory of ours.
    let fd = unsafe { libc::fanotify_init(flags, event_flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds a mark for `mask` on the thing at `path` under `dir`, or on `dir` itself.
///
/// # Errors
/// The kernel's: `EXDEV` and `ENODEV` where the filesystem has no identity of its own,
/// `EOPNOTSUPP` where it has no handles.
pub fn mark(
    group: BorrowedFd<'_>,
    flags: u32,
    mask: u64,
    dir: BorrowedFd<'_>,
    path: Option<&CStr>,
) -> io::Result<()> {
    let path = path.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: `path` is null, which fanotify_mark(2) allows, or ends with NUL and lives to
    // the end of this function.
    let result =
        unsafe { libc::fanotify_mark(group.as_raw_fd(), flags, mask, dir.as_raw_fd(), path) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Opens what `id` names, as a path only (nothing of the file is touched), through any
/// descriptor on its filesystem.
///
/// # Errors
/// The kernel's: `ESTALE` if it no longer exists.
pub fn open_by_handle(mount: BorrowedFd<'_>, id: &FileId<'_>) -> io::Result<OwnedFd> {
    let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut handle = Handle {
        handle_bytes: u32::try_from(id.handle.len()).map_err(|_| too_long())?,
        handle_type: id.kind,
        handle: [0; HANDLE_BYTES_MAX],
    };
    handle
        .handle
        .get_mut(..id.handle.len())
        .ok_or_else(too_long)?
        .copy_from_slice(id.handle);
    // SAFETY: the third argument points to a file_handle whose `handle_bytes` are within
    // its array, as open_by_handle_at(2) demands; the kernel only reads it.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            &raw mut handle,
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The handle of what is at `path`, symbolic links followed: its type and its bytes.
///
/// # Errors
/// The kernel's: `EOPNOTSUPP` where the filesystem has no handles.
pub fn handle_of(path: &CStr) -> io::Result<(i32, Vec<u8>)> {
    let mut handle = Handle {
        handle_bytes: u32::try_from(HANDLE_BYTES_MAX).map_err(io::Error::other)?,
        handle_type: 0,
        handle: [0; HANDLE_BYTES_MAX],
    };
    let mut mount_id: libc::c_int = 0;
    let mut call = |flags: libc::c_int| {
        // SAFETY: `path` ends with NUL; the handle says how much room it has, and the kernel
        // writes no more than that; `mount_id` is an int of ours.
        let result = unsafe {
            libc::syscall(
                libc::SYS_name_to_handle_at,
                libc::AT_FDCWD,
                path.as_ptr(),
                &raw mut handle,
                &raw mut mount_id,
                libc::AT_SYMLINK_FOLLOW | flags,
            )
        };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    call(AT_HANDLE_FID).or_else(|_| call(0))?;
    let len = usize::try_from(handle.handle_bytes).map_err(io::Error::other)?;
    let bytes = handle.handle.get(..len).ok_or(io::ErrorKind::InvalidData)?;
    Ok((handle.handle_type, bytes.to_vec()))
}

/// The filesystem's number, as fanotify writes it.
///
/// # Errors
/// The kernel's, from `fstatfs(2)`.
pub fn fsid(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: fstatfs(2) writes one `struct statfs`, and `stat` is one.
    if unsafe { libc::fstatfs(fd.as_raw_fd(), stat.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the structure is plain numbers, and was zeroed before the call filled it.
    let fsid = unsafe { stat.assume_init() }.f_fsid;
    // SAFETY: an fsid_t is two ints whose fields have no public name (statfs(2), "The f_fsid
    // field"); any eight bytes are valid as bytes.
    let bytes = unsafe { std::mem::transmute::<libc::fsid_t, [u8; 8]>(fsid) };
    Ok(u64::from_ne_bytes(bytes))
}

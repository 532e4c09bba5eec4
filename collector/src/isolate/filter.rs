//! The filter of system calls: what a recorder needs is answered, everything else is refused, and
//! what only an intruder would try ends the process.
//!
//! The list was made by following recordings of every kind with `strace -f`. A call that is in no
//! list is refused with `EPERM`: a newer C library that tries a newer call falls back to an older.

#![expect(unsafe_code, reason = "seccomp(2)")]

use rustix::io::Errno;

/// What a filter does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allow,
    Refuse(i32),
    Kill,
}

/// A call that is allowed only with certain arguments.
struct Guarded {
    call: libc::c_long,
    /// Which argument is looked at, its lower 32 bits.
    argument: u32,
    test: Test,
}

/// What an argument must be.
enum Test {
    /// One of these.
    OneOf(&'static [u32]),
    /// All of these bits are set.
    Has(u32),
    /// None of these bits is set.
    Lacks(u32),
}

/// Calls that are answered whatever their arguments: reading and writing open files, opening, the
/// files of the journal, memory, threads, time, sockets that are open.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_tree,
    libc::SYS_fanotify_mark,
    libc::SYS_fchdir,
    libc::SYS_chroot,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_fallocate,
    libc::SYS_ftruncate,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_copy_file_range,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_setpriority,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_signalfd4,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_ppoll,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_bind,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_capget,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls of 64-bit x86 that newer machines have no number for.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_poll,
    libc::SYS_time,
];
/// Calls of this machine that others have no number for.
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

/// `PR_SET_VMA`: the C library names its memory with it.
const PR_SET_VMA: u32 = 0x5356_4d41;

const CLONE_FS: u32 = 0x200;
const CLONE_NEWNS: u32 = 0x2_0000;
const CLONE_NEWUTS: u32 = 0x400_0000;
const CLONE_NEWNET: u32 = 0x4000_0000;
const CLONE_THREAD: u32 = 0x1_0000;
const FIONREAD: u32 = 0x541b;
const TCGETS: u32 = 0x5401;
const AF_NETLINK: u32 = 16;
const PROT_EXEC: u32 = 4;
const PR_SET_NAME: u32 = 15;
const SIGTERM: u32 = 15;
const SIGABRT: u32 = 6;

/// Calls that are answered with some arguments only.
const GUARDED: &[Guarded] = &[
    // Threads, no processes.
    Guarded {
        call: libc::SYS_clone,
        argument: 0,
        test: Test::Has(CLONE_THREAD),
    },
    // No memory that is written becomes code.
    Guarded {
        call: libc::SYS_mmap,
        argument: 2,
        test: Test::Lacks(PROT_EXEC),
    },
    Guarded {
        call: libc::SYS_mprotect,
        argument: 2,
        test: Test::Lacks(PROT_EXEC),
    },
    // The kernel is asked for sockets; nobody else is spoken to.
    Guarded {
        call: libc::SYS_socket,
        argument: 0,
        test: Test::OneOf(&[AF_NETLINK]),
    },
    Guarded {
        call: libc::SYS_ioctl,
        argument: 1,
        test: Test::OneOf(&[FIONREAD, TCGETS]),
    },
    Guarded {
        call: libc::SYS_prctl,
        argument: 0,
        test: Test::OneOf(&[PR_SET_NAME, PR_SET_VMA]),
    },
    // A thread that looks into a namespace takes its own working directory and enters.
    Guarded {
        call: libc::SYS_unshare,
        argument: 0,
        test: Test::OneOf(&[CLONE_FS]),
    },
    Guarded {
        call: libc::SYS_setns,
        argument: 1,
        test: Test::OneOf(&[CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWUTS]),
    },
    // The recorded command is told to end.
    Guarded {
        call: libc::SYS_kill,
        argument: 1,
        test: Test::OneOf(&[SIGTERM]),
    },
    // A broken promise of our own ends us.
    Guarded {
        call: libc::SYS_tgkill,
        argument: 2,
        test: Test::OneOf(&[SIGABRT]),
    },
];

/// Calls that a recorder never makes and an intruder needs: running programs, reaching into
/// processes and the kernel, changing mounts, identities and the clock, speaking to the network.
const KILLED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_memfd_create,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_pivot_root,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_capset,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_reboot,
    libc::SYS_personality,
    libc::SYS_add_key,
    libc::SYS_keyctl,
];

/// Offsets in `struct seccomp_data`: the number, the machine, the first argument's lower half.
const NUMBER_AT: u32 = 0;
const MACHINE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

#[cfg(target_arch = "x86_64")]
const MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const MACHINE: u32 = 0xc000_00b7;

/// The bit of the x32 calls, a second door to the same kernel.
const X32: u32 = 0x4000_0000;

/// `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_JMP | BPF_JSET | BPF_K`,
/// `BPF_ALU | BPF_AND | BPF_K`, `BPF_RET | BPF_K`.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_ANY_BIT: u16 = 0x45;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// Installs the filter in this thread; threads that it starts have it too, and nothing takes it
/// away again.
///
/// # Errors
/// The kernel has no seccomp, or refuses: `no_new_privs` must be set before.
pub fn install() -> Result<(), Errno> {
    let mut program = program();
    let len = u16::try_from(program.len()).map_err(|_| Errno::TOOBIG)?;
    let filter = libc::sock_fprog {
        len,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program is as long as it says and lives over the call, which copies it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const filter,
        )
    };
    if done == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}

fn program() -> Vec<libc::sock_filter> {
    let mut program = vec![
        step(LOAD, 0, 0, MACHINE_AT),
        step(IF_EQUAL, 1, 0, MACHINE),
        end(Verdict::Kill),
        step(LOAD, 0, 0, NUMBER_AT),
    ];
    if cfg!(target_arch = "x86_64") {
        program.extend([step(IF_ANY_BIT, 0, 1, X32), end(Verdict::Kill)]);
    }
    let mut decide = |call: libc::c_long, verdict| {
        program.extend([step(IF_EQUAL, 0, 1, number(call)), end(verdict)]);
    };
    for call in ALLOWED.iter().chain(ALLOWED_HERE) {
        decide(*call, Verdict::Allow);
    }
    for call in KILLED {
        decide(*call, Verdict::Kill);
    }
    // Its arguments are behind a pointer that no filter can follow; the C library then uses clone.
    decide(libc::SYS_clone3, Verdict::Refuse(libc::ENOSYS));
    for guarded in GUARDED {
        guard(guarded, &mut program);
    }
    program.push(end(Verdict::Refuse(libc::EPERM)));
    program
}

/// If it is this call, its argument decides; else the next step follows.
fn guard(guarded: &Guarded, program: &mut Vec<libc::sock_filter>) {
    let mut body = vec![step(LOAD, 0, 0, ARGUMENTS_AT + 8 * guarded.argument)];
    match guarded.test {
        Test::OneOf(values) => {
            for value in values {
                body.extend([step(IF_EQUAL, 0, 1, *value), end(Verdict::Allow)]);
            }
        }
        Test::Has(bits) => body.extend([
            step(AND, 0, 0, bits),
            step(IF_EQUAL, 0, 1, bits),
            end(Verdict::Allow),
        ]),
        Test::Lacks(bits) => body.extend([step(IF_ANY_BIT, 1, 0, bits), end(Verdict::Allow)]),
    }
    body.push(end(Verdict::Refuse(libc::EPERM)));
    let past = u8::try_from(body.len()).unwrap_or(u8::MAX);
    program.push(step(IF_EQUAL, 0, past, number(guarded.call)));
    program.extend(body);
}

fn number(call: libc::c_long) -> u32 {
    // Numbers of calls are small and never negative.
    u32::try_from(call).unwrap_or(u32::MAX)
}

fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

fn end(verdict: Verdict) -> libc::sock_filter {
    let value = match verdict {
        Verdict::Allow => libc::SECCOMP_RET_ALLOW,
        Verdict::Refuse(errno) => {
            libc::SECCOMP_RET_ERRNO | (errno.unsigned_abs() & libc::SECCOMP_RET_DATA)
        }
        Verdict::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    };
    step(RETURN, 0, 0, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter decides: a small machine for the five instructions that we use.
    fn verdict(machine: u32, call: libc::c_long, arguments: [u32; 6]) -> u32 {
        let program = program();
        let (mut at, mut value) = (0_usize, 0_u32);
        loop {
            let now = program[at];
            at += 1;
            let jump = |yes: bool| usize::from(if yes { now.jt } else { now.jf });
            match now.code {
                LOAD => {
                    value = match now.k {
                        NUMBER_AT => number(call),
                        MACHINE_AT => machine,
                        other => arguments[((other - ARGUMENTS_AT) / 8) as usize],
                    }
                }
                AND => value &= now.k,
                IF_EQUAL => at += jump(value == now.k),
                IF_ANY_BIT => at += jump(value & now.k != 0),
                RETURN => return now.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn refused(errno: i32) -> u32 {
        libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()
    }

    #[test]
    fn each_call_gets_its_verdict() {
        let none = [0; 6];
        let of = |call, arguments| verdict(MACHINE, call, arguments);
        for call in ALLOWED {
            assert_eq!(of(*call, none), libc::SECCOMP_RET_ALLOW, "{call}");
        }
        for call in KILLED {
            assert_eq!(of(*call, none), libc::SECCOMP_RET_KILL_PROCESS, "{call}");
        }
        assert_eq!(of(libc::SYS_clone3, none), refused(libc::ENOSYS));
        assert_eq!(of(libc::SYS_mkdirat, none), refused(libc::EPERM));
        assert_eq!(of(9_999, none), refused(libc::EPERM));
    }

    #[test]
    fn arguments_decide_where_they_must() {
        let of = |call, argument: usize, value| {
            let mut arguments = [0; 6];
            arguments[argument] = value;
            verdict(MACHINE, call, arguments)
        };
        let (yes, no) = (libc::SECCOMP_RET_ALLOW, refused(libc::EPERM));
        assert_eq!(of(libc::SYS_clone, 0, CLONE_THREAD | 0x100), yes);
        assert_eq!(of(libc::SYS_clone, 0, 17), no, "a fork");
        assert_eq!(of(libc::SYS_mmap, 2, 3), yes);
        assert_eq!(of(libc::SYS_mprotect, 2, 5), no, "code");
        assert_eq!(of(libc::SYS_socket, 0, AF_NETLINK), yes);
        assert_eq!(of(libc::SYS_socket, 0, 2), no, "the network");
        assert_eq!(of(libc::SYS_setns, 1, CLONE_NEWNET), yes);
        assert_eq!(of(libc::SYS_setns, 1, 0), no, "any namespace");
        assert_eq!(of(libc::SYS_kill, 1, 9), no);
    }

    #[test]
    fn other_doors_to_the_kernel_are_shut() {
        assert_eq!(
            verdict(0x4000_0003, libc::SYS_read, [0; 6]),
            libc::SECCOMP_RET_KILL_PROCESS
        );
        if cfg!(target_arch = "x86_64") {
            let x32 = libc::SYS_read | libc::c_long::from(X32);
            assert_eq!(
                verdict(MACHINE, x32, [0; 6]),
                libc::SECCOMP_RET_KILL_PROCESS
            );
        }
    }

    /// Runs `work` in a process of its own, under the filter, and gives its status as `wait(2)` does.
    fn status_of(work: fn() -> i32) -> i32 {
        // SAFETY: the child installs the filter, makes a few calls and ends without running anything
        // of the tests' own.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                let ready = rustix::thread::set_no_new_privs(true).is_ok() && install().is_ok();
                libc::_exit(if ready { work() } else { 99 });
            }
            let mut status = 0;
            libc::waitpid(child, &raw mut status, 0);
            status
        }
    }

    #[test]
    fn under_the_filter_forbidden_calls_are_refused_or_end_the_process() {
        let refuses = status_of(|| {
            // SAFETY: both calls take what stands here; neither is answered.
            let (directory, fork) = unsafe {
                (
                    libc::mkdir(c"/tmp/never".as_ptr(), 0o700),
                    libc::syscall(libc::SYS_clone, 17, 0, 0, 0, 0),
                )
            };
            i32::from(directory != -1) + 2 * i32::from(fork != -1)
        });
        assert_eq!(refuses, 0);
        let runs = status_of(|| {
            // SAFETY: the arguments are empty lists; the process ends here.
            unsafe {
                let nothing = [std::ptr::null()];
                libc::execve(c"/bin/true".as_ptr(), nothing.as_ptr(), nothing.as_ptr());
            }
            0
        });
        assert!(libc::WIFSIGNALED(runs));
        assert_eq!(libc::WTERMSIG(runs), libc::SIGSYS);
    }

    #[test]
    fn no_call_is_in_two_lists() {
        let mut all: Vec<libc::c_long> = ALLOWED
            .iter()
            .chain(ALLOWED_HERE)
            .chain(KILLED)
            .copied()
            .chain(GUARDED.iter().map(|guarded| guarded.call))
            .collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}

//! Deeds that ordinary programs seldom do, one by one by name: what the tests make happen, and then
//! look for in the journal. `deeds NAME…`; each deed ends the program with 1 if it could not be done.

#![expect(
    unsafe_code,
    reason = "each deed is a system call that has no safe name"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "this is the workload: the recorder itself never uses the network"
)]

use std::io::{self, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::ExitCode;

fn main() -> ExitCode {
    for name in std::env::args().skip(1) {
        let done = match name.as_str() {
            "memory-file" => memory_file(),
            "trace" => trace(),
            "write-memory" => write_memory(),
            "bpf" => bpf(),
            "module" => module(),
            "namespace" => namespace(),
            "uring-connect" => uring_connect(),
            "uring-unlink" => uring_unlink(),
            "logins" => logins(),
            "resolve" => resolve(),
            "work" => work(),
            "half-close" => half_close(),
            "identity" => identity(),
            _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        };
        if let Err(error) = done {
            // The test that called reads this.
            let _ = writeln!(io::stderr(), "{name}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// A child that waits to be ended.
fn sleeper() -> io::Result<libc::pid_t> {
    // SAFETY: the child does nothing but wait.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        loop {
            // SAFETY: it takes nothing and changes nothing.
            unsafe { libc::pause() };
        }
    }
    check(pid.into())?;
    Ok(pid)
}

fn end(pid: libc::pid_t) {
    // SAFETY: a child of ours, whose status nobody wants.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}

/// Runs a program that has no file.
fn memory_file() -> io::Result<()> {
    let program = std::fs::read("/bin/sh")?;
    // SAFETY: the name is a text ended by NUL.
    let fd = check(unsafe { libc::syscall(libc::SYS_memfd_create, c"saigen-ghost".as_ptr(), 0) })?;
    let path = format!("/proc/self/fd/{fd}");
    std::fs::write(&path, program)?;
    std::process::Command::new(path)
        .args(["-c", "sleep 0.8; true", "saigen-from-memory"])
        .status()?;
    Ok(())
}

fn trace() -> io::Result<()> {
    let pid = sleeper()?;
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the child is ours; attaching takes no memory of ours.
    let done = check(unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, null, null) });
    end(pid);
    done.map(drop)
}

static mut TARGET: u64 = 0;

fn write_memory() -> io::Result<()> {
    let pid = sleeper()?;
    let word = 7_u64;
    let place = &raw mut TARGET;
    let from = libc::iovec {
        iov_base: (&raw const word).cast_mut().cast(),
        iov_len: 8,
    };
    let to = libc::iovec {
        iov_base: place.cast(),
        iov_len: 8,
    };
    // SAFETY: one whole vector at each side; the child has the same place at the same address.
    let done = unsafe { libc::process_vm_writev(pid, &raw const from, 1, &raw const to, 1, 0) };
    let done = check(i64::try_from(done).unwrap_or(-1));
    end(pid);
    done.map(drop)
}

/// Loads a BPF program that lets nothing through.
fn bpf() -> io::Result<()> {
    // mov r0, 0; exit
    let steps: [u64; 2] = [0xb7, 0x95];
    let mut attributes = [0_u8; 128];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = attributes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    // `union bpf_attr`: type, count, instructions, licence, and the name at 48.
    put(0, &1_u32.to_le_bytes());
    put(4, &2_u32.to_le_bytes());
    put(8, &steps.as_ptr().expose_provenance().to_le_bytes());
    put(16, &c"GPL".as_ptr().expose_provenance().to_le_bytes());
    put(48, b"saigen_prog");
    // SAFETY: the attributes are whole, and what they point to lives over the call.
    check(unsafe { libc::syscall(libc::SYS_bpf, 5, attributes.as_ptr(), 64) }).map(drop)
}

/// Tries to load a module that is none.
fn module() -> io::Result<()> {
    // SAFETY: four bytes of our own, and a text ended by NUL.
    let done = unsafe { libc::syscall(libc::SYS_init_module, b"none".as_ptr(), 4, c"".as_ptr()) };
    if done == 0 {
        return Err(io::Error::other("it was loaded"));
    }
    Ok(())
}

fn namespace() -> io::Result<()> {
    // SAFETY: it changes what this process sees, and nothing else.
    check(unsafe { libc::unshare(libc::CLONE_NEWUTS | libc::CLONE_NEWNS) }.into()).map(drop)
}

/// Becomes another user by `setresuid`.
fn identity() -> io::Result<()> {
    // SAFETY: it takes three numbers. The C library would change other threads too; there are none.
    check(unsafe { libc::setresuid(65_534, 65_534, 65_534) }.into()).map(drop)
}

/// Uses what a process can use: CPU, memory, storage.
fn work() -> io::Result<()> {
    let block = vec![7_u8; 1 << 20];
    let mut file = std::fs::File::create("saigen-work")?;
    for _ in 0..8 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let mut sum = 0_u64;
    let used = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    while (used().tv_sec, used().tv_nsec) < (0, 500_000_000) {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
    Ok(())
}

/// A connection whose accepting end says first that it is done.
fn half_close() -> io::Result<()> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    let client = std::thread::spawn(move || -> io::Result<()> {
        let mut client = std::net::TcpStream::connect(address)?;
        let mut all = Vec::new();
        io::Read::read_to_end(&mut client, &mut all)?;
        client.write_all(&[1; 10])
    });
    let (mut taken, _) = server.accept()?;
    taken.write_all(&[2; 1_000])?;
    taken.shutdown(std::net::Shutdown::Write)?;
    let mut all = Vec::new();
    io::Read::read_to_end(&mut taken, &mut all)?;
    client
        .join()
        .map_err(|_| io::Error::other("the client panicked"))?
}

/// Asks a name server of our own, on the loopback.
fn resolve() -> io::Result<()> {
    let server = UdpSocket::bind("127.0.0.9:53")?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.connect("127.0.0.9:53")?;
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    question.extend(b"\x06saigen\x04test\x00\x00\x01\x00\x01");
    client.send(&question)?;
    let mut buffer = [0; 512];
    let (len, from) = server.recv_from(&mut buffer)?;
    let mut answer = buffer.get(..len).unwrap_or_default().to_vec();
    if let Some(head) = answer.get_mut(2..8) {
        head.copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    }
    answer.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x09");
    server.send_to(&answer, from)?;
    client.recv(&mut buffer).map(drop)
}

/// What login programs, `su` and `sudo` tell audit.
fn logins() -> io::Result<()> {
    let records: [(u16, &str); 4] = [
        (
            1105,
            "op=PAM:session_open grantors=pam_unix acct=\"ada\" exe=\"/usr/sbin/sshd\" hostname=192.0.2.7 addr=192.0.2.7 terminal=ssh res=success",
        ),
        (
            1112,
            "op=login acct=\"eve\" exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.66 terminal=ssh res=failed",
        ),
        (
            1123,
            "cwd=\"/\" cmd=6964202D75 exe=\"/usr/bin/sudo\" terminal=pts/0 res=success",
        ),
        (
            1106,
            "op=PAM:session_close acct=\"ada\" exe=\"/usr/sbin/sshd\" hostname=192.0.2.7 addr=192.0.2.7 terminal=ssh res=success",
        ),
    ];
    // SAFETY: a new descriptor is asked for.
    let socket = check(unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, 9) }.into())?;
    let socket = i32::try_from(socket).unwrap_or(-1);
    for (kind, text) in records {
        let mut message = Vec::new();
        let len = u32::try_from(16 + text.len() + 1).unwrap_or(0);
        message.extend(len.to_le_bytes());
        message.extend(kind.to_le_bytes());
        message.extend(5_u16.to_le_bytes());
        message.extend([0; 8]);
        message.extend(text.as_bytes());
        message.push(0);
        // SAFETY: the message is ours and as long as is said.
        let sent = unsafe { libc::send(socket, message.as_ptr().cast(), message.len(), 0) };
        check(i64::try_from(sent).unwrap_or(-1))?;
    }
    Ok(())
}

/// Places in the rings of io_uring, as the kernel tells them (`struct io_uring_params`).
fn word_at(bytes: &[u8], at: usize) -> usize {
    bytes
        .get(at..at + 4)
        .and_then(|word| word.try_into().ok())
        .map_or(0, |word| u32::from_le_bytes(word) as usize)
}

/// Connects by io_uring: no system call of that name is made.
fn uring_connect() -> io::Result<()> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    // SAFETY: a new descriptor is asked for.
    let socket = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) }.into())?;
    let mut address = vec![2, 0];
    address.extend(port.to_be_bytes());
    address.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut entry = [0_u8; 64];
    entry[0] = 16;
    entry[4..8].copy_from_slice(&i32::try_from(socket).unwrap_or(-1).to_le_bytes());
    entry[8..16].copy_from_slice(&16_u64.to_le_bytes());
    entry[16..24].copy_from_slice(&address.as_ptr().expose_provenance().to_le_bytes());
    submit(&entry)?;
    server.accept().map(drop)
}

/// Deletes a file by io_uring.
fn uring_unlink() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("saigen-uring-{}", std::process::id()));
    std::fs::write(&path, b"")?;
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    let mut entry = [0_u8; 64];
    entry[0] = 36;
    entry[4..8].copy_from_slice(&libc::AT_FDCWD.to_le_bytes());
    entry[16..24].copy_from_slice(&name.as_ptr().expose_provenance().to_le_bytes());
    submit(&entry)?;
    if path.exists() {
        return Err(io::Error::other("it is still there"));
    }
    Ok(())
}

/// Hands one entry to io_uring and waits until it is done.
fn submit(entry: &[u8; 64]) -> io::Result<()> {
    let mut parameters = [0_u8; 120];
    // SAFETY: the parameters are as long as the kernel wants them.
    let ring =
        check(unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) })?;
    let ring = i32::try_from(ring).unwrap_or(-1);
    let (tail_at, array_at) = (word_at(&parameters, 44), word_at(&parameters, 64));
    let map = |len: usize, offset: i64| {
        // SAFETY: a new mapping of the ring at a place of the kernel's choice.
        let place = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                ring,
                offset,
            )
        };
        if place == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(place.cast::<u8>())
    };
    let queue = map(array_at + 16, 0)?;
    let entries = map(4 * 64, 0x1000_0000)?;
    // SAFETY: entry, array and tail lie in the mappings; nobody else submits.
    unsafe {
        std::ptr::copy_nonoverlapping(entry.as_ptr(), entries, 64);
        queue.add(array_at).cast::<u32>().write_volatile(0);
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        queue.add(tail_at).cast::<u32>().write_volatile(1);
        check(libc::syscall(
            libc::SYS_io_uring_enter,
            ring,
            1,
            1,
            1,
            std::ptr::null::<u8>(),
            0,
        ))?;
    }
    Ok(())
}

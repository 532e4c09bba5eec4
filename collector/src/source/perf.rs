//! The spine: perf's side-band records and tracepoints, system-wide, in one ring a CPU.
//!
//! A dummy software event a CPU carries the side-band (forks, names, executable mappings,
//! namespaces, BPF programs); the tracepoints of the same CPU write into the same ring, so that one
//! CPU's records are in order. Per-task inherited events are never used: they make every fork of
//! the machine dearer.

#![expect(
    unsafe_code,
    reason = "perf_event_open, its ioctls, and the rings that it maps"
)]

use super::tracefs::{Tracefs, Tracepoint};
use super::{Batch, Drained, Feed, Source, SourceError};
use perf_event_open_sys::bindings as sys;
use perf_event_open_sys::{ioctls, perf_event_open};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

pub mod record;

/// Bytes of a ring at the least: below this a burst of starts on one CPU overflows it at once.
pub const RING_BYTES_MIN: u64 = 256 * 1024;

/// Bytes of a ring at the most; 8 MiB lost none of 814,000 records.
pub const RING_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Bytes of a ring of stacks at the most: 512 of the smaller copies.
const STACKS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// perf's number of the stack pointer among the user registers.
#[cfg(target_arch = "x86_64")]
const REGISTER_SP: u32 = 7;
/// perf's number of the stack pointer among the user registers.
#[cfg(target_arch = "aarch64")]
const REGISTER_SP: u32 = 31;

/// What the rings should carry.
#[derive(Debug, Clone, Copy)]
pub struct PerfOptions {
    /// Bytes that all rings together may take of the kernel's memory.
    pub budget_bytes: u64,
    /// What is copied of a new program's stack.
    pub stack: Stack,
}

/// What is copied of a new program's stack, which holds its arguments and its environment. The copies
/// have rings of their own: they are large, and must not push the side-band out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// Enough for arguments and environment: no better source of arguments is there.
    Arguments,
    /// Enough for an ordinary environment: audit gives the arguments.
    Environment,
    /// Nothing.
    Left,
}

impl Stack {
    /// Bytes that a sample copies from the stack pointer on; perf takes less than 64 KiB.
    fn bytes(self) -> Option<u32> {
        match self {
            Stack::Arguments => Some(16 * 1024),
            Stack::Environment => Some(8 * 1024),
            Stack::Left => None,
        }
    }
}

/// The clock of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Boot time: it counts while the machine sleeps.
    Boot,
    /// Monotonic time, where the kernel refuses the other.
    Monotonic,
}

/// The tracepoints that the rings carry. Each is absent where the kernel has none.
#[derive(Debug, Clone, Default)]
pub struct Tracepoints {
    /// `sched:sched_process_exec`: a program was started, its path.
    pub exec: Option<Tracepoint>,
    /// `sched:sched_process_exit`: a task ended.
    pub exit: Option<Tracepoint>,
    /// `sock:inet_sock_set_state`: a TCP socket changed its state, with addresses and ports.
    pub socket: Option<Tracepoint>,
}

/// All rings, and what was opened to fill them.
#[derive(Debug)]
pub struct Perf {
    /// One ring a CPU.
    pub rings: Vec<Ring>,
    /// One ring of stacks a CPU, where they are copied.
    pub stacks: Vec<Ring>,
    /// The clock of the records.
    pub clock: Clock,
    /// The tracepoints in the rings.
    pub tracepoints: Tracepoints,
    /// Bytes of each ring.
    pub ring_bytes: u64,
}

impl Perf {
    /// Opens the side-band and the tracepoints on every CPU that is online.
    ///
    /// # Errors
    /// The kernel refuses the side-band (privilege, memory). A missing tracepoint is no error.
    pub fn open(options: PerfOptions) -> Result<Perf, SourceError> {
        let tracepoints = Tracepoints::read();
        let cpus = online_cpus()?;
        let clock = accepted_clock(cpus.first().copied().unwrap_or(0), &tracepoints)?;
        let stacks = open_stacks(&options, &cpus, clock, &tracepoints)?;
        let for_stacks = stacks.iter().map(|ring| ring.map.data_bytes).sum();
        let budget_bytes = options.budget_bytes.saturating_sub(for_stacks);
        let mut ring_bytes = ring_bytes(budget_bytes, cpus.len());
        let mut rings = Vec::with_capacity(cpus.len());
        for cpu in cpus {
            rings.push(loop {
                match Ring::open(cpu, ring_bytes, clock, &tracepoints) {
                    // Locked memory is short: a smaller ring is better than none.
                    Err(error)
                        if error.error.raw_os_error() == Some(libc::EPERM)
                            && ring_bytes > RING_BYTES_MIN =>
                    {
                        ring_bytes /= 2;
                    }
                    other => break other?,
                }
            });
        }
        for ring in rings.iter().chain(&stacks) {
            ring.enable()?;
        }
        Ok(Perf {
            rings,
            stacks,
            clock,
            tracepoints,
            ring_bytes,
        })
    }
}

/// The rings of stacks. A quarter of the budget is theirs.
fn open_stacks(
    options: &PerfOptions,
    cpus: &[i32],
    clock: Clock,
    points: &Tracepoints,
) -> Result<Vec<Ring>, SourceError> {
    let (Some(_), Some(exec)) = (options.stack.bytes(), &points.exec) else {
        return Ok(Vec::new());
    };
    let bytes = ring_bytes(options.budget_bytes / 4, cpus.len()).min(STACKS_BYTES_MAX);
    cpus.iter()
        .map(|cpu| Ring::of_stacks(exec, *cpu, bytes, clock, options.stack))
        .collect()
}

impl Tracepoints {
    fn all(&self) -> impl Iterator<Item = &Tracepoint> {
        [&self.exec, &self.exit, &self.socket].into_iter().flatten()
    }

    fn read() -> Tracepoints {
        let Ok(tracefs) = Tracefs::open() else {
            return Tracepoints::default();
        };
        let read = |group, name| tracefs.tracepoint(group, name).ok();
        Tracepoints {
            exec: read("sched", "sched_process_exec"),
            exit: read("sched", "sched_process_exit"),
            socket: read("sock", "inet_sock_set_state"),
        }
    }
}

/// The largest power of two that gives every CPU a ring within the budget.
fn ring_bytes(budget_bytes: u64, cpus: usize) -> u64 {
    let share = budget_bytes / u64::try_from(cpus.max(1)).unwrap_or(u64::MAX);
    let power = if share.is_power_of_two() {
        share
    } else {
        share.next_power_of_two() / 2
    };
    power.clamp(RING_BYTES_MIN, RING_BYTES_MAX)
}

/// The CPUs that are online, from the kernel's list such as `0-3,8`.
fn online_cpus() -> Result<Vec<i32>, SourceError> {
    let list = fs::read_to_string("/sys/devices/system/cpu/online")
        .map_err(|error| SourceError::new("list the CPUs", error))?;
    parse_cpus(list.trim()).ok_or_else(|| {
        SourceError::new("list the CPUs", io::Error::from(io::ErrorKind::InvalidData))
    })
}

fn parse_cpus(list: &str) -> Option<Vec<i32>> {
    let mut cpus = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse::<i32>().ok()?..=last.parse::<i32>().ok()?);
    }
    Some(cpus)
}

/// Boot time if the kernel takes it for the side-band and every tracepoint, else monotonic time:
/// a ring has one clock, and tracepoints may fire where boot time cannot be read safely.
fn accepted_clock(cpu: i32, points: &Tracepoints) -> Result<Clock, SourceError> {
    let tracepoints = points
        .all()
        .map(|point| open_tracepoint(point, cpu, Clock::Boot, Stack::Left, None));
    let side_band = open_event(&mut side_band(Clock::Boot), cpu);
    for opened in std::iter::once(side_band).chain(tracepoints) {
        match opened {
            Ok(_) => {}
            Err(error) if error.error.raw_os_error() == Some(libc::EINVAL) => {
                return Ok(Clock::Monotonic);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Clock::Boot)
}

fn attributes(kind: u32, config: u64, clock: Clock) -> sys::perf_event_attr {
    let mut attributes = sys::perf_event_attr {
        type_: kind,
        size: u32::try_from(size_of::<sys::perf_event_attr>()).unwrap_or(0),
        config,
        sample_type: u64::from(
            sys::PERF_SAMPLE_TID
                | sys::PERF_SAMPLE_TIME
                | sys::PERF_SAMPLE_CPU
                | sys::PERF_SAMPLE_RAW,
        ),
        clockid: match clock {
            Clock::Boot => libc::CLOCK_BOOTTIME,
            Clock::Monotonic => libc::CLOCK_MONOTONIC,
        },
        ..sys::perf_event_attr::default()
    };
    attributes.__bindgen_anon_1.sample_period = 1;
    attributes.set_disabled(1);
    attributes.set_sample_id_all(1);
    attributes.set_use_clockid(1);
    attributes
}

fn side_band(clock: Clock) -> sys::perf_event_attr {
    let mut attributes = attributes(
        sys::PERF_TYPE_SOFTWARE,
        u64::from(sys::PERF_COUNT_SW_DUMMY),
        clock,
    );
    attributes.set_task(1);
    attributes.set_comm(1);
    attributes.set_comm_exec(1);
    attributes.set_mmap(1);
    attributes.set_mmap2(1);
    attributes.set_namespaces(1);
    attributes.set_bpf_event(1);
    attributes.set_ksymbol(1);
    attributes.set_watermark(1);
    attributes
}

fn open_event(attributes: &mut sys::perf_event_attr, cpu: i32) -> Result<OwnedFd, SourceError> {
    let flags = u64::from(sys::PERF_FLAG_FD_CLOEXEC);
    // SAFETY: the attributes are a whole structure whose `size` is its own; the call keeps nothing of it.
    let fd = unsafe { perf_event_open(attributes, -1, cpu, -1, flags) };
    if fd < 0 {
        return Err(SourceError::last("open a perf event"));
    }
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The ring of one CPU.
#[derive(Debug)]
pub struct Ring {
    feed: Feed,
    /// The event whose descriptor the ring belongs to: the dummy, or that of stacks.
    fd: OwnedFd,
    /// The tracepoints that write into the ring; they last as long as it.
    tracepoints: Vec<OwnedFd>,
    map: RingMap,
    /// Up to where records were taken; the kernel's `data_tail`.
    tail: u64,
}

impl Ring {
    fn open(cpu: i32, bytes: u64, clock: Clock, points: &Tracepoints) -> Result<Ring, SourceError> {
        let mut attributes = side_band(clock);
        attributes.__bindgen_anon_2.wakeup_watermark = watermark(bytes);
        let fd = open_event(&mut attributes, cpu)?;
        let map = RingMap::new(fd.as_fd(), bytes)?;
        let mut tracepoints = Vec::new();
        for point in points.all() {
            let event = open_tracepoint(point, cpu, clock, Stack::Left, None)?;
            // SAFETY: both descriptors are open perf events of the same CPU and clock, as the call demands.
            if unsafe { ioctls::SET_OUTPUT(event.as_raw_fd(), fd.as_raw_fd()) } < 0 {
                return Err(SourceError::last("put a tracepoint into the ring"));
            }
            tracepoints.push(event);
        }
        Ok(Ring {
            feed: Feed::Perf,
            fd,
            tracepoints,
            map,
            tail: 0,
        })
    }

    /// A ring that holds nothing but starts with the stacks of their programs.
    fn of_stacks(
        exec: &Tracepoint,
        cpu: i32,
        bytes: u64,
        clock: Clock,
        stack: Stack,
    ) -> Result<Ring, SourceError> {
        let fd = open_tracepoint(exec, cpu, clock, stack, Some(watermark(bytes)))?;
        let map = RingMap::new(fd.as_fd(), bytes)?;
        Ok(Ring {
            feed: Feed::Stacks,
            fd,
            tracepoints: Vec::new(),
            map,
            tail: 0,
        })
    }

    fn enable(&self) -> Result<(), SourceError> {
        for event in std::iter::once(&self.fd).chain(&self.tracepoints) {
            // SAFETY: the descriptor is an open perf event; the call takes no pointer.
            if unsafe { ioctls::ENABLE(event.as_raw_fd(), 0) } < 0 {
                return Err(SourceError::last("enable a perf event"));
            }
        }
        Ok(())
    }

    /// Moves whole records into the batch until it is full or `head` is reached.
    fn take(&mut self, batch: &mut Batch) -> Drained {
        let head = self.map.head();
        let mut drained = Drained::Empty;
        while self.tail < head {
            let mut header = [0; record::HEADER_BYTES];
            self.map.copy(self.tail, &mut header);
            let size = super::native::u16_at(&header, 6).map_or(0, usize::from);
            if size < record::HEADER_BYTES {
                // The kernel never writes such a record; skip what cannot be cut.
                batch.overruns = batch.overruns.saturating_add(1);
                self.tail = head;
                break;
            }
            if size > batch.room() {
                drained = Drained::More;
                break;
            }
            self.map.append(self.tail, size, &mut batch.bytes);
            self.tail = self.tail.wrapping_add(u64::try_from(size).unwrap_or(0));
        }
        self.map.set_tail(self.tail);
        drained
    }
}

fn open_tracepoint(
    point: &Tracepoint,
    cpu: i32,
    clock: Clock,
    stack: Stack,
    watermark: Option<u32>,
) -> Result<OwnedFd, SourceError> {
    let mut attributes = attributes(sys::PERF_TYPE_TRACEPOINT, u64::from(point.id), clock);
    if let Some(watermark) = watermark {
        attributes.set_watermark(1);
        attributes.__bindgen_anon_2.wakeup_watermark = watermark;
    }
    if let Some(bytes) = stack.bytes() {
        attributes.sample_type |=
            u64::from(sys::PERF_SAMPLE_REGS_USER | sys::PERF_SAMPLE_STACK_USER);
        attributes.sample_regs_user = 1 << REGISTER_SP;
        attributes.sample_stack_user = bytes;
    }
    open_event(&mut attributes, cpu)
}

/// How full a ring is when it wakes us up.
fn watermark(ring_bytes: u64) -> u32 {
    u32::try_from(ring_bytes / 8).unwrap_or(u32::MAX)
}

impl Source for Ring {
    fn feed(&self) -> Feed {
        self.feed
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn drain(&mut self, batch: &mut Batch) -> Result<Drained, SourceError> {
        Ok(self.take(batch))
    }
}

/// The mapped pages of a ring: one of control, then a power of two of data.
#[derive(Debug)]
struct RingMap {
    control: *mut sys::perf_event_mmap_page,
    data: *const u8,
    data_bytes: u64,
    map_bytes: usize,
}

// SAFETY: the pages are shared with the kernel alone; the map is owned by one `Ring`, and every
// access goes through it.
unsafe impl Send for RingMap {}

impl RingMap {
    fn new(fd: BorrowedFd<'_>, data_bytes: u64) -> Result<RingMap, SourceError> {
        let page = rustix::param::page_size();
        let data_len = usize::try_from(data_bytes).map_err(|_| {
            SourceError::new(
                "map a perf ring",
                io::Error::from(io::ErrorKind::InvalidInput),
            )
        })?;
        let map_bytes = page + data_len;
        // SAFETY: a new shared mapping at a place of the kernel's choice; it is unmapped in `drop`.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                map_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(SourceError::last("map a perf ring"));
        }
        let control = base.cast::<sys::perf_event_mmap_page>();
        // SAFETY: the mapping is `page + data_len` long, so that the data begin inside it.
        let data = unsafe { base.cast::<u8>().add(page).cast_const() };
        Ok(RingMap {
            control,
            data,
            data_bytes,
            map_bytes,
        })
    }

    /// Up to where the kernel has written whole records.
    fn head(&self) -> u64 {
        // SAFETY: `control` is the mapped control page; the field is aligned to 8 bytes and is only
        // ever accessed as an atomic. Acquire pairs with the kernel's release after a record.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.control).data_head) }.load(Ordering::Acquire)
    }

    /// Tells the kernel up to where it may write again.
    fn set_tail(&self, tail: u64) {
        // SAFETY: as in `head`. Release keeps our reads of the records before it.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.control).data_tail) }
            .store(tail, Ordering::Release);
    }

    /// Copies the bytes at `position` into `place`.
    fn copy(&self, position: u64, place: &mut [u8]) {
        let [first, second] = self.parts(position, place.len());
        let (front, back) = place.split_at_mut(first.len());
        front.copy_from_slice(first);
        back.copy_from_slice(second);
    }

    /// Appends `len` bytes at `position` to `bytes`.
    fn append(&self, position: u64, len: usize, bytes: &mut Vec<u8>) {
        for part in self.parts(position, len) {
            bytes.extend_from_slice(part);
        }
    }

    /// The bytes at `position`, which the kernel has written and will not touch before `set_tail`, in
    /// two parts: a record may wrap around the ring's end.
    fn parts(&self, position: u64, len: usize) -> [&[u8]; 2] {
        let at = position % self.data_bytes;
        let first = usize::try_from(self.data_bytes - at)
            .unwrap_or(usize::MAX)
            .min(len);
        let at = usize::try_from(at).unwrap_or(0);
        // SAFETY: `at + first` and `len - first` are within the ring: a record has at most 64 KiB and a
        // ring at least `RING_BYTES_MIN`. The kernel leaves the bytes alone until `set_tail`, which
        // no one calls while they are borrowed.
        unsafe {
            [
                std::slice::from_raw_parts(self.data.add(at), first),
                std::slice::from_raw_parts(self.data, len - first),
            ]
        }
    }
}

impl Drop for RingMap {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new` with this address and length and is not used after.
        unsafe { libc::munmap(self.control.cast(), self.map_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_share_the_budget_in_powers_of_two() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(ring_bytes(64 * MIB, 2), 8 * MIB);
        assert_eq!(ring_bytes(64 * MIB, 8), 8 * MIB);
        assert_eq!(ring_bytes(64 * MIB, 12), 4 * MIB);
        assert_eq!(ring_bytes(64 * MIB, 64), MIB);
        assert_eq!(ring_bytes(0, 1), RING_BYTES_MIN);
    }

    #[test]
    fn the_list_of_cpus_is_read() {
        assert_eq!(parse_cpus("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse_cpus("0"), Some(vec![0]));
        assert_eq!(parse_cpus("zero"), None);
    }
}

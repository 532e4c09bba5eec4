//! Audit's records put together into events, by their serial.
//!
//! One event is several records (SYSCALL, EXECVE and its continuations, CWD, PATH, SOCKADDR,
//! OBJ_PID, …) that an EOE record ends; those of events on several CPUs come mixed. Records that
//! stand alone have no EOE: they are given out when they have waited.

use super::fields::{self, Given, Pair, Stamp, append_hex, pairs};
use super::rules::{Abi, Call};
use crate::source::netlink;

/// Events under construction at the most. Beyond, the oldest is given out as it is.
const OPEN_MAX: usize = 256;

/// How long an event without EOE is waited for, microseconds.
const OPEN_US_MAX: u64 = 200_000;

/// Arguments kept of one start. Linux passes at most 6 MiB; what is beyond this is counted.
pub const ARGS_BYTES_MAX: usize = 128 * 1024;

/// Paths kept of one event. The kernel gives two for a start, five for a rename.
const PATHS_MAX: usize = 16;

/// Record types, from `linux/audit.h`.
mod kind {
    pub const LOGIN: u16 = 1006;
    pub const FIRST_USER: u16 = 1100;
    pub const LAST_USER: u16 = 1199;
    pub const SYSCALL: u16 = 1300;
    pub const PATH: u16 = 1302;
    pub const CONFIG_CHANGE: u16 = 1305;
    pub const SOCKADDR: u16 = 1306;
    pub const CWD: u16 = 1307;
    pub const EXECVE: u16 = 1309;
    pub const OBJ_PID: u16 = 1318;
    pub const EOE: u16 = 1320;
    pub const CAPSET: u16 = 1322;
    pub const KERN_MODULE: u16 = 1330;
    pub const BPF: u16 = 1334;
    pub const URINGOP: u16 = 1336;
    pub const FIRST_USER_2: u16 = 2100;
    pub const LAST_USER_2: u16 = 2999;
    pub const STATUS: u16 = 1000;
}

/// One audit event, all its records together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditEvent {
    /// Number of the event since boot.
    pub serial: u64,
    /// When the call was entered, UTC milliseconds, by the tick.
    pub wall_ms: i64,
    /// When its first record was drained, boot clock, microseconds.
    pub drained_us: u64,
    /// What the event is about.
    pub what: What,
    /// Who did it; of a program's own record what it says of itself.
    pub subject: Subject,
    /// The call, where there was one.
    pub syscall: Option<Syscall>,
    /// Arguments of a start, each ended by NUL.
    pub args: Vec<u8>,
    /// Whether all arguments are in `args`.
    pub args_state: ArgsState,
    /// The working directory.
    pub cwd: Vec<u8>,
    /// The paths of the call, in the kernel's order.
    pub paths: Vec<PathItem>,
    /// The raw socket address.
    pub address: Vec<u8>,
    /// The process that was reached into.
    pub target: Option<u32>,
    /// Name of a kernel module.
    pub module: Vec<u8>,
    /// The kernel's number of a BPF program.
    pub bpf_id: Option<u32>,
    /// Effective and permitted capabilities that a call set.
    pub capabilities: Option<(u64, u64)>,
    /// A program's own record, or one of audit itself: its type and text.
    pub note: Option<(u16, Vec<u8>)>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum What {
    /// Nothing that we know yet.
    #[default]
    Unknown,
    /// A call by its syscall.
    Call(Call),
    /// An operation of io_uring, by its number.
    Uring(u32),
    /// A login was given its id.
    Login,
    /// A program's own record (`USER_LOGIN`, `USER_AUTH`, …) or audit's configuration.
    Note,
}

/// Who did it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is audit's field of its name")]
pub struct Subject {
    pub pid: Option<u32>,
    pub ppid: Option<u32>,
    pub auid: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub euid: Option<u32>,
    pub egid: Option<u32>,
    pub session: Option<u32>,
    pub tty: Vec<u8>,
    pub comm: Vec<u8>,
    pub exe: Vec<u8>,
}

/// The call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syscall {
    /// Its face; `None` for one that we do not know.
    pub abi: Option<Abi>,
    /// What it returned, a negative error number if it failed.
    pub exit: i64,
    /// Its first four arguments.
    pub arguments: [u64; 4],
}

/// Whether all arguments of a start are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArgsState {
    /// No EXECVE record came.
    #[default]
    Absent,
    /// All that `argc` says.
    Whole,
    /// Some are missing: a record was lost, or they were more than [`ARGS_BYTES_MAX`].
    Cut {
        /// Arguments that the start had.
        argc: u64,
    },
}

/// One path of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathItem {
    /// As the program gave it: it may be relative to `cwd`.
    pub name: Vec<u8>,
    /// Inode.
    pub inode: Option<u64>,
    /// Device, as `makedev(3)` packs it.
    pub dev: Option<u64>,
    /// Type and permissions.
    pub mode: Option<u32>,
    /// `NORMAL`, `PARENT`, `CREATE`, `DELETE`, first letter.
    pub role: u8,
}

/// Puts records together.
#[derive(Debug, Default)]
pub struct Assembler {
    open: Vec<Building>,
    spare: Vec<AuditEvent>,
    last_serial: Option<u64>,
    /// Serials that were never seen between those that were.
    pub missing_serials: u64,
    /// Records that could not be read.
    pub unread: u64,
    /// The kernel's count of lost messages, when it was last told.
    pub kernel_lost: Option<u32>,
    /// What audit was set to, when it was last told.
    pub status: Option<super::Status>,
    /// How many rules of ours stood, when they were last listed.
    pub rules: Option<usize>,
    /// Rules of ours in the list that is being read.
    listing: usize,
}

#[derive(Debug, Default)]
struct Building {
    event: AuditEvent,
    argument: Argument,
}

/// How far the EXECVE records have been read.
#[derive(Debug, Default)]
struct Argument {
    argc: Option<u64>,
    /// Arguments that are whole in `args`.
    finished: u64,
    /// Whether the next one has begun.
    begun: bool,
    /// Whether something is missing.
    cut: bool,
}

impl Assembler {
    /// Reads one datagram. Gives an event if this record ended it.
    pub fn push(&mut self, datagram: &[u8], drained_us: u64) -> Option<AuditEvent> {
        let (kind, payload) = netlink::message(datagram)?;
        if kind == kind::STATUS {
            self.status = super::Status::parse(payload).or(self.status);
            self.kernel_lost = self.status.map(|status| status.lost);
            return None;
        }
        if kind == super::LIST_RULES {
            self.listing += usize::from(super::rules::our_key(payload).is_some());
            return None;
        }
        if kind == netlink::DONE {
            self.rules = Some(std::mem::take(&mut self.listing));
            return None;
        }
        if kind < kind::LOGIN {
            return None;
        }
        let Some((stamp, text)) = fields::split(payload) else {
            self.unread += 1;
            return None;
        };
        let at = self.building(stamp, drained_us);
        if kind == kind::EOE {
            let building = self.open.swap_remove(at);
            return Some(self.finish(building));
        }
        if let Some(building) = self.open.get_mut(at) {
            building.read(kind, text);
        }
        if self.open.len() > OPEN_MAX {
            return self.give_oldest();
        }
        None
    }

    /// Gives an event that has waited long enough without its end. Call until `None`.
    pub fn overdue(&mut self, now_us: u64) -> Option<AuditEvent> {
        let at = self
            .open
            .iter()
            .position(|building| building.event.drained_us.saturating_add(OPEN_US_MAX) <= now_us)?;
        let building = self.open.swap_remove(at);
        Some(self.finish(building))
    }

    /// Gives what is under construction, at the end. Call until `None`.
    pub fn rest(&mut self) -> Option<AuditEvent> {
        self.give_oldest()
    }

    /// Takes an event's memory back for the next one.
    pub fn recycle(&mut self, mut event: AuditEvent) {
        if self.spare.len() < OPEN_MAX && event.args.capacity() <= ARGS_BYTES_MAX / 8 {
            event.clear();
            self.spare.push(event);
        }
    }

    fn give_oldest(&mut self) -> Option<AuditEvent> {
        let at = (0..self.open.len())
            .min_by_key(|at| self.open.get(*at).map(|building| building.event.serial))?;
        let building = self.open.swap_remove(at);
        Some(self.finish(building))
    }

    fn building(&mut self, stamp: Stamp, drained_us: u64) -> usize {
        if let Some(at) = self
            .open
            .iter()
            .rposition(|building| building.event.serial == stamp.serial)
        {
            return at;
        }
        // Serials are given out on all CPUs at once and may pass each other by a few: a gap is
        // counted when it opens and taken back when the late one comes.
        match self.last_serial {
            Some(last) if stamp.serial > last => {
                self.missing_serials += stamp.serial - last - 1;
                self.last_serial = Some(stamp.serial);
            }
            Some(_) => self.missing_serials = self.missing_serials.saturating_sub(1),
            None => self.last_serial = Some(stamp.serial),
        }
        let mut event = self.spare.pop().unwrap_or_default();
        event.serial = stamp.serial;
        event.wall_ms = stamp.wall_ms;
        event.drained_us = drained_us;
        self.open.push(Building {
            event,
            argument: Argument::default(),
        });
        self.open.len() - 1
    }

    fn finish(&mut self, building: Building) -> AuditEvent {
        let Building {
            mut event,
            mut argument,
        } = building;
        if let Some(argc) = argument.argc {
            argument.end_begun(&mut event.args);
            let whole = argument.finished == argc && !argument.cut;
            event.args_state = if whole {
                ArgsState::Whole
            } else {
                ArgsState::Cut { argc }
            };
        }
        event
    }
}

impl AuditEvent {
    fn clear(&mut self) {
        let mut empty = AuditEvent::default();
        for (kept, taken) in [
            (&mut empty.args, &mut self.args),
            (&mut empty.cwd, &mut self.cwd),
            (&mut empty.address, &mut self.address),
            (&mut empty.module, &mut self.module),
            (&mut empty.subject.tty, &mut self.subject.tty),
            (&mut empty.subject.comm, &mut self.subject.comm),
            (&mut empty.subject.exe, &mut self.subject.exe),
        ] {
            *kept = std::mem::take(taken);
            kept.clear();
        }
        empty.paths = std::mem::take(&mut self.paths);
        empty.paths.clear();
        *self = empty;
    }

    /// Whether the call did what it was asked; an operation under way counts as done.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.syscall.is_none_or(|syscall| syscall.exit >= 0)
    }
}

impl Building {
    fn read(&mut self, kind: u16, text: &[u8]) {
        let event = &mut self.event;
        match kind {
            kind::SYSCALL => read_syscall(event, text),
            kind::URINGOP => read_uring(event, text),
            kind::EXECVE => self.argument.read(&mut event.args, text),
            kind::PATH => read_path(event, text),
            kind::CWD => read_texts(text, &mut [(&b"cwd"[..], &mut event.cwd)]),
            kind::SOCKADDR => {
                for pair in pairs(text).filter(|pair| pair.name == b"saddr") {
                    event.address.clear();
                    if append_hex(pair.value, &mut event.address).is_none() {
                        event.address.clear();
                    }
                }
            }
            kind::OBJ_PID => {
                event.target = pairs(text)
                    .find(|pair| pair.name == b"opid")
                    .and_then(|pair| pair.word());
            }
            kind::KERN_MODULE => read_texts(text, &mut [(&b"name"[..], &mut event.module)]),
            kind::BPF => {
                event.bpf_id = pairs(text)
                    .find(|pair| pair.name == b"prog-id")
                    .and_then(|pair| pair.word());
            }
            kind::CAPSET => {
                let find = |name: &[u8]| {
                    pairs(text)
                        .find(|pair| pair.name == name)
                        .and_then(|pair| pair.hex())
                };
                event.capabilities = find(b"cap_pe").zip(find(b"cap_pp"));
            }
            kind::LOGIN => {
                event.what = What::Login;
                event.subject.read(text);
                event.note = Some((kind, text.to_vec()));
            }
            kind::CONFIG_CHANGE
            | kind::FIRST_USER..=kind::LAST_USER
            | kind::FIRST_USER_2..=kind::LAST_USER_2 => {
                if event.what == What::Unknown {
                    event.what = What::Note;
                    event.subject.read(text);
                }
                event.note = Some((kind, text.to_vec()));
            }
            _ => {}
        }
    }
}

fn read_syscall(event: &mut AuditEvent, text: &[u8]) {
    let (mut abi, mut number, mut exit, mut arguments) = (None, None, 0, [0; 4]);
    for pair in pairs(text) {
        match pair.name {
            b"arch" => {
                abi = pair
                    .hex()
                    .and_then(|arch| u32::try_from(arch).ok())
                    .and_then(Abi::of_arch)
            }
            b"syscall" => number = pair.word(),
            b"exit" => exit = pair.decimal().unwrap_or(0),
            b"a0" => arguments[0] = pair.hex().unwrap_or(0),
            b"a1" => arguments[1] = pair.hex().unwrap_or(0),
            b"a2" => arguments[2] = pair.hex().unwrap_or(0),
            b"a3" => arguments[3] = pair.hex().unwrap_or(0),
            _ => event.subject.take(&pair),
        }
    }
    if let Some(call) = abi
        .zip(number)
        .and_then(|(abi, number)| Call::of(abi, number))
    {
        event.what = What::Call(call);
    }
    event.syscall = Some(Syscall {
        abi,
        exit,
        arguments,
    });
}

fn read_uring(event: &mut AuditEvent, text: &[u8]) {
    let mut exit = 0;
    for pair in pairs(text) {
        match pair.name {
            b"uring_op" => event.what = pair.word().map_or(What::Unknown, What::Uring),
            b"exit" => exit = pair.decimal().unwrap_or(0),
            _ => event.subject.take(&pair),
        }
    }
    event.syscall = Some(Syscall {
        abi: None,
        exit,
        arguments: [0; 4],
    });
}

fn read_path(event: &mut AuditEvent, text: &[u8]) {
    if event.paths.len() >= PATHS_MAX {
        return;
    }
    let mut item = PathItem::default();
    for pair in pairs(text) {
        match pair.name {
            b"name" => {
                pair.append_text(&mut item.name);
            }
            b"inode" => item.inode = pair.decimal().and_then(|inode| u64::try_from(inode).ok()),
            b"dev" => item.dev = device(pair.value),
            b"mode" => item.mode = pair.octal(),
            b"nametype" => item.role = pair.value.first().copied().unwrap_or(0),
            _ => {}
        }
    }
    event.paths.push(item);
}

/// `fe:00`: major and minor number in hexadecimal.
fn device(value: &[u8]) -> Option<u64> {
    let (major, minor) = std::str::from_utf8(value).ok()?.split_once(':')?;
    Some(rustix::fs::makedev(
        u32::from_str_radix(major, 16).ok()?,
        u32::from_str_radix(minor, 16).ok()?,
    ))
}

fn read_texts(text: &[u8], wanted: &mut [(&[u8], &mut Vec<u8>)]) {
    for pair in pairs(text) {
        if let Some((_, place)) = wanted.iter_mut().find(|(name, _)| *name == pair.name) {
            place.clear();
            pair.append_text(place);
        }
    }
}

impl Subject {
    fn read(&mut self, text: &[u8]) {
        for pair in pairs(text) {
            self.take(&pair);
        }
    }

    fn take(&mut self, pair: &Pair<'_>) {
        let text = |place: &mut Vec<u8>| {
            place.clear();
            if pair.append_text(place) == Given::Nothing {
                place.clear();
            }
        };
        match pair.name {
            b"pid" => self.pid = pair.word(),
            b"ppid" => self.ppid = pair.word(),
            b"auid" => self.auid = pair.word(),
            b"uid" => self.uid = pair.word(),
            b"gid" => self.gid = pair.word(),
            b"euid" => self.euid = pair.word(),
            b"egid" => self.egid = pair.word(),
            b"ses" => self.session = pair.word(),
            // A terminal's name stands bare: `pts0` must not be taken for digits.
            b"tty" => {
                self.tty.clear();
                if pair.value != b"(none)" {
                    self.tty.extend_from_slice(pair.value);
                }
            }
            b"comm" => text(&mut self.comm),
            b"exe" => text(&mut self.exe),
            _ => {}
        }
    }
}

impl Argument {
    /// Reads `argc=3 a0="sh" a1=2D63 a2_len=9000 a2[0]=… ` and the records that go on `a2[1]=…`.
    fn read(&mut self, args: &mut Vec<u8>, text: &[u8]) {
        for pair in pairs(text) {
            if pair.name == b"argc" {
                self.argc = pair.decimal().and_then(|argc| u64::try_from(argc).ok());
                continue;
            }
            let Some((number, part)) = argument_name(pair.name) else {
                continue;
            };
            if part == Part::Length {
                continue;
            }
            while self.finished < number && !self.cut {
                if !self.begun {
                    // One is missing in between: what follows is still shown, in its order.
                    self.cut = true;
                    self.finished = number;
                    break;
                }
                self.end_begun(args);
            }
            if args.len() >= ARGS_BYTES_MAX {
                self.cut = true;
                continue;
            }
            self.begun = true;
            pair.append_text(args);
            args.truncate(ARGS_BYTES_MAX);
            if part == Part::Whole {
                self.end_begun(args);
            }
        }
    }

    fn end_begun(&mut self, args: &mut Vec<u8>) {
        if self.begun {
            args.push(0);
            self.finished += 1;
            self.begun = false;
        }
    }
}

/// Which part of an argument a pair holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Piece,
    Length,
}

/// `a3`, `a3[12]`, `a3_len`.
fn argument_name(name: &[u8]) -> Option<(u64, Part)> {
    let rest = name.strip_prefix(b"a")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = rest.split_at_checked(digits)?;
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    match rest.first() {
        None => Some((number, Part::Whole)),
        Some(b'[') => Some((number, Part::Piece)),
        Some(b'_') => Some((number, Part::Length)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;

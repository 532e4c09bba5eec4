//! Audit: arguments, identities and privileged calls, as the kernel copied them.
//!
//! Where nobody reads audit we own its unicast socket: we set it up, add our rules, and put all of
//! it back at the end. Where somebody does, or where audit is locked, we only listen beside them
//! and add nothing: our rules would fill *their* log, and some are set to halt the machine when
//! that is full.

use super::netlink::{self, Netlink};
use super::{Batch, Drained, Feed, Source, SourceError};
use rustix::io::Errno;
use rustix::net::netlink::AUDIT;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

pub mod assemble;
pub mod fields;
mod owner;
pub mod rules;
mod status;

use owner::Recorder;
pub use owner::holds_audit;
pub use status::Status;
use status::{Memory, Titles};

/// Messages that may wait in the kernel before it drops some. 20,000 starts in a row lost none.
const BACKLOG_LIMIT: u32 = 8192;

/// Bytes of the socket's buffer: READLOG's multicast drops what does not fit there.
const RECEIVE_BYTES: usize = 16 * 1024 * 1024;

/// How long an answer of the kernel is waited for. It comes within the call that asked.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// How often the kernel's count of lost messages is asked for.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether our rules still stand.
const RULES_EVERY: Duration = Duration::from_secs(5);

const GET: u16 = 1000;
const SET: u16 = 1001;
const ADD_RULE: u16 = 1011;
const DEL_RULE: u16 = 1012;
const LIST_RULES: u16 = 1013;

const SET_ENABLED: u32 = 0x01;
const SET_FAILURE: u32 = 0x02;
const SET_PID: u32 = 0x04;
const SET_BACKLOG_LIMIT: u32 = 0x10;
const SET_BACKLOG_WAIT: u32 = 0x20;

/// `AUDIT_FAIL_PANIC`: the machine halts when a record is lost. It is never left on while we own audit.
const FAIL_PANIC: u32 = 2;
const FAIL_PRINTK: u32 = 1;

/// `enabled` when the configuration may not change before the next boot (`auditctl -e 2`).
const LOCKED: u32 = 2;

/// The group of those who read along: `AUDIT_NLGRP_READLOG`, as a mask.
const READLOG: u32 = 1;

/// What is known of audit by its latest answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditNow {
    /// What audit is set to.
    pub status: Option<Status>,
    /// How many rules of ours stand.
    pub rules: Option<usize>,
}

/// How we take part in audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The unicast socket and the rules are ours.
    Owner,
    /// We read beside the owner, and rules of ours stand beside its own, as was asked for.
    Sharer,
    /// We read beside the owner, or beside a locked configuration; no rule is ours.
    Listener,
}

/// Whether rules of ours may stand beside another audit daemon's: they fill its log too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Share {
    /// They may, as was asked for.
    Yes,
    /// They may not.
    #[default]
    No,
}

/// Why audit cannot be had.
#[derive(Debug)]
pub enum AuditError {
    /// The kernel has no audit, or this process stands where it does not reach.
    Absent(SourceError),
    /// The capabilities `CAP_AUDIT_CONTROL` or `CAP_AUDIT_READ` are missing.
    Forbidden,
    /// A request failed.
    Failed(SourceError),
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditError::Absent(error) => write!(f, "audit is not available: {error}"),
            AuditError::Forbidden => {
                f.write_str("audit needs the capabilities audit_control and audit_read")
            }
            AuditError::Failed(error) => write!(f, "audit: {error}"),
        }
    }
}

impl std::error::Error for AuditError {}

impl From<SourceError> for AuditError {
    fn from(error: SourceError) -> Self {
        match error.error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::PERM | Errno::ACCESS) => AuditError::Forbidden,
            Some(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::CONNREFUSED) => {
                AuditError::Absent(error)
            }
            Some(_) | None => AuditError::Failed(error),
        }
    }
}

/// An open place in audit.
#[derive(Debug)]
pub struct Audit {
    socket: Netlink,
    /// How we take part.
    pub role: Role,
    /// What audit was set to before us, and is set to again at the end.
    pub before: Status,
    /// Our rules as the kernel took them.
    rules: Vec<Vec<u8>>,
    /// Whether the rule that leaves out titles is ours too.
    titles: Titles,
    /// Rules that this kernel refused.
    pub refused: usize,
    /// Rules that an earlier recorder of ours left, and that were removed.
    pub left: usize,
    /// When the status was last asked for, and when our rules were.
    asked: Instant,
    listed: Instant,
}

impl Audit {
    /// What audit is set to now. Nothing is changed.
    ///
    /// # Errors
    /// Audit is absent, or may not be asked.
    pub fn status() -> Result<Status, AuditError> {
        ask_status(&Netlink::open(AUDIT, 0, RECEIVE_BYTES)?)
    }

    /// Takes the best place that is free: owner, else listener.
    ///
    /// # Errors
    /// Neither can be had. What was changed on the way is put back.
    pub fn open(share: Share) -> Result<Audit, AuditError> {
        let socket = Netlink::open(AUDIT, 0, RECEIVE_BYTES)?;
        let now = ask_status(&socket)?;
        if now.enabled == LOCKED {
            return Audit::beside(now, Leftovers::default(), Share::No);
        }
        // Rules under our key are ours to remove, whoever owns audit by now.
        let left = remove_leftovers(&socket)?;
        // The kernel forgets an owner that died only when it fails to send to it.
        let is_owned = now.pid != 0 && now.pid != std::process::id() && holds_audit(now.pid);
        if is_owned || claim(&socket)? == Claim::Another {
            drop(socket);
            return Audit::beside(now, left, share);
        }
        let before = left.before.map_or(now, |before| Status {
            lost: now.lost,
            ..before
        });
        let mut audit = Audit::at(socket, before);
        audit.left = left.rules;
        audit.role = Role::Owner;
        if let Err(error) = audit.set_up() {
            audit.put_back();
            return Err(error);
        }
        Ok(audit)
    }

    /// A place beside the owner, or beside a configuration that is locked.
    fn beside(now: Status, left: Leftovers, share: Share) -> Result<Audit, AuditError> {
        let mut audit = Audit::at(Netlink::open(AUDIT, READLOG, RECEIVE_BYTES)?, now);
        audit.left = left.rules;
        if share == Share::Yes {
            audit.role = Role::Sharer;
            if let Err(error) = audit.add_rules() {
                audit.put_back();
                return Err(error);
            }
        }
        Ok(audit)
    }

    fn at(socket: Netlink, before: Status) -> Audit {
        Audit {
            socket,
            role: Role::Listener,
            before,
            rules: Vec::new(),
            titles: Titles::AsBefore,
            refused: 0,
            left: 0,
            asked: Instant::now(),
            listed: Instant::now(),
        }
    }

    /// Sets audit up for us, who own it.
    fn set_up(&mut self) -> Result<(), AuditError> {
        let failure = if self.before.failure == FAIL_PANIC {
            FAIL_PRINTK
        } else {
            self.before.failure
        };
        set(
            &self.socket,
            SET_FAILURE,
            &Status {
                failure,
                ..Status::default()
            },
        )?;
        let limit = self.before.backlog_limit.max(BACKLOG_LIMIT);
        set(
            &self.socket,
            SET_BACKLOG_LIMIT,
            &Status {
                backlog_limit: limit,
                ..Status::default()
            },
        )?;
        set(&self.socket, SET_BACKLOG_WAIT, &Status::default())?;
        set(
            &self.socket,
            SET_ENABLED,
            &Status {
                enabled: 1,
                ..Status::default()
            },
        )?;
        // Where somebody else's rule does so already, or an old kernel cannot, it is left as it is.
        let titles = rules::without_titles().encode();
        if ask(&self.socket, ADD_RULE, &titles, |_, _| {}).is_ok() {
            self.titles = Titles::LeftOut;
        }
        self.add_rules()
    }

    fn add_rules(&mut self) -> Result<(), AuditError> {
        for rule in rules::all(&Memory::of(self.before, self.titles).encode()) {
            let bytes = rule.encode();
            match ask(&self.socket, ADD_RULE, &bytes, |_, _| {}) {
                Ok(()) => self.rules.push(bytes),
                // An older kernel lacks a filter or a field; what it takes is still recorded.
                Err(_) => self.refused += 1,
            }
        }
        if self.rules.is_empty() {
            return Err(AuditError::Failed(SourceError::new(
                "add a rule to audit",
                io::Error::from(io::ErrorKind::Unsupported),
            )));
        }
        Ok(())
    }

    /// Removes our rules and sets audit to what it was. Each step is tried whatever became of the
    /// others. Records that still wait are lost with the socket: drain before.
    pub fn put_back(&mut self) {
        if self.role == Role::Listener {
            return;
        }
        for rule in std::mem::take(&mut self.rules) {
            let _ = ask(&self.socket, DEL_RULE, &rule, |_, _| {});
        }
        if std::mem::take(&mut self.titles) == Titles::LeftOut {
            let _ = remove_titles_rule(&self.socket);
        }
        if self.role == Role::Sharer {
            // The rest was never ours.
            self.role = Role::Listener;
            return;
        }
        let before = self.before;
        for mask in [
            SET_ENABLED,
            SET_FAILURE,
            SET_BACKLOG_LIMIT,
            SET_BACKLOG_WAIT,
        ] {
            let _ = set(&self.socket, mask, &before);
        }
        let _ = set(&self.socket, SET_PID, &Status::default());
        self.role = Role::Listener;
    }

    /// How many of our rules stand.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.put_back();
    }
}

impl Source for Audit {
    fn feed(&self) -> Feed {
        Feed::Audit
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.fd()
    }

    /// Now and then the status is asked for, and our rules: the answers come among the records.
    fn drain(&mut self, batch: &mut Batch) -> Result<Drained, SourceError> {
        if self.asked.elapsed() >= STATUS_EVERY {
            self.asked = Instant::now();
            self.socket.send(GET, netlink::REQUEST, 0, &[])?;
        }
        if !self.rules.is_empty() && self.listed.elapsed() >= RULES_EVERY {
            self.listed = Instant::now();
            self.socket.send(LIST_RULES, netlink::REQUEST, 0, &[])?;
        }
        self.socket.drain(batch)
    }
}

/// What a recorder of ours left that did not end by itself.
#[derive(Debug, Clone, Copy, Default)]
struct Leftovers {
    /// Rules that were removed.
    rules: usize,
    /// What audit was set to before them.
    before: Option<Status>,
}

/// Removes rules of ours that a crash left. Those of a recorder that still lives are left alone.
fn remove_leftovers(socket: &Netlink) -> Result<Leftovers, AuditError> {
    let mut left = Vec::new();
    ask(socket, LIST_RULES, &[], |kind, payload| {
        if kind == LIST_RULES && rules::our_key(payload).is_some() {
            left.push(payload.to_vec());
        }
    })?;
    let memories: Vec<Memory> = left
        .iter()
        .filter_map(|rule| Memory::parse(rules::our_key(rule)?))
        .collect();
    if memories
        .iter()
        .filter_map(|memory| memory.recorder)
        .any(Recorder::lives)
    {
        return Ok(Leftovers::default());
    }
    for rule in &left {
        ask(socket, DEL_RULE, rule, |_, _| {})?;
    }
    if memories
        .iter()
        .any(|memory| memory.titles == Titles::LeftOut)
    {
        // Somebody may have removed it since.
        let _ = remove_titles_rule(socket);
    }
    Ok(Leftovers {
        rules: left.len(),
        before: memories.first().map(|memory| memory.before),
    })
}

fn remove_titles_rule(socket: &Netlink) -> Result<(), SourceError> {
    let rule = rules::without_titles().encode();
    ask(socket, DEL_RULE, &rule, |_, _| {})
}

/// Whose audit's socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Ours,
    Another,
}

/// Asks for audit's socket. The kernel then tries whether a former owner still answers, and refuses
/// only where it does.
fn claim(socket: &Netlink) -> Result<Claim, AuditError> {
    let ours = Status {
        pid: std::process::id(),
        ..Status::default()
    };
    match set(socket, SET_PID, &ours) {
        Ok(()) => Ok(Claim::Ours),
        Err(AuditError::Failed(error))
            if error.error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) =>
        {
            Ok(Claim::Another)
        }
        Err(error) => Err(error),
    }
}

/// How many rules of ours stand in the kernel, which is a leftover when we do not run.
///
/// # Errors
/// Audit is absent, or may not be asked.
pub fn leftover_rules() -> Result<usize, AuditError> {
    let socket = Netlink::open(AUDIT, 0, RECEIVE_BYTES)?;
    let mut count = 0;
    ask(&socket, LIST_RULES, &[], |kind, payload| {
        count += usize::from(kind == LIST_RULES && rules::our_key(payload).is_some());
    })?;
    Ok(count)
}

fn ask_status(socket: &Netlink) -> Result<Status, AuditError> {
    let mut status = None;
    ask(socket, GET, &[], |kind, payload| {
        if kind == GET {
            status = Status::parse(payload);
        }
    })?;
    status.ok_or_else(|| {
        AuditError::Failed(SourceError::new(
            "ask audit for its status",
            io::Error::from(io::ErrorKind::InvalidData),
        ))
    })
}

fn set(socket: &Netlink, mask: u32, status: &Status) -> Result<(), AuditError> {
    Ok(ask(socket, SET, &status.encode(mask), |_, _| {})?)
}

/// Sends a request and waits for its answer. Every message on the way is shown to `each`; records of
/// events among them are not ours to keep yet, since the request stands before the first rule.
fn ask(
    socket: &Netlink,
    kind: u16,
    payload: &[u8],
    mut each: impl FnMut(u16, &[u8]),
) -> Result<(), SourceError> {
    // The number ties the answer to its request: an old answer may still wait in the socket.
    let number = u32::from(kind) << 16 | u32::try_from(payload.len() & 0xffff).unwrap_or(0);
    socket.send(kind, netlink::REQUEST | netlink::ACK, number, payload)?;
    let end = Instant::now() + ANSWER_WAIT;
    let mut buffer = [0; netlink::DATAGRAM_BYTES_MAX];
    loop {
        let datagram = match socket.receive(&mut buffer) {
            Ok(Some(datagram)) => datagram,
            Ok(None) if Instant::now() > end => {
                return Err(SourceError::new(
                    "wait for audit's answer",
                    io::Error::from(io::ErrorKind::TimedOut),
                ));
            }
            Ok(None) => {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            Err(Errno::NOBUFS) => continue,
            Err(error) => return Err(SourceError::new("read audit's answer", error)),
        };
        let Some((answer, body)) = netlink::message(datagram) else {
            continue;
        };
        if netlink::sequence(datagram) != Some(number) {
            continue;
        }
        let is_list = kind == LIST_RULES || kind == GET;
        match answer {
            netlink::ERROR => {
                let code = super::native::i32_at(body, 0).unwrap_or(0);
                if code != 0 {
                    return Err(SourceError::new(
                        "change audit",
                        io::Error::from_raw_os_error(code.saturating_neg()),
                    ));
                }
                if !is_list {
                    return Ok(());
                }
            }
            netlink::DONE => return Ok(()),
            other => {
                each(other, body);
                if kind == GET && other == GET {
                    return Ok(());
                }
            }
        }
    }
}

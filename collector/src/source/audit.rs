//! Audit: arguments, identities and privileged calls, as the kernel copied them.
//!
//! Where nobody reads audit we own its unicast socket: we set it up, add our rules, and put all of
//! it back at the end. Where somebody does, or where audit is locked, we only listen beside them
//! and add nothing: our rules would fill *their* log, and some are set to halt the machine when
//! that is full.

use super::native::{push_u32, u32_at};
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
pub mod rules;

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

/// What audit is set to, by `AUDIT_GET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// 0 off, 1 on, 2 on and locked until the next boot.
    pub enabled: u32,
    /// What the kernel does when a record is lost: 0 nothing, 1 a log line, 2 a panic.
    pub failure: u32,
    /// The process that owns the unicast socket; 0 for nobody.
    pub pid: u32,
    /// Messages that may wait.
    pub backlog_limit: u32,
    /// Messages lost since boot.
    pub lost: u32,
    /// How long a caller waits when the backlog is full, jiffies.
    pub backlog_wait: u32,
}

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
        if now.enabled == LOCKED
            || (now.pid != 0
                && now.pid
                    != rustix::process::getpid()
                        .as_raw_nonzero()
                        .get()
                        .unsigned_abs())
        {
            let may_share = share == Share::Yes && now.enabled != LOCKED;
            let left = if may_share {
                remove_leftovers(&socket)?.0
            } else {
                0
            };
            drop(socket);
            let mut audit = Audit::at(Netlink::open(AUDIT, READLOG, RECEIVE_BYTES)?, now);
            audit.left = left;
            if may_share {
                audit.role = Role::Sharer;
                if let Err(error) = audit.add_rules() {
                    audit.put_back();
                    return Err(error);
                }
            }
            return Ok(audit);
        }
        let (left, before) = remove_leftovers(&socket)?;
        let before = before.map_or(now, |before| Status {
            lost: now.lost,
            ..before
        });
        let mut audit = Audit::at(socket, before);
        audit.left = left;
        audit.role = Role::Owner;
        if let Err(error) = audit.take_over() {
            audit.put_back();
            return Err(error);
        }
        Ok(audit)
    }

    fn at(socket: Netlink, before: Status) -> Audit {
        Audit {
            socket,
            role: Role::Listener,
            before,
            rules: Vec::new(),
            refused: 0,
            left: 0,
            asked: Instant::now(),
            listed: Instant::now(),
        }
    }

    fn take_over(&mut self) -> Result<(), AuditError> {
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
        let pid = rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        set(
            &self.socket,
            SET_PID,
            &Status {
                pid,
                ..Status::default()
            },
        )?;
        set(
            &self.socket,
            SET_ENABLED,
            &Status {
                enabled: 1,
                ..Status::default()
            },
        )?;
        self.add_rules()
    }

    fn add_rules(&mut self) -> Result<(), AuditError> {
        for rule in rules::all(&memory(&self.before)) {
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

/// What audit was set to, in a few words that a rule's key can hold.
fn memory(before: &Status) -> Vec<u8> {
    format!(
        " enabled={} failure={} backlog={} wait={}",
        before.enabled, before.failure, before.backlog_limit, before.backlog_wait
    )
    .into_bytes()
}

/// Reads [`memory`] back.
fn remembered(memory: &[u8]) -> Option<Status> {
    let number = |name: &[u8]| {
        memory
            .split(|byte| *byte == b' ')
            .find_map(|word| word.strip_prefix(name)?.strip_prefix(b"="))
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok())
    };
    Some(Status {
        enabled: number(b"enabled")?,
        failure: number(b"failure")?,
        backlog_limit: number(b"backlog")?,
        backlog_wait: number(b"wait")?,
        ..Status::default()
    })
}

/// Removes rules of ours that a crash left: how many, and what audit was set to before them.
fn remove_leftovers(socket: &Netlink) -> Result<(usize, Option<Status>), AuditError> {
    let mut left = Vec::new();
    ask(socket, LIST_RULES, &[], |kind, payload| {
        if kind == LIST_RULES && rules::our_key(payload).is_some() {
            left.push(payload.to_vec());
        }
    })?;
    let before = left
        .iter()
        .find_map(|rule| remembered(rules::our_key(rule)?));
    for rule in &left {
        ask(socket, DEL_RULE, rule, |_, _| {})?;
    }
    Ok((left.len(), before))
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

impl Status {
    /// Reads `struct audit_status`.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Status> {
        Some(Status {
            enabled: u32_at(payload, 4)?,
            failure: u32_at(payload, 8)?,
            pid: u32_at(payload, 12)?,
            backlog_limit: u32_at(payload, 20)?,
            lost: u32_at(payload, 24)?,
            backlog_wait: u32_at(payload, 36)?,
        })
    }

    /// Writes `struct audit_status`: mask, enabled, failure, pid, rate limit, backlog limit, lost,
    /// backlog, features, backlog wait, and how long was waited.
    fn encode(&self, mask: u32) -> Vec<u8> {
        let words = [
            mask,
            self.enabled,
            self.failure,
            self.pid,
            0,
            self.backlog_limit,
            0,
            0,
            0,
            self.backlog_wait,
            0,
        ];
        let mut bytes = Vec::with_capacity(44);
        for word in words {
            push_u32(&mut bytes, word);
        }
        bytes
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_audit_was_set_to_survives_in_a_key() {
        let before = Status {
            enabled: 1,
            failure: 2,
            backlog_limit: 64,
            backlog_wait: 15_000,
            ..Status::default()
        };
        assert_eq!(remembered(&memory(&before)), Some(before));
        assert_eq!(remembered(b" enabled=1"), None);
    }

    #[test]
    fn a_status_is_read_as_it_is_written() {
        let status = Status {
            enabled: 1,
            failure: 1,
            pid: 7,
            backlog_limit: 8192,
            lost: 0,
            backlog_wait: 3,
        };
        assert_eq!(Status::parse(&status.encode(0x35)), Some(status));
        assert_eq!(Status::parse(&[0; 12]), None);
    }
}

//! What audit is set to: as the kernel tells it, and as a rule's key remembers it across a crash.

use super::owner::Recorder;
use crate::source::native::{push_u32, u32_at};

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
    pub(super) fn encode(&self, mask: u32) -> Vec<u8> {
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

/// What is remembered in a rule's key, for whoever comes after a recorder that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// What audit was set to before the rules.
    pub before: Status,
    /// Whose rules they are; older recorders did not say.
    pub recorder: Option<Recorder>,
    /// Whether a rule without a key stands beside them.
    pub titles: Titles,
}

/// Whether we had audit leave out the records of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Titles {
    /// We had: that rule is ours to remove.
    LeftOut,
    /// They are as they were.
    #[default]
    AsBefore,
}

impl Memory {
    /// What this process is to be remembered by.
    pub fn of(before: Status, titles: Titles) -> Memory {
        Memory {
            before,
            recorder: Recorder::this(),
            titles,
        }
    }

    /// The memory in a few words: a key holds 256 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let before = &self.before;
        let mut words = format!(
            " enabled={} failure={} backlog={} wait={}",
            before.enabled, before.failure, before.backlog_limit, before.backlog_wait
        );
        if let Some(recorder) = self.recorder {
            words.push_str(&format!(
                " pid={} start={}",
                recorder.pid, recorder.start_us
            ));
        }
        if self.titles == Titles::LeftOut {
            words.push_str(" titles=0");
        }
        words.into_bytes()
    }

    /// Reads [`Memory::encode`] back.
    pub fn parse(words: &[u8]) -> Option<Memory> {
        let number = |name: &[u8]| {
            words
                .split(|byte| *byte == b' ')
                .find_map(|word| word.strip_prefix(name)?.strip_prefix(b"="))
                .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok())
        };
        let small = |name: &[u8]| u32::try_from(number(name)?).ok();
        Some(Memory {
            before: Status {
                enabled: small(b"enabled")?,
                failure: small(b"failure")?,
                backlog_limit: small(b"backlog")?,
                backlog_wait: small(b"wait")?,
                ..Status::default()
            },
            recorder: small(b"pid")
                .zip(number(b"start"))
                .map(|(pid, start_us)| Recorder { pid, start_us }),
            titles: match number(b"titles") {
                Some(_) => Titles::LeftOut,
                None => Titles::AsBefore,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_audit_was_set_to_survives_in_a_key() {
        let memory = Memory {
            before: Status {
                enabled: 1,
                failure: 2,
                backlog_limit: 64,
                backlog_wait: 15_000,
                ..Status::default()
            },
            recorder: Some(Recorder {
                pid: u32::MAX,
                start_us: u64::MAX,
            }),
            titles: Titles::LeftOut,
        };
        let words = memory.encode();
        assert!(words.len() < 200, "a key holds 256 bytes");
        assert_eq!(Memory::parse(&words), Some(memory));
        assert_eq!(Memory::parse(b" enabled=1"), None);
        let older = Memory::parse(b" enabled=0 failure=1 backlog=64 wait=3").unwrap();
        assert_eq!((older.recorder, older.titles), (None, Titles::AsBefore));
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

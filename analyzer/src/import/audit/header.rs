//! The head of an audit record: which event of which host it belongs to.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::import::audit::kinds::RecordType;

/// What stands before a record's own fields, and where they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header<'l> {
    /// The host, where the record says it (`node=`).
    pub(super) node: Option<&'l [u8]>,
    /// The type as it is written; empty where the line does not say it.
    pub(super) type_name: &'l [u8],
    pub(super) record_type: RecordType,
    /// The stamp, microseconds since 1970.
    pub(super) wall_us: i64,
    /// The event's number on its host. It starts again at a boot, and after `u32::MAX`.
    pub(super) serial: u32,
    /// The fields.
    pub(super) body: &'l [u8],
}

/// Reads the head of a record: `[node=N ]type=T msg=audit(SECONDS.MILLIS:SERIAL): …`, with anything
/// before it (a relay's own head), without `msg=` (auoms), or without the type in words (kernel log:
/// `audit: type=1400 audit(…): …`). `None` where the line is no audit record.
pub(super) fn read(line: &[u8]) -> Option<Header<'_>> {
    let (head, rest) = plain_head(line).or_else(|| any_head(line))?;
    let close = memchr::memchr(b')', rest)?;
    let (wall_us, serial) = read_stamp(rest.get(STAMP.len()..close)?)?;
    let body = rest.get(close + 1..)?;
    let body = body.strip_prefix(b":").unwrap_or(body);
    let (node, type_name) = match head {
        Head::Type(name) => (None, name),
        Head::Any(head) => (
            word_after(head, b"node="),
            word_after(head, b"type=").unwrap_or_default(),
        ),
    };
    Some(Header {
        node,
        type_name,
        record_type: RecordType::of(type_name),
        wall_us,
        serial,
        body,
    })
}

/// What the stamp begins with.
const STAMP: &[u8] = b"audit(";

static STAMP_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(STAMP));

/// What stands before the stamp.
enum Head<'l> {
    /// The type alone.
    Type(&'l [u8]),
    /// Anything.
    Any(&'l [u8]),
}

/// The head that the daemon writes, `type=T msg=`: nearly every line has it, and it is told without
/// a search.
fn plain_head(line: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let rest = line.strip_prefix(b"type=")?;
    let end = rest
        .iter()
        .take(TYPE_BYTES_MAX)
        .position(|&byte| byte == b' ')?;
    let (name, rest) = rest.split_at_checked(end)?;
    let rest = rest.strip_prefix(b" msg=")?;
    rest.starts_with(STAMP).then_some((Head::Type(name), rest))
}

/// Longest name of a type that is looked for at the beginning of a line.
const TYPE_BYTES_MAX: usize = 32;

fn any_head(line: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let stamp = STAMP_FINDER.find(line)?;
    let (head, rest) = line.split_at_checked(stamp)?;
    let head = head.strip_suffix(b"msg=").unwrap_or(head);
    Some((Head::Any(head), rest))
}

/// Whether a line looks like an audit record.
pub(in crate::import) fn is_record(line: &[u8]) -> bool {
    read(line).is_some()
}

/// `SECONDS.MILLIS:SERIAL`.
fn read_stamp(stamp: &[u8]) -> Option<(i64, u32)> {
    let dot = stamp.iter().position(|&byte| byte == b'.')?;
    let colon = dot + stamp.get(dot..)?.iter().position(|&byte| byte == b':')?;
    let seconds: i64 = digits(stamp.get(..dot)?)?;
    let fraction = stamp.get(dot + 1..colon)?;
    let serial: u32 = digits(stamp.get(colon + 1..)?)?;
    // Milliseconds; a few tools write micro- or nanoseconds.
    let width = u32::try_from(fraction.len())
        .ok()
        .filter(|width| (1..=9).contains(width))?;
    let value: i64 = digits(fraction)?;
    let micros = if width <= 6 {
        value * 10_i64.pow(6 - width)
    } else {
        value / 10_i64.pow(width - 6)
    };
    let wall_us = seconds.checked_mul(1_000_000)?.checked_add(micros)?;
    Some((wall_us, serial))
}

/// A number of digits alone; none is no number.
fn digits<T: TryFrom<i64>>(text: &[u8]) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    let number = text.iter().try_fold(0_i64, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(i64::from(digit))
    })?;
    T::try_from(number).ok()
}

/// The word after a name that begins a word itself; the last one counts.
fn word_after<'l>(head: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let mut end = head.len();
    loop {
        let at = memchr::memmem::rfind(head.get(..end)?, name)?;
        let begins = at == 0
            || head
                .get(at - 1)
                .is_some_and(|byte| !byte.is_ascii_alphanumeric());
        if begins {
            let rest = head.get(at + name.len()..)?;
            let word = rest.split(|byte| byte.is_ascii_whitespace()).next()?;
            return Some(word.strip_suffix(b":").unwrap_or(word));
        }
        end = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_head_seen_in_the_wild_is_read() {
        type Case<'c> = (&'c [u8], Option<&'c [u8]>, &'c [u8]);
        let lines: &[Case<'_>] = &[
            (b"type=CWD msg=audit(1700000000.123:45): cwd=\"/\"", None, b"CWD"),
            (
                b"node=web-1 type=CWD msg=audit(1700000000.123:45): cwd=\"/\"",
                Some(b"web-1"),
                b"CWD",
            ),
            (
                b"<13>Nov 14 22:13:20 relay audispd: node=web-1 type=CWD msg=audit(1700000000.123:45): cwd=\"/\"",
                Some(b"web-1"),
                b"CWD",
            ),
            (
                b"Nov 14 22:13:20 web-1 kernel: [ 12.3] audit: type=1307 audit(1700000000.123:45): cwd=\"/\"",
                None,
                b"1307",
            ),
            (
                b"type=AUOMS_EXECVE audit(1700000000.123:45): cwd=\"/\"",
                None,
                b"AUOMS_EXECVE",
            ),
        ];
        for (line, node, name) in lines {
            let header = read(line).unwrap();
            assert_eq!(header.node, *node);
            assert_eq!(header.type_name, *name);
            assert_eq!((header.wall_us, header.serial), (1_700_000_000_123_000, 45));
            assert_eq!(header.body, b" cwd=\"/\"");
        }
    }

    #[test]
    fn what_is_no_record_is_none() {
        for line in [
            &b""[..],
            b"type=CWD msg=audit(",
            b"type=CWD msg=audit()",
            b"type=CWD msg=audit(1.2:)",
            b"type=CWD msg=audit(1:2): x",
            b"type=CWD msg=audit(1.2:-3): x",
            b"type=CWD msg=audit(99999999999999999999.2:3): x",
            b"type=CWD msg=audit(9223372036854775807.2:3): x",
            b"type=CWD msg=audit(1.2:4294967296): x",
            b"Nov 14 22:13:20 web-1 sshd[12]: Accepted publickey",
        ] {
            assert_eq!(read(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn digits_after_the_point_are_a_fraction() {
        let us = |line: &[u8]| read(line).unwrap().wall_us;
        assert_eq!(us(b"type=CWD msg=audit(7.5:1):"), 7_500_000);
        assert_eq!(us(b"type=CWD msg=audit(7.000001:1):"), 7_000_001);
        assert_eq!(us(b"type=CWD msg=audit(7.000001999:1):"), 7_000_001);
    }
}

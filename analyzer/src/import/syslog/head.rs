//! The head of a system log line: when, which host, which program (RFC 3164, RFC 5424, and the ISO
//! stamps of rsyslog and systemd).

use crate::import::windows::value::moment;

/// What a line says before its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'l> {
    pub(super) stamp: Stamp,
    pub(super) host: &'l [u8],
    pub(super) program: &'l [u8],
    pub(super) pid: Option<u32>,
    /// Facility and severity in one number, where the line has it.
    pub(super) priority: Option<u8>,
    pub(super) text: &'l [u8],
}

/// When a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// Microseconds since 1970.
    Whole(i64),
    /// Without a year and a zone.
    Yearless {
        /// From 1.
        month: u8,
        /// From 1.
        day: u8,
        /// Seconds since midnight.
        second: u32,
    },
}

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Reads the head of a line; `None` where it is no line of a system log.
pub(super) fn read(line: &[u8]) -> Option<Head<'_>> {
    let (priority, rest) = priority(line);
    if let Some(rest) = rest.strip_prefix(b"1 ")
        && priority.is_some()
    {
        return rfc5424(rest, priority);
    }
    let (stamp, rest) = stamp(rest)?;
    let (host, rest) = word(rest)?;
    // Some relays add the level in words between host and program: `host user.info program:`.
    let (tag, text) = tag(rest)?;
    let (program, pid) = tag_parts(tag);
    is_name(host).then_some(Head {
        stamp,
        host,
        program,
        pid,
        priority,
        text,
    })
}

/// Whether a line has the head of a system log line.
pub(in crate::import) fn is_line(line: &[u8]) -> bool {
    read(line).is_some()
}

/// `<N>` at the beginning.
fn priority(line: &[u8]) -> (Option<u8>, &[u8]) {
    let parts = || {
        let rest = line.strip_prefix(b"<")?;
        let end = rest.iter().take(4).position(|&byte| byte == b'>')?;
        let (digits, rest) = rest.split_at_checked(end)?;
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some((number, rest.get(1..)?))
    };
    match parts() {
        Some((number, rest)) => (Some(number), rest),
        None => (None, line),
    }
}

/// `TIMESTAMP HOST APP PROCID MSGID STRUCTURED-DATA MSG`, RFC 5424 §6.
fn rfc5424(line: &[u8], priority: Option<u8>) -> Option<Head<'_>> {
    let (when, rest) = word(line)?;
    let stamp = Stamp::Whole(moment(when)?);
    let (host, rest) = word(rest)?;
    let (program, rest) = word(rest)?;
    let (pid, rest) = word(rest)?;
    let (_, rest) = word(rest)?;
    let text = match rest.strip_prefix(b"-") {
        Some(text) => text,
        None => after_data(rest)?,
    };
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let said = |word: &'_ [u8]| word != b"-";
    Some(Head {
        stamp,
        host: if said(host) { host } else { b"" },
        program: if said(program) { program } else { b"" },
        pid: std::str::from_utf8(pid)
            .ok()
            .and_then(|pid| pid.parse().ok()),
        priority,
        text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
    })
}

/// What follows the elements `[id name="value"]…`, in whose values a backslash escapes `"` and `]`.
fn after_data(mut rest: &[u8]) -> Option<&[u8]> {
    while rest.first() == Some(&b'[') {
        let mut quoted = false;
        let mut escaped = false;
        let end = rest.iter().position(|&byte| {
            let closes = byte == b']' && !quoted;
            if byte == b'"' && !escaped {
                quoted = !quoted;
            }
            escaped = byte == b'\\' && !escaped;
            closes
        })?;
        rest = rest.get(end + 1..)?;
    }
    Some(rest)
}

/// `Jan  2 03:04:05 `, or a moment in ISO 8601.
fn stamp(line: &[u8]) -> Option<(Stamp, &[u8])> {
    if line.first()?.is_ascii_digit() {
        let (when, rest) = word(line)?;
        return Some((Stamp::Whole(moment(when)?), rest));
    }
    let (name, rest) = line.split_at_checked(3)?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let rest = rest.strip_prefix(b" ")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (day, rest) = word(rest)?;
    let (clock, rest) = word(rest)?;
    let clock = clock.split(|&byte| byte == b'.').next()?;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *clock else {
        return None;
    };
    let pair = |high: u8, low: u8| two(&[high, low]);
    let (hour, minute, second) = (pair(h1, h2)?, pair(m1, m2)?, pair(s1, s2)?);
    let day = two(day).filter(|day| (1..=31).contains(day))?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let stamp = Stamp::Yearless {
        month: u8::try_from(month + 1).ok()?,
        day,
        second: u32::from(hour) * 3600 + u32::from(minute) * 60 + u32::from(second),
    };
    Some((stamp, rest))
}

/// One or two digits.
fn two(digits: &[u8]) -> Option<u8> {
    let valid = !digits.is_empty() && digits.len() <= 2 && digits.iter().all(u8::is_ascii_digit);
    if !valid {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + (digit - b'0')),
    )
}

/// The first word, and what stands behind the space after it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', text)?;
    let (word, rest) = text.split_at_checked(end)?;
    (!word.is_empty()).then_some((word, rest.get(1..)?))
}

/// `program[pid]:` and the text behind it; a line without a tag is all text.
fn tag(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.iter().position(|byte| matches!(byte, b':' | b' '))?;
    if rest.get(end) == Some(&b':') {
        let text = rest.get(end + 1..)?;
        return Some((rest.get(..end)?, text.strip_prefix(b" ").unwrap_or(text)));
    }
    // `sshd[12] text`, and programs with a path or a word in brackets: `postfix/smtp[3]:`.
    let (tag, text) = rest.split_at_checked(end)?;
    if tag.ends_with(b"]") {
        return Some((tag, text.get(1..)?));
    }
    Some((b"", rest))
}

fn tag_parts(tag: &[u8]) -> (&[u8], Option<u32>) {
    let parts = || {
        let open = memchr::memrchr(b'[', tag)?;
        let digits = tag.get(open + 1..)?.strip_suffix(b"]")?;
        let pid = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some((tag.get(..open)?, Some(pid)))
    };
    parts().unwrap_or((tag, None))
}

fn is_name(host: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-:[]".contains(byte);
    !host.is_empty() && host.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_every_age_are_read() {
        let old = read(b"Jan  2 03:04:05 web-1 sshd[77]: Accepted x").unwrap();
        assert_eq!(
            old.stamp,
            Stamp::Yearless {
                month: 1,
                day: 2,
                second: 11_045
            }
        );
        assert_eq!(
            (old.host, old.program, old.pid),
            (&b"web-1"[..], &b"sshd"[..], Some(77))
        );
        assert_eq!(old.text, b"Accepted x");
        let iso = read(b"2024-01-02T03:04:05.5+00:00 web-1 kernel: [1.2] up").unwrap();
        assert_eq!(iso.stamp, Stamp::Whole(1_704_164_645_500_000));
        assert_eq!(
            (iso.program, iso.pid, iso.text),
            (&b"kernel"[..], None, &b"[1.2] up"[..])
        );
        let new =
            read(b"<38>1 2024-01-02T03:04:05Z web-1 sshd 77 - [a@1 k=\"v\\\"]\"][b] Accepted x")
                .unwrap();
        assert_eq!(
            (new.program, new.pid, new.priority),
            (&b"sshd"[..], Some(77), Some(38))
        );
        assert_eq!(new.text, b"Accepted x");
        let bare = read(b"<13>Jan 12 03:04:05 web-1 no tag here").unwrap();
        assert_eq!((bare.program, bare.text), (&b""[..], &b"no tag here"[..]));
    }

    #[test]
    fn what_is_no_line_is_none() {
        for line in [
            &b""[..],
            b"Jan",
            b"Jan 99 03:04:05 h p: x",
            b"Jan 2 33:04:05 h p: x",
            b"Foo 2 03:04:05 h p: x",
            b"2024-01-02 words",
            b"{\"a\": 1}",
            b"<1>1 yesterday h p - - - x",
        ] {
            assert_eq!(read(line), None, "{}", line.escape_ascii());
        }
    }
}

//! What a file is, told by its first bytes. Names are not asked: evidence is renamed in the field.

use saigen_schemas::report::Format;

use crate::import::syslog;

/// Bytes at the beginning of a file that are looked at: enough for the longest header of a text
/// log, and for the magic of a tar, which stands at byte 257.
pub(super) const FRONT_BYTES: usize = 64 << 10;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Records of a known format.
    Records(Reader),
    /// A file that holds others.
    Container(Container),
    /// A segment of a journal, or something that begins as one.
    Segment,
    /// Nothing.
    Empty,
    /// Something else, in words.
    Unknown(&'static str),
}

/// Which reader knows a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reader {
    /// A Windows event log.
    Evtx,
    /// JSON: lines, an array, or objects one after another.
    Json,
    /// Records of Linux audit.
    Audit,
    /// Event XML: Sysmon for Linux in syslog, or rendered.
    Xml,
    /// Lines of a system log.
    Syslog,
}

/// A file that holds others, or one other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// `.zip`.
    Zip,
    /// `.tar`.
    Tar,
    /// `.gz`: one file.
    Gzip,
    /// `.xz`: one file.
    Xz,
    /// `.zst`: one file.
    Zstd,
}

impl Reader {
    /// The format's name in reports.
    pub(super) const fn format(self) -> Format {
        match self {
            Self::Evtx => Format::Evtx,
            Self::Json => Format::Json,
            Self::Audit => Format::Audit,
            Self::Xml => Format::SysmonLinux,
            Self::Syslog => Format::Syslog,
        }
    }
}

/// Says what a file is by its front: its first [`FRONT_BYTES`], or all of it.
pub(super) fn sniff(front: &[u8]) -> What {
    match front {
        [] => return What::Empty,
        // A header that lost its first byte is still an event log: its chunks say so themselves.
        [b'E', b'l', b'f', b'F', b'i', b'l', b'e', ..] => return What::Records(Reader::Evtx),
        [b'E', b'l', b'f', b'C', b'h', b'n', b'k', ..] => return What::Records(Reader::Evtx),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => {
            return What::Container(Container::Zip);
        }
        [0x1f, 0x8b, 8, ..] => return What::Container(Container::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => return What::Container(Container::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return What::Container(Container::Zstd),
        // RFC 8878 §3.1.2: a skippable frame begins a segment, and no other file that we read.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => return What::Segment,
        _ => {}
    }
    if front.get(257..262) == Some(b"ustar") {
        return What::Container(Container::Tar);
    }
    if holds_a_chunk(front) {
        return What::Records(Reader::Evtx);
    }
    text(front)
}

/// Whether an event log stands here whose header was overwritten: chunks begin at byte 4096.
fn holds_a_chunk(front: &[u8]) -> bool {
    front.get(4096..4103) == Some(b"ElfChnk")
}

fn text(front: &[u8]) -> What {
    if front.starts_with(&[0xff, 0xfe]) || front.starts_with(&[0xfe, 0xff]) {
        // What tells JSON is ASCII, in either order of bytes.
        let ascii: Vec<u8> = front
            .iter()
            .skip(2)
            .copied()
            .filter(|&byte| byte != 0)
            .collect();
        return if begins_json(&ascii) {
            What::Records(Reader::Json)
        } else {
            What::Unknown("text in UTF-16 that is not JSON")
        };
    }
    let front = front.strip_prefix(b"\xef\xbb\xbf").unwrap_or(front);
    let Some(begin) = front.iter().position(|byte| !byte.is_ascii_whitespace()) else {
        return What::Unknown("nothing but white space");
    };
    let body = front.get(begin..).unwrap_or_default();
    if begins_json(body) {
        return What::Records(Reader::Json);
    }
    // A machine that lost its power leaves runs of zeros in its logs. Between them only what has the
    // surest marks is believed.
    let has_zeros = body.iter().take(4096).any(|&byte| byte == 0);
    let mut is_log = false;
    for line in body.split(|&byte| byte == b'\n') {
        if has_zeros && (line.contains(&0) || !is_audit(line)) {
            is_log = is_log || (!line.contains(&0) && syslog::is_line(line));
            continue;
        }
        is_log = is_log || syslog::is_line(line);
        if is_audit(line) {
            return What::Records(Reader::Audit);
        }
        if holds(line, b"<Event>") || holds(line, b"<Event ") {
            return What::Records(Reader::Xml);
        }
        // A log whose first lines are cut or foreign, and which then goes on as JSON.
        let line = line.trim_ascii_start();
        if line.starts_with(b"{\"") && line.trim_ascii_end().ends_with(b"}") {
            return What::Records(Reader::Json);
        }
    }
    if is_log {
        return What::Records(Reader::Syslog);
    }
    What::Unknown(if has_zeros {
        "of no format that this program knows"
    } else {
        "text of no format that this program knows"
    })
}

fn begins_json(body: &[u8]) -> bool {
    let mut bytes = body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace());
    match (bytes.next(), bytes.next()) {
        (Some(b'{'), Some(next)) => next == b'"' || next == b'}',
        (Some(b'['), Some(next)) => matches!(next, b'{' | b'[' | b']'),
        (Some(b'{' | b'['), None) => true,
        _ => false,
    }
}

/// Whether a line is a record of audit: it has the stamp that each has, `audit(SECONDS.MS:SERIAL)`.
fn is_audit(line: &[u8]) -> bool {
    let Some(at) = find(line, b"audit(") else {
        return false;
    };
    let stamp = line.get(at + 6..).unwrap_or_default();
    let seconds = stamp
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    seconds > 0 && stamp.get(seconds) == Some(&b'.') && holds(line, b"type=")
}

fn holds(line: &[u8], what: &[u8]) -> bool {
    find(line, what).is_some()
}

fn find(line: &[u8], what: &[u8]) -> Option<usize> {
    line.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        let mut chunk = vec![0; 5000];
        chunk[4096..4103].copy_from_slice(b"ElfChnk");
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [(&[u8], What); 18] = [
            (b"", What::Empty),
            (b"ElfFile\0rest", What::Records(Reader::Evtx)),
            (&chunk, What::Records(Reader::Evtx)),
            (&tar, What::Container(Container::Tar)),
            (b"\x28\xb5\x2f\xfd", What::Container(Container::Zstd)),
            (b"\x5e\x2a\x4d\x18\x43", What::Segment),
            (
                b"\xef\xbb\xbf\r\n{\n  \"a\": 1}",
                What::Records(Reader::Json),
            ),
            (b"[\n{\"a\":1}]", What::Records(Reader::Json)),
            (
                b"[2024] started",
                What::Unknown("text of no format that this program knows"),
            ),
            (
                b"# a note\n\ntype=SYSCALL msg=audit(1600000000.100:7): arch=c000003e",
                What::Records(Reader::Audit),
            ),
            (
                b"node=a type=EOE msg=audit(1600000000.100:7): ",
                What::Records(Reader::Audit),
            ),
            (
                b"Jan  2 03:04:05 a sysmon: <Event><System>",
                What::Records(Reader::Xml),
            ),
            (
                b"Jan  2 03:04:05 a sshd[7]: Accepted password for b from 192.0.2.1 port 5 ssh2",
                What::Records(Reader::Syslog),
            ),
            (b"cut off\"}\n{\"a\":1}\n", What::Records(Reader::Json)),
            (
                b"\0\0\0\ntype=CWD msg=audit(1700000000.123:45): cwd=\"/\"\n\0",
                What::Records(Reader::Audit),
            ),
            (
                b"\0\0\n{\"a\":1}\n",
                What::Unknown("of no format that this program knows"),
            ),
            (b" \n", What::Unknown("nothing but white space")),
            (
                b"\x7fELF\x02\x01\x01\0",
                What::Unknown("of no format that this program knows"),
            ),
        ];
        for (front, what) in cases {
            assert_eq!(sniff(front), what, "{}", front.escape_ascii());
        }
    }
}

//! The fields of a record: names and values as the record has them, what is written in hex as text.

use crate::import::audit::kinds::RecordType;

/// A piece of an event's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn of<'b>(&self, text: &'b [u8]) -> &'b [u8] {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        let end = usize::try_from(self.end).unwrap_or(usize::MAX);
        text.get(start..end).unwrap_or_default()
    }

    fn new(start: usize, end: usize) -> Self {
        Self {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(end).unwrap_or(u32::MAX),
        }
    }
}

/// A name and its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// Between the fields as the kernel wrote them and those that the daemon interpreted
/// (`log_format = ENRICHED`, `auditd.conf(5)`).
const ENRICHED: u8 = 0x1d;

/// Splits a record's body, which stands in `text` from `start` to `end`, and appends its fields.
/// Values that are written in hex are put back into text in their place.
pub(super) fn split(
    text: &mut [u8],
    (start, end): (usize, usize),
    record_type: RecordType,
    fields: &mut Vec<Field>,
) {
    let Some(end) = (end <= text.len()).then_some(end) else {
        return;
    };
    let mut splitter = Splitter {
        text,
        end,
        at: start,
        record_type,
        is_nested: false,
        word: None,
    };
    while let Some(field) = splitter.next() {
        fields.push(field);
    }
}

struct Splitter<'t> {
    text: &'t mut [u8],
    end: usize,
    at: usize,
    record_type: RecordType,
    /// Inside `msg='…'`, which is a program's own text.
    is_nested: bool,
    /// The word without a value that stood before.
    word: Option<(usize, usize)>,
}

impl Splitter<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        if at < self.end {
            self.text.get(at).copied()
        } else {
            None
        }
    }

    /// Where the first byte of a sort stands from a place on; the end where none does.
    fn until(&self, start: usize, is_it: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.get(start..self.end).unwrap_or_default();
        start
            + rest
                .iter()
                .position(|&byte| is_it(byte))
                .unwrap_or(rest.len())
    }

    fn next(&mut self) -> Option<Field> {
        loop {
            let byte = self.byte(self.at)?;
            if is_gap(byte) || matches!(byte, b',' | b'(' | b'\'') {
                self.at += 1;
                continue;
            }
            if byte == b'{' {
                if let Some(field) = self.braces() {
                    return Some(field);
                }
                continue;
            }
            let start = self.at;
            let stop = self.until(start, |byte| byte == b'=' || is_gap(byte));
            if self.byte(stop) != Some(b'=') {
                self.at = stop;
                if let Some(field) = self.bare(start, stop) {
                    return Some(field);
                }
                continue;
            }
            if let Some(field) = self.value(start, stop) {
                return Some(field);
            }
        }
    }

    /// A word without a value. Of access vector decisions two words are the decision.
    fn bare(&mut self, start: usize, stop: usize) -> Option<Field> {
        self.word = Some((start, stop));
        let word = self.text.get(start..stop)?;
        let decides = matches!(self.record_type, RecordType::AVC | RecordType::USER_AVC)
            && matches!(word, b"denied" | b"granted");
        decides.then(|| Field {
            // The name is not in the text: see `name_of`.
            name: Span::default(),
            value: Span::new(start, stop),
        })
    }

    /// `{ read write }`: the permissions of an access vector decision.
    fn braces(&mut self) -> Option<Field> {
        let open = self.at;
        let rest = self.text.get(open..self.end)?;
        let Some(close) = memchr::memchr(b'}', rest) else {
            self.at = self.end;
            return None;
        };
        self.at = open + close + 1;
        let inner = trim(self.text, open + 1, open + close);
        Some(Field {
            name: Span::new(open, open + 1),
            value: inner,
        })
    }

    /// A field whose name ends at `stop`, where its `=` stands. `None` where it opens a nested text.
    fn value(&mut self, start: usize, stop: usize) -> Option<Field> {
        let mut name = (start, stop);
        // `old auid=1 new auid=2` of early kernels.
        if let Some((word_start, word_stop)) = self.word.take()
            && word_stop + 1 == start
            && matches!(self.text.get(word_start..word_stop), Some(b"old" | b"new"))
        {
            if let Some(gap) = self.text.get_mut(word_stop) {
                *gap = b'-';
            }
            name.0 = word_start;
        }
        let first = stop + 1;
        if self.record_type == RecordType::AUOMS
            && matches!(self.text.get(start..stop), Some(b"cmdline" | b"proctitle"))
        {
            let value = self.until_redactors(first);
            return Some(Field {
                name: Span::new(name.0, name.1),
                value,
            });
        }
        let value = match self.byte(first) {
            Some(b'"') => self.quoted(first + 1, b'"'),
            Some(b'\'') if self.text.get(start..stop) == Some(b"msg") => {
                self.is_nested = true;
                self.at = first + 1;
                return None;
            }
            Some(b'{') => {
                let rest = self.text.get(first..self.end).unwrap_or_default();
                let close = memchr::memchr(b'}', rest).unwrap_or(rest.len());
                self.at = (first + close + 1).min(self.end);
                trim(self.text, first + 1, first + close)
            }
            Some(_) | None => self.unquoted(name, first),
        };
        Some(Field {
            name: Span::new(name.0, name.1),
            value,
        })
    }

    /// A command line of auoms: quotes within it are not escaped, and it ends where the next of its
    /// fields begins, `redactors`.
    fn until_redactors(&mut self, first: usize) -> Span {
        let rest = self.text.get(first..self.end).unwrap_or_default();
        let len = memchr::memmem::rfind(rest, b" redactors=").unwrap_or(rest.len());
        self.at = first + len;
        let value = rest.get(..len).unwrap_or_default();
        let quoted = value.len() > 1 && value.starts_with(b"\"") && value.ends_with(b"\"");
        if quoted {
            Span::new(first + 1, first + len - 1)
        } else {
            Span::new(first, first + len)
        }
    }

    fn quoted(&mut self, first: usize, quote: u8) -> Span {
        let rest = self.text.get(first..self.end).unwrap_or_default();
        let len = memchr::memchr(quote, rest).unwrap_or(rest.len());
        self.at = (first + len + 1).min(self.end);
        Span::new(first, first + len)
    }

    fn unquoted(&mut self, name: (usize, usize), first: usize) -> Span {
        let mut stop = self.until(first, is_gap);
        self.at = stop;
        if self.is_nested {
            stop = self.without_closing(first, stop);
        }
        // Most values are numbers, and most names short: what is cheap to tell is asked first.
        let is_hex = |splitter: &Self| {
            let name = splitter.text.get(name.0..name.1);
            name.is_some_and(|name| is_encoded(splitter.record_type, name))
        };
        if (stop - first).is_multiple_of(2)
            && is_hex(self)
            && let Some(len) = unhex(self.text, first, stop)
        {
            stop = first + len;
        }
        Span::new(first, stop)
    }

    /// What closes a program's text does not belong to its last value.
    fn without_closing(&self, first: usize, mut stop: usize) -> usize {
        let value = |stop: usize| self.text.get(first..stop).unwrap_or_default();
        if value(stop).ends_with(b"'") {
            stop -= 1;
        }
        if value(stop).ends_with(b")") && !value(stop).contains(&b'(') {
            stop -= 1;
        }
        if value(stop).ends_with(b",") {
            stop -= 1;
        }
        stop
    }
}

/// The name of a field; fields whose name is not in the record have the one that audit's own tools
/// give them.
pub(super) fn name_of(field: Field, text: &[u8]) -> &[u8] {
    match field.name.of(text) {
        b"" => b"seresult",
        b"{" => b"seperms",
        name => name,
    }
}

const fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | ENRICHED)
}

fn trim(text: &[u8], mut start: usize, mut end: usize) -> Span {
    while start < end && text.get(start) == Some(&b' ') {
        start += 1;
    }
    while start < end && text.get(end - 1) == Some(&b' ') {
        end -= 1;
    }
    Span::new(start, end)
}

/// Whether a value of this name is in hex where it has no quotes (`audit_log_untrustedstring` in
/// the kernel; the list is that of `auparse(3)`'s escaped fields).
fn is_encoded(record_type: RecordType, name: &[u8]) -> bool {
    match name {
        b"pid" | b"uid" | b"gid" | b"ses" | b"auid" | b"euid" | b"suid" | b"egid" | b"sgid"
        | b"ppid" | b"exit" | b"fsuid" | b"fsgid" => false,
        b"name" | b"exe" | b"comm" | b"cwd" | b"proctitle" | b"key" | b"cmd" | b"acct"
        | b"path" | b"dir" | b"file" | b"watch" | b"data" | b"vm" | b"device" | b"cgroup"
        | b"sw" | b"root_dir" | b"ocomm" | b"profile" | b"new-fs" | b"old-fs" | b"new-disk"
        | b"old-disk" | b"grp" | b"unit" | b"info" | b"sw_type" | b"peer_comm" => true,
        _ => {
            let is_argument = name.first() == Some(&b'a')
                && name.get(1).is_some_and(u8::is_ascii_digit)
                && !name.ends_with(b"_len");
            is_argument && record_type == RecordType::EXECVE
        }
    }
}

/// Puts hex digits back into bytes, in their place; gives how many, `None` where it is not hex. The
/// kernel writes capitals, so that a name like `added` stays what it is.
fn unhex(text: &mut [u8], start: usize, end: usize) -> Option<usize> {
    let digits = text.get_mut(start..end)?;
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    if digits.len() < 2 || !digits.len().is_multiple_of(2) || !digits.iter().all(is_hex) {
        return None;
    }
    let half = digits.len() / 2;
    for index in 0..half {
        let high = nibble(*digits.get(index * 2)?);
        let low = nibble(*digits.get(index * 2 + 1)?);
        *digits.get_mut(index)? = high << 4 | low;
    }
    Some(half)
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'A'..=b'F' => digit - b'A' + 10,
        b'a'..=b'f' => digit - b'a' + 10,
        _ => 0,
    }
}

/// The bytes that hex digits of either case stand for; `None` where it is not hex.
pub(super) fn bytes_of_hex(digits: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if digits.is_empty()
        || !digits.len().is_multiple_of(2)
        || !digits.iter().all(u8::is_ascii_hexdigit)
    {
        return None;
    }
    for pair in digits.chunks_exact(2) {
        if let [high, low] = pair {
            out.push(nibble(*high) << 4 | nibble(*low));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(record_type: RecordType, body: &[u8]) -> Vec<(String, String)> {
        let mut text = body.to_vec();
        let mut fields = Vec::new();
        let end = text.len();
        split(&mut text, (0, end), record_type, &mut fields);
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields
            .iter()
            .map(|field| (lossy(name_of(*field, &text)), lossy(field.value.of(&text))))
            .collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn kernel_fields_with_quotes_hex_and_interpretation() {
        let got = pairs(
            RecordType::SYSCALL,
            b" arch=c000003e a0=12AB tty=(none) comm=\"a b\" exe=2F746D702F6120 key=(null)\x1dARCH=x86_64 UID=\"root\"",
        );
        assert_eq!(
            got,
            owned(&[
                ("arch", "c000003e"),
                ("a0", "12AB"),
                ("tty", "(none)"),
                ("comm", "a b"),
                ("exe", "/tmp/a "),
                ("key", "(null)"),
                ("ARCH", "x86_64"),
                ("UID", "root"),
            ])
        );
    }

    #[test]
    fn arguments_are_hex_in_execve_records_alone() {
        let got = pairs(
            RecordType::EXECVE,
            b" argc=2 a0=6C73 a1[0]=4142 a1_len=4142 a2=\"4142\"",
        );
        assert_eq!(
            got,
            owned(&[
                ("argc", "2"),
                ("a0", "ls"),
                ("a1[0]", "AB"),
                ("a1_len", "4142"),
                ("a2", "4142"),
            ])
        );
    }

    #[test]
    fn what_a_program_says_is_read_in_new_and_old_styles() {
        let new = b" pid=9 uid=0 msg='op=PAM:setcred grantors=pam_env,pam_unix acct=\"ada\" exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.7 terminal=ssh res=success'\x1dUID=\"root\"";
        assert_eq!(
            pairs(RecordType::USER_LOGIN, new),
            owned(&[
                ("pid", "9"),
                ("uid", "0"),
                ("op", "PAM:setcred"),
                ("grantors", "pam_env,pam_unix"),
                ("acct", "ada"),
                ("exe", "/usr/sbin/sshd"),
                ("hostname", "?"),
                ("addr", "192.0.2.7"),
                ("terminal", "ssh"),
                ("res", "success"),
                ("UID", "root"),
            ])
        );
        let old = b" user pid=9 uid=0 msg='PAM: session open acct=root : exe=\"/usr/sbin/crond\" (hostname=?, addr=?, terminal=cron res=success)'";
        assert_eq!(
            pairs(RecordType::USER_START, old),
            owned(&[
                ("pid", "9"),
                ("uid", "0"),
                ("acct", "root"),
                ("exe", "/usr/sbin/crond"),
                ("hostname", "?"),
                ("addr", "?"),
                ("terminal", "cron"),
                ("res", "success"),
            ])
        );
        let login = b" login pid=9 uid=0 old auid=4294967295 new auid=1000";
        assert_eq!(
            pairs(RecordType::of(b"LOGIN"), login),
            owned(&[
                ("pid", "9"),
                ("uid", "0"),
                ("old-auid", "4294967295"),
                ("new-auid", "1000"),
            ])
        );
    }

    #[test]
    fn decisions_of_access_vectors_are_fields() {
        let got = pairs(
            RecordType::AVC,
            b" avc:  denied  { read write } for  pid=3 comm=\"x\" tclass=dir",
        );
        assert_eq!(
            got,
            owned(&[
                ("seresult", "denied"),
                ("seperms", "read write"),
                ("pid", "3"),
                ("comm", "x"),
                ("tclass", "dir"),
            ])
        );
    }

    #[test]
    fn odd_values_stay_what_they_are() {
        let got = pairs(
            RecordType::PATH,
            b" name=(null) inode=5 name=ABC name=added name=\"unclosed",
        );
        assert_eq!(
            got,
            owned(&[
                ("name", "(null)"),
                ("inode", "5"),
                ("name", "ABC"),
                ("name", "added"),
                ("name", "unclosed"),
            ])
        );
        assert_eq!(
            pairs(RecordType::SYSCALL, b" subj==unconfined a= b"),
            owned(&[("subj", "=unconfined"), ("a", "")])
        );
        let socket = b" saddr=02 SADDR={ saddr_fam=inet laddr=192.0.2.1 lport=80 }";
        assert_eq!(
            pairs(RecordType::SOCKADDR, socket)[1],
            (
                "SADDR".to_owned(),
                "saddr_fam=inet laddr=192.0.2.1 lport=80".to_owned()
            )
        );
    }
}

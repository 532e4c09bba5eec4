//! Texts as the system had them: bytes that are usually UTF-8, kept as they were.

use std::borrow::Cow;
use std::fmt;

use crate::event::Had;
use crate::journal::varint;

/// A text of the recorded system: a path, a name, a command line.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub &'a [u8]);

impl<'a> Text<'a> {
    /// The text for a reader; bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// The arguments of a program, each ended by NUL, as in `/proc/PID/cmdline` (`proc(5)`).
///
/// The kernel takes arguments as C strings, so that none holds a NUL itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Args<'a>(pub &'a [u8]);

impl<'a> Args<'a> {
    /// The arguments in order. A last one without its NUL (cut by its source) counts as one.
    pub fn iter(self) -> impl Iterator<Item = Text<'a>> {
        let ended = self.0.strip_suffix(b"\0").unwrap_or(self.0);
        let none = self.0.is_empty();
        ended
            .split(|&byte| byte == 0)
            .filter(move |_| !none)
            .map(Text)
    }

    /// The command line as a person types it: arguments with one space between them, those that
    /// hold spaces, quotes or nothing in single quotes as a POSIX shell takes them.
    #[must_use]
    pub fn command_line(self) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.0.len() + 8);
        for (index, arg) in self.iter().enumerate() {
            if index > 0 {
                line.push(b' ');
            }
            quote_into(arg.0, &mut line);
        }
        line
    }
}

/// Appends one argument as a POSIX shell would take it back.
fn quote_into(arg: &[u8], line: &mut Vec<u8>) {
    let plain = |byte: &u8| !byte.is_ascii_whitespace() && !matches!(byte, b'\'' | b'"' | b'\\');
    if !arg.is_empty() && arg.iter().all(plain) {
        line.extend_from_slice(arg);
        return;
    }
    line.push(b'\'');
    for &byte in arg {
        if byte == b'\'' {
            line.extend_from_slice(b"'\\''");
        } else {
            line.push(byte);
        }
    }
    line.push(b'\'');
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// How one field was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Index of the field in its kind's table ([`crate::event::Kind::fields`]).
    pub field: u8,
    /// How it was had.
    pub had: Had,
}

/// How single fields of an event were had: pairs of bytes, field index and [`Had`] code, by
/// rising index. An absent field was copied by the kernel or stood in the source's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marks<'a>(pub &'a [u8]);

impl Marks<'_> {
    /// The marks; pairs whose code is unknown are left out.
    pub fn iter(self) -> impl Iterator<Item = Mark> {
        let (pairs, _) = self.0.as_chunks::<2>();
        pairs.iter().filter_map(|&[field, code]| {
            Some(Mark {
                field,
                had: Had::from_code(u64::from(code))?,
            })
        })
    }
}

/// Fields of a foreign record under their own names: pairs of name and value, each a varint
/// length and its bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The pairs in the order of the record. It ends at the first pair that does not fit.
    pub fn iter(self) -> impl Iterator<Item = (Text<'a>, Text<'a>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let name = take_text(&mut rest)?;
            let value = take_text(&mut rest)?;
            Some((name, value))
        })
    }

    /// The first value under a name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Text<'a>> {
        self.iter()
            .find(|(candidate, _)| candidate.0 == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<Text<'a>> {
    let len = usize::try_from(varint::take(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(Text(text))
}

/// Builds [`Fields`].
#[derive(Clone, Debug, Default)]
pub struct FieldsBuf(Vec<u8>);

impl FieldsBuf {
    /// Adds a pair.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        for part in [name, value] {
            varint::put(&mut self.0, part.len() as u64);
            self.0.extend_from_slice(part);
        }
    }

    /// What was added so far.
    #[must_use]
    pub fn as_fields(&self) -> Fields<'_> {
        Fields(&self.0)
    }

    /// Forgets all pairs and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        let lists: [(&[u8], &[&[u8]]); 5] = [
            (b"", &[]),
            (b"\0", &[b""]),
            (b"a\0", &[b"a"]),
            (b"a\0\0b\0", &[b"a", b"", b"b"]),
            (b"a\0cut", &[b"a", b"cut"]),
        ];
        for (bytes, expected) in lists {
            let got: Vec<&[u8]> = Args(bytes).iter().map(|text| text.0).collect();
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_command_line_can_be_typed_again() {
        assert_eq!(
            Args(b"sh\0-c\0echo 'hi'\0\0").command_line(),
            b"sh -c 'echo '\\''hi'\\''' ''"
        );
    }

    #[test]
    fn foreign_fields_read_back_and_lying_lengths_end_them() {
        let mut fields = FieldsBuf::default();
        fields.push(b"Image", b"C:\\x.exe");
        fields.push(b"Empty", b"");
        let pairs: Vec<_> = fields.as_fields().iter().collect();
        assert_eq!(
            pairs,
            [
                ("Image".into(), "C:\\x.exe".into()),
                ("Empty".into(), "".into())
            ]
        );
        assert_eq!(Fields(b"\x03abc\xff\xff\xff\xff\x0fx").iter().count(), 0);
    }
}

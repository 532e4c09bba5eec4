//! The text of audit records: `name=value` pairs, as bytes.
//!
//! The kernel writes what programs gave it either in double quotes or, if a byte would break the
//! line, as hexadecimal digits without quotes; numbers stand bare. Programs' own records put their
//! pairs into single quotes (`msg='…'`).

/// The kernel's stamp at the head of a record: `audit(SECONDS.MILLIS:SERIAL): `.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// UTC, milliseconds, of a clock that advances once a timer tick.
    pub wall_ms: i64,
    /// The event that the record belongs to.
    pub serial: u64,
}

/// Cuts a record's text into its stamp and the pairs behind it.
#[must_use]
pub fn split(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let rest = text.strip_prefix(b"audit(")?;
    let close = rest.iter().take(64).position(|byte| *byte == b')')?;
    let (inside, rest) = rest.split_at_checked(close)?;
    let inside = std::str::from_utf8(inside).ok()?;
    let (time, serial) = inside.split_once(':')?;
    let (seconds, millis) = time.split_once('.')?;
    let wall_ms = seconds
        .parse::<i64>()
        .ok()?
        .checked_mul(1_000)?
        .checked_add(millis.parse::<i64>().ok()?)?;
    let rest = rest.strip_prefix(b")")?;
    let rest = rest
        .strip_prefix(b": ")
        .or_else(|| rest.strip_prefix(b":"))?;
    Some((
        Stamp {
            wall_ms,
            serial: serial.parse().ok()?,
        },
        rest,
    ))
}

/// One pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The value, without its quotes.
    pub value: &'a [u8],
    /// How the value stood.
    pub quote: Quote,
}

/// How a value stood in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// Bare: a number, a word of the kernel's, or hexadecimal digits.
    None,
    /// In double quotes: a text as it was.
    Double,
    /// In single quotes: a program's own pairs.
    Single,
}

/// The pairs of a record. Words without `=` are passed over.
pub fn pairs(text: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let start = rest.iter().position(|byte| !is_space(*byte))?;
            rest = rest.get(start..)?;
            let name_len = rest
                .iter()
                .position(|byte| *byte == b'=' || is_space(*byte))
                .unwrap_or(rest.len());
            let (name, tail) = rest.split_at_checked(name_len)?;
            let Some(tail) = tail.strip_prefix(b"=") else {
                rest = tail;
                if rest.is_empty() {
                    return None;
                }
                continue;
            };
            let (value, quote, tail) = value(tail);
            rest = tail;
            return Some(Pair { name, value, quote });
        }
    })
}

fn value(tail: &[u8]) -> (&[u8], Quote, &[u8]) {
    for (mark, quote) in [(b'"', Quote::Double), (b'\'', Quote::Single)] {
        if tail.first() == Some(&mark)
            && let Some(inside) = tail.get(1..)
        {
            let end = inside
                .iter()
                .position(|byte| *byte == mark)
                .unwrap_or(inside.len());
            let after = inside.get(end + 1..).unwrap_or_default();
            return (inside.get(..end).unwrap_or_default(), quote, after);
        }
    }
    let end = tail
        .iter()
        .position(|byte| is_space(*byte))
        .unwrap_or(tail.len());
    let (value, after) = tail.split_at_checked(end).unwrap_or((tail, &[]));
    (value, Quote::None, after)
}

/// A newline ends what `audit_log_format` wrote; `0x1d` stands before the pairs that auditd adds.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\0' | 0x1d)
}

impl Pair<'_> {
    /// A decimal number; a negative one or `4294967295` is given as it stands.
    #[must_use]
    pub fn decimal(&self) -> Option<i64> {
        std::str::from_utf8(self.value).ok()?.parse().ok()
    }

    /// A decimal number of 32 bits without sign; a negative one (`-1` for "not set") in two's complement.
    #[must_use]
    pub fn word(&self) -> Option<u32> {
        let number = self.decimal()?;
        u32::try_from(number)
            .ok()
            .or_else(|| i32::try_from(number).ok().map(i32::cast_unsigned))
    }

    /// A hexadecimal number.
    #[must_use]
    pub fn hex(&self) -> Option<u64> {
        u64::from_str_radix(std::str::from_utf8(self.value).ok()?, 16).ok()
    }

    /// An octal number.
    #[must_use]
    pub fn octal(&self) -> Option<u32> {
        u32::from_str_radix(std::str::from_utf8(self.value).ok()?, 8).ok()
    }

    /// Appends the text that a program gave: quoted as it was, or decoded from hexadecimal digits.
    /// Gives whether there was one: `(null)`, `(none)` and `?` are none.
    pub fn append_text(&self, place: &mut Vec<u8>) -> Given {
        match self.quote {
            Quote::Double | Quote::Single => place.extend_from_slice(self.value),
            Quote::None => {
                if matches!(self.value, b"(null)" | b"(none)" | b"?" | b"") {
                    return Given::Nothing;
                }
                let start = place.len();
                if append_hex(self.value, place).is_none() {
                    place.truncate(start);
                    place.extend_from_slice(self.value);
                }
            }
        }
        Given::Text
    }
}

/// Whether a pair held a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It did.
    Text,
    /// The kernel said that there was none.
    Nothing,
}

/// Appends what hexadecimal digits stand for; `None` if they are not pairs of them.
pub fn append_hex(digits: &[u8], place: &mut Vec<u8>) -> Option<()> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    for pair in digits.chunks_exact(2) {
        let (high, low) = (nibble(*pair.first()?)?, nibble(*pair.get(1)?)?);
        place.push(high << 4 | low);
    }
    Some(())
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_cut_from_its_pairs() {
        let (stamp, rest) = split(b"audit(1700000000.042:99): argc=1 a0=\"x\"").unwrap();
        assert_eq!(
            stamp,
            Stamp {
                wall_ms: 1_700_000_000_042,
                serial: 99
            }
        );
        assert_eq!(rest, b"argc=1 a0=\"x\"");
        assert_eq!(split(b"audit(1700000000.042:99): ").unwrap().1, b"");
    }

    #[test]
    fn a_stamp_that_is_none_is_refused() {
        for bad in [
            &b""[..],
            b"audit(",
            b"audit(1.2:3",
            b"audit(x.1:2): ",
            b"audit(99999999999999999999.1:2): ",
            b"audit(1:2): ",
        ] {
            assert_eq!(split(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn quoted_bare_and_nested_values_are_told_apart() {
        let text =
            b"pid=7 comm=\"a b\" exe=2F62 msg='op=login acct=\"root\" res=success' (x) last=";
        let all: Vec<Pair<'_>> = pairs(text).collect();
        assert_eq!(all.len(), 5);
        assert_eq!((all[0].name, all[0].decimal()), (&b"pid"[..], Some(7)));
        assert_eq!((all[1].value, all[1].quote), (&b"a b"[..], Quote::Double));
        let mut exe = Vec::new();
        assert_eq!(all[2].append_text(&mut exe), Given::Text);
        assert_eq!(exe, b"/b");
        assert_eq!(pairs(all[3].value).count(), 3);
        assert_eq!(all[4].value, b"");
    }

    #[test]
    fn hostile_texts_end() {
        for text in [
            &b"\"\"\"\""[..],
            b"=",
            b"= = =",
            b"a=\"",
            b"a='x",
            b"\0\0",
            b"a",
            b" \n ",
        ] {
            assert!(pairs(text).count() <= 4);
        }
        let mut place = vec![1];
        assert_eq!(append_hex(b"abc", &mut place), None);
        let odd = Pair {
            name: b"x",
            value: b"zz",
            quote: Quote::None,
        };
        assert_eq!(odd.append_text(&mut place), Given::Text);
        assert_eq!(place, b"\x01zz");
    }

    #[test]
    fn an_id_that_is_not_set_is_all_ones() {
        let pair = |value| Pair {
            name: b"auid",
            value,
            quote: Quote::None,
        };
        assert_eq!(pair(b"-1").word(), Some(u32::MAX));
        assert_eq!(pair(b"4294967295").word(), Some(u32::MAX));
        assert_eq!(pair(b"99999999999").word(), None);
    }
}

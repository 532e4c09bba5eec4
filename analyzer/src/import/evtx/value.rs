//! Values of binary XML as Windows renders them.

use std::io::Write as _;

use crate::import::evtx::bytes::{Fault, u16_at, u32_at, u64_at};

/// Set in a type: it is an array of the type below.
pub(super) const ARRAY: u8 = 0x80;

/// A fragment of binary XML.
pub(super) const BINARY_XML: u8 = 0x21;

/// The null type: the value is not there.
pub(super) const NULL: u8 = 0x00;

/// A text in UTF-16.
pub(super) const STRING: u8 = 0x01;

/// Seconds from 1601, where FILETIME begins, to 1970.
const EPOCH_SECONDS: i64 = 11_644_473_600;

/// The characters of Windows-1252 at 0x80 to 0x9f; the rest is as in Latin-1.
const ANSI: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

/// A value: its type, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'b> {
    pub(super) kind: u8,
    pub(super) bytes: &'b [u8],
    /// Where the bytes are in the chunk.
    pub(super) at: usize,
}

impl<'b> Value<'b> {
    /// Whether there is none.
    pub(super) const fn is_null(&self) -> bool {
        self.kind == NULL || (self.kind == BINARY_XML && self.bytes.is_empty())
    }

    /// Its items, if it is an array; else itself.
    pub(super) fn items(&self) -> Items<'b> {
        Items {
            kind: self.kind & !ARRAY,
            is_array: self.kind & ARRAY != 0,
            rest: self.bytes,
            at: self.at,
            done: false,
        }
    }

    /// Appends its text in UTF-8.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let fault = Fault {
            at: self.at,
            expected: "a value of the size of its type",
        };
        self.write_text(out).ok_or(fault)
    }

    fn write_text(&self, out: &mut Vec<u8>) -> Option<()> {
        let bytes = self.bytes;
        let narrow = |out: &mut Vec<u8>, number: i64| {
            if number < 0 {
                out.push(b'-');
            }
            decimal(number.unsigned_abs(), 1, out);
            Some(())
        };
        match self.kind {
            NULL => Some(()),
            STRING => {
                utf16(bytes, out);
                Some(())
            }
            0x02 => {
                ansi(bytes, out);
                Some(())
            }
            0x03 => narrow(out, i64::from(bytes.first()?.cast_signed())),
            0x04 => narrow(out, i64::from(*bytes.first()?)),
            0x05 => narrow(out, i64::from(u16_at(bytes, 0)?.cast_signed())),
            0x06 => narrow(out, i64::from(u16_at(bytes, 0)?)),
            0x07 => narrow(out, i64::from(u32_at(bytes, 0)?.cast_signed())),
            0x08 => narrow(out, i64::from(u32_at(bytes, 0)?)),
            0x09 => narrow(out, u64_at(bytes, 0)?.cast_signed()),
            0x0a => {
                decimal(u64_at(bytes, 0)?, 1, out);
                Some(())
            }
            0x0b => write!(out, "{:?}", f32::from_bits(u32_at(bytes, 0)?)).ok(),
            0x0c => write!(out, "{:?}", f64::from_bits(u64_at(bytes, 0)?)).ok(),
            // Windows keeps masks in places that are said to be true or false.
            0x0d => match u32_at(bytes, 0)?.cast_signed() {
                0 => write!(out, "false").ok(),
                1 => write!(out, "true").ok(),
                mask => narrow(out, i64::from(mask)),
            },
            0x0e => {
                for byte in bytes {
                    let digit =
                        |nibble: u8| HEX.get(usize::from(nibble)).map(u8::to_ascii_uppercase);
                    out.extend(digit(byte >> 4));
                    out.extend(digit(byte & 15));
                }
                Some(())
            }
            0x0f => guid(bytes, out),
            0x10 | 0x14 | 0x15 => {
                let number = match bytes.len() {
                    4.. if self.kind == 0x14 || bytes.len() < 8 => u64::from(u32_at(bytes, 0)?),
                    _ => u64_at(bytes, 0)?,
                };
                out.extend_from_slice(b"0x");
                hex(number, 1, out);
                Some(())
            }
            0x11 => filetime(u64_at(bytes, 0)?, out),
            0x12 => systemtime(bytes, out),
            0x13 => sid(bytes, out),
            BINARY_XML => bytes.is_empty().then_some(()),
            _ => None,
        }
    }
}

/// The items of an array, one after another.
#[derive(Clone, Debug)]
pub(super) struct Items<'b> {
    kind: u8,
    is_array: bool,
    rest: &'b [u8],
    at: usize,
    done: bool,
}

impl<'b> Iterator for Items<'b> {
    type Item = Value<'b>;

    fn next(&mut self) -> Option<Value<'b>> {
        if self.done || (self.is_array && self.rest.is_empty()) {
            return None;
        }
        let len = if self.is_array {
            item_len(self.kind, self.rest)
        } else {
            self.rest.len()
        };
        let (item, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        let at = self.at;
        self.rest = rest;
        self.at += item.len();
        self.done = !self.is_array || item.is_empty();
        Some(Value {
            kind: self.kind,
            bytes: item,
            at,
        })
    }
}

/// Bytes of a value whose type says them; `None` for texts and others that need to be told.
pub(super) fn fixed_len(kind: u8, rest: &[u8]) -> Option<usize> {
    match kind {
        0x00 => Some(0),
        0x03 | 0x04 => Some(1),
        0x05 | 0x06 => Some(2),
        0x07 | 0x08 | 0x0b | 0x0d | 0x14 => Some(4),
        0x09 | 0x0a | 0x0c | 0x11 | 0x15 => Some(8),
        0x0f | 0x12 => Some(16),
        0x13 => rest.get(1).map(|&parts| 8 + 4 * usize::from(parts)),
        _ => None,
    }
}

/// Bytes of the first item of an array. Texts end with a NUL, the last one maybe without.
fn item_len(kind: u8, rest: &[u8]) -> usize {
    match kind {
        STRING => {
            let (units, _) = rest.as_chunks::<2>();
            let nul = units.iter().position(|unit| *unit == [0, 0]);
            nul.map_or(rest.len(), |nul| 2 * (nul + 1))
        }
        0x02 => {
            let nul = rest.iter().position(|&byte| byte == 0);
            nul.map_or(rest.len(), |nul| nul + 1)
        }
        kind => fixed_len(kind, rest).unwrap_or(rest.len()),
    }
}

/// Appends a text in UTF-16 up to its first NUL. A half of a pair becomes U+FFFD.
pub(super) fn utf16(bytes: &[u8], out: &mut Vec<u8>) {
    let (units, _) = bytes.as_chunks::<2>();
    // Almost all of it is ASCII: two bytes become one.
    let is_plain = |unit: &[u8; 2]| matches!(*unit, [1..0x80, 0]);
    let plain = units.iter().position(|unit| !is_plain(unit));
    let plain = plain.unwrap_or(units.len());
    let ascii = units.get(..plain).unwrap_or_default();
    out.extend(ascii.iter().map(|unit| unit[0]));
    if units.get(plain).is_none_or(|unit| *unit == [0, 0]) {
        return;
    }
    let rest = units.get(plain..).unwrap_or_default();
    let rest = rest.iter().map(|unit| u16::from_le_bytes(*unit));
    for unit in char::decode_utf16(rest) {
        match unit.unwrap_or(char::REPLACEMENT_CHARACTER) {
            '\0' => return,
            letter => push(letter, out),
        }
    }
}

fn ansi(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes.iter().filter(|&&byte| byte != 0) {
        let letter = match byte {
            0x80..=0x9f => ANSI.get(usize::from(byte - 0x80)).copied(),
            byte => Some(char::from(byte)),
        };
        push(letter.unwrap_or(char::REPLACEMENT_CHARACTER), out);
    }
}

fn push(letter: char, out: &mut Vec<u8>) {
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

fn guid(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (first, rest) = (u32_at(bytes, 0)?, bytes.get(8..16)?);
    let (second, third) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
    out.push(b'{');
    for (part, width) in [(u64::from(first), 8), (second.into(), 4), (third.into(), 4)] {
        hex(part, width, out);
        out.push(b'-');
    }
    for (place, byte) in rest.iter().enumerate() {
        if place == 2 {
            out.push(b'-');
        }
        hex(u64::from(*byte), 2, out);
    }
    out.push(b'}');
    Some(())
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a number in decimal digits, at least `width` of them, without the machinery of formatting:
/// a record has some twenty.
fn decimal(number: u64, width: usize, out: &mut Vec<u8>) {
    digits::<10>(number, width, out);
}

/// Appends a number in hex digits, at least `width` of them.
fn hex(number: u64, width: usize, out: &mut Vec<u8>) {
    digits::<16>(number, width, out);
}

fn digits<const BASE: u64>(mut number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    while number > 0 || out.len() - start < width {
        let digit = usize::try_from(number % BASE).unwrap_or(0);
        out.extend(HEX.get(digit));
        number /= BASE;
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

fn sid(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (&revision, &parts) = (bytes.first()?, bytes.get(1)?);
    let authority = bytes
        .get(2..8)?
        .iter()
        .fold(0_u64, |all, &byte| (all << 8) | u64::from(byte));
    out.extend_from_slice(b"S-");
    decimal(u64::from(revision), 1, out);
    out.push(b'-');
    decimal(authority, 1, out);
    for part in 0..usize::from(parts) {
        out.push(b'-');
        decimal(u64::from(u32_at(bytes, 8 + 4 * part)?), 1, out);
    }
    Some(())
}

/// Microseconds since 1970 of a FILETIME: 100 ns since 1601.
pub(super) fn filetime_us(ticks: u64) -> Option<i64> {
    i64::try_from(ticks / 10)
        .ok()?
        .checked_sub(EPOCH_SECONDS * 1_000_000)
}

fn filetime(ticks: u64, out: &mut Vec<u8>) -> Option<()> {
    let utc = saigen_schemas::event::format_utc(filetime_us(ticks)?);
    // Windows writes all seven digits of the second's fraction.
    let (whole, _) = utc.split_at_checked(utc.len().checked_sub(1)?)?;
    out.extend_from_slice(whole.as_bytes());
    decimal(ticks % 10, 1, out);
    out.push(b'Z');
    Some(())
}

fn systemtime(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let part = |place: usize| u16_at(bytes, 2 * place);
    let (year, month, day) = (part(0)?, part(1)?, part(3)?);
    let (hour, minute, second, ms) = (part(4)?, part(5)?, part(6)?, part(7)?);
    write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}0000Z"
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: u8, bytes: &[u8]) -> Vec<String> {
        let value = Value { kind, bytes, at: 0 };
        let write = |item: Value<'_>| {
            let mut out = Vec::new();
            item.write(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        value.items().map(write).collect()
    }

    #[test]
    fn values_read_as_windows_shows_them() {
        let one: [(u8, &[u8], &str); 18] = [
            (0x00, b"", ""),
            (0x01, b"a\0\xe9\0\0\0x\0", "a\u{e9}"),
            (0x01, b"a\0\x3d\xd8\x00\xde", "a\u{1f600}"),
            (0x02, b"\x80a\xe9\0", "\u{20ac}a\u{e9}"),
            (0x03, &[0xff], "-1"),
            (0x06, &[0xff, 0xff], "65535"),
            (0x07, &[0xfe, 0xff, 0xff, 0xff], "-2"),
            (0x0a, &[0xff; 8], "18446744073709551615"),
            (0x0c, &1.5_f64.to_le_bytes(), "1.5"),
            (0x0d, &[1, 0, 0, 0], "true"),
            (0x0d, &[2, 0, 0, 0], "2"),
            (0x0e, &[0xab, 1], "AB01"),
            (
                0x0f,
                &[3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15],
                "{00010203-0405-0607-0809-0a0b0c0d0e0f}",
            ),
            (0x10, &[0xe7, 3, 0, 0], "0x3e7"),
            (0x15, &[0xe7, 3, 0, 0, 0, 0, 0, 0], "0x3e7"),
            (
                0x11,
                &116_444_736_000_000_017_u64.to_le_bytes(),
                "1970-01-01T00:00:00.0000017Z",
            ),
            (
                0x12,
                &[0xe8, 7, 2, 0, 0, 0, 29, 0, 1, 0, 2, 0, 3, 0, 4, 0],
                "2024-02-29T01:02:03.0040000Z",
            ),
            (
                0x13,
                &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0],
                "S-1-5-32-544",
            ),
        ];
        for (kind, bytes, shown) in one {
            assert_eq!(text(kind, bytes), [shown], "type {kind:#x}");
        }
    }

    #[test]
    fn arrays_are_their_items_and_short_values_are_faults() {
        assert_eq!(text(0x81, b"a\0\0\0\0\0b\0"), ["a", "", "b"]);
        assert_eq!(text(0x88, &[1, 0, 0, 0, 2, 0, 0, 0]), ["1", "2"]);
        assert_eq!(text(0x82, b"x\0y"), ["x", "y"]);
        assert!(text(0x81, b"").is_empty());
        let short = Value {
            kind: 0x08,
            bytes: &[1],
            at: 7,
        };
        assert_eq!(short.write(&mut Vec::new()).unwrap_err().at, 7);
    }
}

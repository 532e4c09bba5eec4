//! Values as Windows logs write them: numbers in decimal or hex, GUIDs, addresses, moments.

use std::net::IpAddr;

use saigen_schemas::event::{Guid, Hash32};

/// A number in decimal, or in hex after `0x`.
pub(in crate::import) fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let (digits, radix) = match text.split_first_chunk::<2>() {
        Some((b"0x" | b"0X", digits)) => (digits, 16),
        _ => (text, 10),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

/// A GUID with or without braces. One whose second half is zero names nothing: Sysmon writes it for a
/// process that it does not know, with its machine and the second before it.
pub(in crate::import) fn guid(text: &[u8]) -> Option<Guid> {
    let guid = Guid::parse(std::str::from_utf8(text.trim_ascii()).ok()?)?;
    let names_one = guid.0.iter().skip(8).any(|&byte| byte != 0);
    names_one.then_some(guid)
}

/// An address, without the zone that some logs add to it (`fe80::1%4`).
pub(in crate::import) fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let bare = text.split_once('%').map_or(text, |(bare, _)| bare);
    bare.parse().ok()
}

/// The SHA-256 in a list of hashes, `ALGORITHM=hex,…`, or alone.
pub(in crate::import) fn sha256(text: &[u8]) -> Option<Hash32> {
    let digits = text
        .split(|&byte| byte == b',')
        .filter_map(|item| item.split_at_checked(7))
        .find(|(name, _)| name.eq_ignore_ascii_case(b"SHA256="))
        .map_or(text, |(_, digits)| digits);
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0_u8; 32];
    let (pairs, _) = digits.as_chunks::<2>();
    for (slot, pair) in hash.iter_mut().zip(pairs) {
        let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16)?).ok();
        *slot = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(Hash32(hash))
}

/// A moment in UTC microseconds: `2020-09-20 16:16:06.470`, with `T` or a space, up to nine digits of
/// a second, and `Z`, an offset or nothing (then UTC) behind it.
pub(in crate::import) fn moment(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let (year, text) = digits(text, 4)?;
    let (month, text) = digits(text.strip_prefix(b"-")?, 2)?;
    let (day, text) = digits(text.strip_prefix(b"-")?, 2)?;
    let text = match text.split_first() {
        Some((b'T' | b't' | b' ', text)) => text,
        _ => return None,
    };
    let (hour, text) = digits(text, 2)?;
    let (minute, text) = digits(text.strip_prefix(b":")?, 2)?;
    let (second, mut text) = match text.strip_prefix(b":") {
        Some(text) => digits(text, 2)?,
        None => (0, text),
    };
    let plausible = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !plausible || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut micros = 0;
    if let Some((b'.' | b',', fraction)) = text.split_first() {
        let count = fraction
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (fraction, rest) = fraction.split_at_checked(count)?;
        for place in 0..6 {
            let digit = fraction.get(place).map_or(0, |byte| i64::from(byte - b'0'));
            micros = micros * 10 + digit;
        }
        text = rest;
    }
    let offset = offset_minutes(text)?;
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3600 + (minute - offset) * 60 + second;
    Some(seconds * 1_000_000 + micros)
}

/// Minutes east of Greenwich: `Z`, nothing, `+02:00`, `-0530`, `+01`.
fn offset_minutes(text: &[u8]) -> Option<i64> {
    let (sign, text) = match text.trim_ascii().split_first() {
        None | Some((b'Z' | b'z', [])) => return Some(0),
        Some((b'+', text)) => (1, text),
        Some((b'-', text)) => (-1, text),
        Some(_) => return None,
    };
    let (hours, text) = digits(text, 2)?;
    let minutes = match text.strip_prefix(b":").unwrap_or(text) {
        [] => 0,
        text => digits(text, 2).filter(|(_, rest)| rest.is_empty())?.0,
    };
    Some(sign * (hours * 60 + minutes))
}

/// So many decimal digits, and what follows them.
fn digits(text: &[u8], count: usize) -> Option<(i64, &[u8])> {
    let (digits, rest) = text.split_at_checked(count)?;
    let mut number = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    Some((number, rest))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use saigen_schemas::event::format_utc;

    use super::*;

    #[test]
    fn numbers_are_decimal_or_hex() {
        assert_eq!(number(b"1234"), Some(1234));
        assert_eq!(number(b"0x3E7"), Some(999));
        for wrong in [
            &b""[..],
            b"-",
            b"0x",
            b"12a",
            b"+5",
            b"99999999999999999999",
        ] {
            assert_eq!(number(wrong), None);
        }
    }

    #[test]
    fn moments_read_in_every_spelling() {
        for (text, expected) in [
            ("2024-02-29 23:59:59.123", "2024-02-29T23:59:59.123000Z"),
            (
                "2024-02-29T23:59:59.1234567Z",
                "2024-02-29T23:59:59.123456Z",
            ),
            ("2024-03-01T01:30:00+02:00", "2024-02-29T23:30:00.000000Z"),
            ("1999-12-31T20:00:00-0400", "2000-01-01T00:00:00.000000Z"),
            ("1969-12-31 23:59:59", "1969-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(
                moment(text.as_bytes()).map(format_utc).as_deref(),
                Some(expected)
            );
        }
        for wrong in [
            "",
            "-",
            "2024-13-01 00:00:00",
            "yesterday",
            "2024-01-01 00:00:00 PM",
        ] {
            assert_eq!(moment(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_lose_their_zone_and_guids_of_zeros_are_none() {
        assert_eq!(address(b"fe80::1%12"), "fe80::1".parse().ok());
        assert_eq!(address(b"0:0:0:0:0:0:0:1"), "::1".parse().ok());
        assert_eq!(address(b"-"), None);
        assert_eq!(guid(b"{00000000-0000-0000-0000-000000000000}"), None);
        assert_eq!(guid(b"{5ed6db7f-9145-5f21-0000-000000000000}"), None);
        assert!(guid(b"5ED6DB7F-9145-5F21-0000-0010AD650000").is_some());
    }

    #[test]
    fn a_sha256_is_found_among_others() {
        let digits = "ab".repeat(32);
        let expected = Some(Hash32([0xab; 32]));
        for text in [
            digits.clone(),
            format!("MD5=00,SHA256={digits},IMPHASH=11"),
            format!("sha256={digits}"),
        ] {
            assert_eq!(sha256(text.as_bytes()), expected);
        }
        assert_eq!(sha256(b"MD5=00"), None);
        assert_eq!(sha256("zz".repeat(32).as_bytes()), None);
    }
}

//! Numbers of varying length: seven bits a byte, the lowest first, the top bit says that more
//! follow (LEB128). At most ten bytes, and no longer than needed, so that a number has one form.

/// Appends a number.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, value: u64) {
    let [low, ..] = value.to_le_bytes();
    if value < 0x80 {
        out.push(low);
    } else {
        put_long(out, value);
    }
}

/// Appends a number of several bytes at once.
fn put_long(out: &mut Vec<u8>, mut value: u64) {
    let mut bytes = [0; LEN_MAX];
    let mut len = 0;
    for byte in &mut bytes {
        let [low, ..] = (value & 0x7f).to_le_bytes();
        value >>= 7;
        len += 1;
        if value == 0 {
            *byte = low;
            break;
        }
        *byte = low | 0x80;
    }
    out.extend_from_slice(bytes.get(..len).unwrap_or_default());
}

/// Most bytes of a number.
const LEN_MAX: usize = 10;

/// Takes a number from the front; `None` if it is cut, too long or not in its shortest form.
#[inline]
pub(crate) fn take(rest: &mut &[u8]) -> Option<u64> {
    let (&first, after) = rest.split_first()?;
    *rest = after;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && low > 1 {
            return None;
        }
        value |= low << shift;
        if byte < 0x80 {
            return (byte != 0).then_some(value);
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

/// Folds the sign into the lowest bit, so that small numbers of either sign stay short.
#[must_use]
pub(crate) const fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// Undoes [`zigzag`].
#[must_use]
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for value in [
            0,
            1,
            127,
            128,
            300,
            u64::from(u32::MAX),
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            let mut rest = bytes.as_slice();
            assert_eq!(take(&mut rest), Some(value));
            assert!(rest.is_empty());
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }

    #[test]
    fn cut_long_and_padded_numbers_are_refused() {
        for bytes in [
            &b""[..],
            b"\x80",
            b"\x80\x00",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            &[0xff; 11],
        ] {
            assert_eq!(take(&mut &*bytes), None, "{bytes:?}");
        }
    }
}

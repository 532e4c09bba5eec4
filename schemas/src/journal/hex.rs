//! Bytes as hex digits, in openings and key files.

/// The bytes in lower-case hex.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of exactly `N` from hex, either case; `None` for any other text.
#[must_use]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut out = [0; N];
    for (slot, at) in out.iter_mut().zip((0..).step_by(2)) {
        *slot = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_back_and_nothing_else_is_hex() {
        assert_eq!(from_hex(&to_hex(&[0, 255, 16])), Some([0, 255, 16]));
        for wrong in ["00", "0000000", "zz0000", "+10000", "é000"] {
            assert_eq!(from_hex::<3>(wrong), None, "{wrong}");
        }
    }
}

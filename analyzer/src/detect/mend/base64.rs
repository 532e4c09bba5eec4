//! `base64offset`: what is certain of an encoding at each of its three places.

use rsigma_ir::IrEncoding;

/// The bytes that `base64offset` encodes, after the UTF-16 modifier before it.
pub(super) fn encoded_bytes(encodings: &[IrEncoding], value: &str) -> Vec<u8> {
    let units = || value.encode_utf16();
    if encodings.contains(&IrEncoding::Wide) {
        units().flat_map(u16::to_le_bytes).collect()
    } else if encodings.contains(&IrEncoding::Utf16Be) {
        units().flat_map(u16::to_be_bytes).collect()
    } else if encodings.contains(&IrEncoding::Utf16) {
        [0xff, 0xfe]
            .into_iter()
            .chain(units().flat_map(u16::to_le_bytes))
            .collect()
    } else {
        value.as_bytes().to_vec()
    }
}

/// What of the three encodings of some bytes, by their place modulo 3 in a longer text, does not
/// depend on the bytes around them.
pub(super) fn base64_offsets(bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::with_capacity(3);
    for (offset, skip) in [(0, 0), (1, 2), (2, 3)] {
        let mut shifted = vec![0; offset];
        shifted.extend_from_slice(bytes);
        let whole_bits = shifted.len() * 8;
        let text = base64(&shifted);
        // A character is certain when all of its six bits are known.
        if let Some(certain) = text.get(skip..whole_bits / 6)
            && !certain.is_empty()
        {
            texts.push(certain.to_owned());
        }
    }
    texts
}

/// Base64 (RFC 4648 §4) without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, index| {
            bits << 8 | usize::from(group.get(index).copied().unwrap_or(0))
        });
        for digit in 0..=group.len() {
            let index = bits >> (18 - 6 * digit) & 0x3f;
            text.extend(DIGITS.get(index).copied().map(char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn an_encoded_text_is_found_at_every_place_in_every_text() {
        for needle in ["ab", "abc", "/bin/bash", "foobar!"] {
            let patterns = base64_offsets(needle.as_bytes());
            for before in 0..7 {
                for after in ["", "x", "yz", "\u{7f}~~"] {
                    let whole = base64(format!("{}{needle}{after}", "#".repeat(before)).as_bytes());
                    let found = patterns
                        .iter()
                        .any(|pattern| whole.contains(pattern.as_str()));
                    assert!(
                        found,
                        "{needle} after {before} before {after:?}: {patterns:?} in {whole}"
                    );
                }
            }
        }
    }
}

//! Bytes of the evidence as text of the report.

use std::fmt::Write;

/// Turns bytes of the evidence into text without losing a byte: what is UTF-8 stays as it
/// is, each other byte becomes a visible `⟨0xFF⟩`.
///
/// The usual replacement character would make two different file names look the same. A
/// name that holds the characters `⟨0xFF⟩` themselves is told apart by its record, which
/// keeps the bytes.
pub fn text_from_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            write!(text, "⟨0x{byte:02X}⟩").expect("writing to a String cannot fail");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_other_bytes_are_shown() {
        assert_eq!(
            text_from_bytes("naïve \u{202e}txt".as_bytes()),
            "naïve \u{202e}txt"
        );
        assert_eq!(
            text_from_bytes(b"/tmp/\xff\xfeA\xc3"),
            "/tmp/⟨0xFF⟩⟨0xFE⟩A⟨0xC3⟩"
        );
        assert_eq!(text_from_bytes(b""), "");
    }
}

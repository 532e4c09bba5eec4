//! Texts of evidence on their way to a screen. Neutral: both wings and the command line show them.

/// A text from evidence for a line on a screen: what a terminal would obey, or what hides or turns
/// text, is shown as `\u{…}`.
#[must_use]
pub fn safe_text(text: &str) -> String {
    let obeyed = |character: char| {
        character.is_control()
            || matches!(
                character,
                '\u{61c}'
                    | '\u{200b}'..='\u{200f}'
                    | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}'
                    | '\u{feff}'
            )
    };
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if obeyed(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(safe_text("plain ü"), "plain ü");
        assert_eq!(safe_text("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(safe_text("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
    }
}

//! Makes text visible that would otherwise act: on a terminal, a browser or a reader's eye.
//!
//! File names and arguments are written by the attacker. A right-to-left override shows
//! `gpj.exe` as `exe.jpg`; an escape sequence repaints a terminal; a zero-width space makes
//! two names look the same. All of these become `⟨U+202E⟩` and the like.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Text with everything that acts or hides shown as `⟨U+XXXX⟩`.
#[derive(Debug, Clone, Copy)]
pub struct Visible<'a>(pub &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in parts(self.0) {
            match part {
                Part::Plain(text) => f.write_str(text)?,
                Part::Hidden(c) => write_escape(f, c)?,
            }
        }
        Ok(())
    }
}

/// A run of text that shows itself, or one character that does not.
pub(super) enum Part<'a> {
    Plain(&'a str),
    Hidden(char),
}

/// Cuts text into runs that show themselves and characters that do not.
pub(super) fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let hidden = acts_or_hides(first);
        let at = if hidden {
            first.len_utf8()
        } else {
            rest.find(acts_or_hides).unwrap_or(rest.len())
        };
        let (part, after) = rest.split_at(at);
        rest = after;
        Some(if hidden {
            Part::Hidden(first)
        } else {
            Part::Plain(part)
        })
    })
}

/// Writes a character as `⟨U+XXXX⟩`.
pub(super) fn write_escape(out: &mut impl Write, c: char) -> fmt::Result {
    write!(out, "⟨U+{:04X}⟩", u32::from(c))
}

/// Whether a character acts on what shows it, or cannot be seen.
pub(super) fn acts_or_hides(c: char) -> bool {
    // Most text is printable ASCII.
    if (' '..='~').contains(&c) {
        return false;
    }
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}'       // soft hyphen, grapheme joiner, Arabic mark
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers: blank letters
            | '\u{17b4}' | '\u{17b5}'              // Khmer vowels without a shape
            | '\u{180b}'..='\u{180f}'              // Mongolian selectors and separator
            | '\u{2000}'..='\u{200f}'              // odd spaces, zero width, direction marks
            | '\u{2028}'..='\u{202f}'              // line ends, embeddings and overrides
            | '\u{205f}'..='\u{206f}'              // joiners, isolates, deprecated controls
            | '\u{a0}' | '\u{1680}' | '\u{2800}' | '\u{3000}' // spaces that are not a space
            | '\u{e000}'..='\u{f8ff}'              // private use: no agreed shape
            | '\u{fe00}'..='\u{fe0f}'              // variation selectors
            | '\u{feff}' | '\u{fff0}'..='\u{fffb}' // byte order mark, annotation marks
            | '\u{fffe}' | '\u{ffff}'
            | '\u{1bca0}'..='\u{1bca3}'            // shorthand format controls
            | '\u{1d173}'..='\u{1d17a}'            // musical format controls
            | '\u{e0000}'..='\u{10ffff}') // tags, selectors, private use
}

/// Cuts text that is longer than `most` characters: its head, how much is missing, its tail.
///
/// What stands at the end of a long command line is often what matters, so a third of the
/// room is the tail's. The record behind the text keeps all of it.
pub fn clip(text: &str, most: usize) -> Cow<'_, str> {
    // A text cannot have more characters than bytes.
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let count = text.chars().count();
    if count <= most {
        return Cow::Borrowed(text);
    }
    let tail = most / 3;
    let head = most - tail;
    let head_end = byte_of(text, head);
    let tail_start = byte_of(text, count - tail);
    Cow::Owned(format!(
        "{}⟨+{} characters⟩{}",
        &text[..head_end],
        count - most,
        &text[tail_start..]
    ))
}

fn byte_of(text: &str, character: usize) -> usize {
    text.char_indices()
        .nth(character)
        .map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_is_shown() {
        for (text, shown) in [
            ("plain ~ text", "plain ~ text"),
            ("Grüße, 日本, \u{5d0}", "Grüße, 日本, \u{5d0}"),
            ("a\u{202e}gpj.exe", "a⟨U+202E⟩gpj.exe"),
            (
                "\x1b[2J\r\n\t\u{7f}\u{9b}",
                "⟨U+001B⟩[2J⟨U+000D⟩⟨U+000A⟩⟨U+0009⟩⟨U+007F⟩⟨U+009B⟩",
            ),
            ("\u{200b}\u{feff}\u{e0041}", "⟨U+200B⟩⟨U+FEFF⟩⟨U+E0041⟩"),
        ] {
            assert_eq!(Visible(text).to_string(), shown);
        }
    }

    #[test]
    fn a_long_text_keeps_head_and_tail() {
        assert_eq!(clip("abcdefghij", 10), "abcdefghij");
        assert_eq!(clip("ääääääääää", 10), "ääääääääää");
        assert_eq!(clip("abcdefghijkl", 9), "abcdef⟨+3 characters⟩jkl");
        assert_eq!(clip("äbcdefghijkü", 9), "äbcdef⟨+3 characters⟩jkü");
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(text in "\\PC*|[\\x00-\\x{ffff}]*") {
            prop_assert!(!Visible(&text).to_string().chars().any(acts_or_hides));
        }
    }
}

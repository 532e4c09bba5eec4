//! The configuration file: the options of `record`, one a line, in a small part of TOML.
//!
//! `name = value`, where a value is a text in quotes, a whole number, `true` or `false`, or a list of
//! texts, which may go over several lines; `#` begins a comment. Tables, other numbers and dates are
//! not needed and not taken (TOML 1.0 has them). An error says where it stands; an unknown name is refused with the
//! nearest that is known, so that a slip never silently loses a bound.

use std::fmt;

/// The names that may stand in the file: the options of `record`, and its lists.
pub const NAMES: [&str; 14] = [
    "dns",
    "environment",
    "exclude",
    "for",
    "kernel-buffers",
    "key",
    "linger",
    "max-cpu",
    "max-disk",
    "max-events",
    "output",
    "share-audit",
    "watch-reads",
    "without",
];

/// The most bytes of a configuration file.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Which, one of [`NAMES`].
    pub name: &'static str,
    /// What it is set to.
    pub value: Value,
    /// Where the value stands.
    pub at: Place,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(u64),
    /// `true` or `false`.
    Flag(Flag),
    /// Texts.
    List(Vec<String>),
}

/// `true` or `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// `true`.
    Yes,
    /// `false`.
    No,
}

/// A place in the file, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub at: Place,
    /// What.
    pub what: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.at.line, self.at.column, self.what)
    }
}

impl std::error::Error for ConfigError {}

/// Reads a configuration.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(text: &str) -> Result<Vec<Setting>, ConfigError> {
    let mut reader = Reader {
        rest: text,
        at: Place { line: 1, column: 1 },
    };
    let mut settings: Vec<Setting> = Vec::new();
    loop {
        reader.skip_lines();
        if reader.peek().is_none() {
            return Ok(settings);
        }
        let setting = reader.setting()?;
        if settings.iter().any(|known| known.name == setting.name) {
            return Err(ConfigError {
                at: setting.at,
                what: format!("{} is set a second time", setting.name),
            });
        }
        settings.push(setting);
    }
}

struct Reader<'t> {
    rest: &'t str,
    at: Place,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        if next == '\n' {
            self.at.line += 1;
            self.at.column = 1;
        } else {
            self.at.column += 1;
        }
        Some(next)
    }

    fn error<T>(&self, what: impl Into<String>) -> Result<T, ConfigError> {
        Err(ConfigError {
            at: self.at,
            what: what.into(),
        })
    }

    /// Says what stands where something else was expected.
    fn expected<T>(&self, what: &str) -> Result<T, ConfigError> {
        match self.peek() {
            None => self.error(format!("expected {what}, found the end of the file")),
            Some('\n') => self.error(format!("expected {what}, found the end of the line")),
            Some(other) => self.error(format!("expected {what}, found {other:?}")),
        }
    }

    fn skip_blanks(&mut self) {
        while self
            .peek()
            .is_some_and(|next| matches!(next, ' ' | '\t' | '\r'))
        {
            self.next();
        }
        if self.peek() == Some('#') {
            while self.peek().is_some_and(|next| next != '\n') {
                self.next();
            }
        }
    }

    fn skip_lines(&mut self) {
        loop {
            self.skip_blanks();
            if self.peek() != Some('\n') {
                return;
            }
            self.next();
        }
    }

    fn setting(&mut self) -> Result<Setting, ConfigError> {
        let began = self.at;
        if self.peek() == Some('[') {
            return self.error("tables are not used here: settings stand one a line, name = value");
        }
        let word = self.word();
        if word.is_empty() {
            return self.expected("a name");
        }
        // Both ways of writing are common.
        let Some(name) = NAMES
            .into_iter()
            .find(|name| *name == word.replace('_', "-"))
        else {
            return Err(ConfigError {
                at: began,
                what: match nearest(&word, &NAMES) {
                    Some(near) => format!("unknown name {word:?}; did you mean {near}?"),
                    None => format!("unknown name {word:?}"),
                },
            });
        };
        self.skip_blanks();
        if self.peek() != Some('=') {
            return self.expected("=");
        }
        self.next();
        self.skip_blanks();
        let at = self.at;
        let value = self.value()?;
        self.skip_blanks();
        if self.peek().is_some_and(|next| next != '\n') {
            return self.expected("the end of the line");
        }
        Ok(Setting { name, value, at })
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(next) = self
            .peek()
            .filter(|next| next.is_alphanumeric() || matches!(next, '-' | '_'))
        {
            word.push(next);
            self.next();
        }
        word
    }

    fn value(&mut self) -> Result<Value, ConfigError> {
        match self.peek() {
            Some('"' | '\'') => Ok(Value::Text(self.text()?)),
            Some('[') => Ok(Value::List(self.list()?)),
            _ => {
                let began = self.at;
                match self.word().as_str() {
                    "true" => Ok(Value::Flag(Flag::Yes)),
                    "false" => Ok(Value::Flag(Flag::No)),
                    word => number(word).map(Value::Number).map_or_else(
                        || {
                            self.at = began;
                            self.error(format!(
                                "expected a text in quotes, a whole number, true, false or a list, found {word:?}"
                            ))
                        },
                        Ok,
                    ),
                }
            }
        }
    }

    fn text(&mut self) -> Result<String, ConfigError> {
        let Some(quote) = self.next() else {
            return self.expected("a text in quotes");
        };
        let mut text = String::new();
        loop {
            match self.peek() {
                None | Some('\n') => {
                    return self.expected(&format!("{quote} at the end of the text"));
                }
                Some('\\') if quote == '"' => {
                    self.next();
                    text.push(match self.peek() {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some(same @ ('"' | '\\')) => same,
                        _ => return self.expected("one of n, t, \" and \\ after \\"),
                    });
                }
                Some(end) if end == quote => {
                    self.next();
                    return Ok(text);
                }
                Some(other) => text.push(other),
            }
            self.next();
        }
    }

    fn list(&mut self) -> Result<Vec<String>, ConfigError> {
        self.next();
        let mut list = Vec::new();
        loop {
            self.skip_lines();
            match self.peek() {
                Some(']') => {
                    self.next();
                    return Ok(list);
                }
                Some('"' | '\'') => list.push(self.text()?),
                _ => return self.expected("a text in quotes or ]"),
            }
            self.skip_lines();
            match self.peek() {
                Some(',') => {
                    self.next();
                }
                Some(']') => {}
                _ => return self.expected(", or ]"),
            }
        }
    }
}

/// A whole number without sign; TOML lets `_` stand between digits, and no 0 before others.
fn number(word: &str) -> Option<u64> {
    let digits = word
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let is_number = digits && (word == "0" || !word.starts_with('0'));
    is_number.then(|| word.replace('_', "").parse().ok())?
}

/// The name that is most like a word, if there are any names.
#[must_use]
pub fn nearest(word: &str, names: &[&'static str]) -> Option<&'static str> {
    let word = word.to_lowercase();
    names
        .iter()
        .copied()
        .min_by_key(|name| distance(&word, name))
}

/// How many characters must be put in, taken out or changed to make one word of the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, have) in from.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (at, want) in to.iter().enumerate() {
            let above = row.get(at + 1).copied().unwrap_or(usize::MAX);
            let change = diagonal + usize::from(have != *want);
            let here = change.min(left + 1).min(above.saturating_add(1));
            diagonal = above;
            if let Some(place) = row.get_mut(at) {
                *place = left;
            }
            left = here;
        }
        if let Some(place) = row.last_mut() {
            *place = left;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn settings_are_read_with_comments_and_lists() {
        let text = "# bounds\nmax-disk = \"2GiB\" # all of it\n\nwithout = [\n  'audit', # no\n  \"sock_diag\",\n]\ndns = true\nkey = \"a\\\"b\\\\\"\n";
        let settings = parse(text).unwrap();
        let value = |name| {
            let found = settings.iter().find(|setting| setting.name == name);
            found.unwrap().value.clone()
        };
        assert_eq!(value("max-disk"), Value::Text("2GiB".to_owned()));
        assert_eq!(
            value("without"),
            Value::List(vec!["audit".to_owned(), "sock_diag".to_owned()])
        );
        assert_eq!(value("dns"), Value::Flag(Flag::Yes));
        assert_eq!(value("key"), Value::Text("a\"b\\".to_owned()));
        assert_eq!(
            settings[0].at,
            Place {
                line: 2,
                column: 12
            }
        );
        assert_eq!(
            parse("max-events = 20_000").unwrap()[0].value,
            Value::Number(20_000)
        );
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("share_audit = false").unwrap()[0].name, "share-audit");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert_eq!(
            error("dns = true\nmaxdisk = \"1\""),
            "2:1: unknown name \"maxdisk\"; did you mean max-disk?"
        );
        assert_eq!(error("dns true"), "1:5: expected =, found 't'");
        assert_eq!(
            error("key = \"a\n"),
            "1:9: expected \" at the end of the text, found the end of the line"
        );
        assert!(
            error("dns = yes").starts_with("1:7: expected a text in quotes, a whole number, true")
        );
        for bad in [
            "01",
            "1_",
            "_1",
            "1__0",
            "-1",
            "1.5",
            "99999999999999999999",
        ] {
            assert!(parse(&format!("max-events = {bad}")).is_err(), "{bad}");
        }
        assert!(error("[record]").starts_with("1:1: tables are not used"));
        assert_eq!(
            error("dns = true\ndns = true"),
            "2:7: dns is set a second time"
        );
        assert_eq!(
            error("dns = true x"),
            "1:12: expected the end of the line, found 'x'"
        );
        assert!(error("without = [\"a\" \"b\"]").starts_with("1:16: expected , or ]"));
        assert!(error("without = [").contains("found the end of the file"));
    }

    #[test]
    fn distances_are_those_of_the_book() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn every_cut_of_a_file_is_settings_or_an_error() {
        let text = "max-disk = \"2GiB\"\nwithout = ['audit', \"x\\n\"]\ndns = true\n";
        for cut in 0..text.len() {
            // Whichever it is, it ends.
            let _ = parse(&text[..cut]);
        }
    }
}

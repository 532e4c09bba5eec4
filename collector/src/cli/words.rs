//! Words of a command line: what a command takes, told once, for reading arguments and for its help.

use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A command and what it takes.
#[derive(Debug)]
pub(super) struct Shape {
    /// Its word.
    pub name: &'static str,
    /// What it is for, in one line.
    pub about: &'static str,
    /// What a person should know before using it.
    pub more: &'static str,
    /// The word for its one argument that is no option, and what it is.
    pub argument: Option<(&'static str, &'static str)>,
    /// What follows `--`, and what it is.
    pub tail: Option<(&'static str, &'static str)>,
    /// Its options, in the order of the help.
    pub options: &'static [Word],
}

/// An option.
#[derive(Debug)]
pub(super) struct Word {
    /// Its letter.
    pub letter: Option<char>,
    /// Its name, without the two hyphens.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What it does.
    pub help: &'static str,
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing: it is there or not.
    Nothing,
    /// One value, called so in the help.
    One(&'static str),
    /// A value each time that it is given.
    Many(&'static str),
}

impl Word {
    /// An option without a value.
    pub const fn flag(name: &'static str, help: &'static str) -> Word {
        Word {
            letter: None,
            name,
            takes: Takes::Nothing,
            help,
        }
    }

    /// An option with a value.
    pub const fn one(name: &'static str, value: &'static str, help: &'static str) -> Word {
        Word {
            letter: None,
            name,
            takes: Takes::One(value),
            help,
        }
    }

    /// The same with a letter too.
    pub const fn or(self, letter: char) -> Word {
        Word {
            letter: Some(letter),
            ..self
        }
    }

    /// The same, to be given as often as one likes.
    pub const fn again(self) -> Word {
        let takes = match self.takes {
            Takes::Nothing => Takes::Nothing,
            Takes::One(value) | Takes::Many(value) => Takes::Many(value),
        };
        Word { takes, ..self }
    }
}

/// What was given to a command.
#[derive(Debug, Default)]
pub(super) struct Given {
    options: Vec<(&'static str, OsString)>,
    /// The argument that is no option.
    pub argument: Option<OsString>,
    /// What followed `--`.
    pub tail: Vec<OsString>,
}

impl Given {
    /// Whether an option was given.
    pub fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| *known == name)
    }

    /// The values of an option.
    pub fn all<'g>(&'g self, name: &'g str) -> impl Iterator<Item = &'g OsStr> {
        self.options
            .iter()
            .filter(move |(known, _)| *known == name)
            .map(|(_, value)| value.as_os_str())
    }

    /// The value of an option, as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.all(name).next().map(PathBuf::from)
    }

    /// The value of an option that a command cannot do without.
    pub fn needed(&self, name: &str) -> Result<PathBuf, String> {
        self.path(name)
            .ok_or_else(|| format!("--{name} is missing"))
    }

    /// The values of an option, read by `read`, which says what it expected.
    pub fn read<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        self.all(name)
            .map(|value| {
                let text = value.to_str().ok_or("expected UTF-8".to_owned());
                text.and_then(&read)
                    .map_err(|what| format!("--{name} {}: {what}", value.to_string_lossy()))
            })
            .collect()
    }
}

/// What the arguments of a command ask for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To be done with this.
    Do(Given),
    /// Its help.
    Help,
    /// The version.
    Version,
}

impl Shape {
    /// Reads what follows the command's word.
    pub fn read(&self, parser: &mut Parser) -> Result<Asked, String> {
        let mut given = Given::default();
        loop {
            if self.tail.is_some()
                && let Some(rest) = parser.try_raw_args()
                && rest.peek() == Some(OsStr::new("--"))
            {
                given.tail = rest.skip(1).collect();
                break;
            }
            let word = match parser.next().map_err(|error| error.to_string())? {
                None => break,
                Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Asked::Help),
                Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Asked::Version),
                Some(Arg::Short(letter)) => self
                    .options
                    .iter()
                    .find(|word| word.letter == Some(letter))
                    .ok_or_else(|| format!("unknown option -{letter}"))?,
                Some(Arg::Long(name)) => self
                    .options
                    .iter()
                    .find(|word| word.name == name)
                    .ok_or_else(|| self.unknown(name))?,
                Some(Arg::Value(value)) => {
                    if self.argument.is_none() || given.argument.is_some() {
                        return Err(format!("unexpected word {:?}", value.to_string_lossy()));
                    }
                    given.argument = Some(value);
                    continue;
                }
            };
            let once = !matches!(word.takes, Takes::Many(_));
            if once && given.has(word.name) {
                return Err(format!("--{} is given a second time", word.name));
            }
            let value = match word.takes {
                Takes::Nothing => OsString::new(),
                Takes::One(_) | Takes::Many(_) => {
                    parser.value().map_err(|error| error.to_string())?
                }
            };
            given.options.push((word.name, value));
        }
        if let (Some((name, _)), None) = (self.argument, &given.argument) {
            return Err(format!("{name} is missing"));
        }
        Ok(Asked::Do(given))
    }

    fn unknown(&self, name: &str) -> String {
        let names: Vec<_> = self.options.iter().map(|word| word.name).collect();
        match crate::config::nearest(name, &names) {
            Some(near) => format!("unknown option --{name}; did you mean --{near}?"),
            None => format!("unknown option --{name}"),
        }
    }

    /// The help of the command.
    pub fn help(&self) -> String {
        let mut text = format!(
            "{}\n\n{}\n\nUsage: saigen-collector {} [OPTIONS]",
            self.about, self.more, self.name
        );
        if let Some((name, _)) = self.argument {
            text.push_str(&format!(" {name}"));
        }
        if let Some((name, _)) = self.tail {
            text.push_str(&format!(" [-- {name}...]"));
        }
        text.push('\n');
        for (name, help) in [self.argument, self.tail].into_iter().flatten() {
            text.push_str(&format!("\n  {name}\n          {help}\n"));
        }
        text.push_str("\nOptions:\n");
        for word in self.options {
            let letter = word
                .letter
                .map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
            let value = match word.takes {
                Takes::Nothing => String::new(),
                Takes::One(value) | Takes::Many(value) => format!(" {value}"),
            };
            text.push_str(&format!(
                "  {letter}--{}{value}\n          {}\n",
                word.name, word.help
            ));
        }
        text.push_str(
            "  -h, --help\n          Print this\n  -V, --version\n          Print the version",
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        name: "weigh",
        about: "Weigh",
        more: "More.",
        argument: Some(("THING", "what")),
        tail: Some(("COMMAND", "run")),
        options: &[
            Word::one("output", "DIR", "where").or('o'),
            Word::one("without", "WORD", "not").again(),
            Word::flag("json", "so"),
        ],
    };

    fn read(arguments: &[&str]) -> Result<Asked, String> {
        SHAPE.read(&mut Parser::from_args(arguments))
    }

    fn given(arguments: &[&str]) -> Given {
        match read(arguments) {
            Ok(Asked::Do(given)) => given,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_stand_in_any_order_and_spelling() {
        for arguments in [
            &["thing", "-o", "d", "--json"][..],
            &["-od", "thing", "--json"],
            &["--json", "--output=d", "thing"],
        ] {
            let given = given(arguments);
            assert_eq!(given.path("output"), Some("d".into()), "{arguments:?}");
            assert!(given.has("json"));
            assert_eq!(given.argument.as_deref(), Some(OsStr::new("thing")));
        }
    }

    #[test]
    fn what_follows_two_hyphens_is_left_as_it_is() {
        let given = given(&[
            "t",
            "--without",
            "a",
            "--without",
            "b",
            "--",
            "x",
            "--json",
            "--",
        ]);
        assert_eq!(given.tail, ["x", "--json", "--"]);
        assert!(!given.has("json"));
        assert_eq!(given.all("without").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_slip_is_told_and_nothing_is_guessed() {
        for (arguments, says) in [
            (&["t", "--outptu", "d"][..], "did you mean --output?"),
            (&["t", "-x"], "unknown option -x"),
            (&["t", "u"], "unexpected word \"u\""),
            (&["t", "--json", "--json"], "--json is given a second time"),
            (&["t", "-o"], "missing argument"),
            (&["--json=yes", "t"], "unexpected argument"),
            (&[], "THING is missing"),
        ] {
            let refused = read(arguments).unwrap_err();
            assert!(refused.contains(says), "{arguments:?}: {refused}");
        }
    }

    #[test]
    fn help_names_all_that_is_taken() {
        let help = SHAPE.help();
        for part in [
            "weigh [OPTIONS] THING [-- COMMAND...]",
            "-o, --output DIR",
            "--without WORD",
        ] {
            assert!(help.contains(part), "{help}");
        }
        assert!(matches!(read(&["-h"]), Ok(Asked::Help)));
        assert!(matches!(read(&["t", "--version"]), Ok(Asked::Version)));
    }
}

//! What a command writes to: data to stdout, words to stderr, and the exit code at the end.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::process::ExitCode;
use std::str::FromStr;

use saigen_schemas::event::format_utc;

use crate::evidence::EvidenceError;
use crate::text::safe_text;

/// How a command that was done ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Done {
    /// Nothing to say.
    Clean,
    /// Evidence that was read is altered, damaged or incomplete.
    Damaged,
    /// Some of what was asked could not be done; stderr says what.
    Partly,
}

/// Why a command was not done.
#[derive(Debug)]
pub enum Failure {
    /// In one line.
    Said(String),
    /// Writing the output failed. A reader that has gone is no failure.
    Output(io::Error),
}

impl Failure {
    /// A failure with what was wrong, where, and what to do.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<EvidenceError> for Failure {
    fn from(error: EvidenceError) -> Self {
        Self::Said(error.to_string())
    }
}

/// Where a command writes, and how.
pub struct Screen {
    out: BufWriter<io::Stdout>,
    json: bool,
    zone: Zone,
    colours: bool,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen")
            .field("json", &self.json)
            .finish_non_exhaustive()
    }
}

/// A colour that says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// All is well.
    Good,
    /// Look at this.
    Careful,
    /// Something is wrong.
    Bad,
    /// A label.
    Faint,
}

impl Screen {
    /// Stdout, with colours if it is a terminal that wants them.
    #[must_use]
    pub fn new(json: bool, zone: Zone) -> Self {
        let stdout = io::stdout();
        let colours = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        Self {
            out: BufWriter::with_capacity(1 << 16, stdout),
            json,
            zone,
            colours,
        }
    }

    /// Whether results are for machines.
    #[must_use]
    pub const fn json(&self) -> bool {
        self.json
    }

    /// Where data goes.
    pub fn out(&mut self) -> &mut impl Write {
        &mut self.out
    }

    /// A time for a reader, in the zone that was asked for.
    #[must_use]
    pub fn time(&self, wall_us: i64) -> String {
        self.zone.show(wall_us)
    }

    /// The zone that times are shown in.
    #[must_use]
    pub const fn zone(&self) -> Zone {
        self.zone
    }

    /// A text in a colour, if colours are wanted.
    #[must_use]
    pub fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Good => 32,
            Colour::Careful => 33,
            Colour::Bad => 31,
            Colour::Faint => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Says something on stderr, in one line, that is no data.
    pub fn warn(&mut self, text: &str) {
        // Nobody to read it is no reason to stop.
        let _ = writeln!(io::stderr(), "saigen: {}", safe_text(text));
    }

    /// Whether somebody watches stderr.
    #[must_use]
    pub fn watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Ends the output: what is left is written, and the result becomes an exit code.
    pub fn end(mut self, result: Result<Done, Failure>) -> ExitCode {
        let result = result.and_then(|done| self.out.flush().map(|()| done).map_err(Failure::from));
        match result {
            Ok(Done::Clean) => ExitCode::SUCCESS,
            Ok(Done::Damaged) => ExitCode::from(1),
            Ok(Done::Partly) => ExitCode::from(2),
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                ExitCode::SUCCESS
            }
            Err(Failure::Output(error)) => {
                self.warn(&format!("cannot write the output: {error}"));
                ExitCode::from(2)
            }
            Err(Failure::Said(text)) => {
                self.warn(&text);
                ExitCode::from(2)
            }
        }
    }
}

/// An offset from UTC, for reading times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    minutes: i64,
}

impl Zone {
    /// A time for a reader.
    #[must_use]
    pub fn show(self, wall_us: i64) -> String {
        let utc = format_utc(wall_us.saturating_add(self.minutes * 60_000_000));
        if self.minutes == 0 {
            return utc;
        }
        let sign = if self.minutes < 0 { '-' } else { '+' };
        let size = self.minutes.abs();
        let bare = utc.strip_suffix('Z').unwrap_or(&utc);
        format!("{bare}{sign}{:02}:{:02}", size / 60, size % 60)
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || format!("expected Z or an offset like +02:00, found {text:?}");
        if matches!(text, "Z" | "z" | "UTC" | "utc") {
            return Ok(Self::default());
        }
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            Some(_) | None => return Err(refused()),
        };
        let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
        let two = |digits: &str, below: i64| {
            let all_digits = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .parse()
                .ok()
                .filter(|&number: &i64| all_digits && number < below)
                .ok_or_else(refused)
        };
        Ok(Self {
            minutes: sign * (two(hours, 24)? * 60 + two(minutes, 60)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_at_an_offset_that_they_name() {
        let show = |zone: &str| zone.parse::<Zone>().unwrap().show(0);
        assert_eq!(show("Z"), "1970-01-01T00:00:00.000000Z");
        assert_eq!(show("+02:00"), "1970-01-01T02:00:00.000000+02:00");
        assert_eq!(show("-03:30"), "1969-12-31T20:30:00.000000-03:30");
        assert_eq!(show("+05"), "1970-01-01T05:00:00.000000+05:00");
        for wrong in ["", "+", "2", "+2", "+25:00", "+02:60", "Berlin", "+ 1:00"] {
            assert!(wrong.parse::<Zone>().is_err(), "{wrong}");
        }
    }
}

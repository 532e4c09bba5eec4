//! `saigen replay`: all events of all inputs in one order, and the state that follows from them.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use saigen_schemas::event::{Event, write_json};
use saigen_schemas::report::{EvidenceRef, Moment};

use crate::cli::events::write_text;
use crate::cli::inputs::{Inputs, Opened};
use crate::cli::{Done, Failure, Screen};
use crate::pipeline;
use crate::replay::{Dress, Replay, Standing};
use crate::text::safe_text;

/// The longest pause between two events that are played: a night is not sat through.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Replay events in order: show the state at a moment, or play what happened
///
/// Without --speed and --format, the state is shown: processes, connections, sessions and files that
/// stood open at --until, or at the end.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen replay /evidence/web-1 --until 2026-05-04T10:00:00Z
  saigen replay /evidence/web-1 --speed 60
  saigen replay /evidence --format jsonl | head")]
pub struct PlayEvents {
    #[command(flatten)]
    inputs: Inputs,
    /// Stop at this moment
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Play the events this many times as fast as they happened
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    speed: Option<u32>,
    /// Print the events of all inputs in one order
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line
    Jsonl,
    /// One line for a reader
    Text,
}

impl PlayEvents {
    /// Replays the events.
    ///
    /// # Errors
    /// Where nothing could be read, or the output not be written.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let opened = self.inputs.open(None, screen)?;
        opened.warn(screen);
        if self.speed.is_some() || self.format.is_some() {
            self.play(&opened, screen)?;
        } else {
            self.show_state(&opened, screen)?;
        }
        Ok(opened.done)
    }

    fn is_after(&self, event: &Event<'_>) -> bool {
        self.until
            .is_some_and(|until| event.time.wall_us > until.us())
    }

    fn show_state(&self, opened: &Opened, screen: &mut Screen) -> Result<(), Failure> {
        let (mut replay, mut standing) = (Replay::new(), Standing::default());
        let mut merge = pipeline::merged(opened.exhibits());
        let mut over = false;
        while !over
            && merge.step(|reference, event| {
                over = self.is_after(event);
                if !over {
                    replay.apply(reference, event);
                    standing.apply(event, &replay);
                }
            })
        {}
        if screen.json() {
            standing.write_json(screen.out(), &replay)?;
        } else {
            let zone = screen.zone();
            let dress = Dress {
                time: &|us| zone.show(us),
                text: &safe_text,
            };
            standing.write_text(screen.out(), &replay, &dress)?;
        }
        Ok(())
    }

    fn play(&self, opened: &Opened, screen: &mut Screen) -> Result<(), Failure> {
        let mut merge = pipeline::merged(opened.exhibits());
        let mut before_us = None;
        let mut line = String::new();
        loop {
            let mut now_us = None;
            line.clear();
            merge.step(|reference, event| {
                if !self.is_after(event) {
                    now_us = Some(event.time.wall_us);
                    let named = opened.citations.name(reference);
                    self.write(&named, event, screen, &mut line);
                }
            });
            let Some(now_us) = now_us else {
                return Ok(());
            };
            if let Some(speed) = self.speed {
                // What is waited for must be seen first.
                screen.out().flush()?;
                thread::sleep(pause(before_us.unwrap_or(now_us), now_us, speed));
            }
            before_us = Some(before_us.map_or(now_us, |before: i64| before.max(now_us)));
            screen.out().write_all(line.as_bytes())?;
        }
    }

    fn write(
        &self,
        reference: &EvidenceRef,
        event: &Event<'_>,
        screen: &Screen,
        line: &mut String,
    ) {
        if self.format == Some(Format::Jsonl) || (self.format.is_none() && screen.json()) {
            write_json(event, &reference.to_string(), line);
        } else {
            write_text(event, reference, screen, line);
        }
        line.push('\n');
    }
}

/// How long to wait before the next event.
fn pause(before_us: i64, now_us: i64, speed: u32) -> Duration {
    let us = u64::try_from(now_us.saturating_sub(before_us)).unwrap_or(0);
    (Duration::from_micros(us) / speed).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_as_long_as_they_were_and_never_a_night() {
        assert_eq!(pause(0, 2_000_000, 2), Duration::from_secs(1));
        assert_eq!(pause(5, 0, 1), Duration::ZERO);
        assert_eq!(pause(i64::MIN, i64::MAX, 1), PAUSE_MAX);
    }
}

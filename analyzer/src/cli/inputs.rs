//! Inputs that several commands take, and how they are opened and verified with progress shown.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use saigen_schemas::report::Verdict;

use crate::cli::{Done, Failure, Screen};
use crate::evidence::{Asked, Journal, Key, Verification, open, verify};

/// Evidence to read.
#[derive(Debug, Args)]
pub struct Inputs {
    /// Journals: folders of .saj files, single ones, or folders that hold journals somewhere
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// The auditor.key that keygen made, to check the seals with
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// What was opened and verified.
#[derive(Debug)]
pub struct Opened {
    /// Journals with their verdicts, in the order of their numbers.
    pub journals: Vec<(Journal, Verification)>,
    /// How the command ends if nothing else is wrong.
    pub done: Done,
}

impl Inputs {
    /// Opens and verifies all journals. What cannot be read is told, and the rest is read.
    ///
    /// # Errors
    /// Where the key cannot be read, or no input holds a journal.
    pub fn open(&self, acquired_us: Option<i64>, screen: &mut Screen) -> Result<Opened, Failure> {
        let asked = Asked {
            acquired_us,
            ..Asked::default()
        };
        self.open_asked(asked, screen)
    }

    /// The same for what an examiner asks beside the key.
    ///
    /// # Errors
    /// As [`Inputs::open`].
    pub fn open_asked(&self, asked: Asked<'_>, screen: &mut Screen) -> Result<Opened, Failure> {
        let key = self.key.as_deref().map(Key::read).transpose()?;
        let asked = Asked {
            key: key.as_ref(),
            ..asked
        };
        let found = open(&self.inputs);
        let mut done = Done::Clean;
        for error in &found.unread {
            screen.warn(&error.to_string());
            done = Done::Partly;
        }
        let bar = progress(&found.journals, screen);
        let mut journals = Vec::with_capacity(found.journals.len());
        for journal in found.journals {
            let verified = verify(&journal, asked, &mut |bytes| bar.inc(bytes));
            if verified.is_damaged() {
                done = done.max(Done::Damaged);
            }
            journals.push((journal, verified));
        }
        bar.finish_and_clear();
        if !journals.is_empty() && journals.iter().all(|(_, verified)| verified.key_is_wrong()) {
            done = Done::Partly;
        }
        Ok(Opened { journals, done })
    }
}

impl Opened {
    /// Tells on stderr what an examiner must know before trusting the evidence: one line each.
    pub fn warn(&self, screen: &mut Screen) {
        for (_, verified) in &self.journals {
            let told = match verified.verdict {
                Verdict::Intact | Verdict::Whole => continue,
                Verdict::OpenEnd
                | Verdict::CrashGap
                | Verdict::Incomplete
                | Verdict::Altered
                | Verdict::Unsealed
                | Verdict::Unverified
                | Verdict::Damaged => verified.verdict.word(),
            };
            screen.warn(&format!(
                "{}: {told}: {}",
                verified.path, verified.explanation
            ));
        }
    }
}

/// A bar over the bytes of all segments, where somebody watches.
fn progress(journals: &[Journal], screen: &Screen) -> ProgressBar {
    if !screen.watched() {
        return ProgressBar::hidden();
    }
    let segments = journals.iter().flat_map(|journal| &journal.segments);
    let bytes = segments
        .filter_map(|segment| segment.path.metadata().ok())
        .map(|facts| facts.len())
        .sum();
    let style =
        ProgressStyle::with_template("verifying {bytes}/{total_bytes} {bar:30} {bytes_per_sec}");
    let bar = ProgressBar::new(bytes);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

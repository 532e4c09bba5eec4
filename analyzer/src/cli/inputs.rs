//! Inputs that several commands take, and how they are opened and verified with progress shown.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use saigen_schemas::report::Verdict;

use crate::cli::{Done, Failure, Screen};
use crate::evidence::{Asked, Journal, Keys, Verification, open, verify};
use crate::import::{self, Foreign, Place};
use crate::pipeline::Exhibits;
use crate::reference::{Citations, SourceId};

/// Evidence to read.
#[derive(Debug, Args)]
pub struct Inputs {
    /// Journals, logs and exports that others made, archives of them, or folders that hold any
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// The auditor.key that keygen made, to check the seals with; again for each further enrolment
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
}

/// What was opened and verified.
#[derive(Debug)]
pub struct Opened {
    /// Journals with their verdicts, in the order of their numbers.
    pub journals: Vec<(Journal, Verification)>,
    /// Files that others recorded.
    pub foreign: Foreign,
    /// How records in archives are named.
    pub citations: Citations,
    /// Files in folders that hold no evidence: path, and what they are.
    pub strangers: Vec<(String, &'static str)>,
    /// How the command ends if nothing else is wrong.
    pub done: Done,
}

impl Inputs {
    /// Opens and reads all evidence, and verifies journals. What cannot be read is told, and the rest
    /// is read.
    ///
    /// # Errors
    /// Where the key cannot be read, or events not be kept.
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
        let keys = Keys::read(&self.key)?;
        let search = import::search(&self.inputs);
        let found = open(&search.journals);
        let mut done = Done::Clean;
        for error in search.unread.iter().chain(&found.unread) {
            screen.warn(&error.to_string());
            done = Done::Partly;
        }
        let (numbered, places) = number(found.journals, search.places);
        for path in keys.unused(&numbered.iter().collect::<Vec<_>>()) {
            let why = "is of none of these journals' enrolments: it checked nothing";
            screen.warn(&format!("{}: {why}", path.display()));
        }
        let bar = progress(&numbered, &places, screen);
        let mut journals = Vec::with_capacity(numbered.len());
        for journal in numbered {
            let asked = Asked {
                key: keys.of(&journal),
                ..asked
            };
            let verified = verify(&journal, asked, &mut |bytes| bar.inc(bytes));
            if verified.is_damaged() {
                done = done.max(Done::Damaged);
            }
            journals.push((journal, verified));
        }
        let hosts: Vec<String> = journals
            .iter()
            .flat_map(|(_, verified)| verified.recorded.hosts.clone())
            .collect();
        let foreign = import::read_all(&places, &hosts, &mut |bytes| bar.inc(bytes))
            .map_err(|error| Failure::new(error.to_string()))?;
        bar.finish_and_clear();
        if foreign.files.iter().any(|file| file.is_damaged()) {
            done = done.max(Done::Damaged);
        }
        let mut citations = Citations::default();
        foreign.cite(&mut citations);
        if !journals.is_empty() && journals.iter().all(|(_, verified)| verified.key_is_wrong()) {
            done = Done::Partly;
        }
        Ok(Opened {
            journals,
            foreign,
            citations,
            strangers: search.strangers,
            done,
        })
    }
}

/// Numbers journals and foreign files, in the order of their paths.
fn number(journals: Vec<Journal>, places: Vec<Place>) -> (Vec<Journal>, Vec<(SourceId, Place)>) {
    enum Exhibit {
        Journal(Journal),
        Place(Place),
    }
    let mut all: Vec<(String, Exhibit)> = journals
        .into_iter()
        .map(|journal| (journal.path.clone(), Exhibit::Journal(journal)))
        .collect();
    let places = places.into_iter();
    all.extend(places.map(|place| (place.path.clone(), Exhibit::Place(place))));
    // Both came in order: of one path they stay in it.
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (mut journals, mut places) = (Vec::new(), Vec::new());
    for (number, (_, exhibit)) in (1..).zip(all) {
        match exhibit {
            Exhibit::Journal(journal) => journals.push(Journal {
                source: SourceId(number),
                ..journal
            }),
            Exhibit::Place(place) => places.push((SourceId(number), place)),
        }
    }
    (journals, places)
}

impl Opened {
    /// All evidence, as the rest of the program reads it.
    #[must_use]
    pub fn exhibits(&self) -> Exhibits<'_> {
        Exhibits {
            journals: &self.journals,
            foreign: &self.foreign,
            citations: &self.citations,
        }
    }

    /// Whether there is no evidence.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.journals.is_empty() && self.foreign.files.is_empty()
    }

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
        for file in self.foreign.files.iter().filter(|file| file.is_damaged()) {
            screen.warn(&format!(
                "{}: {}: {}",
                file.path,
                file.verdict().word(),
                file.explanation()
            ));
        }
    }
}

/// A bar over the bytes of all files, where somebody watches.
fn progress(journals: &[Journal], places: &[(SourceId, Place)], screen: &Screen) -> ProgressBar {
    if !screen.watched() {
        return ProgressBar::hidden();
    }
    let segments = journals.iter().flat_map(|journal| &journal.segments);
    let bytes = segments
        .map(|segment| &segment.path)
        .chain(places.iter().map(|(_, place)| &place.at))
        .filter_map(|path| path.metadata().ok())
        .map(|facts| facts.len())
        .sum();
    let style =
        ProgressStyle::with_template("reading {bytes}/{total_bytes} {bar:30} {bytes_per_sec}");
    let bar = ProgressBar::new(bytes);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

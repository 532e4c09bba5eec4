//! The page that an auditor can sign: what a verification found, handed to the report's own words.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use saigen_schemas::report::{Evidence, Moment};

use crate::cli::Failure;
use crate::report::{VerifiedInput, write_verification};

/// What the page says of one input.
#[derive(Debug)]
pub struct PageInput {
    /// The input, as reports have it.
    pub evidence: Evidence,
    /// What was recorded: the system, or one command.
    pub scope: String,
    /// By which key, and what was checked.
    pub mode: String,
    /// From when to when seals hold, by the clock at sealing.
    pub trusted: Vec<(Moment, Moment)>,
    /// The anchor at its end.
    pub anchor: Option<String>,
    /// What a verification of this kind cannot find.
    pub unknown: Vec<String>,
}

/// Writes the page to a new file: one that was signed is never written over.
///
/// # Errors
/// Where the file exists, or cannot be written.
pub fn write_page(inputs: Vec<PageInput>, command: &str, path: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        let path = path.display();
        Failure::new(format!("{path}: cannot write the report: {error}"))
    };
    let inputs: Vec<VerifiedInput> = inputs
        .into_iter()
        .map(|input| VerifiedInput {
            evidence: input.evidence,
            scope: input.scope,
            mode: input.mode,
            trusted: input.trusted,
            anchor: input.anchor,
            unknown: input.unknown,
        })
        .collect();
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    let mut out = BufWriter::new(file);
    write_verification(&inputs, command, &mut out).map_err(failed)?;
    out.flush().map_err(failed)
}

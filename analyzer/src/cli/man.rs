//! `saigen man`: manual pages.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Done, Failure, Screen, definition};

/// Write manual pages to a folder
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  saigen man -o /usr/local/share/man/man1")]
pub struct Man {
    /// The folder; pages in it are replaced
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

impl Man {
    /// Writes one page for the program and one for each command.
    ///
    /// # Errors
    /// Where the folder cannot be written to.
    pub fn run(&self, _screen: &mut Screen) -> Result<Done, Failure> {
        clap_mangen::generate_to(definition(), &self.output).map_err(|error| {
            let path = self.output.display();
            Failure::new(format!("{path}: cannot write the pages: {error}"))
        })?;
        Ok(Done::Clean)
    }
}

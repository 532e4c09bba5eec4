//! `saigen query`: questions to a case's database.

use std::path::PathBuf;

use clap::Args;

use crate::case;
use crate::cli::{Done, Failure, Screen};

/// Ask the database of a case; it is only read
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen query case \"SELECT time, text FROM steps ORDER BY time\"
  saigen query case --json \"SELECT image, count(*) AS n FROM processes GROUP BY image\"

The tables are described in the database itself: SELECT sql FROM sqlite_schema.")]
pub struct Query {
    /// The case
    case: PathBuf,
    /// One statement that gives rows
    sql: String,
}

impl Query {
    /// Asks, and prints the answer.
    ///
    /// # Errors
    /// Where the folder is no case, or the statement is refused.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let table =
            case::query(&self.case, &self.sql).map_err(|error| Failure::new(error.to_string()))?;
        if screen.json() {
            table.write_json(screen.out())?;
        } else {
            table.write_text(screen.out())?;
        }
        Ok(Done::Clean)
    }
}

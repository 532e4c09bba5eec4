//! `saigen import`: what others recorded, kept as a journal.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::inputs::Inputs;
use crate::cli::{Done, Failure, Screen};
use crate::import::keep;

/// Keep logs that others recorded as one journal, each event with the file and place it is from
///
/// The journal is not sealed. It is a fraction of the size of the logs, is read many times as fast,
/// and holds the path and SHA-256 of each file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen import /evidence/logs -o logs.journal
  saigen import Security.evtx audit.log -o case-7.journal")]
pub struct Import {
    #[command(flatten)]
    inputs: Inputs,
    /// The folder to write the journal to; it must not exist
    #[arg(short, long, value_name = "JOURNAL")]
    output: PathBuf,
}

impl Import {
    /// Reads the logs and writes the journal.
    ///
    /// # Errors
    /// Where nothing could be read, or the journal not be written.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let opened = self.inputs.open(None, screen)?;
        opened.warn(screen);
        if opened.foreign.files.is_empty() {
            return Err(Failure::new("there is nothing to import"));
        }
        for (journal, _) in &opened.journals {
            screen.warn(&format!("{}: a journal already; left out", journal.path));
        }
        let tool = format!("saigen {} import", env!("CARGO_PKG_VERSION"));
        let kept = keep(&opened.foreign, &opened.citations, &self.output, &tool);
        let place = self.output.display();
        let kept = kept.map_err(|error| Failure::new(format!("{place}: cannot write: {error}")))?;
        if kept.lost > 0 {
            screen.warn(&format!(
                "{} events are larger than a frame; the journal counts them as lost",
                kept.lost
            ));
        }
        if screen.json() {
            let said = json!({
                "schema": "saigen-import/1",
                "journal": self.output.to_string_lossy(),
                "events": kept.events,
                "lost": kept.lost,
                "bytes": kept.bytes,
                "chain": kept.chain,
            });
            writeln!(screen.out(), "{said:#}")?;
        } else {
            writeln!(
                screen.out(),
                "{} events in {} bytes, chain {}",
                kept.events,
                kept.bytes,
                kept.chain
            )?;
        }
        Ok(opened.done)
    }
}

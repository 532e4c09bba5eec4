//! `saigen baseline`: what rules find in evidence that is known to be good.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::detecting::Detecting;
use crate::cli::inputs::Inputs;
use crate::cli::{Done, Failure, Screen};
use crate::pipeline;
use crate::reconstruct::{BASELINE_BYTES_MAX, Baseline};
use crate::text::safe_text;

/// Count what rules find in evidence that is known to be good, for investigate --baseline
///
/// A rule that finds much in ordinary work says little when it fires again: in an investigation
/// its findings weigh less, and the report says so. Take evidence of the same kind of machine,
/// from before anything happened, and the same rules.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen baseline /evidence/last-month -o ordinary.json
  saigen investigate /evidence/today --baseline ordinary.json -o case")]
pub struct MakeBaseline {
    #[command(flatten)]
    inputs: Inputs,
    #[command(flatten)]
    detecting: Detecting,
    /// The file to write; it must not exist
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl MakeBaseline {
    /// Holds the events against the rules and writes the counts.
    ///
    /// # Errors
    /// Where nothing could be read, or the file cannot be written.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let wrong =
            |error: std::io::Error| Failure::new(format!("{}: {error}", self.output.display()));
        if self.output.exists() {
            return Err(Failure::new(format!(
                "{}: it exists, and is not written over",
                self.output.display()
            )));
        }
        let engine = self.detecting.engine(screen)?;
        let opened = self.inputs.open(None, screen)?;
        if opened.is_empty() {
            return Err(Failure::new("there is no evidence to count"));
        }
        opened.warn(screen);
        let (baseline, incidents) =
            pipeline::baseline(opened.exhibits(), &engine, self.detecting.threads());
        if incidents > 0 {
            screen.warn(&format!(
                "what was given as known to be good holds {incidents} incidents: look at them with saigen investigate"
            ));
        }
        let text = serde_json::to_string_pretty(&baseline)
            .map_err(|error| Failure::new(error.to_string()))?;
        let mut file = File::create_new(&self.output).map_err(wrong)?;
        file.write_all(text.as_bytes()).map_err(wrong)?;
        file.write_all(b"\n").map_err(wrong)?;
        file.sync_all().map_err(wrong)?;
        if screen.json() {
            let said = json!({ "schema": "saigen-baseline-made/1", "events": baseline.events,
                "detections": baseline.detections, "rules": baseline.rules.len(), "incidents": incidents });
            writeln!(screen.out(), "{said:#}")?;
        } else {
            writeln!(
                screen.out(),
                "{} events, {} detections by {} rules: {}",
                baseline.events,
                baseline.detections,
                baseline.rules.len(),
                safe_text(&self.output.to_string_lossy())
            )?;
        }
        Ok(opened.done)
    }
}

/// Reads the file of a baseline, with its bytes.
///
/// # Errors
/// Where it cannot be read, is too long, or is no baseline.
pub fn read_baseline(path: &Path) -> Result<(Baseline, Vec<u8>), Failure> {
    let wrong = |why: String| Failure::new(format!("{}: {why}", path.display()));
    let file =
        File::open(path).map_err(|error| wrong(format!("cannot read a baseline: {error}")))?;
    let mut bytes = Vec::new();
    file.take(BASELINE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(format!("cannot read a baseline: {error}")))?;
    if bytes.len() as u64 > BASELINE_BYTES_MAX {
        return Err(wrong(format!(
            "longer than the {BASELINE_BYTES_MAX} bytes that a baseline can have"
        )));
    }
    let text =
        std::str::from_utf8(&bytes).map_err(|error| wrong(format!("not a baseline: {error}")))?;
    let baseline = Baseline::read(text).map_err(wrong)?;
    Ok((baseline, bytes))
}

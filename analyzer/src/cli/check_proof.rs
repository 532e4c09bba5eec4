//! `saigen check-proof`: whether a record was recorded, by its proof alone.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use saigen_schemas::event::{format_utc, write_json};
use saigen_schemas::journal::{PROOF_BYTES_MAX, Proof, ProofError};
use serde_json::{Value, json};

use crate::cli::screen::Colour;
use crate::cli::{Done, Failure, Screen};
use crate::evidence::Key;

/// Say whether a record was recorded, by its proof and the enrolment's public key
///
/// The journal is not needed. It says when the record was sealed, and prints it.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  saigen check-proof record.proof --public-key enrolment.pub

Exit codes: 0 it holds; 1 it does not; 2 it is no proof, or could not be read.")]
pub struct CheckProof {
    /// The proof
    #[arg(value_name = "FILE")]
    proof: PathBuf,
    /// The enrolment.pub that keygen made
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
}

impl CheckProof {
    /// Checks the proof and prints the record.
    ///
    /// # Errors
    /// Where a file cannot be read, or is no proof or key.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let public = Key::read(&self.public_key)?.public();
        let mut bytes = Vec::new();
        let name = self.proof.display();
        File::open(&self.proof)
            .and_then(|file| file.take(PROOF_BYTES_MAX).read_to_end(&mut bytes))
            .map_err(|error| Failure::new(format!("{name}: cannot read: {error}")))?;
        let unfit = |error: ProofError| Failure::new(format!("{name}: {error}"));
        let proof = Proof::read(&bytes).map_err(unfit)?;
        let event = match proof.check(&public) {
            Ok(event) => event,
            Err(error @ ProofError::Shape { .. }) => return Err(unfit(error)),
            Err(error) => return refused(error, screen),
        };
        let reference = format!("{}:{}", proof.header.position, proof.index);
        let mut text = String::new();
        write_json(&event, &reference, &mut text);
        let event: Value = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
        let (sealed_us, signed_us) = (proof.header.wall_us, proof.check_header.wall_us);
        if screen.json() {
            let told = json!({ "schema": "saigen-check-proof/1", "holds": true,
                "enrolment": proof.enrolment.to_string(), "position": proof.header.position, "index": proof.index,
                "sealed": format_utc(sealed_us), "signed": format_utc(signed_us),
                "signed_at": proof.check_header.position, "generation": proof.checkpoint.generation, "event": event });
            writeln!(screen.out(), "{told:#}")?;
            return Ok(Done::Clean);
        }
        let holds = screen.paint(Colour::Good, "holds");
        let (sealed, signed) = (screen.time(sealed_us), screen.time(signed_us));
        writeln!(
            screen.out(),
            "{holds}: event {} of frame {} of enrolment {}, sealed at {sealed}, signed at {signed} in frame {} by key {}",
            proof.index,
            proof.header.position,
            proof.enrolment,
            proof.check_header.position,
            proof.checkpoint.generation
        )?;
        // JSON escapes what a terminal would obey.
        writeln!(screen.out(), "{event:#}")?;
        Ok(Done::Clean)
    }
}

fn refused(error: ProofError, screen: &mut Screen) -> Result<Done, Failure> {
    if screen.json() {
        let told =
            json!({ "schema": "saigen-check-proof/1", "holds": false, "why": error.to_string() });
        writeln!(screen.out(), "{told:#}")?;
    } else {
        let fails = screen.paint(Colour::Bad, "does not hold");
        writeln!(screen.out(), "{fails}: {error}")?;
    }
    Ok(Done::Damaged)
}

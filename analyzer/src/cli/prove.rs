//! `saigen prove`: one record, with what shows anyone that it was recorded.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use saigen_schemas::report::EvidenceRef;
use serde_json::json;

use crate::case;
use crate::cli::{Done, Failure, Screen};
use crate::evidence::{self, Asked, Journal, Keys};
use crate::reference::{Citations, SourceId};
use crate::text::safe_text;

/// Write the proof of one record, which shows nothing of the records beside it
///
/// Whoever holds enrolment.pub can check it with `saigen check-proof`, without the journal: the record, the
/// way to the root of its frame, the way to what a checkpoint signed, and the changes of the signing key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen prove case e1:12:3 -o record.proof
  saigen prove /evidence/web-1 e1:12:3 --key enrolment.pub -o record.proof")]
pub struct Prove {
    /// The case, or the journal
    #[arg(value_name = "CASE")]
    case: PathBuf,
    /// The reference, as the report prints it
    #[arg(value_name = "REF")]
    reference: EvidenceRef,
    /// The file to write; it must not exist
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Where the evidence is now, if it was moved since the case was made
    #[arg(long, value_name = "INPUT")]
    evidence: Option<PathBuf>,
    /// The auditor.key or enrolment.pub: checks the journal, and the proof, before it is written; of
    /// several, the one of the journal's enrolment
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
}

impl Prove {
    /// Makes the proof and writes it.
    ///
    /// # Errors
    /// Where the record cannot be found or proved, or the file cannot be written.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let keys = Keys::read(&self.key)?;
        let journal = self.journal()?;
        let key = keys.of(&journal);
        let asked = Asked {
            key,
            ..Asked::default()
        };
        let verified = evidence::verify(&journal, asked, &mut |_| {});
        let failed =
            |why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}", self.reference));
        let reference = Citations::default()
            .find(&self.reference)
            .ok_or_else(|| none_there(&self.case, &self.reference))?;
        let proof =
            evidence::prove(&journal, &verified, reference).map_err(|error| failed(&error))?;
        if let Some(key) = key {
            proof
                .check(&key.public())
                .map_err(|error| failed(&format!("would prove nothing: {error}")))?;
        }
        let bytes = proof.write();
        let io = |doing: &str, error: std::io::Error| {
            let path = self.output.display();
            Failure::new(format!("{path}: cannot {doing}: {error}"))
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&self.output)
            .map_err(|error| io("create", error))?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .map_err(|error| io("write", error))?;
        if screen.json() {
            let told = json!({ "schema": "saigen-prove/1", "ref": self.reference.to_string(),
                "enrolment": proof.enrolment.to_string(), "bytes": bytes.len(),
                "position": proof.header.position, "signed_at": proof.check_header.position });
            writeln!(screen.out(), "{told:#}")?;
        } else {
            writeln!(
                screen.out(),
                "{}: {} bytes; check it with saigen check-proof --public-key enrolment.pub",
                safe_text(&self.output.to_string_lossy()),
                bytes.len()
            )?;
        }
        Ok(if verified.is_damaged() {
            Done::Damaged
        } else {
            Done::Clean
        })
    }

    /// The journal that the reference is of.
    fn journal(&self) -> Result<Journal, Failure> {
        let source = SourceId(self.reference.source.0);
        let place = match &self.evidence {
            Some(place) => Some(place.clone()),
            None if case::read_report(&self.case).is_ok() => Some(self.place_in_case()?),
            None => None,
        };
        let in_case = place.is_some();
        let place = place.unwrap_or_else(|| self.case.clone());
        let found = evidence::open(std::slice::from_ref(&place));
        let mut journals = found.journals.into_iter();
        let journal = if in_case {
            journals.next()
        } else {
            journals.find(|journal| journal.source == source)
        };
        let Some(mut journal) = journal else {
            return Err(none_there(&place, &self.reference));
        };
        journal.source = source;
        Ok(journal)
    }

    fn place_in_case(&self) -> Result<PathBuf, Failure> {
        let id = self.reference.source;
        case::locations(&self.case)
            .map_err(|error| Failure::new(error.to_string()))?
            .remove(&id)
            .map(PathBuf::from)
            .ok_or_else(|| {
                Failure::new(format!(
                    "{id}: the custody log does not say where it was; give it with --evidence"
                ))
            })
    }
}

fn none_there(place: &Path, reference: &EvidenceRef) -> Failure {
    Failure::new(format!(
        "{}: no journal {} is there; only records of journals can be proved",
        place.display(),
        reference.source
    ))
}

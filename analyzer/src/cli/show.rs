//! `saigen show`: the record behind a reference.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use saigen_schemas::report::{Evidence, EvidenceRef, Format};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::case;
use crate::cli::screen::Colour;
use crate::cli::{Done, Failure, Screen, show_foreign};
use crate::evidence::{self, Asked, Keys, RawRecord, Records, Verification};
use crate::reference::{Citations, SourceId};
use crate::text::safe_text;

/// Bytes that are shown as text; JSON and --bytes have all.
const SHOWN_BYTES: usize = 256;

/// Print the record behind a reference: the event, its bytes, hash and verdict
///
/// Reads it again from the evidence, where the custody log says that it was found, and says
/// whether the evidence is still what the case was made from.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen show case e1:12:3
  saigen show case e1:12:3 --key auditor.key
  saigen show case e1:12:3 --evidence /media/stick/web-1
  saigen show case e1:12:3 --bytes > frame.bin
  saigen show case 'e2!logs/Security.evtx:@69632'")]
pub struct Show {
    /// The case
    case: PathBuf,
    /// The reference, as the report prints it
    #[arg(value_name = "REF")]
    reference: EvidenceRef,
    /// Where the evidence is now, if it was moved since
    #[arg(long, value_name = "INPUT")]
    evidence: Option<PathBuf>,
    /// The key to check the seal with again; of several, the one of the journal's enrolment
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Write the bytes of the record, or of the frame that holds it, and nothing else
    #[arg(long)]
    bytes: bool,
}

impl Show {
    /// Finds the record and prints it.
    ///
    /// # Errors
    /// Where the case, the evidence or the record cannot be read.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let said = |error: case::CaseError| Failure::new(error.to_string());
        let report = case::read_report(&self.case).map_err(said)?;
        let id = self.reference.source;
        let input = report.evidence.iter().find(|input| input.id == id);
        let input = input.ok_or_else(|| {
            Failure::new(format!("{}: the case has no input {id}", self.reference,))
        })?;
        let place = match &self.evidence {
            Some(path) => path.clone(),
            None => case::locations(&self.case)
                .map_err(said)?
                .remove(&id)
                .map(PathBuf::from)
                .ok_or_else(|| {
                    Failure::new(format!(
                        "{id}: the custody log does not say where it was; give it with --evidence"
                    ))
                })?,
        };
        match input.format {
            Format::Journal => self.journal(input, &place, screen),
            Format::Evtx
            | Format::Audit
            | Format::SysmonLinux
            | Format::Syslog
            | Format::Json
            | Format::Archive => self.foreign(input, &place, screen),
        }
    }

    /// A record of a file that others recorded.
    fn foreign(
        &self,
        input: &Evidence,
        place: &Path,
        screen: &mut Screen,
    ) -> Result<Done, Failure> {
        let found = show_foreign::find(&self.reference, input, place)?;
        if found.is_changed(input) {
            tell_changed(place, screen);
        }
        if self.bytes {
            screen.out().write_all(&found.bytes)?;
        } else if screen.json() {
            writeln!(screen.out(), "{:#}", found.as_json(input))?;
        } else {
            found.show(input, screen)?;
        }
        Ok(found.done(input))
    }

    /// A record of a journal.
    fn journal(
        &self,
        input: &Evidence,
        place: &Path,
        screen: &mut Screen,
    ) -> Result<Done, Failure> {
        let (record, verified) = self.find(place)?;
        let changed = verified.sha256() != input.sha256;
        if changed {
            tell_changed(place, screen);
        }
        if self.bytes {
            screen.out().write_all(&record.bytes)?;
        } else if screen.json() {
            writeln!(screen.out(), "{:#}", as_json(&record, input, &verified))?;
        } else {
            show(&record, input, &verified, screen)?;
        }
        Ok(if changed || verified.is_damaged() {
            Done::Damaged
        } else {
            Done::Clean
        })
    }

    fn find(&self, place: &Path) -> Result<(RawRecord, Verification), Failure> {
        let keys = Keys::read(&self.key)?;
        let found = evidence::open(&[place.to_owned()]);
        let Some(mut journal) = found.journals.into_iter().next() else {
            let why = found
                .unread
                .into_iter()
                .next()
                .map(|error| error.to_string());
            let why = why.unwrap_or_else(|| format!("{}: no journal is there", place.display()));
            return Err(Failure::new(format!(
                "{why}; if it was moved, say where it is with --evidence"
            )));
        };
        journal.source = SourceId(self.reference.source.0);
        let asked = Asked {
            key: keys.of(&journal),
            ..Asked::default()
        };
        let verified = evidence::verify(&journal, asked, &mut |_| {});
        let reference = Citations::default().find(&self.reference);
        let mut records = Records::new(&journal, &verified);
        let record = reference.and_then(|reference| records.get(reference));
        let record = record.ok_or_else(|| {
            Failure::new(format!(
                "{}: {} holds no such record that can be read",
                self.reference,
                place.display()
            ))
        })?;
        Ok((record, verified))
    }
}

fn tell_changed(place: &Path, screen: &mut Screen) {
    screen.warn(&format!(
        "{}: not the bytes that the case was made from",
        place.display()
    ));
}

fn frame_sha256(record: &RawRecord) -> String {
    Sha256::digest(&record.bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn as_json(record: &RawRecord, input: &Evidence, verified: &Verification) -> Value {
    let event = serde_json::from_str::<Value>(&record.json).unwrap_or_else(|_| json!(record.json));
    let bytes: String = record
        .bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    json!({
        "schema": "saigen-show/1",
        "ref": record.reference.to_string(),
        "event": event,
        "verdict": record.verdict,
        "cause": record.cause,
        "key": verified.key,
        "evidence": { "id": input.id, "path": input.path, "sha256": verified.sha256(),
            "sha256_in_case": input.sha256, "verdict_in_case": input.verdict },
        "frame": { "file": record.file, "offset": record.offset, "bytes": record.bytes.len(),
            "position": record.header.position, "digest": record.digest, "sha256": frame_sha256(record), "hex": bytes },
    })
}

fn show(
    record: &RawRecord,
    input: &Evidence,
    verified: &Verification,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let event = serde_json::from_str::<Value>(&record.json).unwrap_or_else(|_| json!(record.json));
    let cause = record
        .cause
        .map(|cause| format!(" ({})", cause.word()))
        .unwrap_or_default();
    let rows = [
        ("record", record.reference.to_string()),
        (
            "verdict",
            format!(
                "{}{cause} now; {} when the case was made",
                record.verdict.word(),
                input.verdict.word()
            ),
        ),
        ("evidence", format!("{}  {}", input.path, verified.sha256())),
        (
            "file",
            format!(
                "{} at {:#x}, {} bytes, sha256 {}",
                record.file,
                record.offset,
                record.bytes.len(),
                frame_sha256(record)
            ),
        ),
        (
            "frame",
            format!(
                "position {}, digest {}",
                record.header.position, record.digest
            ),
        ),
    ];
    for (label, text) in rows {
        let label = screen.paint(Colour::Faint, &format!("{label:<9}"));
        writeln!(screen.out(), "{label} {}", safe_text(&text))?;
    }
    // JSON escapes what a terminal would obey.
    writeln!(screen.out(), "{event:#}")?;
    hex_lines(&record.bytes, record.offset, screen)
}

/// Shows bytes as hex and text, the first ones where there are many.
pub(super) fn hex_lines(bytes: &[u8], offset: u64, screen: &mut Screen) -> Result<(), Failure> {
    for (number, line) in bytes.chunks(16).take(SHOWN_BYTES / 16).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = line
            .iter()
            .map(|&byte| {
                if byte.is_ascii_graphic() {
                    char::from(byte)
                } else {
                    '.'
                }
            })
            .collect();
        writeln!(
            screen.out(),
            "{:08x}  {:<47}  {text}",
            offset + 16 * number as u64,
            hex.join(" ")
        )?;
    }
    if bytes.len() > SHOWN_BYTES {
        writeln!(
            screen.out(),
            "… {} bytes more; all of them with --bytes",
            bytes.len() - SHOWN_BYTES
        )?;
    }
    Ok(())
}

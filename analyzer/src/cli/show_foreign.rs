//! `saigen show` for a record of a file that others recorded.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use saigen_schemas::event::write_json;
use saigen_schemas::report::{Evidence, EvidenceRef};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::screen::Colour;
use crate::cli::show::hex_lines;
use crate::cli::{Done, Failure, Screen};
use crate::import::{self, Foreign};
use crate::reference::{Citations, EventRef, SourceId};
use crate::stream::EventStream as _;
use crate::text::safe_text;

/// A record, read again.
pub(super) struct Found {
    reference: EvidenceRef,
    /// Its bytes, as they stand in its file.
    pub(super) bytes: Vec<u8>,
    /// The events that it tells, as JSON.
    events: Vec<Value>,
    foreign: Foreign,
}

/// Reads a file again, and finds a record in it.
pub(super) fn find(
    reference: &EvidenceRef,
    input: &Evidence,
    place: &Path,
) -> Result<Found, Failure> {
    let search = import::search(&[place.to_owned()]);
    let moved = "if it was moved, say where it is with --evidence";
    let Some(found) = search.places.into_iter().next() else {
        let why = search.unread.first().map(ToString::to_string);
        let why = why.unwrap_or_else(|| format!("{}: no log is there", place.display()));
        return Err(Failure::new(format!("{why}; {moved}")));
    };
    let source = SourceId(reference.source.0);
    // The names that the case settled for its hosts hold here too.
    let foreign = import::read_all(&[(source, found)], &input.hosts, &mut |_| {})
        .map_err(|error| Failure::new(error.to_string()))?;
    let mut citations = Citations::default();
    foreign.cite(&mut citations);
    let missing = || {
        Failure::new(format!(
            "{reference}: {} holds no such record that can be read",
            place.display()
        ))
    };
    let short = citations.find(reference).ok_or_else(missing)?;
    let mut records = foreign.records(&BTreeSet::from([short]));
    let bytes = records.remove(&short).ok_or_else(missing)?;
    let events = events(&foreign, short, reference);
    Ok(Found {
        reference: reference.clone(),
        bytes,
        events,
        foreign,
    })
}

fn events(foreign: &Foreign, wanted: EventRef, named: &EvidenceRef) -> Vec<Value> {
    let mut events = Vec::new();
    let mut stream = foreign.stream();
    while stream.peek().is_some() {
        if let Some((reference, event)) = stream.next()
            && reference == wanted
        {
            let mut line = String::new();
            write_json(&event, &named.to_string(), &mut line);
            events.push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
        }
    }
    events
}

impl Found {
    /// SHA-256 of the file's bytes now.
    fn sha256(&self) -> &str {
        let file = self.foreign.files.first();
        file.map(|file| file.sha256.as_str()).unwrap_or_default()
    }

    /// Whether the file is not the one that the case was made from, or is damaged.
    pub(super) fn done(&self, input: &Evidence) -> Done {
        let damaged = self.foreign.files.iter().any(|file| file.is_damaged());
        if damaged || self.sha256() != input.sha256 {
            Done::Damaged
        } else {
            Done::Clean
        }
    }

    /// Whether the file is not the one that the case was made from.
    pub(super) fn is_changed(&self, input: &Evidence) -> bool {
        self.sha256() != input.sha256
    }

    fn verdict(&self) -> &'static str {
        let file = self.foreign.files.first();
        file.map_or("", |file| file.verdict().word())
    }

    fn record_sha256(&self) -> String {
        let digest = Sha256::digest(&self.bytes);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The record for machines.
    pub(super) fn as_json(&self, input: &Evidence) -> Value {
        let hex: String = self
            .bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        json!({
            "schema": "saigen-show/1",
            "ref": self.reference.to_string(),
            "events": self.events,
            "verdict": self.verdict(),
            "evidence": { "id": input.id, "path": input.path, "sha256": self.sha256(),
                "sha256_in_case": input.sha256, "verdict_in_case": input.verdict },
            "record": { "bytes": self.bytes.len(), "sha256": self.record_sha256(),
                "text": std::str::from_utf8(&self.bytes).ok(), "hex": hex },
        })
    }

    /// The record for a reader.
    pub(super) fn show(&self, input: &Evidence, screen: &mut Screen) -> Result<(), Failure> {
        let rows = [
            ("record", self.reference.to_string()),
            (
                "verdict",
                format!(
                    "{} now; {} when the case was made",
                    self.verdict(),
                    input.verdict.word()
                ),
            ),
            ("evidence", format!("{}  {}", input.path, self.sha256())),
            (
                "bytes",
                format!("{}, sha256 {}", self.bytes.len(), self.record_sha256()),
            ),
        ];
        for (label, text) in rows {
            let label = screen.paint(Colour::Faint, &format!("{label:<9}"));
            writeln!(screen.out(), "{label} {}", safe_text(&text))?;
        }
        for event in &self.events {
            // JSON escapes what a terminal would obey.
            writeln!(screen.out(), "{event:#}")?;
        }
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => {
                for line in text.lines() {
                    writeln!(screen.out(), "{}", safe_text(line))?;
                }
                Ok(())
            }
            Err(_) => hex_lines(&self.bytes, 0, screen),
        }
    }
}

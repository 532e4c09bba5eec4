//! The state alone, as a journal of its own.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;

use saigen_schemas::event::{Event, Fields, Marks, ProcessKey, Source, Text};
use saigen_schemas::journal::SourceLevel;

use super::{Scope, Unowned, take};
use crate::clock;
use crate::image_hash::ImageHashes;
use crate::journal::{
    Directory, Identity, Limits, Recording, StoreError, Urgency, WriteError, Writer,
};
use crate::keys;
use crate::machine::Machine;
use crate::procfs;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Events.
    pub events: u64,
    /// What could not be read, and why.
    pub missed: Vec<String>,
}

/// Why the state could not be written.
#[derive(Debug)]
pub enum SnapshotError {
    /// The directory does not take a journal.
    Store(StoreError),
    /// The journal could not be written.
    Write(WriteError),
    /// The machine could not be asked for its name and boot.
    Machine(io::Error),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(out),
            Self::Write(error) => error.fmt(out),
            Self::Machine(error) => write!(
                out,
                "cannot read the machine's name and boot from /proc: {error}"
            ),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// Writes the state of this machine to a new, unsealed journal at `path`.
///
/// # Errors
/// If the journal cannot be made or written.
pub fn to_journal(path: &Path) -> Result<Taken, SnapshotError> {
    let machine = Machine::read(None).map_err(SnapshotError::Machine)?;
    let enrolment = keys::unsealed_enrolment().map_err(SnapshotError::Machine)?;
    let identity = Identity::Unsealed(enrolment);
    let store = Directory::create(path, &identity.label()).map_err(SnapshotError::Store)?;
    let now = clock::now();
    let recording = recording(&machine);
    let mut writer = Writer::create(store, identity, recording, Limits::default(), now)
        .map_err(SnapshotError::Write)?;
    let processes = procfs::all();
    let keys: HashMap<u32, ProcessKey> = processes
        .iter()
        .map(|process| (process.pid, ProcessKey::new(process.pid, process.start_us)))
        .collect();
    let scope = Scope {
        seen_by: None,
        processes: &processes,
        unowned: Unowned::Told,
    };
    let mut failed = None;
    let missed = take(
        &scope,
        &keys,
        &mut ImageHashes::default(),
        now.boot_us,
        &mut |actor, kind| {
            let now = clock::now();
            let event = Event {
                seq: writer.next_seq(),
                time: now.time(),
                recorded_us: None,
                host: Text(machine.host.as_bytes()),
                boot: machine.boot,
                source: Source::Proc,
                actor,
                marks: Marks(&[]),
                extra: Fields(&[]),
                kind,
            };
            if failed.is_none() {
                failed = writer.push(&event, Urgency::Ordinary, now).err();
            }
        },
    );
    if let Some(error) = failed {
        return Err(SnapshotError::Write(error));
    }
    let events = writer.next_seq();
    writer.close(clock::now()).map_err(SnapshotError::Write)?;
    Ok(Taken { events, missed })
}

fn recording(machine: &Machine) -> Recording {
    Recording {
        host: machine.host.clone(),
        boot: machine.boot,
        tool: concat!("saigen-collector ", env!("CARGO_PKG_VERSION")).to_owned(),
        // Nothing can be configured.
        configuration_sha256: String::new(),
        scope: "snapshot".to_owned(),
        sources: vec![SourceLevel {
            source: "proc".to_owned(),
            level: "once".to_owned(),
            gives: "processes, sockets, modules, accounts, autostarts as they stood".to_owned(),
            missed: "everything before and after".to_owned(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_a_journal_that_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let taken = to_journal(&path).unwrap();
        assert!(taken.events > 0);
        let error = to_journal(&path).unwrap_err().to_string();
        assert!(error.contains("never written over"), "{error}");
        assert!(path.join("00000001.saj").metadata().unwrap().len() > 0);
    }
}

//! Evidence that others recorded on Linux, against what is known to be true of it. The evidence lies
//! beside the project; where it is not, the tests say so and pass.

mod golden;
mod trees;

use std::path::PathBuf;

use saigen_analyzer::import::{At, Finding, ImportError, Sink, Skipped};
use saigen_schemas::event::Event;

/// An event's foreign fields in their order, and its place.
struct Told {
    fields: Vec<(String, String)>,
    at: At,
}

/// Everything that a reader told.
#[derive(Default)]
struct All {
    events: Vec<Told>,
}

impl Sink for All {
    fn event(&mut self, at: At, event: &Event<'_>) -> Result<(), ImportError> {
        self.events.push(Told {
            fields: event
                .extra
                .iter()
                .map(|(name, value)| (name.lossy().into_owned(), value.lossy().into_owned()))
                .collect(),
            at,
        });
        Ok(())
    }

    fn skip(&mut self, _: At, _: Skipped) {}

    fn find(&mut self, _: Finding) {}
}

/// Where the evidence of a name lies; `None`, with a printed reason, where it does not.
fn shared(path: &str) -> Option<PathBuf> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../../shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not here", path.display());
    None
}

/// The files of an archive, in a folder that goes when the test ends.
fn unpacked(archive: &str) -> Option<tempfile::TempDir> {
    let archive = shared(archive)?;
    let folder = tempfile::tempdir().expect("a folder for a test");
    let status = std::process::Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.path())
        .status();
    match status {
        Ok(status) if status.success() => Some(folder),
        Ok(_) | Err(_) => {
            println!("skipped: no tar that unpacks {}", archive.display());
            None
        }
    }
}

//! Which files an input has, and which of them are evidence: told by content, opened read-only.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::evidence::EvidenceError;
use crate::import::sniff::{FRONT_BYTES, What, sniff};

/// How deep a folder is searched. Evidence lies a few levels down; a trap is endless.
const DEPTH_MAX: usize = 32;

/// The file that a recorder puts beside its segments. It is not under the seal, and no log.
const ENROLMENT_FILE: &str = "enrolment.json";

/// A file of evidence that others recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its path, relative to the input as it was given; the input's own name where that is it.
    pub path: String,
    /// Where it is.
    pub at: PathBuf,
}

/// What was found in the inputs.
#[derive(Debug, Default)]
pub struct Search {
    /// Inputs and folders that hold segments of journals, for those who verify them.
    pub journals: Vec<PathBuf>,
    /// Files that others recorded, by path.
    pub places: Vec<Place>,
    /// Files in folders that are of no format that this program knows, by path, and what they are.
    pub strangers: Vec<(String, &'static str)>,
    /// What could not be looked at, and why.
    pub unread: Vec<EvidenceError>,
}

/// Finds evidence in files and folders. The order of the inputs does not matter; an input that is
/// given twice counts once. Links are not followed: they lead out of the evidence.
#[must_use]
pub fn search(inputs: &[PathBuf]) -> Search {
    let mut search = Search::default();
    let mut seen = BTreeSet::new();
    for input in inputs {
        match fs::canonicalize(input) {
            Ok(whole) if seen.insert(whole.clone()) => search.given(input, &whole),
            Ok(_) => {}
            Err(error) => search.unread.push(EvidenceError::io("open", input)(error)),
        }
    }
    search.places.sort();
    search.strangers.sort();
    search
}

impl Search {
    fn given(&mut self, input: &Path, whole: &Path) {
        if whole.is_dir() {
            let before = self.places.len() + self.unread.len();
            if self.folder(whole, "", 0) || self.places.len() + self.unread.len() == before {
                // Also a folder where nothing was found: what is missing there is said by those
                // who know what a journal leaves behind.
                self.journals.push(input.to_owned());
            }
            return;
        }
        if !fs::metadata(whole).is_ok_and(|facts| facts.is_file()) {
            self.unread.push(EvidenceError::NotEvidence {
                path: input.to_owned(),
                found: "neither a file nor a folder; copy what it gives to a file first".to_owned(),
            });
            return;
        }
        match look(whole) {
            Ok(What::Records(_) | What::Container(_)) => self.places.push(Place {
                path: own_name(input, whole),
                at: whole.to_owned(),
            }),
            Ok(What::Segment) => self.journals.push(input.to_owned()),
            Ok(_) if is_segment_by_name(whole) => self.journals.push(input.to_owned()),
            Ok(What::Empty) => self.not_evidence(input, "the file is empty"),
            Ok(What::Unknown(found)) => self.not_evidence(input, found),
            Err(error) => self.unread.push(EvidenceError::io("read", input)(error)),
        }
    }

    fn not_evidence(&mut self, input: &Path, found: &str) {
        self.unread.push(EvidenceError::NotEvidence {
            path: input.to_owned(),
            found: format!("no evidence that this program reads: {found}"),
        });
    }

    /// Searches a folder and those in it; whether it holds segments of a journal somewhere.
    fn folder(&mut self, folder: &Path, inside: &str, depth: usize) -> bool {
        let entries = fs::read_dir(folder).and_then(|entries| {
            entries
                .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))))
                .collect::<io::Result<Vec<_>>>()
        });
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let error = EvidenceError::io("read the folder", folder)(error);
                self.unread.push(error);
                return false;
            }
        };
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut journals = false;
        for (name, kind) in entries {
            let at = folder.join(&name);
            let path = match inside {
                "" => name.to_string_lossy().into_owned(),
                inside => format!("{inside}/{}", name.to_string_lossy()),
            };
            if kind.is_dir() {
                if depth < DEPTH_MAX {
                    journals |= self.folder(&at, &path, depth + 1);
                } else {
                    self.strangers
                        .push((path, "a folder too deep to be searched"));
                }
            } else if kind.is_file() {
                journals |= self.file(path, at);
            } else {
                self.strangers.push((path, "neither a file nor a folder"));
            }
        }
        journals
    }

    /// A file in a folder; whether it is a segment.
    fn file(&mut self, path: String, at: PathBuf) -> bool {
        if is_segment_by_name(&at) {
            return true;
        }
        if at.ends_with(ENROLMENT_FILE) {
            return false;
        }
        match look(&at) {
            Ok(What::Records(_) | What::Container(_)) => self.places.push(Place { path, at }),
            Ok(What::Segment) => return true,
            Ok(What::Empty) => self.strangers.push((path, "the file is empty")),
            Ok(What::Unknown(found)) => self.strangers.push((path, found)),
            Err(error) => self.unread.push(EvidenceError::io("read", &at)(error)),
        }
        false
    }
}

/// What a file is, by its front.
fn look(path: &Path) -> io::Result<What> {
    let mut front = Vec::new();
    File::open(path)?
        .take(FRONT_BYTES as u64)
        .read_to_end(&mut front)?;
    Ok(sniff(&front))
}

/// A segment whose front was overwritten still has its name, and its damage must be told.
fn is_segment_by_name(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| saigen_schemas::journal::segment_number(&name).is_some())
}

/// The last part of a path: what an input is called, wherever it lies.
fn own_name(given: &Path, whole: &Path) -> String {
    given.file_name().or_else(|| whole.file_name()).map_or_else(
        || ".".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_searched_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::write(root.join("b/c/log.txt"), b"{\"a\":1}\n").unwrap();
        fs::write(root.join("a.evtx"), b"{\"a\":1}\n").unwrap();
        fs::write(root.join("empty.evtx"), b"").unwrap();
        fs::write(root.join("b/picture.json"), b"\x89PNG\0").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("/etc", root.join("b/link")).unwrap();
        let found = search(&[root.to_owned(), root.join("b/..")]);
        let paths: Vec<_> = found
            .places
            .iter()
            .map(|place| place.path.as_str())
            .collect();
        assert_eq!(paths, ["a.evtx", "b/c/log.txt"]);
        let strangers: Vec<_> = found
            .strangers
            .iter()
            .map(|(path, _)| path.as_str())
            .collect();
        assert_eq!(strangers.first(), Some(&"b/link"));
        assert!(strangers.contains(&"empty.evtx") && strangers.contains(&"b/picture.json"));
        assert!(found.journals.is_empty() && found.unread.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        fs::write(&empty, b"").unwrap();
        let found = search(&[empty, folder.path().join("none")]);
        assert_eq!(found.unread.len(), 2);
        assert!(found.places.is_empty());
    }
}

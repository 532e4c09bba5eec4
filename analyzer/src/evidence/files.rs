//! Which files are evidence: journals found in what was given, told by content, opened read-only.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use saigen_schemas::journal::seal::EnrolmentId;
use saigen_schemas::journal::{FORMAT_VERSION, FrameError, FrameKind, Opening, segment_number};

use crate::evidence::EvidenceError;
use crate::evidence::scan::frame_at;
use crate::evidence::window::{Hashing, Window};
use crate::reference::SourceId;

/// How deep a folder is searched. Evidence lies a few levels down; a trap is endless.
const DEPTH_MAX: usize = 16;

/// The file that a recorder puts beside its segments. It is not under the seal: never read.
const ENROLMENT_FILE: &str = "enrolment.json";

/// A journal: the segments of one recording, found in one folder.
#[derive(Clone, Debug)]
pub struct Journal {
    /// Its number among the inputs, from 1.
    pub source: SourceId,
    /// Its path, relative to the input as it was given; the input's own name where that is it.
    pub path: String,
    /// The enrolment that its openings name; `None` where none can be read.
    pub enrolment: Option<EnrolmentId>,
    /// Its segments, in the order of their numbers.
    pub segments: Vec<SegmentFile>,
    /// Names of files beside them that are no part of a journal.
    pub strangers: Vec<String>,
    /// Files that are part of a journal, and do not belong here: in words.
    pub misplaced: Vec<Misplaced>,
}

impl Journal {
    /// The folder that its segments lie in; empty for a journal without segments.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let first = self.segments.first();
        first
            .and_then(|segment| segment.path.parent())
            .map(Path::to_owned)
            .unwrap_or_default()
    }
}

/// A segment's file.
#[derive(Clone, Debug)]
pub struct SegmentFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its number: as its opening says, or else its name.
    pub number: u32,
}

/// A file that should not be where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    /// Its name.
    pub name: String,
    /// What is wrong with that.
    pub text: String,
}

/// What was found in the inputs.
#[derive(Debug, Default)]
pub struct Found {
    /// Journals, in the order of their paths.
    pub journals: Vec<Journal>,
    /// What could not be looked at, and why.
    pub unread: Vec<EvidenceError>,
}

/// Finds the journals in files and folders. Journals are numbered in the order of their paths,
/// whatever the order of the inputs; an input that is given twice counts once.
#[must_use]
pub fn open(inputs: &[PathBuf]) -> Found {
    let mut search = Search::default();
    let mut files: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for input in inputs {
        let whole = match fs::canonicalize(input) {
            Ok(whole) => whole,
            Err(error) => {
                search.unread.push(EvidenceError::io("open", input)(error));
                continue;
            }
        };
        if !seen.insert(whole.clone()) {
            continue;
        }
        if whole.is_dir() {
            search.folder_given(input, &whole);
        } else {
            let folder = whole.parent().map(Path::to_owned).unwrap_or_default();
            files.entry(folder).or_default().push(input.clone());
        }
    }
    for (folder, inputs) in files {
        search.files_given(&folder, &inputs);
    }
    search
        .found
        .sort_by(|a, b| (&a.journal.path, &a.at).cmp(&(&b.journal.path, &b.at)));
    let journals = (1..).zip(search.found).map(|(number, place)| Journal {
        source: SourceId(number),
        ..place.journal
    });
    Found {
        journals: journals.collect(),
        unread: search.unread,
    }
}

/// A journal and what orders it among those of one path.
struct Place {
    journal: Journal,
    at: (PathBuf, Option<String>, u64),
}

/// A segment whose first frame was looked at.
struct Candidate {
    file: SegmentFile,
    /// The number in its name, if it has a segment's name.
    named: Option<u32>,
    opening: Option<Opening>,
}

#[derive(Default)]
struct Search {
    found: Vec<Place>,
    unread: Vec<EvidenceError>,
}

impl Search {
    fn folder_given(&mut self, input: &Path, whole: &Path) {
        let before = (self.found.len(), self.unread.len());
        self.folder(whole, &own_name(input, whole), "", 0);
        if before == (self.found.len(), self.unread.len()) {
            let found = if whole.join(ENROLMENT_FILE).exists() {
                "no segment of a journal is left here; only its enrolment.json is"
            } else {
                "no evidence that this program reads is in this folder; a journal is a folder of .saj files"
            };
            self.unread.push(EvidenceError::NotEvidence {
                path: input.to_owned(),
                found: found.to_owned(),
            });
        }
    }

    /// Searches a folder and those in it. `own` names it where it is itself a journal, `inside` is
    /// its path in the input.
    fn folder(&mut self, folder: &Path, own: &str, inside: &str, depth: usize) {
        let entries = fs::read_dir(folder).and_then(|entries| {
            entries
                .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))))
                .collect::<io::Result<Vec<_>>>()
        });
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.unread
                    .push(EvidenceError::io("read the folder", folder)(error));
                return;
            }
        };
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut candidates = Vec::new();
        let mut strangers = Vec::new();
        for (name, kind) in &entries {
            let path = folder.join(name);
            let name = name.to_string_lossy().into_owned();
            // A link leads out of the evidence; a pipe or device would wait for ever.
            if kind.is_file() {
                match look_at(&path, &name) {
                    Ok(Some(candidate)) => candidates.push(candidate),
                    Ok(None) if name == ENROLMENT_FILE => {}
                    Ok(None) => strangers.push(name),
                    Err(error) => self.unread.push(error),
                }
            } else if !kind.is_dir() {
                strangers.push(name);
            }
        }
        let path = if inside.is_empty() { own } else { inside };
        self.group(folder, path, candidates, &strangers, Names::Checked);
        for (name, _) in entries.iter().filter(|(_, kind)| kind.is_dir()) {
            if depth < DEPTH_MAX {
                let name_text = name.to_string_lossy();
                let inside = if inside.is_empty() {
                    name_text.into_owned()
                } else {
                    format!("{inside}/{name_text}")
                };
                self.folder(&folder.join(name), own, &inside, depth + 1);
            }
        }
    }

    /// Files of one folder that were given by name.
    fn files_given(&mut self, folder: &Path, inputs: &[PathBuf]) {
        let mut candidates = Vec::new();
        for input in inputs {
            let name = own_name(input, input);
            let regular = fs::metadata(input).is_ok_and(|facts| facts.is_file());
            let looked = if regular {
                look_at(input, &name)
            } else {
                Err(EvidenceError::NotEvidence {
                    path: input.clone(),
                    found: "neither a file nor a folder; copy what it gives to a file first"
                        .to_owned(),
                })
            };
            match looked {
                Ok(Some(candidate)) => candidates.push(candidate),
                Ok(None) => self.unread.push(EvidenceError::NotEvidence {
                    path: input.clone(),
                    found: what_it_is(input),
                }),
                Err(error) => self.unread.push(error),
            }
        }
        let path = match candidates.as_slice() {
            [only] => only.file.name.clone(),
            _ => own_name(folder, folder),
        };
        self.group(folder, &path, candidates, &[], Names::AsGiven);
    }

    /// Makes journals of the segments of one folder: one a recording.
    fn group(
        &mut self,
        folder: &Path,
        path: &str,
        candidates: Vec<Candidate>,
        strangers: &[String],
        names: Names,
    ) {
        let groups = recordings(candidates);
        let mixed = groups.len() > 1;
        for ((enrolment, begin), candidates) in groups {
            let mut misplaced = Vec::new();
            if mixed {
                let own = candidates
                    .iter()
                    .map(|candidate| candidate.file.name.as_str());
                misplaced.push(Misplaced {
                    name: own.clone().next().unwrap_or_default().to_owned(),
                    text: format!(
                        "segments of different recordings stand in one folder; of this one: {}",
                        own.collect::<Vec<_>>().join(", ")
                    ),
                });
            }
            let segments = in_order(candidates, names, &mut misplaced);
            self.found.push(Place {
                journal: Journal {
                    source: SourceId(0),
                    path: path.to_owned(),
                    enrolment: enrolment.as_deref().and_then(EnrolmentId::parse),
                    segments,
                    strangers: strangers.to_vec(),
                    misplaced,
                },
                at: (folder.to_owned(), enrolment, begin),
            });
        }
    }
}

/// Whether the names of segments must be those that a recorder gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// The folder is as the recorder left it.
    Checked,
    /// Single files: whoever gave them may have named them.
    AsGiven,
}

/// Segments by recording: by enrolment, and within one by the position at which a recording
/// began. Segments whose opening cannot be read are put to the largest.
fn recordings(candidates: Vec<Candidate>) -> BTreeMap<(Option<String>, u64), Vec<Candidate>> {
    let mut groups: BTreeMap<(Option<String>, u64), Vec<Candidate>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for candidate in candidates {
        match &candidate.opening {
            Some(opening) => {
                let key = (Some(opening.enrolment.clone()), opening.recording);
                groups.entry(key).or_default().push(candidate);
            }
            None => unknown.push(candidate),
        }
    }
    if !unknown.is_empty() {
        let largest = groups
            .iter()
            .rev()
            .max_by_key(|(_, group)| group.len())
            .map_or((None, 0), |(key, _)| key.clone());
        groups.entry(largest).or_default().extend(unknown);
    }
    groups
}

/// The segments by number; those that are there twice, or under another's name, are told.
fn in_order(
    mut candidates: Vec<Candidate>,
    names: Names,
    misplaced: &mut Vec<Misplaced>,
) -> Vec<SegmentFile> {
    // Of two with one number the one that has its name comes first.
    candidates.sort_by_key(|candidate| {
        let own_name = candidate.named == Some(candidate.file.number);
        (
            candidate.file.number,
            !own_name,
            candidate.file.name.clone(),
        )
    });
    let mut segments: Vec<SegmentFile> = Vec::with_capacity(candidates.len());
    for Candidate { file, named, .. } in candidates {
        let before = segments
            .last()
            .filter(|before| before.number == file.number);
        let wrong = if let Some(before) = before {
            Some(format!(
                "segment {} stands here twice; {} is read, this is not",
                file.number, before.name
            ))
        } else if names == Names::Checked && named != Some(file.number) {
            Some(format!(
                "holds segment {}, and has not its name",
                file.number
            ))
        } else {
            None
        };
        let twice = before.is_some();
        if let Some(text) = wrong {
            misplaced.push(Misplaced {
                name: file.name.clone(),
                text,
            });
        }
        if !twice {
            segments.push(file);
        }
    }
    segments
}

/// Looks at a file's first frame; `None` if it is no segment.
fn look_at(path: &Path, name: &str) -> Result<Option<Candidate>, EvidenceError> {
    let named = segment_number(name);
    let file = File::open(path).map_err(EvidenceError::io("open", path))?;
    let mut window = Window::new(file, 0, Hashing::None);
    let first = frame_at(&mut window, 0).map_err(EvidenceError::io("read", path))?;
    // A damaged first frame still begins as one.
    let begins = !matches!(
        first,
        Err(FrameError::NoFrame | FrameError::CutHeader { .. })
    );
    if !begins && named.is_none() {
        return Ok(None);
    }
    if let Err(FrameError::Version { found }) = first {
        return Err(EvidenceError::NotEvidence {
            path: path.to_owned(),
            found: format!(
                "a journal of format version {found}, and this program reads version {FORMAT_VERSION}; read it with the release that recorded it"
            ),
        });
    }
    let first = first.ok();
    let opening = first
        .as_ref()
        .filter(|frame| frame.header.kind == FrameKind::Open)
        .and_then(|frame| Opening::read(frame).ok());
    let number = opening.as_ref().map(|opening| opening.segment).or(named);
    Ok(Some(Candidate {
        file: SegmentFile {
            path: path.to_owned(),
            name: name.to_owned(),
            number: number.unwrap_or(1),
        },
        named,
        opening,
    }))
}

/// The last part of a path: what an input is called, wherever it lies.
fn own_name(given: &Path, whole: &Path) -> String {
    given.file_name().or_else(|| whole.file_name()).map_or_else(
        || ".".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Says what a file is that is no journal.
fn what_it_is(path: &Path) -> String {
    let mut front = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8).read_to_end(&mut front));
    let known = match front.as_slice() {
        _ if read.is_err() => "it cannot be read",
        [] => "the file is empty",
        [b'E', b'l', b'f', b'F', b'i', b'l', b'e', ..] => "a windows event log",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "a zstandard file",
        [b'P', b'K', ..] => "a zip archive",
        [0x1f, 0x8b, ..] => "a gzip file",
        [b'{' | b'[', ..] => "json",
        _ => "of no format that this program knows",
    };
    format!("not a journal: {known}; a journal is a folder of .saj files, or one of them")
}

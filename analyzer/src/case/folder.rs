//! The folder of a case: written beside its place, then named.
#![expect(
    clippy::disallowed_methods,
    reason = "writes a case, and removes its own unfinished or replaced folder"
)]

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use saigen_schemas::report::Report;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::custody::{Log, Occasion, hex};
use super::{
    CUSTODY, CaseError, DATABASE, FILES, REPORT_HTML, REPORT_JSON, REPORT_TEXT, TIMELINE, store,
};
use crate::report::{write_html, write_json, write_text, write_timeline};

/// Names tried for the unfinished folder: those of runs that were killed stay taken.
const UNFINISHED_MAX: u32 = 100;

/// What to do where a case stands already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it, and fail. An empty folder is no case and is taken.
    Refuse,
    /// Put the new one in its place, if it is a case and holds nothing else.
    Replace,
}

/// A case that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenCase {
    /// The report, with its custody head.
    pub report: Report,
    /// The head of the whole custody log, to be noted elsewhere.
    pub custody_head: String,
    /// The files, in the order in which the log names them.
    pub files: Vec<OutputFile>,
}

/// A file of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputFile {
    /// Its name in the folder.
    pub name: String,
    /// Lower-case hex SHA-256 of its bytes.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// Writes a case. The report's `custody_head` is filled in here.
///
/// The folder has its name only when all of it is durable. What goes wrong before leaves
/// nothing behind; a run that is killed leaves a folder `.NAME.unfinished-N` beside the place.
///
/// # Errors
///
/// [`CaseError::Exists`] and its kin when something stands in the way; otherwise what the
/// system or the database refused.
pub fn write_case(
    dir: &Path,
    mut report: Report,
    occasion: &Occasion,
    existing: Existing,
) -> Result<WrittenCase, CaseError> {
    check_place(dir, existing)?;
    let unfinished = make_unfinished(dir)?;
    let mut log = Log::of_inputs(&report);
    report.custody_head = Some(log.head().to_owned());
    let written = write_files(&unfinished, &report, &mut log, occasion)
        .and_then(|files| name(&unfinished, dir, existing).map(|()| files));
    match written {
        Ok(files) => {
            let custody_head = log.head().to_owned();
            Ok(WrittenCase {
                report,
                custody_head,
                files,
            })
        }
        Err(error) => {
            // The first error is the one to report; what cannot be removed says by its name
            // what it is.
            let _ = fs::remove_dir_all(&unfinished);
            Err(error)
        }
    }
}

/// Reads the report of a case.
///
/// # Errors
///
/// When the folder is no case, or its report cannot be read.
pub fn read_report(dir: &Path) -> Result<Report, CaseError> {
    let path = dir.join(REPORT_JSON);
    let bytes = fs::read(&path).map_err(CaseError::missing_or_io(dir, REPORT_JSON))?;
    serde_json::from_slice(&bytes).map_err(|source| CaseError::Unreadable {
        path,
        line: 0,
        source,
    })
}

/// Refuses a place that is taken, before any work is done.
///
/// # Errors
///
/// [`CaseError::Exists`] and its kin when something stands in the way.
pub fn check_place(dir: &Path, existing: Existing) -> Result<(), CaseError> {
    let metadata = match fs::symlink_metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(CaseError::io("look at", dir)(source)),
    };
    if !metadata.is_dir() {
        return Err(CaseError::Exists {
            dir: dir.to_owned(),
        });
    }
    let mut holds = Vec::new();
    for entry in fs::read_dir(dir).map_err(CaseError::io("read", dir))? {
        holds.push(entry.map_err(CaseError::io("read", dir))?.file_name());
    }
    holds.sort();
    match existing {
        _ if holds.is_empty() => Ok(()),
        Existing::Refuse => Err(CaseError::Exists {
            dir: dir.to_owned(),
        }),
        Existing::Replace => only_a_case(dir, &holds),
    }
}

fn only_a_case(dir: &Path, holds: &[OsString]) -> Result<(), CaseError> {
    if let Some(stranger) = holds
        .iter()
        .find(|name| FILES.iter().all(|file| *name != *file))
    {
        let stranger = PathBuf::from(stranger);
        return Err(CaseError::NotOnlyACase {
            dir: dir.to_owned(),
            stranger,
        });
    }
    match FILES
        .iter()
        .find(|file| holds.iter().all(|name| *name != **file))
    {
        Some(missing) => Err(CaseError::NotACase {
            dir: dir.to_owned(),
            missing,
        }),
        None => Ok(()),
    }
}

/// Makes the folder beside the place, for the owner alone: evidence is nobody else's business.
fn make_unfinished(dir: &Path) -> Result<PathBuf, CaseError> {
    let no_name = || CaseError::NoName {
        dir: dir.to_owned(),
    };
    let name = dir.file_name().ok_or_else(no_name)?;
    for number in 1..=UNFINISHED_MAX {
        let mut beside = OsString::from(".");
        beside.push(name);
        beside.push(format!(".unfinished-{number}"));
        let path = dir.with_file_name(beside);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(CaseError::io("create a folder at", dir)(source)),
        }
    }
    let taken = io::Error::from(io::ErrorKind::AlreadyExists);
    Err(CaseError::io("create a folder beside", dir)(taken))
}

fn write_files(
    dir: &Path,
    report: &Report,
    log: &mut Log,
    occasion: &Occasion,
) -> Result<Vec<OutputFile>, CaseError> {
    let files = vec![
        write_file(dir, REPORT_JSON, |out| write_json(report, out))?,
        write_file(dir, REPORT_TEXT, |out| write_text(report, out))?,
        write_file(dir, REPORT_HTML, |out| write_html(report, out))?,
        write_file(dir, TIMELINE, |out| write_timeline(report, out))?,
        write_database(dir, report)?,
    ];
    log.push_run(occasion);
    for file in &files {
        log.push_output(file);
    }
    write_file(dir, CUSTODY, |out| out.write_all(log.text().as_bytes()))?;
    sync_folder(dir)?;
    Ok(files)
}

fn write_file(
    dir: &Path,
    name: &str,
    write: impl FnOnce(&mut Hashing) -> io::Result<()>,
) -> Result<OutputFile, CaseError> {
    let path = dir.join(name);
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|file| {
            let mut out = Hashing {
                file: BufWriter::new(file),
                sha256: Sha256::new(),
                bytes: 0,
            };
            write(&mut out)?;
            out.flush()?;
            out.file.get_ref().sync_all()?;
            Ok((hex(&out.sha256.finalize()), out.bytes))
        });
    let (sha256, bytes) = made.map_err(CaseError::io("write", &path))?;
    Ok(OutputFile {
        name: name.to_owned(),
        sha256,
        bytes,
    })
}

fn write_database(dir: &Path, report: &Report) -> Result<OutputFile, CaseError> {
    let path = dir.join(DATABASE);
    store::write(&path, report)?;
    let written = File::open(&path).and_then(|mut file| {
        file.sync_all()?;
        let mut out = Counting {
            sha256: Sha256::new(),
            bytes: 0,
        };
        io::copy(&mut file, &mut out)?;
        Ok((hex(&out.sha256.finalize()), out.bytes))
    });
    let (sha256, bytes) = written.map_err(CaseError::io("read", &path))?;
    Ok(OutputFile {
        name: DATABASE.to_owned(),
        sha256,
        bytes,
    })
}

/// Gives the finished folder its name.
fn name(unfinished: &Path, dir: &Path, existing: Existing) -> Result<(), CaseError> {
    let taken = fs::symlink_metadata(dir).is_ok();
    match existing {
        // A rename takes the place of an empty folder, and of nothing else that stands.
        Existing::Refuse => fs::rename(unfinished, dir).map_err(CaseError::io("name", dir))?,
        Existing::Replace if !taken => {
            fs::rename(unfinished, dir).map_err(CaseError::io("name", dir))?;
        }
        Existing::Replace => {
            check_place(dir, existing)?;
            change_places(unfinished, dir)?;
            fs::remove_dir_all(unfinished).map_err(CaseError::io("remove", unfinished))?;
        }
    }
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

/// Lets two folders change names in one step, so that there is a whole case at every moment.
/// Some network filesystems cannot; there it takes three.
fn change_places(unfinished: &Path, dir: &Path) -> Result<(), CaseError> {
    match renameat_with(CWD, unfinished, CWD, dir, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            let mut aside = unfinished.as_os_str().to_owned();
            aside.push("-replaced");
            fs::rename(dir, &aside).map_err(CaseError::io("move aside", dir))?;
            fs::rename(unfinished, dir)
                .and_then(|()| fs::rename(&aside, unfinished))
                .map_err(CaseError::io("replace", dir))
        }
        Err(error) => Err(CaseError::io("replace", dir)(error.into())),
    }
}

fn sync_folder(dir: &Path) -> Result<(), CaseError> {
    File::open(dir)
        .and_then(|folder| folder.sync_all())
        .map_err(CaseError::io("sync", dir))
}

/// A file that counts and hashes what goes into it.
struct Hashing {
    file: BufWriter<File>,
    sha256: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Counts and hashes what is read.
struct Counting {
    sha256: Sha256,
    bytes: u64,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

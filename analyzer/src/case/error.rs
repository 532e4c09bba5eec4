//! What can go wrong with a case.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a case could not be written or read. Each names the path that it is about.
#[derive(Debug)]
pub enum CaseError {
    /// Something stands where the case was to be written.
    Exists {
        /// The place.
        dir: PathBuf,
    },
    /// The folder that was to be replaced holds something that is not of a case.
    NotOnlyACase {
        /// The folder.
        dir: PathBuf,
        /// What it holds.
        stranger: PathBuf,
    },
    /// The folder is not a case.
    NotACase {
        /// The folder.
        dir: PathBuf,
        /// The file that a case has and this folder has not.
        missing: &'static str,
    },
    /// The path has no last part that a case could be named by.
    NoName {
        /// The path.
        dir: PathBuf,
    },
    /// The system refused.
    Io {
        /// What was tried (`write`, `read`).
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Its words.
        source: io::Error,
    },
    /// The database refused.
    Database {
        /// The database.
        path: PathBuf,
        /// Its words.
        source: rusqlite::Error,
    },
    /// The statement would change the case, or is none that gives rows.
    NotAQuestion {
        /// The statement.
        sql: String,
    },
    /// A file of the case does not read as what it should be.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 where it has none.
        line: usize,
        /// What was wrong.
        source: serde_json::Error,
    },
}

impl CaseError {
    /// Makes an error of the system's words.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    /// Makes an error of the system's words about a file that every case has.
    pub(super) fn missing_or_io(dir: &Path, name: &'static str) -> impl FnOnce(io::Error) -> Self {
        let dir = dir.to_owned();
        move |source| {
            if source.kind() == io::ErrorKind::NotFound {
                Self::NotACase { dir, missing: name }
            } else {
                Self::Io {
                    what: "read",
                    path: dir.join(name),
                    source,
                }
            }
        }
    }

    /// Makes an error of the database's words.
    pub(super) fn database(path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Database { path, source }
    }
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists { dir } => {
                write!(
                    f,
                    "case {}: exists already; name another place",
                    dir.display()
                )
            }
            Self::NotOnlyACase { dir, stranger } => write!(
                f,
                "case {}: not replaced, since it holds {}, which is not of a case",
                dir.display(),
                stranger.display()
            ),
            Self::NotACase { dir, missing } => {
                write!(
                    f,
                    "case {}: expected a case, found no {missing} in it",
                    dir.display()
                )
            }
            Self::NoName { dir } => {
                write!(
                    f,
                    "case {}: expected a folder's name at the end",
                    dir.display()
                )
            }
            Self::Io { what, path, source } => write!(f, "{what} {}: {source}", path.display()),
            Self::Database { path, source } => {
                // The database's words may hold line ends, from the statement that it quotes.
                let words = source.to_string().replace(['\n', '\r'], " ");
                write!(f, "{}: {words}", path.display())
            }
            Self::NotAQuestion { sql } => {
                let sql: String = sql.chars().take(80).collect();
                write!(
                    f,
                    "expected a statement that only reads and gives rows, found {sql:?}"
                )
            }
            Self::Unreadable {
                path,
                line: 0,
                source,
            } => {
                write!(f, "{}: {source}", path.display())
            }
            Self::Unreadable { path, line, source } => {
                write!(f, "{} line {line}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for CaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Database { source, .. } => Some(source),
            Self::Unreadable { source, .. } => Some(source),
            Self::Exists { .. }
            | Self::NotOnlyACase { .. }
            | Self::NotACase { .. }
            | Self::NoName { .. }
            | Self::NotAQuestion { .. } => None,
        }
    }
}

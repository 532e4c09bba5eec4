//! Questions to a case's database, and their answers.

use std::io::{self, Write};
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{CaseError, DATABASE};
use crate::report::{Visible, clip, write_quietly};

/// The widest that a column of text is printed.
const COLUMN_CHARACTERS_MAX: usize = 72;

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// One value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Asks the database of a case. The connection can only read, and a statement that would
/// write is refused before it runs.
///
/// # Errors
///
/// When the folder is no case, the statement is not one that reads and gives rows, or the
/// database refuses it.
pub fn query(dir: &Path, sql: &str) -> Result<Table, CaseError> {
    let path = dir.join(DATABASE);
    if !path.is_file() {
        return Err(CaseError::NotACase {
            dir: dir.to_owned(),
            missing: DATABASE,
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(&path, flags).map_err(CaseError::database(&path))?;
    let mut statement = connection
        .prepare(sql)
        .map_err(CaseError::database(&path))?;
    // ATTACH counts as reading, and has no columns.
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(CaseError::NotAQuestion {
            sql: sql.to_owned(),
        });
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let rows = statement.query_map([], |row| {
        (0..width)
            .map(|at| row.get_ref(at).map(Cell::of))
            .collect::<Result<Vec<_>, _>>()
    });
    let rows: Result<Vec<_>, _> = rows.map_err(CaseError::database(&path))?.collect();
    Ok(Table {
        columns,
        rows: rows.map_err(CaseError::database(&path))?,
    })
}

impl Cell {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }

    /// The value for a reader's eye.
    fn shown(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Integer(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Text(text) => Visible(&clip(text, COLUMN_CHARACTERS_MAX)).to_string(),
            Self::Bytes(bytes) => format!("({} bytes)", bytes.len()),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Real(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_str(&super::custody::hex(bytes)),
        }
    }
}

/// A row as a JSON object, its members in the order of the columns.
struct RowObject<'a>(&'a [String], &'a [Cell]);

impl Serialize for RowObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (column, cell) in self.0.iter().zip(self.1) {
            map.serialize_entry(column, cell)?;
        }
        map.end()
    }
}

impl Table {
    /// Writes the answer as a JSON array, an object a row. Bytes are written in hex.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<RowObject<'_>> = self
            .rows
            .iter()
            .map(|row| RowObject(&self.columns, row))
            .collect();
        write_quietly(&rows, out)
    }

    /// Writes the answer as columns of text; what acts on a terminal is shown.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let head: Vec<String> = self
            .columns
            .iter()
            .map(|c| Visible(c).to_string())
            .collect();
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::shown).collect())
            .collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|at| {
                let column = rows.iter().map(|row| &row[at]).chain([&head[at]]);
                column.map(|text| text.chars().count()).max().unwrap_or(0)
            })
            .collect();
        write_line(out, &head, &widths)?;
        let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
        write_line(out, &rule, &widths)?;
        rows.iter()
            .try_for_each(|row| write_line(out, row, &widths))
    }
}

fn write_line(out: &mut impl Write, cells: &[String], widths: &[usize]) -> io::Result<()> {
    let line: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}"))
        .collect();
    writeln!(out, "{}", line.join("  ").trim_end())
}

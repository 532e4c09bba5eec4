//! The case: a folder with all that an investigation found.
//!
//! | File            | What                                                           |
//! |-----------------|----------------------------------------------------------------|
//! | `report.html`   | the report as a page                                           |
//! | `report.json`   | the report as data, `schemas/report.schema.json`               |
//! | `report.txt`    | the report as text                                             |
//! | `timeline.csv`  | what happened, for Timesketch or a spreadsheet                 |
//! | `case.sqlite`   | the same as tables, `schemas/case.sql`                         |
//! | `custody.jsonl` | who made it, when, from what, and the hashes; docs/REPORT.md  |
//!
//! A case comes into being as a whole or not at all: it is written into a folder beside its
//! place, made durable, and then given its name. A case that stands is never touched, unless
//! the caller says so.
//!
//! ```no_run
//! use saigen_analyzer::case::{self, Existing, Occasion};
//! # fn pipeline(report: saigen_schemas::report::Report, occasion: &Occasion)
//! # -> Result<(), case::CaseError> {
//! let written = case::write_case("case".as_ref(), report, occasion, Existing::Refuse)?;
//! println!("note this down elsewhere: {}", written.custody_head);
//! let table = case::query("case".as_ref(), "SELECT time, text FROM steps ORDER BY time")?;
//! # Ok(()) }
//! ```
//!
//! Everything here but the custody log's `run` line is a function of the report alone.

mod custody;
mod error;
mod folder;
mod query;
mod store;

pub use custody::{CustodyCheck, Location, Occasion, check_custody, locations};
pub use error::CaseError;
pub use folder::{Existing, OutputFile, WrittenCase, check_place, read_report, write_case};
pub use query::{Cell, Table, query};

/// The database.
pub const DATABASE: &str = "case.sqlite";
/// The custody log.
pub const CUSTODY: &str = "custody.jsonl";
/// The report as data.
pub const REPORT_JSON: &str = "report.json";
/// The report as a page.
pub const REPORT_HTML: &str = "report.html";
/// The report as text.
pub const REPORT_TEXT: &str = "report.txt";
/// The timeline.
pub const TIMELINE: &str = "timeline.csv";

/// All files of a case, in the order in which they are written.
const FILES: [&str; 6] = [
    REPORT_JSON,
    REPORT_TEXT,
    REPORT_HTML,
    TIMELINE,
    DATABASE,
    CUSTODY,
];

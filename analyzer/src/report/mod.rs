//! The renderers: a [`Report`] as JSON, text, a timeline and a page.
//!
//! Each renderer is a function of the report alone. It writes to a `Write`, has no clock and
//! reaches for nothing, so that the same report gives the same bytes.
//!
//! Text from evidence is shown, never obeyed: each renderer passes it through [`Visible`],
//! which turns control characters, bidi marks and what else would act on a terminal, a
//! browser or a spreadsheet into visible escapes.

mod export;
mod html;
mod json;
mod marks;
mod names;
mod text;
mod timeline;
mod trail;
mod tree;
mod visible;
mod words;

pub use export::{ExportTable, write_csv, write_graphml, write_jsonl};
pub use html::{VerifiedInput, write_html, write_verification};
pub use json::write_json;
pub(crate) use json::write_quietly;
pub use text::write_text;
pub use timeline::{cell as csv_cell, write_timeline};
pub use trail::{TrailRow, write_trail_dot, write_trail_svg, write_trail_text};
pub use visible::{Visible, clip};

#[cfg(doc)]
use saigen_schemas::report::Report;

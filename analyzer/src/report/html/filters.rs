//! The filters of the page's templates.
//!
//! Everything that may come from evidence goes through [`shown()`] or [`whole()`]. askama
//! escapes the rest; the two filters escape for themselves, since they also mark up what
//! would act or hide.

use std::fmt::Display;

use askama::{Result, Values};
use saigen_schemas::report::Moment;

use super::markup::Shown;
use super::pane::indented;
use crate::report::words::grouped;

/// The most characters of a text in the flow of the page; the record has all of them.
const TEXT_CHARACTERS_MAX: usize = 600;
/// The most characters of a text in a row of a table.
const CELL_CHARACTERS_MAX: usize = 240;

/// Text of a sentence or a field: what acts is shown, what is too long is cut.
#[askama::filter_fn]
pub fn shown(text: impl AsRef<str>, _env: &dyn Values) -> Result<Shown> {
    Ok(Shown::cut(text.as_ref(), TEXT_CHARACTERS_MAX))
}

/// A sentence of the story.
#[askama::filter_fn]
pub fn told(text: impl AsRef<str>, _env: &dyn Values) -> Result<Shown> {
    Ok(Shown::told(text.as_ref(), TEXT_CHARACTERS_MAX))
}

/// Text of a table's cell.
#[askama::filter_fn]
pub fn cell(text: impl AsRef<str>, _env: &dyn Values) -> Result<Shown> {
    Ok(Shown::cut(text.as_ref(), CELL_CHARACTERS_MAX))
}

/// Text that must be there to its last character.
#[askama::filter_fn]
pub fn whole(text: impl AsRef<str>, _env: &dyn Values) -> Result<Shown> {
    Ok(Shown::whole(text.as_ref()))
}

/// A record's JSON, with a line for each field.
#[askama::filter_fn]
pub fn record(json: impl AsRef<str>, _env: &dyn Values) -> Result<Shown> {
    Ok(Shown::lines(&indented(json.as_ref())))
}

/// A list of texts, with commas.
#[askama::filter_fn]
pub fn listed(texts: impl AsRef<[String]>, _env: &dyn Values) -> Result<Shown> {
    Ok(Shown::cut(&texts.as_ref().join(", "), TEXT_CHARACTERS_MAX))
}

/// A time, to the millisecond.
#[askama::filter_fn]
pub fn time(moment: &Moment, _env: &dyn Values) -> Result<String> {
    Ok(format!("{}Z", &moment.to_string()[..23]))
}

/// A time of day, to the second.
#[askama::filter_fn]
pub fn clock(moment: &Moment, _env: &dyn Values) -> Result<String> {
    Ok(moment.to_string()[11..19].to_owned())
}

/// A count, with a comma after each three digits.
#[askama::filter_fn]
pub fn count(number: impl Display, _env: &dyn Values) -> Result<String> {
    Ok(grouped(&number.to_string()))
}

//! Events: facts that a source reported.
//!
//! An [`Event`] borrows its texts, from the collector's buffers on one side and from a decoded
//! frame on the other, so that neither side allocates for each event. What is concluded from
//! events is another type, on the other side of the wall.

mod identity;
mod json;
#[macro_use]
mod table;

mod kinds;
mod row;
mod text;
mod time;
mod value;
mod words;

pub use identity::{BootId, Guid, Hash32, ProcessKey};
pub use json::write_json;
pub use kinds::*;
pub use row::{read_row, write_row};
pub use text::{Args, Fields, FieldsBuf, Mark, Marks, Text};
pub use time::{Time, format_utc};
pub(crate) use value::{Cell, Class};
pub use value::{Near, Value};
pub use words::*;

/// One fact, as a source reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Number of the event in its journal, from 0, never reset. A difference is a missing event.
    pub seq: u64,
    /// When it happened, on the clocks of the host that reported it.
    pub time: Time,
    /// When the source wrote its record, UTC microseconds, where that is another clock or moment
    /// (foreign logs: a forwarder's or the log service's own time).
    pub recorded_us: Option<i64>,
    /// Name of the host that reported it, as the host calls itself.
    pub host: Text<'a>,
    /// The boot of the host; all zero where a foreign log does not say.
    pub boot: BootId,
    /// Who reported it.
    pub source: Source,
    /// The process that did it, or to which it happened (`process.*`).
    pub actor: Option<ProcessKey>,
    /// How single fields were had, where not copied by the kernel.
    pub marks: Marks<'a>,
    /// Fields of a foreign record that have no place of their own, under their own names.
    pub extra: Fields<'a>,
    /// What happened.
    pub kind: Kind<'a>,
}

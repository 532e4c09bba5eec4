//! Evidence that others recorded: what it is, and its events. Part of the evidence wing: it turns
//! bytes into facts, and never concludes.
//!
//! A reader of one format is two functions: `read` tells a [`Sink`] all that the bytes of an
//! [`Input`] hold, and `record_at` gives the bytes of one record again.

mod audit;
pub mod json;
mod lines;
mod sink;
mod syslog;
#[cfg(test)]
mod testing;
pub mod text;
pub mod windows;
mod xml;

pub use sink::{At, Finding, ImportError, Input, NO_TIME_US, Sink, Skipped};

//! Evidence that others recorded: what it is, and its events. Part of the evidence wing: it turns
//! bytes into facts, and never concludes.
//!
//! A reader of one format is two functions: `read` tells a [`Sink`] all that the bytes of an
//! [`Input`] hold, and `record_at` gives the bytes of one record again.

mod audit;
mod batch;
mod clocks;
mod container;
mod evtx;
mod find;
mod foreign;
mod gather;
mod hosts;
pub mod json;
mod keep;
mod lines;
mod order;
mod parts;
mod read;
mod repeats;
mod sink;
mod sniff;
mod spool;
mod syslog;
mod tell;
#[cfg(test)]
mod tests;
pub mod text;
pub mod windows;
mod xml;

pub use find::{Place, Search, search};
pub use foreign::{Counts, Findings, Foreign, ForeignFile, ForeignStream, Member};
pub use gather::read_all;
pub use keep::{Kept, ORIGIN, keep};
pub use sink::{At, Finding, ImportError, Input, NO_TIME_US, Sink, Skipped};
pub use tell::sentence;

//! The contract between the witness and the judge: events, the journal's format, the
//! report's schema.
//!
//! This crate knows no file, clock, socket or operating system. What it needs of those comes
//! as an argument, so that the same bytes always mean the same, wherever they are read.

pub mod event;
pub mod journal;
pub mod report;

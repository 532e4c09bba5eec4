//! The contract between the witness and the judge.

pub mod report;

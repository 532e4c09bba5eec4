//! The court: what the end-to-end tests share.

pub mod forger;

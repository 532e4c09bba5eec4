//! The court: what the end-to-end tests share.

pub mod forger;
pub mod mutate;
pub mod watch;

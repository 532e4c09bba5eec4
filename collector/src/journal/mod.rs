//! The writer of journals: frames into segments, in a directory, durable when it says so.
//!
//! `tail` says how far a journal has come, `store` is what holds the bytes (a directory; in tests something that fails), `writer` is
//! when a frame is closed, sealed and made durable. What a frame is, `saigen_schemas::journal` says.

mod settings;
mod store;
mod tail;
mod writer;

pub use settings::{Identity, Limits, Recording, Urgency, WriteError};
pub use store::{Directory, Store, StoreError};
pub use tail::{Tail, segments};
pub use writer::Writer;

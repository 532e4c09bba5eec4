//! How a report compares with what is known to have happened.
//!
//! [`Truth`] reads a `gt/1` file: one scenario with its processes, its beginning and its order.
//! [`score`] holds a report against it, over all incidents and for the one that fits best. Both sides
//! are plain values: nothing here knows how the report came to be. The rules stand in
//! `docs/RECONSTRUCTION.md`, section "Score against a truth".

mod compare;
mod order;
mod truth;

pub use compare::{Compared, Edges, Entry, Fit, Since, Size, score};
pub use order::Order;
pub use truth::{Truth, TruthError};

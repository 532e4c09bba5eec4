//! Tests over graphs that are built from hand-made events.

mod incidents;
mod scene;

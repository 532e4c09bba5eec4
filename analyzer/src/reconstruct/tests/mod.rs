//! Tests over graphs that are built from hand-made events.

mod house;
mod incidents;
mod proxies;
mod scene;

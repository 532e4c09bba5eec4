//! The witness: records what happens on an endpoint into a sealed journal, from user mode.
//!
//! The path is one line: source → raw record → normalize → event → frame → seal → file.
//! `source` talks to the kernel and gives raw records; `journal` writes. The program in
//! `main.rs` turns arguments into a call and a result into an exit code.

pub mod acquire;
pub mod bounded;
pub mod cli;
pub mod clock;
pub mod config;
pub mod image_hash;
pub mod install;
pub mod isolate;
pub mod journal;
pub mod keys;
pub mod lists;
pub mod machine;
pub mod namespace;
pub mod normalize;
pub mod persistence;
pub mod probe;
pub mod process_table;
pub mod procfs;
pub mod record;
pub mod snapshot;
pub mod source;
pub mod tree;

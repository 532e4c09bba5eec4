//! The judge: reads evidence, says how far it can be trusted, and tells what happened.
//!
//! Two wings. The evidence wing knows bytes, files and offsets, and never interprets: it gives
//! events in order, each with its reference. The meaning wing knows events and references, and
//! never touches bytes. [`reference`] and [`stream`] are what they share.

pub mod case;
pub mod cli;
pub mod detect;
pub mod evidence;
pub mod graph;
pub mod import;
pub mod pipeline;
pub mod reconstruct;
pub mod reference;
pub mod replay;
pub mod report;
pub mod score;
pub mod stream;
pub mod text;
pub mod unwatched;

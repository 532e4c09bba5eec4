//! Which reader reads what.

use crate::import::sink::{ImportError, Input, Sink};
use crate::import::sniff::Reader;
use crate::import::{evtx, json, text};

/// Reads a file.
pub(super) fn read(
    reader: Reader,
    input: &mut dyn Input,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    match reader {
        Reader::Evtx => evtx::read(input, sink),
        Reader::Json => json::read(input, sink),
        Reader::Audit | Reader::Xml | Reader::Syslog => text::read(input, sink),
    }
}

/// Gives the bytes of the record at a place.
pub(super) fn record_at(
    reader: Reader,
    input: &mut dyn Input,
    offset: u64,
) -> Result<Vec<u8>, ImportError> {
    match reader {
        Reader::Evtx => evtx::record_at(input, offset),
        Reader::Json => json::record_at(input, offset),
        Reader::Audit | Reader::Xml | Reader::Syslog => text::record_at(input, offset),
    }
}

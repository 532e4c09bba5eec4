//! Logs of lines: audit records and system log lines, as they mix in the files of a Linux host.

use crate::import::audit::{self, Audit, Carrier};
use crate::import::lines::{Line, Lines};
use crate::import::syslog::{Entry, Syslog};
use crate::import::windows::{self, Record, Scratch};
use crate::import::{At, ImportError, Input, Sink, Skipped, xml};

/// What the lines of one file share.
#[derive(Debug)]
pub(super) struct LineReader {
    audit: Audit,
    syslog: Syslog,
    record: Record,
    scratch: Scratch,
}

impl LineReader {
    pub(super) fn new() -> Self {
        Self {
            audit: Audit::new(),
            syslog: Syslog::default(),
            record: Record::default(),
            scratch: Scratch::default(),
        }
    }

    /// Tells what a line says that has the marks of a format of its own, event XML or a record of
    /// audit: whether it has.
    pub(super) fn take_marked(
        &mut self,
        line: &[u8],
        at: At,
        carrier: Carrier<'_>,
        sink: &mut dyn Sink,
    ) -> Result<bool, ImportError> {
        if let Some((start, end)) = xml::find_event(line) {
            let event = line.get(start..end).unwrap_or_default();
            if xml::fill(event, &mut self.record) {
                let at = At {
                    number: self.record.record_id.or(at.number),
                    ..at
                };
                windows::map(&self.record, &mut self.scratch, at, sink)?;
                return Ok(true);
            }
        }
        self.audit.take(line, at, carrier, sink)
    }

    /// Tells what a line of a system log says: whether it is one.
    pub(super) fn take_line(
        &mut self,
        line: &[u8],
        at: At,
        sink: &mut dyn Sink,
    ) -> Result<bool, ImportError> {
        self.syslog.take(line, at, sink)
    }

    /// Tells what a line of a system log says whose head was read from elsewhere.
    pub(super) fn tell_entry(
        &mut self,
        entry: &Entry<'_>,
        at: At,
        sink: &mut dyn Sink,
    ) -> Result<(), ImportError> {
        self.syslog.tell(entry, None, at, sink)
    }

    /// Tells what was held back, at the end of the input.
    pub(super) fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), ImportError> {
        self.audit.finish(sink)
    }
}

/// Tells what the lines of a file say.
///
/// # Errors
/// Where the file cannot be read, or an event cannot be kept.
pub fn read(input: &mut dyn Input, sink: &mut dyn Sink) -> Result<(), ImportError> {
    let mut lines = Lines::new(input, 0)?;
    let mut reader = LineReader::new();
    while let Some(line) = lines.next()? {
        let at = At {
            offset: line.offset,
            number: Some(line.number),
        };
        if line.is_cut {
            sink.skip(at, Skipped::TooLarge);
        } else if line.text.trim_ascii().is_empty() {
            // No record: a space between two.
        } else if is_remark(line.text) {
            sink.skip(at, Skipped::Empty);
        } else if !reader.take_marked(line.text, at, Carrier::default(), sink)?
            && !reader.take_line(line.text, at, sink)?
        {
            sink.skip(at, Skipped::Stranger);
        }
    }
    reader.finish(sink)
}

/// What people and `ausearch` write between records.
fn is_remark(line: &[u8]) -> bool {
    line.starts_with(b"#") || line.starts_with(b"----") || line.starts_with(b"time->")
}

/// The record at a place: its line; of an audit event all its lines that stand near.
///
/// # Errors
/// Where the file cannot be read, or ends before that place.
pub fn record_at(input: &mut dyn Input, offset: u64) -> Result<Vec<u8>, ImportError> {
    /// Lines after the first in which an event's other records are looked for: as far as the
    /// reader itself joins them.
    const LINES_MAX: u64 = 1024;
    let mut lines = Lines::new(input, offset)?;
    let Some(first) = lines.next()? else {
        return Err(ImportError::NoRecord {
            offset,
            expected: "a line",
            found: "the end of the file".to_owned(),
        });
    };
    let first = whole(first);
    let mut out = first.clone();
    if !audit::is_record(&first) {
        return Ok(out);
    }
    while let Some(line) = lines.next()?
        && line.number <= LINES_MAX
    {
        if !line.is_cut && audit::is_same_event(&first, line.text) {
            out.push(b'\n');
            out.extend_from_slice(line.text);
        }
    }
    Ok(out)
}

fn whole(line: Line<'_>) -> Vec<u8> {
    line.text.to_vec()
}

//! Linux audit: records as text, joined to events.
//!
//! Read are the daemon's own log, raw and enriched (`auditd.conf(5)`), the same lines behind the head
//! of a relay (`audispd`, the kernel's log, a forwarder's JSON) and the one-line form of auoms. What an
//! event says becomes events of ours; all fields of all its records stay beside it under their own
//! names, each record led by its `type`. See `docs/LINUX-LOGS.md`.

mod address;
mod calls;
mod fields;
mod files;
mod flows;
mod header;
mod kinds;
mod map;
mod parsed;
mod paths;
mod programs;
mod start;
mod subject;
mod syscalls;
#[cfg(test)]
mod tests;
mod window;

pub(in crate::import) use header::is_record;
pub(in crate::import) use window::Carrier;

use crate::import::{At, ImportError, Sink};
use map::Mapper;
use window::Window;

/// Records of audit, as they come, to events. What a stream of lines shares stands in here: one for
/// each file.
#[derive(Debug)]
pub(in crate::import) struct Audit {
    window: Window,
    mapper: Mapper,
}

impl Audit {
    pub(in crate::import) fn new() -> Self {
        Self {
            window: Window::default(),
            mapper: Mapper::new(),
        }
    }

    /// Takes a line, if it is a record of audit: whether it is. Its event is told when its other
    /// records came, some lines later.
    pub(in crate::import) fn take(
        &mut self,
        line: &[u8],
        at: At,
        carrier: Carrier<'_>,
        sink: &mut dyn Sink,
    ) -> Result<bool, ImportError> {
        let Some(header) = header::read(line) else {
            return Ok(false);
        };
        self.window.push(&header, carrier, at);
        while let Some(mut event) = self.window.pop() {
            let told = self.mapper.map(&mut event, sink);
            self.window.reuse(event);
            told?;
        }
        Ok(true)
    }

    /// Tells the events that are still held back, at the end of the input.
    pub(in crate::import) fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), ImportError> {
        while let Some(mut event) = self.window.take() {
            let told = self.mapper.map(&mut event, sink);
            self.window.reuse(event);
            told?;
        }
        Ok(())
    }
}

/// Whether two lines are records of one event.
pub(in crate::import) fn is_same_event(one: &[u8], other: &[u8]) -> bool {
    match (header::read(one), header::read(other)) {
        (Some(one), Some(other)) => {
            (one.node, one.wall_us, one.serial) == (other.node, other.wall_us, other.serial)
        }
        _ => false,
    }
}

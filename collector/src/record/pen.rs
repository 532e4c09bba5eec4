//! The hand that writes: an event is admitted by the bounds, weighed for its urgency, and written.

use super::thin::{Admitted, Thinner, worth};
use super::urgency;
use crate::clock;
use crate::journal::{Directory, WriteError, Writer};
use saigen_schemas::event::Event;

/// The open journal, until it cannot be written any more.
#[derive(Debug)]
pub(super) struct Pen {
    pub writer: Option<Writer<Directory>>,
    /// Why nothing more can be written.
    pub failed: Option<WriteError>,
    pub thinner: Thinner,
}

impl Pen {
    /// Writes an event, unless writing has failed before or a bound leaves it out.
    pub fn write(&mut self, event: &Event<'_>) {
        let urgency = urgency::of(event);
        self.with(|writer, thinner| {
            let now = clock::now();
            match thinner.admit(worth(event, urgency), now.boot_us) {
                Admitted::Yes => writer.push(event, urgency, now),
                Admitted::No => Ok(()),
            }
        });
    }

    /// Does something with the writer, unless writing has failed before.
    pub fn with(
        &mut self,
        act: impl FnOnce(&mut Writer<Directory>, &mut Thinner) -> Result<(), WriteError>,
    ) {
        if self.failed.is_some() {
            return;
        }
        if let Some(writer) = &mut self.writer
            && let Err(error) = act(writer, &mut self.thinner)
        {
            self.failed = Some(error);
        }
    }
}

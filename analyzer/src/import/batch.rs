//! What a reader told of a part of a file, kept until it is that part's turn: so that the parts of
//! a file can be read at the same time, and are told in their order.

use std::collections::HashMap;

use saigen_schemas::event::{Event, read_row};

use crate::import::sink::{At, Finding, ImportError, Sink, Skipped};
use crate::import::spool::Block;

/// What was told, in its order.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events. Their hosts are numbered in `hosts`.
    pub(super) block: Block,
    /// Names of hosts, by number.
    pub(super) hosts: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u32>,
    last: u32,
    /// What else was told, and behind how many events.
    pub(super) notes: Vec<(usize, Note)>,
}

/// What is told beside events.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Skipped(At, Skipped),
    Found(Finding),
}

impl Batch {
    fn host(&mut self, name: &[u8]) -> u32 {
        let last = self.hosts.get(self.last as usize);
        if last.is_none_or(|last| last != name) {
            self.last = match self.numbers.get(name) {
                Some(&number) => number,
                None => {
                    let number = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
                    self.numbers.insert(name.to_vec(), number);
                    self.hosts.push(name.to_vec());
                    number
                }
            };
        }
        self.last
    }

    /// Tells all of it again.
    ///
    /// # Errors
    /// Where the sink cannot keep an event.
    pub(super) fn tell(self, sink: &mut (impl Sink + ?Sized)) -> Result<(), ImportError> {
        let mut notes = self.notes.into_iter().peekable();
        let mut told = 0;
        loop {
            while let Some((_, note)) = notes.next_if(|(behind, _)| *behind <= told) {
                match note {
                    Note::Skipped(at, why) => sink.skip(at, why),
                    Note::Found(finding) => sink.find(finding),
                }
            }
            let Some(entry) = self.block.entries.get(told) else {
                return Ok(());
            };
            told += 1;
            let at = At {
                offset: entry.offset,
                number: (entry.number != u64::MAX).then_some(entry.number),
            };
            if let Some(event) = read_row(self.block.row(entry)) {
                sink.event(at, &event)?;
            }
        }
    }
}

impl Sink for Batch {
    fn event(&mut self, at: At, event: &Event<'_>) -> Result<(), ImportError> {
        let host = self.host(event.host.0);
        self.block.push(0, host, at, event);
        Ok(())
    }

    fn skip(&mut self, at: At, why: Skipped) {
        let behind = self.block.entries.len();
        self.notes.push((behind, Note::Skipped(at, why)));
    }

    fn find(&mut self, finding: Finding) {
        let behind = self.block.entries.len();
        self.notes.push((behind, Note::Found(finding)));
    }
}

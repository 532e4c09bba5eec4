//! The numbers of a log's records: they rise by one, so that what is missing can be told.

use saigen_schemas::report::FindingKind;

use crate::import::{At, Finding, Sink};

/// Most stretches of numbers that are kept. A log has one for each chunk; one of which every other
/// record was removed has as many as records, and the first of them tell enough.
const STRETCHES_MAX: usize = 1 << 16;

/// Numbers that follow each other, and where the first record of them stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    first: u64,
    last: u64,
    offset: u64,
}

/// The numbers of the records that were read.
#[derive(Debug, Default)]
pub(super) struct Ids {
    stretches: Vec<Stretch>,
    /// Numbers that chunks say they hold, by where the chunk is.
    said: Vec<Stretch>,
}

impl Ids {
    /// A record was found.
    pub(super) fn record(&mut self, offset: u64, id: u64) {
        if let Some(stretch) = self.stretches.last_mut()
            && stretch.last.checked_add(1) == Some(id)
        {
            stretch.last = id;
        } else if self.stretches.len() < STRETCHES_MAX {
            self.stretches.push(Stretch {
                first: id,
                last: id,
                offset,
            });
        }
    }

    /// A chunk says which records it holds.
    pub(super) fn chunk(&mut self, offset: u64, first: u64, last: u64) {
        // A chunk that was not used yet says that its last is before its first.
        if first <= last && last != u64::MAX && self.said.len() < STRETCHES_MAX {
            self.said.push(Stretch {
                first,
                last,
                offset,
            });
        }
    }

    /// Goes on with the numbers of the part of the file that follows.
    pub(super) fn follow(&mut self, next: Self) {
        for stretch in next.stretches {
            if let Some(last) = self.stretches.last_mut()
                && last.last.checked_add(1) == Some(stretch.first)
            {
                last.last = stretch.last;
            } else if self.stretches.len() < STRETCHES_MAX {
                self.stretches.push(stretch);
            }
        }
        let room = STRETCHES_MAX.saturating_sub(self.said.len());
        self.said.extend(next.said.into_iter().take(room));
    }

    /// Tells which numbers are missing between those that are there, and at the ends of chunks.
    pub(super) fn tell(mut self, sink: &mut dyn Sink) {
        self.stretches.sort_unstable();
        let last_said = self.said.iter().map(|said| said.last).max();
        let last_read = self.stretches.iter().map(|read| read.last).max();
        let mut reached: Option<Stretch> = None;
        for stretch in &self.stretches {
            if let Some(before) = reached
                && let Some(next) = before.last.checked_add(1)
                && stretch.first > next
            {
                gap(next, stretch.first - 1, stretch.offset, sink);
            }
            if reached.is_none_or(|before| before.last < stretch.last) {
                reached = Some(*stretch);
            }
        }
        if let (Some(said), Some(read)) = (last_said, last_read)
            && said > read
        {
            let offset = self.said.iter().find(|chunk| chunk.last == said);
            gap(read + 1, said, offset.map_or(0, |chunk| chunk.offset), sink);
        }
    }
}

fn gap(first: u64, last: u64, offset: u64, sink: &mut dyn Sink) {
    let lost = last - first + 1;
    let at = At {
        offset,
        number: Some(last.saturating_add(1)),
    };
    let text = if lost == 1 {
        format!("record {first} is missing")
    } else {
        format!("records {first} to {last} are missing")
    };
    let finding = Finding::new(FindingKind::Gap, at, text);
    sink.find(Finding { lost, ..finding });
}

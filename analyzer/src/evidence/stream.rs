//! The events of a verified journal, lent one at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};

use saigen_schemas::event::Event;
use saigen_schemas::journal::{Cursor, PayloadReader};

use crate::evidence::files::Journal;
use crate::evidence::scan::frame_at;
use crate::evidence::verdict::{Stretch, Verification};
use crate::evidence::window::{Hashing, Window};
use crate::reference::EventRef;
use crate::stream::{EventStream, Gap, GapWhy};

/// The events of the frames that could be read, in the order of the journal.
#[derive(Debug)]
pub struct JournalStream<'a> {
    journal: &'a Journal,
    stretches: VecDeque<&'a Stretch>,
    open: Option<Open>,
    reader: PayloadReader,
    cursor: Option<Cursor>,
    position: u64,
    gaps: Vec<Gap>,
}

/// A stretch that is being read.
#[derive(Debug)]
struct Open {
    window: Window,
    offset: u64,
    end: u64,
    wall_us: i64,
}

impl<'a> JournalStream<'a> {
    /// The events of a journal, by what its verification found.
    #[must_use]
    pub fn new(journal: &'a Journal, verified: &'a Verification) -> Self {
        Self {
            journal,
            stretches: verified
                .stretches
                .iter()
                .filter(|stretch| stretch.decodes)
                .collect(),
            open: None,
            reader: PayloadReader::default(),
            cursor: None,
            position: 0,
            gaps: verified.gaps.clone(),
        }
    }

    /// Goes to the next event; `false` at the end.
    fn arrive(&mut self) -> bool {
        loop {
            if self.cursor.as_ref().is_some_and(|cursor| cursor.left() > 0) {
                return true;
            }
            self.cursor = None;
            if !self.next_frame() {
                return false;
            }
        }
    }

    /// Takes up the next frame; `false` at the end.
    fn next_frame(&mut self) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| open.offset < open.end) else {
            return self.next_stretch();
        };
        let frame = match frame_at(&mut open.window, open.offset) {
            Ok(Ok(frame)) => frame,
            // It could be read when it was verified: it has changed since, or the disk fails.
            Ok(Err(_)) | Err(_) => {
                let gap = self.gap(1, None);
                self.gaps.push(gap);
                self.open = None;
                return true;
            }
        };
        let header = frame.header;
        open.offset += frame.len() as u64;
        open.wall_us = header.wall_us;
        self.position = header.position;
        if header.kind.holds_events() {
            let cursor = self.reader.load(
                frame.payload,
                header.raw_len,
                header.events,
                header.first_seq,
            );
            match cursor {
                Ok(cursor) => self.cursor = Some(cursor),
                Err(_) => {
                    let gap = self.gap(1, Some(u64::from(header.events)));
                    self.gaps.push(gap);
                }
            }
        }
        true
    }

    fn next_stretch(&mut self) -> bool {
        let Some(stretch) = self.stretches.pop_front() else {
            return false;
        };
        let file = self
            .journal
            .segments
            .get(stretch.segment)
            .and_then(|segment| File::open(&segment.path).ok())
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(stretch.offset))
                    .is_ok()
                    .then_some(file)
            });
        self.position = stretch.position;
        match file {
            Some(file) => {
                self.open = Some(Open {
                    window: Window::new(file, stretch.offset, Hashing::None),
                    offset: stretch.offset,
                    end: stretch.end,
                    wall_us: stretch.from_us,
                });
            }
            None => {
                let gap = self.gap(stretch.frames, None);
                self.gaps.push(gap);
            }
        }
        true
    }

    fn gap(&self, frames: u64, events: Option<u64>) -> Gap {
        Gap {
            source: self.journal.source,
            from_us: self.open.as_ref().map(|open| open.wall_us),
            to_us: None,
            position: self.position,
            frames,
            events,
            why: GapWhy::Damaged,
        }
    }
}

impl EventStream for JournalStream<'_> {
    fn peek(&mut self) -> Option<i64> {
        if self.arrive() {
            self.cursor
                .as_ref()
                .and_then(|cursor| self.reader.peek_wall_us(cursor))
        } else {
            None
        }
    }

    fn next(&mut self) -> Option<(EventRef, Event<'_>)> {
        if !self.arrive() {
            return None;
        }
        let cursor = self.cursor.as_mut()?;
        let index = u32::try_from(cursor.index()).ok()?;
        let left = cursor.left();
        match self.reader.next(cursor)? {
            Ok(event) => {
                let reference = EventRef::frame(self.journal.source, self.position, index);
                Some((reference, event))
            }
            Err(_) => {
                self.gaps.push(Gap {
                    source: self.journal.source,
                    from_us: self.open.as_ref().map(|open| open.wall_us),
                    to_us: None,
                    position: self.position,
                    frames: 0,
                    events: Some(left as u64),
                    why: GapWhy::Damaged,
                });
                None
            }
        }
    }

    fn gaps(&self) -> &[Gap] {
        &self.gaps
    }
}

//! Where a record stands: the name by which both wings, and the report, speak of it.

use std::fmt;
use std::str::FromStr;

use saigen_schemas::report::{self, EvidenceRef};

/// The number of an input, from 1, by the order of the inputs: `e1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A reference to one record: `e1:4711:3` in a journal, `e2:@65536` in a foreign file.
///
/// References sort by input and then by place. Sixteen bytes, so that graphs can keep many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventRef {
    source: SourceId,
    /// A frame's position, or an offset in a file.
    place: u64,
    /// The event's place in the frame; [`NO_FRAME`] for an offset.
    index: u32,
}

/// In place of an index: the place is an offset. A frame has far fewer events.
const NO_FRAME: u32 = u32::MAX;

/// Where in an input a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In a journal.
    Frame {
        /// The frame's position in its enrolment.
        position: u64,
        /// The event's order in the frame over all kinds, from 0.
        index: u32,
    },
    /// In a foreign file: bytes from its beginning.
    Offset(u64),
}

impl EventRef {
    /// An event of a journal: the frame's position and the event's order in it.
    #[must_use]
    pub const fn frame(source: SourceId, position: u64, index: u32) -> Self {
        Self {
            source,
            place: position,
            index,
        }
    }

    /// A record of a foreign file: bytes from its beginning.
    #[must_use]
    pub const fn offset(source: SourceId, offset: u64) -> Self {
        Self {
            source,
            place: offset,
            index: NO_FRAME,
        }
    }

    /// The input.
    #[must_use]
    pub const fn source(self) -> SourceId {
        self.source
    }

    /// The place in it.
    #[must_use]
    pub const fn place(self) -> Place {
        if self.index == NO_FRAME {
            Place::Offset(self.place)
        } else {
            Place::Frame {
                position: self.place,
                index: self.index,
            }
        }
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            Place::Frame { position, index } => write!(f, "{}:{position}:{index}", self.source),
            Place::Offset(offset) => write!(f, "{}:@{offset}", self.source),
        }
    }
}

impl From<SourceId> for report::EvidenceId {
    fn from(source: SourceId) -> Self {
        Self(source.0)
    }
}

impl From<EventRef> for EvidenceRef {
    fn from(reference: EventRef) -> Self {
        let source = reference.source.into();
        match reference.place() {
            Place::Frame { position, index } => Self::frame(source, position, index),
            Place::Offset(offset) => Self::offset(source, None, offset),
        }
    }
}

/// A text that is no reference to a record outside an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoReference(String);

impl fmt::Display for NoReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a reference like e1:4711:3 or e2:@65536, found {:?}",
            self.0
        )
    }
}

impl std::error::Error for NoReference {}

impl FromStr for EventRef {
    type Err = NoReference;

    /// Reads what [`fmt::Display`] writes. A place inside an archive has no such short form.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NoReference(text.chars().take(80).collect());
        let read: EvidenceRef = text.parse().map_err(|_| refused())?;
        let source = SourceId(read.source.0);
        match read.place {
            report::Place::Frame { position, index } if index != NO_FRAME => {
                Ok(Self::frame(source, position, index))
            }
            report::Place::Offset {
                inner: None,
                offset,
            } => Ok(Self::offset(source, offset)),
            report::Place::Frame { .. } | report::Place::Offset { .. } => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_as_they_print() {
        for text in ["e1:12:3", "e2:@4812345", "e1:0:0"] {
            assert_eq!(text.parse::<EventRef>().unwrap().to_string(), text);
        }
        for text in ["e3!a.evtx:@1", "e1:2:4294967295", "1:2:3"] {
            assert!(text.parse::<EventRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn references_sort_by_input_then_place() {
        let sorted: [EventRef; 4] =
            ["e1:9:10", "e1:10:2", "e1:10:3", "e2:@0"].map(|text| text.parse().unwrap());
        assert!(sorted.is_sorted());
        assert_eq!(size_of::<EventRef>(), 16);
    }
}

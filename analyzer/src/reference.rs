//! Where a record stands: the name by which both wings, and the report, speak of it.

use std::collections::BTreeMap;
use std::fmt;

use saigen_schemas::report::{self, EvidenceRef};

/// The number of an input, from 1, by the order of the inputs: `e1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A reference to one record: `e1:4711:3` in a journal, `e2:@65536` in a foreign file, `e3!#0:@77`
/// in the first file of an archive, whose path [`Citations`] knows.
///
/// References sort by input and then by place. Sixteen bytes, so that graphs can keep many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventRef {
    source: SourceId,
    /// A frame's position, or an offset in a file.
    place: u64,
    /// The event's place in the frame; [`NO_FRAME`] for an offset in a file, and below that the
    /// number of a file in an archive with [`IN_ARCHIVE`].
    index: u32,
}

/// In place of an index: the place is an offset. A frame has far fewer events.
const NO_FRAME: u32 = u32::MAX;

/// In place of an index, with the number of a file: the place is an offset in an archive's file.
const IN_ARCHIVE: u32 = 1 << 31;

/// Most files of an archive that references can tell apart.
pub const MEMBERS_MAX: u32 = IN_ARCHIVE - 1;

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
    Offset {
        /// The number of the file in its archive, from 0; `None` outside one.
        member: Option<u32>,
        /// Bytes from the beginning of the file, unpacked.
        offset: u64,
    },
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

    /// A record of a foreign file: the number of the file in its archive, where it is in one and
    /// below [`MEMBERS_MAX`], and bytes from the beginning of the file.
    #[must_use]
    pub const fn offset(source: SourceId, member: Option<u32>, offset: u64) -> Self {
        Self {
            source,
            place: offset,
            index: match member {
                None => NO_FRAME,
                Some(member) => IN_ARCHIVE | member,
            },
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
        let (position, offset) = (self.place, self.place);
        match self.index {
            NO_FRAME => Place::Offset {
                member: None,
                offset,
            },
            IN_ARCHIVE.. => Place::Offset {
                member: Some(self.index & !IN_ARCHIVE),
                offset,
            },
            index => Place::Frame { position, index },
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
            Place::Offset {
                member: None,
                offset,
            } => write!(f, "{}:@{offset}", self.source),
            Place::Offset {
                member: Some(member),
                offset,
            } => write!(f, "{}!#{member}:@{offset}", self.source),
        }
    }
}

impl From<SourceId> for report::EvidenceId {
    fn from(source: SourceId) -> Self {
        Self(source.0)
    }
}

impl From<EventRef> for EvidenceRef {
    /// A file in an archive is named by its number (`#0`) until [`Citations`] name it.
    fn from(reference: EventRef) -> Self {
        let source = reference.source.into();
        match reference.place() {
            Place::Frame { position, index } => Self::frame(source, position, index),
            Place::Offset { member, offset } => {
                Self::offset(source, member.map(|member| format!("#{member}")), offset)
            }
        }
    }
}

/// The paths of files in archives, so that references can name them.
#[derive(Clone, Debug, Default)]
pub struct Citations {
    paths: BTreeMap<SourceId, Vec<String>>,
    numbers: BTreeMap<SourceId, BTreeMap<String, u32>>,
}

impl Citations {
    /// Learns the files of an archive, in the order of their numbers.
    pub fn learn(&mut self, source: SourceId, paths: impl IntoIterator<Item = String>) {
        let mut paths: Vec<String> = paths.into_iter().take(MEMBERS_MAX as usize).collect();
        let mut numbers = BTreeMap::new();
        for (number, path) in (0_u32..).zip(&mut paths) {
            // Of two files with one path the first is the one that the path names.
            if numbers.contains_key(path) {
                *path = format!("#{number}");
            }
            numbers.insert(path.clone(), number);
        }
        self.numbers.insert(source, numbers);
        self.paths.insert(source, paths);
    }

    /// The reference as the report prints it.
    #[must_use]
    pub fn name(&self, reference: EventRef) -> EvidenceRef {
        let Place::Offset {
            member: Some(member),
            offset,
        } = reference.place()
        else {
            return reference.into();
        };
        let paths = self.paths.get(&reference.source());
        let path = usize::try_from(member)
            .ok()
            .and_then(|member| paths?.get(member));
        path.map_or_else(
            || reference.into(),
            |path| EvidenceRef::offset(reference.source().into(), Some(path.clone()), offset),
        )
    }

    /// The reference that a printed one names; `None` if it names no file of these archives.
    #[must_use]
    pub fn find(&self, named: &EvidenceRef) -> Option<EventRef> {
        let source = SourceId(named.source.0);
        match &named.place {
            report::Place::Frame { position, index } => {
                (*index < IN_ARCHIVE).then(|| EventRef::frame(source, *position, *index))
            }
            report::Place::Offset {
                inner: None,
                offset,
            } => Some(EventRef::offset(source, None, *offset)),
            report::Place::Offset {
                inner: Some(path),
                offset,
            } => {
                let numbers = self.numbers.get(&source);
                let known = numbers.and_then(|numbers| numbers.get(path).copied());
                let by_number = || path.strip_prefix('#')?.parse().ok();
                let member: u32 = known.or_else(by_number)?;
                (member < MEMBERS_MAX).then(|| EventRef::offset(source, Some(member), *offset))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Citations {
        let mut citations = Citations::default();
        let paths = ["a/b.evtx", "c.json", "a/b.evtx"].map(str::to_owned);
        citations.learn(SourceId(3), paths);
        citations
    }

    #[test]
    fn references_are_found_as_they_are_named() {
        let citations = archive();
        for text in [
            "e1:12:3",
            "e2:@4812345",
            "e1:0:0",
            "e3!a/b.evtx:@77",
            "e3!c.json:@0",
        ] {
            let found = citations.find(&text.parse().unwrap()).unwrap();
            assert_eq!(citations.name(found).to_string(), text);
        }
        for text in ["e3!d.evtx:@1", "e1:2:4294967295", "e4!c.json:@1"] {
            assert_eq!(citations.find(&text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn a_file_without_a_path_of_its_own_is_named_by_its_number() {
        let reference = EventRef::offset(SourceId(9), Some(4), 5);
        assert_eq!(reference.to_string(), "e9!#4:@5");
        let named = archive().name(reference);
        assert_eq!(named.to_string(), "e9!#4:@5");
        assert_eq!(archive().find(&named), Some(reference));
    }

    #[test]
    fn references_sort_by_input_then_place() {
        let source = SourceId;
        let sorted = [
            EventRef::frame(source(1), 9, 10),
            EventRef::frame(source(1), 10, 2),
            EventRef::frame(source(1), 10, 3),
            EventRef::offset(source(2), None, 0),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(size_of::<EventRef>(), 16);
    }
}

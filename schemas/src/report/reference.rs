//! References from a claim to its record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number of an input in this report, from 1. Printed as `e1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvidenceId(pub u32);

/// Where in an input a record stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In a journal: the frame's global position, and the event's order in that frame over
    /// all kinds, from 0.
    Frame {
        /// The frame's global position.
        position: u64,
        /// The event's order in the frame.
        index: u32,
    },
    /// In a foreign file: bytes from its beginning, or from the beginning of the file
    /// inside an archive.
    Offset {
        /// The path inside the archive, when the input is one.
        inner: Option<String>,
        /// Bytes from the beginning.
        offset: u64,
    },
}

/// A reference to one record: `e1:4711:3` (journal), `e2:@65536` (file), or
/// `e3!logs/Security.evtx:@65536` (file in an archive). References sort by input, then place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvidenceRef {
    /// The input.
    pub source: EvidenceId,
    /// The place in it.
    pub place: Place,
}

impl EvidenceRef {
    /// A reference to an event of a journal.
    pub fn frame(source: EvidenceId, position: u64, index: u32) -> Self {
        Self {
            source,
            place: Place::Frame { position, index },
        }
    }

    /// A reference to a record of a foreign file.
    pub fn offset(source: EvidenceId, inner: Option<String>, offset: u64) -> Self {
        Self {
            source,
            place: Place::Offset { inner, offset },
        }
    }
}

impl fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

impl fmt::Display for EvidenceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.source;
        match &self.place {
            Place::Frame { position, index } => write!(f, "{source}:{position}:{index}"),
            Place::Offset {
                inner: None,
                offset,
            } => write!(f, "{source}:@{offset}"),
            Place::Offset {
                inner: Some(inner),
                offset,
            } => write!(f, "{source}!{inner}:@{offset}"),
        }
    }
}

/// A text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceError(String);

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a reference like e1:4711:3 or e2:@65536, found {:?}",
            self.0
        )
    }
}

impl std::error::Error for ReferenceError {}

fn refused(text: &str) -> ReferenceError {
    ReferenceError(text.chars().take(80).collect())
}

/// Reads digits as Rust prints them, so that one place has one spelling.
fn number<T: FromStr + fmt::Display>(digits: &str) -> Option<T> {
    let value: T = digits.parse().ok()?;
    (value.to_string() == digits).then_some(value)
}

impl FromStr for EvidenceId {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('e')
            .and_then(number)
            .map(Self)
            .ok_or_else(|| refused(text))
    }
}

impl FromStr for EvidenceRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| refused(text))
    }
}

fn parse(text: &str) -> Option<EvidenceRef> {
    // A path inside an archive may hold ':' and '!' itself: the source ends at the first
    // mark, the offset begins after the last.
    let mark = text.find([':', '!'])?;
    let source = text[..mark].parse().ok()?;
    let place = if text[mark..].starts_with('!') {
        let (inner, offset) = text[mark + 1..].rsplit_once(":@")?;
        Place::Offset {
            inner: Some(inner.to_owned()),
            offset: number(offset)?,
        }
    } else if let Some(offset) = text[mark + 1..].strip_prefix('@') {
        Place::Offset {
            inner: None,
            offset: number(offset)?,
        }
    } else {
        let (position, index) = text[mark + 1..].split_once(':')?;
        Place::Frame {
            position: number(position)?,
            index: number(index)?,
        }
    };
    Some(EvidenceRef { source, place })
}

macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
as_text!(EvidenceId);
as_text!(EvidenceRef);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> EvidenceRef {
        text.parse().expect("a reference")
    }

    #[test]
    fn references_read_as_they_print() {
        for text in [
            "e1:4711:3",
            "e2:@65536",
            "e3!logs/a:b!c:@1.evtx:@65536",
            "e4!:@0",
        ] {
            assert_eq!(read(text).to_string(), text);
        }
    }

    #[test]
    fn one_place_has_one_spelling() {
        for text in [
            "", "e1", "1:2:3", "e01:2:3", "e1:+2:3", "e1:2:03", "e1:2", "e1:@", "e1!a:2",
            "e1:2:3:4",
        ] {
            assert!(text.parse::<EvidenceRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn references_sort_by_number_not_by_digit() {
        let sorted = ["e2:9:10", "e2:10:2", "e10:1:0"].map(read);
        assert!(sorted.is_sorted());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            if let Ok(reference) = text.parse::<EvidenceRef>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}

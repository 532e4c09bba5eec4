//! What readers of foreign formats read from, and what they tell.

use std::fmt;
use std::io::{self, Cursor, Read, Seek};

use saigen_schemas::event::Event;
use saigen_schemas::report::FindingKind;

use crate::import::batch::Batch;

/// In `time.wall_us` of an event whose record has no time that can be read: it keeps its place
/// among the records of its file.
pub const NO_TIME_US: i64 = i64::MIN;

/// The bytes of one file, unpacked where it was in an archive. A reader may start anywhere: it
/// begins with a seek.
pub trait Input: Read + Seek {
    /// Its length in bytes.
    fn size(&self) -> u64;
}

impl<T: AsRef<[u8]>> Input for Cursor<T> {
    fn size(&self) -> u64 {
        self.get_ref().as_ref().len() as u64
    }
}

/// Where a record stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Bytes from the beginning of the file.
    pub offset: u64,
    /// The number that its own format gives it: a record id, an audit serial; else its line, from 1.
    pub number: Option<u64>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.offset)?;
        match self.number {
            Some(number) => write!(f, " (number {number})"),
            None => Ok(()),
        }
    }
}

/// What a reader tells while it reads, in the order of the file.
///
/// A record may give several events, which share its place, or none, with the reason.
pub trait Sink {
    /// An event that the record at a place tells. One of no known kind is `record.raw`, with all
    /// its fields in `extra`.
    ///
    /// # Errors
    /// Where the event cannot be kept: the reader stops.
    fn event(&mut self, at: At, event: &Event<'_>) -> Result<(), ImportError>;

    /// One more event of a record that was told before, with others between: only what came after it
    /// showed what it was.
    ///
    /// # Errors
    /// Where the event cannot be kept: the reader stops.
    fn later_event(&mut self, at: At, event: &Event<'_>) -> Result<(), ImportError> {
        self.event(at, event)
    }

    /// A record that gave no event, and why: nothing vanishes silently.
    fn skip(&mut self, at: At, why: Skipped);

    /// Damage, a gap, a clock, or what else a good reader should know.
    fn find(&mut self, finding: Finding);

    /// All that was told of a part of the file.
    ///
    /// # Errors
    /// Where an event cannot be kept.
    fn batch(&mut self, batch: Batch) -> Result<(), ImportError> {
        batch.tell(self)
    }
}

/// Why a record gave no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skipped {
    /// It is not what its format demands.
    Malformed,
    /// It is longer, or nested deeper, than a reader takes.
    TooLarge,
    /// It is of another format than its file, and no reader of this one knows it.
    Stranger,
    /// It says nothing by itself, and what it belongs to is not there.
    Incomplete,
    /// It was read before, in this file or another.
    Repeated,
    /// It is about the log itself (an end of an event, a header) and tells nothing.
    Empty,
}

impl Skipped {
    /// Every reason, in the order of the table.
    pub const ALL: &[Self] = &[
        Self::Malformed,
        Self::TooLarge,
        Self::Stranger,
        Self::Incomplete,
        Self::Repeated,
        Self::Empty,
    ];

    /// The word for reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Stranger => "stranger",
            Self::Incomplete => "incomplete",
            Self::Repeated => "repeated",
            Self::Empty => "empty",
        }
    }

    /// Whether the file is damaged where a record is skipped for it.
    #[must_use]
    pub const fn is_damage(self) -> bool {
        match self {
            Self::Malformed | Self::TooLarge => true,
            Self::Stranger | Self::Incomplete | Self::Repeated | Self::Empty => false,
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something noticed about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What sort. Damage and gaps make the file damaged; losses that the recorder counted, clocks
    /// and notes do not.
    pub kind: FindingKind,
    /// Where, if it has a place.
    pub at: Option<At>,
    /// From when it matters, wall clock, µs.
    pub from_us: Option<i64>,
    /// Until when.
    pub to_us: Option<i64>,
    /// Records or events that are missing for it; 0 where that is not known.
    pub lost: u64,
    /// One sentence, lower case, without a full stop.
    pub text: String,
}

impl Finding {
    /// A finding with a place and no time.
    #[must_use]
    pub fn new(kind: FindingKind, at: impl Into<Option<At>>, text: impl Into<String>) -> Self {
        Self {
            kind,
            at: at.into(),
            from_us: None,
            to_us: None,
            lost: 0,
            text: text.into(),
        }
    }
}

/// What keeps a file from being read on.
#[derive(Debug)]
pub enum ImportError {
    /// The system refused.
    Io {
        /// What was being done: `read`.
        doing: &'static str,
        /// Bytes from the beginning of the file at which it happened.
        offset: u64,
        /// What the system said.
        error: io::Error,
    },
    /// Events could not be kept: the disk for temporary files is full.
    Temporary {
        /// What was being done: `keep events`, `unpack a file`.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// No record begins at this place.
    NoRecord {
        /// The place.
        offset: u64,
        /// What was expected there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
}

impl ImportError {
    /// The system's refusal to read at a place.
    pub fn read(offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io {
            doing: "read",
            offset,
            error,
        }
    }

    /// The system's refusal to keep something in a temporary file.
    pub(crate) fn temporary(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Temporary { doing, error }
    }

    /// Whether it is this machine that failed, and not the evidence.
    #[must_use]
    pub const fn is_of_this_machine(&self) -> bool {
        match self {
            Self::Temporary { .. } => true,
            Self::Io { .. } | Self::NoRecord { .. } => false,
        }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                doing,
                offset,
                error,
            } => write!(f, "cannot {doing} at {offset:#x}: {error}"),
            Self::Temporary { doing, error } => {
                write!(f, "cannot {doing} in a temporary file: {error}")
            }
            Self::NoRecord {
                offset,
                expected,
                found,
            } => write!(f, "at {offset:#x}: expected {expected}, found {found}"),
        }
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } | Self::Temporary { error, .. } => Some(error),
            Self::NoRecord { .. } => None,
        }
    }
}

//! Events in the order in which they were recorded, lent one at a time, and what is missing
//! between them. Neutral: the evidence wing gives streams, the meaning wing reads them.

use saigen_schemas::event::Event;

use crate::reference::{EventRef, SourceId};

/// The events of one input, or of several that were put in order, as they were recorded.
///
/// An event borrows its texts from the stream, so that none is copied: it is gone with the next
/// step. Wall clocks mostly rise along a stream, but may go back a little between processors,
/// and a lot where a clock was stepped.
///
/// ```no_run
/// # use saigen_analyzer::stream::EventStream;
/// # fn show(stream: &mut dyn EventStream) {
/// while let Some(wall_us) = stream.peek() {
///     if let Some((reference, event)) = stream.next() {
///         println!("{wall_us} {reference} {}", event.kind.name().as_str());
///     }
/// }
/// for gap in stream.gaps() {
///     println!("{} frames missing: {}", gap.frames, gap.why);
/// }
/// # }
/// ```
pub trait EventStream {
    /// Wall clock of the event that stands next, in microseconds; `None` at the end. What cannot
    /// be read on the way there is skipped and becomes a gap.
    fn peek(&mut self) -> Option<i64>;

    /// Gives the event that stands next, and steps over it. `None` at the end, and where the
    /// event that [`EventStream::peek`] saw cannot be read: the rest of its frame is then a gap,
    /// and the stream goes on behind it.
    fn next(&mut self) -> Option<(EventRef, Event<'_>)>;

    /// What is known to be missing so far, in the order of the stream. Complete once the stream
    /// has ended.
    fn gaps(&self) -> &[Gap];
}

impl<S: EventStream + ?Sized> EventStream for Box<S> {
    fn peek(&mut self) -> Option<i64> {
        (**self).peek()
    }

    fn next(&mut self) -> Option<(EventRef, Event<'_>)> {
        (**self).next()
    }

    fn gaps(&self) -> &[Gap] {
        (**self).gaps()
    }
}

/// Something that is missing from an input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// The input.
    pub source: SourceId,
    /// The last moment before it that is known, wall clock, µs; `None` at the beginning.
    pub from_us: Option<i64>,
    /// The first moment after it that is known, wall clock, µs; `None` at the end.
    pub to_us: Option<i64>,
    /// The position of the first frame that is missing.
    pub position: u64,
    /// How many frames are missing; 0 where that is not known.
    pub frames: u64,
    /// Events that are missing, by the numbers on both sides; `None` where that is not known.
    pub events: Option<u64>,
    /// Why.
    pub why: GapWhy,
}

/// Why something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapWhy {
    /// Bytes were damaged or changed.
    Damaged,
    /// Frames or segments are not there.
    Missing,
    /// The recorder crashed and says so.
    Crash,
    /// The recorder removed them to keep to its quota, and says so.
    Removed,
    /// The recorder was silent for longer than it may be.
    Silent,
}

impl GapWhy {
    /// The word for reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Missing => "missing",
            Self::Crash => "crash",
            Self::Removed => "removed",
            Self::Silent => "silent",
        }
    }
}

impl std::fmt::Display for GapWhy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

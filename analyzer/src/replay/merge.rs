//! Several streams of events as one, in one order.

use saigen_schemas::event::Event;

use crate::reference::EventRef;
use crate::stream::EventStream;

/// Several streams as one.
///
/// Events come by time; those of one moment by the rank of their stream, then by position. Within
/// one stream the order is that of its positions, also where its clock was stepped back: there it
/// goes on at the latest time that it had reached. So the order depends on the evidence alone,
/// not on the order in which it was named, if ranks do: a rank is a hash of the input.
pub struct Merge<S> {
    lanes: Vec<Lane<S>>,
}

struct Lane<S> {
    rank: [u8; 32],
    stream: S,
    /// The latest time that this stream has reached.
    reached_us: i64,
    /// Where the next event stands; `None` at the end.
    next_us: Option<i64>,
}

impl<S: EventStream> Merge<S> {
    /// Merges streams, each with its rank.
    pub fn new(streams: impl IntoIterator<Item = ([u8; 32], S)>) -> Self {
        let lane = |(rank, stream)| {
            let mut lane = Lane {
                rank,
                stream,
                reached_us: i64::MIN,
                next_us: None,
            };
            lane.look();
            lane
        };
        let mut lanes: Vec<_> = streams.into_iter().map(lane).collect();
        lanes.sort_by_key(|lane| lane.rank);
        Self { lanes }
    }

    /// Shows the next event of all streams. `false` at the end of all; what cannot be read is
    /// stepped over, and its stream says so.
    ///
    /// Inputs are a few, so that the earliest is found by looking at each.
    pub fn step(&mut self, show: impl FnOnce(EventRef, &Event<'_>)) -> bool {
        loop {
            let earliest = self.lanes.iter_mut().filter(|lane| lane.next_us.is_some());
            let Some(lane) = earliest.min_by_key(|lane| lane.next_us) else {
                return false;
            };
            if let Some((reference, event)) = lane.stream.next() {
                show(reference, &event);
                lane.look();
                return true;
            }
            lane.look();
        }
    }

    /// Gives the streams back, in the order of their ranks.
    pub fn into_streams(self) -> impl Iterator<Item = S> {
        self.lanes.into_iter().map(|lane| lane.stream)
    }
}

impl<S: EventStream> Lane<S> {
    fn look(&mut self) {
        self.next_us = self.stream.peek().map(|next| next.max(self.reached_us));
        self.reached_us = self.next_us.unwrap_or(self.reached_us);
    }
}

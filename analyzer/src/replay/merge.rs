//! Several streams of events as one, in one order.

use saigen_schemas::event::Event;

use crate::reference::EventRef;

/// A stream of events that are lent one at a time.
pub trait Feed {
    /// Wall clock of the event that stands next, in microseconds; `None` at the end.
    fn peek(&mut self) -> Option<i64>;

    /// Gives the event that stands next, and steps over it. `None` if it cannot be read; the feed
    /// then goes on behind it.
    fn next(&mut self) -> Option<(EventRef, Event<'_>)>;
}

/// Several feeds as one.
///
/// Events come by time; those of one moment by the rank of their feed, then by position. Within
/// one feed the order is that of its positions, also where its clock was stepped back: there it
/// goes on at the latest time that it had reached. So the order depends on the evidence alone,
/// not on the order in which it was named, if ranks do: a rank is a hash of the input.
pub struct Merge<F> {
    lanes: Vec<Lane<F>>,
}

struct Lane<F> {
    rank: [u8; 32],
    feed: F,
    /// The latest time that this feed has reached.
    reached_us: i64,
    /// Where the next event stands; `None` at the end.
    next_us: Option<i64>,
}

impl<F: Feed> Merge<F> {
    /// Merges feeds, each with its rank.
    pub fn new(feeds: impl IntoIterator<Item = ([u8; 32], F)>) -> Self {
        let lane = |(rank, feed)| {
            let mut lane = Lane {
                rank,
                feed,
                reached_us: i64::MIN,
                next_us: None,
            };
            lane.look();
            lane
        };
        let mut lanes: Vec<_> = feeds.into_iter().map(lane).collect();
        lanes.sort_by_key(|lane| lane.rank);
        Self { lanes }
    }

    /// Shows the next event of all feeds. `false` at the end of all; what cannot be read is
    /// stepped over, and its feed says so.
    ///
    /// Inputs are a few, so that the earliest is found by looking at each.
    pub fn step(&mut self, show: impl FnOnce(EventRef, &Event<'_>)) -> bool {
        loop {
            let earliest = self.lanes.iter_mut().filter(|lane| lane.next_us.is_some());
            let Some(lane) = earliest.min_by_key(|lane| lane.next_us) else {
                return false;
            };
            if let Some((reference, event)) = lane.feed.next() {
                show(reference, &event);
                lane.look();
                return true;
            }
            lane.look();
        }
    }

    /// Gives the feeds back, in the order of their ranks.
    pub fn into_feeds(self) -> impl Iterator<Item = F> {
        self.lanes.into_iter().map(|lane| lane.feed)
    }
}

impl<F: Feed> Lane<F> {
    fn look(&mut self) {
        self.next_us = self.feed.peek().map(|next| next.max(self.reached_us));
        self.reached_us = self.next_us.unwrap_or(self.reached_us);
    }
}

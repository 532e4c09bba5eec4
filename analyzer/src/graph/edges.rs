//! The table of edges: 24 bytes each, and more for those that stand for several events or carry bytes.

use crate::graph::refs::PackedRef;
use crate::graph::{EdgeId, Ground, NodeId, Verb};
use crate::replay::ids;

ids! {
    /// A row of the table of what only some edges have.
    MoreId
}

/// Bits of a verb.
const VERB_BITS: u32 = 6;
/// Bits of a ground.
const GROUND_BITS: u32 = 4;
/// Where the time begins: above the verb, the ground, and whether there is more.
const TIME_SHIFT: u32 = VERB_BITS + GROUND_BITS + 1;
/// The bit that says that there is more.
const MORE: i64 = 1;

/// The largest time, microseconds: in the year 2112. What lies beyond, or as far before 1970, is kept as
/// that bound in the edge; the event itself has its own time.
pub(super) const TIME_MAX_US: i64 = i64::MAX >> TIME_SHIFT;
/// The smallest: in the year 1827.
pub(super) const TIME_MIN_US: i64 = i64::MIN >> TIME_SHIFT;

/// An edge. What only some edges have stands in [`MoreRow`].
#[derive(Clone, Copy, Debug)]
pub(super) struct EdgeRow {
    /// The first time, the verb, the ground, and whether there is more, from the highest bits down.
    bits: i64,
    pub(super) first: PackedRef,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
}

impl EdgeRow {
    /// The first time, microseconds.
    pub(super) const fn first_us(&self) -> i64 {
        self.bits >> TIME_SHIFT
    }

    pub(super) fn verb(&self) -> Verb {
        let place = (self.bits >> (GROUND_BITS + 1)) & ((1 << VERB_BITS) - 1);
        let verb = usize::try_from(place).ok();
        verb.and_then(|place| Verb::ALL.get(place).copied())
            .unwrap_or(Verb::Changed)
    }

    pub(super) fn ground(&self) -> Ground {
        let place = (self.bits >> 1) & ((1 << GROUND_BITS) - 1);
        let ground = usize::try_from(place).ok();
        ground
            .and_then(|place| Ground::ALL.get(place).copied())
            .unwrap_or(Ground::Time)
    }

    const fn has_more(&self) -> bool {
        self.bits & MORE != 0
    }

    fn set(&mut self, first_us: i64, verb: Verb, ground: Ground, more: bool) {
        let time = first_us.clamp(TIME_MIN_US, TIME_MAX_US) << TIME_SHIFT;
        let verb = i64::from(verb as u8) << (GROUND_BITS + 1);
        self.bits = time | verb | i64::from(ground as u8) << 1 | i64::from(more);
    }
}

/// What is known of an edge that stands for several events, or carried bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MoreRow {
    pub(super) last_us: i64,
    pub(super) last: PackedRef,
    /// [`NO_BYTES`] where no record says.
    pub(super) bytes: u64,
    pub(super) count: u32,
}

/// In place of a count of bytes: no record says.
pub(super) const NO_BYTES: u64 = u64::MAX;

/// All edges, in the order of their first record.
#[derive(Default)]
pub(super) struct Edges {
    rows: Vec<EdgeRow>,
    more: Vec<MoreRow>,
    /// While edges come: the row of `more` of each.
    more_ids: Vec<Option<MoreId>>,
    /// When all are there: the edge of each row of `more`, in order.
    more_edges: Vec<EdgeId>,
}

impl Edges {
    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> &[EdgeRow] {
        &self.rows
    }

    pub(super) fn get(&self, edge: EdgeId) -> Option<&EdgeRow> {
        self.rows.get(edge.index())
    }

    /// Adds an edge of one event. `None` when there are more than can be numbered.
    pub(super) fn add(
        &mut self,
        (from, to): (NodeId, NodeId),
        (verb, ground): (Verb, Ground),
        first_us: i64,
        first: PackedRef,
    ) -> Option<EdgeId> {
        let id = EdgeId::from_index(self.rows.len())?;
        let mut row = EdgeRow {
            bits: 0,
            first,
            from,
            to,
        };
        row.set(first_us, verb, ground, false);
        self.rows.push(row);
        self.more_ids.push(None);
        Some(id)
    }

    /// The edge turns out to say something else.
    pub(super) fn rename(&mut self, edge: EdgeId, verb: Verb) {
        if let Some(row) = self.rows.get_mut(edge.index()) {
            row.set(row.first_us(), verb, row.ground(), row.has_more());
        }
    }

    /// What an edge has beyond its row.
    pub(super) fn more(&self, edge: EdgeId) -> Option<&MoreRow> {
        if !self.get(edge)?.has_more() {
            return None;
        }
        let index = match self.more_ids.get(edge.index()) {
            Some(id) => (*id)?.index(),
            None => self.more_edges.binary_search(&edge).ok()?,
        };
        self.more.get(index)
    }

    /// The last time that an edge speaks of.
    pub(super) fn last_us(&self, edge: EdgeId) -> i64 {
        let first = self.get(edge).map_or(0, EdgeRow::first_us);
        self.more(edge).map_or(first, |more| more.last_us)
    }

    /// It happened at this moment, too.
    pub(super) fn cover(&mut self, edge: EdgeId, at_us: i64, event: PackedRef) {
        let Some(row) = self.get(edge).copied() else {
            return;
        };
        if at_us < row.first_us() {
            // What was first until now stays as the last, where there was no other.
            self.more_of(edge);
            if let Some(row) = self.rows.get_mut(edge.index()) {
                row.set(at_us, row.verb(), row.ground(), row.has_more());
                row.first = event;
            }
        } else if let Some(more) = self.more_of(edge)
            && at_us >= more.last_us
        {
            (more.last_us, more.last) = (at_us, event);
        }
    }

    /// One event more.
    pub(super) fn count(&mut self, edge: EdgeId) {
        if let Some(more) = self.more_of(edge) {
            more.count = more.count.saturating_add(1);
        }
    }

    /// Bytes went along an edge, at some time since a moment.
    pub(super) fn carry(&mut self, edge: EdgeId, since_us: i64, bytes: u64) {
        if let Some(more) = self.more_of(edge) {
            let before = if more.bytes == NO_BYTES {
                0
            } else {
                more.bytes
            };
            more.bytes = before.saturating_add(bytes).min(NO_BYTES - 1);
        }
        if let Some(row) = self.rows.get_mut(edge.index()) {
            let first_us = row.first_us().min(since_us);
            row.set(first_us, row.verb(), row.ground(), row.has_more());
        }
    }

    /// What only some edges have, made for this one if it had none.
    fn more_of(&mut self, edge: EdgeId) -> Option<&mut MoreRow> {
        let row = self.rows.get_mut(edge.index())?;
        let slot = self.more_ids.get_mut(edge.index())?;
        let more = match *slot {
            Some(more) => more,
            None => {
                let more = MoreId::from_index(self.more.len())?;
                self.more.push(MoreRow {
                    last_us: row.first_us(),
                    last: row.first,
                    bytes: NO_BYTES,
                    count: 1,
                });
                *slot = Some(more);
                row.set(row.first_us(), row.verb(), row.ground(), true);
                more
            }
        };
        self.more.get_mut(more.index())
    }

    /// All edges are there: what only some have is put into their order, so that it is found without a
    /// number in each.
    pub(super) fn settle(&mut self) {
        let ids = std::mem::take(&mut self.more_ids);
        let mut more = Vec::with_capacity(self.more.len());
        let mut edges = Vec::with_capacity(self.more.len());
        for (index, id) in ids.into_iter().enumerate() {
            let row = id.and_then(|id| self.more.get(id.index()));
            if let (Some(row), Some(edge)) = (row, EdgeId::from_index(index)) {
                more.push(*row);
                edges.push(edge);
            }
        }
        (self.more, self.more_edges) = (more, edges);
        self.rows.shrink_to_fit();
    }

    /// Memory that all edges hold, in bytes.
    pub(super) const fn heap_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<EdgeRow>()
            + self.more.capacity() * size_of::<MoreRow>()
            + self.more_ids.capacity() * size_of::<Option<MoreId>>()
            + self.more_edges.capacity() * size_of::<EdgeId>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::refs::Refs;
    use crate::reference::{EventRef, SourceId};

    #[test]
    fn an_edge_takes_24_bytes_and_keeps_all_that_it_says() {
        assert_eq!(size_of::<EdgeRow>(), 24);
        let first = Refs::default().pack(EventRef::frame(SourceId(1), 1, 1));
        let (from, to) = (
            NodeId::from_index(3).unwrap(),
            NodeId::from_index(9).unwrap(),
        );
        let mut edges = Edges::default();
        for &verb in Verb::ALL {
            for &ground in Ground::ALL {
                for us in [0, -1, 1_700_000_000_123_456, TIME_MIN_US, TIME_MAX_US] {
                    let id = edges.add((from, to), (verb, ground), us, first).unwrap();
                    let row = edges.get(id).unwrap();
                    assert_eq!(
                        (row.verb(), row.ground(), row.first_us()),
                        (verb, ground, us)
                    );
                }
            }
        }
        let far = edges.add((from, to), (Verb::Wrote, Ground::Time), i64::MAX, first);
        assert_eq!(edges.get(far.unwrap()).unwrap().first_us(), TIME_MAX_US);
    }

    #[test]
    fn what_only_some_edges_have_is_the_same_when_all_are_there() {
        let mut refs = Refs::default();
        let mut seen = |n| refs.pack(EventRef::frame(SourceId(1), 1, n));
        let (from, to) = (
            NodeId::from_index(3).unwrap(),
            NodeId::from_index(9).unwrap(),
        );
        let mut edges = Edges::default();
        let ids: Vec<EdgeId> = (0..6)
            .map(|n| {
                let says = (Verb::Wrote, Ground::Recorded);
                edges
                    .add((from, to), says, i64::from(n) * 10, seen(n))
                    .unwrap()
            })
            .collect();
        // Not in the order of the edges, so that the order of the rows is another one.
        edges.carry(ids[4], 35, 700);
        edges.cover(ids[1], 99, seen(20));
        edges.count(ids[1]);
        edges.cover(ids[3], 5, seen(30));
        edges.rename(ids[1], Verb::Renamed);
        let told = |edges: &Edges| {
            let one = |id: &EdgeId| {
                let (row, more) = (edges.get(*id).unwrap(), edges.more(*id));
                let more = more.map(|more| (more.last, more.bytes, more.count));
                (
                    row.verb(),
                    row.first_us(),
                    row.first,
                    edges.last_us(*id),
                    more,
                )
            };
            ids.iter().map(one).collect::<Vec<_>>()
        };
        let before = told(&edges);
        edges.settle();
        assert_eq!(told(&edges), before);
        assert_eq!(before[1].0, Verb::Renamed);
        assert_eq!((before[1].3, before[1].4.unwrap().2), (99, 2));
        assert_eq!((before[3].1, before[3].3), (5, 30));
        assert_eq!((before[4].1, before[4].4.unwrap().1), (35, 700));
        assert!(before[0].4.is_none());
    }
}

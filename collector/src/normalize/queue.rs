//! Facts that wait for their turn: by time, then as they came.
//!
//! Facts are large and their places in a heap move often: the facts stay where they are, and small
//! entries that name them move.

use super::fact::Fact;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A queue of facts.
#[derive(Debug, Default)]
pub struct Queue {
    /// When a fact is due, its number, and its place.
    order: BinaryHeap<Reverse<(u64, u64, usize)>>,
    places: Vec<Option<Fact>>,
    /// Places that hold nothing.
    free: Vec<usize>,
}

impl Queue {
    /// Puts a fact in. Of those that are due together the smaller number is first.
    pub fn push(&mut self, due_us: u64, number: u64, fact: Fact) {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.places.push(None);
                self.places.len() - 1
            }
        };
        if let Some(free) = self.places.get_mut(place) {
            *free = Some(fact);
        }
        self.order.push(Reverse((due_us, number, place)));
    }

    /// Takes the first fact out if it is due by then, with when it was due and its number.
    pub fn pop_due(&mut self, horizon_us: u64) -> Option<(u64, u64, Fact)> {
        let Reverse((due_us, _, _)) = self.order.peek()?;
        if *due_us > horizon_us {
            return None;
        }
        let Reverse((due_us, number, place)) = self.order.pop()?;
        let fact = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        if self.order.is_empty() {
            self.give_back();
        }
        Some((due_us, number, fact))
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// A burst is over: its memory is not kept for the next.
    fn give_back(&mut self) {
        const KEPT: usize = 1_024;
        if self.places.capacity() > KEPT {
            self.places.clear();
            self.free.clear();
            self.places.shrink_to(KEPT);
            self.free.shrink_to(KEPT);
            self.order.shrink_to(KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fact::{Detail, Who};
    use super::*;
    use saigen_schemas::event::Source;

    fn fact(at_us: u64) -> Fact {
        Fact {
            at_us,
            serial: None,
            source: Source::Perf,
            who: Who::Nobody,
            detail: Detail::Exit,
        }
    }

    #[test]
    fn facts_come_out_by_time_and_then_as_they_came() {
        let mut queue = Queue::default();
        for (number, due_us) in [30, 10, 20, 10].into_iter().enumerate() {
            let number = u64::try_from(number).unwrap();
            queue.push(due_us, number, fact(100 + number));
        }
        let mut out = Vec::new();
        while let Some((due_us, number, fact)) = queue.pop_due(20) {
            assert_eq!(fact.at_us, 100 + number, "each fact has its own place");
            out.push((due_us, number));
        }
        assert_eq!(out, [(10, 1), (10, 3), (20, 2)]);
        assert_eq!(queue.len(), 1);
        queue.push(5, 9, fact(109));
        assert_eq!(queue.pop_due(u64::MAX).unwrap().1, 9);
        assert_eq!(queue.pop_due(u64::MAX).unwrap().1, 0);
        assert!(queue.pop_due(u64::MAX).is_none());
    }

    #[test]
    fn places_are_used_again_and_a_burst_gives_its_memory_back() {
        let mut queue = Queue::default();
        for round in 0..100_u64 {
            queue.push(round, round, fact(round));
            assert!(queue.pop_due(round).is_some());
        }
        assert_eq!(queue.places.len(), 1);
        for number in 0..10_000_u64 {
            queue.push(number, number, fact(number));
        }
        while queue.pop_due(u64::MAX).is_some() {}
        assert!(queue.places.capacity() < 10_000 && queue.len() == 0);
    }
}

//! The events of all foreign files in one order, whatever order their files had.
//!
//! Blocks that follow each other in time are a run; runs are merged. A log that was written in
//! order is one run, so that a merge holds one block for each log in memory. A log without any
//! order is put in order on the way, in rounds that hold a bounded number of blocks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;

use crate::import::clocks::Rules;
use crate::import::sink::{ImportError, NO_TIME_US};
use crate::import::spool::{Block, Entry, Spool};

/// Most runs that are merged at once: as many blocks are in memory.
const RUNS_MAX: usize = 256;

/// What orders events: the time by the clock that is consistent, the file (by its hash), the
/// place in it. No two events have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) us: i64,
    rank: u32,
    seq: u64,
}

/// What the order of events asks of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeafOrder {
    /// Its rank among all files, by hash.
    pub(super) rank: u32,
    /// It was written from its latest event to its first.
    pub(super) falls: bool,
    /// The time of its first event that has one, µs: for those before it.
    pub(super) first_us: i64,
}

/// How events are ordered.
#[derive(Debug, Default)]
pub(super) struct Order {
    rules: Rules,
    leaves: Vec<LeafOrder>,
    runs: Vec<Vec<usize>>,
}

impl Order {
    pub(super) fn new(rules: Rules, leaves: Vec<LeafOrder>) -> Self {
        Self {
            rules,
            leaves,
            runs: Vec::new(),
        }
    }

    pub(super) fn key(&self, entry: &Entry) -> Key {
        let leaf = self.leaves.get(entry.leaf as usize);
        let us = match self.rules.time(entry) {
            NO_TIME_US => leaf.map_or(0, |leaf| leaf.first_us),
            us => us,
        };
        Key {
            us,
            rank: leaf.map_or(0, |leaf| leaf.rank),
            seq: if leaf.is_some_and(|leaf| leaf.falls) {
                !entry.seq
            } else {
                entry.seq
            },
        }
    }

    /// Finds the runs of a spool, and merges some of them until a bounded number is left. Each
    /// event is shown once with its time, in no order.
    pub(super) fn arrange(
        &mut self,
        spool: &mut Spool,
        show: &mut dyn FnMut(&Entry, i64),
    ) -> Result<(), ImportError> {
        self.runs = self
            .natural_runs(spool, show)
            .map_err(ImportError::temporary("order events"))?;
        while self.runs.len() > RUNS_MAX {
            let rest = self.runs.split_off(RUNS_MAX);
            let now = std::mem::replace(&mut self.runs, rest);
            let merged = self.merge(spool, &now)?;
            self.runs.push(merged);
        }
        Ok(())
    }

    /// Blocks by time: each goes behind the block that ends last before it begins.
    fn natural_runs(
        &self,
        spool: &Spool,
        show: &mut dyn FnMut(&Entry, i64),
    ) -> io::Result<Vec<Vec<usize>>> {
        let mut runs: Vec<Vec<usize>> = Vec::new();
        let mut tails: BTreeMap<Key, usize> = BTreeMap::new();
        let mut own = Vec::new();
        for number in 0..spool.len() {
            let mut span: Option<(Key, Key)> = None;
            for entry in spool.entries(number, &mut own)? {
                let key = self.key(entry);
                show(entry, key.us);
                let (first, last) = span.unwrap_or((key, key));
                span = Some((first.min(key), last.max(key)));
            }
            let Some((first, last)) = span else {
                continue;
            };
            let before = tails.range(..first).next_back().map(|(&tail, _)| tail);
            let run = match before.and_then(|tail| tails.remove(&tail)) {
                Some(run) => run,
                None => {
                    runs.push(Vec::new());
                    runs.len() - 1
                }
            };
            if let Some(blocks) = runs.get_mut(run) {
                blocks.push(number);
            }
            tails.insert(last, run);
        }
        Ok(runs)
    }

    /// Writes several runs as one.
    fn merge(&self, spool: &mut Spool, runs: &[Vec<usize>]) -> Result<Vec<usize>, ImportError> {
        let mut merged = Vec::new();
        let mut block = Block::default();
        let mut cursor = Cursor::over(self, runs, spool);
        loop {
            let went = cursor.step(self, spool);
            if went && let Some((from, entry, _)) = cursor.current() {
                block.copy(from, entry);
            }
            if block.is_full() || (!went && !block.entries.is_empty()) {
                merged.push(spool.put(std::mem::take(&mut block))?);
            }
            if !went {
                break;
            }
        }
        match cursor.failed {
            None => Ok(merged),
            Some(error) => Err(ImportError::temporary("order events")(error)),
        }
    }

    /// All events in order.
    pub(super) fn cursor(&self, spool: &Spool) -> Cursor {
        Cursor::over(self, &self.runs, spool)
    }
}

/// How far the events were read.
#[derive(Debug)]
pub(super) struct Cursor {
    lanes: Vec<Lane>,
    heap: BinaryHeap<Reverse<(Key, usize)>>,
    current: Option<(Key, usize)>,
    /// What kept the rest from being read.
    pub(super) failed: Option<io::Error>,
}

/// One run: the block that is read, and those that follow.
#[derive(Debug)]
struct Lane {
    blocks: std::vec::IntoIter<usize>,
    block: Block,
    order: Vec<(Key, u32)>,
    next: usize,
}

impl Cursor {
    fn over(order: &Order, runs: &[Vec<usize>], spool: &Spool) -> Self {
        let mut cursor = Self {
            lanes: Vec::with_capacity(runs.len()),
            heap: BinaryHeap::with_capacity(runs.len()),
            current: None,
            failed: None,
        };
        for (number, run) in runs.iter().enumerate() {
            cursor.lanes.push(Lane {
                blocks: run.clone().into_iter(),
                block: Block::default(),
                order: Vec::new(),
                next: 0,
            });
            cursor.refill(number, order, spool);
        }
        cursor
    }

    /// Puts the next event of a lane up for choice.
    fn refill(&mut self, number: usize, order: &Order, spool: &Spool) {
        let Some(lane) = self.lanes.get_mut(number) else {
            return;
        };
        while lane.next >= lane.order.len() {
            let Some(block) = lane.blocks.next() else {
                return;
            };
            if let Err(error) = spool.get(block, &mut lane.block) {
                self.failed = Some(error);
                return;
            }
            lane.next = 0;
            lane.order.clear();
            let keys = (0_u32..).zip(&lane.block.entries);
            lane.order
                .extend(keys.map(|(at, entry)| (order.key(entry), at)));
            lane.order.sort_unstable();
        }
        if let Some(&(key, _)) = lane.order.get(lane.next) {
            self.heap.push(Reverse((key, number)));
        }
    }

    /// Goes to the next event; `false` at the end.
    pub(super) fn step(&mut self, order: &Order, spool: &Spool) -> bool {
        if let Some((_, number)) = self.current.take() {
            if let Some(lane) = self.lanes.get_mut(number) {
                lane.next += 1;
            }
            self.refill(number, order, spool);
        }
        self.current = self.heap.pop().map(|Reverse(next)| next);
        self.current.is_some()
    }

    /// The event that was gone to: its block, its entry, and when it happened.
    pub(super) fn current(&self) -> Option<(&Block, &Entry, Key)> {
        let (key, number) = self.current?;
        let lane = self.lanes.get(number)?;
        let (_, at) = lane.order.get(lane.next)?;
        Some((&lane.block, lane.block.entries.get(*at as usize)?, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(us: i64, seq: u64) -> Entry {
        Entry {
            leaf: 0,
            host: 0,
            clock: 0,
            row: (0, 0),
            offset: seq,
            number: 0,
            wall_us: us,
            recorded_us: NO_TIME_US,
            seq,
            codes: (50, 39),
        }
    }

    fn ordered(blocks: Vec<Vec<Entry>>, falls: bool) -> (Vec<(i64, u64)>, usize) {
        let mut spool = Spool::default();
        for entries in blocks {
            spool
                .put(Block {
                    entries,
                    rows: Vec::new(),
                })
                .unwrap();
        }
        let leaf = LeafOrder {
            rank: 0,
            falls,
            first_us: 5,
        };
        let mut order = Order::new(Rules::default(), vec![leaf]);
        order.arrange(&mut spool, &mut |_, _| {}).unwrap();
        let mut cursor = order.cursor(&spool);
        let mut got = Vec::new();
        while cursor.step(&order, &spool) {
            let (_, entry, key) = cursor.current().unwrap();
            got.push((key.us, entry.seq));
        }
        assert!(cursor.failed.is_none());
        (got, order.runs.len())
    }

    #[test]
    fn a_log_in_order_is_one_run() {
        let blocks = (0..50)
            .map(|block| (0..10).map(|n| entry(block * 10 + n, 0)).collect())
            .collect();
        let (got, runs) = ordered(blocks, false);
        assert_eq!(runs, 1);
        assert!(got.is_sorted() && got.len() == 500);
    }

    #[test]
    fn any_order_becomes_order_with_few_runs() {
        let mut state = 1_u64;
        let mut seq = 0;
        let blocks: Vec<Vec<Entry>> = (0..2000)
            .map(|_| {
                (0..7)
                    .map(|_| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        seq += 1;
                        entry(i64::from(u32::try_from(state >> 40).unwrap()), seq)
                    })
                    .collect()
            })
            .collect();
        let (got, runs) = ordered(blocks, false);
        assert!(runs <= RUNS_MAX);
        assert!(got.is_sorted() && got.len() == 14_000);
    }

    #[test]
    fn a_log_from_latest_to_first_is_turned_around() {
        let blocks = vec![
            vec![entry(9, 0), entry(7, 1), entry(7, 2)],
            vec![entry(NO_TIME_US, 3)],
        ];
        let (got, _) = ordered(blocks, true);
        assert_eq!(got, [(5, 3), (7, 2), (7, 1), (9, 0)]);
    }
}

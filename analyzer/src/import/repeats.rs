//! Records that were read before, in another file: two exports of one log hold them both.
//!
//! A record is known by when it happened, its number and all that it says. Those stand side by
//! side once events are in order, so that a few are remembered at a time, however many there are.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};

use crate::import::spool::{Block, Entry};

/// Most records of one moment that are remembered: of a log whose clock stands still only the
/// last ones are compared.
const MOMENT_MAX: usize = 4096;

/// Numbers and times of the records of one file and host.
#[derive(Clone, Copy, Debug)]
struct Range {
    leaf: u32,
    numbers: (u64, u64),
    times: (i64, i64),
}

/// Which files may hold the same records.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    by_host: BTreeMap<u32, Vec<Range>>,
}

impl Suspects {
    /// A record was read.
    pub(super) fn see(&mut self, entry: &Entry) {
        if entry.number == u64::MAX {
            return;
        }
        let ranges = self.by_host.entry(entry.host).or_default();
        match ranges.last_mut() {
            Some(range) if range.leaf == entry.leaf => {
                let (first, last) = range.numbers;
                range.numbers = (first.min(entry.number), last.max(entry.number));
                let (first, last) = range.times;
                range.times = (first.min(entry.wall_us), last.max(entry.wall_us));
            }
            Some(_) | None => ranges.push(Range {
                leaf: entry.leaf,
                numbers: (entry.number, entry.number),
                times: (entry.wall_us, entry.wall_us),
            }),
        }
    }

    /// Whether two files have records of one host whose numbers and times overlap. Hosts are by
    /// their settled names.
    pub(super) fn any(&self, names: &[Vec<u8>]) -> bool {
        let mut settled: BTreeMap<&[u8], Vec<Range>> = BTreeMap::new();
        for (&host, ranges) in &self.by_host {
            let name = names.get(host as usize).map(Vec::as_slice);
            settled
                .entry(name.unwrap_or_default())
                .or_default()
                .extend(ranges);
        }
        settled.values_mut().any(|ranges| {
            ranges.sort_by_key(|range| range.times);
            let mut reached: Vec<Range> = Vec::new();
            ranges.iter().any(|range| {
                reached.retain(|before| before.times.1 >= range.times.0);
                let same = reached.iter().any(|before| {
                    before.leaf != range.leaf
                        && before.numbers.0 <= range.numbers.1
                        && range.numbers.0 <= before.numbers.1
                });
                reached.push(*range);
                same
            })
        })
    }
}

/// Follows events in their order, and says which were there before.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    us: i64,
    moment: Vec<(u64, u32, u64)>,
}

impl Repeats {
    /// Whether a record that another file holds too has been given before.
    pub(super) fn is_repeat(&mut self, us: i64, block: &Block, entry: &Entry) -> bool {
        if self.us != us {
            self.us = us;
            self.moment.clear();
        }
        if entry.number == u64::MAX {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(block.row(entry));
        let hash = hasher.finish();
        let repeat = self.moment.iter().any(|&(number, leaf, known)| {
            number == entry.number && leaf != entry.leaf && known == hash
        });
        if !repeat {
            if self.moment.len() >= MOMENT_MAX {
                self.moment.remove(0);
            }
            self.moment.push((entry.number, entry.leaf, hash));
        }
        repeat
    }
}

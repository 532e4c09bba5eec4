//! A compact, sorted table of keys: millions of indicators in some 40 bytes each.

use sha2::{Digest as _, Sha256};

/// What an indicator is found by. The first half spreads evenly and is cheap to work out; the second half
/// is of a cryptographic hash, so that nobody can make evidence that only looks like a hit.
pub(super) type Key = [u64; 2];

/// The most buckets of a table's index.
const BUCKETS_MAX: usize = 1 << 24;

/// Keys with what is noted of each, in the order of the keys.
#[derive(Debug)]
pub(super) struct Table<N> {
    entries: Vec<(Key, N)>,
    /// For each value of the first bits of a key, where its entries begin; one more for the end.
    starts: Vec<u32>,
    /// How far a key is shifted right to give its bucket.
    shift: u32,
}

impl<N> Default for Table<N> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            starts: Vec::new(),
            shift: 63,
        }
    }
}

impl<N: Copy + Ord> Table<N> {
    /// Takes one more key; [`Table::close`] must follow before anything is found.
    pub(super) fn push(&mut self, key: Key, note: N) {
        self.entries.push((key, note));
    }

    /// Entries taken so far; after [`Table::close`] different keys.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Sorts the keys and keeps of equal ones the one with the smallest note.
    pub(super) fn close(&mut self) {
        self.entries.sort_unstable();
        self.entries.dedup_by_key(|(key, _)| *key);
        self.entries.shrink_to_fit();
        let buckets = self.entries.len().next_power_of_two().clamp(2, BUCKETS_MAX);
        self.shift = 64 - buckets.trailing_zeros();
        let mut starts = Vec::with_capacity(buckets + 1);
        for (place, (key, _)) in self.entries.iter().enumerate() {
            let bucket = self.bucket(key[0]);
            // Places stay far below 2^32: the number of indicators has its own limit.
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            while starts.len() <= bucket {
                starts.push(place);
            }
        }
        let end = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        starts.resize(buckets + 1, end);
        self.starts = starts;
    }

    fn bucket(&self, first: u64) -> usize {
        usize::try_from(first >> self.shift).unwrap_or(usize::MAX)
    }

    /// The note of a key whose first half is `first`, if its second half, which is worked out only
    /// where the first fits, is there too.
    pub(super) fn find(&self, first: u64, second: impl FnOnce() -> u64) -> Option<N> {
        let bucket = self.bucket(first);
        let from = usize::try_from(*self.starts.get(bucket)?).ok()?;
        let to = usize::try_from(*self.starts.get(bucket.checked_add(1)?)?).ok()?;
        let entries = self.entries.get(from..to)?;
        let begin = entries.partition_point(|(key, _)| key[0] < first);
        let fitting = entries.get(begin..)?;
        fitting.first().filter(|(key, _)| key[0] == first)?;
        let second = second();
        fitting
            .iter()
            .take_while(|(key, _)| key[0] == first)
            .find(|(key, _)| key[1] == second)
            .map(|(_, note)| *note)
    }
}

/// A hash that is fed from the end of a text to its beginning, so that every ending of a text is
/// known after one pass.
#[derive(Clone, Copy)]
pub(super) struct Backwards(u64);

impl Backwards {
    pub(super) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes the byte before those taken so far.
    pub(super) fn take(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    /// The first half of the key of what was taken.
    pub(super) fn end(self) -> u64 {
        let mut mixed = self.0;
        mixed ^= mixed >> 33;
        mixed = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^= mixed >> 33;
        mixed = mixed.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        mixed ^ (mixed >> 33)
    }
}

/// The first half of a key.
pub(super) fn first_half(bytes: &[u8]) -> u64 {
    let mut hash = Backwards::new();
    bytes.iter().rev().for_each(|byte| hash.take(*byte));
    hash.end()
}

/// The second half of a key.
pub(super) fn second_half(bytes: &[u8]) -> u64 {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    digest
        .first_chunk()
        .map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// The key of some bytes.
pub(super) fn key_of(bytes: &[u8]) -> Key {
    [first_half(bytes), second_half(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        for count in [0_u32, 1, 2, 3, 1000, 5000] {
            let mut table = Table::default();
            for number in 0..count {
                table.push(key_of(&number.to_le_bytes()), number);
            }
            table.close();
            for number in 0..count + 50 {
                let bytes = number.to_le_bytes();
                let found = table.find(first_half(&bytes), || second_half(&bytes));
                assert_eq!(
                    found,
                    (number < count).then_some(number),
                    "{number} of {count}"
                );
            }
        }
    }

    #[test]
    fn of_the_same_key_the_smallest_note_stays() {
        let mut table = Table::default();
        for note in [3_u32, 1, 2] {
            table.push(key_of(b"a"), note);
        }
        table.close();
        assert_eq!(table.len(), 1);
        assert_eq!(table.find(first_half(b"a"), || second_half(b"a")), Some(1));
        assert_eq!(table.find(first_half(b"a"), || 0), None);
    }

    #[test]
    fn a_table_never_closed_finds_nothing() {
        let mut table = Table::default();
        table.push(key_of(b"a"), 1_u32);
        assert_eq!(table.find(first_half(b"a"), || second_half(b"a")), None);
    }
}

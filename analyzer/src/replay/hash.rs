//! Hashing for tables that are only looked up in, never listed.
//!
//! The standard hasher is made to be safe against keys that were chosen to collide, and takes
//! longer than all else that an event costs here. This one multiplies and folds, with two secret
//! random numbers a table, so that evidence cannot be made to collide either: whoever wrote it
//! did not know them.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A table by seeded hash. Its order is not the same from run to run: it is never iterated.
pub(crate) type Table<K, V> = HashMap<K, V, Seeded>;

/// The secret of a table.
#[derive(Clone, Debug)]
pub(crate) struct Seeded {
    start: u64,
    factor: u64,
}

impl Default for Seeded {
    fn default() -> Self {
        let random = RandomState::new();
        Self {
            start: random.hash_one(1_u8),
            factor: random.hash_one(2_u8) | 1,
        }
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding {
            state: self.start,
            factor: self.factor,
        }
    }
}

/// A hash in the making.
#[derive(Debug)]
pub(crate) struct Folding {
    state: u64,
    factor: u64,
}

/// Both halves of a product, one over the other.
fn fold(one: u64, other: u64) -> u64 {
    let upper = (u128::from(one) * u128::from(other)) >> 64;
    // The upper half of a product of 64-bit numbers has 64 bits.
    one.wrapping_mul(other) ^ u64::try_from(upper).unwrap_or_default()
}

impl Folding {
    fn mix(&mut self, word: u64) {
        self.state = fold(self.state ^ word, self.factor);
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(rest) {
                *to = *from;
            }
            self.mix(u64::from_le_bytes(word));
        }
        // So that a text and the same text with zeros behind it differ.
        self.mix(bytes.len() as u64);
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u16(&mut self, number: u16) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        fold(self.state, self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_keys_spread_over_upper_and_lower_bits() {
        let seeded = Seeded::default();
        for shift in [0, 57] {
            let mut seen = [0_u32; 128];
            for key in 0..12_800_u32 {
                let hash = seeded.hash_one((key, 1_u8)) >> shift;
                seen[usize::try_from(hash & 127).unwrap()] += 1;
            }
            // A hundred each is expected; a bad hash leaves slots empty.
            assert!(seen.iter().all(|&count| count > 20), "{shift}: {seen:?}");
        }
    }

    #[test]
    fn texts_that_end_in_zeros_differ() {
        let seeded = Seeded::default();
        let hash = |bytes: &[u8]| {
            let mut hasher = seeded.build_hasher();
            hasher.write(bytes);
            hasher.finish()
        };
        assert_ne!(hash(b"a"), hash(b"a\0"));
        assert_ne!(hash(b"12345678"), hash(b"12345678\0"));
        assert_eq!(hash(b"12345678"), hash(b"12345678"));
    }
}

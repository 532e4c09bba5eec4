//! Many short hashes at once: BLAKE3 over inputs of whole blocks, side by side in wide registers.
//!
//! One hash of one or two blocks leaves most of a processor idle, since each step waits for the one
//! before. Hashes of inputs of the same length go side by side. What comes out is
//! [`blake3::keyed_hash`] of each input, and the format knows nothing of this module: where the crate no
//! longer offers `platform`, that function takes its place at some cost in time.

use blake3::IncrementCounter;
use blake3::platform::Platform;

use crate::journal::merkle::Hash;

/// BLAKE3's flags (specification, §2.2) for an input that is one chunk at most.
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;
const ROOT: u8 = 8;
const KEYED: u8 = 16;

/// Bytes of a block.
const BLOCK: usize = 64;

/// Inputs that are gathered: twice what the widest registers take.
const AT_ONCE: usize = 16;

/// Most blocks of an input that waits for others of its length; longer ones are hashed alone. Most
/// rows of events have two to four.
const BLOCKS_MAX: usize = 8;

/// The keyed hashes of inputs of one length, a number of whole blocks of one chunk at most.
pub(crate) fn keyed_same<const N: usize>(key: &Hash, inputs: &[[u8; N]], out: &mut [Hash]) {
    const { assert!(N > 0 && N <= 1024 && N.is_multiple_of(BLOCK)) };
    for (inputs, out) in inputs.chunks(AT_ONCE).zip(out.chunks_mut(AT_ONCE)) {
        let mut gathered = [&[0; N]; AT_ONCE];
        for (place, input) in gathered.iter_mut().zip(inputs) {
            *place = input;
        }
        many(key, gathered.get(..inputs.len()).unwrap_or_default(), out);
    }
}

/// The keyed hashes of inputs that are whole blocks each, of any number.
pub(crate) fn keyed_blocks<'a>(
    key: &Hash,
    inputs: impl Iterator<Item = &'a [u8]>,
    out: &mut [Hash],
) {
    let mut waiting: [Waiting<'a>; BLOCKS_MAX] = Default::default();
    for (index, input) in inputs.enumerate() {
        let blocks = input.len() / BLOCK;
        match blocks.checked_sub(1).and_then(|at| waiting.get_mut(at)) {
            Some(same) => {
                same.push(index, input);
                if same.count == AT_ONCE {
                    same.hash(key, blocks, out);
                }
            }
            None => put(out, index, *blake3::keyed_hash(key, input).as_bytes()),
        }
    }
    for (blocks, same) in (1..).zip(&mut waiting) {
        same.hash(key, blocks, out);
    }
}

/// Inputs of one length, with their places.
#[derive(Default)]
struct Waiting<'a> {
    inputs: [(usize, &'a [u8]); AT_ONCE],
    count: usize,
}

impl<'a> Waiting<'a> {
    fn push(&mut self, index: usize, input: &'a [u8]) {
        if let Some(place) = self.inputs.get_mut(self.count) {
            *place = (index, input);
            self.count += 1;
        }
    }

    fn hash(&mut self, key: &Hash, blocks: usize, out: &mut [Hash]) {
        match blocks {
            1 => self.hash_as::<64>(key, out),
            2 => self.hash_as::<128>(key, out),
            3 => self.hash_as::<192>(key, out),
            4 => self.hash_as::<256>(key, out),
            5 => self.hash_as::<320>(key, out),
            6 => self.hash_as::<384>(key, out),
            7 => self.hash_as::<448>(key, out),
            _ => self.hash_as::<512>(key, out),
        }
        self.count = 0;
    }

    fn hash_as<const N: usize>(&self, key: &Hash, out: &mut [Hash]) {
        let inputs = self.inputs.get(..self.count).unwrap_or_default();
        let mut gathered = [&[0; N]; AT_ONCE];
        for (place, (_, input)) in gathered.iter_mut().zip(inputs) {
            *place = input
                .first_chunk()
                .expect("inputs wait with those of their own length");
        }
        let mut hashes = [[0; 32]; AT_ONCE];
        let gathered = gathered.get(..inputs.len()).unwrap_or_default();
        many(key, gathered, &mut hashes);
        for (&(index, _), hash) in inputs.iter().zip(hashes) {
            put(out, index, hash);
        }
    }
}

fn put(out: &mut [Hash], index: usize, hash: Hash) {
    if let Some(place) = out.get_mut(index) {
        *place = hash;
    }
}

fn many<const N: usize>(key: &Hash, inputs: &[&[u8; N]], out: &mut [Hash]) {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    Platform::detect().hash_many(
        inputs,
        &words,
        0,
        IncrementCounter::No,
        KEYED,
        CHUNK_START,
        CHUNK_END | ROOT,
        out.as_flattened_mut(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hash_is_the_ordinary_one() {
        let key = [5; 32];
        let inputs: Vec<Vec<u8>> = (0_u8..100)
            .map(|byte| vec![byte; BLOCK * (1 + usize::from(byte) % 11)])
            .collect();
        let mut out = vec![[0; 32]; inputs.len()];
        keyed_blocks(&key, inputs.iter().map(Vec::as_slice), &mut out);
        for (input, hash) in inputs.iter().zip(out) {
            assert_eq!(hash, *blake3::keyed_hash(&key, input).as_bytes());
        }
        for count in 0..40_u8 {
            let inputs: Vec<[u8; 64]> = (0..count).map(|byte| [byte; 64]).collect();
            let mut out = vec![[0; 32]; inputs.len()];
            keyed_same(&key, &inputs, &mut out);
            for (input, hash) in inputs.iter().zip(out) {
                assert_eq!(hash, *blake3::keyed_hash(&key, input).as_bytes());
            }
        }
    }
}

//! Changes to an input, by a generator of known numbers.

use crate::forger;

/// Numbers that look random and are not: xorshift (Marsaglia 2003).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers that belong to a beginning.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next one.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`; 0 for an empty range.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("usize is 64 bits").max(1);
        usize::try_from(self.number() % end).expect("it is below a usize")
    }
}

/// Whether a frame's checksum is made good again, so that what lies behind it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// The input is a frame.
    Frame,
    /// It is anything else.
    Nothing,
}

/// Values at which lengths and counts go wrong.
const EDGES: [u64; 10] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// A seed, changed a few times.
pub fn changed(seeds: &[Vec<u8>], random: &mut Random, mend: Mend) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        change(&mut input, seeds, random);
    }
    if mend == Mend::Frame && random.below(4) > 0 && forger::is_framed(&input) {
        forger::mend(&mut input);
    }
    input
}

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len());
    match random.below(8) {
        0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
        1 if !input.is_empty() => input[at] = random.number().to_le_bytes()[0],
        2 => input.truncate(at),
        3 => {
            let byte = random.number().to_le_bytes()[0];
            let len = random.below(64);
            input.splice(at..at, std::iter::repeat_n(byte, len));
        }
        4 => {
            let end = (at + random.below(32)).min(input.len());
            input.drain(at..end);
        }
        5 => {
            let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)];
            let end = (at + width).min(input.len());
            let len = end - at;
            input[at..end].copy_from_slice(&edge[..len]);
        }
        6 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            let part = &other[from..(from + random.below(256)).min(other.len())];
            let end = (at + part.len()).min(input.len());
            input.splice(at..end, part.iter().copied());
        }
        _ => {
            let end = (at + random.below(64)).min(input.len());
            let part = input[at..end].to_vec();
            input.splice(at..at, part);
        }
    }
}

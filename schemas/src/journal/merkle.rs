//! Merkle trees, shaped as in RFC 6962 §2.1, with keyed BLAKE3: over the events of a frame, and over
//! the frames of a segment. They let one record be shown without its neighbours.
//!
//! ```text
//! leaf j of a frame   = keyed BLAKE3(EVENT_KEY; salt_j ‖ canonical row ‖ zeros to a multiple of 64 bytes)
//! leaf of a segment   = keyed BLAKE3(FRAME_KEY; d_i)                   d_i: the frame's digest
//! node                = keyed BLAKE3(NODE_KEY; left ‖ right)
//! salt_j              = bytes 16 j … 16 j + 15 of BLAKE3's extended output over the frame's salt
//! ```
//!
//! The frame's salt stands inside its payload: who is shown one record gets that record's salt
//! only, and cannot guess the ones beside it from their leaves.
//!
//! The keys are public: they tell leaves from nodes, and a node is one block of 64 bytes. Where a leaf
//! stands follows from its path and the number of leaves. A row says itself where it ends, so that the
//! zeros behind it add nothing.

use crate::journal::wide;

/// The hash of a leaf or node.
pub type Hash = [u8; 32];

/// The key of leaves over events.
const EVENT_KEY: [u8; 32] = *b"saigen journal v1 leaf of events";

/// The key of leaves over frames.
const FRAME_KEY: [u8; 32] = *b"saigen journal v1 leaf of frames";

/// The key of nodes.
const NODE_KEY: [u8; 32] = *b"saigen journal v1 node of a tree";

/// Bytes of a leaf's salt, before its row.
const SALT_BYTES: usize = 16;

/// Bytes of a block of BLAKE3: what is hashed of an event is a number of whole ones.
const BLOCK_BYTES: usize = 64;

/// The canonical rows of a frame's events, laid out for their leaves: each behind room for its salt, and
/// filled up to whole blocks. Its memory is kept from frame to frame.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Rows {
    /// Adds the row that `write` appends.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend_from_slice(&[0; SALT_BYTES]);
        write(&mut self.bytes);
        let whole = self.bytes.len().next_multiple_of(BLOCK_BYTES);
        self.bytes.resize(whole, 0);
        self.ends.push(whole);
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The leaves of the rows, under a frame's salt.
    pub fn leaves(&mut self, salt: [u8; 16]) -> Vec<Hash> {
        self.fill_in_salts(salt);
        let mut leaves = vec![[0; 32]; self.ends.len()];
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let rows = starts
            .zip(&self.ends)
            .map(|(start, &end)| self.bytes.get(start..end).unwrap_or_default());
        wide::keyed_blocks(&EVENT_KEY, rows, &mut leaves);
        leaves
    }

    fn fill_in_salts(&mut self, salt: [u8; 16]) {
        const AT_ONCE: usize = BLOCK_BYTES / SALT_BYTES;
        let mut salts = blake3::Hasher::new().update(&salt).finalize_xof();
        let mut block = [0; BLOCK_BYTES];
        let mut start = 0;
        for ends in self.ends.chunks(AT_ONCE) {
            salts.fill(&mut block);
            for (&end, salt) in ends.iter().zip(block.as_chunks::<SALT_BYTES>().0) {
                if let Some(room) = self.bytes.get_mut(start..start + SALT_BYTES) {
                    room.copy_from_slice(salt);
                }
                start = end;
            }
        }
    }
}

/// The salt of one leaf.
#[must_use]
pub fn leaf_salt(salt: [u8; 16], index: u32) -> [u8; 16] {
    let mut salts = blake3::Hasher::new().update(&salt).finalize_xof();
    salts.set_position(16 * u64::from(index));
    let mut leaf_salt = [0; 16];
    salts.fill(&mut leaf_salt);
    leaf_salt
}

/// The leaf of one event.
#[must_use]
pub fn event_leaf(leaf_salt: [u8; 16], row: &[u8]) -> Hash {
    let filled = (leaf_salt.len() + row.len()).next_multiple_of(BLOCK_BYTES);
    let zeros = [0; BLOCK_BYTES];
    let zeros = zeros.get(..filled - leaf_salt.len() - row.len());
    *blake3::Hasher::new_keyed(&EVENT_KEY)
        .update(&leaf_salt)
        .update(row)
        .update(zeros.unwrap_or_default())
        .finalize()
        .as_bytes()
}

/// The leaf of one frame, from its digest.
#[must_use]
pub fn frame_leaf(digest: &[u8; 32]) -> Hash {
    *blake3::keyed_hash(&FRAME_KEY, digest).as_bytes()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let pair = [*left, *right];
    *blake3::keyed_hash(&NODE_KEY, pair.as_flattened()).as_bytes()
}

/// The root over leaves; of none, the hash of nothing (RFC 6962 §2.1).
#[must_use]
pub fn root(mut level: Vec<Hash>) -> Hash {
    let mut above = Vec::with_capacity(level.len().div_ceil(2));
    while level.len() > 1 {
        next_level(&level, &mut above);
        std::mem::swap(&mut level, &mut above);
    }
    level
        .first()
        .copied()
        .unwrap_or_else(|| *blake3::hash(b"").as_bytes())
}

/// The level above: a last node without a partner goes up as it is, which is the tree of RFC 6962.
fn next_level(level: &[Hash], above: &mut Vec<Hash>) {
    let (pairs, alone) = level.as_flattened().as_chunks::<{ 2 * 32 }>();
    above.clear();
    above.resize(pairs.len(), [0; 32]);
    wide::keyed_same(&NODE_KEY, pairs, above);
    above.extend_from_slice(alone.as_chunks::<32>().0);
}

/// A tree that grows leaf by leaf and tells its root at any moment. It keeps one hash a level.
#[derive(Clone, Debug, Default)]
pub struct Growing {
    /// Roots of full subtrees with the level of each, the largest first.
    full: Vec<(u32, Hash)>,
}

impl Growing {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut grown = (0, leaf);
        while let Some(&(level, left)) = self.full.last().filter(|(level, _)| *level == grown.0) {
            self.full.pop();
            grown = (level + 1, node(&left, &grown.1));
        }
        self.full.push(grown);
    }

    /// The root over the leaves so far: the same as [`root`].
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut hashes = self.full.iter().rev().map(|(_, hash)| *hash);
        let last = hashes.next().unwrap_or_else(|| root(Vec::new()));
        hashes.fold(last, |right, left| node(&left, &right))
    }
}

/// The nodes beside the way from a leaf to the root, from below; `None` if there is no such leaf.
#[must_use]
pub fn path(mut level: Vec<Hash>, mut index: usize) -> Option<Vec<Hash>> {
    if index >= level.len() {
        return None;
    }
    let mut beside = Vec::new();
    while level.len() > 1 {
        beside.extend(level.get(index ^ 1));
        let mut above = Vec::new();
        next_level(&level, &mut above);
        level = above;
        index /= 2;
    }
    Some(beside)
}

/// The root that a leaf and the nodes beside its way lead to, in a tree of `count` leaves; `None`
/// if the path is not of that tree.
#[must_use]
pub fn root_of_path(leaf: Hash, mut index: usize, mut count: usize, path: &[Hash]) -> Option<Hash> {
    if index >= count {
        return None;
    }
    let mut path = path.iter();
    let mut hash = leaf;
    while count > 1 {
        let alone = index.is_multiple_of(2) && index + 1 == count;
        if !alone {
            let beside = path.next()?;
            hash = if index.is_multiple_of(2) {
                node(&hash, beside)
            } else {
                node(beside, &hash)
            };
        }
        index /= 2;
        count = count.div_ceil(2);
    }
    path.next().is_none().then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|byte| frame_leaf(&[byte; 32])).collect()
    }

    #[test]
    fn every_leaf_is_proved_by_its_path_and_by_no_other() {
        for count in 1..20_u8 {
            let leaves = some_leaves(count);
            let root = root(leaves.clone());
            for index in 0..usize::from(count) {
                let beside = path(leaves.clone(), index).unwrap();
                assert_eq!(
                    root_of_path(leaves[index], index, leaves.len(), &beside),
                    Some(root)
                );
                for wrong in (0..leaves.len()).filter(|&wrong| wrong != index) {
                    assert_ne!(
                        root_of_path(leaves[wrong], index, leaves.len(), &beside),
                        Some(root)
                    );
                }
                let longer: Vec<Hash> = beside.iter().copied().chain([[0; 32]]).collect();
                assert_eq!(
                    root_of_path(leaves[index], index, leaves.len(), &longer),
                    None
                );
            }
            assert_eq!(path(leaves, usize::from(count)), None);
        }
    }

    #[test]
    fn a_growing_tree_has_the_root_of_its_leaves() {
        let mut growing = Growing::default();
        for count in 0..40_u8 {
            assert_eq!(growing.root(), root(some_leaves(count)), "{count} leaves");
            growing.push(frame_leaf(&[count; 32]));
        }
    }

    #[test]
    fn leaves_taken_one_by_one_are_those_of_the_frame() {
        let row = |index: u32| vec![9; index as usize * 37];
        let mut rows = Rows::default();
        for index in 0..40 {
            rows.push(|out| out.extend(row(index)));
        }
        let all = rows.leaves([7; 16]);
        for index in 0..40 {
            assert_eq!(
                event_leaf(leaf_salt([7; 16], index), &row(index)),
                all[index as usize]
            );
        }
    }

    #[test]
    fn a_row_that_fills_its_blocks_gets_no_more() {
        let mut rows = Rows::default();
        rows.push(|out| out.extend([1; 48]));
        let salt = leaf_salt([7; 16], 0);
        let bytes = [&salt[..], &[1; 48]].concat();
        assert_eq!(
            rows.leaves([7; 16]),
            [*blake3::keyed_hash(&EVENT_KEY, &bytes).as_bytes()]
        );
    }
}

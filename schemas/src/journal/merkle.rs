//! Merkle trees, as in RFC 6962 §2.1 with BLAKE3: over the events of a frame, and over the
//! frames of a segment. They let one record be shown without its neighbours.
//!
//! ```text
//! leaf j of a frame   = BLAKE3(0x00 ‖ salt_j ‖ j ‖ canonical row)      j as 4 bytes, little-endian
//! leaf of a segment   = BLAKE3(0x00 ‖ d_i)                             d_i: the frame's digest
//! node                = BLAKE3(0x01 ‖ left ‖ right)
//! salt_j              = bytes 16 j … 16 j + 15 of BLAKE3's extended output over the frame's salt
//! ```
//!
//! The frame's salt stands inside its payload: who is shown one record gets that record's salt
//! only, and cannot guess the ones beside it from their leaves.

/// The hash of a leaf or node.
pub type Hash = [u8; 32];

/// Bytes of a leaf before its row: domain, salt, index.
pub const LEAF_PREFIX_BYTES: usize = 21;

/// The leaves of a frame's events, from their canonical rows in order.
pub fn leaves<'a>(salt: [u8; 16], rows: impl IntoIterator<Item = &'a [u8]>) -> Vec<Hash> {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for row in rows {
        bytes.extend_from_slice(&[0; LEAF_PREFIX_BYTES]);
        bytes.extend_from_slice(row);
        ends.push(bytes.len());
    }
    leaves_of_rows(salt, &mut bytes, &ends)
}

/// The same for rows that stand one behind another, each after [`LEAF_PREFIX_BYTES`] which are filled in
/// here: what is hashed lies together. `ends` says where each row ends.
pub fn leaves_of_rows(salt: [u8; 16], rows: &mut [u8], ends: &[usize]) -> Vec<Hash> {
    let mut salts = blake3::Hasher::new().update(&salt).finalize_xof();
    let mut leaves = Vec::with_capacity(ends.len());
    // Four salts are one block of the extended output.
    let mut block = [0; 64];
    let mut start = 0;
    for (index, &end) in (0_u32..).zip(ends) {
        let place = (index % 4) as usize * 16;
        if place == 0 {
            salts.fill(&mut block);
        }
        let row = rows.get_mut(start..end).unwrap_or_default();
        if let (Some((prefix, _)), Some(salt)) = (
            row.split_first_chunk_mut::<LEAF_PREFIX_BYTES>(),
            block.get(place..place + 16),
        ) {
            prefix[0] = 0;
            prefix[1..17].copy_from_slice(salt);
            prefix[17..].copy_from_slice(&index.to_le_bytes());
        }
        leaves.push(*blake3::hash(row).as_bytes());
        start = end;
    }
    leaves
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
pub fn event_leaf(leaf_salt: [u8; 16], index: u32, row: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&[0])
        .update(&leaf_salt)
        .update(&index.to_le_bytes())
        .update(row);
    *hasher.finalize().as_bytes()
}

/// The leaf of one frame, from its digest.
#[must_use]
pub fn frame_leaf(digest: &[u8; 32]) -> Hash {
    *blake3::Hasher::new()
        .update(&[0])
        .update(digest)
        .finalize()
        .as_bytes()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    *blake3::hash(&bytes).as_bytes()
}

/// The root over leaves; of none, the hash of nothing (RFC 6962 §2.1).
#[must_use]
pub fn root(mut level: Vec<Hash>) -> Hash {
    while level.len() > 1 {
        // A last node without a partner goes up as it is.
        let above = level.len().div_ceil(2);
        for at in 0..above {
            let joined = match level.get(2 * at..2 * at + 2) {
                Some([left, right]) => node(left, right),
                Some(_) | None => level.get(2 * at).copied().unwrap_or_default(),
            };
            if let Some(place) = level.get_mut(at) {
                *place = joined;
            }
        }
        level.truncate(above);
    }
    level
        .first()
        .copied()
        .unwrap_or_else(|| *blake3::hash(b"").as_bytes())
}

/// The level above: a last node without a partner goes up as it is, which is the tree of RFC 6962.
fn next_level(level: &[Hash]) -> Vec<Hash> {
    level
        .chunks(2)
        .map(|pair| {
            if let [left, right] = pair {
                node(left, right)
            } else {
                pair[0]
            }
        })
        .collect()
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
        level = next_level(&level);
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
    fn salts_taken_one_by_one_are_those_of_the_frame() {
        let rows: [&[u8]; 3] = [b"a", b"b", b"c"];
        let all = leaves([7; 16], rows);
        for (index, row) in (0..).zip(rows) {
            assert_eq!(
                event_leaf(leaf_salt([7; 16], index), index, row),
                all[index as usize]
            );
        }
    }
}

//! Texts of the evidence, each kept once, in one arena.

use std::hash::{BuildHasher as _, Hasher as _};

use saigen_schemas::event::Text;

use crate::replay::TextId;
use crate::replay::hash::Seeded;

/// An arena of distinct texts.
///
/// A text costs its bytes, eight for its end and some twelve for its slot in the table by which
/// it is found again. The table's seed is random, so that no evidence can be made to collide; ids
/// are given in the order of first sight and do not depend on it.
#[derive(Default)]
pub struct Texts {
    bytes: Vec<u8>,
    /// Where each text ends; it begins where the one before it ends.
    ends: Vec<usize>,
    /// Open addressing with linear probing; a power of two long, at most three quarters full.
    slots: Vec<Slot>,
    seed: Seeded,
    /// The text that was asked for last: one thing is often spoken of several times in a row.
    last: Option<TextId>,
}

/// A place of the table: a text, and a part of its hash, so that other texts are rarely looked
/// at, and none when the table grows.
#[derive(Clone, Copy, Default)]
struct Slot {
    text: Option<TextId>,
    hash: u32,
}

impl Texts {
    /// The id of a text, kept from now on if it was not before; `None` when there are more texts
    /// than ids.
    pub fn intern(&mut self, text: &[u8]) -> Option<TextId> {
        if let Some(last) = self.last
            && self.get(last).0 == text
        {
            return Some(last);
        }
        self.last = self.find_or_keep(text);
        self.last
    }

    fn find_or_keep(&mut self, text: &[u8]) -> Option<TextId> {
        if (self.ends.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let hash = self.hash_of(text);
        let index = self.slot_of(text, hash);
        let known = self.slots.get(index).and_then(|slot| slot.text);
        if known.is_some() {
            return known;
        }
        let id = TextId::from_index(self.ends.len())?;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        if let Some(free) = self.slots.get_mut(index) {
            *free = Slot {
                text: Some(id),
                hash,
            };
        }
        Some(id)
    }

    /// The id of a text that is kept; `None` for any other.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<TextId> {
        let index = self.slot_of(text, self.hash_of(text));
        self.slots.get(index)?.text
    }

    /// The text of an id; the empty text for an id of another arena.
    #[must_use]
    pub fn get(&self, id: TextId) -> Text<'_> {
        let index = id.index();
        let from = index
            .checked_sub(1)
            .map_or(Some(0), |before| self.ends.get(before).copied());
        let to = self.ends.get(index).copied();
        let text = from.zip(to).and_then(|(from, to)| self.bytes.get(from..to));
        Text(text.unwrap_or_default())
    }

    /// How many texts there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Memory that the arena holds, in bytes.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.slots.capacity() * size_of::<Slot>()
    }

    fn hash_of(&self, text: &[u8]) -> u32 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(text);
        // Shifted, so that it fits.
        u32::try_from(hasher.finish() >> 32).unwrap_or_default()
    }

    /// The slot that holds a text, or the free one where it belongs.
    fn slot_of(&self, text: &[u8], hash: u32) -> usize {
        let Some(mask) = self.slots.len().checked_sub(1) else {
            return 0;
        };
        let mut index = hash as usize & mask;
        while let Some(Slot {
            text: Some(id),
            hash: other,
        }) = self.slots.get(index)
        {
            if *other == hash && self.get(*id).0 == text {
                break;
            }
            index = (index + 1) & mask;
        }
        index
    }

    fn grow(&mut self) {
        let len = (self.slots.len() * 2).max(64);
        let mask = len - 1;
        let mut slots = vec![Slot::default(); len];
        for old in self.slots.iter().filter(|slot| slot.text.is_some()) {
            let mut index = old.hash as usize & mask;
            while slots.get(index).is_some_and(|slot| slot.text.is_some()) {
                index = (index + 1) & mask;
            }
            if let Some(free) = slots.get_mut(index) {
                *free = *old;
            }
        }
        self.slots = slots;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_found_again() {
        let mut texts = Texts::default();
        let ids: Vec<_> = (0..1000)
            .map(|number: u32| texts.intern(number.to_string().as_bytes()).unwrap())
            .collect();
        for (number, id) in ids.iter().enumerate() {
            let text = number.to_string();
            assert_eq!(texts.get(*id).0, text.as_bytes());
            assert_eq!(texts.find(text.as_bytes()), Some(*id));
            assert_eq!(texts.intern(text.as_bytes()), Some(*id));
        }
        assert_eq!(texts.len(), 1000);
        assert_eq!(texts.find(b"1000"), None);
        assert_eq!(texts.intern(b"").map(|id| texts.get(id).0.len()), Some(0));
    }
}

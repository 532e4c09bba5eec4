//! A map that forgets: bounded in what it holds, whatever it is fed.
//!
//! Two generations of equal weight. New entries go to the young one; when it is full it
//! becomes the old one and what was old is dropped. An entry found among the old is moved
//! to the young, so what is used stays. Each step costs one lookup, and there is no list to keep.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A map of bounded weight whose least used entries go first.
#[derive(Debug)]
pub struct Bounded<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    young_weight: usize,
    generation_weight_max: usize,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    /// A map that holds entries of at most `weight_max` together (of which half is kept
    /// whatever happens). The unit is the caller's: entries, or bytes.
    #[must_use]
    pub fn new(weight_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            young_weight: 0,
            generation_weight_max: (weight_max / 2).max(1),
        }
    }

    /// The value under `key`, which counts as used.
    pub fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some((key, (value, weight))) = self.old.remove_entry(key) {
            self.insert(key, value, weight);
        }
        self.young.get(key).map(|(value, _)| value)
    }

    /// Puts `value` under `key`. An entry heavier than half of the map is not kept.
    pub fn insert(&mut self, key: K, value: V, weight: usize) {
        self.remove(&key);
        if weight > self.generation_weight_max {
            return;
        }
        if self.young_weight + weight > self.generation_weight_max {
            self.old = std::mem::take(&mut self.young);
            self.young_weight = 0;
        }
        self.young_weight += weight;
        self.young.insert(key, (value, weight));
    }

    /// Takes out what is under `key`.
    pub fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.old.remove(key);
        if let Some((_, weight)) = self.young.remove(key) {
            self.young_weight -= weight;
        }
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.old.retain(|key, (value, _)| keep(key, value));
        let mut left = 0;
        self.young.retain(|key, (value, weight)| {
            let kept = keep(key, value);
            if kept {
                left += *weight;
            }
            kept
        });
        self.young_weight = left;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.young_weight = 0;
    }

    /// The entries held now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;

    #[test]
    fn what_is_fed_without_end_stays_bounded() {
        let mut map = Bounded::new(100);
        for number in 0_u32..10_000 {
            map.insert(number, number, 1);
            assert!(map.len() <= 100);
        }
        assert_eq!(map.get(&9_999), Some(&9_999));
        assert_eq!(map.get(&0), None);
    }

    #[test]
    fn what_is_used_stays() {
        let mut map = Bounded::new(10);
        map.insert(0_u32, "kept", 1);
        for number in 1..100 {
            map.insert(number, "passing", 1);
            assert_eq!(map.get(&0), Some(&"kept"));
        }
    }

    #[test]
    fn weight_counts_and_not_number() {
        let mut map = Bounded::new(10);
        map.insert(1_u32, (), 5);
        map.insert(2, (), 5);
        map.insert(3, (), 5);
        assert_eq!(map.get(&1), None);
        map.insert(4, (), 6);
        assert_eq!(map.get(&4), None, "heavier than half of the map");
        map.retain(|key, ()| *key != 3);
        assert_eq!(map.get(&3), None);
    }
}

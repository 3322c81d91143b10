//! Which dedup ids a log knows.
//!
//! Kept in memory and read back from the newest blocks when the bus is opened. What is kept
//! of an id is a hash of 128 bits under a key that is chosen at random, so that nobody can
//! choose two that are equal.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashMap;

/// The newest ids of a log, at least `window` of them.
pub(super) struct Dedup {
    keys: [RandomState; 2],
    window: usize,
    newer: HashMap<u128, u64>,
    older: HashMap<u128, u64>,
}

impl Dedup {
    pub(super) fn new(window: usize) -> Self {
        let keys = [RandomState::new(), RandomState::new()];
        Self { keys, window: window.max(1), newer: HashMap::new(), older: HashMap::new() }
    }

    /// What an id is known by.
    pub(super) fn hash(&self, id: &[u8]) -> u128 {
        let [high, low] = [0, 1].map(|half: usize| u128::from(self.keys[half].hash_one(id)));
        high << 64 | low
    }

    /// The sequence of the record that has this id.
    pub(super) fn find(&self, hash: u128) -> Option<u64> {
        self.newer.get(&hash).or_else(|| self.older.get(&hash)).copied()
    }

    /// The record at `sequence` has this id.
    pub(super) fn learn(&mut self, hash: u128, sequence: u64) {
        if self.newer.len() >= self.window {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(hash, sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_the_window_is_known_and_not_for_ever() {
        let mut dedup = Dedup::new(3);
        for sequence in 1..=10_u64 {
            let hash = dedup.hash(&sequence.to_be_bytes());
            dedup.learn(hash, sequence);
            for known in sequence.saturating_sub(2).max(1)..=sequence {
                assert_eq!(dedup.find(dedup.hash(&known.to_be_bytes())), Some(known));
            }
        }
        assert_eq!(dedup.find(dedup.hash(&1_u64.to_be_bytes())), None);
    }
}

//! Which actions that were offered stand in the ACTIONS log alone.
//!
//! When they are read back, they must be told from those that are closed, and from those that
//! are in memory: one bit for each record of the log, from the oldest of them on, does it for
//! all triggers, in whichever order they were offered.

use std::collections::{BTreeMap, VecDeque};

use tripline_event::Position;

use super::Recovered;

const BITS: u64 = u64::BITS as u64;

/// The positions of actions that were offered and did not fit into memory.
#[derive(Debug, Default)]
pub(super) struct Unread {
    incarnation: u32,
    /// The number of the first of `words`: 64 records each.
    first_word: u64,
    /// One bit for each record; the first and the last word have one that is set.
    words: VecDeque<u64>,
    /// The last of those that were read back at the start.
    recovered_through: Option<Position>,
    /// Those of which more is known than that: no more than fitted into memory before.
    told: BTreeMap<Position, Recovered>,
}

impl Unread {
    /// The action at `position` is in the log alone; `recovered` as it was offered.
    pub(super) fn insert(&mut self, position: Position, recovered: Option<Recovered>) {
        let word = position.sequence / BITS;
        if self.words.is_empty() {
            self.first_word = word;
            self.incarnation = position.incarnation;
        }
        while word < self.first_word {
            self.words.push_front(0);
            self.first_word -= 1;
        }
        while self.words.len() as u64 <= word - self.first_word {
            self.words.push_back(0);
        }
        if let Some(word) = self.word(position) {
            *word |= bit(position);
        }
        if let Some(recovered) = recovered {
            self.recovered_through = self.recovered_through.max(Some(position));
            if recovered != Recovered::default() {
                self.told.insert(position, recovered);
            }
        }
    }

    /// Whether the action at `position` is one of them.
    pub(super) fn contains(&self, position: Position) -> bool {
        let word = (position.sequence / BITS).checked_sub(self.first_word);
        let word = word.and_then(|word| self.words.get(usize::try_from(word).ok()?));
        position.incarnation == self.incarnation
            && word.is_some_and(|word| word & bit(position) != 0)
    }

    /// The action at `position` is in memory from now on. Returns what was known of it when it
    /// was offered.
    pub(super) fn take(&mut self, position: Position) -> Option<Recovered> {
        if let Some(word) = self.word(position) {
            *word &= !bit(position);
        }
        while self.words.front() == Some(&0) {
            self.words.pop_front();
            self.first_word += 1;
        }
        while self.words.back() == Some(&0) {
            self.words.pop_back();
        }
        let told = self.told.remove(&position);
        // What was decided since the start stands after all that was decided before it.
        let recovered = self.recovered_through.is_some_and(|through| position <= through);
        told.or_else(|| recovered.then(Recovered::default))
    }

    /// Nothing before `position` is in the log any more.
    pub(super) fn forget_before(&mut self, position: Position) {
        while let Some(first) = self.first().filter(|first| *first < position) {
            self.take(first);
        }
    }

    /// The oldest of them.
    pub(super) fn first(&self) -> Option<Position> {
        let bit = u64::from(self.words.front()?.trailing_zeros());
        Some(Position { incarnation: self.incarnation, sequence: self.first_word * BITS + bit })
    }

    fn word(&mut self, position: Position) -> Option<&mut u64> {
        let word = (position.sequence / BITS).checked_sub(self.first_word)?;
        self.words.get_mut(usize::try_from(word).ok()?)
    }
}

const fn bit(position: Position) -> u64 {
    1 << (position.sequence % BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Position {
        Position::new(7, sequence)
    }

    #[test]
    fn those_in_the_log_alone_are_told_from_all_others_in_whichever_order_they_came() {
        let mut unread = Unread::default();
        assert!(!unread.contains(at(1)), "there is none");
        let inserted = [130, 3, 200, 131, 700, 64, 63];
        for sequence in inserted {
            unread.insert(at(sequence), None);
        }
        for sequence in 0..1000 {
            assert_eq!(unread.contains(at(sequence)), inserted.contains(&sequence), "{sequence}");
        }
        assert!(!unread.contains(at(100_000)) && !unread.contains(Position::new(8, 3)));
        let mut sorted = inserted;
        sorted.sort_unstable();
        for sequence in sorted {
            assert_eq!(unread.first(), Some(at(sequence)));
            assert_eq!(unread.take(at(sequence)), None);
            assert!(!unread.contains(at(sequence)), "{sequence} is in memory now");
        }
        assert_eq!(unread.first(), None);
        assert!(unread.words.is_empty(), "what is in memory takes no room here");
    }

    #[test]
    fn what_was_read_back_at_the_start_is_told_from_what_was_decided_since() {
        let told = Recovered { prior_attempts: 2, untouched: true, given_up: false };
        let mut unread = Unread::default();
        unread.insert(at(5), Some(told));
        unread.insert(at(90), Some(Recovered::default()));
        unread.insert(at(91), None);
        assert_eq!(unread.take(at(91)), None);
        assert_eq!(unread.take(at(90)), Some(Recovered::default()));
        assert_eq!(unread.take(at(5)), Some(told));
        unread.insert(at(700), None);
        unread.insert(at(900), None);
        unread.forget_before(at(800));
        assert_eq!(unread.first(), Some(at(900)), "what was trimmed is read by nobody");
    }
}

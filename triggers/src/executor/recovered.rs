//! Which actions were open at the start.
//!
//! Actions that were read back at a start may have to wait in the ACTIONS log alone.
//! When they are read again, those that had been closed before the start must be told
//! from those that are open: one bit for each record of the log does it for all triggers.

use std::collections::BTreeMap;

use tripline_event::Position;

use super::Recovered;

const BITS: u64 = u64::BITS as u64;

/// The positions of actions that were open at the start and did not fit into memory.
#[derive(Debug, Default)]
pub(super) struct RecoveredSet {
    /// The first position that is known here.
    first: Option<Position>,
    /// One bit for each record, from the word of `first.sequence` on.
    bits: Vec<u64>,
    /// Those of which more is known than that: no more than fitted into memory before.
    told: BTreeMap<Position, Recovered>,
}

impl RecoveredSet {
    pub(super) fn insert(&mut self, position: Position, recovered: Recovered) {
        let known = self.first.unwrap_or(position);
        if position < known {
            let words = known.sequence / BITS - position.sequence / BITS;
            self.bits.splice(0..0, (0..words).map(|_| 0));
        }
        let first = known.min(position);
        self.first = Some(first);
        let (word, bit) = place(first, position);
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= bit;
        if recovered != Recovered::default() {
            self.told.insert(position, recovered);
        }
    }

    /// What is known of the action at `position`; none where it is not in the set.
    pub(super) fn take(&mut self, position: Position) -> Option<Recovered> {
        let first = self.first.filter(|first| *first <= position)?;
        let (word, bit) = place(first, position);
        let recovered = self.told.remove(&position).unwrap_or_default();
        (self.bits.get(word)? & bit != 0).then_some(recovered)
    }
}

fn place(first: Position, position: Position) -> (usize, u64) {
    let word = position.sequence / BITS - first.sequence / BITS;
    (usize::try_from(word).unwrap_or(usize::MAX), 1 << (position.sequence % BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_open_at_the_start_is_told_from_what_was_closed() {
        let at = |sequence| Position::new(7, sequence);
        let mut set = RecoveredSet::default();
        assert_eq!(set.take(at(1)), None, "nothing was recovered");
        for (sequence, prior_attempts) in [(130, 0), (3, 2), (200, 0), (131, 1)] {
            set.insert(
                at(sequence),
                Recovered { prior_attempts, untouched: prior_attempts == 2, given_up: false },
            );
        }
        for (sequence, expected) in [
            (1, None),
            (3, Some(2)),
            (4, None),
            (129, None),
            (130, Some(0)),
            (131, Some(1)),
            (199, None),
            (200, Some(0)),
            (201, None),
            (100_000, None),
        ] {
            let untouched = expected == Some(2);
            let expected = expected.map(|prior_attempts| Recovered {
                prior_attempts,
                untouched,
                given_up: false,
            });
            assert_eq!(set.take(at(sequence)), expected, "{sequence}");
        }
    }
}

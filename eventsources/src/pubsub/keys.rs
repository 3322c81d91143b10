//! The order of messages with the same ordering key.

use std::collections::{HashMap, VecDeque};

/// What waits behind a message that is being appended, by ordering key.
pub struct Keys<T> {
    /// A key is here while a message of it is being appended.
    busy: HashMap<String, VecDeque<T>>,
}

impl<T> Keys<T> {
    /// Nothing is being appended.
    pub fn new() -> Self {
        Self { busy: HashMap::new() }
    }

    /// A message has come in: it is given back if its turn is now; otherwise it waits.
    pub fn arrived(&mut self, key: &str, message: T) -> Option<T> {
        if let Some(waiting) = self.busy.get_mut(key) {
            waiting.push_back(message);
            return None;
        }
        self.busy.insert(key.to_owned(), VecDeque::new());
        Some(message)
    }

    /// The message of this key that was being appended is through: whose turn is next.
    pub fn done(&mut self, key: &str) -> Option<T> {
        let next = self.busy.get_mut(key)?.pop_front();
        if next.is_none() {
            self.busy.remove(key);
        }
        next
    }

    /// All that waits; none of it will have its turn.
    pub fn take_waiting(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.busy).into_values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_of_a_key_has_its_turn_when_the_one_before_it_is_through() {
        let mut keys = Keys::new();
        assert_eq!(keys.arrived("a", 1), Some(1));
        assert_eq!(keys.arrived("a", 2), None);
        assert_eq!(keys.arrived("b", 3), Some(3), "another key is not held up");
        assert_eq!(keys.arrived("a", 4), None);
        assert_eq!(keys.done("a"), Some(2));
        assert_eq!(keys.arrived("a", 5), None);
        assert_eq!(keys.done("a"), Some(4));
        assert_eq!(keys.done("a"), Some(5));
        assert_eq!(keys.done("a"), None);
        assert_eq!(keys.arrived("a", 6), Some(6));
        assert_eq!(keys.arrived("a", 7), None);
        assert_eq!(keys.take_waiting().collect::<Vec<_>>(), [7]);
        assert_eq!(keys.busy.len(), 0, "no key is kept for ever");
    }
}

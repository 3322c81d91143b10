//! Tables: an array, and entries in the order in which their keys were first set.

use std::collections::HashMap;
use std::sync::Arc;

use super::value::Value;

/// Integer keys from here on are entries like any other.
pub(super) const MAX_ARRAY: usize = 67_108_864;

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) array: Vec<Value>,
    entries: Vec<(Value, Value)>,
    places: HashMap<Key, usize>,
    pub(super) meta: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Bool(bool),
    Number(u64),
    Text(Arc<[u8]>),
    /// A table, function or coroutine: its kind and number.
    Kept(u8, usize),
}

impl Key {
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Nil | Value::Cell(_) => return None,
            Value::Bool(value) => Self::Bool(*value),
            // -0 is 0.
            Value::Number(number) => Self::Number((number + 0.0).to_bits()),
            Value::Text(text) => Self::Text(text.clone()),
            Value::Table(number) => Self::Kept(0, *number),
            Value::Closure(number) => Self::Kept(1, *number),
            Value::Native(native) => Self::Kept(2, std::ptr::from_ref(*native).addr()),
            Value::Bound(number) => Self::Kept(3, *number),
            Value::Coroutine(number) => Self::Kept(4, *number),
        })
    }
}

/// The place in the array that a key is for, from 0.
fn place(key: &Value) -> Option<usize> {
    let Value::Number(number) = key else { return None };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared below")]
    let index = *number as usize;
    #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "exact below the bound")]
    let is_index = (1..MAX_ARRAY).contains(&index) && index as f64 == *number;
    is_index.then(|| index - 1)
}

impl Table {
    pub(super) fn get(&self, key: &Value) -> Value {
        if let Some(place) = place(key) {
            return self.array.get(place).cloned().unwrap_or_default();
        }
        let found = Key::of(key).and_then(|key| self.places.get(&key));
        found
            .and_then(|at| self.entries.get(*at))
            .map(|(_, value)| value.clone())
            .unwrap_or_default()
    }

    pub(super) fn get_text(&self, key: &str) -> Value {
        self.get(&Value::text(key))
    }

    /// Sets an entry, and says how many places that made.
    pub(super) fn set(&mut self, key: Value, value: Value) -> usize {
        if let Some(place) = place(&key) {
            let before = self.array.len();
            if place >= before {
                self.array.resize(place, Value::Nil);
                self.array.push(value);
            } else {
                self.array[place] = value;
            }
            return self.array.len() - before;
        }
        let Some(known) = Key::of(&key) else { return 0 };
        match self.places.get(&known) {
            Some(at) => {
                self.entries[*at].1 = value;
                0
            }
            None if matches!(value, Value::Nil) => 0,
            None => {
                self.places.insert(known, self.entries.len());
                self.entries.push((key, value));
                1
            }
        }
    }

    /// How many places a key would make in the array.
    pub(super) fn gap(&self, key: &Value) -> usize {
        place(key).map_or(0, |place| (place + 1).saturating_sub(self.array.len()))
    }

    /// The length: up to the last value in the array that is not nil.
    pub(super) fn length(&self) -> usize {
        let last = self.array.iter().rposition(|value| !matches!(value, Value::Nil));
        last.map_or(0, |last| last + 1)
    }

    /// The entry behind a key, and how many were passed on the way; `None`: there is none.
    pub(super) fn next(&self, key: &Value) -> (Option<(Value, Value)>, usize) {
        let from_array = match (key, place(key)) {
            (Value::Nil, _) => Some(0),
            (Value::Number(number), None) if *number == 0.0 => None,
            (_, Some(place)) if place < self.array.len() || self.array.is_empty() => {
                Some(place + 1)
            }
            _ => None,
        };
        let mut passed = 0;
        let mut from_entries = 0;
        match from_array {
            Some(start) => {
                for (at, value) in self.array.iter().enumerate().skip(start) {
                    passed += 1;
                    if !matches!(value, Value::Nil) {
                        return (Some((Value::count(at + 1), value.clone())), passed);
                    }
                }
            }
            None => {
                let at = Key::of(key).and_then(|key| self.places.get(&key)).copied();
                from_entries = at.unwrap_or_default() + 1;
            }
        }
        for (key, value) in self.entries.iter().skip(from_entries) {
            passed += 1;
            if !matches!(value, Value::Nil) {
                return (Some((key.clone(), value.clone())), passed);
            }
        }
        (None, passed)
    }

    /// The entries outside of the array that are set.
    pub(super) fn entries(&self) -> impl Iterator<Item = &(Value, Value)> {
        self.entries.iter().filter(|(_, value)| !matches!(value, Value::Nil))
    }
}

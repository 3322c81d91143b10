//! Half-met conditions, in parts.
//!
//! What a sensor holds lies in one of [`PARTS`] parts, by a hash of its name. A checkpoint
//! writes the parts that changed: neither its manifest nor what it writes grows with the
//! number of sensors that hold something.

use std::collections::{BTreeMap, BTreeSet};

use tripline_event::{ObjectName, Position};

use super::state::{Held, SensorState};

/// How many parts there are. In the data of every installation.
pub const PARTS: usize = 256;

/// Half-met conditions of all sensors, and what of them has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    parts: BTreeMap<u8, Part>,
    dirty: BTreeSet<u8>,
}

/// The sensors of one part.
pub type Part = BTreeMap<ObjectName, SensorState>;

impl Conditions {
    /// What is remembered of a sensor; nothing, where it holds nothing.
    pub fn get(&self, sensor: &ObjectName) -> Option<&SensorState> {
        self.parts.get(&part_of(sensor))?.get(sensor)
    }

    /// Every sensor that holds something.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectName, &SensorState)> {
        self.parts.values().flatten()
    }

    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Changes what is remembered of a sensor. What holds nothing afterwards is forgotten.
    pub fn change<T>(
        &mut self,
        sensor: &ObjectName,
        change: impl FnOnce(&mut SensorState) -> T,
    ) -> T {
        let number = part_of(sensor);
        let part = self.parts.entry(number).or_default();
        let changed = match part.get_mut(sensor) {
            Some(state) => change(state),
            None => change(part.entry(sensor.clone()).or_default()),
        };
        if part.get(sensor).is_some_and(|state| state.triggers.is_empty()) {
            part.remove(sensor);
        }
        if part.is_empty() {
            self.parts.remove(&number);
        }
        self.dirty.insert(number);
        changed
    }

    /// Keeps the sensors for which `keep`, which may change them, answers true. A part is
    /// changed where one of its sensors is.
    pub fn retain(&mut self, mut keep: impl FnMut(&ObjectName, &mut SensorState) -> bool) {
        let Self { parts, dirty } = self;
        parts.retain(|number, part| {
            part.retain(|name, state| {
                let before = state.clone();
                let kept = keep(name, state) && !state.triggers.is_empty();
                if !kept || *state != before {
                    dirty.insert(*number);
                }
                kept
            });
            !part.is_empty()
        });
    }

    /// Puts what was written back into its place. What is there already stays.
    pub fn restore(&mut self, part: Part) {
        for (name, state) in part {
            self.parts.entry(part_of(&name)).or_default().entry(name).or_insert(state);
        }
    }

    /// Takes over what others hold, in place of what is held of the same sensors.
    pub fn adopt(&mut self, others: &Self) {
        for (name, state) in others.iter() {
            self.change(name, |held| *held = state.clone());
        }
    }

    /// Says that all of it is to be written.
    pub fn touch_all(&mut self) {
        self.dirty.extend(self.parts.keys());
    }

    /// The parts that have changed since [`Self::written`]; none of one in which nothing
    /// is held any more.
    pub fn changed(&self) -> impl Iterator<Item = (u8, Option<&Part>)> {
        self.dirty.iter().map(|number| (*number, self.parts.get(number)))
    }

    /// What has changed is written.
    pub fn written(&mut self) {
        self.dirty.clear();
    }

    /// The lowest position that a half-met condition still needs.
    pub fn lowest_held(&self) -> Option<Position> {
        self.held().map(|held| held.event.position).min()
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        let triggers = self.iter().flat_map(|(_, sensor)| sensor.triggers.values());
        triggers.flat_map(|trigger| trigger.held.values())
    }
}

/// The part of a sensor: FNV-1a over its name. It must never change.
pub fn part_of(sensor: &ObjectName) -> u8 {
    let bytes = sensor.namespace.bytes().chain(*b"/").chain(sensor.name.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let [part, ..] = (hash ^ (hash >> 32)).to_le_bytes();
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_a_sensor_is_a_format() {
        for (namespace, name, expected) in [("default", "a", 234), ("ci", "deploy", 211)] {
            assert_eq!(part_of(&ObjectName::new(namespace, name)), expected, "{namespace}/{name}");
        }
    }

    #[test]
    fn sensors_spread_over_all_parts() {
        let parts: BTreeSet<u8> =
            (0..10_000).map(|n| part_of(&ObjectName::new("ci", format!("sensor-{n}")))).collect();
        assert_eq!(parts.len(), PARTS);
    }
}

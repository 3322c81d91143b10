//! Ids of events, actions and definitions.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{EventKey, TriggerName};

/// The id of an event. It comes from upstream where upstream has one (message id,
/// delivery header, nominal time of a tick), and is unique within the event's
/// [`EventKey`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub String);

impl EventId {
    /// The longest id that is kept as it is, in bytes. A longer one is kept as `h-` and a hash.
    pub const MAX_BYTES: usize = 256;

    /// The id that upstream gave. Control characters and ids of more than
    /// [`Self::MAX_BYTES`] are replaced by a hash of the whole, so that whatever upstream
    /// sends can be logged, put in a header, and compared.
    pub fn from_upstream(id: &str) -> Self {
        if id.len() <= Self::MAX_BYTES && !id.is_empty() && !id.chars().any(char::is_control) {
            return Self(id.to_owned());
        }
        let mut hash = LengthPrefixed::default();
        hash.part(id.as_bytes());
        Self(format!("h-{}", hash.hex()))
    }

    /// What identifies the event of this id under `key`, in 128 bits: an id is unique within
    /// its key only.
    pub fn identity(&self, key: &EventKey) -> [u8; 16] {
        let mut hash = LengthPrefixed::default();
        for part in [&key.namespace, &key.source, &key.name, &self.0] {
            hash.part(part.as_bytes());
        }
        hash.half()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of an action: a hash of what was decided, so that deciding it again gives
/// the same id. 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub String);

impl ActionId {
    /// The id of the firing of `trigger` by these events: each the dependency that it
    /// satisfied, the event's key and its id, in the order of the dependencies' names.
    /// `generation` is 0; a replay that was forced takes the next.
    pub fn new<'a>(
        trigger: &TriggerName,
        events: impl IntoIterator<Item = (&'a str, &'a EventKey, &'a EventId)>,
        generation: u32,
    ) -> Self {
        let mut hash = LengthPrefixed::default();
        hash.part(trigger.namespace.as_bytes());
        hash.part(trigger.sensor.as_bytes());
        hash.part(trigger.trigger.as_bytes());
        hash.part(&generation.to_be_bytes());
        for (dependency, key, id) in events {
            hash.part(dependency.as_bytes());
            hash.part(key.source.as_bytes());
            hash.part(key.name.as_bytes());
            hash.part(id.0.as_bytes());
        }
        Self(hash.hex())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the same firing where it is one of several: a trigger that names several
    /// clusters fires once for each, and each has an id of its own.
    #[must_use]
    pub fn at(&self, target: &str) -> Self {
        let mut hash = LengthPrefixed::default();
        hash.part(self.0.as_bytes());
        hash.part(target.as_bytes());
        Self(hash.hex())
    }

    /// A part of the id that is short enough for an object's name, and long enough that no two
    /// of a billion are likely to be equal: sixteen letters and digits, 64 bits.
    pub fn suffix(&self) -> &str {
        self.0.get(..16).unwrap_or(&self.0)
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hash under which a definition (a sensor, an event source) is kept in the bus:
/// SHA-256 of its canonical JSON, 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DefinitionHash(pub String);

impl DefinitionHash {
    /// The hash of `json`, which must be canonical: keys sorted, no white space.
    pub fn of(json: &str) -> Self {
        Self(hex::encode(Sha256::digest(json.as_bytes())))
    }
}

impl fmt::Display for DefinitionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A hash over parts, each preceded by its length: joined strings would collide
/// (`a` + `b-c`, `a-b` + `c`).
#[derive(Default)]
struct LengthPrefixed(Sha256);

impl LengthPrefixed {
    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    /// The first 128 bits.
    fn half(self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0.finalize()[..16]);
        half
    }

    /// The same in hexadecimal.
    fn hex(self) -> String {
        hex::encode(self.half())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ObjectName;

    fn id(sensor: &str, trigger: &str, dependency: &str, event: &str, generation: u32) -> ActionId {
        let trigger = TriggerName::new(&ObjectName::new("ci", sensor), trigger);
        let key = EventKey::new("ci", "builds", "completed");
        ActionId::new(&trigger, [(dependency, &key, &EventId(event.into()))], generation)
    }

    #[test]
    fn an_action_id_is_the_same_for_the_same_decision_and_another_for_any_other() {
        let first = id("deploy", "submit", "build", "e-1", 0);
        assert_eq!(first, id("deploy", "submit", "build", "e-1", 0));
        for other in [
            id("deploy2", "submit", "build", "e-1", 0),
            id("deploy", "submit2", "build", "e-1", 0),
            id("deploy", "submit", "build2", "e-1", 0),
            id("deploy", "submit", "build", "e-2", 0),
            id("deploy", "submit", "build", "e-1", 1),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn parts_that_join_to_the_same_text_give_different_ids() {
        assert_ne!(id("a", "b-c", "d", "e", 0), id("a-b", "c", "d", "e", 0));
        assert_ne!(id("a", "b", "cd", "e", 0), id("a", "b", "c", "de", 0));
    }

    /// The hash is a format: it must never change.
    #[test]
    fn the_action_id_of_a_known_decision_is_this_one() {
        assert_eq!(id("deploy", "submit", "build", "e-1", 0).as_str().len(), 32);
        assert_eq!(id("deploy", "submit", "build", "e-1", 0).as_str(), KNOWN_ACTION_ID);
    }

    #[test]
    fn a_firing_into_several_clusters_has_an_id_for_each() {
        let whole = id("deploy", "submit", "build", "e-1", 0);
        assert_eq!(whole.at("prod").as_str(), "da8af11890b24bc0d0eed509cb67f2db");
        assert_ne!(whole.at("prod"), whole.at("staging"));
        assert_ne!(whole.at("prod"), whole);
    }

    const KNOWN_ACTION_ID: &str = "b0169c91e565222424d9dba27486bf77";

    /// It stands in checkpoints and in the bus: it must never change.
    #[test]
    fn the_identity_of_a_known_event_is_this_one() {
        let identity = EventId("e-1".into()).identity(&EventKey::new("ci", "builds", "completed"));
        assert_eq!(hex::encode(identity), "5f8fe0ab71e180dff6b56b1663351610");
    }

    #[test]
    fn an_upstream_id_that_cannot_be_shown_is_replaced_by_its_hash() {
        assert_eq!(EventId::from_upstream("a/b c").as_str(), "a/b c");
        for hostile in ["", "a\r\nb", &"x".repeat(5000)] {
            let id = EventId::from_upstream(hostile);
            assert!(id.as_str().starts_with("h-") && id.as_str().len() == 34, "{id}");
        }
        assert_ne!(EventId::from_upstream("a\nb"), EventId::from_upstream("a\rb"));
    }
}

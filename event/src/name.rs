//! Identity: a thing is (namespace, name), never a name alone.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The namespace of objects that give none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// What identifies an object: its namespace and its name. Written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// The namespace, `default` where the object gave none.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectName {
    /// An object of this namespace and name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a sensor's dependency names: one event of one event source. Written
/// `namespace/source/event`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    /// The namespace of the event source; a sensor sees only its own.
    pub namespace: String,
    /// The event source's `metadata.name`.
    pub source: String,
    /// The event's name: the key under the event source's kind.
    pub name: String,
}

impl EventKey {
    /// The event `name` of the event source `source`.
    pub fn new(
        namespace: impl Into<String>,
        source: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self { namespace: namespace.into(), source: source.into(), name: name.into() }
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.source, self.name)
    }
}

/// One trigger of one sensor. Written `namespace/sensor/trigger`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TriggerName {
    /// The sensor's namespace.
    pub namespace: String,
    /// The sensor's `metadata.name`.
    pub sensor: String,
    /// The trigger's `template.name`.
    pub trigger: String,
}

impl TriggerName {
    /// The trigger `trigger` of `sensor`.
    pub fn new(sensor: &ObjectName, trigger: impl Into<String>) -> Self {
        Self {
            namespace: sensor.namespace.clone(),
            sensor: sensor.name.clone(),
            trigger: trigger.into(),
        }
    }

    /// The sensor that has this trigger.
    pub fn sensor_name(&self) -> ObjectName {
        ObjectName::new(&self.namespace, &self.sensor)
    }
}

impl fmt::Display for TriggerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.sensor, self.trigger)
    }
}

//! Which triggers a command of an operator is about.

use std::fmt;

use tripline_event::{ObjectName, TriggerName};

/// Which triggers a command of an operator is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All.
    All,
    /// Those of one sensor.
    Sensor(ObjectName),
    /// One.
    Trigger(TriggerName),
    /// Those whose actions go to this target, by the name that
    /// [`super::Renderer::target`] gives it.
    Target(String),
}

impl Scope {
    /// Whether `trigger` is one of them, as far as that follows from its name: never for
    /// a target.
    pub fn names(&self, trigger: &TriggerName) -> bool {
        match self {
            Self::All => true,
            Self::Sensor(sensor) => {
                sensor.namespace == trigger.namespace && sensor.name == trigger.sensor
            }
            Self::Trigger(name) => name == trigger,
            Self::Target(_) => false,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Sensor(sensor) => write!(f, "sensor {sensor}"),
            Self::Trigger(trigger) => write!(f, "trigger {trigger}"),
            Self::Target(target) => write!(f, "target {target}"),
        }
    }
}

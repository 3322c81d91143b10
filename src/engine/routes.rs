//! Which target an action goes to whose trigger names none.

use std::collections::BTreeMap;

use tripline_event::{Action, ObjectName, TriggerName};
use tripline_triggers::workflow::local;

/// Which target an action goes to whose trigger names none: that of its sensor, else that
/// of its namespace, else the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Where everything else goes; none is the local target.
    pub default: Option<String>,
    /// By namespace of the sensor.
    pub namespaces: BTreeMap<String, String>,
    /// By sensor.
    pub sensors: BTreeMap<ObjectName, String>,
}

impl Routes {
    /// The target of the actions of `trigger`; none is the local one.
    pub fn target_of(&self, trigger: &TriggerName) -> Option<&str> {
        let of_sensor =
            (!self.sensors.is_empty()).then(|| self.sensors.get(&trigger.sensor_name())).flatten();
        let target = of_sensor
            .or_else(|| self.namespaces.get(&trigger.namespace))
            .or(self.default.as_ref())
            .map(String::as_str);
        target.filter(|target| *target != local::NAME)
    }
}

/// The name of the target of an action that is bound.
pub fn target_name(action: &Action) -> &str {
    action.target.as_deref().unwrap_or(local::NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_s_own_target_goes_before_its_namespace_s_and_that_before_the_default() {
        let text = |text: &str| text.to_owned();
        let routes = Routes {
            default: Some(text("staging")),
            namespaces: BTreeMap::from([(text("ci"), text("build")), (text("dev"), text("local"))]),
            sensors: BTreeMap::from([(ObjectName::new("ci", "deploy"), text("prod"))]),
        };
        for (namespace, sensor, expected) in [
            ("ci", "deploy", Some("prod")),
            ("ci", "other", Some("build")),
            ("ops", "deploy", Some("staging")),
            ("dev", "deploy", None),
        ] {
            let trigger = TriggerName::new(&ObjectName::new(namespace, sensor), "submit");
            assert_eq!(routes.target_of(&trigger), expected, "{namespace}/{sensor}");
        }
        let trigger = TriggerName::new(&ObjectName::new("ci", "deploy"), "submit");
        assert_eq!(Routes::default().target_of(&trigger), None);
    }
}

//! What is to fire: the short forms and the long one.

use serde_json::Value;
use tripline_config::{FieldPath, Problem};
use tripline_sensors::evaluator::Sensor;
use tripline_sensors::path::Path;

use super::spec::FiringSpec;
use crate::codes;
use std::sync::Arc;

/// What is to fire.
#[derive(Clone, Debug)]
pub enum Expected {
    /// So many firings, of whatever trigger.
    Count(usize),
    /// These, in any order, and no others.
    Firings(Vec<Firing>),
}

/// What a trigger is to do.
#[derive(Clone, Debug, Default)]
pub struct Firing {
    /// What was written.
    pub spec: FiringSpec,
    /// How often.
    pub times: usize,
    /// Values of what is created or sent.
    pub object: Vec<Part>,
}

/// A value of an object.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where, as it was written.
    pub at: String,
    /// The same; none where it is the name of a field.
    pub path: Option<Path>,
    /// What is to be there.
    pub value: Value,
}

/// Reads what stands at `at`. Names of triggers are those of `sensors`.
pub fn read(
    value: &Value,
    at: &FieldPath,
    sensors: &[Arc<Sensor>],
    problems: &mut Vec<Problem>,
) -> Expected {
    let mut reader = Reader { sensors, problems };
    match value {
        Value::Number(number) => {
            Expected::Count(number.as_u64().and_then(|n| n.try_into().ok()).unwrap_or_default())
        }
        Value::String(text) if text == "nothing" => Expected::Firings(Vec::new()),
        Value::Array(items) => {
            let firings =
                items.iter().enumerate().map(|(i, item)| reader.firing(item, &at.index(i)));
            Expected::Firings(firings.collect())
        }
        other => Expected::Firings(vec![reader.firing(other, at)]),
    }
}

struct Reader<'a> {
    sensors: &'a [Arc<Sensor>],
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn firing(&mut self, value: &Value, at: &FieldPath) -> Firing {
        let spec = match value {
            Value::String(trigger) => {
                FiringSpec { trigger: Some(trigger.clone()), ..FiringSpec::default() }
            }
            // Its shape was checked with that of the whole object.
            other => serde_json::from_value::<FiringSpec>(other.clone()).unwrap_or_default(),
        };
        self.check(&spec, value, at);
        let object = spec.object.iter().map(|(path, value)| self.part(path, value, at)).collect();
        Firing { times: spec.times.unwrap_or(1) as usize, object, spec }
    }

    fn error(&mut self, at: FieldPath, message: String, help: Option<String>) {
        let problem = Problem::error(codes::SENSOR_TEST, at, message);
        self.problems.push(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    fn check(&mut self, spec: &FiringSpec, value: &Value, at: &FieldPath) {
        let field = |name: &str| if value.is_string() { at.clone() } else { at.key(name) };
        if let Some(name) = &spec.sensor
            && !self.sensors.iter().any(|sensor| sensor.name.name == *name)
        {
            let names = self.sensors.iter().map(|sensor| sensor.name.name.as_str());
            let help = listed("under test are", names);
            self.error(field("sensor"), format!("no sensor `{name}` is under test"), Some(help));
            return;
        }
        let of = |sensor: &&Arc<Sensor>| {
            spec.sensor.as_ref().is_none_or(|name| sensor.name.name == *name)
        };
        let triggers = || self.sensors.iter().filter(of).flat_map(|sensor| &sensor.triggers);
        if let Some(name) = &spec.trigger
            && !triggers().any(|trigger| trigger.name.trigger == *name)
        {
            let names = triggers().map(|trigger| trigger.name.trigger.as_str());
            let help = listed("there are", names);
            self.error(field("trigger"), format!("there is no trigger `{name}`"), Some(help));
        }
        let never = spec.times == Some(0);
        if spec.because.is_some() && !never {
            let message = "`because` says why something does not fire".to_owned();
            self.error(field("because"), message, Some("add `times: 0`".to_owned()));
        }
        let about_it = [
            ("parameters", !spec.parameters.is_empty()),
            ("object", !spec.object.is_empty()),
            ("target", spec.target.is_some()),
            ("correlation", spec.correlation.is_some()),
            ("deadLetter", spec.dead_letter.is_some()),
        ];
        for (name, _) in about_it.into_iter().filter(|(_, given)| never && *given) {
            let message = format!("what never fires has no `{name}`");
            self.error(field(name), message, None);
        }
    }

    fn part(&mut self, text: &str, value: &Value, at: &FieldPath) -> Part {
        let is_path = text.contains(['.', '#', '|', '@', '*', '?']);
        let path = is_path.then(|| Path::compile(text));
        let path = match path.transpose() {
            Ok(path) => path,
            Err(error) => {
                self.error(at.key("object").key(text), error.to_string(), None);
                None
            }
        };
        Part { at: text.to_owned(), path, value: value.clone() }
    }
}

/// `there are a, b`.
pub fn listed<'n>(what: &str, names: impl Iterator<Item = &'n str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { format!("{what} none") } else { format!("{what} {}", names.join(", ")) }
}

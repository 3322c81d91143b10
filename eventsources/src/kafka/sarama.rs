//! `config`: the settings of Argo Events' client, as this one has them.

use serde_json::Value;
use tripline_config::{FieldPath, Problem, parse_value};
use tripline_schedules::duration;

use crate::codes;

/// What a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Text,
    /// A number of bytes, at least 1.
    Bytes,
    /// 0: uncommitted messages too, 1: committed ones only.
    Isolation,
    /// `10s`, as Go writes durations.
    Milliseconds,
    Bool,
}

/// The path of a setting in lower case, the client's property, and what it holds.
const SETTINGS: &[(&str, &str, Holds)] = &[
    ("clientid", "client.id", Holds::Text),
    ("rackid", "client.rack", Holds::Text),
    ("consumer.fetch.min", "fetch.min.bytes", Holds::Bytes),
    ("consumer.fetch.default", "max.partition.fetch.bytes", Holds::Bytes),
    ("consumer.fetch.max", "fetch.max.bytes", Holds::Bytes),
    ("consumer.maxwaittime", "fetch.wait.max.ms", Holds::Milliseconds),
    ("consumer.isolationlevel", "isolation.level", Holds::Isolation),
    ("consumer.group.instanceid", "group.instance.id", Holds::Text),
    ("consumer.group.session.timeout", "session.timeout.ms", Holds::Milliseconds),
    ("consumer.group.heartbeat.interval", "heartbeat.interval.ms", Holds::Milliseconds),
    ("metadata.allowautotopiccreation", "allow.auto.create.topics", Holds::Bool),
    ("net.dialtimeout", "socket.connection.setup.timeout.ms", Holds::Milliseconds),
];

/// The client's properties that the text at `at` sets. What this client does not have is a
/// warning: it changes how messages are fetched, never which.
pub fn properties(
    text: &str,
    at: &FieldPath,
    found: &mut Vec<Problem>,
) -> Vec<(&'static str, String)> {
    let error = |message: String| Problem::error(codes::KAFKA_CONFIG, at.clone(), message);
    let mut properties = Vec::new();
    match parse_value(text) {
        Ok(Value::Null) => {}
        Ok(settings @ Value::Object(_)) => {
            let mut leaves = Vec::new();
            flatten("", &settings, &mut leaves);
            for (path, value) in leaves {
                let known = SETTINGS.iter().find(|(known, ..)| *known == path.to_lowercase());
                match known.map(|(_, property, holds)| (property, holds.read(value))) {
                    Some((property, Ok(value))) => properties.push((*property, value)),
                    Some((_, Err(expected))) => {
                        found.push(error(format!("`{path}` is {value}, expected {expected}")));
                    }
                    None => {
                        let message = format!("`{path}` of `config` has no effect");
                        let problem = Problem::warning(codes::KAFKA_CONFIG, at.clone(), message);
                        found.push(problem.help("remove it: docs/kafka.md has the list"));
                    }
                }
            }
        }
        Ok(_) => found.push(error("config is no mapping".to_owned())),
        Err(why) => found.push(error(format!("config cannot be read: line {why}"))),
    }
    properties
}

fn flatten<'v>(path: &str, value: &'v Value, leaves: &mut Vec<(String, &'v Value)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, leaves);
            }
        }
        _ => leaves.push((path.to_owned(), value)),
    }
}

impl Holds {
    fn read(self, value: &Value) -> Result<String, &'static str> {
        match self {
            Self::Text => {
                let text = value.as_str().filter(|text| !text.is_empty() && !text.contains('\0'));
                text.map(str::to_owned).ok_or("a text")
            }
            Self::Bytes => {
                let bytes = value.as_i64().filter(|bytes| (1..=100_000_000).contains(bytes));
                bytes.map(|bytes| bytes.to_string()).ok_or("a number of bytes, 1 to 100000000")
            }
            Self::Isolation => match value.as_i64() {
                Some(0) => Ok("read_uncommitted".to_owned()),
                Some(1) => Ok("read_committed".to_owned()),
                _ => Err("0 (uncommitted messages too) or 1"),
            },
            Self::Milliseconds => {
                let duration = value.as_str().and_then(|text| duration::parse_go(text).ok());
                let milliseconds = duration.map(|duration| duration.as_millis());
                let milliseconds = milliseconds.filter(|value| (1..=300_000).contains(value));
                let expected = "a duration from 1ms to 5m, such as \"10s\"";
                milliseconds.map(|value| value.to_string()).ok_or(expected)
            }
            Self::Bool => value.as_bool().map(|value| value.to_string()).ok_or("true or false"),
        }
    }
}

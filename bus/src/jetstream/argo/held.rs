//! What half-met conditions of Argo Events hold: the key-value bucket of a sensor.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use tripline_event::{Event, Timestamp};

use super::message::event;
use super::{ArgoError, Undecodable};
use crate::jetstream::api::{Api, code};

/// What the bucket of a sensor has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// `Triggers`: the names of the sensor's triggers when it started last.
    pub triggers: Vec<String>,
    /// `Deps`: the sensor's dependencies when it started last, each with Argo Events' hash of
    /// its definition.
    pub dependencies: BTreeMap<String, u64>,
    /// `TRIGGER/Expression`: the text of `conditions` of each trigger; empty where it had none.
    pub expressions: BTreeMap<String, String>,
    /// `TRIGGER/DEPENDENCY`: the event that is held for it.
    pub events: Vec<HeldEvent>,
}

/// An event that waits for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldEvent {
    /// The trigger.
    pub trigger: String,
    /// The dependency that it satisfied.
    pub dependency: String,
    /// The sequence of its message in the stream.
    pub stream_sequence: u64,
    /// The sequence of its delivery to the consumer of the trigger.
    pub consumer_sequence: u64,
    /// When the server stored its message.
    pub time: Timestamp,
    /// The event; after the transform of the dependency, where it has one.
    pub event: Event,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire<'a> {
    stream_seq: u64,
    consumer_seq: u64,
    timestamp: Timestamp,
    #[serde(borrow)]
    event: &'a RawValue,
}

/// A value of the bucket.
struct Entry {
    sequence: u64,
    subject: String,
    value: Vec<u8>,
}

impl Entry {
    fn wrong(&self, stream: &str, reason: String) -> Undecodable {
        let (sequence, subject) = (self.sequence, self.subject.clone());
        Undecodable { stream: stream.to_owned(), sequence, subject, reason }
    }

    fn json<T: DeserializeOwned>(&self, stream: &str) -> Result<T, Undecodable> {
        serde_json::from_slice(&self.value).map_err(|error| self.wrong(stream, error.to_string()))
    }
}

/// What the bucket of `sensor` has. No consumer is made: the keys are the stream's subjects.
pub(super) async fn read(
    api: &Api,
    namespace: &str,
    sensor: &str,
) -> Result<Option<Held>, ArgoError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if sensor.is_empty() || !sensor.bytes().all(allowed) {
        // There can be no bucket of this name.
        return Ok(None);
    }
    let (stream, prefix) = (format!("KV_{sensor}"), format!("$KV.{sensor}."));
    let subjects = match api.subjects(&stream, &format!("{prefix}>")).await {
        Err(error) if error.is(code::STREAM_NOT_FOUND) => return Ok(None),
        other => other?,
    };
    let mut entries = BTreeMap::new();
    for subject in subjects {
        let found = api.leader_get(&stream, &json!({"last_by_subj": subject})).await?;
        let Some(found) = found else { continue };
        let key = subject.strip_prefix(&prefix).unwrap_or(&subject).to_owned();
        let (sequence, value) = (found.message.sequence, found.message.payload.to_vec());
        entries.insert(key, Entry { sequence, subject, value });
    }
    Ok(Some(held(&stream, namespace, &entries)?))
}

/// What these entries say. One that was removed is empty.
fn held(
    stream: &str,
    namespace: &str,
    entries: &BTreeMap<String, Entry>,
) -> Result<Held, Undecodable> {
    let mut held = Held::default();
    let there = |key: &str| entries.get(key).filter(|entry| !entry.value.is_empty());
    if let Some(entry) = there("Triggers") {
        held.triggers = entry.json::<Option<Vec<String>>>(stream)?.unwrap_or_default();
    }
    if let Some(entry) = there("Deps") {
        held.dependencies =
            entry.json::<Option<BTreeMap<String, u64>>>(stream)?.unwrap_or_default();
    }
    for (key, entry) in entries {
        let Some((trigger, rest)) = parts(key, &held.triggers) else { continue };
        if rest == "Expression" {
            if held.triggers.iter().any(|one| one == trigger) {
                let text = std::str::from_utf8(&entry.value);
                let text = text.map_err(|error| entry.wrong(stream, error.to_string()))?;
                held.expressions.insert(trigger.to_owned(), text.to_owned());
            }
            continue;
        }
        if entry.value.is_empty() {
            continue;
        }
        let wire: Wire<'_> = serde_json::from_slice(&entry.value)
            .map_err(|error| entry.wrong(stream, format!("it is no held event: {error}")))?;
        let event = event(namespace, wire.timestamp, wire.event.get().as_bytes())
            .map_err(|reason| entry.wrong(stream, reason))?;
        held.events.push(HeldEvent {
            trigger: trigger.to_owned(),
            dependency: rest.to_owned(),
            stream_sequence: wire.stream_seq,
            consumer_sequence: wire.consumer_seq,
            time: wire.timestamp,
            event,
        });
    }
    Ok(held)
}

/// Trigger and the rest of a key. A trigger that is known may have a `/` in its name.
fn parts<'k>(key: &'k str, triggers: &[String]) -> Option<(&'k str, &'k str)> {
    let known = triggers.iter().filter_map(|trigger| {
        let rest = key.strip_prefix(trigger.as_str())?.strip_prefix('/')?;
        Some((&key[..trigger.len()], rest))
    });
    known.max_by_key(|(trigger, _)| trigger.len()).or_else(|| key.split_once('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"StreamSeq":12,"ConsumerSeq":3,"Timestamp":"2026-11-21T10:00:01.5Z","Event":{"specversion":"1.0","id":"6f2a","source":"builds","type":"webhook","subject":"completed","datacontenttype":"application/json","time":"2026-11-21T10:00:00Z","data":{"a": 1}}}"#;

    fn of(entries: &[(&str, &str)]) -> Result<Held, Undecodable> {
        let entry = |(at, (key, value)): (usize, &(&str, &str))| {
            let subject = format!("$KV.s.{key}");
            let entry =
                Entry { sequence: at as u64 + 1, subject, value: value.as_bytes().to_vec() };
            ((*key).to_owned(), entry)
        };
        held("KV_s", "ci", &entries.iter().enumerate().map(entry).collect())
    }

    #[test]
    fn a_bucket_is_read() {
        let held = of(&[
            ("Triggers", r#"["deploy","a/b"]"#),
            ("Deps", r#"{"build":17446744073709551615,"approval":2}"#),
            ("deploy/Expression", "build && approval"),
            ("a/b/Expression", ""),
            ("gone/Expression", ""),
            ("deploy/build", EVENT),
            ("deploy/approval", ""),
            ("a/b/build", EVENT),
        ])
        .unwrap();
        assert_eq!(held.triggers, ["deploy", "a/b"]);
        assert_eq!(held.dependencies["build"], 17_446_744_073_709_551_615);
        let expressions = [("a/b", ""), ("deploy", "build && approval")];
        let expressions = expressions.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(held.expressions, BTreeMap::from(expressions));
        let events: Vec<_> =
            held.events.iter().map(|of| (of.trigger.as_str(), of.dependency.as_str())).collect();
        assert_eq!(events, [("a/b", "build"), ("deploy", "build")]);
        let one = &held.events[1];
        assert_eq!((one.stream_sequence, one.consumer_sequence), (12, 3));
        assert_eq!(one.time, "2026-11-21T10:00:01.5Z".parse().unwrap());
        assert_eq!(one.event.key.to_string(), "ci/builds/completed");
        assert_eq!(one.event.data_text(), Some(r#"{"a": 1}"#));
    }

    #[test]
    fn a_bucket_that_says_nothing_holds_nothing() {
        assert_eq!(of(&[]), Ok(Held::default()));
        assert_eq!(
            of(&[("Triggers", "null"), ("Deps", "null"), ("other", "x")]),
            Ok(Held::default())
        );
    }

    #[test]
    fn an_entry_that_cannot_be_read_says_where_it_is() {
        for (key, value, reason) in [
            ("Triggers", "{}", "invalid type"),
            ("Deps", r#"{"a":-1}"#, "invalid value"),
            ("t/d", "x", "it is no held event"),
            ("t/d", "{}", "it is no held event"),
            (
                "t/d",
                r#"{"StreamSeq":1,"ConsumerSeq":1,"Timestamp":"2026-11-21T10:00:01Z","Event":null}"#,
                "it is no CloudEvent",
            ),
        ] {
            let text = of(&[(key, value)]).unwrap_err().to_string();
            let place = format!("message 1 of stream `KV_s` ($KV.s.{key}) cannot be read: ");
            assert!(text.starts_with(&place) && text.contains(reason), "{text}");
        }
    }
}

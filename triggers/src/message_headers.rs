//! What a message tells its receiver of the action that sent it: headers, or attributes,
//! the same for all kinds of triggers.
//!
//! The chain: `x-correlation-id`, `x-causation-id`, `x-tripline-hops`, `x-tripline-path` and
//! `traceparent`. A Tripline that receives them goes on with the chain. Values are printable
//! ASCII, percent-encoded, in every system, so that what one system delivers another can
//! carry on.
//!
//! The message itself, where the system has a binding for CloudEvents in binary mode:
//! `id`, `source`, `type`, `specversion`, `time`, `subject` and the extension
//! `correlationid`, with the prefix of that binding, and the content type. The payload is the
//! event's data, unchanged.

use tripline_event::event::JSON;
use tripline_event::{Action, CorrelationId};

/// The CloudEvents type of what a trigger sends.
pub const EVENT_TYPE: &str = "dev.tripline.action";

/// How a messaging system takes headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderRules {
    /// What the names of CloudEvents attributes begin with; none: the system has no binding.
    pub cloud_events: Option<&'static str>,
    /// The most bytes of a value.
    pub value_bytes: usize,
}

impl HeaderRules {
    /// Kafka: the CloudEvents binding has the prefix `ce_`.
    pub const KAFKA: Self = Self { cloud_events: Some("ce_"), value_bytes: 8 * 1024 };
    /// NATS: the CloudEvents binding has the prefix `ce-`.
    pub const NATS: Self = Self { cloud_events: Some("ce-"), value_bytes: 8 * 1024 };
    /// Pub/Sub: Google's binding has the prefix `ce-`; values have 1,024 bytes at most.
    pub const PUBSUB: Self = Self { cloud_events: Some("ce-"), value_bytes: 1024 };
    /// SQS and SNS: no binding; a message has ten attributes at most, and the sensor may want
    /// some for itself. Values count as a part of the message.
    pub const SQS_SNS: Self = Self { cloud_events: None, value_bytes: 8 * 1024 };
}

/// The headers of the message that `action` sends, by these rules. None is empty; names are
/// in lower case and differ. What the sensor configures takes precedence: a header of its own
/// replaces one of these.
pub fn headers(action: &Action, rules: HeaderRules) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> =
        chain(action, rules.value_bytes).map(|(name, value)| (name.to_owned(), value)).collect();
    if let Some(prefix) = rules.cloud_events {
        let attributes = cloud_event(action).into_iter();
        let own = attributes.map(|(name, value)| (format!("{prefix}{name}"), value));
        headers.extend(own.chain([("content-type".to_owned(), JSON.to_owned())]));
    }
    headers.retain(|(_, value)| !value.is_empty());
    for (_, value) in &mut headers {
        cut(value, rules.value_bytes);
    }
    headers
}

/// What tells of the chain, `value_bytes` of each value at most.
pub(crate) fn chain(
    action: &Action,
    value_bytes: usize,
) -> impl Iterator<Item = (&'static str, String)> {
    let traceparent = action.links.traceparent.as_ref();
    let own = [
        ("x-correlation-id", Some(action.links.root().header_value())),
        ("x-causation-id", Some(action.id.as_str().to_owned())),
        ("x-tripline-hops", Some(action.links.hops.to_string())),
        ("x-tripline-path", Some(path(action, value_bytes))),
        ("traceparent", traceparent.filter(|text| is_visible(text)).cloned()),
    ];
    own.into_iter().filter_map(|(name, value)| Some((name, value?)))
}

/// The triggers that led here, this one the last: names with commas between them, as many of
/// the latest as there is room for. Kubernetes has no commas in names; one from elsewhere is
/// no name of a path.
fn path(action: &Action, value_bytes: usize) -> String {
    let mut text = String::new();
    for name in action.links.path_through(&action.trigger).iter().rev() {
        let name = encoded(name).replace(',', "%2C");
        if text.is_empty() {
            text = name;
        } else if text.len() + 1 + name.len() <= value_bytes {
            text.insert(0, ',');
            text.insert_str(0, &name);
        } else {
            break;
        }
    }
    text
}

/// The attributes of the message as a CloudEvent, `id` first.
fn cloud_event(action: &Action) -> [(&'static str, String); 7] {
    let trigger = &action.trigger;
    // Of several events, the one that completed the condition.
    let fired = action.events.iter().find(|event| event.position == action.cause);
    let fired = fired.or(action.events.first()).map(|event| &event.key);
    [
        ("id", action.id.as_str().to_owned()),
        ("source", format!("/sensors/{}", encoded(&trigger.to_string()))),
        ("type", EVENT_TYPE.to_owned()),
        ("specversion", "1.0".to_owned()),
        ("time", action.decided_at.to_string()),
        ("subject", fired.map_or_else(String::new, |key| encoded(&key.to_string()))),
        ("correlationid", action.links.root().header_value()),
    ]
}

fn encoded(text: &str) -> String {
    CorrelationId(text.to_owned()).header_value()
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|c| (0x21..0x7f).contains(&c))
}

/// At most so many bytes, and no half of an encoded byte.
fn cut(value: &mut String, bytes: usize) {
    if value.len() <= bytes {
        return;
    }
    let mut end = value.floor_char_boundary(bytes);
    let last = &value.as_bytes()[end.saturating_sub(2)..end];
    if let Some(at) = last.iter().position(|c| *c == b'%') {
        end -= last.len() - at;
    }
    value.truncate(end);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tripline_event::event::Links;
    use tripline_event::{
        ActionEvent, ActionId, EventId, EventKey, ObjectName, Position, TriggerName,
    };

    use super::*;
    use crate::messages_testing::{self, TRACE};

    fn action(correlation: &str) -> Action {
        let trigger = TriggerName::new(&ObjectName::new("ci", "deploy"), "send it");
        let event = |name: &str, sequence| ActionEvent {
            dependency: name.to_owned(),
            key: EventKey::new("ci", "builds", name),
            id: EventId("e-1".into()),
            position: Position::new(1, sequence),
            correlation: CorrelationId(correlation.into()),
        };
        let correlation = CorrelationId(correlation.into());
        let links = Links {
            hops: 2,
            path: vec!["ci/build,all/run".into()],
            traceparent: Some(TRACE.into()),
            ..Links::first(correlation)
        };
        Action {
            id: ActionId::new(&trigger, [], 0),
            trigger,
            events: vec![event("approved", 1), event("completed", 7)],
            cause: Position::new(1, 7),
            links,
            ..messages_testing::action()
        }
    }

    fn found(action: &Action, rules: HeaderRules) -> BTreeMap<String, String> {
        let headers = headers(action, rules);
        let count = headers.len();
        let found: BTreeMap<_, _> = headers.into_iter().collect();
        assert_eq!(found.len(), count, "names differ");
        found
    }

    #[test]
    fn a_message_tells_of_its_chain_and_is_a_cloud_event() {
        let action = action("build 4711\r\nx: y");
        let id = action.id.as_str();
        let chain = [
            ("x-correlation-id", "build%204711%0D%0Ax:%20y"),
            ("x-causation-id", id),
            ("x-tripline-hops", "2"),
            ("x-tripline-path", "ci/build%2Call/run,ci/deploy/send%20it"),
            ("traceparent", TRACE),
        ];
        let attributes = [
            ("id", id),
            ("source", "/sensors/ci/deploy/send%20it"),
            ("type", "dev.tripline.action"),
            ("specversion", "1.0"),
            ("time", "2026-11-21T03:00:00Z"),
            ("subject", "ci/builds/completed"),
            ("correlationid", "build%204711%0D%0Ax:%20y"),
        ];
        for (rules, prefix) in [
            (HeaderRules::KAFKA, Some("ce_")),
            (HeaderRules::NATS, Some("ce-")),
            (HeaderRules::PUBSUB, Some("ce-")),
            (HeaderRules::SQS_SNS, None),
        ] {
            let mut expected: BTreeMap<String, String> =
                chain.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            if let Some(prefix) = prefix {
                let own = attributes.iter();
                expected
                    .extend(own.map(|(name, value)| (format!("{prefix}{name}"), (*value).into())));
                expected.insert("content-type".into(), "application/json".into());
            }
            assert_eq!(found(&action, rules), expected, "{rules:?}");
        }
    }

    #[test]
    fn what_is_empty_or_hostile_is_left_out() {
        let mut action = action("");
        action.links.traceparent = Some("00-x\r\ny: z".into());
        action.events.clear();
        let found = found(&action, HeaderRules::NATS);
        for name in ["x-correlation-id", "ce-correlationid", "traceparent", "ce-subject"] {
            assert!(!found.contains_key(name), "{name}");
        }
    }

    #[test]
    fn no_value_is_longer_than_the_system_takes_and_the_latest_of_a_path_stays() {
        let mut action = action(&"é".repeat(1000));
        action.links.path = (0..32).map(|n| format!("ci/{}-{n}/t", "x".repeat(50))).collect();
        let found = found(&action, HeaderRules::PUBSUB);
        assert!(found.values().all(|value| value.len() <= 1024));
        let correlation = &found["x-correlation-id"];
        assert_eq!(correlation.len(), 1023, "no half of an encoded byte: {correlation}");
        assert!(found["x-tripline-path"].ends_with("-31/t,ci/deploy/send%20it"));
        assert!(found["x-tripline-path"].starts_with("ci/x"));
    }
}

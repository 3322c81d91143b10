//! The name that Argo Events gives a subscription where the configuration gives none: a team
//! that moves over keeps its subscription, and with it the messages that wait there.

use std::collections::BTreeMap;

use serde::Serialize;

use super::config::PubSubConfig;

/// `<event name>-<hash>`: FNV-1a, of 32 bits in decimal, over the event's name and its
/// configuration as Go marshals it. `project` is the subscription's.
pub fn subscription_id(event: &str, config: &PubSubConfig, project: &str) -> String {
    let hash = fnv1a(event.bytes().chain(marshalled(config, project).bytes()));
    format!("{event}-{hash}")
}

/// The configuration in the order of the fields of Argo's type, with what is empty left out
/// where its tags say so.
fn marshalled(config: &PubSubConfig, project: &str) -> String {
    let topic = config.topic.as_deref().unwrap_or_default();
    let topic_project = config.topic_project_id.as_deref().filter(|text| !text.is_empty());
    let fields = Fields {
        project_id: project,
        topic_project_id: match topic_project {
            None if !topic.is_empty() => project,
            given => given.unwrap_or_default(),
        },
        topic,
        subscription_id: "",
        credential_secret: config.credential_secret.as_ref().map(|secret| Selector {
            name: (!secret.name.is_empty()).then_some(&secret.name),
            key: &secret.key,
            optional: secret.optional,
        }),
        delete_subscription_on_finish: config.delete_subscription_on_finish == Some(true),
        json_body: config.json_body == Some(true),
        metadata: config.metadata.as_ref().filter(|metadata| !metadata.is_empty()),
        filter: config.filter.as_ref().map(|filter| Filter {
            expression: filter.expression.as_deref().filter(|text| !text.is_empty()),
        }),
    };
    let text = serde_json::to_string(&fields).unwrap_or_default();
    escaped(&text)
}

/// Go's marshalling also escapes what could end a script in HTML, and two line separators.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out
}

fn fnv1a(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[derive(Serialize)]
struct Fields<'a> {
    #[serde(rename = "projectID")]
    project_id: &'a str,
    #[serde(rename = "topicProjectID")]
    topic_project_id: &'a str,
    topic: &'a str,
    #[serde(rename = "subscriptionID")]
    subscription_id: &'a str,
    #[serde(rename = "credentialSecret", skip_serializing_if = "Option::is_none")]
    credential_secret: Option<Selector<'a>>,
    #[serde(rename = "deleteSubscriptionOnFinish", skip_serializing_if = "is_false")]
    delete_subscription_on_finish: bool,
    #[serde(rename = "jsonBody", skip_serializing_if = "is_false")]
    json_body: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Filter<'a>>,
}

#[derive(Serialize)]
struct Selector<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a String>,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    optional: Option<bool>,
}

#[derive(Serialize)]
struct Filter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<&'a str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(value: Value) -> PubSubConfig {
        serde_json::from_value(value).unwrap()
    }

    /// The texts are those of Go's `json.Marshal` for the same values.
    #[test]
    fn the_configuration_is_marshalled_as_go_does() {
        for (given, expected) in [
            (
                json!({"topic": "t"}),
                r#"{"projectID":"p","topicProjectID":"p","topic":"t","subscriptionID":""}"#,
            ),
            (
                json!({"topic": "t", "topicProjectID": "q", "jsonBody": false,
                    "credentialSecret": {"key": "k.json", "name": "gcp"},
                    "deleteSubscriptionOnFinish": true, "metadata": {"b": "<2>", "a": "1&"}}),
                r#"{"projectID":"p","topicProjectID":"q","topic":"t","subscriptionID":"","credentialSecret":{"name":"gcp","key":"k.json"},"deleteSubscriptionOnFinish":true,"metadata":{"a":"1\u0026","b":"\u003c2\u003e"}}"#,
            ),
        ] {
            assert_eq!(marshalled(&config(given), "p"), expected);
        }
    }

    /// The published test vectors of FNV-1a, 32 bits.
    #[test]
    fn the_hash_is_fnv_1a() {
        for (text, hash) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968_u32)] {
            assert_eq!(fnv1a(text.bytes()), hash, "{text}");
        }
        let id = subscription_id("e", &config(json!({"topic": "t"})), "p");
        assert_eq!(id.strip_prefix("e-").unwrap().parse::<u32>().unwrap().to_string(), id[2..]);
    }
}

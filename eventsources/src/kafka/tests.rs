//! Against a real broker, with the client itself as the producer.

mod broker;
mod delivery;
mod failure;
mod groups;

use serde_json::{Value, json};
use tripline_config::{Dialect, Severity};
use tripline_event::ObjectName;

use crate::{codes, events_in};

/// Which problems a configuration has: severity, code and field.
fn problems(config: &Value) -> Vec<String> {
    let spec = json!({"kafka": {"e": config}});
    let name = ObjectName::new("ci", "builds");
    let (events, problems) = events_in(Dialect::Argo, &name, &spec);
    let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(events.is_empty(), wrong, "{config}");
    let shown = problems.iter().map(|problem| {
        let path = problem.path.to_string();
        let field = path.strip_prefix("spec.kafka.e").unwrap_or(&path);
        let severity = if problem.severity == Severity::Error { "E" } else { "W" };
        format!("{severity} {} {field}", problem.code)
    });
    shown.collect()
}

fn with(fields: Value) -> Value {
    let mut config =
        json!({"url": "kafka:9092", "topic": "builds", "consumerGroup": {"groupName": "g"}});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    config
}

#[test]
fn what_argo_events_takes_is_taken() {
    let secret = json!({"name": "kafka", "key": "k"});
    for config in [
        with(json!({})),
        with(json!({"url": "a:9092, b:9093,c", "version": "2.8.0", "jsonBody": true})),
        with(json!({"consumerGroup": null, "partition": "3"})),
        with(
            json!({"consumerGroup": {"groupName": "g", "oldest": true, "rebalanceStrategy": "sticky"}}),
        ),
        with(json!({"partition": "", "limitEventsPerSecond": 0, "metadata": {"a": "b"}})),
        with(json!({"sasl": {"userSecret": secret, "passwordSecret": secret}})),
        with(
            json!({"connectionBackoff": {"duration": "100ms", "factor": "2", "jitter": 0.2, "steps": 5}}),
        ),
        with(json!({"connectionBackoff": {"duration": 1_000_000_000, "factor": 1.5}})),
        with(
            json!({"config": "consumer:\n  fetch: {min: 1}\n  isolationLevel: 0\nclientID: argo\n"}),
        ),
        with(json!({"config": ""})),
    ] {
        assert_eq!(problems(&config), Vec::<String>::new(), "{config}");
    }
}

#[test]
fn what_is_wrong_is_an_error_at_its_field() {
    let secret = json!({"name": "kafka", "key": "k"});
    let scram =
        json!({"mechanism": "SCRAM-SHA-512", "userSecret": secret, "passwordSecret": secret});
    for (fields, severity, code, field) in [
        (json!({"url": ""}), "E", codes::KAFKA_TOPIC, ".url"),
        (json!({"url": "kafka:9092/x"}), "E", codes::KAFKA_TOPIC, ".url"),
        (json!({"url": "PLAINTEXT://kafka:9092"}), "E", codes::KAFKA_TOPIC, ".url"),
        (json!({"topic": "builds of today"}), "E", codes::KAFKA_TOPIC, ".topic"),
        (json!({"consumerGroup": null}), "E", codes::KAFKA_TOPIC, ""),
        (json!({"consumerGroup": null, "partition": "-1"}), "E", codes::KAFKA_TOPIC, ".partition"),
        (
            json!({"consumerGroup": {"groupName": ""}}),
            "E",
            codes::KAFKA_TOPIC,
            ".consumerGroup.groupName",
        ),
        (
            json!({"consumerGroup": {"groupName": "g", "rebalanceStrategy": "fair"}}),
            "E",
            codes::KAFKA_TOPIC,
            ".consumerGroup.rebalanceStrategy",
        ),
        (json!({"version": "latest"}), "E", codes::KAFKA_CONFIG, ".version"),
        (
            json!({"limitEventsPerSecond": 1_i64 << 40}),
            "E",
            codes::KAFKA_CONFIG,
            ".limitEventsPerSecond",
        ),
        (
            json!({"connectionBackoff": {"duration": "soon"}}),
            "E",
            codes::KAFKA_CONFIG,
            ".connectionBackoff.duration",
        ),
        (
            json!({"connectionBackoff": {"factor": 0}}),
            "E",
            codes::KAFKA_CONFIG,
            ".connectionBackoff.factor",
        ),
        (json!({"config": "- a"}), "E", codes::KAFKA_CONFIG, ".config"),
        (json!({"config": "a: ["}), "E", codes::KAFKA_CONFIG, ".config"),
        (json!({"config": "consumer: {isolationLevel: 7}"}), "E", codes::KAFKA_CONFIG, ".config"),
        (json!({"config": "channelBufferSize: 7"}), "W", codes::KAFKA_CONFIG, ".config"),
        (json!({"sasl": {"userSecret": secret}}), "E", codes::KAFKA_AUTH, ".sasl"),
        (
            json!({"sasl": {"mechanism": "GSSAPI", "userSecret": secret, "passwordSecret": secret}}),
            "E",
            codes::KAFKA_AUTH,
            ".sasl.mechanism",
        ),
        (
            json!({"schemaRegistry": {"url": "http://a"}}),
            "E",
            codes::KAFKA_NOT_SUPPORTED,
            ".schemaRegistry",
        ),
        (
            json!({"awsMskIamAuth": {"region": "x"}}),
            "E",
            codes::KAFKA_NOT_SUPPORTED,
            ".awsMskIamAuth",
        ),
    ] {
        let config = with(fields);
        assert_eq!(problems(&config), [format!("{severity} {code} {field}")], "{config}");
    }
    let (tls, scram) = (with(json!({"tls": {"enabled": true}})), with(json!({"sasl": scram})));
    if cfg!(feature = "kafka-tls") {
        assert_eq!((problems(&tls), problems(&scram)), (Vec::new(), Vec::new()));
        let tls = with(json!({"tls": {"clientCertSecret": secret}}));
        assert_eq!(problems(&tls), [format!("E {} .tls", codes::KAFKA_AUTH)]);
    } else {
        assert_eq!(problems(&tls), [format!("E {} .tls", codes::KIND_LEFT_OUT)]);
        assert_eq!(problems(&scram), [format!("E {} .sasl.mechanism", codes::KIND_LEFT_OUT)]);
    }
}

#[test]
fn settings_of_argo_events_client_are_those_of_this_one() {
    let text = "clientID: a\nConsumer:\n  Fetch: {Min: 2, default: 3, max: 4}\n  group:\n    session: {timeout: 20s}\n";
    let mut found = Vec::new();
    let at = tripline_config::FieldPath::root();
    let mut properties = super::sarama::properties(text, &at, &mut found);
    properties.sort_unstable();
    let expected = [
        ("client.id", "a"),
        ("fetch.max.bytes", "4"),
        ("fetch.min.bytes", "2"),
        ("max.partition.fetch.bytes", "3"),
        ("session.timeout.ms", "20000"),
    ];
    assert_eq!(properties, expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(found, []);
}

#[test]
fn brokers_on_this_machine_are_nobody_else_s() {
    let is_real = |url: &str| {
        let spec = json!({"kafka": {"e": with(json!({"url": url}))}});
        crate::testing::definitions(&[("builds", spec)])[0].has_real_upstream()
    };
    for (url, expected) in [
        ("kafka:9092", true),
        ("localhost:9092,kafka:9092", true),
        ("localhost:9092", false),
        ("127.0.0.1:1,[::1]:2", false),
        ("localhost.example:9092", true),
    ] {
        assert_eq!(is_real(url), expected, "{url}");
    }
}

//! Against moto and ElasticMQ, with Amazon's own client as the producer.

mod delivery;
mod failure;
mod order;
mod server;
mod unwrap;

use serde_json::{Value, json};
use tripline_config::{Dialect, Severity};
use tripline_event::ObjectName;

use crate::{codes, events_in};

/// Which problems a configuration has: severity, code, the field, and the help.
fn problems(config: &Value) -> Vec<String> {
    let spec = json!({"sqs": {"e": config}});
    let name = ObjectName::new("ci", "builds");
    let (events, problems) = events_in(Dialect::Argo, &name, &spec);
    let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(events.is_empty(), wrong, "{config}");
    let shown = problems.iter().map(|problem| {
        let path = problem.path.to_string();
        let field = path.strip_prefix("spec.sqs.e").unwrap_or(&path);
        format!("{} {field}", problem.code)
    });
    shown.collect()
}

#[test]
fn what_argo_events_takes_is_taken() {
    let secret = json!({"name": "aws", "key": "k"});
    for config in [
        json!({"queue": "builds"}),
        json!({"queue": "builds.fifo", "region": "", "endpoint": "", "waitTimeSeconds": 0}),
        json!({
            "queue": "builds", "region": "eu-central-1", "queueAccountId": "123456789012",
            "waitTimeSeconds": 20, "jsonBody": true, "dlq": true, "metadata": {"a": "b"},
            "accessKey": secret, "secretKey": secret, "sessionToken": secret,
            "roleARN": "arn:aws:iam::123456789012:role/x", "endpoint": "http://localhost:4566",
        }),
        json!({"queue": "builds", "roleARN": "arn:aws-cn:iam::123456789012:role/a/b"}),
    ] {
        assert_eq!(problems(&config), Vec::<String>::new(), "{config}");
    }
}

#[test]
fn what_is_wrong_is_an_error_at_its_field() {
    let secret = json!({"name": "aws", "key": "k"});
    let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/builds";
    let with = |fields: Value| {
        let mut config = json!({"queue": "builds"});
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        config
    };
    for (config, code, field) in [
        (with(json!({"queue": url})), codes::SQS_QUEUE, ".queue"),
        (with(json!({"queue": "arn:aws:sqs:eu-central-1:1:builds"})), codes::SQS_QUEUE, ".queue"),
        (with(json!({"queue": ""})), codes::SQS_QUEUE, ".queue"),
        (with(json!({"endpoint": "localhost:4566"})), codes::SQS_ENDPOINT, ".endpoint"),
        (with(json!({"accessKey": secret})), codes::SQS_CREDENTIALS, ".accessKey"),
        (with(json!({"secretKey": secret})), codes::SQS_CREDENTIALS, ".secretKey"),
        (with(json!({"sessionToken": secret})), codes::SQS_CREDENTIALS, ".sessionToken"),
        (with(json!({"roleARN": "tripline"})), codes::SQS_CREDENTIALS, ".roleARN"),
        (with(json!({"waitTimeSeconds": 21})), codes::SQS_WAIT, ".waitTimeSeconds"),
        (with(json!({"waitTimeSeconds": -1})), codes::SQS_WAIT, ".waitTimeSeconds"),
    ] {
        assert_eq!(problems(&config), [format!("{code} {field}")], "{config}");
    }
}

#[test]
fn an_emulator_is_not_amazon_and_a_vpc_endpoint_is() {
    let is_real = |endpoint: Value| {
        let spec = json!({"sqs": {"e": {"queue": "builds", "endpoint": endpoint}}});
        crate::testing::definitions(&[("builds", spec)])[0].has_real_upstream()
    };
    for (endpoint, expected) in [
        (json!(null), true),
        (json!(""), true),
        (json!("https://vpce-0a1b.sqs.eu-central-1.vpce.amazonaws.com"), true),
        (json!("http://localhost:4566"), false),
        (json!("http://amazonaws.com.example:1"), false),
    ] {
        assert_eq!(is_real(endpoint.clone()), expected, "{endpoint}");
    }
}

//! Against moto, whose topics deliver to queues of its own.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use tripline_config::{Dialect, FieldPath};
use tripline_testbed::{AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, Moto};

use super::SnsTrigger;
use crate::kinds;
use crate::messages_testing::{TRACE, TestSecrets, rendered, said, send};

static MOTO: LazyLock<Moto> = LazyLock::new(|| Moto::start().unwrap());

/// What a program with Amazon's own client prints.
fn boto3(program: &str) -> String {
    let program = format!(
        "import boto3, json\nsns = boto3.client('sns')\nsqs = boto3.client('sqs')\n{program}"
    );
    let output = MOTO.boto3().args(["-c", &program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A topic with a queue that subscribes to it; its ARN.
fn topic(name: &str) -> String {
    let fifo = if name.ends_with(".fifo") { "True" } else { "False" };
    boto3(&format!(
        "
attributes = dict(FifoTopic='true') if {fifo} else {{}}
topic = sns.create_topic(Name='{name}', Attributes=attributes)['TopicArn']
attributes = dict(FifoQueue='true') if {fifo} else {{}}
queue = sqs.create_queue(QueueName='of-{name}', Attributes=attributes)['QueueUrl']
arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=['All'])['Attributes']['QueueArn']
sns.subscribe(TopicArn=topic, Protocol='sqs', Endpoint=arn)
print(topic)"
    ))
}

/// The envelopes that were delivered to the queue of the topic.
fn delivered(name: &str) -> Vec<Value> {
    let text = boto3(&format!(
        "
queue = sqs.get_queue_url(QueueName='of-{name}')['QueueUrl']
answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
print(json.dumps([json.loads(message['Body']) for message in answer.get('Messages', [])]))"
    ));
    serde_json::from_str(&text).unwrap()
}

fn trigger() -> SnsTrigger {
    let secrets = Arc::new(TestSecrets::default());
    secrets.set("aws/access", AWS_ACCESS_KEY_ID);
    secrets.set("aws/secret", AWS_SECRET_ACCESS_KEY);
    SnsTrigger::new(secrets.identities())
}

fn config(topic: &str, more: Value) -> Value {
    let mut config = json!({
        "topicArn": topic, "endpoint": MOTO.endpoint(),
        "accessKey": {"name": "aws", "key": "access"},
        "secretKey": {"name": "aws", "key": "secret"},
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_the_payload_the_subject_and_tells_of_its_chain() {
    let topic = topic("builds");
    let more = json!({"subject": "Done", "attributes": {"team": "platform"}});
    let action = rendered("sns", config(&topic, more), r#"{"a":1}"#);
    let result = said(send(&trigger(), &action).await);
    let envelopes = delivered("builds");
    assert_eq!(envelopes.len(), 1, "{result}");
    let envelope = &envelopes[0];
    let id = envelope["MessageId"].as_str().unwrap();
    assert!(result.contains("topic `builds`") && result.contains(id), "{result}");
    assert_eq!(envelope["Message"], r#"{"a":1}"#);
    assert_eq!(envelope["Subject"], "Done");
    for (name, value) in [
        ("team", "platform"),
        ("x-correlation-id", "build%204711"),
        ("x-causation-id", action.action.id.as_str()),
        ("traceparent", TRACE),
    ] {
        assert_eq!(envelope["MessageAttributes"][name]["Value"], value, "{envelope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_fifo_topic_a_repeated_attempt_is_one_message() {
    let topic = topic("trigger.fifo");
    let trigger = trigger();
    let action = rendered("sns", config(&topic, json!({})), "1");
    for _ in 0..2 {
        let result = said(send(&trigger, &action).await);
        assert!(result.starts_with("Message"), "{result}");
    }
    assert_eq!(delivered("trigger.fifo").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_never_work_is_refused_and_what_may_work_is_tried_again() {
    let topic = topic("errors");
    let absent = "arn:aws:sns:us-east-1:123456789012:absent";
    let trigger = trigger();
    let large = "x".repeat(300 << 10);
    let away = config(&topic, json!({"endpoint": "http://127.0.0.1:9"}));
    for (config, payload, expected) in [
        (config(absent, json!({})), "1", "notFound: topic `absent`"),
        (config(&topic, json!({})), &*large, "invalid: sns:Publish"),
        (config(&topic, json!({})), "", "render: the payload is empty"),
        (config("builds", json!({})), "1", "render: `sns`: topicArn is"),
        (away, "1", "retry None: topic `errors`"),
    ] {
        let result = said(send(&trigger, &rendered("sns", config, payload)).await);
        assert!(result.starts_with(expected), "{result}");
    }
}

#[test]
fn what_is_wrong_is_an_error_at_its_field() {
    let arn = "arn:aws:sns:eu-central-1:123456789012:builds";
    for (more, expected) in [
        (json!({}), vec![]),
        (json!({"topicArn": format!("{arn}.fifo"), "messageGroupId": "g"}), vec![]),
        (json!({"topicArn": "builds"}), vec!["TL0450 sns.topicArn"]),
        (json!({"messageGroupId": "g"}), vec!["TL0450 sns.messageGroupId"]),
        (json!({"subject": "x".repeat(101)}), vec!["TL0450 sns.subject"]),
        (json!({"roleARN": "x"}), vec!["TL0451 sns.roleARN"]),
        (json!({"payload": null}), vec!["TL0453 sns.payload"]),
    ] {
        let mut config = json!({"topicArn": arn, "payload": [{"src": {}, "dest": "a"}]});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let at = FieldPath::root().key("sns");
        let problems = kinds::check("sns", &config, &at, Dialect::Tripline);
        let found: Vec<_> = problems.iter().map(|p| format!("{} {}", p.code, p.path)).collect();
        assert_eq!(found, expected, "{config}");
    }
}

//! `unwrap`: what S3 and SNS put into the queue, by moto's S3 and SNS.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tripline_config::Dialect;
use tripline_event::ObjectName;
use tripline_testbed::{AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, Moto};

use super::server::{taken, world};
use crate::testing::World;
use crate::{codes, events_in};

static MOTO: LazyLock<Moto> = LazyLock::new(|| Moto::start().unwrap());

/// Runs a program with Amazon's own client.
fn boto3(program: &str) -> String {
    let program = format!(
        "import boto3, json\ns3, sns, sqs = [boto3.client(n) for n in ('s3', 'sns', 'sqs')]\n\
         def queue(name):\n    url = sqs.create_queue(QueueName=name)['QueueUrl']\n    \
         arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=['All'])['Attributes']['QueueArn']\n    \
         return url, arn\n{program}"
    );
    let output = MOTO.boto3().args(["-c", &program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An event source on the queue, with these fields besides.
fn source(world: &World, queue: &str, fields: Value) {
    world.secrets.set("ci/aws/access", AWS_ACCESS_KEY_ID);
    world.secrets.set("ci/aws/secret", AWS_SECRET_ACCESS_KEY);
    let mut config = json!({
        "queue": queue, "region": AWS_REGION, "endpoint": MOTO.endpoint(), "waitTimeSeconds": 1,
        "accessKey": {"name": "aws", "key": "access"},
        "secretKey": {"name": "aws", "key": "secret"},
    });
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let (definitions, problems) = events_in(
        Dialect::Tripline,
        &ObjectName::new("ci", "objects"),
        &json!({"sqs": {"stored": config}}),
    );
    assert_eq!(problems, []);
    assert_eq!(world.sources.apply(definitions), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_s3_are_events_and_its_test_event_is_none() {
    let world = world();
    boto3(
        "
url, arn = queue('objects')
s3.create_bucket(Bucket='artifacts')
wanted = dict(QueueArn=arn, Events=['s3:ObjectCreated:*'])
s3.put_bucket_notification_configuration(
    Bucket='artifacts', NotificationConfiguration=dict(QueueConfigurations=[wanted]))
s3.put_object(Bucket='artifacts', Key='a b/c(1)', Body=b'xyz')
sqs.send_message(QueueUrl=url, MessageBody='no notification')",
    );
    source(&world, "objects", json!({"unwrap": "s3", "metadata": {"team": "ci"}}));
    let data = taken(&world, 1).await.remove(0);
    for (field, expected) in [
        ("bucket", json!("artifacts")),
        ("key", json!("a b/c(1)")),
        ("event", json!("created")),
        ("size", json!(3)),
        ("metadata", json!({"team": "ci"})),
    ] {
        assert_eq!(data[field], expected, "{data}");
    }
    assert_eq!(data["body"]["eventSource"], "aws:s3", "{data}");
    let id = world.sink.ids().remove(0);
    // moto gives no sequencer: then it is the message's id, with the number of the record.
    assert!(data["sequencer"].is_null() && id.ends_with("#0"), "{id} {data}");
    let kept = {
        let mut unreadable = world.sink.unreadable.subscribe();
        unreadable.wait_for(|kept| kept.len() == 1).await.unwrap().clone()
    };
    assert_eq!(&*kept[0].bytes, b"no notification");
    assert_eq!(world.sink.reasons(), ["s3:TestEvent"]);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_sns_comes_without_its_envelope_and_is_one_event() {
    let world = world();
    let id = boto3(
        r#"
url, arn = queue('of-topic')
topic = sns.create_topic(Name='builds')['TopicArn']
sns.subscribe(TopicArn=topic, Protocol='sqs', Endpoint=arn)
attributes = {'x-correlation-id': dict(DataType='String', StringValue='build-7'),
              'raw': dict(DataType='Binary', BinaryValue=b'\x00\xff')}
id = sns.publish(TopicArn=topic, Message='{"a": 1}', Subject='s', MessageAttributes=attributes)
# Delivered twice, as SNS may: another message of the queue.
body = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)['Messages'][0]['Body']
sqs.send_message(QueueUrl=url, MessageBody=body)
sqs.send_message(QueueUrl=url, MessageBody='{"a": 1}')
print(id['MessageId'])"#,
    );
    source(&world, "of-topic", json!({"unwrap": "sns", "jsonBody": true}));
    let data = taken(&world, 1).await.remove(0);
    assert_eq!(data["body"], json!({"a": 1}));
    assert_eq!((&data["sns"]["messageId"], &data["sns"]["subject"]), (&json!(id), &json!("s")));
    let attributes = &data["messageAttributes"];
    assert_eq!(attributes["x-correlation-id"]["StringValue"], "build-7", "{attributes}");
    assert_eq!(attributes["raw"]["BinaryValue"], "AP8=", "{attributes}");
    let mut unreadable = world.sink.unreadable.subscribe();
    let kept = unreadable.wait_for(|kept| kept.len() == 1).await.unwrap().clone();
    assert!(kept[0].reason.contains("is raw message delivery on?"), "{}", kept[0].reason);
    assert_eq!(world.sink.ids(), [id]);
    let taken = world.sink.taken().remove(0);
    assert_eq!(taken.headers, [("x-correlation-id".to_owned(), "build-7".to_owned())]);
    world.shutdown().await;
}

#[test]
fn what_a_queue_does_not_hold_is_refused() {
    let name = ObjectName::new("ci", "objects");
    for (dialect, value, expected) in [
        (Dialect::Tripline, "s3", vec![]),
        (Dialect::Tripline, "sns", vec![]),
        (Dialect::Tripline, "gcs", vec![codes::UNWRAP]),
        (Dialect::Argo, "s3", vec!["TL0117"]),
    ] {
        let spec = json!({"sqs": {"e": {"queue": "q", "unwrap": value}}});
        let (_, problems) = events_in(dialect, &name, &spec);
        let found: Vec<_> = problems.iter().map(|problem| &*problem.code).collect();
        assert_eq!(found, expected, "{value}");
    }
}

//! Notifications of Amazon S3: as S3 sends them to SQS and SNS, and as EventBridge does.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::Envelope;
use super::object::ObjectEvent;

/// What S3 sends when notifications are set up.
const TEST_EVENT: &str = "s3:TestEvent";

/// What a message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notification {
    /// Objects, one at least.
    Objects(Vec<ObjectEvent>),
    /// S3 has tried out whether it can send notifications.
    Test,
}

/// The notification in `message`, which SNS may have put into an envelope.
///
/// # Errors
/// It is none, and what was found instead.
pub(crate) fn s3(message: &[u8]) -> Result<Notification, String> {
    if let Ok(envelope) = Envelope::parse(message) {
        return notification(envelope.message.as_bytes());
    }
    notification(message)
}

fn notification(json: &[u8]) -> Result<Notification, String> {
    let no = |what: &str| format!("message is no notification of S3: {what}");
    let message: Message<'_> = serde_json::from_slice(json).map_err(|e| no(&e.to_string()))?;
    if message.event.as_deref() == Some(TEST_EVENT) {
        return Ok(Notification::Test);
    }
    if let (Some("aws.s3"), Some(detail), Some(kind)) =
        (message.source.as_deref(), &message.detail, &message.detail_type)
    {
        let object = of_event_bridge(&message, detail, kind, json).map_err(|why| no(&why))?;
        return Ok(Notification::Objects(vec![object]));
    }
    let records = message.records.as_deref().unwrap_or_default();
    if records.is_empty() {
        return Err(no("it has neither `Records` nor an event of EventBridge's source `aws.s3`"));
    }
    let objects: Result<Vec<_>, String> = records.iter().map(|record| of_record(record)).collect();
    objects.map(Notification::Objects).map_err(|why| no(&why))
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default, rename = "Records")]
    records: Option<Vec<&'a RawValue>>,
    #[serde(default, rename = "Event")]
    event: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default, rename = "detail-type")]
    detail_type: Option<String>,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    detail: Option<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default)]
    event_source: Option<String>,
    event_name: String,
    #[serde(default)]
    event_time: Option<String>,
    #[serde(default)]
    aws_region: Option<String>,
    s3: Entity,
}

#[derive(Deserialize)]
struct Entity {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default, rename = "eTag", alias = "etag")]
    e_tag: Option<String>,
    #[serde(default, rename = "versionId", alias = "version-id")]
    version_id: Option<String>,
    #[serde(default)]
    sequencer: Option<String>,
}

fn of_record(raw: &RawValue) -> Result<ObjectEvent, String> {
    let record: Record = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    if let Some(source) = record.event_source.filter(|source| !source.contains("s3")) {
        return Err(format!("a record is of `{source}`"));
    }
    let Entity { bucket, object } = record.s3;
    // S3 writes it as in a form: `my+object%281%29`.
    let key = object.key.replace('+', " ");
    let key = percent_decode_str(&key).decode_utf8_lossy().into_owned();
    Ok(ObjectEvent {
        bucket: bucket.name,
        key,
        event: event_of(&record.event_name),
        reason: record.event_name,
        time: record.event_time,
        region: record.aws_region,
        size: object.size,
        e_tag: object.e_tag,
        version_id: object.version_id,
        sequencer: object.sequencer,
        record: Bytes::copy_from_slice(raw.get().as_bytes()),
        ..ObjectEvent::default()
    })
}

fn of_event_bridge(
    message: &Message<'_>,
    detail: &Detail,
    kind: &str,
    json: &[u8],
) -> Result<ObjectEvent, String> {
    // White space around it is none of the record.
    let record: &RawValue = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let object = &detail.object;
    Ok(ObjectEvent {
        bucket: detail.bucket.name.clone(),
        key: object.key.clone(),
        event: event_of(kind),
        reason: detail.reason.clone().unwrap_or_else(|| kind.to_owned()),
        time: message.time.clone(),
        region: message.region.clone(),
        size: object.size,
        e_tag: object.e_tag.clone(),
        version_id: object.version_id.clone(),
        sequencer: object.sequencer.clone(),
        record: Bytes::copy_from_slice(record.get().as_bytes()),
        ..ObjectEvent::default()
    })
}

/// By `eventName` of a record (`ObjectCreated:Put`), or `detail-type` (`Object Created`).
fn event_of(name: &str) -> &'static str {
    let name = name.strip_prefix("s3:").unwrap_or(name).replace(' ', "");
    let starts = |begin: &str| name.starts_with(begin);
    if starts("ObjectCreated") {
        "created"
    } else if starts("ObjectRemoved") || starts("ObjectDeleted") || starts("LifecycleExpiration") {
        "removed"
    } else if starts("ObjectRestore") {
        "restored"
    } else if starts("ObjectTag") || starts("ObjectAcl") || starts("ObjectACL") {
        "changed"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(key: &str, sequencer: &str) -> Value {
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-1",
            "eventTime": "2026-11-21T03:00:00.000Z", "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "artifacts"},
                "object": {"key": key, "size": 3, "eTag": "e", "sequencer": sequencer},
            },
        })
    }

    fn objects(message: &Value) -> Vec<ObjectEvent> {
        match s3(message.to_string().as_bytes()).unwrap() {
            Notification::Objects(objects) => objects,
            Notification::Test => panic!("a test event"),
        }
    }

    #[test]
    fn each_record_is_an_event_with_the_id_of_its_change() {
        let found = objects(&json!({"Records": [record("a/b+c%281%29", "01"), record("d", "02")]}));
        let ids: Vec<_> = found.iter().map(|event| event.id().unwrap().0).collect();
        assert_eq!(ids, ["artifacts/a/b c(1)#01", "artifacts/d#02"]);
        let data: Value = serde_json::from_slice(&found[0].data("}")).unwrap();
        let expected = json!({
            "bucket": "artifacts", "key": "a/b c(1)", "event": "created",
            "reason": "ObjectCreated:Put", "time": "2026-11-21T03:00:00.000Z", "size": 3,
            "eTag": "e", "sequencer": "01", "region": "eu-central-1",
            "body": record("a/b+c%281%29", "01"),
        });
        assert_eq!(data, expected);
    }

    #[test]
    fn a_notification_is_found_in_an_envelope_of_sns() {
        let inner = json!({"Records": [record("a", "01")]}).to_string();
        let envelope = json!({
            "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:x:1:t",
            "Message": inner, "Timestamp": "2026-11-21T03:00:00.000Z",
        });
        assert_eq!(objects(&envelope)[0].key, "a");
    }

    #[test]
    fn event_bridge_has_its_own_shape_and_the_same_id() {
        let message = json!({
            "version": "0", "id": "17793124", "detail-type": "Object Created", "source": "aws.s3",
            "account": "1", "time": "2026-11-21T03:00:00Z", "region": "eu-central-1",
            "detail": {
                "version": "0", "bucket": {"name": "artifacts"}, "reason": "PutObject",
                "object": {"key": "a b+c", "size": 3, "etag": "e", "version-id": "v", "sequencer": "01"},
            },
        });
        let found = objects(&message);
        assert_eq!(found[0].id().unwrap().0, "artifacts/a b+c#01");
        let ObjectEvent { event, reason, version_id, .. } = &found[0];
        assert_eq!(
            (*event, reason.as_str(), version_id.as_deref()),
            ("created", "PutObject", Some("v"))
        );
    }

    #[test]
    fn a_test_event_is_known_and_everything_else_is_no_notification() {
        let test = br#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#;
        assert_eq!(s3(test), Ok(Notification::Test));
        let other = json!({"Records": [{"eventSource": "aws:ses", "eventName": "x", "s3": {
            "bucket": {"name": "b"}, "object": {"key": "k"}}}]});
        for (message, says) in [
            ("no JSON", "expected ident"),
            ("{}", "neither `Records`"),
            (r#"{"Records":[]}"#, "neither `Records`"),
            (r#"{"Records":[{"eventName":"x"}]}"#, "missing field `s3`"),
            (&other.to_string(), "a record is of `aws:ses`"),
        ] {
            let error = s3(message.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{message}: {error}");
        }
    }

    #[test]
    fn names_of_events_have_one_meaning() {
        for (name, expected) in [
            ("ObjectCreated:CompleteMultipartUpload", "created"),
            ("s3:ObjectRemoved:DeleteMarkerCreated", "removed"),
            ("Object Deleted", "removed"),
            ("LifecycleExpiration:Delete", "removed"),
            ("ObjectRestore:Completed", "restored"),
            ("ObjectTagging:Put", "changed"),
            ("ReducedRedundancyLostObject", "other"),
        ] {
            assert_eq!(event_of(name), expected, "{name}");
        }
    }
}

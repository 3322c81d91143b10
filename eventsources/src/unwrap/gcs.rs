//! Notifications of Google Cloud Storage on Pub/Sub.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::ObjectEvent;

/// What of the object's resource is used.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    /// A number as text.
    #[serde(default)]
    size: Option<String>,
    #[serde(default)]
    etag: Option<String>,
    #[serde(default)]
    metageneration: Option<String>,
}

/// The object that a message tells of: by its attributes, and its body where the notification
/// was set up with one (`JSON_API_V1`).
///
/// # Errors
/// It is no such notification.
pub(crate) fn gcs(
    attributes: &HashMap<String, String>,
    data: &Bytes,
) -> Result<ObjectEvent, String> {
    let attribute = |name: &str| attributes.get(name).filter(|text| !text.is_empty()).cloned();
    let needed = |name: &str| {
        attribute(name).ok_or_else(|| {
            format!("message is no notification of Cloud Storage: it has no attribute `{name}`")
        })
    };
    let reason = needed("eventType")?;
    let (bucket, key) = (needed("bucketId")?, needed("objectId")?);
    let generation = Some(needed("objectGeneration")?);
    let (resource, record) = match data.is_empty() {
        true => (Resource::default(), Bytes::from_static(b"null")),
        false => {
            let no = |error: serde_json::Error| {
                format!("message is no notification of Cloud Storage: {error}")
            };
            let raw: &RawValue = serde_json::from_slice(data).map_err(no)?;
            let resource = serde_json::from_slice(data).map_err(no)?;
            (resource, data.slice_ref(raw.get().as_bytes()))
        }
    };
    Ok(ObjectEvent {
        bucket,
        key,
        event: event_of(&reason),
        reason,
        time: attribute("eventTime"),
        size: resource.size.and_then(|text| text.parse().ok()),
        e_tag: resource.etag,
        generation,
        metageneration: resource.metageneration,
        record,
        ..ObjectEvent::default()
    })
}

fn event_of(kind: &str) -> &'static str {
    match kind {
        "OBJECT_FINALIZE" => "created",
        "OBJECT_DELETE" => "removed",
        "OBJECT_ARCHIVE" => "archived",
        "OBJECT_METADATA_UPDATE" => "changed",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn attributes(kind: &str) -> HashMap<String, String> {
        let pairs = [
            ("eventType", kind),
            ("bucketId", "artifacts"),
            ("objectId", "a/b c"),
            ("objectGeneration", "1700000000000001"),
            ("payloadFormat", "JSON_API_V1"),
            ("eventTime", "2026-11-21T03:00:00.000000Z"),
        ];
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn each_change_of_a_generation_has_an_id_of_its_own() {
        let resource = json!({"size": "3", "etag": "e", "metageneration": "2", "name": "a/b c"});
        let data = Bytes::from(resource.to_string());
        let ids: Vec<String> = ["OBJECT_FINALIZE", "OBJECT_METADATA_UPDATE", "OBJECT_DELETE"]
            .iter()
            .map(|kind| gcs(&attributes(kind), &data).unwrap().id().unwrap().0)
            .collect();
        assert_eq!(ids[0], "artifacts/a/b c#1700000000000001.2:OBJECT_FINALIZE");
        assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    }

    #[test]
    fn a_notification_with_and_without_its_object() {
        let resource = json!({"size": "3", "etag": "e", "metageneration": "1"});
        let event = gcs(&attributes("OBJECT_FINALIZE"), &Bytes::from(resource.to_string()));
        let data: Value = serde_json::from_slice(&event.unwrap().data("}")).unwrap();
        let expected = json!({
            "bucket": "artifacts", "key": "a/b c", "event": "created", "reason": "OBJECT_FINALIZE",
            "time": "2026-11-21T03:00:00.000000Z", "size": 3, "eTag": "e",
            "generation": "1700000000000001", "metageneration": "1", "body": resource,
        });
        assert_eq!(data, expected);
        let bare = gcs(&attributes("OBJECT_DELETE"), &Bytes::new()).unwrap();
        let data: Value = serde_json::from_slice(&bare.data("}")).unwrap();
        assert_eq!((&data["event"], &data["body"]), (&json!("removed"), &Value::Null));
    }

    #[test]
    fn what_is_no_notification_is_told() {
        let none = gcs(&HashMap::new(), &Bytes::new()).unwrap_err();
        assert!(none.contains("no attribute `eventType`"), "{none}");
        let text = gcs(&attributes("OBJECT_FINALIZE"), &Bytes::from_static(b"x")).unwrap_err();
        assert!(text.contains("no notification of Cloud Storage"), "{text}");
    }
}

//! An event about an object in a bucket, in one shape for all of its sources.

use bytes::Bytes;
use serde::Serialize;
use tripline_event::EventId;

use crate::json::push_compact;

/// What has become of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectEvent {
    /// The bucket's name.
    pub bucket: String,
    /// The object's name, decoded.
    pub key: String,
    /// `created`, `removed`, `restored`, `changed` (its metadata), `archived`, or `other`.
    pub event: &'static str,
    /// As the service calls it.
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metageneration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The record as it came: JSON. It stands in the data as `body`.
    #[serde(skip)]
    pub record: Bytes,
}

impl ObjectEvent {
    /// Its id: bucket, key, and what tells one change of the object from the next. None where
    /// the record has nothing of the kind.
    pub fn id(&self) -> Option<EventId> {
        let Self { bucket, key, .. } = self;
        let change = match (&self.sequencer, &self.generation) {
            (Some(sequencer), _) => sequencer.clone(),
            // Several things happen to one generation.
            (None, Some(generation)) => {
                let metageneration = self.metageneration.as_deref().unwrap_or_default();
                format!("{generation}.{metageneration}:{}", self.reason)
            }
            (None, None) => return None,
        };
        Some(EventId::from_upstream(&format!("{bucket}/{key}#{change}")))
    }

    /// The data of an event. `end` is the data's last member and brace.
    pub fn data(&self, end: &str) -> Bytes {
        let mut out = serde_json::to_vec(self).unwrap_or_default();
        // Without the closing brace: there is always a member before it.
        out.pop();
        out.extend_from_slice(b",\"body\":");
        push_compact(&mut out, &self.record);
        out.extend_from_slice(end.as_bytes());
        Bytes::from(out)
    }
}

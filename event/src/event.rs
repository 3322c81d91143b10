//! An event: a CloudEvent with what Tripline adds to it.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CloudEvent, CorrelationId, EventId, EventKey, TriggerName};

/// The `datacontenttype` of every event that Argo Events' sources emit.
pub const JSON: &str = "application/json";

/// One event, as it stands in the EVENTS log.
///
/// The CloudEvents attributes are those that Argo Events sets: `source` is the event
/// source's name, `subject` the event's name, `type` the kind of the source. Where it came in
/// as a CloudEvent, [`Self::cloud_event`] has what its producer said instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Namespace, event source and event name.
    pub key: EventKey,
    /// The CloudEvents id.
    pub id: EventId,
    /// The CloudEvents type: the kind of the event source (`webhook`, `calendar`, …).
    pub kind: String,
    /// When the event source took the event in, by the daemon's clock.
    pub time: Timestamp,
    /// `datacontenttype`.
    pub content_type: String,
    /// The payload; `None` is no data at all, which is not the same as empty data.
    /// JSON text where `content_type` is `application/json`.
    pub data: Option<Bytes>,
    /// Links to what went before.
    pub links: Links,
    /// Where it came in as a CloudEvent and its event source keeps that: what it said.
    pub cloud_event: Option<Box<CloudEvent>>,
}

/// Where an event comes from and what chain it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// The correlation id, as the producer sent it, or the event's own id.
    pub correlation: CorrelationId,
    /// The correlation id at the root of the chain, where it is another one: the
    /// producer sent the name of a workflow that Tripline had submitted for that chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<CorrelationId>,
    /// What directly caused this: the id of an event, an action, or the name of a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// How many actions lie between the first event of the chain and this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hops: u16,
    /// The triggers whose actions led here, as `namespace/sensor/trigger`, the oldest
    /// first: the latest [`Self::MAX_PATH`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// The W3C `traceparent` that came with the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(hops: &u16) -> bool {
    *hops == 0
}

impl Links {
    /// The first event of a chain of its own.
    pub fn first(correlation: CorrelationId) -> Self {
        Self {
            correlation,
            chain: None,
            causation: None,
            hops: 0,
            path: Vec::new(),
            traceparent: None,
        }
    }

    /// The most triggers that a path names.
    pub const MAX_PATH: usize = 32;

    /// The path of what `trigger` causes: this one, with the trigger at its end.
    pub fn path_through(&self, trigger: &TriggerName) -> Vec<String> {
        let skipped = (self.path.len() + 1).saturating_sub(Self::MAX_PATH);
        self.path.iter().skip(skipped).cloned().chain([trigger.to_string()]).collect()
    }

    /// The correlation id under which the whole chain is found.
    pub fn root(&self) -> &CorrelationId {
        self.chain.as_ref().unwrap_or(&self.correlation)
    }
}

impl Event {
    /// The payload as text; `None` where there is no data or it is no UTF-8.
    pub fn data_text(&self) -> Option<&str> {
        self.data.as_deref().and_then(|data| std::str::from_utf8(data).ok())
    }
}

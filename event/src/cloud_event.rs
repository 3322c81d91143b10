//! What a CloudEvent says of itself, where an event source takes CloudEvents in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The attributes of a CloudEvent (version 1.0), as its producer gave them. Filters and
/// parameters see them in the place of those that the event source would give the event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// `id`: unique for its source.
    pub id: String,
    /// `source`: a URI reference.
    pub source: String,
    /// `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `time`: when it happened, by the producer's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// All other attributes but `specversion` and `datacontenttype`, each as the text that it
    /// has in a header.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
}

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
    /// Where it was taken over from the bus of another program: how it stood there. Neither
    /// filters nor parameters see this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Box<Transfer>>,
}

/// How an event stood on the bus of another program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its stream: the name, and when it was made.
    pub stream: String,
    /// Its place there.
    pub sequence: u64,
    /// Whom alone it is for: triggers that were taken over from that program, which had not
    /// decided about it, or held it. Empty: it is for everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Addressee>,
    /// The transform of its dependency has made the payload already: that program keeps
    /// nothing else.
    #[serde(default, skip_serializing_if = "is_false")]
    pub transformed: bool,
}

/// A dependency of a trigger, of the event's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressee {
    /// The sensor.
    pub sensor: String,
    /// Its trigger.
    pub trigger: String,
    /// The dependency.
    pub dependency: String,
    /// The trigger's half-met condition held it: no filter is asked, and nothing fires.
    #[serde(default, skip_serializing_if = "is_false")]
    pub held: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

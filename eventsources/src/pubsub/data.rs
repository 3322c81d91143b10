//! An event's data, in the shape that Argo Events gives it:
//! `{"id": …, "body": …, "attributes": {…}, "publishTime": …, "metadata": {…}}`.

use std::collections::BTreeMap;

use bytes::Bytes;
use google_cloud_pubsub::model::Message;
use jiff::Timestamp;

use super::config::PubSub;
use crate::json::{push_base64, push_compact, push_string};

/// The data of an event. `json` is the message's body where that is to stand in it as it is.
/// Where a message has no body, or no attributes, there is `null`, as Go marshals it.
pub fn event_data(config: &PubSub, message: &Message, json: Option<&[u8]>) -> Bytes {
    let end = &config.data_end;
    let mut out = Vec::with_capacity(message.data.len() * 4 / 3 + end.len() + 256);
    out.extend_from_slice(b"{\"id\":");
    push_string(&mut out, &message.message_id);
    out.extend_from_slice(b",\"body\":");
    match json {
        _ if message.data.is_empty() => out.extend_from_slice(b"null"),
        Some(json) => push_compact(&mut out, json),
        None => push_base64(&mut out, &message.data),
    }
    out.extend_from_slice(b",\"attributes\":");
    push_attributes(&mut out, message);
    out.extend_from_slice(b",\"publishTime\":");
    push_string(&mut out, &publish_time(message));
    if config.shows_ordering_key && !message.ordering_key.is_empty() {
        out.extend_from_slice(b",\"orderingKey\":");
        push_string(&mut out, &message.ordering_key);
    }
    out.extend_from_slice(end.as_bytes());
    Bytes::from(out)
}

/// The attributes, sorted by name.
pub fn attributes(message: &Message) -> Vec<(String, String)> {
    let sorted: BTreeMap<_, _> = message.attributes.iter().collect();
    sorted.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn push_attributes(out: &mut Vec<u8>, message: &Message) {
    if message.attributes.is_empty() {
        return out.extend_from_slice(b"null");
    }
    let sorted: BTreeMap<_, _> = message.attributes.iter().collect();
    for (at, (name, value)) in sorted.into_iter().enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        push_string(out, name);
        out.push(b':');
        push_string(out, value);
    }
    out.push(b'}');
}

/// As Go prints a time; without one, Go's first moment.
fn publish_time(message: &Message) -> String {
    let time = message.publish_time.as_ref();
    let time = time.and_then(|time| Timestamp::new(time.seconds(), time.nanos()).ok());
    match time {
        Some(time) => time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string(),
        None => "0001-01-01 00:00:00 +0000 UTC".to_owned(),
    }
}

//! Where Argo Events' own consumers stand: how far its sensors have come.

use serde::Deserialize;
use serde_json::Value;
use tripline_event::Timestamp;

use super::{Argo, ArgoError, STREAM};
use crate::jetstream::api::code;

/// A consumer of one of Argo Events' triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// When it was made: its trigger sees no event from before.
    pub created: Timestamp,
    /// The sequence of the stream up to which everything that it is about was acknowledged:
    /// its trigger has decided about that.
    pub acknowledged: u64,
    /// Somebody has asked it for messages, and waits: the sensor runs.
    pub is_asked: bool,
    /// How many messages were delivered and are not acknowledged.
    pub unacknowledged: u64,
}

#[derive(Deserialize)]
struct Info {
    created: Timestamp,
    delivered: Place,
    ack_floor: Place,
    #[serde(default)]
    num_ack_pending: u64,
    #[serde(default)]
    num_waiting: u64,
}

#[derive(Deserialize)]
struct Place {
    stream_seq: u64,
}

/// The name of the consumer that a trigger of a sensor has for a dependency: a hash (FNV-1a of
/// 32 bits, in decimal) of the three names, joined.
pub fn consumer_name(sensor: &str, trigger: &str, dependency: &str) -> String {
    let joined = format!("{sensor}-{trigger}-{dependency}");
    let hash = joined
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("group-{hash}")
}

impl Argo {
    /// The consumer of that name; none where there is none.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn consumer(&self, name: &str) -> Result<Option<Consumer>, ArgoError> {
        let what = format!("CONSUMER.INFO.{STREAM}.{name}");
        let info = match self.api.ask::<Info>(&what, &Value::Null).await {
            Err(error)
                if error.is(code::CONSUMER_NOT_FOUND) || error.is(code::STREAM_NOT_FOUND) =>
            {
                return Ok(None);
            }
            other => other?,
        };
        let Info { created, delivered, ack_floor, num_ack_pending, num_waiting } = info;
        // What is before the first delivery of a consumer is nothing that it waits for.
        let acknowledged =
            if num_ack_pending == 0 { delivered.stream_seq } else { ack_floor.stream_seq };
        Ok(Some(Consumer {
            created,
            acknowledged,
            is_asked: num_waiting > 0,
            unacknowledged: num_ack_pending,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_named_as_argo_events_names_it() {
        // FNV-1a of "" is the offset basis; of "a" 0xe40c292c (RFC draft of FNV, appendix C).
        assert_eq!(0xe40c_292c_u32, (0x811c_9dc5_u32 ^ u32::from(b'a')).wrapping_mul(0x0100_0193));
        assert_eq!(consumer_name("deploy", "submit", "build"), "group-2134660852");
        assert_eq!(consumer_name("a-b", "c", "d"), consumer_name("a", "b-c", "d"), "as there");
    }
}

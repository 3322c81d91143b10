//! Events of another program's bus: put into the log with what that program says of them, and
//! where they stood there.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tripline_bus::{Append, Appended, Log, WriteError};
use tripline_event::{CloudEvent, Event, EventsRecord, Transfer};
use tripline_eventsources::Message;

use super::ingest::Ingest;

/// What a correlation id is looked for in: so many headers of an event's data at most.
const MOST_HEADERS: usize = 256;

/// An event of another program's bus.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The event, as that program's sensors see it; its time is the one that it says.
    pub event: Event,
    /// The headers of its message.
    pub headers: Vec<(String, String)>,
    /// Where it stood, and whom it is for.
    pub transfer: Transfer,
    /// What it is recognised by when it comes again; none: its identity.
    pub dedup: Option<Bytes>,
}

impl Ingest {
    /// Puts the events into the log, all or none of them. Filters of event sources are not
    /// asked: that program has done so.
    pub(crate) async fn take_over(
        &self,
        foreign: Vec<Foreign>,
    ) -> Result<Vec<Appended>, WriteError> {
        let mut prepared = Vec::with_capacity(foreign.len());
        let mut batch = Vec::with_capacity(foreign.len());
        for one in foreign {
            let everybodys = one.transfer.to.is_empty();
            let dedup = one.dedup.clone();
            let event = self.own(one);
            let id = || Bytes::copy_from_slice(&event.id.identity(&event.key));
            let dedup = Some(dedup.unwrap_or_else(id));
            let key = event.key.clone();
            let record = EventsRecord::Event(event).encode();
            prepared.push((key, record.len(), everybodys));
            batch.push(Append { dedup, record });
        }
        let appended = self.bus.append(Log::Events, batch).await;
        self.note_health(appended.as_ref().err());
        let appended = appended?;
        for ((key, bytes, everybodys), appended) in prepared.iter().zip(&appended) {
            if *everybodys {
                self.observer.on_accepted(key, *bytes, appended.duplicate);
            }
        }
        Ok(appended)
    }

    /// The event as it stands in the log: taken in now, with its own time as what it said.
    fn own(&self, foreign: Foreign) -> Event {
        let Foreign { mut event, headers, transfer, .. } = foreign;
        let said = event.cloud_event.take().map(|said| *said).unwrap_or_else(|| CloudEvent {
            id: event.id.as_str().to_owned(),
            source: event.key.source.clone(),
            kind: event.kind.clone(),
            subject: Some(event.key.name.clone()),
            time: Some(event.time),
            ..CloudEvent::default()
        });
        let data = event.data.clone().unwrap_or_default();
        let (inner, body) = hints(&data);
        let message = Message {
            key: event.key.clone(),
            kind: "argoEvents",
            id: Some(event.id.clone()),
            time: self.clock.now(),
            data,
            headers: headers.into_iter().chain(inner).collect(),
            body,
            correlation_path: None,
            cloud_event: None,
        };
        event.links = self.finder.find(&message).into_links(event.id.as_str());
        self.chains.resolve(&event.key.namespace, &mut event.links);
        event.time = message.time;
        event.cloud_event =
            Some(Box::new(CloudEvent { transfer: Some(Box::new(transfer)), ..said }));
        event
    }
}

/// Headers or attributes, and the body, in the data of an event of Argo Events: where a
/// correlation id may be.
fn hints(data: &Bytes) -> (Vec<(String, String)>, Option<Bytes>) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Data<'a> {
        #[serde(default, alias = "headers", alias = "attributes", alias = "messageAttributes")]
        header: BTreeMap<String, Value>,
        #[serde(borrow, default)]
        body: Option<&'a RawValue>,
    }
    let Ok(Data { header, body }) = serde_json::from_slice::<Data<'_>>(data) else {
        return (Vec::new(), None);
    };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(values) => values.first()?.as_str().map(str::to_owned),
        Value::Object(fields) => fields.get("StringValue")?.as_str().map(str::to_owned),
        _ => None,
    };
    let headers = header.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?)));
    let headers = headers.take(MOST_HEADERS).collect();
    let Some(body) = body.map(|body| body.get()) else { return (headers, None) };
    // What is no JSON there is in base64.
    let bytes = serde_json::from_str::<String>(body).ok().and_then(|text| BASE64.decode(text).ok());
    let body = bytes.map_or_else(|| Bytes::copy_from_slice(body.as_bytes()), Bytes::from);
    (headers, Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_id_is_looked_for_where_argo_events_puts_headers_and_bodies() {
        for (data, header, body) in [
            (
                r#"{"header":{"X-Correlation-Id":["c"]},"body":{"a":1}}"#,
                Some("c"),
                Some(r#"{"a":1}"#),
            ),
            (
                r#"{"attributes":{"x-correlation-id":"c"},"body":"eyJhIjoxfQ=="}"#,
                Some("c"),
                Some(r#"{"a":1}"#),
            ),
            (r#"{"messageAttributes":{"x":{"StringValue":"c"}}}"#, Some("c"), None),
            (r#"{"headers":{"x":7}}"#, None, None),
            ("[]", None, None),
        ] {
            let (headers, found) = hints(&Bytes::copy_from_slice(data.as_bytes()));
            assert_eq!(headers.first().map(|(_, value)| value.as_str()), header, "{data}");
            assert_eq!(found.as_deref(), body.map(str::as_bytes), "{data}");
        }
    }
}

//! An event that is not in the log, evaluated as if it came in now; and the event of the log
//! that has a given body.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tripline_bus::Log;
use tripline_event::event::{JSON, Links};
use tripline_event::{CorrelationId, Event, EventId, EventKey, EventsRecord};

use super::model::{Answer, EventView, Explanation};
use super::{Context, ExplainError, Question, decision, past};
use crate::query::scan::{Backwards, extent};
use crate::query::{PAGE, Unknown, extents};

/// So many of the last records are looked through for a body.
pub const LOOK_BACK: usize = 20 * PAGE;

/// A body, and what to do with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// The body, as a producer would send it.
    pub body: Box<RawValue>,
    /// The event that it is to be evaluated as; without, the event of the log that has this
    /// body is explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<EventKey>,
    /// Only about this sensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,
}

/// Whether the event's data, or its body, is this value; also where it is kept as text.
pub(super) fn has_body(event: &Event, body: &Value) -> bool {
    use base64::Engine as _;
    let Some(data) = event.data_text().and_then(|text| serde_json::from_str::<Value>(text).ok())
    else {
        return false;
    };
    let found = data.get("body").unwrap_or(&data);
    let in_text = |text: &str| {
        let decoded = base64::engine::general_purpose::STANDARD.decode(text).ok();
        let decoded = decoded.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        decoded.or_else(|| serde_json::from_str(text).ok())
    };
    data == *body
        || found == body
        || found.as_str().and_then(in_text).is_some_and(|value| value == *body)
}

impl Context<'_> {
    /// Explains what came in with this body, or what would become of it if it came in now.
    ///
    /// # Errors
    /// The bus cannot be read, or the body is no JSON.
    pub async fn explain_body(&self, arrival: &Arrival) -> Result<Answer, ExplainError> {
        let body: Value = serde_json::from_str(arrival.body.get())
            .map_err(|error| ExplainError::Invalid(format!("the body is no JSON: {error}")))?;
        if let Some(key) = &arrival.key {
            return self.would(arrival, key, &body).await;
        }
        match super::handle::by_body(self.bus, &body).await? {
            Some((position, _)) => {
                let (handle, sensor) = (position.to_string(), arrival.sensor.clone());
                self.explain(&Question { handle, sensor }).await
            }
            None => {
                let looked = extents(self.bus).await?;
                let handle = format!("a body that is none of the last {LOOK_BACK} records'");
                Ok(Answer::Unknown(Unknown { handle, looked, similar: Vec::new() }))
            }
        }
    }

    /// Under the plan of now, with what is held now, and without any effect.
    async fn would(
        &self,
        arrival: &Arrival,
        key: &EventKey,
        body: &Value,
    ) -> Result<Answer, ExplainError> {
        let (kind, event) = (self.kind_of(key).await?, EventId("as-if".to_owned()));
        let data = match body.get("body") {
            None if kind == "webhook" => {
                serde_json::json!({"header": {}, "body": body}).to_string()
            }
            _ => arrival.body.get().to_owned(),
        };
        let event = Event {
            links: Links::first(CorrelationId(event.to_string())),
            key: key.clone(),
            id: event,
            kind,
            time: self.now,
            content_type: JSON.to_owned(),
            data: Some(Bytes::from(data)),
            cloud_event: None,
        };
        let position = extent(self.bus, Log::Events).await?.next;
        let mut view = EventView { position: None, ..EventView::new(position, &event) };
        let plan = past::plan_at(self.bus, position).await?;
        view.plan = plan.number;
        let question = Question { handle: String::new(), sensor: arrival.sensor.clone() };
        let sensors = past::sensors_of(self, &plan, key).await?;
        let wanted: Vec<_> =
            sensors.iter().filter(|of| question.is_about(&of.sensor.name)).cloned().collect();
        if wanted.is_empty() {
            view.cause = Some(self.nobody(&question, &event, &plan, sensors.len()).await?);
        } else {
            let names: Vec<_> = wanted.iter().map(|of| of.sensor.name.clone()).collect();
            let mut past = past::Past::before(self, position, &names).await?;
            view.complete = past.is_complete();
            let (account, _) = past.decide(position, &event);
            view.sensors = wanted.iter().map(|of| decision::sensor(of, &event, &account)).collect();
        }
        let handle = format!("{key}, as if it came in now");
        Ok(Answer::Found(Explanation { handle, events: vec![view], ..Explanation::default() }))
    }

    /// The kind of an event source: that of its latest event; a webhook where none is known.
    async fn kind_of(&self, key: &EventKey) -> Result<String, ExplainError> {
        let mut backwards = Backwards::new(self.bus, Log::Events).await?;
        for _ in 0..LOOK_BACK / PAGE {
            let Some(page) = backwards.page(self.bus).await? else { break };
            for stored in page.iter().rev() {
                if let Ok(EventsRecord::Event(event)) = EventsRecord::decode(&stored.record)
                    && event.key == *key
                {
                    return Ok(event.kind);
                }
            }
        }
        Ok("webhook".to_owned())
    }
}

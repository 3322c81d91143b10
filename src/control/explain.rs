//! Explanations over the control API, and of a data directory at rest.

use tripline_event::Timestamp;

use super::{Backend, ControlError};
use crate::engine::definitions::Definitions;
use crate::explain::{Answer, Arrival, Context, ExplainError, Progress, Question};

impl From<ExplainError> for ControlError {
    fn from(error: ExplainError) -> Self {
        match error {
            ExplainError::Query(error) => error.into(),
            ExplainError::Invalid(text) => Self::Invalid(text),
            ExplainError::NotFound(text) => Self::NotFound(text),
            other => Self::Failed(format!("{:#}", anyhow::Error::from(other))),
        }
    }
}

impl Backend {
    /// Why it went as it did with what the handle names.
    pub async fn explain(&self, question: &Question) -> Result<Answer, ControlError> {
        match self {
            Self::Daemon(client) => {
                let mut pairs = vec![("handle", question.handle.clone())];
                pairs.extend(question.sensor.clone().map(|sensor| ("sensor", sensor)));
                client.get("/v1/explain", &pairs).await
            }
            Self::Directory { bus, .. } => {
                let definitions = Definitions::default();
                Ok(self.at_rest(bus.as_ref(), &definitions).explain(question).await?)
            }
        }
    }

    /// The same of a body.
    pub async fn explain_body(&self, arrival: &Arrival) -> Result<Answer, ControlError> {
        match self {
            Self::Daemon(client) => client.post("/v1/explain", arrival).await,
            Self::Directory { bus, .. } => {
                let definitions = Definitions::default();
                Ok(self.at_rest(bus.as_ref(), &definitions).explain_body(arrival).await?)
            }
        }
    }

    /// How far the events of a sensor got since then.
    pub async fn progress(&self, sensor: &str, since: Timestamp) -> Result<Progress, ControlError> {
        match self {
            Self::Daemon(client) => {
                let pairs = [("sensor", sensor.to_owned()), ("since", since.to_string())];
                client.get("/v1/explain/sensor", &pairs).await
            }
            Self::Directory { bus, .. } => {
                let definitions = Definitions::default();
                Ok(self.at_rest(bus.as_ref(), &definitions).progress(sensor, since).await?)
            }
        }
    }

    fn at_rest<'a>(
        &self,
        bus: &'a dyn tripline_bus::Bus,
        definitions: &'a Definitions,
    ) -> Context<'a> {
        Context { bus, definitions, live: None, now: self.now() }
    }
}

//! What happened, asked for by `test --record` and `backtest`.

use tripline_event::{ObjectName, Timestamp};

use super::client::segment;
use super::{Backend, ControlError};
use crate::backtest::history::{self, DefinitionInForce, Events, History};
use crate::sensor_test::record::{Recording, record};

impl Backend {
    /// A test written from what happened to `handle`.
    pub async fn record(&self, handle: &str) -> Result<Recording, ControlError> {
        match self {
            Self::Daemon(client) => {
                client.get("/v1/recording", &[("handle", handle.to_owned())]).await
            }
            Self::Directory { bus, .. } => record(bus.as_ref(), handle).await,
        }
    }

    /// The definition of a sensor in the newest plan; none where there is no such sensor.
    pub async fn definition(
        &self,
        name: &ObjectName,
    ) -> Result<Option<DefinitionInForce>, ControlError> {
        match self {
            Self::Daemon(client) => {
                let (namespace, name) = (segment(&name.namespace), segment(&name.name));
                client.get(&format!("/v1/definitions/{namespace}/{name}"), &[]).await
            }
            Self::Directory { bus, .. } => history::definition(bus.as_ref(), name).await,
        }
    }

    /// The events since a time, in their order.
    pub async fn history(&self, since: Option<Timestamp>) -> Result<Events, ControlError> {
        match self {
            Self::Daemon(client) => {
                let since: Vec<_> =
                    since.map(|since| ("since", since.to_string())).into_iter().collect();
                Events::remote(client.stream("/v1/history", &since).await?).await
            }
            Self::Directory { bus, .. } => {
                Ok(Events::Local(History::new(bus.clone(), since).await?))
            }
        }
    }
}

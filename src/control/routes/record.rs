//! What happened, for tests and backtests: a test written from it, and the log itself.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;

use super::{Answer, Failed, Parameters, Shared};
use crate::backtest::history::{self, DefinitionInForce};
use crate::control::ControlError;
use crate::sensor_test::record::{Recording, record as recorded};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/recording", get(recording))
        .route("/v1/history", get(stream_of_events))
        .route("/v1/definitions/{namespace}/{name}", get(definition))
}

async fn recording(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Answer<Recording> {
    let parameters = Parameters::of(query.as_deref());
    let missing = || ControlError::Invalid("the parameter `handle` is missing".to_owned());
    let handle = parameters.get("handle").ok_or_else(missing)?;
    Ok(Json(recorded(shared.daemon.bus().as_ref(), handle).await?))
}

async fn definition(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Answer<Option<DefinitionInForce>> {
    let name = tripline_event::ObjectName::new(namespace, name);
    Ok(Json(history::definition(shared.daemon.bus().as_ref(), &name).await?))
}

/// The records of EVENTS since a time, as [`history::Frames`] writes them.
async fn stream_of_events(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failed> {
    let since = Parameters::of(query.as_deref()).filter()?.since;
    let bus = shared.daemon.bus();
    let history = history::History::new(bus, since).await?;
    let stop = shared.stop;
    let head = serde_json::to_vec(history.covered())
        .map_err(|error| ControlError::Failed(error.to_string()))?;
    let head = [head, b"\n".to_vec()].concat();
    let first = stream::once(async move { Ok::<_, ControlError>(bytes::Bytes::from(head)) });
    let pages = stream::unfold((history, stop, false), |(mut history, stop, over)| async move {
        if over {
            return None;
        }
        let page = tokio::select! {
            () = stop.cancelled() => Err(ControlError::Unreachable("the daemon ends".to_owned())),
            page = history.page() => page.map_err(ControlError::from),
        };
        match page {
            Ok(page) if page.is_empty() => None,
            Ok(page) => Some((Ok(history::frames(&page)), (history, stop, false))),
            // The status was sent long ago: the connection breaks off.
            Err(error) => Some((Err(error), (history, stop, true))),
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    let body = Body::from_stream(futures_util::StreamExt::chain(first, pages));
    Ok((kind, body).into_response())
}

//! Explanations. A body is posted, since it may be large; it changes nothing, and whoever may
//! read may ask.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use tripline_event::Timestamp;

use super::{Answer, Parameters, Shared, body};
use crate::control::ControlError;
use crate::explain::{self, Arrival, Context, Progress, Question};

/// Where a body is posted to.
pub(super) const PATH: &str = "/v1/explain";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(PATH, get(explain_handle).post(explain_body))
        .route("/v1/explain/sensor", get(progress))
}

async fn explain_handle(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
) -> Answer<explain::Answer> {
    let parameters = Parameters::of(query.as_deref());
    let missing = || ControlError::Invalid("the parameter `handle` is missing".to_owned());
    let handle = parameters.get("handle").ok_or_else(missing)?.to_owned();
    let sensor = parameters.get("sensor").map(str::to_owned);
    let (bus, (definitions, live)) = (shared.daemon.bus(), shared.daemon.explaining().await?);
    let now = shared.daemon.clock().now();
    let context = Context { bus: bus.as_ref(), definitions: &definitions, live: Some(live), now };
    Ok(Json(context.explain(&Question { handle, sensor }).await?))
}

async fn explain_body(State(shared): State<Shared>, bytes: Bytes) -> Answer<explain::Answer> {
    let arrival: Arrival = body(&bytes)?;
    let (bus, (definitions, live)) = (shared.daemon.bus(), shared.daemon.explaining().await?);
    let now = shared.daemon.clock().now();
    let context = Context { bus: bus.as_ref(), definitions: &definitions, live: Some(live), now };
    Ok(Json(context.explain_body(&arrival).await?))
}

async fn progress(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Answer<Progress> {
    let parameters = Parameters::of(query.as_deref());
    let wanted = |name: &str| {
        let missing = || ControlError::Invalid(format!("the parameter `{name}` is missing"));
        parameters.get(name).ok_or_else(missing)
    };
    let sensor = wanted("sensor")?;
    let since: Timestamp = wanted("since")?
        .parse()
        .map_err(|error| ControlError::Invalid(format!("`since` is no time: {error}")))?;
    let (bus, (definitions, live)) = (shared.daemon.bus(), shared.daemon.explaining().await?);
    let now = shared.daemon.clock().now();
    let context = Context { bus: bus.as_ref(), definitions: &definitions, live: Some(live), now };
    Ok(Json(context.progress(sensor, since).await?))
}

//! One sensor: looked at and cleared.

use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use tripline_event::ObjectName;

use super::{Answer, Caller, Shared, body};
use crate::control::sensor::{ClearReport, ClearRequest, SensorView};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/sensors/clear", post(clear))
        .route("/v1/sensors/{namespace}/{name}", get(sensor))
}

async fn sensor(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Answer<SensorView> {
    Ok(Json(shared.daemon.sensor(ObjectName::new(namespace, name)).await?))
}

async fn clear(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Answer<ClearReport> {
    let request: ClearRequest = body(&bytes)?;
    Ok(Json(shared.daemon.clear(request, caller.who).await?))
}

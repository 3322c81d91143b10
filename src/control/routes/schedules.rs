//! Schedules: looked at and operated.

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::routing::get;
use axum::{Json, Router};

use super::{Answer, Caller, Shared, body};
use crate::control::schedules::{ScheduleAnswer, ScheduleOrder};
use crate::engine::schedules::view::ScheduleView;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/schedules", get(list).post(order))
}

async fn list(State(shared): State<Shared>) -> Answer<Vec<ScheduleView>> {
    Ok(Json(shared.daemon.schedules().await?))
}

async fn order(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Answer<ScheduleAnswer> {
    let order: ScheduleOrder = body(&bytes)?;
    Ok(Json(shared.daemon.order_schedule(order, caller.who).await?))
}

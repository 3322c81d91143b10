//! `/v1/pause`, `/v1/resume`, `/v1/drop`, `/v1/replay`, `/v1/audit`, `/v1/extents`.

use axum::body::Bytes;
use axum::extract::{Extension, RawQuery, State};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::super::access::Caller;
use super::super::api::PauseRequest;
use super::super::daemon::Pause;
use super::super::replay::{ReplayReport, ReplayRequest};
use super::super::steering::{DropReport, DropRequest, ResumeReport, ResumeRequest};
use super::{Answer, Parameters, Shared, body, whole_scope};
use crate::query::audit::{self, AuditEntry};
use crate::query::{LogExtent, extents};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/pause", post(pause))
        .route("/v1/resume", post(resume))
        .route("/v1/drop", post(drop_waiting))
        .route("/v1/replay", post(replay))
        .route("/v1/audit", get(audited))
        .route("/v1/extents", get(reach))
}

async fn pause(
    State(shared): State<Shared>,
    Extension(Caller { who, .. }): Extension<Caller>,
    bytes: Bytes,
) -> Answer<()> {
    let PauseRequest { scope, until, reason, .. } = body(&bytes)?;
    let scope = whole_scope(&scope)?;
    Ok(Json(shared.daemon.pause(Pause { scope, until, reason, who }).await?))
}

async fn resume(
    State(shared): State<Shared>,
    Extension(Caller { who, .. }): Extension<Caller>,
    bytes: Bytes,
) -> Answer<ResumeReport> {
    let request: ResumeRequest = body(&bytes)?;
    Ok(Json(shared.daemon.resume(request, who).await?))
}

async fn drop_waiting(
    State(shared): State<Shared>,
    Extension(Caller { who, .. }): Extension<Caller>,
    bytes: Bytes,
) -> Answer<DropReport> {
    let request: DropRequest = body(&bytes)?;
    Ok(Json(shared.daemon.drop_waiting(request, who).await?))
}

async fn replay(
    State(shared): State<Shared>,
    Extension(Caller { who, .. }): Extension<Caller>,
    bytes: Bytes,
) -> Answer<ReplayReport> {
    let request: ReplayRequest = body(&bytes)?;
    Ok(Json(shared.daemon.replay(request, who).await?))
}

async fn audited(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
) -> Answer<Vec<AuditEntry>> {
    let parameters = Parameters::of(query.as_deref());
    let (filter, limit) = (parameters.filter()?, parameters.limit()?);
    Ok(Json(audit::list(shared.daemon.bus().as_ref(), &filter, limit).await?))
}

async fn reach(State(shared): State<Shared>) -> Answer<Vec<LogExtent>> {
    Ok(Json(extents(shared.daemon.bus().as_ref()).await?))
}

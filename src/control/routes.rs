//! The routes of the control API.

mod explain;
mod record;
mod schedules;
mod sensor;
mod steering;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Extension, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tripline_bus::Log;
use tripline_event::CorrelationId;
use tripline_triggers::workflow::local::{LocalTarget, LocalWorkflow};

use super::access::{Caller, Right, Tokens};
use super::api::{BackupReport, BackupRequest, FinishRequest, LettersRequest};
use super::daemon::Daemon;
use super::{ControlError, MAX_BODY_BYTES, scope};
use crate::query::dead_letter::{self, LetterFilter};
use crate::query::workflow::{PHASES, Wanted, Workflow};
use crate::query::{self, DEFAULT_LIMIT, Filter, Graph, Listing, MAX_LIMIT};

/// How it is found out who asks.
#[derive(Clone)]
pub(super) enum Access {
    /// By the connection.
    Peer(Caller),
    /// By the token in each request.
    Tokens(Tokens),
}

#[derive(Clone)]
struct Shared {
    daemon: Arc<dyn Daemon>,
    stop: CancellationToken,
}

/// All routes. Each `GET` only looks, each `POST` needs the right to operate, but for a body
/// that is to be explained.
pub(super) fn routes(daemon: Arc<dyn Daemon>, stop: CancellationToken) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/sensors", get(sensors))
        .route("/v1/graph", get(graph))
        .route("/v1/logs/{log}", get(list))
        .route("/v1/trace", get(trace))
        .route("/v1/dead-letters", get(dead_letters))
        .route("/v1/dead-letters/{id}", get(dead_letter))
        .route("/v1/dead-letters/retry", post(retry))
        .route("/v1/dead-letters/drop", post(drop_letters))
        .route("/v1/workflows", get(workflows))
        .route("/v1/workflows/{namespace}/{name}", get(workflow))
        .route("/v1/workflows/{namespace}/{name}/finish", post(finish_workflow))
        .merge(record::routes())
        .merge(explain::routes())
        .merge(schedules::routes())
        .merge(sensor::routes())
        .route("/v1/publish", post(publish))
        .merge(steering::routes())
        .route("/v1/reload", post(reload))
        .route("/v1/reload/confirm", post(confirm_reload))
        .route("/v1/upgrade", post(upgrade))
        .route("/v1/backup", post(backup))
        .fallback(|| async { Failed(ControlError::NotFound("there is no such path".to_owned())) })
        .layer(middleware::from_fn(authorize))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Shared { daemon, stop })
}

/// An error as an answer.
struct Failed(ControlError);

impl<E: Into<ControlError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status());
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(self.0)).into_response()
    }
}

type Answer<T> = Result<Json<T>, Failed>;

async fn authorize(
    Extension(access): Extension<Access>,
    headers: HeaderMap,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match access {
        Access::Peer(caller) => Some(caller),
        Access::Tokens(tokens) => bearer(&headers).and_then(|t| tokens.caller(t).cloned()),
    };
    let Some(caller) = caller else {
        let denied = ControlError::Denied("there is no token, or it is not known".to_owned());
        return (StatusCode::UNAUTHORIZED, Json(denied)).into_response();
    };
    let looks =
        request.method() == axum::http::Method::GET || request.uri().path() == explain::PATH;
    if caller.right < Right::Operate && !looks {
        let text = format!("the token of `{}` may only read", caller.who);
        return Failed(ControlError::Denied(text)).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// The parameters of a URL.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(query: Option<&str>) -> Self {
        let query = query.unwrap_or_default().as_bytes();
        Self(form_urlencoded::parse(query).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn is(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    fn filter(&self) -> Result<Filter, ControlError> {
        let pairs = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Filter::from_pairs(pairs).map_err(ControlError::Invalid)
    }

    fn limit(&self) -> Result<usize, ControlError> {
        let Some(text) = self.get("limit") else { return Ok(DEFAULT_LIMIT) };
        let wrong = |_| ControlError::Invalid(format!("`limit`: `{text}` is no number"));
        Ok(text.parse::<usize>().map_err(wrong)?.min(MAX_LIMIT))
    }
}

/// Reads a body, whatever its content type says.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, ControlError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ControlError::Invalid(format!("the request's body: {error}")))
}

async fn status(State(shared): State<Shared>) -> Answer<super::Status> {
    Ok(Json(shared.daemon.status().await?))
}

async fn sensors(State(shared): State<Shared>) -> Answer<Vec<super::SensorStatus>> {
    Ok(Json(shared.daemon.sensors().await?))
}

async fn graph(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Answer<Graph> {
    let since = Parameters::of(query.as_deref()).filter()?.since;
    let config = shared.daemon.graph().await?;
    Ok(Json(Graph::new(shared.daemon.bus().as_ref(), config, since).await?))
}

async fn list(
    State(shared): State<Shared>,
    Path(log): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failed> {
    let no_log = || ControlError::NotFound(format!("there is no log `{log}`"));
    let log = Log::ALL.into_iter().find(|known| known.as_str() == log).ok_or_else(no_log)?;
    let parameters = Parameters::of(query.as_deref());
    let (filter, limit) = (parameters.filter()?, parameters.limit()?);
    let follow = parameters.is("follow");
    let listing = Listing::new(shared.daemon.bus(), log, &filter, limit, follow).await?;
    let stop = shared.stop;
    let lines = stream::unfold((listing, stop, false), |(mut listing, stop, over)| async move {
        if over {
            return None;
        }
        let item = tokio::select! {
            () = stop.cancelled() => return None,
            item = listing.next() => item,
        };
        let (bytes, over) = match item {
            Ok(None) => return None,
            Ok(Some(item)) => (line(&item), false),
            // The status was sent long ago: the error is the last line.
            Err(error) => (line(&ControlError::from(error)), true),
        };
        Some((bytes, (listing, stop, over)))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

fn line<T: Serialize>(value: &T) -> Result<Bytes, serde_json::Error> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

async fn trace(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Answer<query::Trace> {
    let parameters = Parameters::of(query.as_deref());
    let missing = || ControlError::Invalid("the parameter `handle` is missing".to_owned());
    let handle = parameters.get("handle").ok_or_else(missing)?;
    Ok(Json(query::trace(shared.daemon.bus().as_ref(), handle).await?))
}

async fn dead_letters(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
) -> Answer<Vec<query::DeadLetterItem>> {
    let parameters = Parameters::of(query.as_deref());
    let cause = match parameters.get("cause") {
        None => None,
        Some(text) => Some(cause(text)?),
    };
    let (filter, closed) = (parameters.filter()?, parameters.is("closed"));
    let wanted = LetterFilter { filter, cause, closed };
    let limit = parameters.limit()?;
    Ok(Json(dead_letter::list(shared.daemon.bus().as_ref(), &wanted, limit).await?))
}

/// Reads a cause as records write it.
pub fn cause(text: &str) -> Result<tripline_event::Cause, ControlError> {
    serde_json::from_value(text.into())
        .map_err(|error| ControlError::Invalid(format!("`{text}` is no cause: {error}")))
}

async fn dead_letter(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Answer<Vec<query::DeadLetterItem>> {
    Ok(Json(dead_letter::show(shared.daemon.bus().as_ref(), &id).await?))
}

async fn retry(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Answer<Vec<dead_letter::Answer>> {
    let request: LettersRequest = body(&bytes)?;
    Ok(Json(shared.daemon.retry(request.ids, request.current, caller.who).await?))
}

async fn drop_letters(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Answer<Vec<dead_letter::Answer>> {
    let request: LettersRequest = body(&bytes)?;
    Ok(Json(shared.daemon.drop_letters(request.ids, request.reason, caller.who).await?))
}

async fn workflows(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
) -> Answer<Vec<Workflow>> {
    let parameters = Parameters::of(query.as_deref());
    let Filter { namespace, correlation, .. } = parameters.filter()?;
    let phase = match parameters.get("phase") {
        None => None,
        Some(text) => Some(phase(text)?),
    };
    let correlation = correlation.map(CorrelationId);
    let target = parameters.get("target").map(str::to_owned);
    let wanted = Wanted { target, namespace, correlation, phase };
    let limit = parameters.limit()?;
    Ok(Json(query::workflow::list(shared.daemon.bus(), &wanted, limit).await?))
}

/// Reads a phase as records write it.
pub fn phase(text: &str) -> Result<String, ControlError> {
    if PHASES.contains(&text) {
        return Ok(text.to_owned());
    }
    let known = PHASES.map(|phase| format!("`{phase}`")).join(", ");
    Err(ControlError::Invalid(format!("`{text}` is no phase, which are {known}")))
}

async fn workflow(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Answer<Workflow> {
    let found = query::workflow::get(shared.daemon.bus(), &namespace, &name).await?;
    Ok(Json(found.ok_or_else(|| no_workflow(&namespace, &name))?))
}

/// There is no such workflow.
pub(super) fn no_workflow(namespace: &str, name: &str) -> ControlError {
    ControlError::NotFound(format!(
        "no workflow {namespace}/{name} was submitted, as far as outcomes are kept"
    ))
}

async fn finish_workflow(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    bytes: Bytes,
) -> Answer<LocalWorkflow> {
    let FinishRequest { phase } = body(&bytes)?;
    let target = LocalTarget::new(shared.daemon.bus(), shared.daemon.clock());
    Ok(Json(target.finish(&namespace, &name, phase.into()).await?))
}

async fn publish(State(shared): State<Shared>, bytes: Bytes) -> Answer<super::Accepted> {
    Ok(Json(shared.daemon.publish(body(&bytes)?).await?))
}

fn whole_scope(text: &str) -> Result<tripline_triggers::executor::Scope, ControlError> {
    scope::parse(text, tripline_event::name::DEFAULT_NAMESPACE)
}

async fn reload(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Answer<super::ReloadReport> {
    Ok(Json(shared.daemon.reload(caller.who).await?))
}

async fn upgrade(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Answer<super::UpgradeReport> {
    Ok(Json(shared.daemon.upgrade(caller.who).await?))
}

async fn confirm_reload(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Answer<super::ReloadReport> {
    Ok(Json(shared.daemon.confirm_reload(caller.who).await?))
}

async fn backup(State(shared): State<Shared>, bytes: Bytes) -> Answer<BackupReport> {
    let BackupRequest { path } = body(&bytes)?;
    Ok(Json(BackupReport { bytes: shared.daemon.backup(path).await? }))
}

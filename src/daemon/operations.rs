//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tripline_event::ObjectName;

use super::metrics::Sample;
use super::{Shared, room};

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(shared);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "/healthz, /readyz and /metrics are not served any more");
    }
}

async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    if shared.is_dead() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the evaluator has ended\n").into_response();
    }
    "ok\n".into_response()
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let reasons = shared.not_ready();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": reasons.is_empty(),
        "target": shared.targets.choice().default_target(),
        "targets": shared.targets.described(),
        "notReady": reasons,
        "notes": room::note(shared.bus.fill()).as_slice(),
    });
    (status, axum::Json(body)).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.metrics.render(&shared.sample()) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl Shared {
    fn sample(&self) -> Sample {
        let snapshot = self.engine.executor.snapshot();
        let open = snapshot
            .iter()
            .map(|trigger| trigger.waiting + trigger.in_flight + trigger.retrying)
            .sum();
        let oldest = snapshot.iter().filter_map(|trigger| trigger.oldest_decided_at).min();
        let configuration = self.configuration.load();
        let mut sources: Vec<(ObjectName, u64)> = Vec::new();
        for status in self.sources.status().into_iter().chain(self.interop.source_statuses()) {
            let name = ObjectName::new(status.key.namespace, status.key.source);
            let ready = u64::from(status.ready);
            match sources.last_mut().filter(|(last, _)| *last == name) {
                Some((_, count)) => *count += ready,
                None => sources.push((name, ready)),
            }
        }
        Sample {
            open_actions: open,
            oldest: oldest.map(|at| {
                Duration::try_from(self.clock.now().duration_since(at)).unwrap_or_default()
            }),
            objects: (configuration.len(), configuration.invalid.len()),
            targets: self.targets.described().into_keys().collect(),
            sources,
            letters: self.letters.known(),
            circuits: self
                .engine
                .executor
                .circuits()
                .into_iter()
                .map(|circuit| circuit.target)
                .collect(),
            tally: self.counts.verdicts(),
            fill: self.bus.fill(),
            bridges: self.interop.statuses(),
        }
    }
}

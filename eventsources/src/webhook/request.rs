//! One request: from its head to its answer.
//!
//! The order of the checks, their statuses and their texts are those of Argo Events,
//! except where the event bus is unavailable (503, try again; Argo Events: 500).

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tripline_event::EventKey;

use super::KIND;
use super::answer::{Answer, Refusal, wants_json};
use super::body::{self, BodyError, Held, Payload};
use super::data::event_data;
use super::idempotency::event_id;
use super::limits::{BODY, HEALTH, RETRY_AFTER_SECS};
use super::receiver::Posted;
use super::table::{Found, Route, Table};
use super::tls::PortTls;
use crate::cloudevents::{self, Binding};
use crate::{Message, SinkError, SourceContext};

/// What all requests of a port share.
pub struct Shared {
    pub setup: ArcSwap<Setup>,
    pub context: Arc<SourceContext>,
    /// Bytes that bodies may still take, over all ports.
    pub memory: Arc<Semaphore>,
    /// Spreads the clients that are to try again.
    pub turn: AtomicU32,
}

/// What a reload changes.
#[derive(Default)]
pub struct Setup {
    pub table: Table,
    pub tls: Option<Arc<PortTls>>,
}

/// Answers a request.
pub async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, mut body) = request.into_parts();
    let json = wants_json(&head.headers);
    let answer = answer(&shared, &head, &mut body).await;
    if matches!(answer, Answer::Refused(_)) && may_drain(&head, &body) {
        body::drain(&mut body).await;
    }
    answer.response(json)
}

/// HTTP/2 has a way of saying that a body is not wanted, and so has a client that waits
/// to be told to go on.
fn may_drain(head: &Parts, body: &Incoming) -> bool {
    !body.is_end_stream() && head.version <= Version::HTTP_11 && !head.headers.contains_key(EXPECT)
}

async fn answer(shared: &Shared, head: &Parts, body: &mut Incoming) -> Answer {
    let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
    if path == HEALTH {
        return Answer::Healthy;
    }
    let setup = shared.setup.load();
    let (route, wrong_method) = match setup.table.find(host(head), &path, &head.method) {
        Found::Route(route) => (Arc::clone(route), false),
        Found::WrongMethod(route) => (Arc::clone(route), true),
        Found::Ambiguous(routes) => {
            let refusal = ambiguous(routes, &path);
            for route in routes {
                shared.context.sink.refused(&route.key, refusal.reason);
            }
            return Answer::Refused(refusal);
        }
        Found::Nothing => {
            return Answer::Refused(Refusal::new(
                StatusCode::NOT_FOUND,
                "no such path",
                "404 page not found\n",
            ));
        }
    };
    // Not held while the request waits: a reload must not have to keep old tables.
    drop(setup);
    match take(shared, &route, wrong_method, head, body).await {
        Ok(answer) => answer,
        Err(refusal) => {
            shared.context.sink.refused(&route.key, refusal.reason);
            Answer::Refused(refusal)
        }
    }
}

fn host(head: &Parts) -> Option<&str> {
    match head.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => head.headers.get(HOST)?.to_str().ok(),
    }
}

/// Says what would tell the event sources apart.
fn ambiguous(routes: &[Arc<Route>], path: &str) -> Refusal {
    /// So many ways are named.
    const NAMED: usize = 3;
    let ways: Vec<String> = routes
        .iter()
        .take(NAMED)
        .map(|route| {
            let EventKey { namespace, source, .. } = &route.key;
            format!("/{namespace}/{source}{path} (or Host: {source}-eventsource-svc.{namespace})")
        })
        .collect();
    let message = format!(
        "{} event sources have this path: send it to one of them, such as {}",
        routes.len(),
        ways.join(", "),
    );
    Refusal::new(StatusCode::CONFLICT, "ambiguous path", message)
}

async fn take(
    shared: &Shared,
    route: &Route,
    wrong_method: bool,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Answer, Refusal> {
    authorize(shared, route, &head.headers)?;
    if wrong_method {
        return Err(bad_request("wrong method", "http method does not match"));
    }
    let held = body::read(body, route.webhook.max_payload_bytes, &shared.memory)
        .await
        .map_err(|error| body_refusal(shared, error))?;
    if let Some(receiver) = &route.receiver {
        return receiver.receive(Posted { shared, route, head, body: &held.bytes }).await;
    }
    let message = match route.webhook.cloud_events {
        true => cloud_event(shared, route, head, &held)?,
        false => message(shared, route, head, payload(head, &held)?),
    };
    match shared.context.sink.append(message).await {
        Ok(accepted) => Ok(Answer::Accepted(accepted)),
        Err(error) => Err(sink_refusal(shared, &error)),
    }
}

fn authorize(shared: &Shared, route: &Route, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(secret) = &route.webhook.auth else { return Ok(()) };
    let expected =
        shared.context.secrets.secret(&route.key.namespace, secret).map_err(|error| {
            tracing::error!(
                event_source = %route.key, %error,
                "token of a webhook cannot be read, every request is answered 500"
            );
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Refusal::new(status, "token unreadable", "Error loading auth token")
        })?;
    let expected = expected.strip_suffix(b"\n").unwrap_or(&expected);
    let given = headers.get(AUTHORIZATION).and_then(|h| h.as_bytes().strip_prefix(b"Bearer "));
    let unauthorized = |text| Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", text);
    let given = given.ok_or_else(|| unauthorized("Invalid Authorization Header"))?;
    // An empty secret would let everybody in.
    if expected.is_empty() || !bool::from(given.ct_eq(expected)) {
        return Err(unauthorized("Invalid Auth token"));
    }
    Ok(())
}

fn payload(head: &Parts, held: &Held) -> Result<Payload, Refusal> {
    if head.method == Method::GET {
        // A malformed parameter is left out, as in Argo Events.
        let (fields, _malformed) = body::fields(head.uri.query().unwrap_or_default());
        return Ok(fields);
    }
    if head.method != Method::POST {
        // Misspelt in Argo Events, and kept: clients may compare it.
        let text = format!("unsupoorted method: {}", head.method);
        return Err(bad_request("method not supported", text));
    }
    // Exactly this value, without a charset, as in Argo Events.
    let form = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == FORM);
    if !form {
        let json = body::json(&held.bytes).map_err(|text| bad_request("body is not JSON", text))?;
        let json = held.bytes.slice_ref(json);
        return Ok(Payload { single: json.clone(), json });
    }
    let (fields, malformed) = body::fields(&String::from_utf8_lossy(&held.bytes));
    match malformed {
        None => Ok(fields),
        Some(text) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "malformed form", text)),
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn message(shared: &Shared, route: &Route, head: &Parts, payload: Payload) -> Message {
    Message {
        key: route.key.clone(),
        kind: KIND,
        id: event_id(route.webhook.idempotency_key.as_ref(), &head.headers, &payload.single),
        time: shared.context.clock.now(),
        data: event_data(&head.headers, &payload.json, &route.webhook.data_end),
        headers: link_headers(&head.headers),
        body: Some(payload.single),
        correlation_path: route.correlation_path.clone(),
        cloud_event: None,
    }
}

/// A request whose event keeps what it says of itself.
fn cloud_event(
    shared: &Shared,
    route: &Route,
    head: &Parts,
    held: &Held,
) -> Result<Message, Refusal> {
    let text = |name: &HeaderName, value: &HeaderValue| {
        // Others than those of a CloudEvent may hold anything.
        let value = std::str::from_utf8(value.as_bytes());
        value.map(|value| (name.as_str().to_owned(), value.to_owned())).ok()
    };
    let headers: Vec<_> =
        head.headers.iter().filter_map(|(name, value)| text(name, value)).collect();
    let named = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let taken = cloudevents::take(Binding::HTTP, named, &held.bytes)
        .map_err(|text| bad_request("not a CloudEvent", text))?;
    let json = taken.json.clone().unwrap_or_default();
    let configured = route.webhook.idempotency_key.as_ref();
    let configured = configured.and_then(|key| event_id(Some(key), &head.headers, &json));
    let mut headers = taken.links;
    headers.extend(link_headers(&head.headers));
    Ok(Message {
        key: route.key.clone(),
        kind: KIND,
        id: Some(configured.unwrap_or(taken.id)),
        time: shared.context.clock.now(),
        data: event_data(&head.headers, &taken.body, &route.webhook.data_end),
        headers,
        body: taken.json,
        correlation_path: route.correlation_path.clone(),
        cloud_event: Some(taken.event),
    })
}

/// The headers that may link an event to what went before.
fn link_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let links = |name: &str| {
        let name = name.strip_prefix("ce-").unwrap_or(name);
        let name = name.strip_prefix("x-").or(name.strip_prefix("x_")).unwrap_or(name);
        name == "traceparent"
            || name.starts_with("correlation")
            || name.starts_with("causation")
            || name.starts_with("tripline-")
    };
    headers
        .iter()
        .filter(|(name, _)| links(name.as_str()))
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect()
}

fn bad_request(reason: &'static str, text: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, reason, text)
}

fn body_refusal(shared: &Shared, error: BodyError) -> Refusal {
    match error {
        BodyError::TooLarge => bad_request(
            "body too large",
            "failed to parse request body, http: request body too large",
        ),
        BodyError::Unreadable(error) => {
            bad_request("body unreadable", format!("failed to parse request body, {error}"))
        }
        BodyError::TooSlow => Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "body too slow",
            format!("request body took longer than {} s", BODY.as_secs()),
        ),
        BodyError::Busy => try_again(shared, "too many bodies", "too many requests, try again"),
    }
}

pub(super) fn sink_refusal(shared: &Shared, error: &SinkError) -> Refusal {
    match error {
        // The cause is for the operator, who sees it elsewhere.
        SinkError::Unavailable(_) => {
            try_again(shared, "event bus unavailable", "event bus is unavailable, try again")
        }
        SinkError::TooLarge { .. } => {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "event too large", error.to_string())
        }
    }
}

pub(super) fn try_again(shared: &Shared, reason: &'static str, text: &'static str) -> Refusal {
    let turn = shared.turn.fetch_add(1, Ordering::Relaxed);
    Refusal {
        retry_after_secs: Some(1 + turn % RETRY_AFTER_SECS),
        ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason, text)
    }
}

//! What a request is answered: text as from Argo Events, or JSON if that is asked for.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use serde_json::json;

use crate::Accepted;

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// The event is durable.
    Accepted(Accepted),
    /// What came in is no event, and is done with all the same.
    #[cfg_attr(not(feature = "sns"), expect(dead_code))]
    Done,
    /// The port is there.
    Healthy,
    /// There is no event, and why.
    Refused(Refusal),
}

/// Why a request is no event.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    /// What the client is told.
    pub text: Cow<'static, str>,
    /// What is counted: one of few.
    pub reason: &'static str,
    /// In how many seconds the client may try again.
    pub retry_after_secs: Option<u32>,
}

impl Refusal {
    pub fn new(
        status: StatusCode,
        reason: &'static str,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, text: text.into(), reason, retry_after_secs: None }
    }
}

/// Whether a request asks for JSON. Clients that take anything get the text that they
/// would get from Argo Events.
pub fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/plain")
}

impl Answer {
    /// The response.
    pub fn response(self, json: bool) -> Response<Full<Bytes>> {
        match self {
            Self::Healthy => text(StatusCode::OK, Bytes::from_static(b"OK")),
            Self::Done => text(StatusCode::OK, Bytes::from_static(b"success")),
            Self::Accepted(accepted) => success(&accepted, json),
            Self::Refused(refusal) => refused(refusal, json),
        }
    }
}

fn success(accepted: &Accepted, json: bool) -> Response<Full<Bytes>> {
    let mut response = if json {
        json_body(
            StatusCode::OK,
            &json!({
                "status": "accepted",
                "id": accepted.id,
                "correlationId": accepted.correlation,
                "duplicate": accepted.duplicate,
            }),
        )
    } else {
        text(StatusCode::OK, Bytes::from_static(b"success"))
    };
    let headers = response.headers_mut();
    put(headers, "x-tripline-event-id", accepted.id.as_str());
    if let Ok(value) = HeaderValue::try_from(accepted.correlation.header_value()) {
        headers.insert("x-tripline-correlation-id", value);
    }
    if accepted.duplicate {
        headers.insert("x-tripline-duplicate", HeaderValue::from_static("true"));
    }
    response
}

fn refused(refusal: Refusal, json: bool) -> Response<Full<Bytes>> {
    let mut response = if json {
        json_body(refusal.status, &json!({"status": "refused", "error": refusal.text}))
    } else {
        let bytes = match refusal.text {
            Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        };
        text(refusal.status, bytes)
    };
    if let Some(seconds) = refusal.retry_after_secs {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// As it is where a header can hold it, else percent-encoded.
fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let plain = value.bytes().all(|c| (b' '..0x7f).contains(&c));
    let value = if plain {
        HeaderValue::from_str(value)
    } else {
        HeaderValue::try_from(utf8_percent_encode(value, CONTROLS).to_string())
    };
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

fn text(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", body)
}

fn json_body(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    response(status, "application/json", Bytes::from(body.to_string()))
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

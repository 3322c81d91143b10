//! One request to an API server, and the three ways in which it can end without success.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The most bytes of an answer: what the API server's store takes, several times.
pub(super) const MAX_ANSWER_BYTES: usize = 16 << 20;
/// How much of an error's text is kept.
const MESSAGE_BYTES: usize = 1024;
/// How much of it is shown to somebody who asked what the server says.
const SHOWN_MESSAGE_BYTES: usize = 256 << 10;
/// The longest wait that a server's `Retry-After` is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Whole objects.
const WHOLE: &str = "application/json";
/// Asks for the metadata of an object alone, where the server can do that.
const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
/// The same for a list.
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What becomes of what requests ask to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    /// It is stored.
    Stored,
    /// The API server does everything with it but store it, and says what would have come of
    /// it: `dryRun=All` of Kubernetes' API.
    Tried,
}

impl Writes {
    /// The path and query of a request that is treated so.
    fn target(self, method: &Method, path: &str) -> String {
        let query = if path.contains('?') { '&' } else { '?' };
        match self {
            Self::Tried if !method.is_safe() => format!("{path}{query}dryRun=All"),
            Self::Tried | Self::Stored => path.to_owned(),
        }
    }

    /// How much of an error's text is kept.
    fn message_bytes(self) -> usize {
        match self {
            Self::Stored => MESSAGE_BYTES,
            Self::Tried => SHOWN_MESSAGE_BYTES,
        }
    }
}

/// A request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// JSON.
    pub(crate) body: Option<Bytes>,
    /// Whom it is made as; none is Tripline itself.
    pub(crate) user: Option<&'a str>,
    /// What is to be answered.
    pub(crate) accept: &'static str,
    /// What `body` is.
    pub(crate) content_type: &'static str,
}

impl<'a> Call<'a> {
    /// Reads `path` as Tripline itself.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        let method = Method::GET;
        Self {
            method,
            path: path.into(),
            body: None,
            user: None,
            accept: WHOLE,
            content_type: WHOLE,
        }
    }

    /// Sends `body` to `path`.
    pub(crate) fn post(path: impl Into<String>, body: &serde_json::Value) -> Self {
        let body = Some(Bytes::from(body.to_string()));
        Self { method: Method::POST, body, ..Self::get(path) }
    }

    /// The same as `user`; none is Tripline itself.
    pub(crate) fn by(self, user: Option<&'a str>) -> Self {
        Self { user, ..self }
    }

    /// The same, where of the object that is answered the metadata are enough.
    pub(crate) fn metadata(self) -> Self {
        Self { accept: METADATA, ..self }
    }

    /// The same, where of the objects of a list the metadata are enough.
    pub(crate) fn list_metadata(self) -> Self {
        Self { accept: METADATA_LIST, ..self }
    }

    pub(super) fn request(&self, writes: Writes) -> Result<http::Request<Body>, http::Error> {
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(writes.target(&self.method, &self.path))
            .header(header::ACCEPT, self.accept);
        if let Some(user) = self.user {
            request = request.header("impersonate-user", user);
        }
        match &self.body {
            Some(body) => request
                .header(header::CONTENT_TYPE, self.content_type)
                .body(Body::from(body.clone())),
            None => request.body(Body::empty()),
        }
    }
}

/// Why a request has not succeeded.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// It was not sent: no connection, no credentials. Nothing was done.
    NotSent(String),
    /// It was sent, and no whole answer came. Whether it was done is not known.
    NoAnswer(String),
    /// It was answered, with an error.
    Status(Status),
}

impl Failure {
    /// The HTTP status, where there is one.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.code),
            Self::NotSent(_) | Self::NoAnswer(_) => None,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(why) | Self::NoAnswer(why) => f.write_str(why),
            Self::Status(status) => write!(f, "{} ({})", status.message, status.code),
        }
    }
}

/// An error that the API server answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// The HTTP status.
    pub(crate) code: u16,
    /// The word for it, as `AlreadyExists`; empty where something else than the API server
    /// has answered.
    pub(crate) reason: String,
    /// What it says.
    pub(crate) message: String,
    /// How long it asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The name of the object that it is about.
    pub(crate) about: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusObject {
    kind: String,
    reason: String,
    message: String,
    details: Details,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    name: String,
    retry_after_seconds: u64,
}

impl Status {
    /// What the answer of this status says.
    pub(super) fn read(code: StatusCode, headers: &HeaderMap, body: &[u8], writes: Writes) -> Self {
        let object: StatusObject = serde_json::from_slice(body).unwrap_or_default();
        let of_header = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let seconds = of_header.and_then(|text| text.trim().parse().ok());
        let seconds = seconds.or(Some(object.details.retry_after_seconds).filter(|s| *s > 0));
        let message = match object.kind.as_str() {
            "Status" if !object.message.is_empty() => object.message,
            _ => String::from_utf8_lossy(body).trim().to_owned(),
        };
        let message = match message.as_str() {
            "" => code.canonical_reason().unwrap_or("no message").to_owned(),
            _ => cut(message, writes.message_bytes()),
        };
        Self {
            code: code.as_u16(),
            reason: object.reason,
            message,
            retry_after: seconds.map(|s| Duration::from_secs(s).min(LONGEST_WAIT)),
            about: object.details.name,
        }
    }

    /// An object of that name is there.
    pub(crate) fn is_already_exists(&self) -> bool {
        self.code == 409 && self.reason == "AlreadyExists"
    }

    /// The object `name` is not there, but all around it is.
    pub(crate) fn is_not_found(&self, name: &str) -> bool {
        self.code == 404 && self.reason == "NotFound" && self.about == name
    }
}

fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    text
}

/// What was answered to a request that succeeded.
pub(crate) struct Answer(pub(super) Bytes);

impl Answer {
    /// The answer as an object. One that cannot be read has been given all the same.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.0)
            .map_err(|error| Failure::NoAnswer(format!("the answer cannot be read: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, after: Option<&str>, body: &str) -> Status {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(header::RETRY_AFTER, after.parse().unwrap());
        }
        let code = StatusCode::from_u16(code).unwrap();
        Status::read(code, &headers, body.as_bytes(), Writes::Stored)
    }

    #[test]
    fn whatever_would_write_is_only_tried_where_it_is_to_be() {
        for (method, path, tried) in [
            (Method::POST, "/api/v1/pods", "/api/v1/pods?dryRun=All"),
            (Method::PUT, "/api/v1/pods/x", "/api/v1/pods/x?dryRun=All"),
            (Method::PATCH, "/api/v1/pods/x?force=true", "/api/v1/pods/x?force=true&dryRun=All"),
            (Method::DELETE, "/api/v1/pods/x", "/api/v1/pods/x?dryRun=All"),
            (Method::GET, "/api/v1/pods", "/api/v1/pods"),
        ] {
            let call = Call { method, ..Call::get(path) };
            let uri = |writes| call.request(writes).unwrap().uri().to_string();
            assert_eq!((uri(Writes::Tried).as_str(), uri(Writes::Stored).as_str()), (tried, path));
        }
    }

    #[test]
    fn an_error_is_read_whoever_has_written_it() {
        let body = r#"{"kind":"Status","reason":"AlreadyExists","message":"m","code":409,
            "details":{"name":"x","retryAfterSeconds":2}}"#;
        let found = status(409, None, body);
        assert!(found.is_already_exists());
        assert_eq!((found.message.as_str(), found.about.as_str()), ("m", "x"));
        assert_eq!(found.retry_after, Some(Duration::from_secs(2)));
        // The API server's own limit answers with a text.
        let found = status(429, Some("7"), "Too many requests, please try again later.\n");
        assert_eq!(found.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(found.message, "Too many requests, please try again later.");
        assert_eq!(status(502, Some("99999"), "").retry_after, Some(LONGEST_WAIT));
        assert_eq!(status(502, None, "").message, "Bad Gateway");
        let long = "é".repeat(5000);
        assert!(status(500, None, &long).message.len() < 1100);
        let code = StatusCode::UNPROCESSABLE_ENTITY;
        let shown = Status::read(code, &HeaderMap::new(), long.as_bytes(), Writes::Tried);
        assert_eq!(shown.message, long);
    }
}

//! Asks a running daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tripline_bus::Log;

use super::{ControlError, SOCKET};
use crate::query::{Filter, Item};

/// How long a daemon may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest line of a listing, in bytes: a record of the largest size, with its payload
/// written as JSON twice over.
const MAX_LINE_BYTES: usize = 64 * 1024 * 1024;

/// Where a daemon is.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// It runs on this data directory.
    Directory(PathBuf),
    /// It serves this URL, to those with a token.
    Url {
        /// `http://…` or `https://…`.
        url: String,
        /// The token.
        token: Option<String>,
    },
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => f.debug_tuple("Directory").field(path).finish(),
            Self::Url { url, token } => {
                let token = token.as_ref().map(|_| "***");
                f.debug_struct("Url").field("url", url).field("token", &token).finish()
            }
        }
    }
}

/// A client of one daemon.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    /// For error messages.
    place: String,
}

impl Client {
    /// A client of the daemon at `address`; whether one runs there shows with the first
    /// question.
    pub fn connect(address: &Address) -> Result<Self, ControlError> {
        // The program does this first of all; a library may be used without it. An error
        // means that somebody else was faster, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT);
        let (builder, base, token, place) = match address {
            Address::Directory(data) => (
                builder.no_proxy().unix_socket(data.join(SOCKET)),
                "http://tripline".to_owned(),
                None,
                format!("the data directory {}", data.display()),
            ),
            Address::Url { url, token } => {
                let base = url.trim_end_matches('/').to_owned();
                (builder, base, token.clone(), url.clone())
            }
        };
        let http = builder
            .build()
            .map_err(|error| ControlError::Failed(format!("cannot make a client: {error}")))?;
        Ok(Self { http, base, token, place })
    }

    /// Whether the data directory has a socket that a daemon listens on.
    pub async fn is_served(data: &Path) -> bool {
        tokio::net::UnixStream::connect(data.join(SOCKET)).await.is_ok()
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        pairs: &[(&str, String)],
    ) -> Result<T, ControlError> {
        self.answer(self.request(Method::GET, path, pairs)).await
    }

    /// Has something done.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ControlError> {
        self.answer(self.request(Method::POST, path, &[]).json(body)).await
    }

    /// The last `limit` records of `log` that fit; and if `follow`, those that come after.
    pub async fn list(
        &self,
        log: Log,
        filter: &Filter,
        limit: usize,
        follow: bool,
    ) -> Result<ItemStream, ControlError> {
        let mut pairs = filter.to_pairs();
        pairs.push(("limit", limit.to_string()));
        pairs.push(("follow", follow.to_string()));
        let request = self.request(Method::GET, &format!("/v1/logs/{}", log.as_str()), &pairs);
        let response = self.send(request).await?;
        Ok(ItemStream { response, rest: BytesMut::new(), client: self.clone() })
    }

    /// Asks for something that is read as it comes.
    pub(super) async fn stream(
        &self,
        path: &str,
        pairs: &[(&str, String)],
    ) -> Result<Response, ControlError> {
        self.send(self.request(Method::GET, path, pairs)).await
    }

    fn request(&self, method: Method, path: &str, pairs: &[(&str, String)]) -> RequestBuilder {
        let mut url = format!("{}{path}", self.base);
        if !pairs.is_empty() {
            let query: String =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            url = format!("{url}?{query}");
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ControlError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Err(serde_json::from_slice(&body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&body);
            let text = text.trim().chars().take(200).collect::<String>();
            ControlError::from_status(status, format!("{} answered {status}: {text}", self.place))
        }))
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ControlError> {
        let body = self.send(request).await?.bytes().await;
        let body = body.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| self.strange(&error))
    }

    fn unreachable(&self, error: &reqwest::Error) -> ControlError {
        // What went wrong with the network stands at the bottom of the causes.
        let mut cause: &dyn std::error::Error = error;
        while let Some(below) = cause.source() {
            cause = below;
        }
        ControlError::Unreachable(format!(
            "the daemon at {} cannot be reached: {cause}",
            self.place
        ))
    }

    fn strange(&self, error: &serde_json::Error) -> ControlError {
        ControlError::Failed(format!(
            "the daemon at {} gave an answer that this build does not understand ({error}): use the same version",
            self.place
        ))
    }
}

/// `text` as one segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The records of a listing, as they arrive.
pub struct ItemStream {
    response: Response,
    rest: BytesMut,
    client: Client,
}

impl ItemStream {
    /// The next record; none at the end.
    pub async fn next(&mut self) -> Result<Option<Item>, ControlError> {
        loop {
            if let Some(line) = self.line() {
                return self.item(&line).map(Some);
            }
            if self.rest.len() > MAX_LINE_BYTES {
                return Err(ControlError::Failed("the daemon sent a line without end".to_owned()));
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| self.client.unreachable(&error))? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    fn line(&mut self) -> Option<Bytes> {
        let end = memchr::memchr(b'\n', &self.rest)?;
        let line = self.rest.split_to(end).freeze();
        self.rest.advance(1);
        Some(line)
    }

    fn item(&self, line: &Bytes) -> Result<Item, ControlError> {
        serde_json::from_slice(line).map_err(|error| {
            serde_json::from_slice::<ControlError>(line)
                .unwrap_or_else(|_| self.client.strange(&error))
        })
    }
}

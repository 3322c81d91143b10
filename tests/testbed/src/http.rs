//! An HTTP client that blocks, for readiness and for what is asked of servers now and then.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

/// How long one read or write may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body, with what is no UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }

    /// Itself, where the status is a success.
    ///
    /// # Errors
    /// It is none; the error shows the body.
    pub fn success(self) -> anyhow::Result<Self> {
        ensure!((200..300).contains(&self.status), "answered {}: {}", self.status, self.text());
        Ok(self)
    }
}

/// Where requests go.
#[derive(Clone)]
pub struct Http {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    headers: String,
}

impl Http {
    /// Without TLS.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None, headers: String::new() }
    }

    /// With TLS.
    pub fn tls(address: SocketAddr, config: ClientConfig) -> Self {
        Self { address, tls: Some(Arc::new(config)), headers: String::new() }
    }

    /// With another header on each request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Whether a GET is answered with a success.
    pub fn is_ok(&self, path: &str) -> bool {
        self.get(path).is_ok_and(|answer| (200..300).contains(&answer.status))
    }

    /// GET.
    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.request("GET", path, "", b"")
    }

    /// A request. One of HTTP/1.0: the end of the connection is the end of the answer, which
    /// comes in one piece.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let mut request = format!(
            "{method} {path} HTTP/1.0\r\nhost: {}\r\naccept: application/json\r\n{}",
            self.address, self.headers
        );
        if !content_type.is_empty() {
            request.push_str(&format!("content-type: {content_type}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        self.exchange(&request).with_context(|| format!("{method} {} {path}", self.address))
    }

    fn exchange(&self, request: &[u8]) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => converse(stream, request),
            Some(config) => {
                let name = ServerName::from(self.address.ip());
                let connection = ClientConnection::new(Arc::clone(config), name)?;
                converse(StreamOwned::new(connection, stream), request)
            }
        }
    }
}

fn converse(mut stream: impl Read + Write, request: &[u8]) -> anyhow::Result<Answer> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer) {
        Ok(_) => {}
        // A server need not say goodbye in TLS; what came is looked at.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(error.into()),
    }
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let head = head.with_context(|| {
        format!("what was answered is not HTTP: {:?}", String::from_utf8_lossy(&answer))
    })?;
    let status = answer.get(9..12).context("the answer has no status")?;
    let status = std::str::from_utf8(status)?.parse()?;
    let length = content_length(&answer[..head]);
    let body = answer.split_off(head + 4);
    ensure!(length.is_none_or(|length| length == body.len()), "the answer is cut off");
    Ok(Answer { status, body })
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

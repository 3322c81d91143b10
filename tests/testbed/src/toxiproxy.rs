//! A TCP proxy that is slow, or cuts connections, when told so.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::http::{Answer, Http};
use crate::install::installed;
use crate::ports::free_address;
use crate::process::Process;

/// The server of proxies.
pub struct Toxiproxy {
    _process: Process,
    _folder: Folder,
    http: Http,
    proxies: AtomicU32,
}

/// A proxy to one address, for as long as its [`Toxiproxy`] is there.
pub struct Proxy {
    http: Http,
    name: String,
    address: SocketAddr,
}

impl Toxiproxy {
    /// Starts it.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start() -> anyhow::Result<Self> {
        let program = installed("toxiproxy")?.join("toxiproxy-server");
        let folder = Folder::new("toxiproxy")?;
        let address = free_address();
        let mut command = Command::new(program);
        command.args(["-host", "127.0.0.1", "-port", &address.port().to_string()]);
        let mut process = Process::spawn("toxiproxy", command, &folder.path().join("log"))?;
        let http = Http::plain(address);
        process.ready(|| http.is_ok("/proxies"))?;
        Ok(Self { _process: process, _folder: folder, http, proxies: AtomicU32::new(0) })
    }

    /// A proxy to `upstream`, which does nothing but pass on at first.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn proxy(&self, upstream: SocketAddr) -> anyhow::Result<Proxy> {
        let name = format!("proxy-{}", self.proxies.fetch_add(1, Ordering::Relaxed));
        let address = free_address();
        let proxy = json!({
            "name": name,
            "listen": address.to_string(),
            "upstream": upstream.to_string(),
            "enabled": true,
        });
        post(&self.http, "/proxies", &proxy)?.success()?;
        Ok(Proxy { http: self.http.clone(), name, address })
    }
}

impl Proxy {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers are so late; requests are passed on at once.
    ///
    /// # Errors
    /// The proxy does not answer.
    pub fn delay(&self, latency: Duration) -> anyhow::Result<()> {
        let latency = u64::try_from(latency.as_millis())?;
        self.answers("latency", &json!({ "latency": latency }))
    }

    /// Requests are passed on, and answers never come. Connections stay open.
    ///
    /// # Errors
    /// The proxy does not answer.
    pub fn swallow_answers(&self) -> anyhow::Result<()> {
        self.answers("timeout", &json!({ "timeout": 0 }))
    }

    /// Connections end, and new ones are refused.
    ///
    /// # Errors
    /// The proxy does not answer.
    pub fn cut(&self) -> anyhow::Result<()> {
        self.enabled(false)
    }

    /// All is passed on again. Connections whose answers were swallowed end.
    ///
    /// # Errors
    /// The proxy does not answer.
    pub fn restore(&self) -> anyhow::Result<()> {
        self.forget()?;
        self.enabled(true)
    }

    fn enabled(&self, enabled: bool) -> anyhow::Result<()> {
        let path = format!("/proxies/{}", self.name);
        post(&self.http, &path, &json!({ "enabled": enabled }))?.success().map(drop)
    }

    /// What happens to answers, instead of what happened to them before.
    fn answers(&self, kind: &str, attributes: &Value) -> anyhow::Result<()> {
        self.forget()?;
        let toxic = json!({
            "name": "answers", "type": kind, "stream": "downstream", "attributes": attributes,
        });
        post(&self.http, &format!("/proxies/{}/toxics", self.name), &toxic)?.success().map(drop)
    }

    fn forget(&self) -> anyhow::Result<()> {
        let path = format!("/proxies/{}/toxics/answers", self.name);
        let answer = self.http.request("DELETE", &path, "", b"")?;
        ensure!(matches!(answer.status, 204 | 404), "{}: {}", answer.status, answer.text());
        Ok(())
    }
}

fn post(http: &Http, path: &str, body: &Value) -> anyhow::Result<Answer> {
    http.request("POST", path, "application/json", body.to_string().as_bytes())
}

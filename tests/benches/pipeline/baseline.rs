//! What the servers do that the daemon is compared with.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::Incoming;
use tokio::sync::{Mutex, mpsc};
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::{Append, Bus as _, Log};
use tripline_tests::bare;
use tripline_tests::load::{correlation_id, number_in};

/// How many calls are made at once.
const CALLS: usize = 64;
/// How many calls wait.
const WAITING: usize = 1024;

/// Serves until the process is killed.
pub fn serve(
    what: &str,
    address: SocketAddr,
    directory: &Path,
    sink: Option<&str>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match what {
            "echo" => bare::serve(address, bare::read).await,
            "bare" => {
                let path = BarePath::start(directory, sink.context("--sink is missing")?)?;
                let path = Arc::new(path);
                bare::serve(address, move |request| Arc::clone(&path).take(request)).await
            }
            other => bail!("there is no server `{other}`"),
        }
    })
}

/// One synced append, then a call.
struct BarePath {
    bus: EmbeddedBus,
    calls: mpsc::Sender<(String, Bytes)>,
}

impl BarePath {
    fn start(directory: &Path, sink: &str) -> anyhow::Result<Self> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let bus = EmbeddedBus::open(&directory.join("data"), &OpenOptions::default())?;
        let (calls, waiting) = mpsc::channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        let client = reqwest::Client::builder().build()?;
        for _ in 0..CALLS {
            tokio::spawn(call(client.clone(), sink.to_owned(), Arc::clone(&waiting)));
        }
        Ok(Self { bus, calls })
    }

    async fn take(self: Arc<Self>, request: Request<Incoming>) -> anyhow::Result<()> {
        let id = request.headers().get("webhook-id").context("no id")?.to_str()?;
        let correlation = correlation_id(number_in(id).context("no number")?);
        let body = request.collect().await?.to_bytes();
        let append = Append { dedup: None, record: body.clone() };
        self.bus.append(Log::Events, vec![append]).await?;
        Ok(self.calls.send((correlation, body)).await?)
    }
}

async fn call(
    client: reqwest::Client,
    url: String,
    waiting: Arc<Mutex<mpsc::Receiver<(String, Bytes)>>>,
) {
    loop {
        let Some((correlation, body)) = waiting.lock().await.recv().await else { return };
        let request = client.post(&url).header("x-correlation-id", correlation).body(body);
        // The sink's count shows what is missing.
        if let Ok(response) = request.send().await {
            drop(response.bytes().await);
        }
    }
}

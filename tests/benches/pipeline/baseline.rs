//! Servers to compare with, each in a process of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::{Append, Bus as _, Log};
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
        let path = match what {
            "echo" => None,
            "bare" => Some(BarePath::start(directory, sink.context("--sink is missing")?)?),
            other => bail!("there is no server `{other}`"),
        };
        accept(TcpListener::bind(address).await?, path.map(Arc::new)).await
    })
}

async fn accept(listener: TcpListener, path: Option<Arc<BarePath>>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let path = path.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let path = path.clone();
                async move { Ok::<_, Infallible>(answer(path.as_deref(), request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A generator that ends cuts its connections off.
            drop(connection.await);
        });
    }
}

async fn answer(path: Option<&BarePath>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let taken = match path {
        Some(path) => path.take(request).await,
        None => request.collect().await.map(drop).map_err(anyhow::Error::from),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(b"success")));
    if let Err(error) = taken {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        *response.body_mut() = Full::new(Bytes::from(error.to_string()));
    }
    response
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

    async fn take(&self, request: Request<Incoming>) -> anyhow::Result<()> {
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

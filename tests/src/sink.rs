//! A lean HTTP server that takes everything and notes what it was sent, and when.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::load::number_in;
use crate::ports::free_port;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The number in its correlation id.
    pub number: Option<u64>,
    /// Its correlation id, from the header.
    pub correlation: Box<str>,
    /// Its `Idempotency-Key`.
    pub key: Box<str>,
    /// When.
    pub at: Instant,
}

/// The server; it runs until the process ends.
#[derive(Clone)]
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    count: AtomicU64,
    receipts: Mutex<Vec<Receipt>>,
}

impl Sink {
    /// Starts one, on a thread of its own.
    ///
    /// # Errors
    /// It cannot listen.
    pub fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared::default());
        let sink = Self { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || runtime.block_on(serve(listener, shared)));
        Ok(sink)
    }

    /// The URL to send to.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many requests it was sent.
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Acquire)
    }

    /// What it was sent since the last time it was asked.
    pub fn take(&self) -> Vec<Receipt> {
        std::mem::take(&mut *self.shared.receipts())
    }

    /// Waits until it was sent `count` requests in all.
    ///
    /// # Errors
    /// No request arrives for `quiet`.
    pub async fn has_received(&self, count: u64, quiet: Duration) -> anyhow::Result<()> {
        let (mut last, mut since) = (self.count(), Instant::now());
        while self.count() < count {
            if self.count() > last {
                (last, since) = (self.count(), Instant::now());
            }
            ensure!(
                since.elapsed() < quiet,
                "the sink was sent {last} requests of {count}, and none for {quiet:?}"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

impl Shared {
    fn receipts(&self) -> MutexGuard<'_, Vec<Receipt>> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, request: &Request<Incoming>) {
        let header = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default()
        };
        let correlation = header("x-correlation-id");
        let receipt = Receipt {
            number: number_in(correlation),
            correlation: correlation.into(),
            key: header("idempotency-key").into(),
            at: Instant::now(),
        };
        self.receipts().push(receipt);
        self.count.fetch_add(1, Ordering::Release);
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a runtime with I/O takes any socket");
    loop {
        // Without a connection, the next one may be there: too many open files, at worst.
        let Ok((stream, _)) = listener.accept().await else { continue };
        drop(stream.set_nodelay(true));
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|mut request: Request<Incoming>| {
                let shared = Arc::clone(&shared);
                async move {
                    shared.note(&request);
                    while let Some(Ok(_)) = request.body_mut().frame().await {}
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A client that is killed ends its connections anyhow.
            drop(connection.await);
        });
    }
}

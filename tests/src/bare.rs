//! Servers to compare the daemon with, each in a process of its own: the benchmark's program, started
//! once more.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::daemon::SOON;
use crate::load::Connection;
use crate::ports::free_port;

/// Serves HTTP until the process is killed. Each request is answered when `take` has ended: 200, or 500
/// where it failed.
///
/// # Errors
/// Nobody can listen there.
pub async fn serve<F, T>(address: SocketAddr, take: F) -> anyhow::Result<()>
where
    F: Fn(Request<Incoming>) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let take = take.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let taken = take(request);
                async move { Ok::<_, Infallible>(answer(taken.await)) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A generator that ends cuts its connections off.
            drop(connection.await);
        });
    }
}

/// Reads a request, and does nothing else.
///
/// # Errors
/// It is cut off.
pub async fn read(request: Request<Incoming>) -> anyhow::Result<()> {
    Ok(request.collect().await.map(drop)?)
}

fn answer(taken: anyhow::Result<()>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"success")));
    if let Err(error) = taken {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        *response.body_mut() = Full::new(Bytes::from(error.to_string()));
    }
    response
}

/// Such a server. One that is dropped is killed.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts the program that runs with these arguments and `--listen ADDRESS`, and waits until it
    /// listens.
    ///
    /// # Errors
    /// It does not.
    pub async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).args(["--listen", &address.to_string()]).stdin(Stdio::null());
        let server = Self { child: command.spawn()?, address };
        let deadline = Instant::now() + SOON;
        while Connection::open(address).await.is_err() {
            ensure!(Instant::now() < deadline, "{arguments:?} does not listen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(server)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

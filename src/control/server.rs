//! Accepts connections and serves the routes on them, until it is told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::access::{Caller, Right, Tokens};
use super::daemon::Daemon;
use super::routes::{self, Access};
use super::{ControlError, MAX_CONNECTIONS, socket};

/// How long a client may take to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests may take to end after a stop.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait after a connection could not be accepted: most often there are too
/// many open files, and trying again at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the control API is served.
pub enum Listener {
    /// In the data directory; see [`socket::bind`].
    Unix(UnixListener),
    /// On an address, to those who have a token.
    Tcp(TcpListener, Tokens),
}

impl Listener {
    /// The socket in the data directory. The caller holds the directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn unix(data: &Path) -> Result<Self, ControlError> {
        socket::bind(data).map(Self::Unix)
    }

    /// An address. What goes over it is not encrypted: it belongs on a loopback interface,
    /// or behind something that speaks TLS.
    ///
    /// # Errors
    /// When it cannot be listened on.
    pub async fn tcp(address: SocketAddr, tokens: Tokens) -> Result<Self, ControlError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| ControlError::Failed(format!("control address {address}: {error}")))?;
        Ok(Self::Tcp(listener, tokens))
    }

    /// The address that is listened on; none of a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(listener, _) => listener.local_addr().ok(),
        }
    }
}

/// Serves until `stop`; then ends the streams, and waits a few seconds for what runs.
pub async fn serve(listener: Listener, daemon: Arc<dyn Daemon>, stop: CancellationToken) {
    let routes = routes::routes(daemon, stop.clone());
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { break };
        let accept = async {
            match &listener {
                Listener::Unix(listener) => accept_unix(listener, &routes, &graceful, permit).await,
                Listener::Tcp(listener, tokens) => {
                    let (stream, _) = listener.accept().await?;
                    let access = Access::Tokens(tokens.clone());
                    serve_connection(stream, access, &routes, &graceful, permit);
                    Ok(())
                }
            }
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept => accepted,
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "control API: a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("control API: a request did not end in time, and was cut off");
    }
}

async fn accept_unix(
    listener: &UnixListener,
    routes: &Router,
    graceful: &GracefulShutdown,
    permit: OwnedSemaphorePermit,
) -> std::io::Result<()> {
    let (stream, _) = listener.accept().await?;
    // Whoever the socket's permissions let in may do everything; the name is for the record.
    let who = socket::user_name(stream.peer_cred()?.uid());
    let access = Access::Peer(Caller { who, right: Right::Operate });
    serve_connection(stream, access, routes, graceful, permit);
    Ok(())
}

fn serve_connection<S>(
    stream: S,
    access: Access,
    routes: &Router,
    graceful: &GracefulShutdown,
    permit: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(routes.clone().layer(Extension(access)));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::spawn(ended(graceful.watch(connection), permit));
}

async fn ended<E: std::fmt::Display>(
    connection: impl Future<Output = Result<(), E>>,
    permit: OwnedSemaphorePermit,
) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "control API: a connection was broken off");
    }
    drop(permit);
}

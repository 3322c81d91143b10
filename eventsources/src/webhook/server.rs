//! One HTTP server for each port: accepts connections, and serves HTTP/1.1 and HTTP/2 on
//! each, with or without TLS.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::{FIRST_REQUEST, IDLE, MAX_CONNECTIONS, MAX_STREAMS};
use super::request::{Shared, respond};

/// How long a connection on which nothing was asked stays when everything stops: what a
/// producer needs from the connection to its request.
const LAST_CHANCE: Duration = Duration::from_millis(500);
/// The pause after the kernel could not give a connection: too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `listener` until `stop` is cancelled. Connections that are open then finish the
/// request that they are at, as tasks of `tasks`.
pub async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let permit = Arc::clone(&connections).acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection =
                    connection(stream, Arc::clone(&shared), tasks.clone(), stop.clone());
                tasks.spawn(async move {
                    if AssertUnwindSafe(connection).catch_unwind().await.is_err() {
                        tracing::error!(%peer, "a webhook request panicked, its connection is closed");
                    }
                    drop(permit);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "webhook connection cannot be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection(
    stream: TcpStream,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "webhook connection without TCP_NODELAY");
    }
    let tls = shared.setup.load().tls.clone();
    let Some(tls) = tls else { return serve_connection(stream, shared, tasks, stop).await };
    let Ok(acceptor) = tls.acceptor() else { return };
    match timeout(FIRST_REQUEST, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve_connection(stream, shared, tasks, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake of a webhook connection"),
        Err(_elapsed) => {}
    }
}

async fn serve_connection<S>(
    stream: S,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = AtomicBool::new(false);
    let begun = Notify::new();
    let service = service_fn(|request| {
        asked.store(true, Ordering::Relaxed);
        begun.notify_one();
        respond(Arc::clone(&shared), request).map(Ok::<_, std::convert::Infallible>)
    });
    let builder = builder(tasks);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut first = pin!(sleep(FIRST_REQUEST));
    let mut stopped = pin!(stop.cancelled());
    let mut last_chance = pin!(async {
        stop.cancelled().await;
        sleep(LAST_CHANCE).await;
    });
    let (mut first_is_due, mut stopping, mut closing) = (true, false, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error, "webhook connection");
                }
                return;
            }
            () = &mut first, if first_is_due => {
                first_is_due = false;
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
            }
            () = &mut stopped, if !stopping => {
                stopping = true;
            }
            // The request of a connection that was just made is on its way.
            () = begun.notified(), if stopping && !closing && !asked.load(Ordering::Relaxed) => {}
            () = &mut last_chance, if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
        if stopping && !closing && asked.load(Ordering::Relaxed) {
            closing = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

fn builder(tasks: TaskTracker) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(Tracked(tasks));
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(IDLE / 2)
        .keep_alive_timeout(FIRST_REQUEST)
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

/// Runs the streams of an HTTP/2 connection as tasks that a shutdown waits for.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

//! An HTTP server that notes what it is asked, and is late, or fails, when it is told to.
//!
//! It does not recognise a request that it has had before: `Idempotency-Key` is what it is told
//! apart by afterwards.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

/// How long its triggers wait for an answer, in seconds.
pub const TIMEOUT_SECONDS: u64 = 1;
/// Later than that.
const TOO_LATE: Duration = Duration::from_millis(1500);

/// The server, for as long as the runtime is there.
#[derive(Clone, Default)]
pub struct Target {
    shared: Arc<Shared>,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its path, without the slash before it.
    pub path: String,
    /// When it came.
    pub at: Instant,
    /// Its `Idempotency-Key`: the action.
    pub action: String,
    /// Its correlation id.
    pub correlation: String,
}

#[derive(Default)]
struct Shared {
    late: AtomicBool,
    flaky: AtomicBool,
    asked: AtomicU64,
    done: Mutex<Vec<Request>>,
}

impl Target {
    /// Starts one.
    ///
    /// # Errors
    /// It cannot listen.
    pub async fn start() -> anyhow::Result<(Self, SocketAddr)> {
        let target = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router =
            Router::new().route("/{path}", post(answer)).with_state(Arc::clone(&target.shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((target, address))
    }

    /// From now on it answers when nobody waits any more, or in time again.
    pub fn set_late(&self, late: bool) {
        self.shared.late.store(late, Ordering::Relaxed);
    }

    /// From now on it fails every second time, or does not any more.
    pub fn set_flaky(&self, flaky: bool) {
        self.shared.flaky.store(flaky, Ordering::Relaxed);
    }

    /// What was done, each time that it was.
    pub fn done(&self) -> Vec<Request> {
        self.shared.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    let asked = shared.asked.fetch_add(1, Ordering::Relaxed);
    if shared.flaky.load(Ordering::Relaxed) && asked % 2 == 0 {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let header = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (action, correlation) = (header("idempotency-key"), header("x-correlation-id"));
    let request = Request { path, at: Instant::now(), action, correlation };
    shared.done.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    if shared.late.load(Ordering::Relaxed) {
        tokio::time::sleep(TOO_LATE).await;
    }
    StatusCode::OK
}

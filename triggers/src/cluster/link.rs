//! The connections to one cluster: kept, bounded, and made anew when credentials change.
//!
//! One pool serves all identities: whom a request is made as is a header of its own.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{AuthError, ConfigExt as _};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tower::{BoxError, ServiceBuilder};
use tripline_event::{Clock, Timestamp};

use super::call::{Answer, Call, Failure, MAX_ANSWER_BYTES, Status, Writes};
use super::kubeconfig::{self, Fingerprint};
use super::settings::ClusterDefinition;
use crate::SecretLookup;

/// How often it is looked whether the kubeconfig has changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Credentials that end within this time are asked for again.
const RENEW_BEFORE: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);
/// For how long a connection without requests is kept.
const IDLE: Duration = Duration::from_secs(90);

/// The way to one cluster.
pub(super) struct Link {
    definition: ClusterDefinition,
    secrets: Arc<dyn SecretLookup>,
    clock: Arc<dyn Clock>,
    writes: Writes,
    permits: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Live>>,
    looked_at: Option<Instant>,
    /// Whoever waited while this was found out need not find it out again.
    failed: Option<(Instant, String)>,
}

/// Connections with credentials that are good for a while.
pub(super) struct Live {
    pub(super) client: kube::Client,
    fingerprint: Option<Fingerprint>,
    valid_until: Option<Timestamp>,
    made_at: Instant,
}

impl Link {
    pub(super) fn new(
        definition: ClusterDefinition,
        secrets: Arc<dyn SecretLookup>,
        clock: Arc<dyn Clock>,
        writes: Writes,
    ) -> Self {
        let permits = Semaphore::new(definition.spec.in_flight() as usize);
        Self { definition, secrets, clock, writes, permits, state: Mutex::default() }
    }

    pub(super) fn definition(&self) -> &ClusterDefinition {
        &self.definition
    }

    /// Makes a request and waits for the whole answer.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let not_sent = |error: http::Error| Failure::NotSent(error.to_string());
        let request = call.request(self.writes).map_err(not_sent)?;
        // Never closed: an error would be a mistake of this file.
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| Failure::NotSent("the cluster is not in use any more".to_owned()))?;
        let live = self.live().await.map_err(Failure::NotSent)?;
        let timeout = self.definition.spec.request_timeout();
        let exchange = exchange(&live.client, request, self.writes);
        let failure = match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::NoAnswer(format!("no answer within {} s", timeout.as_secs())),
        };
        // Rotated credentials, or a rotated certificate of the server.
        if failure.code() == Some(401) || matches!(failure, Failure::NotSent(_)) {
            self.forget(&live).await;
        }
        Err(failure)
    }

    /// A client with credentials that are good now, for what takes longer than a call.
    ///
    /// # Errors
    /// Why there is none, for the operator. There is none where writes are only tried: what is
    /// done with it would be stored.
    pub(super) async fn client(&self) -> Result<kube::Client, String> {
        match self.writes {
            Writes::Stored => self.live().await.map(|live| live.client.clone()),
            Writes::Tried => Err("nothing but calls is made in a dry run".to_owned()),
        }
    }

    /// Connections with credentials that are good now.
    ///
    /// # Errors
    /// Why there are none, for the operator.
    async fn live(&self) -> Result<Arc<Live>, String> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some((at, why)) = &state.failed
            && *at >= asked
        {
            return Err(why.clone());
        }
        let made = self.renewed(&mut state).await;
        state.failed = made.as_ref().err().map(|why| (Instant::now(), why.clone()));
        made
    }

    async fn renewed(&self, state: &mut State) -> Result<Arc<Live>, String> {
        let soon = self.clock.now().saturating_add(RENEW_BEFORE).unwrap_or(Timestamp::MAX);
        // Credentials that never last longer are used for as long as they were just made.
        let expired = |live: &Arc<Live>| {
            live.made_at.elapsed() >= LOOK_EVERY
                && live.valid_until.is_some_and(|valid_until| valid_until <= soon)
        };
        let looked = state.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        let live = state.live.clone().filter(|live| !expired(live));
        if let Some(live) = &live
            && looked
        {
            return Ok(Arc::clone(live));
        }
        let read = kubeconfig::read(&self.definition, &self.secrets).await;
        state.looked_at = Some(Instant::now());
        let read = match (read, &live) {
            (Ok(read), _) => read,
            // A Secret that is replaced may be away for a moment: what is there goes on.
            (Err(_), Some(live)) => return Ok(Arc::clone(live)),
            (Err(why), None) => return Err(why),
        };
        let fingerprint = read.as_ref().map(|(_, fingerprint)| *fingerprint);
        if let Some(live) = live.filter(|live| live.fingerprint == fingerprint) {
            return Ok(live);
        }
        let access =
            kubeconfig::access(&self.definition, read.map(|(kubeconfig, _)| kubeconfig)).await?;
        let client = self.connected(&access.config)?;
        let live = Arc::new(Live {
            client,
            fingerprint,
            valid_until: access.valid_until,
            made_at: Instant::now(),
        });
        state.live = Some(Arc::clone(&live));
        Ok(live)
    }

    /// The credentials of `live` are not good any more.
    async fn forget(&self, live: &Arc<Live>) {
        let mut state = self.state.lock().await;
        // Many requests fail at once; the credentials are asked for again once.
        let same = state.live.as_ref().is_some_and(|now| Arc::ptr_eq(now, live));
        if same && live.made_at.elapsed() > LOOK_EVERY {
            state.live = None;
        }
    }

    fn connected(&self, config: &kube::Config) -> Result<kube::Client, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        let whence = self.definition.whence();
        let wrong = |error: kube::Error| format!("{whence}: {error}");
        let tls = config.rustls_https_connector_with_connector(tcp).map_err(wrong)?;
        // With the handshake: a server that accepts and says nothing is not connected to.
        let connector = ServiceBuilder::new()
            .map_future(Box::pin)
            .timeout(self.definition.spec.connect_timeout())
            .service(tls);
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(self.definition.spec.in_flight() as usize)
            .build(connector);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer().map_err(wrong)?)
            .map_err(BoxError::from)
            .service(pool);
        Ok(kube::Client::new(service, config.default_namespace.clone()))
    }
}

async fn exchange(
    client: &kube::Client,
    request: http::Request<kube::client::Body>,
    writes: Writes,
) -> Result<Answer, Failure> {
    let response = client.send(request).map(|sent| sent.map_err(failure)).await?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    if parts.status.is_success() {
        let body =
            body.map_err(|error| Failure::NoAnswer(format!("the answer broke off: {error}")))?;
        return Ok(Answer(body.to_bytes()));
    }
    // The status is an answer, even if what explains it has broken off.
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    Err(Failure::Status(Status::read(parts.status, &parts.headers, &body, writes)))
}

/// Whether a request that has failed was sent.
pub(super) fn failure(error: kube::Error) -> Failure {
    let mut text = String::new();
    let mut sent = true;
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        let pooled = error.downcast_ref::<legacy::Error>();
        sent &= !pooled.is_some_and(legacy::Error::is_connect) && !error.is::<AuthError>();
        let said = error.to_string();
        // Wrappers repeat what they wrap.
        if !text.contains(&said) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
        cause = error.source();
    }
    let text = text.trim_start_matches("ServiceError: ").to_owned();
    if sent { Failure::NoAnswer(text) } else { Failure::NotSent(text) }
}

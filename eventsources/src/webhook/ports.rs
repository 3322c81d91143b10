//! The ports that are listened on, and what a reload changes about them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tripline_config::Problem;
use tripline_event::{EventKey, Timestamp};

use super::KIND;
use super::config::TlsRefs;
use super::limits::MAX_BODY_BYTES;
use super::listeners::Listeners;
use super::request::{Setup, Shared};
use super::server::serve;
use super::table::{Route, Table};
use super::tls::PortTls;
use crate::codes;
use crate::health::{Health, SourceStatus};
use crate::source::{SourceContext, SourceError};
use crate::supervise::supervise;

/// The ports that are listened on.
pub struct Ports {
    context: Arc<SourceContext>,
    memory: Arc<Semaphore>,
    listeners: Arc<Listeners>,
    tasks: TaskTracker,
    stop: CancellationToken,
    open: BTreeMap<u16, Port>,
    /// Events that no port can serve, since when, and why.
    unserved: Vec<(EventKey, Timestamp, String)>,
}

struct Port {
    shared: Arc<Shared>,
    socket: Arc<Socket>,
    health: Health,
    stop: CancellationToken,
    routes: Vec<Arc<Route>>,
}

impl Ports {
    /// No ports yet. All tasks are `tasks` and end some time after `stop` is cancelled.
    pub fn new(
        context: Arc<SourceContext>,
        listeners: Arc<Listeners>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let memory = Arc::new(Semaphore::new(MAX_BODY_BYTES));
        let (open, unserved) = (BTreeMap::new(), Vec::new());
        Self { context, memory, listeners, tasks, stop, open, unserved }
    }

    /// From here on exactly these events come in. A port that stays is listened on all
    /// the time, and a request on it sees either the old routes or the new ones.
    pub fn apply(&mut self, routes: Vec<Arc<Route>>) -> Vec<(EventKey, Problem)> {
        let mut by_port: BTreeMap<u16, Vec<Arc<Route>>> = BTreeMap::new();
        for route in routes {
            by_port.entry(route.webhook.port).or_default().push(route);
        }
        self.open.retain(|number, port| {
            let stays = by_port.contains_key(number);
            if !stays {
                port.stop.cancel();
                if let Some(address) = port.socket.address() {
                    self.listeners.release(address.port());
                }
            }
            stays
        });
        let mut problems = Vec::new();
        self.unserved.clear();
        for (number, routes) in by_port {
            let (routes, conflicts) = with_one_tls(routes);
            let now = self.context.clock.now();
            let why = conflicts.iter().map(|(key, why)| (key.clone(), now, why.message.clone()));
            self.unserved.extend(why);
            problems.extend(conflicts);
            problems.extend(self.apply_port(number, routes));
        }
        problems
    }

    fn apply_port(&mut self, number: u16, routes: Vec<Arc<Route>>) -> Vec<(EventKey, Problem)> {
        let mut problems = Vec::new();
        let tls = routes.first().and_then(|first| self.tls(number, first));
        let setup = Setup { table: Table::new(routes.iter().cloned()), tls: tls.clone() };
        let all = routes.clone();
        let of_all = |code: &str, name: &str, error: &str| -> Vec<(EventKey, Problem)> {
            let problem = |route: &Route| Problem::error(code, route.field(name), error);
            all.iter().map(|route| (route.key.clone(), problem(route))).collect()
        };
        if let Some(port) = self.open.get_mut(&number) {
            port.shared.setup.store(Arc::new(setup));
            port.routes = routes;
        } else {
            let (port, opened) = self.open_port(number, setup, routes);
            if let Err(error) = opened {
                problems.extend(of_all(codes::LISTEN, "port", &error));
            }
            self.open.insert(number, port);
        }
        // Read now, so that a certificate that cannot be used is told now.
        if let Some(Err(error)) = tls.map(|tls| tls.acceptor().map(drop)) {
            problems.extend(of_all(codes::TLS, "serverCertSecret", &error));
        }
        problems
    }

    /// The certificate that `route` names: the one in use, if that is it.
    fn tls(&self, number: u16, route: &Route) -> Option<Arc<PortTls>> {
        let (namespace, refs) = tls_of(route)?;
        let present = self.open.get(&number).and_then(|port| port.shared.setup.load().tls.clone());
        present.filter(|tls| tls.is(namespace, refs)).or_else(|| {
            Some(Arc::new(PortTls::new(namespace, refs, Arc::clone(&self.context.secrets))))
        })
    }

    /// Listens on a port. Where that fails now, it is tried again until it works.
    fn open_port(
        &self,
        number: u16,
        setup: Setup,
        routes: Vec<Arc<Route>>,
    ) -> (Port, Result<(), String>) {
        let settings = &self.context.settings;
        let socket = Arc::new(Socket {
            listeners: Arc::clone(&self.listeners),
            wanted: SocketAddr::new(settings.bind, (settings.listen_port)(number)),
            bound: Mutex::default(),
            prepared: Mutex::default(),
        });
        let opened = socket.prepare();
        let shared = Arc::new(Shared {
            setup: ArcSwap::from_pointee(setup),
            context: Arc::clone(&self.context),
            memory: Arc::clone(&self.memory),
            turn: AtomicU32::new(0),
        });
        let health = Health::new(Arc::clone(&self.context.clock));
        match &opened {
            Ok(()) => health.ready("listening"),
            Err(error) => health.failing(error.as_str()),
        }
        let stop = self.stop.child_token();
        let start = {
            let (shared, socket, health) =
                (Arc::clone(&shared), Arc::clone(&socket), health.clone());
            let (tasks, stop) = (self.tasks.clone(), stop.clone());
            move || {
                let (shared, socket, health) =
                    (Arc::clone(&shared), Arc::clone(&socket), health.clone());
                let (tasks, stop) = (tasks.clone(), stop.clone());
                async move {
                    let listener = socket.listener().map_err(SourceError)?;
                    health.ready("listening");
                    serve(listener, shared, tasks, stop).await;
                    Ok(())
                }
            }
        };
        let name = format!("{KIND} port {number}");
        let tasks = self.tasks.clone();
        self.tasks.spawn(supervise(name, tasks, stop.clone(), health.clone(), start));
        (Port { shared, socket, health, stop, routes }, opened)
    }

    /// How each event is.
    pub fn status(&self) -> impl Iterator<Item = SourceStatus> {
        let unserved = self.unserved.iter().map(|(key, since, why)| SourceStatus {
            key: key.clone(),
            kind: KIND,
            ready: false,
            detail: why.clone(),
            since: *since,
            address: None,
        });
        let served = self.open.values().flat_map(|port| {
            let state = port.health.state();
            let tls_error = port.shared.setup.load().tls.as_ref().and_then(|tls| tls.error());
            let address = port.socket.address();
            port.routes.iter().map(move |route| SourceStatus {
                key: route.key.clone(),
                kind: route.kind(),
                ready: state.ready && tls_error.is_none(),
                detail: match (&tls_error, address) {
                    (Some(error), _) => error.clone(),
                    (None, Some(address)) if state.ready => {
                        let webhook = &route.webhook;
                        format!("{} {address}{}", webhook.method, webhook.endpoint.as_str())
                    }
                    (None, _) => state.detail.clone(),
                },
                since: state.since,
                address,
            })
        });
        served.chain(unserved)
    }

    /// The addresses that are listened on, by configured port.
    pub fn addresses(&self) -> BTreeMap<u16, SocketAddr> {
        let address = |(number, port): (&u16, &Port)| Some((*number, port.socket.address()?));
        self.open.iter().filter_map(address).collect()
    }
}

/// Namespace and secrets of a route's certificate.
fn tls_of(route: &Route) -> Option<(&str, &TlsRefs)> {
    route.webhook.tls.as_ref().map(|refs| (route.key.namespace.as_str(), refs))
}

/// Why two routes of one port cannot be served together, if so: one connection has one
/// certificate, or none.
pub fn tls_conflict(a: &Route, b: &Route) -> Option<&'static str> {
    (tls_of(a) != tls_of(b)).then_some("the webhooks of one port must have the same certificate")
}

/// The routes that agree with the first one, in order of their keys, about TLS; the
/// others cannot be served.
fn with_one_tls(mut routes: Vec<Arc<Route>>) -> (Vec<Arc<Route>>, Vec<(EventKey, Problem)>) {
    routes.sort_by(|a, b| a.key.cmp(&b.key));
    let Some(first) = routes.first().cloned() else { return (routes, Vec::new()) };
    let mut problems = Vec::new();
    routes.retain(|route| {
        let Some(conflict) = tls_conflict(&first, route) else { return true };
        let message =
            format!("{conflict}, and port {} has that of {}", route.webhook.port, first.key);
        let problem = Problem::error(codes::TLS, route.field("port"), message);
        problems.push((route.key.clone(), problem.help("choose another port")));
        false
    });
    (routes, problems)
}

/// Where a port listens.
struct Socket {
    listeners: Arc<Listeners>,
    wanted: SocketAddr,
    bound: Mutex<Option<SocketAddr>>,
    /// Listens already, and waits for the task that serves it.
    prepared: Mutex<Option<TcpListener>>,
}

impl Socket {
    fn address(&self) -> Option<SocketAddr> {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(&self) -> Result<(), String> {
        let listener = self.bind()?;
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
        Ok(())
    }

    fn listener(&self) -> Result<TcpListener, String> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).take();
        prepared.map_or_else(|| self.bind(), Ok)
    }

    fn bind(&self) -> Result<TcpListener, String> {
        let wanted = self.address().unwrap_or(self.wanted);
        let listener = self
            .listeners
            .listen(wanted)
            .map_err(|error| format!("cannot listen on {wanted}: {error}"))?;
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = listener.local_addr().ok();
        Ok(listener)
    }
}

//! The event sources that run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tripline_config::Problem;
use tripline_event::{DefinitionHash, EventKey};

use crate::definition::{EventDefinition, SourceConfig, route};
use crate::health::{Health, SourceStatus};
use crate::source::{EventSource, Running, SourceContext};
use crate::supervise::supervise;
use crate::webhook::{Listeners, Ports};

/// The event sources that run. All of their tasks are known here: [`Self::shutdown`]
/// returns when the last has ended.
pub struct Sources {
    context: Arc<SourceContext>,
    tasks: TaskTracker,
    stop: CancellationToken,
    listeners: Arc<Listeners>,
    running: Mutex<All>,
}

struct All {
    ports: Ports,
    pulling: BTreeMap<EventKey, Pulling>,
}

/// A source that runs as a task of its own.
struct Pulling {
    kind: &'static str,
    hash: DefinitionHash,
    health: Health,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Sources {
    /// None yet.
    pub fn new(context: SourceContext) -> Self {
        Self::with_listeners(context, Arc::default())
    }

    /// None yet; what listens takes its sockets from these.
    pub fn with_listeners(context: SourceContext, listeners: Arc<Listeners>) -> Self {
        let (context, tasks) = (Arc::new(context), TaskTracker::new());
        let stop = CancellationToken::new();
        let ports = Ports::new(
            Arc::clone(&context),
            Arc::clone(&listeners),
            tasks.clone(),
            stop.child_token(),
        );
        let running = Mutex::new(All { ports, pulling: BTreeMap::new() });
        Self { context, tasks, stop, listeners, running }
    }

    /// From here on exactly these events come in. What is unchanged goes on undisturbed;
    /// what is new starts; what is gone stops, and what is changed stops before it starts
    /// again. Must be called in a tokio runtime.
    ///
    /// Returns what cannot work at present (a port that is taken, a secret that is
    /// missing); it is tried again until it works.
    pub fn apply(&self, definitions: Vec<EventDefinition>) -> Vec<(EventKey, Problem)> {
        if self.stop.is_cancelled() {
            return Vec::new();
        }
        let mut all = self.lock();
        let routes = definitions.iter().filter_map(route).collect();
        let problems = all.ports.apply(routes);
        let mut before = std::mem::take(&mut all.pulling);
        for definition in definitions {
            let Some(source) = pulling(&definition.config) else { continue };
            let old = before.remove(&definition.key);
            let key = definition.key.clone();
            let pulling = match old {
                Some(old) if old.hash == definition.hash => old,
                old => self.start(definition, source, old),
            };
            all.pulling.insert(key, pulling);
        }
        before.into_values().for_each(|gone| gone.stop.cancel());
        problems
    }

    fn start(
        &self,
        definition: EventDefinition,
        source: Arc<dyn EventSource>,
        old: Option<Pulling>,
    ) -> Pulling {
        let pulling = Pulling {
            kind: definition.kind,
            hash: definition.hash,
            health: Health::new(Arc::clone(&self.context.clock)),
            stop: self.stop.child_token(),
            ended: CancellationToken::new(),
        };
        let running = Running {
            key: definition.key,
            correlation_path: definition.correlation,
            service_account: definition.service_account,
            context: Arc::clone(&self.context),
            stop: pulling.stop.clone(),
            health: pulling.health.clone(),
        };
        let name = running.key.to_string();
        let start = move || Arc::clone(&source).run(running.clone());
        let (tasks, stop, health) =
            (self.tasks.clone(), pulling.stop.clone(), pulling.health.clone());
        let ended = pulling.ended.clone().drop_guard();
        self.tasks.spawn(async move {
            // Two of the same source at a time would take the same messages.
            if let Some(old) = old {
                old.stop.cancel();
                old.ended.cancelled().await;
            }
            supervise(name, tasks, stop, health, start).await;
            drop(ended);
        });
        pulling
    }

    /// How each event is, in order of their keys.
    pub fn status(&self) -> Vec<SourceStatus> {
        let all = self.lock();
        let pulling = all.pulling.iter().map(|(key, pulling)| {
            let state = pulling.health.state();
            SourceStatus {
                key: key.clone(),
                kind: pulling.kind,
                ready: state.ready,
                detail: state.detail,
                since: state.since,
                address: None,
            }
        });
        let mut status: Vec<SourceStatus> = all.ports.status().chain(pulling).collect();
        status.sort_by(|a, b| a.key.cmp(&b.key));
        // One that listens and is a task of its own is well when both are.
        status.dedup_by(|second, first| {
            let same = second.key == first.key;
            if same && first.ready {
                let address = first.address.take();
                *first = SourceStatus { address, ..second.clone() };
            }
            same
        });
        status
    }

    /// The addresses that webhooks listen on, by configured port.
    pub fn addresses(&self) -> BTreeMap<u16, SocketAddr> {
        self.lock().ports.addresses()
    }

    /// Takes nothing more in, finishes what is in flight, and returns when all tasks have
    /// ended. How long that may take is for the caller to bound. Ports are closed, unless
    /// somebody has taken their sockets.
    pub async fn shutdown(&self) {
        drop(self.listeners.take());
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The source, if it is one that fetches or makes its events itself.
fn pulling(config: &SourceConfig) -> Option<Arc<dyn EventSource>> {
    match config {
        SourceConfig::Webhook(_) => None,
        // It listens; it is a task of its own where it subscribes by itself.
        #[cfg(feature = "sns")]
        SourceConfig::Sns(sns) => sns.subscribes().then(|| Arc::clone(sns) as Arc<dyn EventSource>),
        SourceConfig::Calendar(calendar) => Some(Arc::clone(calendar) as Arc<dyn EventSource>),
        #[cfg(feature = "kafka")]
        SourceConfig::Kafka(kafka) => Some(Arc::clone(kafka) as Arc<dyn EventSource>),
        #[cfg(feature = "nats")]
        SourceConfig::Nats(nats) => Some(Arc::clone(nats) as Arc<dyn EventSource>),
        #[cfg(feature = "pubsub")]
        SourceConfig::PubSub(pubsub) => Some(Arc::clone(pubsub) as Arc<dyn EventSource>),
        #[cfg(feature = "sqs")]
        SourceConfig::Sqs(sqs) => Some(Arc::clone(sqs) as Arc<dyn EventSource>),
    }
}

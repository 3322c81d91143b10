//! Takes the messages of a subscription.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream::{FuturesUnordered, Stream};
use google_cloud_pubsub::model::Message;
use google_cloud_pubsub::subscriber::ShutdownBehavior;
use google_cloud_pubsub::subscriber::handler::{ExactlyOnce, Handler};
use tokio::time::{Instant, sleep, timeout};
use tripline_cloud::google::Trouble;

use super::config::PubSub;
use super::connection::Connection;
use super::delivery::{Delivery, Taker, Through};
use super::keys::Keys;
use super::limits::{FLUSH, LEASE, SILENCE};
use super::subscription::{self, Found, find, prepare};
use super::trouble::of_stream;
use crate::BoxFuture;
use crate::source::{EventSource, Running, SourceError};

impl EventSource for PubSub {
    fn run(self: Arc<Self>, running: Running) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            while session(&self, &running).await? == Ended::Renew {}
            Ok(())
        })
    }
}

/// Why a session has ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It was told to.
    Stopped,
    /// For another to begin: with a secret that has changed, or after a long silence.
    Renew,
}

/// From connecting to the last acknowledgement.
async fn session(config: &Arc<PubSub>, running: &Running) -> Result<Ended, SourceError> {
    let connected = async {
        let connection = Connection::open(config, &running.key.name, &running.caller()).await?;
        prepare(config, &connection).await?;
        Ok::<_, String>(connection)
    };
    let connection = tokio::select! {
        biased;
        () = running.stop.cancelled() => return Ok(Ended::Stopped),
        connected = connected => connected.map_err(SourceError)?,
    };
    let name = connection.names.subscription();
    let stream = connection
        .subscriber
        .subscribe(&name)
        .set_max_outstanding_messages(i64::try_from(config.max_messages).unwrap_or(i64::MAX))
        .set_max_outstanding_bytes(i64::try_from(config.max_bytes).unwrap_or(i64::MAX))
        .set_max_lease_extension(LEASE)
        .set_shutdown_behavior(ShutdownBehavior::NackImmediately)
        .build();
    let flushed = stream.shutdown_token();
    let mut stream = stream.into_stream();
    let mut session = Session::new(config, running, &connection);
    let ended = session.until_ended(&mut stream).await;
    session.wind_up().await;
    // What has come and was not looked at is given back, and acknowledgements are sent.
    if timeout(FLUSH, flushed.shutdown()).await.is_err() {
        tracing::warn!(
            event = %running.key,
            subscription = name,
            "acknowledgements were not sent in time: what they were for may come again"
        );
    }
    drop(stream);
    let ended = ended?;
    if ended == Ended::Stopped && config.delete_on_finish {
        match subscription::delete(&connection).await {
            Ok(()) => tracing::info!(event = %running.key, "subscription {name} deleted"),
            Err(error) => tracing::warn!(event = %running.key, "{error}"),
        }
    }
    Ok(ended)
}

struct Session<'a> {
    running: &'a Running,
    connection: &'a Connection,
    taker: Arc<Taker>,
    activity: Arc<Activity>,
    /// Messages on their way to the event bus.
    taking: FuturesUnordered<BoxFuture<'static, Through>>,
    /// Messages that wait for the one before them of the same key.
    keys: Keys<Delivery>,
    /// Messages that are held, in both.
    messages: usize,
    /// Their bytes.
    bytes: usize,
    /// Acknowledgements that are to be confirmed.
    confirming: FuturesUnordered<BoxFuture<'static, ()>>,
}

/// Whether something happens.
#[derive(Default)]
struct Activity {
    /// Messages since this was last looked at.
    received: AtomicUsize,
    holding: AtomicBool,
}

impl<'a> Session<'a> {
    fn new(config: &Arc<PubSub>, running: &'a Running, connection: &'a Connection) -> Self {
        let taker = Taker {
            config: Arc::clone(config),
            running: running.clone(),
            abandon: running.stop.child_token(),
            subscription: connection.names.subscription(),
            up: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        };
        taker.is_up();
        Self {
            running,
            connection,
            taker: Arc::new(taker),
            activity: Arc::default(),
            taking: FuturesUnordered::new(),
            keys: Keys::new(),
            messages: 0,
            bytes: 0,
            confirming: FuturesUnordered::new(),
        }
    }

    async fn until_ended(
        &mut self,
        stream: &mut (impl Stream<Item = google_cloud_pubsub::Result<(Message, Handler)>> + Unpin),
    ) -> Result<Ended, SourceError> {
        let (running, connection) = (self.running, self.connection);
        let (taker, activity) = (Arc::clone(&self.taker), Arc::clone(&self.activity));
        let watch = watch(&taker.config, running, connection, &activity);
        let mut watch = std::pin::pin!(watch);
        loop {
            let room = self.has_room();
            tokio::select! {
                biased;
                () = running.stop.cancelled() => return Ok(Ended::Stopped),
                Some(through) = self.taking.next() => self.through(through),
                Some(()) = self.confirming.next() => {}
                next = stream.next(), if room => match next {
                    Some(Ok((message, handler))) => self.arrived(Delivery { message, handler }),
                    Some(Err(error)) => return Err(self.broken(&error)),
                    None => return Err(SourceError("the stream has ended".into())),
                },
                ended = &mut watch => return ended,
            }
        }
    }

    /// While the event bus does not take a message no more are asked for.
    fn has_room(&self) -> bool {
        let config = &self.taker.config;
        self.messages < config.max_messages
            && self.bytes < config.max_bytes
            && self.confirming.len() < config.max_messages
            && self.taker.waiting.load(Ordering::Relaxed) == 0
    }

    fn arrived(&mut self, delivery: Delivery) {
        self.activity.received.fetch_add(1, Ordering::Relaxed);
        self.messages += 1;
        self.bytes += delivery.bytes();
        self.activity.holding.store(true, Ordering::Relaxed);
        let key = delivery.message.ordering_key.clone();
        let turn = if key.is_empty() { Some(delivery) } else { self.keys.arrived(&key, delivery) };
        if let Some(delivery) = turn {
            self.take(delivery);
        }
    }

    fn take(&mut self, delivery: Delivery) {
        self.taking.push(Box::pin(Arc::clone(&self.taker).take(delivery)));
    }

    fn through(&mut self, through: Through) {
        self.release(through.bytes);
        match through.handler {
            handler if !through.taken => handler.nack(),
            Handler::ExactlyOnce(handler) => {
                self.confirming.push(Box::pin(confirm(
                    handler,
                    through.id,
                    self.running.key.to_string(),
                )));
            }
            handler => handler.ack(),
        }
        if !through.ordering_key.is_empty()
            && let Some(next) = self.keys.done(&through.ordering_key)
        {
            self.take(next);
        }
    }

    fn release(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes;
        self.activity.holding.store(self.messages > 0, Ordering::Relaxed);
    }

    /// Finishes what the event bus is about to take, and gives the rest back.
    async fn wind_up(&mut self) {
        self.taker.abandon.cancel();
        let waiting: Vec<Delivery> = self.keys.take_waiting().collect();
        for delivery in waiting {
            self.release(delivery.bytes());
            delivery.handler.nack();
        }
        while let Some(through) = self.taking.next().await {
            self.through(through);
        }
        let confirmed = async { while self.confirming.next().await.is_some() {} };
        // What is not confirmed may come again, and is then known.
        let _in_time = timeout(FLUSH, confirmed).await;
    }

    /// The stream was refused.
    fn broken(&self, error: &google_cloud_pubsub::Error) -> SourceError {
        SourceError(match of_stream(error) {
            Trouble::NotFound(_) => self.connection.speaker().no_subscription(),
            Trouble::Denied(_) => self.connection.speaker().may_not_consume(),
            trouble => self.connection.explain("taking messages", &trouble),
        })
    }
}

/// Acknowledges a message of a subscription with exactly-once delivery.
async fn confirm(handler: ExactlyOnce, id: String, event: String) {
    if let Err(error) = handler.confirmed_ack().await {
        tracing::warn!(
            event,
            id,
            "an acknowledgement was not confirmed ({error}): if the message comes again, it is \
             recognised as a repeat"
        );
    }
}

/// Returns when the session should not go on: the service cannot be reached, the subscription
/// is gone, or a new session is needed.
async fn watch(
    config: &PubSub,
    running: &Running,
    connection: &Connection,
    activity: &Activity,
) -> Result<Ended, SourceError> {
    let mut last = Instant::now();
    loop {
        sleep(config.probe_every).await;
        let secrets = running.caller().secrets;
        if connection.identity.has_changed(config.credential.as_ref(), &secrets) {
            tracing::info!(event = %running.key, "the credentials have changed and are taken up");
            return Ok(Ended::Renew);
        }
        let active = activity.received.swap(0, Ordering::Relaxed) > 0;
        if active || activity.holding.load(Ordering::Relaxed) {
            last = Instant::now();
            continue;
        }
        let problem = match find(connection).await {
            Ok(Found::Usable) => None,
            Ok(Found::Missing) => Some(connection.speaker().no_subscription()),
            Ok(Found::Denied) => Some(connection.speaker().may_not_consume()),
            Err(problem) => Some(problem),
        };
        if let Some(problem) = problem {
            return Err(SourceError(problem));
        }
        if last.elapsed() >= SILENCE {
            return Ok(Ended::Renew);
        }
    }
}

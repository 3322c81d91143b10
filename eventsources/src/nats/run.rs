//! A session: from the connection to the last acknowledgement.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::{Message as Received, Subject, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tripline_event::EventId;

use super::config::Nats;
use super::connection::Connection;
use super::consumer::{self, Consumer};
use super::deliver::{Deliverer, Fate};
use super::limits::{
    APPEND, APPEND_BYTES, AT_A_TIME, CORE_HELD, CREDENTIALS_CHECK, FLUSH, HELD, HELD_BYTES,
};
use super::offer::{Offer, message_id};
use super::pull::{Came, Pull};
use crate::BoxFuture;
use crate::source::{EventSource, Running, SourceError};
use crate::supervise::spread;

impl EventSource for Nats {
    fn run(self: Arc<Self>, running: Running) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            while session(&self, &running).await.map_err(SourceError)? == Ended::Renew {}
            Ok(())
        })
    }
}

/// Why a session has ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It was told to.
    Stopped,
    /// For another to begin, with credentials that have changed.
    Renew,
}

async fn session(nats: &Arc<Nats>, running: &Running) -> Result<Ended, String> {
    let opened = tokio::select! {
        biased;
        () = running.stop.cancelled() => return Ok(Ended::Stopped),
        opened = open(nats, running) => opened,
    };
    let (connection, intake, well) = opened?;
    if !running.health.state().ready {
        tracing::info!(event_source = %running.key, "{well}");
    }
    running.health.ready(&*well);
    let deliverer =
        Deliverer { running: running.clone(), well, abandon: running.stop.child_token() };
    let mut session = Session {
        nats,
        running,
        connection: &connection,
        intake,
        deliverer,
        held: VecDeque::new(),
        bytes: 0,
    };
    let mut under_way = None;
    let ended = session.until_ended(&mut under_way).await;
    session.wind_up(under_way).await;
    ended
}

/// Connects, and begins to listen.
async fn open(
    nats: &Arc<Nats>,
    running: &Running,
) -> Result<(Connection, Intake, Arc<str>), String> {
    let connection = connect(nats, running).await?;
    let (intake, well) = match &nats.jet_stream {
        Some(jet_stream) => {
            let context = consumer::context(&connection);
            let found = consumer::find(&context, nats, jet_stream, &running.key, true).await?;
            let consumer = found.ok_or_else(|| "the consumer cannot be made".to_owned())?;
            let well = format!(
                "takes messages of consumer `{}` of stream `{}` at {}",
                consumer.name, consumer.stream, connection.shown
            );
            let pull = Pull::open(connection.client.clone(), &consumer).await?;
            (Intake::JetStream(Box::new(pull), consumer), well)
        }
        None => {
            let (client, subject) = (&connection.client, nats.subject.clone());
            let subscribed = match nats.queue.clone() {
                Some(queue) => client.queue_subscribe(subject, queue).await,
                None => client.subscribe(subject).await,
            };
            let subscriber = subscribed.map_err(|error| error.to_string())?;
            // What is published after this is received.
            let flushed = timeout(FLUSH, client.flush()).await;
            let silent = || format!("NATS at {} does not answer", connection.shown);
            flushed.map_err(|_| silent())?.map_err(|error| error.to_string())?;
            let well = format!("takes messages of `{}` at {}", nats.subject, connection.shown);
            (Intake::Core(subscriber), well)
        }
    };
    Ok((connection, intake, well.into()))
}

/// With the pauses of `connectionBackoff`, where it is configured.
async fn connect(nats: &Nats, running: &Running) -> Result<Connection, String> {
    let (key, secrets) = (&running.key, &*running.context.secrets);
    let name = key.to_string();
    let mut pauses = nats.pauses.iter();
    loop {
        let error = match Connection::open(nats, &key.namespace, &name, secrets).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let Some(pause) = pauses.next() else { return Err(error) };
        let before = running.health.state();
        if before.detail != error {
            tracing::error!(event_source = name, "{error}; it is tried again");
        }
        running.health.failing(error);
        sleep(spread(&name, *pause)).await;
    }
}

/// Where messages come from.
enum Intake {
    Core(Subscriber),
    JetStream(Box<Pull>, Consumer),
}

/// A message that was received, and is not yet acknowledged.
struct Held {
    offer: Arc<Offer>,
    bytes: usize,
    /// Of JetStream: where it is acknowledged, and its place in the stream.
    place: Option<(Subject, u64)>,
}

struct Session<'a> {
    nats: &'a Arc<Nats>,
    running: &'a Running,
    connection: &'a Connection,
    intake: Intake,
    deliverer: Deliverer,
    /// In the order in which they came; the first of them are on their way.
    held: VecDeque<Held>,
    bytes: usize,
}

/// What is being put on the event bus, beside everything else.
struct UnderWay(AbortOnDropHandle<Option<Vec<Fate>>>);

impl UnderWay {
    /// What has become of it; `None`, where it was abandoned.
    async fn end(&mut self) -> Option<Vec<Fate>> {
        match (&mut self.0).await {
            Ok(fates) => fates,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The program ends.
            Err(_) => None,
        }
    }
}

impl Session<'_> {
    async fn until_ended(&mut self, under_way: &mut Option<UnderWay>) -> Result<Ended, String> {
        let (running, connection) = (self.running, self.connection);
        let secrets = &*running.context.secrets;
        let mut credentials = ticks(CREDENTIALS_CHECK);
        let mut progress = ticks(match &self.intake {
            Intake::JetStream(_, consumer) => (consumer.ack_wait / 3).min(FLUSH),
            Intake::Core(_) => FLUSH,
        });
        loop {
            if under_way.is_none() {
                *under_way = self.begin();
            }
            let room = self.room();
            if let (Intake::JetStream(pull, _), true) = (&mut self.intake, room > 0) {
                pull.ask(room, HELD_BYTES.saturating_sub(self.bytes)).await?;
            }
            let answered = async {
                match under_way {
                    Some(under_way) => under_way.end().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = running.stop.cancelled() => return Ok(Ended::Stopped),
                fates = answered => {
                    *under_way = None;
                    // It was abandoned: the source is to stop.
                    let Some(fates) = fates else { return Ok(Ended::Stopped) };
                    let taken = self.taken(fates);
                    *under_way = self.begin();
                    self.acknowledge(taken).await?;
                }
                why = connection.broken() => return Err(why),
                received = receive(&mut self.intake), if room > 0 => self.arrived(received?)?,
                _ = progress.tick() => self.tell_of_work().await?,
                _ = credentials.tick() => {
                    if connection.is_outdated(self.nats, &running.key.namespace, secrets) {
                        let key = &running.key;
                        tracing::info!(event_source = %key, "the credentials have changed and are taken up");
                        return Ok(Ended::Renew);
                    }
                }
            }
        }
    }

    /// For how many messages there is room.
    fn room(&self) -> usize {
        if self.bytes >= HELD_BYTES {
            return 0;
        }
        match &self.intake {
            Intake::Core(_) => CORE_HELD.saturating_sub(self.held.len()),
            Intake::JetStream(..) => HELD.saturating_sub(self.held.len()),
        }
    }

    /// The next append, if there is something to append.
    fn begin(&self) -> Option<UnderWay> {
        if self.held.is_empty() {
            return None;
        }
        let mut bytes = 0;
        let fits = |held: &&Held| {
            bytes += held.bytes;
            bytes == held.bytes || bytes <= APPEND_BYTES
        };
        let offers = self.held.iter().take(APPEND).take_while(fits);
        let offers = offers.map(|held| Arc::clone(&held.offer)).collect();
        let delivered = tokio::spawn(self.deliverer.clone().deliver(offers));
        Some(UnderWay(AbortOnDropHandle::new(delivered)))
    }

    fn arrived(&mut self, first: Option<(Received, Option<u64>)>) -> Result<(), String> {
        let mut next = first;
        let mut count = 0;
        loop {
            if let Some((message, sequence)) = next.take() {
                self.hold(message, sequence);
            }
            count += 1;
            if count >= AT_A_TIME || self.room() == 0 {
                return Ok(());
            }
            match &mut self.intake {
                Intake::Core(subscriber) => match subscriber.next().now_or_never() {
                    Some(Some(message)) => next = Some((message, None)),
                    _ => return Ok(()),
                },
                Intake::JetStream(pull, _) => match pull.ready()? {
                    Some(Came::Message(message, sequence)) => {
                        next = Some((message, Some(sequence)))
                    }
                    Some(Came::Nothing) => {}
                    None => return Ok(()),
                },
            }
        }
    }

    fn hold(&mut self, message: Received, sequence: Option<u64>) {
        let id = match (&self.intake, sequence) {
            (Intake::JetStream(_, consumer), Some(sequence)) => Some(EventId::from_upstream(
                &format!("{}:{sequence}:{}", consumer.stream, consumer.made),
            )),
            _ => message_id(message.headers.as_ref()),
        };
        let offer = Arc::new(Offer::of(self.nats, self.running, &message, id));
        let bytes = message.length.max(message.payload.len());
        self.bytes += bytes;
        let place = message.reply.zip(sequence);
        self.held.push_back(Held { offer, bytes, place });
    }

    /// The first messages are on the event bus, and no longer held.
    fn taken(&mut self, fates: Vec<Fate>) -> Vec<(Held, Fate)> {
        let count = fates.len().min(self.held.len());
        let taken: Vec<_> = self.held.drain(..count).zip(fates).collect();
        self.bytes -= taken.iter().map(|(held, _)| held.bytes).sum::<usize>();
        taken
    }

    /// Tells the server that messages are done with.
    async fn acknowledge(&self, taken: Vec<(Held, Fate)>) -> Result<(), String> {
        if let (Some(jet_stream), Intake::JetStream(_, consumer)) =
            (&self.nats.jet_stream, &self.intake)
        {
            let sequences = taken.iter().filter_map(|(held, _)| Some(held.place.as_ref()?.1));
            let mut done = jet_stream.done.lock().unwrap_or_else(PoisonError::into_inner);
            let before = done.filter(|(made, _)| *made == consumer.made).map(|(_, before)| before);
            *done = sequences.chain(before).max().map(|latest| (consumer.made, latest));
        }
        for (held, fate) in taken {
            let Some((reply, _)) = held.place else { continue };
            let kind = match fate {
                Fate::Event => AckKind::Ack,
                Fate::Letter => AckKind::Term,
            };
            let sent = self.connection.client.publish(reply, kind.into()).await;
            sent.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Tells the server that there is still work on what is held, and the operator what is gone.
    async fn tell_of_work(&self) -> Result<(), String> {
        for (reply, _) in self.held.iter().filter_map(|held| held.place.as_ref()) {
            let told = self.connection.client.publish(reply.clone(), AckKind::Progress.into());
            told.await.map_err(|error| error.to_string())?;
        }
        let dropped = self.connection.take_dropped();
        if dropped > 0 {
            let sink = &self.running.context.sink;
            for _ in 0..dropped {
                sink.refused(&self.running.key, "came faster than events are taken");
            }
            tracing::warn!(
                event_source = %self.running.key,
                "{dropped} messages or more are lost: they came faster than the event bus takes \
                 events. Messages of JetStream wait"
            );
        }
        Ok(())
    }

    /// Puts on the event bus what was received, for as long as the source is not to stop, and
    /// acknowledges what is there. What is left then is given back.
    async fn wind_up(&mut self, mut under_way: Option<UnderWay>) {
        if let Intake::Core(subscriber) = &mut self.intake {
            // Where the connection is gone this fails, and nothing more comes either.
            let _ended = subscriber.unsubscribe().await;
            let mut rest = Vec::new();
            while let Some(Some(message)) = subscriber.next().now_or_never() {
                rest.push(message);
            }
            rest.into_iter().for_each(|message| self.hold(message, None));
        }
        while let Some(mut next) = under_way.take().or_else(|| self.begin()) {
            let Some(fates) = next.end().await else { break };
            let taken = self.taken(fates);
            // An acknowledgement that cannot be sent: the message comes again, and is known.
            let _sent = self.acknowledge(taken).await;
        }
        let client = &self.connection.client;
        for (reply, _) in self.held.iter().filter_map(|held| held.place.as_ref()) {
            // One that cannot be given back comes again when `ackWait` has passed.
            let _sent = client.publish(reply.clone(), AckKind::Nak(None).into()).await;
        }
        if self.connection.trouble().is_none() && timeout(FLUSH, client.flush()).await.is_err() {
            tracing::warn!(
                event_source = %self.running.key,
                "acknowledgements were not sent in time: what they were for may come again"
            );
        }
    }
}

/// What comes next; `None`: nothing that is a message.
async fn receive(intake: &mut Intake) -> Result<Option<(Received, Option<u64>)>, String> {
    match intake {
        Intake::Core(subscriber) => {
            let message = subscriber.next().await;
            message
                .map(|message| Some((message, None)))
                .ok_or_else(|| "the subscription has ended".to_owned())
        }
        Intake::JetStream(pull, _) => Ok(match pull.next().await? {
            Came::Message(message, sequence) => Some((message, Some(sequence))),
            Came::Nothing => None,
        }),
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

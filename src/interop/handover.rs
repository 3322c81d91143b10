//! Taking a sensor over from Argo Events: it decides about what Argo Events' had not decided
//! about, and holds what that held.
//!
//! The order of things, each durable before the next:
//!
//! 1. Argo Events' sensor does not run any more: nobody asks its consumers.
//! 2. Everything of Tripline's own event sources is sent to the stream, and everything in the
//!    stream is in EVENTS. Sending and taking in rest from here on.
//! 3. It is kept how far that is, and from where on each dependency of each trigger decides.
//! 4. The sensor comes into force. It sees what everybody sees, from there on.
//! 5. What is before that and its own goes into EVENTS once more, for it alone: what was held,
//!    then messages of the stream, then what Tripline's own event sources took in between 2 and 4.
//! 6. What was kept in 3 is removed. Taking in goes on.
//!
//! After a crash, 5 is done again with the same ids, by which the bus knows what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tripline_bus::jetstream::argo::{Argo, ArgoError, HeldEvent, Message, Start, consumer_name};
use tripline_bus::{Append, Log, WriteError};
use tripline_event::{
    Addressee, DefinitionHash, Event, EventKey, EventsRecord, ObjectName, Position, Transfer,
};
use tripline_sensors::evaluator::{Sensor, Trigger};

use super::inward::{BridgeError, Inward, stream_name};
use super::outward::Outward;
use super::places::{From, Taken};
use super::status::BridgeStatus;
use crate::daemon::Shared;
use crate::engine::plans;
use crate::engine::take_over::Foreign;
use crate::load::interop::StartAt;

/// How often it is looked whether anybody asks a consumer, and how long in between: Argo Events
/// asks without a pause, a second each time.
const LOOKS: usize = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Records that are read at once.
const PAGE: usize = 512;
/// Events that are put into the log at once, and about how many bytes.
const AT_ONCE: usize = 256;
const APPEND_BYTES: usize = 2 * 1024 * 1024;

/// A sensor that is to be taken over.
pub(super) struct Candidate {
    pub(super) sensor: Arc<Sensor>,
    pub(super) start: StartAt,
}

/// From where a sensor decides; none: from the next event on.
type Floors = Vec<(String, String, Option<u64>)>;

/// Takes over those whose counterparts do not run any more.
pub(super) async fn run(
    shared: &Arc<Shared>,
    candidates: &[Candidate],
    inward: &mut Inward,
    outward: &Mutex<Outward>,
    status: &BridgeStatus,
) -> Result<(), BridgeError> {
    let mut ready = Vec::new();
    for candidate in candidates {
        match floors(&inward.argo, candidate).await? {
            Ok(floors) => ready.push((candidate, floors)),
            Err(why) => status.waits(&candidate.sensor.name, &why),
        }
    }
    if ready.is_empty() {
        return Ok(());
    }
    let mut outward = outward.lock().await;
    let configuration = shared.configuration.load_full();
    outward.sources.extend(super::bridge::sources(&configuration, inward.of()));
    let end = shared.bus.extent(Log::Events).await?.next;
    while outward.next() < end && outward.step().await? {}
    let last = inward.argo.stream().await?.last;
    while inward.sequence() < last {
        inward.step(BETWEEN_LOOKS).await?;
    }
    let newest = plans::newest(&*shared.bus).await;
    let plan = newest.map_err(|error| BridgeError::Other(error.to_string()))?.number;
    let id = uuid::Uuid::new_v4().simple().to_string();
    for (candidate, floors) in ready {
        let through = inward.sequence();
        let from = floors.into_iter().map(|(trigger, dependency, after)| From {
            trigger,
            dependency,
            after: after.unwrap_or(through),
        });
        let taken = Taken {
            sensor: candidate.sensor.name.clone(),
            id: id.clone(),
            created: inward.created(),
            through,
            sent: outward.next(),
            plan,
            from: from.collect(),
            held: candidate.start == StartAt::ArgoConsumers,
        };
        inward.places.keep_taken(&*shared.bus, &taken).await?;
    }
    let published = shared.publish_sensors().await;
    published.map_err(|error| BridgeError::Other(format!("{error:#}")))?;
    drop(outward);
    finish(shared, inward).await
}

/// The dependencies that the condition of a trigger names, by the event that they are about:
/// Argo Events has one consumer for all of a trigger that are about the same.
fn by_event<'s>(sensor: &'s Sensor, trigger: &Trigger) -> BTreeMap<&'s EventKey, Vec<&'s str>> {
    let mut by_event: BTreeMap<&EventKey, Vec<&str>> = BTreeMap::new();
    for &place in trigger.condition.dependencies() {
        let dependency = &sensor.dependencies[place];
        by_event.entry(&dependency.key).or_default().push(&dependency.name);
    }
    by_event
}

/// From where a sensor decides, or why it is not taken over yet.
async fn floors(argo: &Argo, candidate: &Candidate) -> Result<Result<Floors, String>, BridgeError> {
    let Candidate { sensor, start } = candidate;
    let ObjectName { namespace, name } = &sensor.name;
    let after = match start {
        StartAt::ArgoConsumers | StartAt::Latest => None,
        StartAt::All => Some(0),
        StartAt::Sequence(sequence) => Some(sequence.saturating_sub(1)),
        StartAt::Time(time) => {
            let mut reader = argo.read(namespace, Start::Time(*time)).await?;
            let page = reader.page(Duration::ZERO).await?;
            reader.close().await;
            page.first().map(|first| match first {
                Ok(message) => message.sequence - 1,
                Err(undecodable) => undecodable.sequence - 1,
            })
        }
    };
    let mut floors = Floors::new();
    let mut consumers = BTreeSet::new();
    for trigger in &sensor.triggers {
        let trigger_name = &trigger.name.trigger;
        for dependencies in by_event(sensor, trigger).into_values() {
            let mut floor = after;
            // It is named after the last of them.
            for dependency in dependencies.iter().rev() {
                let consumer = consumer_name(name, trigger_name, dependency);
                let Some(found) = argo.consumer(&consumer).await? else { continue };
                consumers.insert(consumer);
                if *start == StartAt::ArgoConsumers {
                    floor = Some(found.acknowledged);
                }
                break;
            }
            let of_it = dependencies.iter();
            floors.extend(of_it.map(|of| (trigger_name.clone(), (*of).to_owned(), floor)));
        }
    }
    for _ in 0..LOOKS {
        for consumer in &consumers {
            if argo.consumer(consumer).await?.is_some_and(|found| found.is_asked) {
                return Ok(Err(format!(
                    "Argo Events' sensor still runs (somebody asks its consumer `{consumer}` for messages): delete it, or scale it to nothing, and it is taken over"
                )));
            }
        }
        if !consumers.is_empty() {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
    Ok(Ok(floors))
}

/// Ends what was begun: puts into EVENTS what is for the sensors alone.
pub(super) async fn finish(shared: &Arc<Shared>, inward: &Inward) -> Result<(), BridgeError> {
    let mut begun: BTreeMap<String, Vec<Taken>> = BTreeMap::new();
    for taken in inward.places.taken(&*shared.bus).await? {
        begun.entry(taken.id.clone()).or_default().push(taken);
    }
    for taken in begun.into_values() {
        let end = End { shared, inward, taken: &taken };
        let counts = end.run().await?;
        for taken in &taken {
            inward.places.forget(&*shared.bus, &taken.sensor).await?;
            let Counts { held, events } =
                counts.get(&taken.sensor.name).copied().unwrap_or_default();
            tracing::info!(
                held,
                events,
                through = taken.through,
                "sensor {} is taken over from Argo Events: it holds what was held there, and decides about events that were not decided about",
                taken.sensor
            );
        }
    }
    Ok(())
}

/// What was put into EVENTS for a sensor.
#[derive(Clone, Copy, Default)]
struct Counts {
    held: u64,
    events: u64,
}

/// The end of what was begun together.
struct End<'a> {
    shared: &'a Arc<Shared>,
    inward: &'a Inward,
    taken: &'a [Taken],
}

impl End<'_> {
    async fn run(&self) -> Result<BTreeMap<String, Counts>, BridgeError> {
        let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
        // Where a sensor was removed meanwhile, there is nobody to decide.
        let mut between = Vec::new();
        let mut present = Vec::new();
        for taken in self.taken {
            let Some(events) = self.until_in_force(taken).await? else { continue };
            present.push(taken);
            between.push((taken, events));
        }
        for taken in &present {
            self.forget(taken).await?;
            if taken.held {
                counts.entry(taken.sensor.name.clone()).or_default().held =
                    self.hold(taken).await?;
            }
        }
        self.replay(&present, &mut counts).await?;
        for (taken, events) in between {
            let mut batch = Batch::new(self);
            for (position, event) in events {
                let to = addressees(taken, self.sensor(taken).as_deref(), &event.key, None);
                if to.is_empty() {
                    continue;
                }
                counts.entry(taken.sensor.name.clone()).or_default().events += 1;
                let transfer = Transfer { to, ..self.transfer(0) };
                let dedup =
                    format!("{}/o/{}/{}", taken.id, short(&taken.sensor.name), position.sequence);
                batch
                    .push(Foreign {
                        headers: chain_of(&event),
                        event,
                        transfer,
                        dedup: Some(dedup.into()),
                    })
                    .await?;
            }
            batch.flush().await?;
        }
        Ok(counts)
    }

    fn sensor(&self, taken: &Taken) -> Option<Arc<Sensor>> {
        let configuration = self.shared.configuration.load();
        let loaded = configuration.sensors.get(&taken.sensor)?;
        Some(Arc::clone(&loaded.compiled.sensor))
    }

    fn transfer(&self, sequence: u64) -> Transfer {
        let stream = stream_name(self.inward.created());
        Transfer { stream, sequence, ..Transfer::default() }
    }

    /// The events of Tripline's own event sources from where sending rested to where the
    /// sensor came into force; none where it did not.
    async fn until_in_force(
        &self,
        taken: &Taken,
    ) -> Result<Option<Vec<(Position, Event)>>, BridgeError> {
        let bus = &*self.shared.bus;
        let (mut next, mut events) = (taken.sent, Vec::new());
        let configuration = self.shared.configuration.load_full();
        let sources = super::bridge::sources(&configuration, self.inward.of());
        loop {
            let page = bus.read(Log::Events, next, PAGE).await?;
            let Some(last) = page.last() else { return Ok(None) };
            next = last.position.next();
            for stored in &page {
                match EventsRecord::decode(&stored.record) {
                    Ok(EventsRecord::Plan { number, .. }) if number > taken.plan => {
                        let listing = plans::load(bus, number).await;
                        let listing =
                            listing.map_err(|error| BridgeError::Other(error.to_string()))?;
                        if listing.sensors.iter().any(|(name, _)| *name == taken.sensor) {
                            return Ok(Some(events));
                        }
                    }
                    Ok(EventsRecord::Event(event)) => {
                        let came = event.cloud_event.as_ref();
                        let came = came.is_some_and(|said| said.transfer.is_some());
                        if !came
                            && event.key.namespace == taken.sensor.namespace
                            && sources.contains(&event.key.source)
                        {
                            events.push((stored.position, event));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// What the sensor held when it was here before is of no meaning any more.
    async fn forget(&self, taken: &Taken) -> Result<(), BridgeError> {
        let record = EventsRecord::Clear {
            sensor: taken.sensor.clone(),
            dependency: None,
            through: None,
            at: self.shared.clock.now(),
        };
        let dedup = format!("{}/c/{}", taken.id, short(&taken.sensor.name));
        let append = Append { dedup: Some(dedup.into()), record: record.encode() };
        self.shared.bus.append(Log::Events, vec![append]).await?;
        Ok(())
    }

    /// What the half-met conditions of Argo Events hold.
    async fn hold(&self, taken: &Taken) -> Result<u64, BridgeError> {
        let ObjectName { namespace, name } = &taken.sensor;
        let held = match self.inward.argo.held(namespace, name).await {
            Ok(held) => held.map(|held| held.events).unwrap_or_default(),
            Err(ArgoError::Undecodable(undecodable)) => {
                tracing::error!(
                    "sensor {}: what it held is not taken over: {undecodable}",
                    taken.sensor
                );
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        };
        let Some(sensor) = self.sensor(taken) else { return Ok(0) };
        let mut count = 0;
        for held in held {
            if !self.is_wanted(&sensor, &held) {
                continue;
            }
            let (event, headers, transformed) = self.original(&sensor, &held).await?;
            let to = vec![Addressee {
                sensor: name.clone(),
                trigger: held.trigger.clone(),
                dependency: held.dependency.clone(),
                held: true,
            }];
            let place = format!("{name}/{}/{}", held.trigger, held.dependency);
            let dedup = format!("{}/h/{}", taken.id, short(&place));
            let transfer = Transfer { to, transformed, ..self.transfer(held.stream_sequence) };
            let foreign = Foreign { event, headers, transfer, dedup: Some(dedup.into()) };
            self.shared.engine.ingest.take_over(vec![foreign]).await?;
            count += 1;
        }
        Ok(count)
    }

    /// Whether the condition still holds such events, and no reset has come since.
    fn is_wanted(&self, sensor: &Sensor, held: &HeldEvent) -> bool {
        let Some(trigger) = sensor.trigger(&held.trigger) else { return false };
        let Some((place, _)) = sensor.dependency(&held.dependency) else { return false };
        let now = self.shared.clock.now();
        let mut resets = trigger.resets.iter().filter_map(|reset| reset.next_after(held.time));
        trigger.condition.dependencies().contains(&place) && !resets.any(|at| at <= now)
    }

    /// The event as it was before the transform of its dependency, where the stream still has
    /// it; and whether what is returned is what the transform made.
    async fn original(
        &self,
        sensor: &Sensor,
        held: &HeldEvent,
    ) -> Result<(Event, Vec<(String, String)>, bool), BridgeError> {
        let dependency = sensor.dependency(&held.dependency);
        if dependency.is_none_or(|(_, dependency)| dependency.untransformed) {
            return Ok((held.event.clone(), Vec::new(), false));
        }
        let namespace = &sensor.name.namespace;
        let start = Start::Sequence(held.stream_sequence);
        let mut reader = self.inward.argo.read(namespace, start).await?;
        let page = reader.page(Duration::ZERO).await?;
        reader.close().await;
        let message = page.into_iter().flatten().next();
        let same = message.filter(|message| {
            message.sequence == held.stream_sequence && message.event.id == held.event.id
        });
        Ok(match same {
            Some(Message { event, headers, .. }) => (event, headers, false),
            None => (held.event.clone(), Vec::new(), true),
        })
    }

    /// The messages that the sensors have not decided about.
    async fn replay(
        &self,
        taken: &[&Taken],
        counts: &mut BTreeMap<String, Counts>,
    ) -> Result<(), BridgeError> {
        let all = taken
            .iter()
            .flat_map(|taken| taken.from.iter().map(|from| (taken.through, from.after)));
        let Some(first) =
            all.filter(|(through, after)| after < through).map(|(_, after)| after).min()
        else {
            return Ok(());
        };
        let Some(head) = taken.first() else { return Ok(()) };
        let (through, created, id) = (head.through, head.created, &head.id);
        if created != self.inward.created() {
            tracing::error!(
                "messages {} to {through} of Argo Events' stream are gone: it was made again while sensors were taken over",
                first + 1
            );
            return Ok(());
        }
        let sensors: Vec<_> = taken.iter().map(|taken| (*taken, self.sensor(taken))).collect();
        let namespace = &self.inward.of().namespace;
        let mut reader = self.inward.argo.read(namespace, Start::Sequence(first + 1)).await?;
        let mut batch = Batch::new(self);
        'pages: loop {
            let page = reader.page(Duration::ZERO).await?;
            if page.is_empty() {
                break;
            }
            for message in page {
                // What cannot be read has become a dead letter, or does when it is read.
                let Ok(Message { sequence, event, headers, .. }) = message else { continue };
                if sequence > through {
                    break 'pages;
                }
                let mut to = Vec::new();
                for (taken, sensor) in &sensors {
                    let of_it = addressees(taken, sensor.as_deref(), &event.key, Some(sequence));
                    if !of_it.is_empty() {
                        counts.entry(taken.sensor.name.clone()).or_default().events += 1;
                    }
                    to.extend(of_it);
                }
                if to.is_empty() {
                    continue;
                }
                let transfer = Transfer { to, ..self.transfer(sequence) };
                let dedup = Some(Bytes::from(format!("{id}/{sequence}")));
                batch.push(Foreign { event, headers, transfer, dedup }).await?;
            }
        }
        batch.flush().await?;
        reader.close().await;
        Ok(())
    }
}

/// The dependencies of a sensor that are about this event and have not seen it: where it is a
/// message of the stream, those that stand before it.
fn addressees(
    taken: &Taken,
    sensor: Option<&Sensor>,
    key: &EventKey,
    sequence: Option<u64>,
) -> Vec<Addressee> {
    let Some(sensor) = sensor else { return Vec::new() };
    let of_it = taken.from.iter().filter(|from| {
        sequence.is_none_or(|sequence| sequence > from.after)
            && sensor.dependency(&from.dependency).is_some_and(|(_, of)| of.key == *key)
    });
    of_it
        .map(|from| Addressee {
            sensor: taken.sensor.name.clone(),
            trigger: from.trigger.clone(),
            dependency: from.dependency.clone(),
            held: false,
        })
        .collect()
}

/// What an event of Tripline's own says of its chain, as headers.
fn chain_of(event: &Event) -> Vec<(String, String)> {
    vec![
        ("x-correlation-id".to_owned(), event.links.correlation.header_value()),
        ("x-tripline-hops".to_owned(), event.links.hops.to_string()),
    ]
}

/// A few letters that stand for a name, in an id of bounded length.
fn short(name: &str) -> String {
    let hash = DefinitionHash::of(name).to_string();
    hash.chars().filter(char::is_ascii_hexdigit).take(12).collect()
}

/// Events on their way into the log.
struct Batch<'a> {
    end: &'a End<'a>,
    events: Vec<Foreign>,
    bytes: usize,
}

impl<'a> Batch<'a> {
    fn new(end: &'a End<'a>) -> Self {
        Self { end, events: Vec::new(), bytes: 0 }
    }

    async fn push(&mut self, event: Foreign) -> Result<(), BridgeError> {
        self.bytes += event.event.data.as_ref().map_or(0, Bytes::len);
        self.events.push(event);
        if self.events.len() >= AT_ONCE || self.bytes > APPEND_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BridgeError> {
        let events = std::mem::take(&mut self.events);
        self.bytes = 0;
        if events.is_empty() {
            return Ok(());
        }
        let ingest = &self.end.shared.engine.ingest;
        match ingest.take_over(events.clone()).await {
            Err(WriteError::TooLarge { .. }) => {
                for event in events {
                    let id = event.event.id.clone();
                    match ingest.take_over(vec![event]).await {
                        Err(error @ WriteError::TooLarge { .. }) => {
                            tracing::error!("event {id} is not taken over: {error}");
                        }
                        other => drop(other?),
                    }
                }
                Ok(())
            }
            other => {
                other?;
                Ok(())
            }
        }
    }
}

//! From Argo Events' stream to EVENTS: each message once, in order, for everybody.
//!
//! An event is durable before the place moves, and the place is durable before anything that
//! depends on it. What Tripline itself has sent there is passed over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tripline_bus::jetstream::argo::{
    Argo, ArgoError, Message, Reader, STREAM, Start, StreamInfo, Undecodable,
};
use tripline_bus::{Bus, ReadError, WriteError};
use tripline_event::{EventId, EventKey, ObjectName, Timestamp, Transfer};
use tripline_eventsources::{EventSink as _, SinkError, Unreadable};

use super::places::{Places, Read};
use super::status::{BridgeStatus, KIND};
use crate::engine::ingest::Ingest;
use crate::engine::take_over::Foreign;

/// The header of messages that Tripline has sent: by which bus.
pub const ORIGIN: &str = "Tripline-Origin";
/// Bytes of data that are put into the log at once.
const APPEND_BYTES: usize = 2 * 1024 * 1024;

/// Why a bridge cannot go on for now.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// Argo Events' bus.
    #[error(transparent)]
    Argo(#[from] ArgoError),
    /// Tripline's own takes nothing.
    #[error("Tripline's event bus takes nothing: {0}")]
    Write(#[from] WriteError),
    /// Tripline's own cannot be read.
    #[error("Tripline's event bus cannot be read: {0}")]
    Read(#[from] ReadError),
    /// Tripline's own takes no dead letter.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The bridge cannot be as it is configured, or the sensors not be put in force.
    #[error("{0}")]
    Other(String),
}

/// Reads Argo Events' stream.
pub(super) struct Inward {
    pub(super) argo: Argo,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) ingest: Arc<Ingest>,
    pub(super) places: Places,
    pub(super) own: String,
    pub(super) status: Arc<BridgeStatus>,
    read: Read,
    reader: Option<Reader>,
}

impl Inward {
    /// Goes on where the stream was read before; the first time, after its end: what is before
    /// belongs to whoever is taken over.
    pub(super) async fn open(
        argo: Argo,
        bus: Arc<dyn Bus>,
        ingest: Arc<Ingest>,
        places: Places,
        own: String,
        status: Arc<BridgeStatus>,
    ) -> Result<Self, BridgeError> {
        let info = argo.stream().await?;
        let read = match places.read(&*bus).await? {
            Some(read) => read,
            None => {
                let read = Read { created: info.created, sequence: info.last };
                places.keep_read(&*bus, &read).await?;
                read
            }
        };
        let mut inward = Self { argo, bus, ingest, places, own, status, read, reader: None };
        inward.check(&info).await?;
        Ok(inward)
    }

    /// The last sequence that is in EVENTS.
    pub(super) fn sequence(&self) -> u64 {
        self.read.sequence
    }

    fn namespace(&self) -> &str {
        &self.places.of.namespace
    }

    /// Takes the next messages over; waits for the first up to `wait`. Returns how many there
    /// were.
    pub(super) async fn step(&mut self, wait: Duration) -> Result<usize, BridgeError> {
        if self.reader.is_none() {
            let info = self.argo.stream().await?;
            self.check(&info).await?;
            let start = Start::Sequence(self.read.sequence + 1);
            self.reader = Some(self.argo.read(&self.places.of.namespace, start).await?);
        }
        let Some(reader) = &mut self.reader else { return Ok(0) };
        let page = match reader.page(wait).await {
            Ok(page) => page,
            Err(error) => {
                self.reader = None;
                return Err(error.into());
            }
        };
        // A reader finds its way in a stream that was made again: what it read there does not
        // follow what was read before.
        let info = self.argo.stream().await?;
        if !self.check(&info).await? {
            return Ok(0);
        }
        let count = page.len();
        if count > 0 {
            if let Err(error) = self.take(page).await {
                // What was not taken is read again.
                self.reader = None;
                return Err(error);
            }
        } else if info.messages == 0 && info.last > self.read.sequence {
            self.gap(self.read.sequence + 1, info.last).await?;
            self.reader = None;
        }
        let behind = info.last.saturating_sub(self.read.sequence);
        self.status.behind.store(behind, Ordering::Relaxed);
        Ok(count)
    }

    /// Whether the stream is still the one that was read. If not, it is gone on with from the
    /// beginning of the other one, and said.
    async fn check(&mut self, info: &StreamInfo) -> Result<bool, BridgeError> {
        let Read { created, sequence } = self.read;
        if info.created == created && info.last >= sequence {
            return Ok(true);
        }
        self.reader = None;
        let what = if info.created == created { "was set back" } else { "was made again" };
        let text = format!(
            "Argo Events' stream `{STREAM}` {what}: what came after message {sequence} of the one that was made at {created} and was not taken in until then is gone; it is gone on with from message {} of the one that was made at {}",
            info.first, info.created
        );
        self.tell(&text, &format!("{created}/{sequence}")).await?;
        self.status.lost(0, &text);
        self.keep(Read {
            created: info.created,
            sequence: info.first.saturating_sub(1).min(info.last),
        })
        .await?;
        Ok(false)
    }

    /// The stream has dropped these before they were read.
    async fn gap(&mut self, first: u64, last: u64) -> Result<(), BridgeError> {
        let created = self.read.created;
        let text = format!(
            "messages {first} to {last} of Argo Events' stream `{STREAM}` are gone: it had dropped them (its limits, or somebody) before they were taken in"
        );
        self.tell(&text, &format!("{created}/{first}-{last}")).await?;
        self.status.lost(last + 1 - first, &text);
        self.keep(Read { created, sequence: last }).await
    }

    /// A dead letter says what is gone.
    async fn tell(&self, text: &str, id: &str) -> Result<(), BridgeError> {
        let letter = Unreadable {
            key: self.status.source_status().key,
            kind: KIND,
            id: Some(EventId::from_upstream(&format!("gone {id}"))),
            time: self.now(),
            bytes: Bytes::new(),
            headers: Vec::new(),
            reason: text.to_owned(),
        };
        Ok(self.ingest.unreadable(letter).await?)
    }

    fn now(&self) -> Timestamp {
        self.ingest.now()
    }

    async fn keep(&mut self, read: Read) -> Result<(), BridgeError> {
        self.places.keep_read(&*self.bus, &read).await?;
        self.read = read;
        Ok(())
    }

    async fn take(&mut self, page: Vec<Result<Message, Undecodable>>) -> Result<(), BridgeError> {
        let (mut batch, mut bytes, mut last) = (Vec::new(), 0, self.read.sequence);
        for message in page {
            let sequence = match &message {
                Ok(message) => message.sequence,
                Err(undecodable) => undecodable.sequence,
            };
            if sequence <= last {
                continue;
            }
            if sequence > last + 1 {
                self.flush(&mut batch, last).await?;
                self.gap(last + 1, sequence - 1).await?;
            }
            last = sequence;
            match message {
                Ok(message) if is_own(&message, &self.own) => {}
                Ok(message) => {
                    bytes += message.event.data.as_ref().map_or(0, Bytes::len);
                    batch.push(self.foreign(message));
                }
                Err(undecodable) => {
                    self.flush(&mut batch, sequence - 1).await?;
                    self.undecodable(&undecodable).await?;
                }
            }
            if bytes > APPEND_BYTES {
                self.flush(&mut batch, last).await?;
                bytes = 0;
            }
        }
        self.flush(&mut batch, last).await
    }

    fn foreign(&self, message: Message) -> Foreign {
        let Message { sequence, event, headers, .. } = message;
        let stream = stream_name(self.read.created);
        let transfer = Transfer { stream, sequence, ..Transfer::default() };
        Foreign { event, headers, transfer, dedup: None }
    }

    /// What was read up to `last` is durable when this returns, and then the place is.
    async fn flush(&mut self, batch: &mut Vec<Foreign>, last: u64) -> Result<(), BridgeError> {
        if last <= self.read.sequence {
            return Ok(());
        }
        let count = batch.len() as u64;
        if !batch.is_empty() {
            match self.ingest.take_over(batch.clone()).await {
                Err(WriteError::TooLarge { .. }) => self.one_by_one(batch).await?,
                other => drop(other?),
            }
            batch.clear();
        }
        self.status.taken.fetch_add(count, Ordering::Relaxed);
        self.keep(Read { created: self.read.created, sequence: last }).await
    }

    async fn one_by_one(&self, batch: &[Foreign]) -> Result<(), BridgeError> {
        for one in batch {
            if let Err(error) = self.ingest.take_over(vec![one.clone()]).await {
                let WriteError::TooLarge { .. } = &error else { return Err(error.into()) };
                let letter = Unreadable {
                    key: one.event.key.clone(),
                    kind: KIND,
                    id: Some(one.event.id.clone()),
                    time: self.now(),
                    bytes: one.event.data.clone().unwrap_or_default(),
                    headers: Vec::new(),
                    reason: error.to_string(),
                };
                self.ingest.unreadable(letter).await?;
            }
        }
        Ok(())
    }

    async fn undecodable(&self, message: &Undecodable) -> Result<(), BridgeError> {
        let bytes = self.argo.payload(message.sequence).await?.unwrap_or_default();
        let names = message.subject.strip_prefix("default.").and_then(|rest| rest.split_once('.'));
        let (source, event) = names.unwrap_or((KIND, &message.subject));
        let id = format!("{}/{}", self.read.created, message.sequence);
        let letter = Unreadable {
            key: EventKey::new(self.namespace(), source, event),
            kind: KIND,
            id: Some(EventId::from_upstream(&id)),
            time: self.now(),
            bytes,
            headers: Vec::new(),
            reason: message.to_string(),
        };
        Ok(self.ingest.unreadable(letter).await?)
    }

    /// When the stream was made.
    pub(super) fn created(&self) -> Timestamp {
        self.read.created
    }

    /// The bus that it is about.
    pub(super) fn of(&self) -> &ObjectName {
        &self.places.of
    }
}

/// How the stream is named in records.
pub(super) fn stream_name(created: Timestamp) -> String {
    format!("{STREAM} of {created}")
}

/// Whether Tripline's own bus has sent it.
fn is_own(message: &Message, own: &str) -> bool {
    message.headers.iter().any(|(name, value)| name == ORIGIN && value == own)
}

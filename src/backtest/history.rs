//! The records of EVENTS in their order, from a time on: read from a bus, or asked for.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tripline_bus::{Bus, Log, MAX_RECORD_BYTES, Stored};
use tripline_event::{EventsRecord, ObjectName, Position, Timestamp};

use crate::control::ControlError;
use crate::engine::plans;
use crate::query::{LogExtent, PAGE, QueryError, scan};

/// How far the times of neighbouring records may run backwards.
const DISORDER: SignedDuration = SignedDuration::from_mins(5);
/// The bytes before a record in a stream: its length, and its sequence.
const HEAD: usize = 4 + 8;

/// A sensor as it is in the newest plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionInForce {
    /// The object, as canonical JSON. Secrets are references.
    pub json: String,
}

/// The definition of a sensor in the newest plan; none where there is no such sensor.
///
/// # Errors
/// The bus cannot be read.
pub async fn definition(
    bus: &dyn Bus,
    name: &ObjectName,
) -> Result<Option<DefinitionInForce>, ControlError> {
    let failed = |error: plans::PlanError| ControlError::Failed(error.to_string());
    let plan = plans::newest(bus).await.map_err(failed)?;
    let Some((_, hash)) = plan.sensors.iter().find(|(of, _)| of == name) else { return Ok(None) };
    let json = plans::definition(bus, hash).await.map_err(failed)?;
    Ok(Some(DefinitionInForce { json }))
}

/// What of the log is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// How far the whole log reaches.
    pub log: LogExtent,
    /// The first record that is read.
    pub from: Position,
}

/// Records from a bus.
pub struct History {
    bus: Arc<dyn Bus>,
    covered: Covered,
    next: Position,
}

impl History {
    /// The records since a time, as far as they are kept; all, where there is none.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn new(bus: Arc<dyn Bus>, since: Option<Timestamp>) -> Result<Self, QueryError> {
        let extents = scan::extents(bus.as_ref()).await?;
        let log = extents.into_iter().find(|extent| extent.log == Log::Events.as_str());
        let log = log.ok_or_else(|| QueryError::Invalid("there is no event log".to_owned()))?;
        let from = match since {
            Some(since) => first_since(bus.as_ref(), &log, since).await?,
            None => log.first,
        };
        Ok(Self { bus, next: from, covered: Covered { log, from } })
    }

    /// What of the log is read.
    pub fn covered(&self) -> &Covered {
        &self.covered
    }

    /// The next records, in their order; none at the end that the log had at the beginning.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn page(&mut self) -> Result<Vec<Stored>, QueryError> {
        let end = self.covered.log.next;
        if self.next >= end {
            return Ok(Vec::new());
        }
        let mut page = scan::read(self.bus.as_ref(), Log::Events, self.next, PAGE).await?;
        page.retain(|stored| stored.position < end);
        if let Some(last) = page.last() {
            self.next = last.position.next();
        }
        // A long look-back must not keep the daemon's other work waiting.
        tokio::task::yield_now().await;
        Ok(page)
    }
}

/// The first record that may be of `since` or later, found by halving.
async fn first_since(
    bus: &dyn Bus,
    log: &LogExtent,
    since: Timestamp,
) -> Result<Position, QueryError> {
    let since = since.checked_sub(DISORDER).unwrap_or(Timestamp::MIN);
    let (mut low, mut high) = (log.first.sequence, log.next.sequence);
    while low < high {
        let middle = low + (high - low) / 2;
        let at = Position::new(log.next.incarnation, middle);
        let page = scan::read(bus, Log::Events, at, 1).await?;
        let time = page.first().and_then(|stored| EventsRecord::decode(&stored.record).ok());
        // What cannot be read is not passed over.
        if time.is_some_and(|record| record.time() < since) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Position::new(log.next.incarnation, low))
}

/// Records as a daemon streams them, after a line with what is covered: the length of each,
/// its sequence, and its bytes.
pub fn frames(page: &[Stored]) -> Bytes {
    let size = page.iter().map(|stored| HEAD + stored.record.len()).sum();
    let mut bytes = BytesMut::with_capacity(size);
    for stored in page {
        let length = u32::try_from(stored.record.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&stored.position.sequence.to_be_bytes());
        bytes.extend_from_slice(&stored.record);
    }
    bytes.freeze()
}

/// Records, wherever they come from.
pub enum Events {
    /// From a data directory.
    Local(History),
    /// From a daemon.
    Remote(Box<Remote>),
}

/// Records that a daemon streams.
pub struct Remote {
    response: reqwest::Response,
    rest: BytesMut,
    covered: Covered,
}

impl Events {
    /// Reads the head of an answer.
    ///
    /// # Errors
    /// The connection breaks off, or this is not such an answer.
    pub async fn remote(response: reqwest::Response) -> Result<Self, ControlError> {
        let (mut response, mut rest) = (response, BytesMut::new());
        let end = loop {
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                break end;
            }
            if !more(&mut response, &mut rest).await? || rest.len() > MAX_RECORD_BYTES {
                return Err(broken("it began with something else"));
            }
        };
        let head = rest.split_to(end + 1);
        let covered = serde_json::from_slice(&head).map_err(|error| broken(&error))?;
        Ok(Self::Remote(Box::new(Remote { response, rest, covered })))
    }

    /// What of the log is read.
    pub fn covered(&self) -> &Covered {
        match self {
            Self::Local(history) => history.covered(),
            Self::Remote(remote) => &remote.covered,
        }
    }

    /// The next records, in their order; none at the end.
    ///
    /// # Errors
    /// The log cannot be read, or the connection breaks off.
    pub async fn page(&mut self) -> Result<Vec<Stored>, ControlError> {
        match self {
            Self::Local(history) => Ok(history.page().await?),
            Self::Remote(remote) => remote.page().await,
        }
    }
}

impl Remote {
    async fn page(&mut self) -> Result<Vec<Stored>, ControlError> {
        loop {
            let page = self.whole();
            if !page.is_empty() {
                return Ok(page);
            }
            if !more(&mut self.response, &mut self.rest).await? {
                if self.rest.is_empty() {
                    return Ok(page);
                }
                return Err(broken("it ended within a record"));
            }
        }
    }

    /// The records that are whole.
    fn whole(&mut self) -> Vec<Stored> {
        let mut page = Vec::new();
        while self.rest.len() >= HEAD {
            let mut head = &self.rest[..HEAD];
            let (length, sequence) = (head.get_u32() as usize, head.get_u64());
            if self.rest.len() < HEAD + length {
                break;
            }
            self.rest.advance(HEAD);
            let record = self.rest.split_to(length).freeze();
            let position = Position::new(self.covered.log.next.incarnation, sequence);
            page.push(Stored { position, record });
        }
        page
    }
}

/// Reads on; false at the end.
async fn more(response: &mut reqwest::Response, rest: &mut BytesMut) -> Result<bool, ControlError> {
    let chunk = response.chunk().await.map_err(|error| broken(&error))?;
    Ok(match chunk {
        Some(chunk) => {
            rest.extend_from_slice(&chunk);
            true
        }
        None => false,
    })
}

fn broken(why: &(impl std::fmt::Display + ?Sized)) -> ControlError {
    ControlError::Unreachable(format!("the daemon's answer broke off: {why}"))
}

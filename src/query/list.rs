//! Listings of a log, newest last, and following what is appended.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::SignedDuration;
use tripline_bus::{Bus, Log, ReadError, Stored};
use tripline_event::{Position, Timestamp};

use super::item::{Item, Record};
use super::scan::{Backwards, Needles, PAGE, extent, read};
use super::{Filter, QueryError};

/// How many records a listing shows unless told otherwise.
pub const DEFAULT_LIMIT: usize = 50;
/// The most records that one listing holds.
pub const MAX_LIMIT: usize = 100_000;
/// How far the times of neighbouring records may run backwards: a record carries the time
/// at which its event was taken in, which is not quite the order of the log.
const DISORDER: SignedDuration = SignedDuration::from_mins(5);

/// The last `limit` records of `log` that fit, oldest first. The log is read from its end.
pub async fn list(
    bus: &dyn Bus,
    log: Log,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Item>, QueryError> {
    let end = extent(bus, log).await?.next;
    list_before(bus, &Sieve::new(log, filter)?, end, limit).await
}

async fn list_before(
    bus: &dyn Bus,
    sieve: &Sieve,
    end: Position,
    limit: usize,
) -> Result<Vec<Item>, QueryError> {
    let limit = limit.min(MAX_LIMIT);
    let mut backwards = Backwards::before(bus, sieve.log, end).await?;
    let mut found = VecDeque::new();
    while found.len() < limit
        && let Some(page) = backwards.page(bus).await?
    {
        for stored in page.iter().rev() {
            if found.len() < limit
                && let Some(item) = sieve.item(bus, stored).await?
            {
                found.push_front(item);
            }
        }
        if page.first().is_some_and(|oldest| sieve.is_long_before(oldest)) {
            break;
        }
    }
    Ok(found.into())
}

/// A listing that may go on with what is appended after it.
pub struct Listing {
    bus: Arc<dyn Bus>,
    ready: VecDeque<Item>,
    follower: Option<Follower>,
}

impl Listing {
    /// The last `limit` records of `log` that fit; and if `follow`, those that come after.
    pub async fn new(
        bus: Arc<dyn Bus>,
        log: Log,
        filter: &Filter,
        limit: usize,
        follow: bool,
    ) -> Result<Self, QueryError> {
        let sieve = Sieve::new(log, filter)?;
        let next = extent(bus.as_ref(), log).await?.next;
        let ready = list_before(bus.as_ref(), &sieve, next, limit).await?.into();
        let follower = follow.then_some(Follower { sieve, next });
        Ok(Self { bus, ready, follower })
    }

    /// The next record, as soon as there is one; none at the end of a listing that does
    /// not follow. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<Option<Item>, QueryError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            let Some(follower) = &mut self.follower else { return Ok(None) };
            self.ready.extend(follower.next(self.bus.as_ref()).await?);
        }
    }
}

/// Records of a log as they are appended.
struct Follower {
    sieve: Sieve,
    next: Position,
}

impl Follower {
    /// Waits until something is appended, and gives what fits; often nothing. May be
    /// dropped while it waits.
    async fn next(&mut self, bus: &dyn Bus) -> Result<Vec<Item>, QueryError> {
        let log = self.sieve.log;
        match bus.wait(log, self.next).await {
            Ok(()) | Err(ReadError::Trimmed { .. }) => {}
            Err(source) => return Err(QueryError::Read { log, source }),
        }
        let page = read(bus, log, self.next, PAGE).await?;
        let mut items = Vec::new();
        for stored in &page {
            items.extend(self.sieve.item(bus, stored).await?);
        }
        if let Some(last) = page.last() {
            self.next = last.position.next();
        }
        Ok(items)
    }
}

/// A filter, made ready for one log.
struct Sieve {
    log: Log,
    filter: Filter,
    /// Each must be in a record.
    needles: Vec<Needles>,
}

impl Sieve {
    fn new(log: Log, filter: &Filter) -> Result<Self, QueryError> {
        if log == Log::Events && (filter.sensor.is_some() || filter.trigger.is_some()) {
            return Err(QueryError::Invalid(
                "an event has no sensor and no trigger: ask for actions or outcomes".to_owned(),
            ));
        }
        if log == Log::Outcomes && !filter.matches.is_empty() {
            return Err(QueryError::Invalid(
                "an outcome has no data to match: ask for events or actions".to_owned(),
            ));
        }
        let needles = filter
            .plain_texts()
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(|text| Needles::texts([text]))
            .collect::<Result<_, _>>()?;
        Ok(Self { log, filter: filter.clone(), needles })
    }

    async fn item(&self, bus: &dyn Bus, stored: &Stored) -> Result<Option<Item>, QueryError> {
        if !self.needles.iter().all(|needle| needle.are_in(&stored.record)) {
            return Ok(None);
        }
        let record = match Record::decode(self.log, &stored.record) {
            Ok(record) => record,
            Err(error) => return Ok(Some(Item::unreadable(stored, &error))),
        };
        if !self.filter.fits(&record) || !self.fits_data_of_events(bus, &record).await? {
            return Ok(None);
        }
        Ok(Some(Item::new(stored.position, &record, &stored.record)))
    }

    /// What an action's events held stands in EVENTS, as long as it is kept there.
    async fn fits_data_of_events(
        &self,
        bus: &dyn Bus,
        record: &Record,
    ) -> Result<bool, QueryError> {
        let Record::Action(action) = record else { return Ok(true) };
        if self.filter.matches.is_empty() {
            return Ok(true);
        }
        for event in &action.events {
            let page = match bus.read(Log::Events, event.position, 1).await {
                Err(ReadError::OtherIncarnation { .. } | ReadError::Trimmed { .. }) => continue,
                page => page.map_err(|source| QueryError::Read { log: Log::Events, source })?,
            };
            let record = page.first().map(|stored| Record::decode(Log::Events, &stored.record));
            if let Some(Ok(Record::Event(event))) = record
                && self.filter.fits_data(&event)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether everything before this record is surely older than what is asked for.
    fn is_long_before(&self, oldest: &Stored) -> bool {
        let Some(since) = self.filter.since else { return false };
        let since = since.checked_sub(DISORDER).unwrap_or(Timestamp::MIN);
        Record::decode(self.log, &oldest.record).is_ok_and(|record| record.time() < since)
    }
}

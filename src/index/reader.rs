//! Reading the records of a log that can hold a handle.

use tripline_bus::{Bus, Log, Stored};
use tripline_event::{Position, Timestamp};

use super::filter::Filter;
use super::handles::Handle;
use super::{SEGMENT, key};
use crate::query::QueryError;
use crate::query::scan::{PAGE, extent, read};

/// Goes through a log, and passes over the segments that hold none of some handles.
pub struct Reader {
    log: Log,
    next: Position,
    until: Position,
    handles: Vec<Handle>,
    /// Up to here it is known that everything is to be read.
    admitted: u64,
    /// How many segments were passed over.
    passed_over: u64,
}

/// What comes next in a log.
#[derive(Debug)]
pub enum Page {
    /// Records; whether they hold a handle is for whoever asked to see.
    Records(Vec<Stored>),
    /// A segment without any of the handles.
    PassedOver {
        /// Its last record.
        last: Position,
        /// The greatest time of its records.
        newest: Timestamp,
    },
}

impl Reader {
    /// Reads what `log` holds now of `handles`.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn new(bus: &dyn Bus, log: Log, handles: Vec<Handle>) -> Result<Self, QueryError> {
        let extent = extent(bus, log).await?;
        Ok(Self {
            log,
            next: extent.first,
            until: extent.next,
            handles,
            admitted: 0,
            passed_over: 0,
        })
    }

    /// Begins at `from`, if the log reaches back that far.
    #[must_use]
    pub fn from(mut self, from: Position) -> Self {
        if from.incarnation == self.next.incarnation {
            self.next = self.next.max(from);
        }
        self
    }

    /// Ends before `until`.
    #[must_use]
    pub fn until(mut self, until: Position) -> Self {
        if until.incarnation == self.until.incarnation {
            self.until = self.until.min(until);
        }
        self
    }

    /// Looks for other handles from here on.
    pub fn look_for(&mut self, handles: Vec<Handle>) {
        self.handles = handles;
        self.admitted = 0;
    }

    /// How many segments were passed over.
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// What comes next; none at the end.
    ///
    /// # Errors
    /// The log, or a filter, cannot be read.
    pub async fn page(&mut self, bus: &dyn Bus) -> Result<Option<Page>, QueryError> {
        if self.next >= self.until {
            return Ok(None);
        }
        let segment = self.next.sequence / SEGMENT;
        let end = (segment + 1) * SEGMENT;
        if self.next.sequence >= self.admitted {
            // Of a part of a segment nothing is known, but that is not asked for often.
            if end <= self.until.sequence
                && let Some(filter) = self.filter(bus, segment).await?
                && !self.handles.iter().any(|handle| filter.admits(*handle))
            {
                self.next = Position { sequence: end, ..self.next };
                self.passed_over += 1;
                let last = Position { sequence: end - 1, ..self.next };
                return Ok(Some(Page::PassedOver { last, newest: filter.newest }));
            }
            self.admitted = end;
        }
        let left = usize::try_from(self.until.sequence.min(end) - self.next.sequence);
        let mut page = read(bus, self.log, self.next, left.unwrap_or(PAGE).min(PAGE)).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.next = last.position.next();
        page.retain(|stored| stored.position < self.until);
        // A long look-back must not keep the daemon's other work waiting.
        tokio::task::yield_now().await;
        Ok(Some(Page::Records(page)))
    }

    async fn filter(&self, bus: &dyn Bus, segment: u64) -> Result<Option<Filter>, QueryError> {
        let entry = bus.get(&key(self.log, self.next.incarnation, segment)).await?;
        Ok(entry.and_then(|entry| Filter::decode(&entry.value)))
    }
}

/// Shows `visit` every record of `log` that can hold one of `handles`, oldest first.
/// `visit` says whether to go on.
///
/// # Errors
/// The log, or a filter, cannot be read.
pub async fn holding(
    bus: &dyn Bus,
    log: Log,
    handles: Vec<Handle>,
    mut visit: impl FnMut(&Stored) -> bool + Send,
) -> Result<(), QueryError> {
    let mut reader = Reader::new(bus, log, handles).await?;
    while let Some(page) = reader.page(bus).await? {
        if let Page::Records(records) = page
            && !records.iter().all(&mut visit)
        {
            return Ok(());
        }
    }
    Ok(())
}

//! Making filters of segments that are full, beside everything else that the daemon does.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tripline_bus::{Bus, Log, Revision, WriteError};
use tripline_event::{Position, Timestamp};

use super::filter::Filter;
use super::{SEGMENT, handles, key, prefix};
use crate::query::QueryError;
use crate::query::scan::{PAGE, extent, read};

/// How often it is looked for segments that have become full.
const EVERY: Duration = Duration::from_secs(5);
/// It rests so many times as long as it works: it never takes more than a fifth of one
/// processor, however much comes in.
const REST: u32 = 4;
/// The most filters that are looked for, or removed, in one go.
const AT_ONCE: usize = 256;

/// Keeps the filters of one bus.
pub struct Indexer {
    bus: Arc<dyn Bus>,
    /// Of each log, the incarnation and the first segment that may have no filter.
    next: [Option<(u32, u64)>; 3],
    /// Of each log, the first record when filters were last removed.
    first: [Option<Position>; 3],
}

impl Indexer {
    /// One that has not looked yet at what is there.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self { bus, next: [None; 3], first: [None; 3] }
    }

    /// Makes filters as segments become full, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let work = async {
                if let Err(error) = self.catch_up(REST).await {
                    // What has no filter is read: slower, and no less right.
                    tracing::debug!(%error, "the logs are not indexed for now");
                }
                tokio::time::sleep(EVERY).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = work => {}
            }
        }
    }

    /// Makes the filters of all segments that are full and have none, and rests `rest` times
    /// as long after each. Answers how many it made.
    ///
    /// # Errors
    /// The bus cannot be read, or does not take them.
    pub async fn catch_up(&mut self, rest: u32) -> Result<u64, QueryError> {
        let mut made = 0;
        for (log, place) in Log::ALL.into_iter().zip(0..) {
            let extent = extent(&*self.bus, log).await?;
            let (first, end) = (extent.first, extent.next);
            let mut segment = match self.next[place] {
                Some((incarnation, segment)) if incarnation == end.incarnation => segment,
                _ => self.begin(log, first).await?,
            };
            segment = segment.max(first.sequence / SEGMENT);
            while (segment + 1) * SEGMENT <= end.sequence {
                let begun = Instant::now();
                let at = Position::new(end.incarnation, segment * SEGMENT);
                self.make(log, at).await?;
                segment += 1;
                made += 1;
                self.next[place] = Some((end.incarnation, segment));
                tokio::time::sleep(begun.elapsed() * rest).await;
            }
            self.next[place] = Some((end.incarnation, segment));
            if self.first[place] != Some(first) {
                self.forget_trimmed(log, first).await?;
                self.first[place] = Some(first);
            }
        }
        Ok(made)
    }

    /// The first segment behind those that have filters.
    async fn begin(&self, log: Log, first: Position) -> Result<u64, QueryError> {
        let prefix = prefix(log, first.incarnation);
        let mut last: Option<String> = None;
        loop {
            let keys = self.bus.keys(&prefix, last.as_deref(), AT_ONCE).await?;
            let Some(newest) = keys.last() else { break };
            last = Some(newest.clone());
        }
        let number = last.and_then(|key| u64::from_str_radix(key.strip_prefix(&prefix)?, 16).ok());
        Ok(number.map_or(first.sequence / SEGMENT, |number| number + 1))
    }

    /// Makes the filter of the segment that begins at `at`. One that has a record that
    /// cannot be read gets none: the record may be anybody's.
    async fn make(&self, log: Log, at: Position) -> Result<(), QueryError> {
        let end = Position { sequence: at.sequence + SEGMENT, ..at };
        let mut all = HashSet::new();
        let mut newest = Timestamp::MIN;
        // The first sequence is 1, and what was trimmed is not there.
        let mut from = Position { sequence: at.sequence.max(1), ..at };
        while from < end {
            let page = read(&*self.bus, log, from, PAGE).await?;
            let Some(last) = page.last() else { break };
            from = last.position.next();
            for stored in page.iter().take_while(|stored| stored.position < end) {
                let Some(time) = handles::of(log, &stored.record, &mut all) else { return Ok(()) };
                newest = newest.max(time);
            }
            tokio::task::yield_now().await;
        }
        let key = key(log, at.incarnation, at.sequence / SEGMENT);
        let bytes = Bytes::from(Filter::new(&all, newest).encode());
        match self.bus.put(&key, bytes, Revision::ABSENT).await {
            // It is there already: it says the same.
            Ok(_) | Err(WriteError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes filters of segments that were trimmed, and of logs that were made again.
    async fn forget_trimmed(&self, log: Log, first: Position) -> Result<(), QueryError> {
        let kept = key(log, first.incarnation, first.sequence / SEGMENT);
        let all = format!("index/{}/", log.as_str());
        let of_log = prefix(log, first.incarnation);
        let mut after: Option<String> = None;
        loop {
            let keys = self.bus.keys(&all, after.as_deref(), AT_ONCE).await?;
            let Some(last) = keys.last() else { return Ok(()) };
            after = Some(last.clone());
            for key in keys.iter().filter(|key| !key.starts_with(&of_log) || **key < kept) {
                if let Some(entry) = self.bus.get(key).await? {
                    self.bus.delete(key, entry.revision).await?;
                }
            }
        }
    }
}

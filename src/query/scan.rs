//! Reading logs in pages, forwards and backwards, and passing over what cannot matter.

use aho_corasick::AhoCorasick;
use serde::{Deserialize, Serialize};
use tripline_bus::{Bus, Extent, Log, ReadError, Stored};
use tripline_event::{Position, Timestamp};

use super::QueryError;
use super::item::Record;

/// How many records are read at once.
pub const PAGE: usize = 1000;

/// How far a log reaches, in words that a person can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogExtent {
    /// `events`, `actions` or `outcomes`.
    pub log: String,
    /// The first record that is kept.
    pub first: Position,
    /// Where the next record will stand.
    pub next: Position,
    /// How many records are kept.
    pub records: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// The time of the first record; none where there is no record, or it cannot be read.
    pub oldest: Option<Timestamp>,
    /// The time of the last record; likewise.
    pub newest: Option<Timestamp>,
}

/// How far each of the three logs reaches.
pub async fn extents(bus: &dyn Bus) -> Result<Vec<LogExtent>, QueryError> {
    let mut extents = Vec::with_capacity(Log::ALL.len());
    for log in Log::ALL {
        let Extent { first, next, bytes } = extent(bus, log).await?;
        let records = next.sequence.saturating_sub(first.sequence);
        let last = Position::new(next.incarnation, next.sequence.saturating_sub(1));
        extents.push(LogExtent {
            log: log.as_str().to_owned(),
            first,
            next,
            records,
            bytes,
            oldest: if records > 0 { time_at(bus, log, first).await? } else { None },
            newest: if records > 0 { time_at(bus, log, last).await? } else { None },
        });
    }
    Ok(extents)
}

async fn time_at(bus: &dyn Bus, log: Log, at: Position) -> Result<Option<Timestamp>, QueryError> {
    let page = read(bus, log, at, 1).await?;
    Ok(page.first().and_then(|stored| Record::decode(log, &stored.record).ok()).map(|r| r.time()))
}

/// How far `log` reaches now.
pub async fn extent(bus: &dyn Bus, log: Log) -> Result<Extent, QueryError> {
    bus.extent(log).await.map_err(|source| QueryError::Read { log, source })
}

/// Reads from `from` on; where that was trimmed meanwhile, from the first that is kept.
pub async fn read(
    bus: &dyn Bus,
    log: Log,
    from: Position,
    max: usize,
) -> Result<Vec<Stored>, QueryError> {
    let page = match bus.read(log, from, max).await {
        Err(ReadError::Trimmed { first, .. }) => bus.read(log, first, max).await,
        page => page,
    };
    page.map_err(|source| QueryError::Read { log, source })
}

/// Shows `visit` every record that the log holds now, oldest first. `visit` says whether
/// to go on.
pub async fn forwards(
    bus: &dyn Bus,
    log: Log,
    mut visit: impl FnMut(&Stored) -> bool + Send,
) -> Result<(), QueryError> {
    let Extent { first, next: end, .. } = extent(bus, log).await?;
    let mut from = first;
    while from < end {
        let page = read(bus, log, from, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        from = last.position.next();
        if !page.iter().take_while(|stored| stored.position < end).all(&mut visit) {
            return Ok(());
        }
        // A long look-back must not keep the daemon's other work waiting.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Pages of a log from its end to its beginning.
pub struct Backwards {
    log: Log,
    first: Position,
    end: Position,
}

impl Backwards {
    /// Begins at the end that `log` has now.
    pub async fn new(bus: &dyn Bus, log: Log) -> Result<Self, QueryError> {
        let Extent { first, next, .. } = extent(bus, log).await?;
        Ok(Self { log, first, end: next })
    }

    /// Begins with the record before `end`.
    pub async fn before(bus: &dyn Bus, log: Log, end: Position) -> Result<Self, QueryError> {
        Ok(Self { end, ..Self::new(bus, log).await? })
    }

    /// The page before the last one, its oldest record first; none at the beginning.
    pub async fn page(&mut self, bus: &dyn Bus) -> Result<Option<Vec<Stored>>, QueryError> {
        if self.end <= self.first {
            return Ok(None);
        }
        let begin = self.end.sequence.saturating_sub(PAGE as u64).max(self.first.sequence);
        let begin = Position::new(self.end.incarnation, begin);
        let mut page: Vec<Stored> = Vec::new();
        // One read may give less than was asked for, where records are large.
        let mut from = begin;
        while from < self.end {
            let part = read(bus, self.log, from, PAGE).await?;
            let Some(last) = part.last() else { break };
            from = last.position.next();
            page.extend(part.into_iter().filter(|stored| stored.position < self.end));
        }
        self.end = begin;
        tokio::task::yield_now().await;
        Ok(Some(page))
    }
}

/// Texts, one of which a record must hold to be worth parsing.
pub struct Needles(AhoCorasick);

impl Needles {
    /// Texts as they stand in a record's JSON string: quotes, backslashes and controls
    /// escaped the way that records are written.
    pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, QueryError> {
        Self::bytes(texts.into_iter().map(escaped))
    }

    /// Bytes as they stand in a record.
    pub fn bytes(patterns: impl IntoIterator<Item = String>) -> Result<Self, QueryError> {
        AhoCorasick::new(patterns)
            .map(Self)
            .map_err(|error| QueryError::Invalid(format!("too many ids to look for: {error}")))
    }

    /// Whether the record holds one of them.
    pub fn are_in(&self, record: &[u8]) -> bool {
        self.0.is_match(record)
    }
}

/// `text` as it stands between the quotes of a JSON string.
pub fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

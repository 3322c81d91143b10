//! What is kept by size: when a bus that knows its limit becomes full, its oldest records go
//! before their time, if they are not needed any more.
//!
//! The same share of each log goes, since what follows from an event stands as far back in
//! its log as the event does in EVENTS, nearly.

use jiff::SignedDuration;
use tripline_bus::{Bus, Extent, Fill, Log, ReadError};
use tripline_event::Position;

/// From how full on the oldest records go before their time, in hundredths.
pub const TRIM_FROM: u64 = 80;
/// How full it is to be then.
const TRIM_TO: u64 = 70;
/// How often a bus that is that full is looked at again.
pub const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// Whether the oldest records are to go before their time.
pub fn is_crowded(bus: &dyn Bus) -> bool {
    bus.fill().is_some_and(|fill| fill.hundredths() >= TRIM_FROM)
}

/// Which share of each log is to go, as a number of millionths; 0 where there is room.
///
/// # Errors
/// The bus cannot be read.
pub async fn surplus(bus: &dyn Bus) -> Result<u64, ReadError> {
    let Some(fill) = bus.fill().filter(|fill| fill.hundredths() >= TRIM_FROM) else { return Ok(0) };
    let mut records = 0;
    for log in Log::ALL {
        records += bus.extent(log).await?.bytes;
    }
    Ok(share(fill, records))
}

/// What records take with the overhead of the bus is not known: it is more than `records`, and
/// no more than all. At most half goes at a time, so that what is taken otherwise, by keys,
/// does not cost the whole past.
fn share(fill: Fill, records: u64) -> u64 {
    let surplus = fill.used.saturating_sub(fill.limit / 100 * TRIM_TO);
    let millionths = u128::from(surplus) * 1_000_000 / u128::from(records.max(1));
    u64::try_from(millionths).unwrap_or(u64::MAX).min(500_000)
}

/// Where a log begins when that share of it is gone.
pub fn first_without(extent: Extent, millionths: u64) -> Position {
    let records = u128::from(extent.next.sequence - extent.first.sequence);
    let gone = records * u128::from(millionths) / 1_000_000;
    let gone = u64::try_from(gone).unwrap_or(u64::MAX);
    Position { sequence: extent.first.sequence + gone, ..extent.first }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tripline_bus::Append;
    use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
    use tripline_event::{Clock, EventsRecord, SystemClock};

    use super::super::trim::{Needed, trim};
    use super::*;

    #[test]
    fn a_crowded_bus_gives_up_as_much_as_brings_it_back_to_seventy_hundredths() {
        for (used, limit, records, expected) in [
            (800, 1000, 1000, 100_000),
            (800, 1000, 500, 200_000),
            (1000, 1000, 1000, 300_000),
            // Keys take most of it.
            (900, 1000, 100, 500_000),
            (900, 1000, 0, 500_000),
            (100, 0, 100, 500_000),
            (u64::MAX, u64::MAX, u64::MAX, 300_000),
        ] {
            let found = share(Fill { used, limit }, records);
            assert!(found.abs_diff(expected) <= 1, "{used} of {limit}, {records}: {found}");
        }
    }

    #[test]
    fn a_share_of_a_log_is_one_of_its_records() {
        for (first, next, millionths, expected) in [
            (1, 101, 100_000, 11),
            (51, 151, 500_000, 101),
            (7, 7, 500_000, 7),
            (7, 8, 500_000, 7),
            (7, 107, 0, 7),
        ] {
            let at = |sequence| Position::new(9, sequence);
            let extent = Extent { first: at(first), next: at(next), bytes: 0 };
            assert_eq!(first_without(extent, millionths), at(expected));
        }
    }

    /// A store of 2 MiB that takes nothing new any more.
    async fn full_store(dir: &std::path::Path) -> Arc<dyn Bus> {
        let options = OpenOptions { max_bytes: 2 << 20, ..OpenOptions::default() };
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::open(dir, &options).unwrap());
        let now = SystemClock.now();
        let record = Append { dedup: None, record: EventsRecord::Time(now).encode() };
        let actions = vec![Append { dedup: None, record: vec![0; 100].into() }; 50];
        while bus.append(Log::Events, vec![record.clone(); 500]).await.is_ok() {
            bus.append(Log::Actions, actions.clone()).await.unwrap();
        }
        bus
    }

    #[tokio::test]
    async fn a_full_store_gives_up_its_oldest_records_as_far_as_they_are_not_needed() {
        let dir = tempfile::tempdir().unwrap();
        let bus = full_store(dir.path()).await;
        let extent = |log| {
            let bus = Arc::clone(&bus);
            async move { bus.extent(log).await.unwrap() }
        };
        let [events, actions, outcomes] =
            [extent(Log::Events).await, extent(Log::Actions).await, extent(Log::Outcomes).await];
        let now = SystemClock.now();
        let needed = |events| Needed { events, actions: actions.next, outcomes: outcomes.next };
        // All of it is needed but for the first ten.
        let tenth = Position { sequence: events.first.sequence + 10, ..events.first };
        let before = bus.fill();
        trim(&bus, needed(tenth), now).await.unwrap();
        assert_eq!(extent(Log::Events).await.first, tenth);
        let share = |before: Extent, after: Extent| {
            (after.first.sequence - before.first.sequence) * 100
                / (before.next.sequence - before.first.sequence)
        };
        let gone = share(actions, extent(Log::Actions).await);
        assert!((20..=50).contains(&gone), "{gone} % of ACTIONS");
        looked_at_again(&*bus, before).await;
        // Nothing is needed; then there is room, and what is left stays.
        loop {
            let before = bus.fill();
            if surplus(&*bus).await.unwrap() == 0 {
                break;
            }
            trim(&bus, needed(events.next), now).await.unwrap();
            looked_at_again(&*bus, before).await;
        }
        let kept = extent(Log::Events).await;
        let gone = share(events, kept);
        assert!((20..=50).contains(&gone), "{gone} % of EVENTS");
        trim(&bus, needed(events.next), now).await.unwrap();
        assert_eq!(extent(Log::Events).await, kept);
    }

    /// How full a store is is taken for known for a moment.
    async fn looked_at_again(bus: &dyn Bus, before: Option<Fill>) {
        let again = async {
            while bus.fill() == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), again).await.unwrap();
    }
}

//! One suite for every backend: a backend is right when the suite passes on it.
//!
//! Each check is a promise of [`Bus`], and gets a [`Site`] of its own. A check that finds a
//! broken promise panics; [`run`] runs them all and says which did.
//!
//! Not here: crashes and full disks, which look different on each backend.

#![expect(clippy::unwrap_used, reason = "a check that fails panics, as a test does")]

mod appending;
mod keys;
mod reading;
mod trimming;

use std::sync::Arc;

use bytes::Bytes;
use tripline_event::Position;

use crate::{Append, Appended, BoxFuture, Bus, Log};

/// Where a check has a bus of its own.
pub trait Site: Send {
    /// Opens the bus: an empty one at first, later what was left by the one before. The
    /// caller has dropped that one, so this is a restart.
    fn open(&mut self) -> BoxFuture<'_, Arc<dyn Bus>>;
}

/// A promise, and what tries to break it.
pub struct Check {
    /// The promise, as an identifier.
    pub name: &'static str,
    run: fn(Box<dyn Site>) -> BoxFuture<'static, ()>,
}

macro_rules! checks {
    ($($module:ident :: $name:ident,)*) => {
        /// All checks.
        pub const CHECKS: &[Check] = &[
            $(Check { name: stringify!($name), run: |site| Box::pin($module::$name(site)) },)*
        ];
    };
}

checks! {
    appending::a_batch_is_answered_and_read_in_its_order,
    appending::an_empty_batch_stores_nothing,
    appending::a_refused_batch_stores_nothing_of_it,
    appending::a_known_dedup_id_is_stored_once,
    appending::a_dedup_id_is_known_after_a_restart,
    appending::a_dedup_id_belongs_to_its_log,
    appending::any_bytes_are_a_record_and_a_dedup_id,
    appending::concurrent_batches_stay_whole_and_none_is_lost,
    appending::concurrent_appends_of_one_dedup_id_store_it_once,
    reading::a_read_keeps_its_limits,
    reading::reading_on_gives_each_record_once,
    reading::at_the_end_there_is_nothing,
    reading::a_position_of_another_incarnation_is_refused,
    reading::a_wait_ends_when_a_record_comes,
    reading::a_wait_for_what_is_there_ends_at_once,
    reading::a_wait_that_was_dropped_loses_nothing,
    reading::a_log_is_the_same_after_a_restart,
    trimming::what_was_trimmed_is_gone_and_said_to_be,
    trimming::trimming_again_or_elsewhere_removes_nothing,
    trimming::sequences_go_on_after_everything_was_trimmed,
    trimming::appending_goes_on_while_much_is_trimmed,
    keys::a_key_changes_only_from_the_expected_revision,
    keys::a_revision_is_never_used_again,
    keys::of_concurrent_puts_one_wins,
    keys::any_bytes_are_a_value,
    keys::keys_come_in_order_and_in_pages,
    keys::what_is_no_key_is_refused,
    keys::keys_are_the_same_after_a_restart,
}

/// Runs all checks, each at a site of its own, and panics with the names of those that failed.
///
/// # Panics
///
/// Where the backend breaks a promise.
pub async fn run<S: Site + 'static>(mut make_site: impl FnMut() -> S) {
    let mut failed = Vec::new();
    for check in CHECKS {
        if tokio::spawn((check.run)(Box::new(make_site()))).await.is_err() {
            failed.push(check.name);
        }
    }
    assert!(failed.is_empty(), "broken promises: {failed:#?}");
}

/// A record without a dedup id.
fn plain(record: impl Into<Bytes>) -> Append {
    Append { dedup: None, record: record.into() }
}

/// A record with a dedup id.
fn with_id(dedup: impl Into<Bytes>, record: impl Into<Bytes>) -> Append {
    Append { dedup: Some(dedup.into()), record: record.into() }
}

/// `count` records: `name-0`, `name-1`, …
fn numbered(name: &str, count: usize) -> Vec<Append> {
    (0..count).map(|number| plain(format!("{name}-{number}"))).collect()
}

async fn append_one(bus: &dyn Bus, log: Log, append: Append) -> Appended {
    bus.append(log, vec![append]).await.unwrap()[0]
}

/// The positions of an answer.
fn positions(answer: &[Appended]) -> Vec<Position> {
    answer.iter().map(|appended| appended.position).collect()
}

/// All records of a log from its first on, read page by page.
async fn read_all(bus: &dyn Bus, log: Log) -> Vec<Bytes> {
    let mut from = bus.extent(log).await.unwrap().first;
    let mut records = Vec::new();
    loop {
        let page = bus.read(log, from, 1000).await.unwrap();
        let Some(last) = page.last() else { return records };
        let first = from.sequence;
        from = last.position.next();
        for (stored, sequence) in page.into_iter().zip(first..) {
            assert_eq!(stored.position.sequence, sequence, "a gap");
            records.push(stored.record);
        }
    }
}

//! Outcomes of what never became an event: refused requests, repeated ids, missed ticks.
//!
//! They are written beside the main path and in bounds: at most one record a second for
//! each event and reason, with a count, and a bounded number of reasons at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tripline_bus::{Append, Bus, Log};
use tripline_event::{Clock, EventKey, Outcome, OutcomeKind};

/// How often what has gathered is written.
const EVERY: Duration = Duration::from_secs(1);
/// How many different (event, reason) are gathered between two writes; further ones are
/// counted in the metrics alone.
const MOST: usize = 256;
/// A longer reason is cut.
const REASON_BYTES: usize = 512;

/// Gathers refusals and writes them.
pub struct Notes {
    clock: Arc<dyn Clock>,
    gathered: Mutex<HashMap<(EventKey, String), u64>>,
}

impl Notes {
    /// Nothing is gathered yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, gathered: Mutex::default() }
    }

    /// Something was refused.
    pub fn refused(&self, key: &EventKey, reason: &str) {
        let mut end = reason.len().min(REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = (key.clone(), reason[..end].to_owned());
        if gathered.len() < MOST || gathered.contains_key(&entry) {
            *gathered.entry(entry).or_default() += 1;
        }
    }

    /// Writes what gathers, until `stop`; then what is left.
    pub async fn run(&self, bus: Arc<dyn Bus>, stop: CancellationToken) {
        loop {
            let stopped = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            self.write(&*bus).await;
            if stopped {
                return;
            }
        }
    }

    async fn write(&self, bus: &dyn Bus) {
        let gathered =
            std::mem::take(&mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        if gathered.is_empty() {
            return;
        }
        let at = self.clock.now();
        let mut batch: Vec<_> = gathered.into_iter().collect();
        batch.sort();
        let records = batch.iter().map(|((key, reason), count)| {
            let kind =
                OutcomeKind::Refused { key: key.clone(), reason: reason.clone(), count: *count };
            Append { dedup: None, record: Outcome { at, correlation: None, kind }.encode() }
        });
        if let Err(error) = bus.append(Log::Outcomes, records.collect()).await {
            // Upstream has its answer already. The counts stay in the metrics.
            tracing::warn!(%error, reasons = batch.len(), "refusals could not be recorded");
        }
    }
}

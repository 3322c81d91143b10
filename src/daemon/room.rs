//! How much room the event bus has: what is said at the start, and when it becomes little.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tripline_bus::embedded::{Quota, QuotaError};
use tripline_bus::{Bus, Fill};

use crate::engine::retention::TRIM_FROM;

/// From how full on it is told, in hundredths.
const WARN_FROM: u64 = 50;
/// Below this it is not told any more. Between the two it stays as it was.
const WELL_BELOW: u64 = 45;
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How many bytes a store in the directory may take. What was found is said, and what is
/// wrong with it.
///
/// # Errors
/// The quota cannot be.
pub(super) fn quota(quota: Quota, data: &std::path::Path) -> Result<u64, QuotaError> {
    let allowance = quota.of(data)?;
    tracing::info!("{allowance}");
    if let Some(shortage) = allowance.shortage() {
        tracing::warn!(volume = %allowance.volume.display(), "{shortage}");
    }
    Ok(allowance.quota)
}

/// What is to be known of how full the bus is; none while it is less than half full.
pub(crate) fn note(fill: Option<Fill>) -> Option<String> {
    let fill = fill.filter(|fill| fill.hundredths() >= WARN_FROM)?;
    Some(format!(
        "the event bus is {} % full: {} of {} MiB; from {TRIM_FROM} % on its oldest records go before their time, if they are not needed any more, and new events are refused when it is full",
        fill.hundredths(),
        fill.used >> 20,
        fill.limit >> 20
    ))
}

/// Tells when the bus is half full, once, and when it is not any more, until `stop`.
pub(super) async fn watch(bus: Arc<dyn Bus>, stop: CancellationToken) {
    let mut told = false;
    loop {
        let fill = bus.fill();
        let hundredths = fill.map_or(0, Fill::hundredths);
        if told && hundredths < WELL_BELOW {
            told = false;
            tracing::info!("the event bus has room again: it is {hundredths} % full");
        }
        if let Some(note) = note(fill).filter(|_| !told) {
            told = true;
            tracing::warn!("{note}");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_from_half_on() {
        let full = |used: u64| note(Some(Fill { used: used << 20, limit: 1000 << 20 }));
        assert_eq!((full(0), full(499), note(None)), (None, None, None));
        let told = full(500).unwrap_or_default();
        assert!(told.starts_with("the event bus is 50 % full: 500 of 1000 MiB;"), "{told}");
    }
}

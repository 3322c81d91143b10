//! Trying again what the bus could not do, without flooding it or the log.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::observer::EngineObserver;

/// Pauses between tries, each twice as long as the one before.
pub struct Retry {
    observer: Arc<dyn EngineObserver>,
    what: &'static str,
    pause: Duration,
}

impl Retry {
    /// The first pause.
    pub const FIRST: Duration = Duration::from_millis(50);
    /// The longest.
    const LONGEST: Duration = Duration::from_secs(5);

    /// For `what`, which the observer is told about when it fails and when it works again.
    pub fn new(observer: &Arc<dyn EngineObserver>, what: &'static str) -> Self {
        Self { observer: Arc::clone(observer), what, pause: Duration::ZERO }
    }

    /// Waits for the next try; false where it was stopped meanwhile.
    pub async fn pause(&mut self, error: &impl Display, stop: &CancellationToken) -> bool {
        if self.pause.is_zero() {
            self.observer.on_bus_trouble(self.what, Some(&error.to_string()));
        }
        self.pause = (self.pause * 2).clamp(Self::FIRST, Self::LONGEST);
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = tokio::time::sleep(self.pause) => true,
        }
    }
}

impl Drop for Retry {
    fn drop(&mut self) {
        if !self.pause.is_zero() {
            self.observer.on_bus_trouble(self.what, None);
        }
    }
}

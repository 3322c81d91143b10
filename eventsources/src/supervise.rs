//! Keeps a task running: its end, its error and its panic are noticed, told, and answered
//! with another start.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::health::Health;
use crate::source::SourceError;

/// The first pause before another start; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: less than the minute that a calendar makes up for after a start. A
/// task that has run for so long starts with the first pause again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Runs what `start` returns, again and again, until `stop` is cancelled.
pub(crate) async fn supervise<F>(
    name: String,
    tasks: TaskTracker,
    stop: CancellationToken,
    health: Health,
    start: impl Fn() -> F,
) where
    F: Future<Output = Result<(), SourceError>> + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        let started = Instant::now();
        let ended = match tasks.spawn(start()).await {
            Ok(Ok(())) => "ended by itself".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) if error.is_panic() => format!("panicked: {error}"),
            // The runtime goes away.
            Err(_) => return,
        };
        if stop.is_cancelled() {
            return;
        }
        if started.elapsed() >= LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        // A line for each change of state, not for each attempt.
        let before = health.state();
        health.failing(&*ended);
        if before.ready || before.detail != ended {
            tracing::error!(event_source = name, "{ended}; it is tried again");
        } else {
            tracing::debug!(event_source = name, pause_ms = pause.as_millis(), "{ended}");
        }
        tokio::select! {
            () = sleep(spread(&name, pause)) => {}
            () = stop.cancelled() => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between a half of the pause and all of it, by the name of the source: those that have lost
/// the same upstream do not come back to it at the same moment.
pub(crate) fn spread(name: &str, pause: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (name, pause).hash(&mut hasher);
    let part = u32::try_from(hasher.finish() % 1000).unwrap_or_default();
    pause / 2 + pause / 2 * part / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_of_different_sources_differ_and_are_never_longer() {
        let pauses: Vec<Duration> =
            (0..100).map(|n| spread(&format!("ci/builds/{n}"), LONGEST_PAUSE)).collect();
        assert!(pauses.iter().all(|pause| (LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(pause)));
        let distinct: std::collections::BTreeSet<_> = pauses.iter().collect();
        assert!(distinct.len() > 80, "{}", distinct.len());
    }
}

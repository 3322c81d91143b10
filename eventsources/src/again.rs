//! How sources that pull try again: the pauses in between, and messages that the event bus does
//! not take yet.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::SinkError;

/// The first pause before something that failed is tried again; each further one is twice as
/// long.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before something that failed is tried again.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pause after `pause`.
pub(crate) fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

/// Gives until the event bus takes it, or never will. `tell` is told each time why it does not,
/// and in the end that it does. `None`: it was abandoned.
pub(crate) async fn until_taken<T, F>(
    give: impl Fn() -> F,
    abandon: &CancellationToken,
    mut tell: impl FnMut(Option<String>),
) -> Option<Result<T, SinkError>>
where
    F: Future<Output = Result<T, SinkError>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match give().await {
            Err(SinkError::Unavailable(why)) => tell(Some(format!("messages wait: {why}"))),
            taken => {
                tell(None);
                return Some(taken);
            }
        }
        tokio::select! {
            biased;
            () = abandon.cancelled() => return None,
            () = sleep(pause) => {}
        }
        pause = longer(pause);
    }
}

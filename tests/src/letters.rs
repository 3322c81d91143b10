//! Dead letters of what nobody can tell.

use std::time::Duration;

use anyhow::ensure;
use tripline_event::Cause;

use crate::daemon::{Daemon, Place};

/// How often letters are sent again: nobody can tell of one more whose answer did not come in time.
const ROUNDS: usize = 5;

/// Sends the dead letters of what nobody can tell again. Returns how many there were; others
/// must not be there.
///
/// A daemon that is killed while it creates a workflow cannot know afterwards whether it was
/// created, where it is not there: somebody may have removed it. Where nobody removes any, it
/// may be sent again.
///
/// # Errors
/// There are other dead letters.
pub async fn resolve_unknown(
    place: &Place,
    daemon: &Daemon,
    settle: Duration,
) -> anyhow::Result<u64> {
    let mut resolved = 0;
    for _ in 0..ROUNDS {
        let letters = daemon.status().await?.dead_letters;
        let count = letters.values().sum::<u64>();
        if count == 0 {
            return Ok(resolved);
        }
        let unknown = letters.get(&Cause::Unknown).copied().unwrap_or_default();
        ensure!(unknown == count, "dead letters: {letters:?}");
        place.text(&["dlq", "retry", "--all", "--cause", "unknown"])?;
        daemon.settled(settle).await?;
        resolved += count;
    }
    let left = daemon.status().await?.dead_letters;
    ensure!(left.values().sum::<u64>() == 0, "dead letters: {left:?}, after {resolved}");
    Ok(resolved)
}

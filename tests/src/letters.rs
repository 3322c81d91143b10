//! Dead letters of what nobody can tell.

use std::time::Duration;

use anyhow::ensure;

use crate::daemon::{Daemon, Place};

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
    let letters = daemon.status().await?.dead_letters;
    let count = letters.values().sum::<u64>();
    if count > 0 {
        place.text(&["dlq", "retry", "--all", "--cause", "unknown"])?;
        daemon.settled(settle).await?;
    }
    let left = daemon.status().await?.dead_letters;
    ensure!(left.values().sum::<u64>() == 0, "dead letters: {left:?} of {letters:?}");
    Ok(count)
}

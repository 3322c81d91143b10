//! `upgrade`.

use std::time::Duration;

use super::output::Output;
use super::{CommandError, Exit};
use crate::control::{Backend, ControlError};

/// How long the new program may take to answer: as long as the old one may take to stop, and
/// as long again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `upgrade`: asks for it, and waits until the new program answers.
pub(super) fn upgrade() -> impl AsyncFnOnce(&Backend, &mut Output) -> Result<Exit, CommandError> {
    async |backend: &Backend, output: &mut Output| {
        let begin = tokio::time::Instant::now();
        let report = backend.upgrade().await?;
        loop {
            // An error: there is none for a moment.
            let status = backend.status().await.ok();
            if status.is_some_and(|now| now.running && now.started_at != report.started_at) {
                break;
            }
            if begin.elapsed() > PATIENCE {
                let text = format!("the new program did not answer within {PATIENCE:?}");
                return Err(ControlError::Unreachable(text).into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if output.is_json() {
            output.json(&report)?;
        } else {
            let took = begin.elapsed().as_millis();
            let (from, to) = (&report.from, &report.to);
            output.line(format_args!("{from} made room for {to}, which runs after {took} ms"))?;
        }
        Ok(Exit::Done)
    }
}

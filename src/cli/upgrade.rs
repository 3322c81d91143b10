//! `upgrade`.

use std::path::PathBuf;
use std::time::Duration;

use super::output::Output;
use super::{CommandError, Exit};
use crate::control::{Backend, ControlError};

/// How long the new program may take to answer: as long as the old one may take to stop, and
/// as long again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `upgrade`: asks for it, and waits until the new program answers. `is_here`: the daemon is on
/// this machine.
pub(super) fn upgrade(
    is_here: bool,
) -> impl AsyncFnOnce(&Backend, &mut Output) -> Result<Exit, CommandError> {
    async move |backend: &Backend, output: &mut Output| {
        let begin = tokio::time::Instant::now();
        let report = backend.upgrade().await?;
        let process = report.process.filter(|_| is_here).and_then(Process::of_id);
        loop {
            // Looked at first: what is gone by now has not answered what is asked next.
            let has_ended = process.as_ref().is_some_and(Process::has_ended);
            // An error: there is none for a moment.
            let status = backend.status().await.ok();
            if status.is_some_and(|now| now.running && now.started_at != report.started_at) {
                break;
            }
            if has_ended {
                let text = format!(
                    "the new program, {}, has ended at its start: the end of the daemon's log says \
                     why. It does not run any more, unless its supervisor starts it again",
                    report.to
                );
                return Err(ControlError::Unreachable(text).into());
            }
            if begin.elapsed() > PATIENCE {
                let text = format!(
                    "the new program, {}, did not answer within {PATIENCE:?}: the end of the \
                     daemon's log says what it does",
                    report.to
                );
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

/// A process of this machine, as `proc(5)` tells of it.
struct Process(PathBuf);

impl Process {
    /// The one with this id; none where it cannot be seen from here, as one of a container.
    fn of_id(id: u32) -> Option<Self> {
        let process = Self(format!("/proc/{id}/stat").into());
        (!process.has_ended()).then_some(process)
    }

    /// Whether it is gone, or would be if somebody had asked how it ended.
    fn has_ended(&self) -> bool {
        let Ok(stat) = std::fs::read(&self.0) else { return true };
        // The name stands in parentheses, and may hold some.
        let after_name = stat.rsplit(|byte| *byte == b')').next().unwrap_or_default();
        matches!(after_name.get(1), Some(b'Z' | b'X'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_ended_whether_somebody_asks_for_it_or_not() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::of_id(child.id()).unwrap();
        assert!(!process.has_ended());
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !process.has_ended() {
            assert!(std::time::Instant::now() < deadline, "it was killed");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(process.has_ended());
        assert!(Process::of_id(child.id()).is_none());
    }
}

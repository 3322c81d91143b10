//! How far the logs reach that a command has looked back over: what is not in its answer may
//! never have been, or be gone.
//!
//! For people it is said on the error output, a line for each log, and so it is for programs
//! where the answer is a list: a list has the same lines whatever the logs hold. An answer that is
//! one JSON object has it as `logs`.

use serde::Serialize;
use tripline_bus::Log;

use super::output::{Output, note};
use crate::control::{Backend, ControlError};
use crate::query::LogExtent;

/// An answer that is one JSON object, and how far was looked for it.
#[derive(Serialize)]
pub(super) struct Reaching<'a, T> {
    #[serde(flatten)]
    answer: &'a T,
    logs: &'a [LogExtent],
}

/// How far these logs reach now.
pub(super) async fn of(backend: &Backend, logs: &[Log]) -> Result<Vec<LogExtent>, ControlError> {
    let mut extents = backend.extents().await?;
    extents.retain(|extent| logs.iter().any(|log| log.as_str() == extent.log));
    Ok(extents)
}

/// Says below a list how far these logs reach.
pub(super) async fn below_list(
    backend: &Backend,
    output: &Output,
    logs: &[Log],
) -> Result<(), ControlError> {
    for extent in of(backend, logs).await? {
        if output.is_json() {
            note(&serde_json::to_string(&extent).unwrap_or_default());
        } else {
            note(&line(&extent));
        }
    }
    Ok(())
}

/// Prints an answer that is one object: as JSON with the logs in it, or as `text` prints it with
/// a line for each log below.
pub(super) async fn below<T: Serialize>(
    backend: &Backend,
    output: &mut Output,
    logs: &[Log],
    answer: &T,
    text: impl FnOnce(&mut Output) -> std::io::Result<()>,
) -> Result<(), super::CommandError> {
    let extents = of(backend, logs).await?;
    if output.is_json() {
        output.json(&Reaching { answer, logs: &extents })?;
        return Ok(());
    }
    text(output)?;
    extents.iter().for_each(|extent| note(&line(extent)));
    Ok(())
}

fn line(extent: &LogExtent) -> String {
    let log = &extent.log;
    match extent.oldest {
        Some(oldest) => format!("the log of {log} reaches back to {oldest:.0}"),
        None if extent.records == 0 => format!("the log of {log} is empty"),
        None => format!("the log of {log} begins with a record that cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use tripline_event::Position;

    use super::*;

    fn extent(records: u64, oldest: Option<&str>) -> LogExtent {
        let first = Position::new(1, 1);
        let oldest = oldest.map(|text| text.parse().unwrap());
        let (next, newest) = (first, oldest);
        LogExtent { log: "events".into(), first, next, records, bytes: 0, oldest, newest }
    }

    #[test]
    fn a_log_says_how_far_it_reaches_and_whether_it_holds_anything() {
        let full = extent(3, Some("2026-11-21T03:00:00.5Z"));
        assert_eq!(line(&full), "the log of events reaches back to 2026-11-21T03:00:00Z");
        assert_eq!(line(&extent(0, None)), "the log of events is empty");
        assert!(line(&extent(3, None)).contains("cannot be read"));
    }

    #[test]
    fn an_object_has_the_logs_beside_its_own_fields() {
        #[derive(Serialize)]
        struct Answer {
            handle: &'static str,
        }
        let logs = [extent(0, None)];
        let printed =
            serde_json::to_value(Reaching { answer: &Answer { handle: "b-1" }, logs: &logs });
        let printed = printed.unwrap();
        assert_eq!(printed["handle"], "b-1");
        assert_eq!(printed["logs"][0]["log"], "events");
    }
}

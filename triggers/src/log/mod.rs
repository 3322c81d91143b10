//! `log`: writes the events to the log.

mod config;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize as _;
use tripline_event::outcome::TargetResult;
use tripline_event::{Action, Cause, Clock, Event, Timestamp, TriggerName};

pub use config::LogConfig;

use crate::{Attempt, BoxFuture, Trigger, TriggerError};

/// The key under `template`.
pub const KIND: &str = "log";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// The most bytes of a payload that are written.
const DATA_BYTES: usize = 64 * 1024;

/// The kind `log`.
pub struct LogTrigger {
    clock: Arc<dyn Clock>,
    /// When triggers with an interval wrote last; as many as there are such triggers.
    written: Mutex<BTreeMap<TriggerName, Timestamp>>,
}

impl LogTrigger {
    /// Counts intervals by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, written: Mutex::default() }
    }

    /// Whether the interval since the trigger last wrote is over; if so, it writes now.
    fn is_due(&self, trigger: &TriggerName, interval: Duration) -> bool {
        if interval.is_zero() {
            return true;
        }
        let now = self.clock.now();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let next = written.get(trigger).and_then(|last| last.checked_add(interval).ok());
        let due = next.is_none_or(|next| next <= now);
        if due {
            written.insert(trigger.clone(), now);
        }
        due
    }
}

impl Trigger for LogTrigger {
    /// A line may be written twice.
    fn asks_for_earlier_attempts(&self) -> bool {
        false
    }

    fn carry_out<'a>(
        &'a self,
        attempt: Attempt<'a>,
    ) -> BoxFuture<'a, Result<TargetResult, TriggerError>> {
        Box::pin(async move {
            let config = LogConfig::deserialize(&attempt.rendered.config).map_err(|error| {
                TriggerError::Refused {
                    cause: Cause::Render,
                    reason: format!("`log` is not valid: {error}"),
                }
            })?;
            let action = &attempt.rendered.action;
            let interval = Duration::from_secs(config.interval_seconds.unwrap_or(0));
            if self.is_due(&action.trigger, interval) {
                write(action, attempt.events);
            }
            Ok(TargetResult::Logged)
        })
    }
}

fn write(action: &Action, events: &[Arc<Event>]) {
    for (of, event) in action.events.iter().zip(events) {
        tracing::info!(
            target: "tripline::trigger::log",
            sensor = %action.trigger.sensor_name(),
            trigger = %action.trigger.trigger,
            action_id = %action.id,
            event_id = %event.id,
            correlation_id = ?event.links.root().as_str(),
            dependency = %of.dependency,
            event = %event.key,
            event_type = %event.kind,
            event_time = %event.time,
            data = %data(event),
            "event"
        );
    }
}

/// The payload as text, base64 where it is none.
fn data(event: &Event) -> Cow<'_, str> {
    let Some(data) = &event.data else { return Cow::Borrowed("") };
    match std::str::from_utf8(data) {
        Ok(text) if text.len() <= DATA_BYTES => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(DATA_BYTES)])),
        Err(_) => Cow::Owned(BASE64.encode(&data[..data.len().min(DATA_BYTES)])),
    }
}

#[cfg(test)]
mod tests {
    use tripline_event::ObjectName;

    use super::*;

    struct Stopped(Mutex<Timestamp>);

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn within_the_interval_a_trigger_writes_once() {
        let clock = Arc::new(Stopped(Mutex::new(Timestamp::UNIX_EPOCH)));
        let log = LogTrigger::new(Arc::clone(&clock) as _);
        let sensor = ObjectName::new("ci", "deploy");
        let [first, second] = ["a", "b"].map(|name| TriggerName::new(&sensor, name));
        let ten = Duration::from_secs(10);
        assert!(log.is_due(&first, ten));
        assert!(!log.is_due(&first, ten));
        assert!(log.is_due(&second, ten));
        assert!(log.is_due(&first, Duration::ZERO));
        *clock.0.lock().unwrap() = Timestamp::from_second(10).unwrap();
        assert!(log.is_due(&first, ten));
    }
}

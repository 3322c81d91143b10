//! What benchmarks of event sources share: messages as a build system sends them, and how fast a
//! daemon makes them events.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::daemon::{Daemon, Place};
use crate::load::correlation_id;
use crate::proc::cpu;
use crate::resources::http_sensor;
use crate::sink::Sink;

/// How long nothing may arrive while something is left.
pub const QUIET: Duration = Duration::from_secs(20);
/// What the daemon is to reach of the bare client's rate.
pub const PART: f64 = 0.5;
/// The size of a message.
pub const BODY_BYTES: usize = 1024;
/// The sensor's `maxInFlight`.
const MAX_IN_FLIGHT: u32 = 64;
/// How often it is looked how far the daemon is.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How many messages were taken in what time, and what was used of the processors.
pub struct Took {
    /// How many, from the beginning of the time on.
    pub messages: u64,
    /// How long.
    pub time: Duration,
    /// Of the processors.
    pub cpu: Duration,
}

impl Took {
    /// How many that is in a second.
    pub fn rate(&self) -> f64 {
        per_second(self.messages, self.time)
    }

    /// Milliseconds of a processor for a thousand of them.
    pub fn cpu_per_thousand(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.messages.max(1) as f64
    }
}

/// How many messages a second that is.
pub fn per_second(messages: u64, took: Duration) -> f64 {
    messages as f64 / took.as_secs_f64()
}

/// A message as a build system sends it, of [`BODY_BYTES`].
pub fn body(number: u64) -> String {
    let mut body = format!(
        r#"{{"action":"completed","repository":"shop","branch":"main","correlation_id":"{}","log":""#,
        correlation_id(number)
    );
    while body.len() < BODY_BYTES - 2 {
        body.push('.');
    }
    body.push_str("\"}");
    body
}

/// How long a daemon in `folder` takes for the messages that wait at an event source `builds`: from
/// when the first durable events are seen to the last event, or to the last request at the sink.
///
/// # Errors
/// Nothing comes for [`QUIET`], more comes than there are messages, or the daemon ends badly.
pub async fn taken(
    folder: &Path,
    event_source: &str,
    messages: u64,
    sink: Option<&Sink>,
) -> anyhow::Result<Took> {
    let place = Place::below(folder)?;
    place.write("event-source.yaml", event_source)?;
    if let Some(sink) = sink {
        place.write("sensor.yaml", &http_sensor("notify", &sink.url(), MAX_IN_FLIGHT))?;
    }
    let daemon = place.spawn()?;
    // What is durable by then was done before.
    let before = has_durable(&daemon, 1, messages).await?;
    let (began, used) = (Instant::now(), cpu(daemon.pid())?);
    match sink {
        Some(sink) => sink.has_received(messages, QUIET).await?,
        None => {
            has_durable(&daemon, messages, messages).await?;
        }
    }
    let (time, cpu) = (began.elapsed(), cpu(daemon.pid())?.saturating_sub(used));
    let took = Took { messages: messages - before, time, cpu };
    has_durable(&daemon, messages, messages).await?;
    let ended = daemon.stop().await?;
    ensure!(ended.status.success(), "{}:\n{}", ended.status, ended.stderr);
    Ok(took)
}

/// Waits until so many events of `messages` are durable, and tells how many are.
async fn has_durable(daemon: &Daemon, events: u64, messages: u64) -> anyhow::Result<u64> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        // Before it listens it does not answer, and before the first event there is no series.
        let durable = daemon.metric("argo_events_events_sent_total").await.unwrap_or(0.0) as u64;
        ensure!(durable <= messages, "{durable} events of {messages} messages");
        if durable >= events {
            return Ok(durable);
        }
        if durable > last {
            (last, since) = (durable, Instant::now());
        }
        ensure!(since.elapsed() < QUIET, "{durable} of {events} are durable:\n{}", daemon.stderr());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

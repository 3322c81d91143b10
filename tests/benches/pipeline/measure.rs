//! The steps of a measurement.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use tripline_tests::load::{Load, Pace, Sending, correlation_id, histogram, note};
use tripline_tests::proc::{anonymous_bytes, cpu};

use crate::subject::Subject;

/// The slow step: so many events a second, for at most so long.
const SLOW: (f64, Duration) = (50.0, Duration::from_secs(5));
/// The part of the highest rate at which the tail of latency is measured.
const LOADED: f64 = 0.8;

/// How much is measured.
pub struct Bounds {
    /// How long each step may take.
    pub time: Duration,
    /// How many events the first step sends, in place of its time.
    pub events: Option<u64>,
    /// How many connections.
    pub connections: usize,
}

/// Latencies of one step, in microseconds, from when a request was due.
pub struct Latencies {
    /// Requests that were answered in a second.
    pub answered_per_second: f64,
    /// To its answer.
    pub answer: Histogram<u64>,
    /// To its arrival at the sink.
    pub sink: Option<Histogram<u64>>,
}

/// What was measured.
pub struct Measured {
    /// Events of all steps.
    pub events: u64,
    /// Events that reached their end in a second, as fast as they are answered.
    pub per_second: f64,
    /// Latencies as fast as events are answered.
    pub fast: Latencies,
    /// Latencies at 50 events a second.
    pub slow: Latencies,
    /// Latencies at 80 % of the highest rate.
    pub loaded: Latencies,
    /// Seconds of processor time for 1,000 events in the first step.
    pub cpu: f64,
    /// The same for generator and sink.
    pub own_cpu: f64,
    /// Anonymous memory at the start, in bytes.
    pub bytes_at_start: u64,
    /// And at the end.
    pub bytes_at_end: u64,
}

/// Measures one subject.
pub async fn measure(subject: &mut Subject, bounds: &Bounds) -> anyhow::Result<Measured> {
    let pid = subject.pid();
    let own = std::process::id();
    let bytes_at_start = anonymous_bytes(pid)?;
    let mut steps = Steps { subject, connections: bounds.connections, sent: 0 };

    let (cpu_before, own_before, begin) = (cpu(pid)?, cpu(own)?, Instant::now());
    let time = if bounds.events.is_some() { Duration::from_secs(3600) } else { bounds.time };
    let fast = steps.run(Pace::AsFastAsAnswered, bounds.events, time).await?;
    let took = begin.elapsed();
    let events = steps.sent as f64;
    let per_thousand = |used: Duration| used.as_secs_f64() * 1000.0 / events;
    let (used, own_used) = (cpu(pid)?.saturating_sub(cpu_before), cpu(own)? - own_before);
    let per_second = events / took.as_secs_f64();

    let slow = steps.run(Pace::PerSecond(SLOW.0), None, bounds.time.min(SLOW.1)).await?;
    let loaded = steps.run(Pace::PerSecond(per_second * LOADED), None, bounds.time).await?;
    Ok(Measured {
        events: steps.sent,
        per_second,
        fast,
        slow,
        loaded,
        cpu: per_thousand(used),
        own_cpu: per_thousand(own_used),
        bytes_at_start,
        bytes_at_end: anonymous_bytes(pid)?,
    })
}

struct Steps<'s> {
    subject: &'s Subject,
    connections: usize,
    sent: u64,
}

impl Steps<'_> {
    /// Sends, and waits until everything has reached its end.
    async fn run(
        &mut self,
        pace: Pace,
        events: Option<u64>,
        time: Duration,
    ) -> anyhow::Result<Latencies> {
        let load = Load {
            address: self.subject.address,
            path: "/builds".to_owned(),
            connections: self.connections,
            pace,
            first: self.sent,
            events: events.unwrap_or(u64::MAX),
            time,
        };
        let sending = load.run().await?;
        ensure!(sending.duplicates == 0, "{} new events were duplicates", sending.duplicates);
        let first = self.sent;
        self.sent += sending.accepted;
        self.subject.has_done(self.sent).await?;
        let sink = self.to_sink(first, &sending)?;
        let answered_per_second = sending.accepted as f64 / sending.took.as_secs_f64();
        Ok(Latencies { answered_per_second, answer: sending.latency, sink })
    }

    fn to_sink(&self, first: u64, sending: &Sending) -> anyhow::Result<Option<Histogram<u64>>> {
        let Some(sink) = self.subject.sink() else { return Ok(None) };
        let mut latencies = histogram();
        let mut seen = vec![false; sending.due.len()];
        for receipt in sink.take() {
            // Its correlation id is there, and is one that was sent in this step.
            let number = receipt.number.and_then(|number| number.checked_sub(first));
            let index = usize::try_from(number.with_context(|| format!("stranger: {receipt:?}"))?)?;
            let due = sending.due.get(index).with_context(|| format!("stranger: {receipt:?}"))?;
            ensure!(*receipt.correlation == *correlation_id(first + index as u64));
            ensure!(!std::mem::replace(&mut seen[index], true), "twice: {receipt:?}");
            note(&mut latencies, receipt.at.saturating_duration_since(*due));
        }
        ensure!(seen.iter().all(|seen| *seen), "not all events have reached the sink");
        Ok(Some(latencies))
    }
}

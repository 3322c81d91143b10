//! Takes the ticks of a calendar when they are due.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tripline_event::EventId;

use super::KIND;
use super::config::Calendar;
use crate::source::{EventSource, Running, SourceError};
use crate::{BoxFuture, Message, SinkError};

/// How late a tick may be and still be taken: after a start, and after the clock was set
/// forward, where catching up is not configured.
pub(super) const MAKE_UP: SignedDuration = SignedDuration::from_secs(60);
/// The place is kept at most so often.
const KEPT_EVERY: SignedDuration = SignedDuration::from_secs(10);
/// The longest sleep: after that the clock is looked at again.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// The shortest sleep, where the clock and the runtime's timer do not quite agree.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
/// Missed ticks are counted up to here.
const MAX_COUNTED: u64 = 1000;
/// The first pause before a tick is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a tick is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl EventSource for Calendar {
    fn run(self: Arc<Self>, running: Running) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let last = running.context.clock.now() - MAKE_UP;
            let mut run = Run { last, kept: None, calendar: self, running };
            if run.remember().await {
                run.until_stopped().await;
            }
            Ok(())
        })
    }
}

struct Run {
    calendar: Arc<Calendar>,
    running: Running,
    /// Ticks up to here are taken, or given up.
    last: Timestamp,
    /// The same as it is durable.
    kept: Option<Timestamp>,
}

impl Run {
    async fn until_stopped(mut self) {
        while !self.running.stop.is_cancelled() {
            if !self.catch_up_with_clock().await {
                return;
            }
            while let Some(tick) = self.due() {
                if !self.take(tick).await {
                    return;
                }
                self.last = tick;
                self.keep_now_and_then(tick).await;
            }
            let next = self.calendar.ticks.next_after(self.last);
            self.running.health.ready(match next {
                Some(next) => format!("next tick at {next}"),
                None => "no more ticks".into(),
            });
            tokio::select! {
                () = sleep(self.sleep_until(next)) => {}
                () = self.running.stop.cancelled() => {}
            }
        }
    }

    /// Goes on where the calendar was before; `false`: stopped before it was told.
    async fn remember(&mut self) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.running.context.sink.last_tick(&self.running.key).await {
                Ok(known) => {
                    self.kept = known;
                    // A clock that was set back since does not silence the calendar.
                    let now = self.running.context.clock.now();
                    self.last = known.map_or(self.last, |known| known.min(now));
                    return true;
                }
                Err(error) => {
                    self.running.health.failing(format!("the last tick is not known: {error}"));
                }
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.running.stop.cancelled() => return false,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Keeps the place durably, but not more often than is of use: a tick that is taken once
    /// more has the same id.
    async fn keep_now_and_then(&mut self, tick: Timestamp) {
        let often = self.kept.is_some_and(|kept| tick.duration_since(kept) < KEPT_EVERY);
        if often {
            return;
        }
        match self.running.context.sink.keep_last_tick(&self.running.key, tick).await {
            Ok(()) => self.kept = Some(tick),
            Err(error) => tracing::debug!(event = %self.running.key, %error, "last tick not kept"),
        }
    }

    /// The first tick that is due. Those that become due while the event bus does not take
    /// an earlier one are still owed, however long that lasts.
    fn due(&self) -> Option<Timestamp> {
        let now = self.running.context.clock.now();
        self.calendar.ticks.next_after(self.last).filter(|tick| *tick <= now)
    }

    /// After a sleep: gives up, and tells of, what the clock has left behind by more than a
    /// minute; and follows a clock that was set back. `false`: stopped before it was told.
    async fn catch_up_with_clock(&mut self) -> bool {
        let now = self.running.context.clock.now();
        if self.last > now + MAKE_UP {
            tracing::warn!(event = %self.running.key, "the clock was set back");
            self.last = now;
        }
        let horizon = now.saturating_sub(self.calendar.make_up).unwrap_or(Timestamp::MIN);
        let missed = |tick: &Timestamp| *tick <= horizon;
        let Some(first) = self.calendar.ticks.next_after(self.last).filter(missed) else {
            return true;
        };
        let (mut count, mut last) = (1, first);
        while count < MAX_COUNTED
            && let Some(tick) = self.calendar.ticks.next_after(last).filter(missed)
        {
            (count, last) = (count + 1, tick);
        }
        let to = if count == MAX_COUNTED { horizon } else { last };
        if !self.tell_missed(first, to, count).await {
            return false;
        }
        self.last = horizon;
        self.keep_now_and_then(horizon).await;
        true
    }

    /// Tells of missed ticks; tries until that works. `false`: stopped before.
    async fn tell_missed(&self, from: Timestamp, to: Timestamp, count: u64) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            let told = self.running.context.sink.missed(&self.running.key, from, to, count).await;
            let Err(error) = told else { return true };
            self.running.health.failing(format!("{count} missed ticks cannot be told: {error}"));
            tokio::select! {
                () = sleep(pause) => {}
                () = self.running.stop.cancelled() => return false,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn sleep_until(&self, next: Option<Timestamp>) -> Duration {
        let now = self.running.context.clock.now();
        let left = next.map_or(LONGEST_SLEEP, |next| {
            Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO)
        });
        left.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
    }

    /// Appends the tick; tries until that works. `false`: stopped before.
    async fn take(&self, tick: Timestamp) -> bool {
        let context = &self.running.context;
        let mut pause = FIRST_PAUSE;
        loop {
            match context.sink.append(self.message(tick)).await {
                Ok(_) => return true,
                Err(error @ SinkError::TooLarge { .. }) => {
                    context.sink.refused(&self.running.key, &error.to_string());
                    return true;
                }
                Err(error) => {
                    self.running.health.failing(format!("tick of {tick} waits: {error}"));
                }
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.running.stop.cancelled() => return false,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn message(&self, tick: Timestamp) -> Message {
        Message {
            key: self.running.key.clone(),
            kind: KIND,
            id: Some(EventId::from_upstream(&tick.to_string())),
            time: self.running.context.clock.now(),
            data: self.data(tick),
            headers: Vec::new(),
            body: None,
            correlation_path: self.running.correlation_path.clone(),
            cloud_event: None,
        }
    }

    /// `{"eventTime": …}` with the nominal time as Go prints times, and without the reading
    /// of the monotonic clock that Go adds: the same tick is the same text.
    fn data(&self, tick: Timestamp) -> Bytes {
        let time = tick.to_zoned(self.calendar.ticks.zone.clone());
        let time = time.strftime("%Y-%m-%d %H:%M:%S %z %Z");
        Bytes::from(format!("{{\"eventTime\":\"{time}\"{}", self.calendar.data_end))
    }
}

//! The rate of one trigger: at most so many starts in any span of a time. No clock.

use std::collections::VecDeque;
use std::time::Duration;

use tripline_event::Timestamp;

use super::RateLimit;

/// A rate is reached even if a wake-up comes this late.
const SLACK: Duration = Duration::from_millis(10);
/// The most starts that are remembered. A rate of more is kept to as one of fewer in a
/// shorter time.
const MOST_STARTS: u32 = 10_000;

/// The latest starts, as far as the rate needs them.
#[derive(Debug, Default)]
pub(super) struct RateWindow {
    starts: VecDeque<Timestamp>,
    /// When the next start is due, were they evenly spread.
    next: Option<Timestamp>,
}

impl RateWindow {
    /// When the next start may be, at `now` or later.
    pub(super) fn free_at(&self, limit: RateLimit, now: Timestamp) -> Timestamp {
        self.window_free_at(limit, now).max(self.next.unwrap_or(now))
    }

    /// When there is one more in a span of the limit's time, at `now` or later: without the
    /// even spread.
    pub(super) fn window_free_at(&self, limit: RateLimit, now: Timestamp) -> Timestamp {
        let (most, per) = remembered(limit);
        let nth_last = self.starts.len().checked_sub(most).and_then(|at| self.starts.get(at));
        nth_last.map_or(now, |start| after(*start, per)).max(now)
    }

    /// Something is started at `now`.
    pub(super) fn start(&mut self, limit: RateLimit, now: Timestamp) {
        let (most, _) = remembered(limit);
        let late = now.checked_sub(SLACK).unwrap_or(now);
        let from = self.next.map_or(now, |at| at.max(late).min(now));
        self.next = Some(after(from, limit.per / limit.requests.max(1)));
        self.note(now);
        self.starts.drain(..self.starts.len().saturating_sub(most));
    }

    /// Something was started at `at`, by an earlier process too.
    pub(super) fn note(&mut self, at: Timestamp) {
        let place = self.starts.partition_point(|start| *start <= at);
        self.starts.insert(place, at);
        self.starts.drain(..self.starts.len().saturating_sub(MOST_STARTS as usize));
    }
}

/// How many starts in which time are remembered so that the limit holds.
fn remembered(limit: RateLimit) -> (usize, Duration) {
    let requests = limit.requests.max(1);
    let parts = requests.div_ceil(MOST_STARTS);
    ((requests / parts) as usize, limit.per / parts)
}

fn after(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_795_000_000_000 + millis).unwrap()
    }

    #[test]
    fn any_span_of_the_time_has_at_most_so_many_starts_whatever_wakes_late() {
        for (requests, per, late) in [(3, 60_000, 7), (1, 1000, 9), (50, 1000, 3), (7, 1000, 0)] {
            let limit = RateLimit { requests, per: Duration::from_millis(per) };
            let mut window = RateWindow::default();
            let mut starts: Vec<i64> = Vec::new();
            let mut now = 0;
            for number in 0..200 {
                let free = window.free_at(limit, at(now));
                let wait = free.duration_since(at(now)).as_millis();
                now += i64::try_from(wait).unwrap() + (number * 5) % (late + 1);
                window.start(limit, at(now));
                starts.push(now);
            }
            for (first, start) in starts.iter().enumerate() {
                let end = start + i64::try_from(per).unwrap();
                let within = starts[first..].iter().take_while(|at| **at < end).count();
                assert!(within <= requests as usize, "{requests} in {per}: {within} from {start}");
            }
            let spent = starts[starts.len() - 1] - starts[0];
            let least = i64::try_from(per).unwrap() * 199 / i64::from(requests);
            assert!(spent <= least * 11 / 10 + 20, "{requests} in {per}: {spent} for {least}");
        }
    }

    #[test]
    fn starts_of_an_earlier_process_count() {
        let limit = RateLimit { requests: 2, per: Duration::from_secs(60) };
        let mut window = RateWindow::default();
        window.note(at(30_000));
        window.note(at(10_000));
        assert_eq!(window.free_at(limit, at(40_000)), at(70_000));
        assert_eq!(window.free_at(limit, at(80_000)), at(80_000));
    }

    #[test]
    fn a_rate_of_more_than_is_remembered_is_kept_to_in_parts() {
        let limit = RateLimit { requests: 25_000, per: Duration::from_secs(3) };
        assert_eq!(remembered(limit), (8333, Duration::from_secs(1)));
    }
}

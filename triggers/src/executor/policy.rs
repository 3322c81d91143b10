//! How a trigger's actions are started and tried again.

use std::time::Duration;

/// How the actions of one trigger are started and tried again. The daemon makes it from
/// the sensor's definition; it is asked for before each start, so that a changed sensor
/// takes effect on what waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TriggerPolicy {
    /// The most attempts that run at once. 1 keeps the order at the target, too.
    pub max_in_flight: u32,
    /// When a failed attempt is made again.
    pub retry: RetryPolicy,
    /// The most starts in a time; none is no limit.
    pub rate: Option<RateLimit>,
    /// The trigger is suspended by its definition.
    pub suspended: Option<Suspended>,
}

impl Default for TriggerPolicy {
    fn default() -> Self {
        Self { max_in_flight: 64, retry: RetryPolicy::default(), rate: None, suspended: None }
    }
}

/// What happens to the actions of a trigger that its definition suspends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspended {
    /// They wait, until they expire.
    Hold,
    /// They are dropped, each with an outcome.
    Drop,
}

/// The most starts in a time, evenly spread: there is no burst after a quiet time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many; 0 counts as 1.
    pub requests: u32,
    /// In which time.
    pub per: Duration,
}

/// When an attempt that failed is made again: after `initial`, then each time `factor`
/// times longer, never longer than `max`, until the action expires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The wait after the first attempt.
    pub initial: Duration,
    /// What each wait is multiplied by for the next.
    pub factor: f64,
    /// The part of a wait that is added at random: 0.5 makes 10 s a time between 10 and 15 s.
    pub jitter: f64,
    /// The longest wait. A target that asks for a longer one is given it.
    pub max: Duration,
    /// The most attempts in all; none is no limit but the action's expiry.
    pub steps: Option<u32>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            factor: 2.0,
            jitter: 0.5,
            max: Duration::from_secs(300),
            steps: None,
        }
    }
}

//! Conditions of a schedule's own, for each of its ticks.

use std::fmt;

use jiff::Timestamp;

/// What a condition may depend on, besides the schedule itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Log time of the decision.
    pub now: Timestamp,
    /// The nominal time of the latest tick that started a run; `None` before the first.
    pub last_scheduled: Option<Timestamp>,
    /// How many runs have succeeded.
    pub succeeded: u64,
    /// How many runs have failed.
    pub failed: u64,
}

/// Conditions of a schedule's own. Both are pure: the same facts give the same answer.
pub trait Conditions: fmt::Debug + Send + Sync {
    /// Whether a tick may start a run.
    ///
    /// # Errors
    /// Why that cannot be told. The tick starts none.
    fn when(&self, facts: &Facts) -> Result<bool, String>;

    /// Whether the schedule has come to its end: from then on no tick starts a run.
    ///
    /// # Errors
    /// Why that cannot be told. The schedule goes on.
    fn stop(&self, facts: &Facts) -> Result<bool, String>;
}

//! Runs: what a schedule starts.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The identity of a run within its schedule. The same tick has the same id whenever and
/// however often it is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// The time that the schedule says, or that of the request.
    pub nominal: Timestamp,
    /// Why it was started.
    pub origin: Origin,
}

/// Why a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// A tick of the schedule.
    Tick,
    /// The request with this number. Two requests in one second are two runs.
    Trigger(u64),
    /// A tick of the backfill with this number.
    Backfill(u64),
}

impl fmt::Display for RunId {
    /// The nominal time, and what tells runs at the same time apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.nominal)?;
        match self.origin {
            Origin::Tick => Ok(()),
            Origin::Trigger(number) => write!(f, "-trigger-{number}"),
            Origin::Backfill(number) => write!(f, "-backfill-{number}"),
        }
    }
}

/// How a run ended, after all its retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunEnd {
    /// It did what it was for.
    Completed,
    /// It did not.
    Failed,
    /// It took too long.
    TimedOut,
    /// It stopped because it was asked to.
    Cancelled,
    /// It was stopped.
    Terminated,
}

impl RunEnd {
    /// Whether something went wrong that nobody asked for.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut)
    }
}

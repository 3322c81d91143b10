//! What becomes of the ticks of a schedule: whether, when and how often something is started.
//!
//! [`Gate`] holds the rule for overlaps, for schedules and for whatever else starts runs.
//! [`State`] adds what only schedules have: catching up, pausing, limits and backfills. It is
//! shown time and requests, and returns what should be done.
//!
//! Promises: the same inputs in the same order give the same decisions, with the same ids
//! of runs. No tick is passed over in silence: it starts a run, waits, or is reported as
//! skipped with the reason. A call takes a bounded number of ticks.
//!
//! Not here: carrying decisions out, and trying again what could not be carried out.

mod condition;
mod gate;
mod run;
mod state;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use condition::{Conditions, Facts};
pub use gate::{BUFFER_MAX, Gate, Verdict};
pub use run::{Origin, RunEnd, RunId};
pub use state::{Backfill, Counters, Decision, FOLLOWED_MAX, Input, Schedule, State, TICKS_MAX};

/// What happens to a start while an earlier run is still going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OverlapPolicy {
    /// It does not happen.
    #[default]
    Skip,
    /// It waits until the run has ended; while one waits, others do not happen.
    BufferOne,
    /// It waits for its turn.
    BufferAll,
    /// The run is asked to stop, and the start waits until it has ended. Of several that wait
    /// the latest counts.
    CancelOther,
    /// As [`OverlapPolicy::CancelOther`], but the run is stopped at once.
    TerminateOther,
    /// It happens at once. Such runs do not stand in the way of others.
    AllowAll,
    /// The run is stopped, and the start happens at once, without waiting for the end: as
    /// `Replace` of a CronWorkflow.
    Replace,
}

/// Which of the ticks that were missed are made up for, as long as they are within the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CatchUp {
    /// None of them.
    None,
    /// The latest one.
    #[default]
    Latest,
    /// All of them in order; of more than this number or [`BUFFER_MAX`], the latest.
    All(u32),
}

/// How a schedule treats its ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policies {
    /// What happens to a start while an earlier run is still going, if the start does not say
    /// otherwise itself.
    pub overlap: OverlapPolicy,
    /// Which missed ticks are made up for.
    pub catch_up: CatchUp,
    /// How late a missed tick may be made up for, at least [`ON_TIME`].
    pub catch_up_window: SignedDuration,
    /// Whether a run that fails or times out pauses the schedule.
    pub pause_on_failure: bool,
    /// A tick so long after the end of the last run, besides those of the timetable. While a
    /// run is going there is none.
    pub after_end: Option<SignedDuration>,
    /// Whether the ends of runs that stand in no other's way are wanted too: where they are
    /// counted.
    pub follow_all: bool,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            overlap: OverlapPolicy::default(),
            catch_up: CatchUp::default(),
            catch_up_window: SignedDuration::from_hours(1),
            pause_on_failure: false,
            after_end: None,
            follow_all: false,
        }
    }
}

/// A tick that is acted on no later than this was not missed.
pub const ON_TIME: SignedDuration = SignedDuration::from_secs(10);

/// Why a tick did not start a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SkipReason {
    /// An earlier run was still going, or another start waited for its end.
    Overlap,
    /// Too many starts waited.
    BufferFull,
    /// It was missed, and too long ago to be made up for.
    CatchUpWindow,
    /// It was missed, and the schedule makes up for none, or for later ones only.
    CatchUpLimit,
    /// The schedule was paused.
    Paused,
    /// The schedule had no actions left.
    NoActionsLeft,
    /// The schedule's own condition was false.
    When,
    /// The schedule's own condition could not be evaluated.
    BadCondition,
    /// The schedule had stopped for good.
    Stopped,
}

#[cfg(test)]
mod tests;

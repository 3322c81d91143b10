//! The events of schedules: what they decide, and what comes back to them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_event::{ActionId, Event, EventKey, ObjectName};
use tripline_schedules::policy::{OverlapPolicy, RunEnd, RunId, SkipReason};

/// The CloudEvents type of all of them. No event source has it.
pub const KIND: &str = "schedule";

/// A run starts.
pub const TICK: &str = "tick";
/// Ticks that start no run.
pub const SKIPPED: &str = "skipped";
/// A run has ended.
pub const ENDED: &str = "ended";
/// A run is to stop.
pub const STOP: &str = "stop";
/// The schedule has come to a halt or an end: paused by a failure, stopped by its own
/// condition, completed, or a backfill is done.
pub const CHANGED: &str = "changed";
/// Somebody asks for something.
pub const COMMAND: &str = "command";

/// Which schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Of {
    /// `CronWorkflow` or `Schedule`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Of {
    /// The schedule of this kind and name.
    pub fn new(kind: super::Kind, name: &ObjectName) -> Self {
        Self {
            kind: kind.as_str().to_owned(),
            namespace: name.namespace.clone(),
            name: name.name.clone(),
        }
    }
}

/// The data of [`TICK`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tick {
    /// The schedule.
    pub schedule: Of,
    /// The run's identity within the schedule.
    pub run: String,
    /// `tick`, `trigger` or `backfill`.
    pub origin: String,
    /// The nominal time, RFC 3339 in UTC.
    pub scheduled_time: String,
    /// The same on the clocks of the schedule, with the offset.
    pub local_time: String,
    /// Log time of the decision.
    pub decided_time: Timestamp,
    /// The nominal time of the run before: the interval of data that this run is for begins
    /// there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scheduled_time: Option<String>,
    /// Of a CronWorkflow: the name of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_name: Option<String>,
    /// What the last run that completed came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_completion: Option<RunResult>,
    /// What the last run that failed came to, if none has completed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<RunResult>,
    /// What the schedule's own event has besides.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// The data of [`SKIPPED`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// The schedule.
    pub schedule: Of,
    /// Why.
    pub reason: SkipReason,
    /// The nominal time of the first.
    pub first: Timestamp,
    /// The nominal time of the last.
    pub last: Timestamp,
    /// How many.
    pub count: u64,
}

/// The data of [`ENDED`], and what is remembered of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunResult {
    /// The run's identity within the schedule, as texts show it.
    pub run: String,
    /// The same, to be read back.
    pub id: RunId,
    /// How it ended.
    pub end: RunEnd,
    /// The action that it was carried out by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
    /// The workflow, if it was one: `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// What went wrong; the beginning of it, where it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The data of [`STOP`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// The schedule.
    pub schedule: Of,
    /// The run.
    pub run: String,
    /// Whether it is stopped at once, and not asked to stop.
    pub terminate: bool,
    /// The name of the workflow, where the run submits one and the name is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_name: Option<String>,
}

/// The data of [`CHANGED`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The schedule.
    pub schedule: Of,
    /// `pausedByFailure`, `stopped`, `conditionFailed`, `backfillDone`, `backfillRefused`,
    /// `completed`.
    pub what: String,
    /// In words.
    pub message: String,
}

/// What somebody asks of a schedule: the data of [`COMMAND`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// What.
    pub does: Request,
    /// Who: the user of the socket, or the token's name.
    pub who: String,
    /// The time of the request.
    pub at: Timestamp,
}

/// What somebody asks of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    /// Ticks are to be passed over from now on.
    Pause {
        /// Why.
        note: String,
    },
    /// Ticks count again.
    Resume,
    /// A run now.
    Trigger {
        /// Instead of the schedule's own policy.
        overlap: Option<OverlapPolicy>,
    },
    /// The runs of a period.
    Backfill {
        /// The first nominal time.
        start: Timestamp,
        /// The last one.
        end: Timestamp,
        /// Instead of the schedule's own policy.
        overlap: Option<OverlapPolicy>,
        /// The most runs.
        max: u64,
    },
}

/// Of these events those that tell of ticks that were missed and are not made up for: the key
/// of the tick, and how many.
pub fn missed(events: &[Event]) -> impl Iterator<Item = (EventKey, u64)> + '_ {
    events.iter().filter(|event| event.key.name == SKIPPED).filter_map(|event| {
        let skipped: Skipped = serde_json::from_slice(event.data.as_deref()?).ok()?;
        let missed = matches!(skipped.reason, SkipReason::CatchUpWindow | SkipReason::CatchUpLimit);
        let key = EventKey { name: TICK.to_owned(), ..event.key.clone() };
        missed.then_some((key, skipped.count))
    })
}

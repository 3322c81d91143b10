//! Schedules over the control API: what is asked and answered.

use serde::{Deserialize, Serialize};
use tripline_event::{ObjectName, Timestamp};

use super::{Backend, ControlError};
use crate::engine::schedules::events::Request;
use crate::engine::schedules::view::ScheduleView;

/// A backfill of more runs than this says how many it may be.
pub const BACKFILL_MAX: u64 = 50;
/// The most ticks that an answer lists.
pub const LISTED_MAX: usize = 1000;

/// What is asked of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleOrder {
    /// Its namespace and name.
    pub name: ObjectName,
    /// `CronWorkflow` or `Schedule`; none where there is one of that name only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What.
    pub request: Request,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// A backfill may be of more than [`BACKFILL_MAX`] runs.
    #[serde(default)]
    pub yes: bool,
}

/// What was done, or would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleAnswer {
    /// Whether nothing was done yet.
    pub dry_run: bool,
    /// Of a backfill: how many ticks the period has.
    pub count: u64,
    /// Of a backfill: the nominal times, the first ones.
    pub ticks: Vec<Timestamp>,
    /// The schedule as it stands now.
    pub schedule: ScheduleView,
}

impl Backend {
    /// Every schedule as it stands.
    pub async fn schedules(&self) -> Result<Vec<ScheduleView>, ControlError> {
        self.daemon("listing schedules")?.get("/v1/schedules", &[]).await
    }

    /// Asks something of a schedule.
    pub async fn order_schedule(
        &self,
        order: &ScheduleOrder,
    ) -> Result<ScheduleAnswer, ControlError> {
        self.daemon("operating a schedule")?.post("/v1/schedules", order).await
    }
}

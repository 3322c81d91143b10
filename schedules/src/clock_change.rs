//! What a schedule does when the clocks of its zone are changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a schedule does when the clocks of its zone are changed. The defaults are what
/// cron does. A schedule that names every hour of the day follows real time whatever is
/// chosen here, and so do intervals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClockChange {
    /// When clocks go forward: what becomes of the readings that are left out.
    #[serde(default)]
    pub gap: Gap,
    /// When clocks go back: what becomes of the readings that are shown twice.
    #[serde(default)]
    pub overlap: Overlap,
}

/// What becomes of readings that clocks leave out as they go forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Gap {
    /// They do not occur that day.
    #[default]
    Skip,
    /// They occur once, all together, at the instant of the change.
    After,
}

/// What becomes of readings that clocks show twice as they go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Overlap {
    /// They occur both times.
    #[default]
    Both,
    /// They occur the first time.
    First,
    /// They occur the last time.
    Last,
}

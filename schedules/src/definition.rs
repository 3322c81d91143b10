//! A schedule whose definition is known to be right, whatever kind of object it was.

use std::sync::Arc;

use crate::policy::{Conditions, Policies, Schedule};
use crate::timetable::Timetable;

/// What a CronWorkflow or a Schedule means.
#[derive(Clone, Debug)]
pub struct Definition {
    /// When it occurs.
    pub times: Timetable,
    /// How it treats its ticks.
    pub policies: Policies,
    /// Why it is not to start anything, if its definition says so.
    pub suspended: Option<String>,
    /// Conditions of its own.
    pub conditions: Option<Arc<dyn Conditions>>,
    /// How many ticks may start a run, counted from when this was put in force.
    pub limited_actions: Option<u64>,
    /// It is forgotten once nothing will happen any more.
    pub delete_after_completion: bool,
    /// Differs when the times differ: ticks of other times are never made up for.
    pub fingerprint: String,
}

impl Definition {
    /// What the policies are shown. `seed` is what the jitter is drawn from: the namespace
    /// and name.
    pub fn schedule<'s>(&'s self, seed: &'s str) -> Schedule<'s> {
        Schedule {
            times: &self.times,
            policies: &self.policies,
            seed,
            suspended: self.suspended.is_some(),
            conditions: self.conditions.as_deref(),
        }
    }
}

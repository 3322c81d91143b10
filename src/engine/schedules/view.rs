//! A schedule as it stands, for whoever looks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tripline_event::ObjectName;
use tripline_schedules::policy::Counters;

use super::entry::{Entry, Recent};
use super::events::RunResult;

/// How many of the next ticks are shown.
const NEXT: usize = 10;

/// A schedule as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView {
    /// `CronWorkflow` or `Schedule`.
    pub kind: String,
    /// Its namespace and name.
    pub name: ObjectName,
    /// The source of its events.
    pub source: String,
    /// Why it is paused; none where it is not.
    pub paused: Option<String>,
    /// Its own condition has ended it, or nothing is left to do.
    pub finished: bool,
    /// Since when it is in force.
    pub created_at: Timestamp,
    /// The zone that times are shown in.
    pub zone: String,
    /// What happens to a start while an earlier run is still going.
    pub overlap: String,
    /// The next ticks: when they are acted on.
    pub next: Vec<Timestamp>,
    /// The latest runs, the newest first.
    pub recent: Vec<Recent>,
    /// The runs whose ends are waited for.
    pub running: Vec<String>,
    /// How many starts wait for the end of a run.
    pub waiting: usize,
    /// Missed ticks that are still to be made up for.
    pub late: usize,
    /// Backfills under way.
    pub backfills: usize,
    /// How many more ticks may start a run; none for any number.
    pub remaining_actions: Option<u64>,
    /// How often what happened.
    pub counters: Counters,
    /// What the last run that completed came to.
    pub last_completion: Option<RunResult>,
    /// What the last run that failed came to, if none has completed since.
    pub last_failure: Option<RunResult>,
}

impl ScheduleView {
    /// The schedule at `now`.
    pub fn of(entry: &Entry, now: Timestamp) -> Self {
        let compiled = &entry.compiled;
        let schedule = compiled.definition.schedule(&compiled.seed);
        let stored = &entry.stored;
        let state = &stored.state;
        let (late, backfills) = state.backlog();
        let paused = compiled.definition.suspended.as_deref().or(state.paused());
        let zone = compiled.definition.times.zone();
        let finished = state.is_stopped() || state.is_finished(&schedule);
        Self {
            kind: compiled.kind.to_string(),
            name: compiled.object.clone(),
            source: compiled.name.name.clone(),
            paused: paused.map(str::to_owned),
            finished,
            created_at: stored.created_at,
            zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            overlap: format!("{:?}", compiled.definition.policies.overlap),
            next: match finished {
                true => Vec::new(),
                false => state.upcoming(&schedule, now).take(NEXT).map(|tick| tick.at).collect(),
            },
            recent: stored.recent.iter().rev().cloned().collect(),
            running: state.running().map(|run| run.to_string()).collect(),
            waiting: state.gate().waiting(),
            late,
            backfills,
            remaining_actions: state.remaining_actions(),
            counters: state.counters(),
            last_completion: stored.last_completion.clone(),
            last_failure: stored.last_failure.clone(),
        }
    }
}

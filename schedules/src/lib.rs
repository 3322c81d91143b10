//! Cron and calendar arithmetic: which instants a schedule names.
//!
//! Two grammars share one engine. [`robfig`] reads the five fields that CronWorkflows
//! and calendar event sources are written in; [`spec`] reads the JSON of Temporal's
//! schedules. Both become a set of clock readings ([`reading`]), and the engine names
//! the instants at which a clock in the schedule's zone shows one of them.
//!
//! Promises: ticks strictly increase, each is a whole second, and asking for the next one
//! costs a bounded amount of work whatever the schedule, the zone and the year. What
//! happens when clocks are changed is a stated rule ([`ClockChange`]). Zone data is
//! bundled, so that the same build gives the same ticks on every machine.
//!
//! What becomes of the ticks, when runs overlap, were missed or fail, is decided by [`policy`].
//!
//! Not here: input or output, the clock of the machine and its time zone.

pub mod clock_change;
pub mod cron_workflow;
pub mod definition;
pub mod duration;
pub mod exclusion;
pub mod expression;
pub mod policy;
pub mod reading;
pub mod robfig;
pub mod schedule;
mod search;
mod span;
pub mod spec;
pub mod timetable;
pub mod zone;

pub use clock_change::{ClockChange, Gap, Overlap};

/// The last whole second that is not after `at`, since 1970-01-01T00:00:00Z.
fn whole_second(at: jiff::Timestamp) -> i64 {
    at.as_second() - i64::from(at.subsec_nanosecond() < 0)
}

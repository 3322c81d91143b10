//! The daemon's engine, run by a seed: random sensors and events, a bus that fails, crashes
//! and changes of the plan, in virtual time on one thread.
//!
//! The same seed gives the same run, to the byte. What a run must satisfy is in [`check`];
//! [`tripline::engine::mistakes`] are there to show that it would be noticed.

pub mod check;
pub mod controls;
pub mod orders;
pub mod rules;
pub mod scenario;
pub mod target;
pub mod world;

use tripline::engine::mistakes::Mistakes;

pub use check::Violation;
pub use scenario::Scenario;

/// What a run was like, to be printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records in EVENTS.
    pub records: usize,
    /// Actions that were decided.
    pub actions: usize,
    /// Events that repeated another.
    pub duplicates: usize,
    /// Dead letters.
    pub dead_letters: usize,
    /// Ticks of schedules that started a run.
    pub ticks: usize,
    /// Ticks that did not.
    pub skipped: usize,
    /// Ends of runs that came back.
    pub ended: usize,
    /// How often the executor's rules were at work.
    pub rules: rules::AtWork,
    /// How often what operators and definitions ask for was at work.
    pub controls: controls::AtWork,
    /// Crashes.
    pub crashes: usize,
    /// Plans that were in force.
    pub plans: usize,
    /// A hash over the three logs.
    pub fingerprint: u64,
}

/// Runs one seed in a runtime of its own.
///
/// # Errors
/// What was violated.
pub fn run(seed: u64, mistakes: Mistakes) -> Result<Summary, Violation> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| Violation(format!("no runtime: {error}")))?;
    runtime.block_on(world::run(Scenario::of(seed), mistakes))
}

//! `tripline backtest`: what a changed sensor would have done with the events of the log.
//!
//! The sensor as it is now and as it would be are shown the same records, in their order, by
//! the evaluator of the daemon; what they fire is held against each other, and rendered by
//! the renderer of the daemon where it may differ.
//!
//! Promises: nothing is written and nothing carried out; memory is bounded by the events that
//! half-met conditions hold, and by [`EXAMPLES`].
//!
//! Not here: the command line.

pub mod budget;
pub mod changes;
pub mod decider;
pub mod history;
pub mod report;
pub mod run;

#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use changes::Changes;
pub use decider::{Decided, Decider};
pub use history::{Covered, Events};
pub use report::Report;
pub use run::run;

/// How many examples of each kind are shown of each sensor, unless told otherwise.
pub const EXAMPLES: usize = 3;
/// The most examples that may be asked for.
pub const MAX_EXAMPLES: usize = 1000;

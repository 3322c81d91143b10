//! `tripline shadow`: what Tripline would do with the events of Argo Events' own bus, beside what
//! Argo Events has done.
//!
//! The messages of the stream go through the evaluator and the renderer of the daemon, by the
//! same code as a [backtest](crate::backtest). What they fire is held against the workflows of
//! the cluster that carry the labels which Argo Events gives them.
//!
//! Promises: nothing is carried out; nothing of Argo Events' is made, changed or acknowledged
//! (see [`tripline_bus::argo`]); what cannot be compared is counted with its reason, and never
//! passes for equal.
//!
//! Not here: the command line.

pub mod firings;
pub mod listeners;
pub mod matching;
pub mod report;
pub mod run;
pub mod workflows;

#[cfg(test)]
mod tests;

pub use report::Report;
pub use run::{Order, run};

use jiff::SignedDuration;

/// How many examples of each kind are shown of each trigger, unless told otherwise.
pub const EXAMPLES: usize = 3;
/// The most examples that may be asked for.
pub const MAX_EXAMPLES: usize = 1000;
/// The most firings that are compared at a time.
pub const MAX_FIRINGS: usize = 100_000;
/// How far the clocks of the server and of Argo Events' pods may be apart.
pub const SKEW: SignedDuration = SignedDuration::from_secs(5);
/// How long after its event a workflow with other parameters is taken for that event's. One
/// with equal parameters may come at any time later: its sensor may have been down.
pub const LATE: SignedDuration = SignedDuration::from_secs(60);

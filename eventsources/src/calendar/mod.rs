//! `calendar`: ticks of a cron schedule or an interval as events.
//!
//! A tick's id is its nominal time, so that a tick is one event however often it is taken.
//! How far a calendar is, is durable: after a restart ticks of the last minute are made up
//! for, or of as long as `persistence.catchup` says; what was missed by more is told.

mod config;
mod exclusion;
mod run;
#[cfg(test)]
mod tests;
mod ticks;

pub use config::{Calendar, CalendarConfig, CatchUp, Persistence};

/// The key of this kind, and the type of its events.
pub(crate) const KIND: &str = "calendar";
/// A complete event source.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");

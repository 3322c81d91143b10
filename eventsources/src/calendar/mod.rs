//! `calendar`: ticks of a cron schedule or an interval as events.
//!
//! A tick's id is its nominal time, so that a tick is one event however often it is taken:
//! what was due in the last minute before a start is taken again.
//!
//! Not here: catching up after a longer time; that is for schedules.

mod config;
mod exclusion;
mod run;
#[cfg(test)]
mod tests;
mod ticks;

pub use config::{Calendar, CalendarConfig, Persistence};

/// The key of this kind, and the type of its events.
pub(crate) const KIND: &str = "calendar";
/// A complete event source.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");

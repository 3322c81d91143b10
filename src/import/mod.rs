//! `tripline import`: what becomes of Argo Events' objects here, before anything is moved.
//!
//! What cannot be used is what the loader refuses; what differs is what
//! `docs/compatibility.md` says, which is part of the program ([`compatibility`]). Nothing is
//! known twice.
//!
//! Promises: every object gets a verdict; nothing is changed, in the files and in the cluster;
//! no value of a Secret is read.
//!
//! Not here: the command line.

#[cfg(feature = "kubernetes")]
pub mod cluster;
pub mod compatibility;
pub mod examine;
pub mod pods;
pub mod ports;
pub mod report;

#[cfg(test)]
mod tests;

pub use examine::examine;
pub use report::{Finding, ObjectReport, Report, Topic, Verdict};

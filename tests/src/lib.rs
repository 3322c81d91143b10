//! End to end, crash tests and benchmarks against the real daemon; and the simulation.

pub mod argo_events;
pub mod aws;
pub mod bare;
pub mod clients;
pub mod commands;
pub mod daemon;
pub mod docs;
pub mod intake;
pub mod kafka;
pub mod letters;
pub mod load;
pub mod proc;
pub mod resources;
pub mod set_checker;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod sink;
pub mod store;
pub mod target;
pub mod tenant;
pub mod upstreams;

pub use tripline_testbed::ports;

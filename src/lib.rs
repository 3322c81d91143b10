//! Tripline: an event-driven sensor and trigger daemon.
//!
//! This library joins the parts: [`engine`] is what simulation runs; [`daemon`] adds files,
//! sockets and event sources; [`query`], [`control`] and [`cli`] are how it is looked at and
//! told what to do.

pub mod backtest;
pub mod bus_copy;
pub mod check;
pub mod cli;
pub mod codes;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod doctor;
pub mod engine;
pub mod explain;
pub mod graph;
pub mod import;
pub mod index;
pub mod interop;
pub mod load;
pub mod memory;
pub mod program;
pub mod query;
pub mod render;
pub mod schemas;
pub mod sensor_test;
#[cfg(all(feature = "jetstream", feature = "kubernetes"))]
pub mod shadow;
pub mod verdicts;

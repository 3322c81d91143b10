//! End to end, crash tests and benchmarks against the real daemon; and the simulation.

pub mod simulation;

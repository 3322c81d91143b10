//! The evaluator against what it must equal: itself without an index, itself without a
//! restart, and a model of conditions.

#![expect(clippy::unwrap_used, reason = "what is made here is known to be well made")]

#[path = "evaluator/account.rs"]
mod account;
#[path = "evaluator/addressed.rs"]
mod addressed;
#[path = "evaluator/index.rs"]
mod index;
#[path = "evaluator/interleaving.rs"]
mod interleaving;
#[path = "evaluator/replay.rs"]
mod replay;
#[path = "evaluator/targets.rs"]
mod targets;
#[path = "evaluator/world.rs"]
mod world;

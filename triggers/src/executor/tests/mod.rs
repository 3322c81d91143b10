//! The executor on the in-memory bus, in virtual time, with targets that do as told.

mod bounds;
mod control;
mod order;
mod recording;
mod retries;
mod world;

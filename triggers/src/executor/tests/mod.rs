//! The executor on the in-memory bus, in virtual time, with targets that do as told.

mod bounds;
mod circuits;
mod control;
mod hour;
mod lanes;
mod order;
mod recording;
mod retries;
mod rules;
mod world;

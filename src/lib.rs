//! Tripline.

pub mod query;

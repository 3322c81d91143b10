//! Which parts of the logs an id can stand in, so that looking for one need not read all.
//!
//! Each log is divided into segments of [`SEGMENT`] records. Of a segment that is full a
//! filter is kept in the bus' keys: the hashes of all handles of its records, in a few bits
//! each. A filter never denies a handle that is there; of ten thousand that are not, it
//! admits one or two, and then the segment is read in vain. What has no filter yet is read.
//!
//! Promises: an answer is the same with and without filters; memory is bounded by one
//! filter and one page; filters go with the records that they are about.
//!
//! Not here: what a handle means to whoever looks for it.

mod filter;
pub mod handles;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

use tripline_bus::Log;

pub use reader::{Page, Reader, holding};
pub use writer::Indexer;

/// How many records a segment has: sequences from a multiple of it on.
pub const SEGMENT: u64 = 4096;

/// Where the filter of a segment is kept: `index/events/1f00ab3c/000000000000002a`.
fn key(log: Log, incarnation: u32, segment: u64) -> String {
    format!("{}{segment:016x}", prefix(log, incarnation))
}

/// What the keys of the filters of one log begin with.
fn prefix(log: Log, incarnation: u32) -> String {
    format!("index/{}/{incarnation:08x}/", log.as_str())
}

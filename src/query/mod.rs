//! Looks back over the three logs: listings, the timeline of a chain, dead letters, the
//! local target's workflows, the graph.
//!
//! Every function takes the bus and nothing else, so that a command gives the same answer
//! from a running daemon and from a data directory at rest. Logs are read in pages, what the
//! index ([`crate::index`]) knows to be without an id is passed over, and so are, by their
//! bytes, records that cannot matter, before they are parsed.
//!
//! Promises: memory is bounded by [`PAGE`] records and by what is answered; a record that
//! cannot be read is shown or counted as such, and spoils nothing else.
//!
//! Not here: deciding anything, printing, the network.

pub mod audit;
pub mod chain;
pub mod dead_letter;
pub mod filter;
pub mod glob;
pub mod graph;
mod graph_text;
pub mod item;
pub mod list;
pub mod relative;
pub mod scan;
pub mod timeline;
pub mod trace;
pub mod workflow;

#[cfg(test)]
pub(crate) mod tests;

use tripline_bus::{Log, ReadError, WriteError};

pub use dead_letter::{DeadLetterItem, LetterState};
pub use filter::{Filter, Match};
pub use graph::{Graph, GraphConfig};
pub use item::Item;
pub use list::{DEFAULT_LIMIT, Listing, MAX_LIMIT, list};
pub use scan::{LogExtent, PAGE, extents};
pub use timeline::{Entry, Step, Timeline};
pub use trace::{Trace, Unknown, trace};

/// Why a question about the logs has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A log could not be read.
    #[error("{log} log: {source}", log = log.as_str())]
    Read {
        /// Which log.
        log: Log,
        /// Why.
        source: ReadError,
    },
    /// A key could not be read.
    #[error("key-value state: {0}")]
    State(#[from] ReadError),
    /// What was to be appended was not.
    #[error("nothing was changed: {0}")]
    Write(#[from] WriteError),
    /// The question itself makes no sense.
    #[error("{0}")]
    Invalid(String),
}

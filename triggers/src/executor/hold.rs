//! Why the next action of a trigger is not started.

use tripline_event::{ActionId, Timestamp};

/// Why the next action of a trigger is not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Why, as a word.
    pub cause: HoldCause,
    /// When it ends by itself, where that is known.
    pub until: Option<Timestamp>,
    /// Why, in full.
    pub reason: String,
    /// The action that it waits for, where it waits for one.
    pub by: Option<ActionId>,
}

/// Why the next action of a trigger is not started, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldCause {
    /// An operator has paused it.
    Paused,
    /// Its definition suspends it.
    Suspended,
    /// A freeze window.
    Frozen,
    /// Its rate.
    RateLimited,
    /// As many as may be are running.
    InFlight,
    /// Another action of its lane is not closed.
    Ordering,
    /// Another action of its lane runs.
    Overlap,
    /// The circuit of its target is open.
    CircuitOpen,
    /// The newest of each lane are looked for.
    Sorting,
}

impl HoldCause {
    /// The cause as it stands in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Suspended => "suspended",
            Self::Frozen => "frozen",
            Self::RateLimited => "rateLimited",
            Self::InFlight => "inFlight",
            Self::Ordering => "ordering",
            Self::Overlap => "overlap",
            Self::CircuitOpen => "circuitOpen",
            Self::Sorting => "sorting",
        }
    }
}

impl Hold {
    pub(super) fn new(cause: HoldCause, until: Option<Timestamp>, reason: String) -> Self {
        Self { cause, until, reason, by: None }
    }
}

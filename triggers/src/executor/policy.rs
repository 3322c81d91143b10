//! How a trigger's actions are started and tried again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tripline_event::{Action, Timestamp};

/// How the actions of one trigger are started and tried again. The daemon makes it from
/// the sensor's definition; it is asked for before each start, so that a changed sensor
/// takes effect on what waits.
#[derive(Clone, Debug)]
pub struct TriggerPolicy {
    /// The most attempts that run at once. 1 keeps the order at the target, too.
    pub max_in_flight: u32,
    /// When a failed attempt is made again.
    pub retry: RetryPolicy,
    /// The most starts in a time; none is no limit.
    pub rate: Option<RateLimit>,
    /// The trigger is suspended by its definition.
    pub suspended: Option<Suspended>,
    /// The next action of a lane starts after the one before it is closed. A lane are the
    /// actions of one trigger for one target with one key.
    pub strict: bool,
    /// Of the actions of a lane that wait, only the newest is carried out, one at a time.
    pub latest: bool,
    /// What happens to an action while another one of its lane runs.
    pub overlap: Overlap,
    /// When nothing is started.
    pub freeze: Option<Arc<dyn Freeze>>,
}

impl TriggerPolicy {
    /// Whether at most one action of a lane runs at a time.
    pub(super) fn exclusive(&self) -> bool {
        self.strict || self.latest || self.overlap != Overlap::AllowAll
    }
}

/// What happens to an action while another one of its lane runs: the words of `Schedule`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Both run.
    #[default]
    AllowAll,
    /// It is dropped.
    Skip,
    /// It waits, and those after it are dropped until it has started.
    BufferOne,
    /// It waits, however many do.
    BufferAll,
    /// What the other one has started is asked to stop, and it waits for the end of that. Of
    /// those that wait only the newest is carried out.
    CancelOther,
    /// As [`Self::CancelOther`], but what was started ends at once.
    TerminateOther,
}

impl Overlap {
    /// The operation on a workflow by which what goes on makes room; none where it need not.
    pub(super) const fn operation(self) -> Option<&'static str> {
        match self {
            Self::AllowAll | Self::Skip | Self::BufferOne | Self::BufferAll => None,
            Self::CancelOther => Some("stop"),
            Self::TerminateOther => Some("terminate"),
        }
    }
}

/// Times at which nothing is started.
pub trait Freeze: fmt::Debug + Send + Sync + 'static {
    /// The window that `now` is in; none where it is in none. Pure.
    fn frozen(&self, now: Timestamp) -> Option<Frozen>;
}

/// A window in which nothing is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Its end.
    pub until: Timestamp,
    /// Its name.
    pub window: Arc<str>,
}

impl Default for TriggerPolicy {
    fn default() -> Self {
        Self {
            max_in_flight: 64,
            retry: RetryPolicy::default(),
            rate: None,
            suspended: None,
            strict: false,
            latest: false,
            overlap: Overlap::AllowAll,
            freeze: None,
        }
    }
}

/// What happens to the actions of a trigger that its definition suspends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspended {
    /// They wait, until they expire.
    Hold,
    /// They are dropped, each with an outcome.
    Drop,
}

/// The most attempts in any span of a time, evenly spread: there is no burst after a quiet
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many; 0 counts as 1.
    pub requests: u32,
    /// In which time.
    pub per: Duration,
}

/// When an attempt that failed is made again: after `initial`, then each time `factor`
/// times longer, never longer than `max`, until the action expires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The wait after the first attempt.
    pub initial: Duration,
    /// What each wait is multiplied by for the next.
    pub factor: f64,
    /// The part of a wait that is added at random: 0.5 makes 10 s a time between 10 and 15 s.
    pub jitter: f64,
    /// The longest wait. A target that asks for a longer one is given it.
    pub max: Duration,
    /// The most attempts in all; none is no limit but the action's expiry.
    pub steps: Option<u32>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            factor: 2.0,
            jitter: 0.5,
            max: Duration::from_secs(300),
            steps: None,
        }
    }
}

impl RetryPolicy {
    /// How long to wait after attempt `attempt` (from 1) of `action` failed. The same
    /// for the same seed, action, round and attempt, whatever else goes on.
    pub(super) fn delay(&self, attempt: u32, action: &Action, seed: u64) -> Duration {
        let longest = self.max.as_secs_f64();
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let plain = self.initial.as_secs_f64() * self.factor.powi(exponent);
        let jittered = plain * (1.0 + self.jitter * fraction(attempt, action, seed));
        // `clamp` would pass on the NaN of 0 × infinity.
        let wait = if jittered < longest { jittered.max(0.0) } else { longest };
        Duration::from_secs_f64(wait)
    }
}

/// A number from 0 up to 1 that looks random.
fn fraction(attempt: u32, action: &Action, seed: u64) -> f64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(action.round.to_be_bytes());
    hash.update(attempt.to_be_bytes());
    hash.update(action.id.as_str().as_bytes());
    let digest = hash.finalize();
    let bits = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

//! Time comes in from outside.

use jiff::Timestamp;

/// Where a part of Tripline gets the time from. The daemon hands out
/// [`SystemClock`]; simulation and tests hand out a clock of their own.
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

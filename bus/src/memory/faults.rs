//! What goes wrong, and how often.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

/// A seeded plan of what goes wrong. Rates are probabilities for each call, from 0 to 1.
///
/// The same plan, and the same calls in the same order, give the same faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Where the random numbers come from.
    pub seed: u64,
    /// A write fails as unavailable, and is not stored.
    pub refuse_write: f64,
    /// A write is stored, and fails as unavailable.
    pub lose_acknowledgement: f64,
    /// A read, and the end of a wait, fails as unavailable.
    pub fail_read: f64,
    /// From a write on the bus is full for a while. Trimming and removing keys still work.
    pub become_full: f64,
    /// How long it is full.
    pub full_for: Duration,
    /// A call takes its time: half before it takes effect and half after, each at random.
    pub delay: f64,
    /// How long at most a call takes in all, in the runtime's (virtual) time.
    pub max_delay: Duration,
    /// A dedup id is forgotten when this many records stand after its own; `None` remembers
    /// it for as long as the record is kept.
    pub dedup_window: Option<u64>,
}

impl Faults {
    /// Nothing goes wrong.
    pub const fn none() -> Self {
        Self {
            seed: 0,
            refuse_write: 0.0,
            lose_acknowledgement: 0.0,
            fail_read: 0.0,
            become_full: 0.0,
            full_for: Duration::ZERO,
            delay: 0.0,
            max_delay: Duration::ZERO,
            dedup_window: None,
        }
    }

    /// A bad day: a bit of everything.
    pub const fn seeded(seed: u64) -> Self {
        Self {
            seed,
            refuse_write: 0.05,
            lose_acknowledgement: 0.05,
            fail_read: 0.05,
            become_full: 0.01,
            full_for: Duration::from_secs(5),
            delay: 0.3,
            max_delay: Duration::from_secs(2),
            dedup_window: Some(64),
        }
    }
}

/// The plan being carried out.
pub(super) struct Course {
    faults: Faults,
    random: SmallRng,
    full_until: Option<Instant>,
}

/// What goes wrong with one call.
pub(super) struct Mishap {
    pub(super) delay_before: Duration,
    pub(super) delay_after: Duration,
    pub(super) trouble: Trouble,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// It does nothing and fails.
    Refused,
    /// It takes effect and fails.
    AcknowledgementLost,
}

impl Course {
    pub(super) fn new(faults: Faults) -> Self {
        let random = SmallRng::seed_from_u64(faults.seed);
        Self { faults, random, full_until: None }
    }

    pub(super) fn of_read(&mut self) -> Mishap {
        let refused = self.happens(self.faults.fail_read);
        self.mishap(if refused { Trouble::Refused } else { Trouble::None })
    }

    pub(super) fn of_write(&mut self) -> Mishap {
        let trouble = if self.happens(self.faults.refuse_write) {
            Trouble::Refused
        } else if self.happens(self.faults.lose_acknowledgement) {
            Trouble::AcknowledgementLost
        } else {
            Trouble::None
        };
        self.mishap(trouble)
    }

    /// Whether there is room for a write that takes effect now.
    pub(super) fn has_room(&mut self) -> bool {
        if self.faults.become_full == 0.0 {
            return true;
        }
        let now = Instant::now();
        if self.full_until.is_some_and(|until| now < until) {
            return false;
        }
        let becomes_full = self.happens(self.faults.become_full);
        self.full_until = becomes_full.then(|| now + self.faults.full_for);
        !becomes_full
    }

    pub(super) fn dedup_window(&self) -> u64 {
        self.faults.dedup_window.unwrap_or(u64::MAX)
    }

    fn mishap(&mut self, trouble: Trouble) -> Mishap {
        let [delay_before, delay_after] = if self.happens(self.faults.delay) {
            let half = self.faults.max_delay / 2;
            [self.up_to(half), self.up_to(half)]
        } else {
            [Duration::ZERO; 2]
        };
        Mishap { delay_before, delay_after, trouble }
    }

    fn up_to(&mut self, limit: Duration) -> Duration {
        limit.mul_f64(self.random.random::<f64>())
    }

    fn happens(&mut self, rate: f64) -> bool {
        // No number is drawn for what is turned off, so that a plan with one fault more
        // keeps the course of the others as far as it can.
        rate > 0.0 && self.random.random::<f64>() < rate
    }
}

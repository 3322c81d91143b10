//! A target that fails as the scenario says, and remembers what it did.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;
use tripline_event::outcome::TargetResult;
use tripline_event::{Action, ActionId, Cause};
use tripline_triggers::{Attempt, BoxFuture, Trigger, TriggerError};

use super::scenario::TargetFaults;

/// What the target has done: how often for each action.
#[derive(Debug, Default)]
pub struct Deeds {
    /// It was asked to do it, and may have.
    begun: Mutex<BTreeMap<ActionId, u32>>,
    /// It did it.
    done: Mutex<BTreeMap<ActionId, u32>>,
    calls: Mutex<Vec<Call>>,
}

/// The target was called.
#[derive(Clone, Debug)]
pub struct Call {
    /// For this action.
    pub action: ActionId,
    /// As this round of it.
    pub round: u32,
    /// When, since the run began.
    pub begun: Duration,
    /// When it answered, or the process died; none where it has not yet.
    pub ended: Option<Duration>,
}

/// A call that goes on until this is dropped.
struct Calling<'a> {
    deeds: &'a Deeds,
    place: usize,
    began: Instant,
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        if let Some(call) = lock(&self.deeds.calls).get_mut(self.place) {
            call.ended = Some(self.began.elapsed());
        }
    }
}

impl Deeds {
    /// How often it was done.
    pub fn of(&self, action: &ActionId) -> u32 {
        lock(&self.done).get(action).copied().unwrap_or_default()
    }

    /// Whether it may have been done, with or without an answer.
    pub fn may_have_done(&self, action: &ActionId) -> bool {
        lock(&self.begun).contains_key(action)
    }

    /// All calls, in the order in which they were begun.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    fn call(&self, action: &Action, began: Instant) -> Calling<'_> {
        let (mut calls, Action { id, round, .. }) = (lock(&self.calls), action);
        let (action, round) = (id.clone(), *round);
        calls.push(Call { action, round, begun: began.elapsed(), ended: None });
        Calling { deeds: self, place: calls.len() - 1, began }
    }

    /// For how many actions something may have been done.
    pub fn actions(&self) -> usize {
        lock(&self.begun).len()
    }

    fn add(to: &Mutex<BTreeMap<ActionId, u32>>, action: &ActionId) {
        *lock(to).entry(action.clone()).or_default() += 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The target. What lies behind `inner` is done if there is one, else it is only counted.
pub struct FaultyTarget {
    deeds: Arc<Deeds>,
    faults: Mutex<TargetFaults>,
    random: Mutex<SmallRng>,
    inner: Option<Arc<dyn Trigger>>,
    /// When the run began.
    began: Instant,
}

impl FaultyTarget {
    /// A target that fails like this.
    pub fn new(
        deeds: Arc<Deeds>,
        faults: TargetFaults,
        seed: u64,
        inner: Option<Arc<dyn Trigger>>,
        began: Instant,
    ) -> Self {
        Self {
            deeds,
            faults: Mutex::new(faults),
            random: Mutex::new(SmallRng::seed_from_u64(seed)),
            inner,
            began,
        }
    }

    /// From now on nothing goes wrong.
    pub fn get_well(&self) {
        let mut faults = lock(&self.faults);
        (faults.fail, faults.lose_answer, faults.refuse) = (0.0, 0.0, 0.0);
    }

    async fn attempt(&self, attempt: Attempt<'_>) -> Result<TargetResult, TriggerError> {
        let _call = self.deeds.call(&attempt.rendered.action, self.began);
        let faults = *lock(&self.faults);
        let (delay, fails, loses, refuses) = {
            let mut random = lock(&self.random);
            let delay = faults.max_delay.mul_f64(random.random::<f64>());
            (
                delay,
                random.random_bool(faults.fail),
                random.random_bool(faults.lose_answer),
                random.random_bool(faults.refuse),
            )
        };
        tokio::time::sleep(delay).await;
        let retry =
            |reason: &str| Err(TriggerError::Retry { reason: reason.to_owned(), after: None });
        if fails {
            return retry("simulated: the target is down");
        }
        if refuses {
            return Err(TriggerError::Refused {
                cause: Cause::Refused,
                reason: "simulated: no".to_owned(),
            });
        }
        Deeds::add(&self.deeds.begun, &attempt.rendered.action.id);
        let result = match &self.inner {
            Some(inner) => inner.carry_out(attempt).await?,
            None => TargetResult::Http { status: 200 },
        };
        Deeds::add(&self.deeds.done, &attempt.rendered.action.id);
        if loses {
            return retry("simulated: no answer");
        }
        Ok(result)
    }
}

impl Trigger for FaultyTarget {
    fn carry_out<'a>(
        &'a self,
        attempt: Attempt<'a>,
    ) -> BoxFuture<'a, Result<TargetResult, TriggerError>> {
        Box::pin(self.attempt(attempt))
    }
}

//! What operators do in a run: drawn from its seed, done until the daemon has taken it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep};
use tripline::control::{Paused, scope};
use tripline::daemon::pauses::Pauses;
use tripline::engine::again::Again;
use tripline::engine::definitions::Definitions;
use tripline::engine::driver::Progress;
use tripline::engine::ingest::Ingest;
use tripline::engine::replay::{AsWhat, Wanted};
use tripline::query::dead_letter::{self, Done, LetterFilter};
use tripline_bus::Bus;
use tripline_event::{ActionId, Clock, DropCause, ObjectName, Timestamp};
use tripline_triggers::executor::{ActionFilter, Executor, Renderer as _, Scope};

use super::scenario::ACTIVE;

/// The most orders of a run.
const MOST: usize = 6;
/// The most dead letters that are seen to at once.
const LETTERS: usize = 5;
/// The most actions of a replay.
const REPLAYED: usize = 10_000;
/// No answer within this time is the answer of a process that died.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an operator does.
#[derive(Clone, Debug)]
pub struct Order {
    /// When, since the run began.
    pub at: Duration,
    /// What.
    pub does: Does,
    /// What the same operator does after that.
    pub then: Option<Box<Order>>,
}

/// What an operator does, as a word.
#[derive(Clone, Debug)]
pub enum Does {
    /// Nothing of a scope is to be started, until a time or until it is resumed.
    Pause(String, Option<Duration>),
    /// A scope goes on.
    Resume(String, Choice),
    /// What waits in a scope is dropped.
    Drop(String),
    /// What a sensor decides about events from a time on is done, again where it was done.
    Replay(ObjectName, Duration, bool),
    /// Dead letters are sent back, with the definition of now or that of then.
    Retry(bool),
    /// Dead letters are given up.
    GiveUp,
}

/// What becomes of what waits in a scope that is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is carried out.
    All,
    /// The newest of each lane is carried out.
    Latest,
    /// It is dropped.
    Drop,
}

/// An order that the daemon has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The number of the operator, which texts name.
    pub operator: usize,
    /// The order.
    pub does: Does,
    /// When it was first given.
    pub begun: Duration,
    /// When the daemon answered.
    pub ended: Duration,
    /// Rounds of actions that the answer names: sent back, or given up.
    pub rounds: Vec<(ActionId, u32)>,
}

/// The orders of a run, of sensors with these numbers. A number of its own, so that what else a
/// seed means stays what it was.
pub fn draw(seed: u64) -> Vec<Order> {
    let random = &mut SmallRng::seed_from_u64(seed ^ 0x0bde_0000);
    let mut orders = Vec::new();
    let mut paused = BTreeSet::new();
    for _ in 0..random.random_range(0..=MOST) {
        let at = ACTIVE.mul_f64(random.random::<f64>());
        let mut then = None;
        let does = match random.random_range(0..8) {
            0..=2 => {
                let scope = scope_of(random);
                // Who pauses what is paused, and who resumes it, is not told apart.
                if !paused.insert(scope.clone()) {
                    continue;
                }
                let length = Duration::from_secs(random.random_range(1..60));
                if random.random_bool(0.3) {
                    Does::Pause(scope, Some(at + length))
                } else {
                    let choice = match random.random_range(0..4) {
                        0 => Choice::Latest,
                        1 => Choice::Drop,
                        _ => Choice::All,
                    };
                    let does = Does::Resume(scope.clone(), choice);
                    then = Some(Box::new(Order { at: at + length, does, then: None }));
                    Does::Pause(scope, None)
                }
            }
            3 => Does::Drop(scope_of(random)),
            4 | 5 => {
                let sensor = format!("sensor-{}", random.random_range(0..3));
                let since = ACTIVE.mul_f64(random.random::<f64>());
                Does::Replay(ObjectName::new("ci", sensor), since, random.random_bool(0.4))
            }
            6 => Does::Retry(random.random_bool(0.3)),
            _ => Does::GiveUp,
        };
        orders.push(Order { at, does, then });
    }
    orders
}

fn scope_of(random: &mut SmallRng) -> String {
    let sensor = random.random_range(0..3);
    match random.random_range(0..6) {
        0 => "all".to_owned(),
        1 | 2 => format!("sensor/ci/sensor-{sensor}"),
        3 => format!("trigger/ci/sensor-{sensor}/t{}", random.random_range(0..2)),
        4 => "target/local".to_owned(),
        _ => "target/http://target.example".to_owned(),
    }
}

/// One life of the daemon, as those see it who ask something of it.
pub struct Desk {
    /// Where events go in.
    pub ingest: Arc<Ingest>,
    /// What carries out.
    pub executor: Executor,
    /// What appends actions again.
    pub again: Again,
    /// Compiled sensors.
    pub definitions: Arc<Definitions>,
    /// How far the evaluator is.
    pub progress: tokio::sync::watch::Receiver<Progress>,
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// What is paused.
    pub pauses: Arc<Pauses>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When the run began.
    pub began: Instant,
}

impl Desk {
    /// Does it; none where that failed, or nobody answered.
    pub async fn take(&self, does: &Does, who: &str) -> Option<Vec<(ActionId, u32)>> {
        let done = async {
            match does {
                Does::Pause(text, until) => self.pause(text, *until, who).await,
                Does::Resume(text, choice) => self.resume(text, *choice, who).await,
                Does::Drop(text) => {
                    self.drop_waiting(&scope(text)?, who);
                    Some(Vec::new())
                }
                Does::Replay(sensor, since, again) => {
                    self.replay(sensor, *since, *again, who).await
                }
                Does::Retry(current) => self.retry(*current, who).await,
                Does::GiveUp => self.give_up(who).await,
            }
        };
        tokio::time::timeout(PATIENCE, done).await.ok().flatten()
    }

    /// A time of the run.
    fn time(&self, at: Duration) -> Timestamp {
        let now = self.clock.now();
        let elapsed = self.began.elapsed();
        now.saturating_sub(elapsed).and_then(|began| began.saturating_add(at)).unwrap_or(now)
    }

    async fn pause(
        &self,
        text: &str,
        until: Option<Duration>,
        who: &str,
    ) -> Option<Vec<(ActionId, u32)>> {
        let paused = Paused {
            scope: text.to_owned(),
            until: until.map(|until| self.time(until)),
            reason: None,
            who: who.to_owned(),
            since: self.clock.now(),
        };
        self.pauses.pause(paused).await.ok()?;
        Some(Vec::new())
    }

    async fn resume(&self, text: &str, choice: Choice, who: &str) -> Option<Vec<(ActionId, u32)>> {
        let scope = scope(text)?;
        match choice {
            Choice::All => {}
            Choice::Latest => self.executor.keep_latest(&scope),
            Choice::Drop => self.drop_waiting(&scope, who),
        }
        self.pauses.resume(&scope).await.ok()?;
        Some(Vec::new())
    }

    fn drop_waiting(&self, scope: &Scope, who: &str) {
        let (definitions, scope) = (Arc::clone(&self.definitions), scope.clone());
        let filter: ActionFilter = Arc::new(move |action| match &scope {
            Scope::Target(target) => definitions.target(action).as_ref() == Some(target),
            scope => scope.names(&action.trigger),
        });
        self.executor.drop_waiting(&filter, DropCause::Operator, who);
    }

    async fn replay(
        &self,
        sensor: &ObjectName,
        since: Duration,
        again: bool,
        who: &str,
    ) -> Option<Vec<(ActionId, u32)>> {
        let hash = self.definitions.in_force.of(sensor);
        let Some(compiled) = hash.and_then(|hash| self.definitions.get(&hash)) else {
            return Some(Vec::new()); // It is gone.
        };
        let through = self.progress.borrow().evaluated;
        let wanted = Wanted { since: Some(self.time(since)), until: None, event: None, through };
        let alone = self.again.alone().await;
        let as_what = AsWhat { id: who, again, now: self.clock.now() };
        let following = self.again.following(&compiled.sensor, &wanted, &as_what, REPLAYED).await;
        let next: Vec<_> =
            following.ok()?.actions.into_iter().filter_map(|(_, next)| next).collect();
        if next.is_empty() {
            return Some(Vec::new());
        }
        let rounds = next.iter().map(|action| (action.id.clone(), action.round)).collect();
        alone.carry_out(next).await.ok()?;
        Some(rounds)
    }

    async fn letters(&self) -> Option<Vec<String>> {
        let letters =
            dead_letter::list(&*self.bus, &LetterFilter::default(), LETTERS).await.ok()?;
        Some(letters.into_iter().map(|letter| letter.id).collect())
    }

    async fn retry(&self, current: bool, who: &str) -> Option<Vec<(ActionId, u32)>> {
        let alone = self.again.alone().await;
        let ids = self.letters().await?;
        let (bus, clock) = (&*self.bus, &*self.clock);
        let answers = dead_letter::retry_by(bus, clock, who, &ids, current, &alone).await;
        let rounds = answers.ok()?.into_iter().filter_map(|answer| match answer.done {
            Done::Retried { round, .. } => Some((ActionId(answer.id), round)),
            _ => None,
        });
        Some(rounds.collect())
    }

    async fn give_up(&self, who: &str) -> Option<Vec<(ActionId, u32)>> {
        let _alone = self.again.alone().await;
        let ids = self.letters().await?;
        dead_letter::drop(&*self.bus, &*self.clock, who, None, &ids).await.ok()?;
        Some(Vec::new())
    }
}

/// A scope as operators write it.
pub fn scope(text: &str) -> Option<Scope> {
    scope::parse(text, "ci").ok()
}

/// An operator gives orders, each until the daemon has taken it.
pub async fn give(
    order: Order,
    operator: usize,
    desk: tokio::sync::watch::Receiver<Option<Arc<Desk>>>,
    began: Instant,
) -> Vec<Taken> {
    let who = format!("operator {operator}");
    let (mut next, mut taken) = (Some(order), Vec::new());
    while let Some(Order { at, does, then }) = next {
        tokio::time::sleep_until(began + at).await;
        let begun = began.elapsed();
        let rounds = loop {
            // Asked again and again: who waits for a change is woken in no certain order.
            let at = desk.borrow().clone();
            let done = match at {
                Some(desk) => desk.take(&does, &who).await,
                None => None,
            };
            match done {
                Some(rounds) => break rounds,
                None => sleep(Duration::from_millis(700)).await,
            }
        };
        taken.push(Taken { operator, does, begun, ended: began.elapsed(), rounds });
        next = then.map(|then| *then);
    }
    taken
}

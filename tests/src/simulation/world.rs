//! Runs a scenario: producers, operators who change plans, and the one who pulls the plug.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tripline::daemon::pauses::{Loaded, Pauses};
use tripline::engine::definitions::Definitions;
use tripline::engine::driver::CheckpointEvery;
use tripline::engine::ingest::IdSource;
use tripline::engine::mistakes::Mistakes;
use tripline::engine::observer::EngineObserver;
use tripline::engine::plans::Definition;
use tripline::engine::schedules::{self, Kind, events};
use tripline::engine::{Engine, EngineParts};
use tripline_bus::memory::{Faults, MemoryBus, MemoryStore};
use tripline_bus::{Bus, Log};
use tripline_event::{Clock, DefinitionHash, EventId, EventKey, ObjectName, Position, Timestamp};
use tripline_eventsources::{Accepted, EventSink, Message};
use tripline_triggers::executor::{Kinds, Limits, Scope, Unobserved};
use tripline_triggers::workflow::WorkflowTrigger;
use tripline_triggers::workflow::local::LocalTarget;

use super::Summary;
use super::check::{self, Evidence, Violation};
use super::orders::{Desk, Taken, give};
use super::scenario::{ACTIVE, BEGAN, Scenario, Sent};
use super::target::{Deeds, FaultyTarget};

/// When everything is well again, it may take so long until all is done. Actions that
/// failed often wait up to five minutes.
const SETTLE: Duration = Duration::from_secs(3 * 3600);

/// The virtual clock: it runs with the runtime's.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    began: Instant,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let epoch = Timestamp::constant(BEGAN, 0);
        epoch.saturating_add(self.began.elapsed()).unwrap_or(Timestamp::MAX)
    }
}

/// Ids in the order in which they are asked for.
#[derive(Debug, Default)]
struct CountedIds(Mutex<u64>);

impl IdSource for CountedIds {
    fn next_id(&self) -> String {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        format!("{:032x}", *next)
    }
}

/// Watches that positions only grow, within one life and over all of them.
#[derive(Debug, Default)]
pub struct Growth {
    state: Mutex<GrowthState>,
}

#[derive(Debug, Default)]
struct GrowthState {
    evaluated: Position,
    checkpoint: Position,
    violation: Option<String>,
}

impl Growth {
    fn begin_a_life(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A restart goes back to the checkpoint, and not behind it.
        state.evaluated = state.checkpoint;
    }

    /// The first position that went back.
    pub fn violation(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).violation.clone()
    }
}

impl EngineObserver for Growth {
    fn on_progress(&self, evaluated: Position, _: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if evaluated < state.evaluated {
            let went = format!("evaluated went from {} back to {evaluated}", state.evaluated);
            state.violation.get_or_insert(went);
        }
        state.evaluated = evaluated;
    }

    fn on_checkpoint(&self, watermark: Position) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if watermark < state.checkpoint {
            let went = format!("checkpoint went from {} back to {watermark}", state.checkpoint);
            state.violation.get_or_insert(went);
        }
        state.checkpoint = watermark;
    }
}

/// What every life of the daemon shares.
struct World {
    scenario: Scenario,
    mistakes: Mistakes,
    store: Arc<MemoryStore>,
    clock: Arc<VirtualClock>,
    ids: Arc<CountedIds>,
    deeds: Arc<Deeds>,
    growth: Arc<Growth>,
    began: Instant,
}

/// One life of the daemon. Where it is dropped, all of it ends at once.
struct Life {
    bus: Arc<MemoryBus>,
    engine: Option<Engine>,
    targets: Vec<Arc<FaultyTarget>>,
    desk: Arc<Desk>,
    ends_pauses: JoinHandle<()>,
}

/// Runs the scenario to its end and checks it.
///
/// # Errors
/// What was violated.
pub async fn run(scenario: Scenario, mistakes: Mistakes) -> Result<Summary, Violation> {
    let began = Instant::now();
    let world = Arc::new(World {
        store: match scenario.limit {
            Some(limit) => MemoryStore::with_limit(scenario.seed, limit),
            None => MemoryStore::new(scenario.seed),
        },
        clock: Arc::new(VirtualClock { began }),
        ids: Arc::default(),
        deeds: Arc::default(),
        growth: Arc::default(),
        began,
        mistakes,
        scenario,
    });
    let acknowledged: Arc<Mutex<Vec<(EventKey, Accepted)>>> = Arc::default();
    let (life_sender, life_receiver) = watch::channel(None);
    let orders = world.scenario.orders.iter().cloned().enumerate();
    let orders: Vec<_> = orders
        .map(|(number, order)| tokio::spawn(give(order, number, life_receiver.clone(), began)))
        .collect();
    let producers: Vec<_> = world
        .scenario
        .messages
        .iter()
        .map(|sent| {
            tokio::spawn(produce(
                Arc::clone(&world),
                sent.clone(),
                life_receiver.clone(),
                Arc::clone(&acknowledged),
            ))
        })
        .collect();
    let mut life = world.live(&life_sender).await?;
    let settled = tokio::time::timeout(ACTIVE * 20 + SETTLE, async {
        for producer in producers {
            producer.await.map_err(|error| Violation(format!("a producer panicked: {error}")))?;
        }
        let mut taken = Vec::new();
        for order in orders {
            let order = order.await;
            taken.extend(order.map_err(|error| Violation(format!("an order panicked: {error}")))?);
        }
        Ok::<_, Violation>(taken)
    });
    let settled = settled.await;
    let taken = settled.map_err(|_| {
        Violation("messages were never accepted, or orders never taken".to_owned())
    })??;
    life.settle().await?;
    world.evidence(life, &acknowledged, &taken).await
}

impl World {
    /// Lives and dies as the scenario says; returns the last life, when it is well.
    async fn live(
        self: &Arc<Self>,
        desk: &watch::Sender<Option<Arc<Desk>>>,
    ) -> Result<Life, Violation> {
        for (number, crash) in self.scenario.crashes.clone().into_iter().enumerate() {
            let crash = self.began + crash;
            let bus = self.bus(number);
            let life = tokio::select! {
                biased;
                () = sleep_until(crash) => {
                    bus.kill();
                    continue;
                }
                life = self.start(number, &bus, desk) => life?,
            };
            tokio::select! {
                biased;
                () = sleep_until(crash) => {}
                changed = self.change_plans(&life) => changed?,
            }
            sleep_until(crash).await;
            desk.send_replace(None);
            if number % 3 == 2 {
                // This one is asked to stop. Where its bus fails it does not end in time.
                drop(life.stop(Duration::from_secs(25)).await);
            } else {
                drop(life);
            }
        }
        let number = self.scenario.crashes.len();
        let life = self.start(number, &self.bus(number), desk).await?;
        self.change_plans(&life).await?;
        sleep_until(self.began + ACTIVE).await;
        life.bus.set_faults(Faults { dedup_window: Some(64), ..Faults::none() });
        for target in &life.targets {
            target.get_well();
        }
        Ok(life)
    }

    fn bus(&self, number: usize) -> Arc<MemoryBus> {
        let faults = self.scenario.faults.get(number).cloned().unwrap_or_else(Faults::none);
        Arc::new(MemoryBus::with_faults(Arc::clone(&self.store), faults))
    }

    async fn start(
        self: &Arc<Self>,
        number: usize,
        bus: &Arc<MemoryBus>,
        desk: &watch::Sender<Option<Arc<Desk>>>,
    ) -> Result<Life, Violation> {
        self.growth.begin_a_life();
        loop {
            let (kinds, targets) = self.kinds(bus, number as u64);
            let Ok(paused) = Loaded::from(&**bus).await else {
                sleep(Duration::from_millis(200)).await;
                continue;
            };
            let parts = self.parts(Arc::clone(bus) as _, kinds, paused.scopes());
            match Engine::start(parts).await {
                Ok(engine) => {
                    let life = Life::begin(self, bus, engine, targets, paused);
                    self.publish(&life, self.plan_at(self.began.elapsed())).await?;
                    desk.send_replace(Some(Arc::clone(&life.desk)));
                    return Ok(life);
                }
                Err(error) if error.is_transient() => sleep(Duration::from_millis(200)).await,
                Err(error) => {
                    return Err(Violation(format!("the daemon does not start: {error:?}")));
                }
            }
        }
    }

    fn parts(&self, bus: Arc<dyn Bus>, kinds: Kinds, paused: Vec<(Scope, String)>) -> EngineParts {
        EngineParts {
            bus,
            clock: Arc::clone(&self.clock) as _,
            ids: Arc::clone(&self.ids) as _,
            definitions: Arc::new(Definitions::default()),
            kinds,
            observer: Arc::clone(&self.growth) as _,
            executor_observer: Arc::new(Unobserved),
            seed: self.scenario.seed,
            limits: Limits {
                actions_per_trigger: self.scenario.actions_per_trigger,
                ..Limits::default()
            },
            checkpoint_every: CheckpointEvery {
                records: self.scenario.checkpoint_records,
                time: Duration::from_secs(30),
            },
            paused,
            mistakes: self.mistakes,
        }
    }

    fn kinds(&self, bus: &Arc<MemoryBus>, life: u64) -> (Kinds, Vec<Arc<FaultyTarget>>) {
        let seed = self.scenario.seed * 100 + life;
        let faulty = |seed, inner| {
            Arc::new(FaultyTarget::new(
                Arc::clone(&self.deeds),
                self.scenario.target,
                seed,
                inner,
                self.began,
            ))
        };
        let local = LocalTarget::new(Arc::clone(bus) as _, Arc::clone(&self.clock) as _);
        let workflows = faulty(seed, Some(Arc::new(WorkflowTrigger::new(Arc::new(local))) as _));
        let http = faulty(seed + 50, None);
        let kinds: Kinds = BTreeMap::from([
            ("argoWorkflow".to_owned(), Arc::clone(&workflows) as _),
            ("http".to_owned(), Arc::clone(&http) as _),
        ]);
        (kinds, vec![workflows, http])
    }

    fn plan_at(&self, at: Duration) -> &[Value] {
        let plans = self.scenario.plans.iter().rev();
        plans.into_iter().find(|(from, _)| *from <= at).map_or(&[], |(_, sensors)| sensors)
    }

    async fn change_plans(&self, life: &Life) -> Result<(), Violation> {
        for (at, sensors) in &self.scenario.plans {
            let at = self.began + *at;
            if at > Instant::now() {
                sleep_until(at).await;
                self.publish(life, sensors).await?;
            }
        }
        Ok(())
    }

    async fn publish(&self, life: &Life, sensors: &[Value]) -> Result<(), Violation> {
        let definitions: Vec<_> = sensors.iter().map(definition).collect();
        for (definition, json) in definitions.iter().zip(sensors) {
            let (compiled, problems) =
                life.engine()?.definitions.compile(&definition.name, &definition.hash, json);
            if compiled.is_none() {
                return Err(Violation(format!("the scenario's sensor is refused: {problems:?}")));
            }
        }
        loop {
            match life.engine()?.publisher().publish(&definitions).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_transient() => sleep(Duration::from_millis(200)).await,
                Err(error) => return Err(Violation(format!("the plan is refused: {error:?}"))),
            }
        }
    }

    async fn evidence(
        &self,
        life: Life,
        acknowledged: &Mutex<Vec<(EventKey, Accepted)>>,
        taken: &[Taken],
    ) -> Result<Summary, Violation> {
        life.stop(Duration::from_secs(600)).await?;
        let bus = MemoryBus::new(Arc::clone(&self.store));
        let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let evidence = Evidence {
            bus: &bus,
            store: &self.store,
            taken,
            acknowledged: &acknowledged,
            deeds: &self.deeds,
            growth: &self.growth,
        };
        let summary = check::check(&evidence).await?;
        Ok(Summary {
            crashes: self.scenario.crashes.len(),
            plans: self.scenario.plans.len(),
            ..summary
        })
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.bus.kill();
        self.ends_pauses.abort();
        if let Some(engine) = self.engine.take() {
            engine.kill();
        }
    }
}

impl Life {
    fn begin(
        world: &World,
        bus: &Arc<MemoryBus>,
        engine: Engine,
        targets: Vec<Arc<FaultyTarget>>,
        paused: Loaded,
    ) -> Self {
        let pauses = Arc::new(Pauses::new(Arc::clone(bus) as _, &engine.executor, paused));
        let (ends, clock) = (Arc::clone(&pauses), Arc::clone(&world.clock));
        let never = CancellationToken::new();
        let ends_pauses = tokio::spawn(async move { ends.end_when_due(&*clock, &never).await });
        let desk = Desk {
            ingest: Arc::clone(&engine.ingest),
            executor: engine.executor.clone(),
            again: engine.again.clone(),
            definitions: Arc::clone(&engine.definitions),
            progress: engine.progress.clone(),
            bus: Arc::clone(bus) as _,
            pauses,
            clock: Arc::clone(&world.clock) as _,
            began: world.began,
        };
        let (bus, desk) = (Arc::clone(bus), Arc::new(desk));
        Self { bus, engine: Some(engine), targets, desk, ends_pauses }
    }

    fn engine(&self) -> Result<&Engine, Violation> {
        self.engine.as_ref().ok_or_else(|| Violation("the daemon has stopped".to_owned()))
    }

    /// The daemon is asked to stop.
    async fn stop(mut self, grace: Duration) -> Result<(), Violation> {
        let Some(engine) = self.engine.take() else { return Ok(()) };
        let stopped = engine.stop(grace).await;
        stopped.map_err(|error| Violation(format!("the daemon did not stop well: {error:?}")))
    }

    /// Waits until everything is evaluated and carried out.
    async fn settle(&mut self) -> Result<(), Violation> {
        let until = Instant::now() + SETTLE;
        loop {
            let end = self
                .bus
                .extent(Log::Events)
                .await
                .map_err(|error| Violation(error.to_string()))?
                .next;
            let last = Position { sequence: end.sequence - 1, ..end };
            let engine = self.engine()?;
            let open: u64 = engine
                .executor
                .snapshot()
                .iter()
                .map(|trigger| trigger.waiting + trigger.in_flight + trigger.retrying)
                .sum();
            let evaluated = engine.progress.borrow().evaluated;
            // An action is open until its outcome is durable, too.
            let read = |error: tripline_bus::ReadError| Violation(error.to_string());
            let next = self.bus.extent(Log::Actions).await.map_err(read)?.next;
            let all_closed = engine.executor.low_water(next) == next;
            let schedules_are_done = {
                let schedules = schedules::lock(&engine.schedules);
                !schedules.has_unsent() && schedules.awaits_nothing()
            };
            if evaluated >= last && open == 0 && all_closed && schedules_are_done {
                return Ok(());
            }
            if engine.has_failed() {
                let Some(engine) = &mut self.engine else { continue };
                let failed = engine.failed().await;
                return Err(Violation(format!("the daemon has ended by itself: {failed:?}")));
            }
            if Instant::now() > until {
                let schedules = schedules::lock(&engine.schedules);
                let unsent = schedules.unsent().len();
                let awaited: Vec<String> = schedules
                    .all_awaited()
                    .map(|(name, run, action)| format!("{name} {run} ({action})"))
                    .collect();
                let held = engine.executor.snapshot().into_iter();
                let held: Vec<_> = held.filter(|of| of.waiting > 0).map(|of| of.hold).collect();
                return Err(Violation(format!(
                    "no end: {open} actions are open, evaluated {evaluated} of {last}, {unsent} \
                     ticks are not appended, awaited are {awaited:?}, held are {held:?}"
                )));
            }
            sleep(Duration::from_secs(5)).await;
        }
    }
}

fn definition(sensor: &Value) -> Definition {
    let json = sensor.to_string();
    let text = |field: &str| sensor["metadata"][field].as_str().unwrap_or_default().to_owned();
    let name = ObjectName::new(text("namespace"), text("name"));
    let kind = sensor["kind"].as_str().unwrap_or_default().parse::<Kind>();
    Definition {
        name: kind.map(|kind| kind.source_of(&name)).unwrap_or(name),
        hash: DefinitionHash::of(&json),
        json: json.into(),
    }
}

/// Sends a message until it is accepted, as every upstream does.
async fn produce(
    world: Arc<World>,
    sent: Sent,
    desk: watch::Receiver<Option<Arc<Desk>>>,
    acknowledged: Arc<Mutex<Vec<(EventKey, Accepted)>>>,
) {
    sleep_until(world.began + sent.at).await;
    let key = EventKey::new("ci", &sent.source, &sent.name);
    let times = if sent.again { 2 } else { 1 };
    for _ in 0..times {
        let accepted = loop {
            // Asked again and again: who waits for a change is woken in no certain order.
            let at = desk.borrow().clone();
            let Some(at) = at else {
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let body = Bytes::from(sent.body.to_string());
            let now = world.clock.now();
            let (kind, data) = match sent.name == events::COMMAND {
                true => {
                    let command = json!({"does": sent.body, "who": "operator", "at": now});
                    (events::KIND, command.to_string())
                }
                false => ("webhook", format!(r#"{{"body":{}}}"#, sent.body)),
            };
            let message = Message {
                key: key.clone(),
                kind,
                id: sent.id.as_deref().map(EventId::from_upstream),
                time: now,
                data: Bytes::from(data),
                headers: Vec::new(),
                body: Some(body),
                correlation_path: None,
                cloud_event: None,
            };
            // No answer within 30 s is the answer of a process that died.
            match tokio::time::timeout(Duration::from_secs(30), at.ingest.append(message)).await {
                Ok(Ok(accepted)) => break accepted,
                Ok(Err(_)) | Err(_) => sleep(Duration::from_millis(500)).await,
            }
        };
        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push((key.clone(), accepted));
        sleep(Duration::from_secs(3)).await;
    }
}

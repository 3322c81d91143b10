//! `startFrom`: a new sensor decides about events from before it came.
//!
//! When a plan comes into force, each sensor that is new in it and says so is shown the log
//! from the place that it names up to the plan's own record, by an evaluator of its own;
//! what it decides and holds is then as if it had been there. A replay comes to the same
//! record and does the same.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use tripline_bus::{Bus, Log, ReadError, Stored};
use tripline_event::{Action, EventsRecord, Position, Timestamp};
use tripline_sensors::evaluator::{Conditions, Evaluator, Off, Plan, Sensor, StartFrom, State};

use super::driver::{Driver, DriverError};
use super::recovery::RecoveryError;
use super::retry::Retry;
use super::trim;

/// How many records are read at once.
const PAGE: usize = 512;

/// Sensors that are to see the log from before `until`.
#[derive(Debug)]
pub(crate) struct CatchUp {
    sensors: Vec<Arc<Sensor>>,
    until: Position,
    at: Timestamp,
}

/// What they decided.
#[derive(Debug, Default)]
pub(crate) struct CaughtUp {
    pub(crate) actions: Vec<Action>,
    pub(crate) held: Conditions,
}

impl CatchUp {
    /// Those of `plan`, which comes into force at `until`, that are not in `before`; none
    /// where there are none.
    pub(crate) fn new(before: &Plan, plan: &Plan, until: Position, at: Timestamp) -> Option<Self> {
        let is_new = |sensor: &&Arc<Sensor>| {
            sensor.start_from != StartFrom::Now && before.sensor(&sensor.name).is_none()
        };
        let sensors: Vec<_> = plan.sensors().iter().filter(is_new).cloned().collect();
        (!sensors.is_empty()).then_some(Self { sensors, until, at })
    }

    /// Shows each its part of the log.
    pub(crate) async fn run(&self, bus: &dyn Bus) -> Result<CaughtUp, RecoveryError> {
        let mut caught_up = CaughtUp::default();
        for sensor in &self.sensors {
            self.one(bus, sensor, &mut caught_up).await?;
        }
        Ok(caught_up)
    }

    async fn one(
        &self,
        bus: &dyn Bus,
        sensor: &Arc<Sensor>,
        caught_up: &mut CaughtUp,
    ) -> Result<(), RecoveryError> {
        let (mut from, not_before) = match sensor.start_from {
            StartFrom::Now => return Ok(()),
            StartFrom::Beginning => (bus.extent(Log::Events).await?.first, Timestamp::MIN),
            StartFrom::At(at) => (trim::first_not_before(bus, Log::Events, at).await?, at),
        };
        let mut evaluator: Option<Evaluator> = None;
        while from < self.until {
            let page = match bus.read(Log::Events, from, PAGE).await {
                Err(ReadError::Trimmed { first, .. }) => bus.read(Log::Events, first, PAGE).await?,
                other => other?,
            };
            let Some(last) = page.last() else { break };
            from = last.position.next();
            for stored in page.iter().take_while(|stored| stored.position < self.until) {
                let record = decode(stored)?;
                if record.time() < not_before {
                    continue;
                }
                let evaluator = evaluator.get_or_insert_with(|| {
                    // Resets count from the first event, not from the beginning of time.
                    let plan = Arc::new(Plan::new(1, vec![Arc::clone(sensor)]));
                    let before = stored.position.origin();
                    let state = State { log_time: record.time(), ..State::new(before) };
                    Evaluator::new(plan, state)
                });
                let decided = evaluator.apply(stored.position, &record, &mut Off).actions;
                caught_up.actions.extend(decided.into_iter().map(|action| self.now(action)));
            }
        }
        if let Some(mut evaluator) = evaluator {
            evaluator.apply(self.until, &EventsRecord::Time(self.at), &mut Off);
            caught_up.held.adopt(&evaluator.state().conditions);
        }
        Ok(())
    }

    /// It is decided now, whenever its events were: its time to expire begins now.
    fn now(&self, action: Action) -> Action {
        let lives: SignedDuration = action.expires_at.duration_since(action.decided_at);
        let expires_at = self.at.saturating_add(lives).unwrap_or(Timestamp::MAX);
        Action { decided_at: self.at, expires_at, ..action }
    }
}

impl Driver {
    /// Shows new sensors the log from before them, until the bus gives it. What they hold is
    /// held from now on; what they decided, and is not in ACTIONS already, is returned.
    pub(super) async fn catch_up(
        &mut self,
        catch_up: &CatchUp,
    ) -> Result<Vec<Action>, DriverError> {
        let mut retry = Retry::new(&self.observer, "events cannot be read");
        let CaughtUp { mut actions, held } = loop {
            match catch_up.run(&*self.bus).await {
                Ok(caught_up) => break caught_up,
                Err(RecoveryError::Read(error @ ReadError::Unavailable(_))) => {
                    retry.pause(&error, &CancellationToken::new()).await;
                }
                Err(RecoveryError::Read(error)) => return Err(DriverError::Log(error)),
                Err(RecoveryError::Record(_, position, error)) => {
                    return Err(DriverError::Record(position, error));
                }
            }
        };
        self.evaluator.state_mut().conditions.adopt(&held);
        actions.retain(|action| !self.decided.contains(&action.id));
        Ok(actions)
    }
}

fn decode(stored: &Stored) -> Result<EventsRecord, RecoveryError> {
    EventsRecord::decode(&stored.record)
        .map_err(|error| RecoveryError::Record(Log::Events, stored.position, error))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tripline_bus::Append;
    use tripline_bus::memory::{MemoryBus, MemoryStore};
    use tripline_event::event::{JSON, Links};
    use tripline_event::{CorrelationId, DefinitionHash, Event, EventId, EventKey, ObjectName};

    use super::*;
    use crate::engine::definitions;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + hours * 3600).unwrap()
    }

    fn sensor(start_from: &str) -> Arc<Sensor> {
        let json = serde_json::json!({
            "apiVersion": "tripline.dev/v1",
            "spec": {
                "startFrom": start_from,
                "dependencies": [
                    {"name": "a", "eventSourceName": "s", "eventName": "a"},
                    {"name": "b", "eventSourceName": "s", "eventName": "b"},
                ],
                "triggers": [
                    {"template": {"name": "each", "conditions": "a", "log": {}}, "expiresAfter": "1h"},
                    {"template": {"name": "both", "log": {}}},
                ],
            },
        });
        let hash = DefinitionHash::of("s");
        let (compiled, problems) =
            definitions::compile(&ObjectName::new("ci", "late"), &hash, &json);
        compiled.unwrap_or_else(|| panic!("{problems:?}")).sensor
    }

    /// An event `a` every hour, from hour 0 to 9.
    async fn bus() -> MemoryBus {
        let bus = MemoryBus::new(MemoryStore::new(1));
        let event = |hour: i64| Event {
            key: EventKey::new("ci", "s", "a"),
            id: EventId(format!("e-{hour}")),
            kind: "webhook".to_owned(),
            time: at(hour),
            content_type: JSON.to_owned(),
            data: Some(Bytes::from_static(b"{}")),
            links: Links::first(CorrelationId("c".to_owned())),
            cloud_event: None,
        };
        let append =
            |hour| Append { dedup: None, record: EventsRecord::Event(event(hour)).encode() };
        bus.append(Log::Events, (0..10).map(append).collect()).await.unwrap();
        bus
    }

    async fn run(start_from: &str) -> (Vec<String>, usize) {
        let bus = bus().await;
        let plan = Plan::new(2, vec![sensor(start_from)]);
        let first = bus.extent(Log::Events).await.unwrap().first;
        let until = Position { sequence: first.sequence + 9, ..first };
        let Some(catch_up) = CatchUp::new(&Plan::default(), &plan, until, at(100)) else {
            return (Vec::new(), 0);
        };
        let CaughtUp { actions, held } = catch_up.run(&bus).await.unwrap();
        assert!(actions.iter().all(|action| action.decided_at == at(100)));
        assert!(actions.iter().all(|action| action.expires_at == at(101)));
        let ids = actions.iter().map(|action| action.events[0].id.to_string());
        (ids.collect(), held.iter().count())
    }

    #[tokio::test]
    async fn a_new_sensor_sees_the_log_from_where_it_says_up_to_its_plan() {
        let ids = |hours: std::ops::Range<i64>| hours.map(|h| format!("e-{h}")).collect::<Vec<_>>();
        assert_eq!(run("beginning").await, (ids(0..9), 1), "the tenth comes after the plan");
        assert_eq!(run(&at(7).to_string()).await, (ids(7..9), 1));
        assert_eq!(run(&at(50).to_string()).await, (ids(0..0), 0));
        assert_eq!(run("now").await, (ids(0..0), 0));
    }

    #[test]
    fn a_sensor_that_was_there_before_begins_nowhere_anew() {
        let plan = |number| Plan::new(number, vec![sensor("beginning")]);
        let until = Position::new(1, 5);
        assert!(CatchUp::new(&plan(1), &plan(2), until, at(0)).is_none());
        assert!(CatchUp::new(&Plan::default(), &plan(2), until, at(0)).is_some());
    }
}

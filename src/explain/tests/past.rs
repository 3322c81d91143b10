//! What was held at a place of the log is what an evaluator holds that has read all of it.

use std::sync::Arc;

use serde_json::json;
use tripline_bus::{Append, Bus, Log};
use tripline_event::{EventsRecord, ObjectName, Position, Timestamp};
use tripline_sensors::evaluator::{Conditions, Evaluator, Off, Plan, State};

use super::super::past::Past;
use super::{World, event, sensor, start};
use crate::engine::driver::load_plan;
use crate::index::Indexer;

/// Two triggers that fire at different times, one of them with a choice; and a third that
/// time resets.
fn sensors(reset: bool) -> Vec<serde_json::Value> {
    let dependency = |name: &str, source: &str, event: &str| json!({"name": name, "eventSourceName": source, "eventName": event});
    let mut slow = json!({"template": {"name": "slow", "conditions": "a && c", "log": {}}});
    if reset {
        slow["template"]["conditionsReset"] = json!([{"byTime": {"cron": "*/5 * * * *"}}]);
    }
    let spec = json!({
        "dependencies": [
            dependency("a", "builds", "completed"),
            dependency("b", "approvals", "given"),
            dependency("c", "rare", "completed"),
        ],
        "triggers": [
            {"template": {"name": "quick", "conditions": "a && (b || c)", "log": {}}},
            slow,
        ],
    });
    vec![sensor("deploy", &spec), super::on_builds("other", &json!({}))]
}

/// Of thousands of events every few are of each source, and some have an id that was there.
async fn filled(reset: bool) -> (World, Position) {
    let world = World::new(&sensors(reset)).await;
    let mut last = Position::default();
    for begin in (0..5_000_u64).step_by(500) {
        let batch = (begin..begin + 500).map(|number| {
            let source = match number % 1_009 {
                0 => "rare",
                n if n % 7 == 3 => "approvals",
                n if n % 2 == 0 => "builds",
                _ => "nobody",
            };
            let id = if number % 31 == 5 { number.saturating_sub(40) } else { number };
            let seconds = i64::try_from(number / 10).unwrap();
            let record = EventsRecord::Event(event(source, &format!("e-{id}"), seconds, "{}"));
            Append { dedup: None, record: record.encode() }
        });
        last = world.bus.append(Log::Events, batch.collect()).await.unwrap()[499].position;
    }
    assert!(world.engine.evaluated(last).await);
    (world, last)
}

/// What an evaluator holds that has read everything before each of these places.
async fn held(world: &World, places: &[Position]) -> Vec<Conditions> {
    let none = Plan::default();
    let plan = load_plan(&*world.bus, &world.engine.definitions, 1, &none).await.unwrap();
    let state = State { log_time: Timestamp::UNIX_EPOCH, ..State::new(places[0].origin()) };
    let mut evaluator = Evaluator::new(Arc::new(Plan::default()), state);
    let (mut held, mut from) = (Vec::new(), places[0].origin());
    for place in places {
        loop {
            let page = world.bus.read(Log::Events, from, 1000).await.unwrap();
            let before: Vec<_> = page.into_iter().filter(|it| it.position < *place).collect();
            let Some(end) = before.last().map(|it| it.position.next()) else { break };
            for stored in &before {
                match EventsRecord::decode(&stored.record).unwrap() {
                    EventsRecord::Plan { at, .. } => {
                        evaluator.switch(stored.position, at, Arc::clone(&plan));
                    }
                    record => drop(evaluator.apply(stored.position, &record, &mut Off)),
                }
            }
            from = end;
        }
        held.push(evaluator.state().conditions.clone());
    }
    held
}

#[tokio::test(start_paused = true)]
async fn what_was_held_is_told_exactly_from_wherever_it_is_told() {
    for reset in [false, true] {
        let (world, last) = filled(reset).await;
        let places: Vec<Position> = (1..=10)
            .map(|n| Position { sequence: n * 480, ..last })
            .filter(|place| *place < last)
            .collect();
        let wanted = held(&world, &places).await;
        let names = [ObjectName::new("ci", "deploy")];
        for indexed in [false, true] {
            if indexed {
                Indexer::new(Arc::clone(&world.bus) as _).catch_up(0).await.unwrap();
            }
            let context = world.context();
            for (place, wanted) in places.iter().zip(&wanted) {
                let past = Past::before(&context, *place, &names).await.unwrap();
                assert!(past.is_complete());
                let found = past.evaluator().state().conditions.get(&names[0]);
                assert_eq!(found, wanted.get(&names[0]), "{place} {reset} {indexed}");
            }
        }
        assert!(wanted.iter().any(|of| !of.is_empty()));
        assert!(world.now() >= start());
    }
}

//! A restart from any checkpoint decides what the straight run decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use tripline_event::{Action, EventsRecord, ObjectName, Position};
use tripline_sensors::evaluator::window::{SegmentBytes, Window};
use tripline_sensors::evaluator::{Evaluator, Off, Part, Plan, Sensor, SensorState, State};

use super::world::{self, at, sensor};

/// A record, or a change of plan.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are records")]
enum Entry {
    Record(EventsRecord),
    Plan(usize),
}

/// What stands in a checkpoint, as it is written.
struct Written {
    watermark: Position,
    log_time: jiff::Timestamp,
    parts: BTreeMap<u8, Vec<(ObjectName, String)>>,
    window: Vec<Vec<u8>>,
    plan: usize,
}

/// An evaluator with checkpoints of which each writes what has changed.
struct Run {
    plans: Vec<Arc<Plan>>,
    evaluator: Evaluator,
    plan: usize,
    parts: BTreeMap<u8, Vec<(ObjectName, String)>>,
}

impl Run {
    fn new(plans: &[Arc<Plan>]) -> Self {
        let state = State { log_time: at(0), ..State::new(Position::new(1, 0)) };
        let evaluator = Evaluator::new(Arc::clone(&plans[0]), state);
        Self { plans: plans.to_vec(), evaluator, plan: 0, parts: BTreeMap::new() }
    }

    fn step(&mut self, index: usize, entry: &Entry) -> Vec<Action> {
        let position = Position::new(1, index as u64 + 1);
        match entry {
            Entry::Record(record) => self.evaluator.apply(position, record, &mut Off).actions,
            Entry::Plan(plan) => {
                self.plan = *plan;
                let plan = Arc::clone(&self.plans[*plan]);
                self.evaluator.switch(position, at(index as i64), plan);
                Vec::new()
            }
        }
    }

    fn checkpoint(&mut self) -> Written {
        let state = self.evaluator.state_mut();
        for (number, part) in state.conditions.changed() {
            let Some(part) = part else {
                self.parts.remove(&number);
                continue;
            };
            let json = |state: &SensorState| serde_json::to_string(state).unwrap();
            let part = part.iter().map(|(name, state)| (name.clone(), json(state))).collect();
            self.parts.insert(number, part);
        }
        state.conditions.written();
        Written {
            watermark: state.watermark,
            log_time: state.log_time,
            parts: self.parts.clone(),
            window: state.window.segments().map(SegmentBytes::to_bytes).collect(),
            plan: self.plan,
        }
    }

    fn restart(plans: &[Arc<Plan>], written: &Written) -> Self {
        let mut state = State::new(written.watermark.origin());
        state.watermark = written.watermark;
        state.log_time = written.log_time;
        let read = |(name, json): &(ObjectName, String)| {
            (name.clone(), serde_json::from_str::<SensorState>(json).unwrap())
        };
        state.restore(written.parts.values().map(|part| part.iter().map(read).collect::<Part>()));
        state.window = Window::restore(written.window.iter().map(Vec::as_slice)).unwrap();
        let evaluator = Evaluator::new(Arc::clone(&plans[written.plan]), state);
        Self { plans: plans.to_vec(), evaluator, plan: written.plan, parts: written.parts.clone() }
    }
}

fn clear() -> impl Strategy<Value = (usize, Option<&'static str>)> {
    (0..4_usize, prop::option::of(select(vec!["d0", "d1", "d2"])))
}

/// Plans of which each has some of the sensors, and records with changes between them.
fn log() -> impl Strategy<Value = (Vec<Vec<bool>>, Vec<Entry>)> {
    let plans = prop::collection::vec(prop::collection::vec(any::<bool>(), 4), 1..4);
    let more = prop::collection::vec((0..60_usize, prop::option::of(clear())), 0..6);
    (plans, world::records(40), more).prop_map(|(plans, records, more)| {
        let mut entries: Vec<Entry> = records.into_iter().map(Entry::Record).collect();
        let mut next_plan = 1;
        for (place, clear) in more {
            let place = place.min(entries.len());
            match clear {
                Some((sensor, dependency)) => entries.insert(
                    place,
                    Entry::Record(EventsRecord::Clear {
                        sensor: ObjectName::new("ci", format!("s{sensor}")),
                        dependency: dependency.map(str::to_owned),
                        at: at(place as i64),
                        through: None,
                    }),
                ),
                None if next_plan <= plans.len() => {
                    // Numbers of plans grow along the log.
                    let last = entries.iter().rposition(|entry| matches!(entry, Entry::Plan(_)));
                    let place = place.max(last.map_or(0, |last| last + 1));
                    entries.insert(place, Entry::Plan(next_plan));
                    next_plan += 1;
                }
                None => {}
            }
        }
        (plans, entries)
    })
}

fn plans(specs: &[Value], chosen: &[Vec<bool>]) -> Vec<Arc<Plan>> {
    let sensors: Vec<Option<Arc<Sensor>>> =
        specs.iter().enumerate().map(|(index, spec)| sensor(&format!("s{index}"), spec)).collect();
    let all = vec![true; specs.len()];
    let plan = |(number, chosen): (usize, &Vec<bool>)| {
        let of = sensors.iter().zip(chosen).filter(|(_, chosen)| **chosen);
        let sensors = of.filter_map(|(sensor, _)| sensor.clone()).collect();
        Arc::new(Plan::new(number as u64 + 1, sensors))
    };
    std::iter::once(&all).chain(chosen).enumerate().map(plan).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_from_any_checkpoint_decides_as_the_straight_run_does(
        specs in prop::collection::vec(world::spec(), 4),
        (chosen, entries) in log(),
        every in 1..5_usize,
    ) {
        let plans = plans(&specs, &chosen);
        let mut straight = Run::new(&plans);
        let mut written = vec![straight.checkpoint()];
        let mut decided = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            decided.push(straight.step(index, entry));
            if index % every == 0 {
                written.push(straight.checkpoint());
            }
        }
        let end = format!("{:?}", straight.evaluator.state().conditions.iter().collect::<Vec<_>>());
        for written in &written {
            let mut again = Run::restart(&plans, written);
            for (index, entry) in entries.iter().enumerate() {
                let expected = match written.watermark.sequence as usize > index {
                    true => Vec::new(),
                    false => decided[index].clone(),
                };
                let position = Position::new(1, index as u64 + 1);
                // A plan that holds already is not put in force again.
                let known = position <= written.watermark;
                let actions = match entry {
                    Entry::Plan(_) if known => Vec::new(),
                    entry => again.step(index, entry),
                };
                prop_assert_eq!(actions, expected, "record {} after {}", index, written.watermark);
            }
            let found =
                format!("{:?}", again.evaluator.state().conditions.iter().collect::<Vec<_>>());
            prop_assert_eq!(&found, &end);
        }
    }
}

/// An event that a thousand sensors hold is in memory once, and after a restart too.
#[test]
fn who_holds_the_same_event_shares_it() {
    let spec = serde_json::json!({
        "dependencies": [
            {"name": "d0", "eventSourceName": "s", "eventName": "one"},
            {"name": "d1", "eventSourceName": "s", "eventName": "two"},
        ],
        "triggers": [{"template": {"name": "t", "log": {}}}],
    });
    let sensors = (0..1000).map(|n| sensor(&format!("s{n}"), &spec).unwrap()).collect();
    let plans = vec![Arc::new(Plan::new(1, sensors))];
    let mut run = Run::new(&plans);
    let event = world::event("s", "one", "e", at(0), Some("{}"));
    run.step(0, &Entry::Record(EventsRecord::Event(event)));
    let restarted = Run::restart(&plans, &run.checkpoint());
    for run in [&run, &restarted] {
        let conditions = &run.evaluator.state().conditions;
        let held: Vec<_> = conditions
            .iter()
            .flat_map(|(_, sensor)| sensor.triggers.values())
            .flat_map(|trigger| trigger.held.values())
            .collect();
        assert_eq!(held.len(), 1000);
        assert!(held.iter().all(|other| Arc::ptr_eq(&other.event, &held[0].event)));
    }
}

/// What an operator clears is held no more, and what completes the condition then is new.
#[test]
fn what_is_cleared_is_held_no_more() {
    let spec = serde_json::json!({
        "dependencies": [
            {"name": "d0", "eventSourceName": "s", "eventName": "one"},
            {"name": "d1", "eventSourceName": "s", "eventName": "two"},
            {"name": "d2", "eventSourceName": "s", "eventName": "three"},
        ],
        "triggers": [{"template": {"name": "t", "log": {}}}],
    });
    let plans = vec![Arc::new(Plan::new(1, vec![sensor("s0", &spec).unwrap()]))];
    let event = |name: &str, id: &str| {
        Entry::Record(EventsRecord::Event(world::event("s", name, id, at(0), Some("{}"))))
    };
    let clear = |sensor: &str, dependency: Option<&str>| {
        Entry::Record(EventsRecord::Clear {
            sensor: ObjectName::new("ci", sensor),
            dependency: dependency.map(str::to_owned),
            at: at(0),
            through: None,
        })
    };
    for (cleared, expected) in [
        (clear("s0", None), vec![]),
        (clear("s0", Some("d0")), vec!["d1"]),
        (clear("s0", Some("d2")), vec!["d0", "d1"]),
        (clear("other", None), vec!["d0", "d1"]),
    ] {
        let mut run = Run::new(&plans);
        for (index, entry) in [event("one", "a"), event("two", "b"), cleared].iter().enumerate() {
            assert!(run.step(index, entry).is_empty());
        }
        let state = run.evaluator.state();
        let held = state.held(&ObjectName::new("ci", "s0"), "t");
        let names: Vec<&str> =
            held.into_iter().flat_map(|held| held.keys()).map(|n| &**n).collect();
        assert_eq!(names, expected);
        let fires = !run.step(3, &event("three", "c")).is_empty();
        assert_eq!(fires, expected.len() == 2);
    }
}

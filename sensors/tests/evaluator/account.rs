//! An explanation is the decision: whoever watches changes nothing, and sees what is decided.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use tripline_event::{EventsRecord, Position};
use tripline_sensors::evaluator::{Account, Decisions, Evaluator, Off, Plan, Sensor, State};

use super::world::{self, at, sensor};

fn evaluator(sensors: &[Arc<Sensor>]) -> Evaluator {
    let state = State { log_time: at(0), ..State::new(Position::new(1, 0)) };
    Evaluator::new(Arc::new(Plan::new(1, sensors.to_vec())), state)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Record by record: the same actions, the same repeats, the same that is held; and the
    /// account of each record is what its decision says.
    #[test]
    fn an_explained_run_decides_as_the_run_that_is_not_explained(
        specs in prop::collection::vec(world::spec(), 1..8),
        records in world::records(16),
    ) {
        let sensors: Vec<_> = specs
            .iter()
            .enumerate()
            .filter_map(|(index, spec)| sensor(&format!("s{index}"), spec))
            .collect();
        let (mut plain, mut explained) = (evaluator(&sensors), evaluator(&sensors));
        let mut position = Position::new(1, 0);
        for record in &records {
            position = position.next();
            let mut account = Account::default();
            let Decisions { actions, duplicate } = plain.apply(position, record, &mut Off);
            let seen = explained.apply(position, record, &mut account);
            prop_assert_eq!(&actions, &seen.actions);
            prop_assert_eq!(&duplicate, &seen.duplicate);
            prop_assert_eq!(&plain.state().conditions, &explained.state().conditions);
            let decided: BTreeSet<_> = actions.iter().map(|action| &action.trigger).collect();
            let told: BTreeSet<_> = account.fired.iter().map(|action| &action.trigger).collect();
            prop_assert_eq!(decided, told);
            check(&sensors, record, &account, duplicate.is_some())?;
        }
    }
}

/// Each dependency on the event is there once, and what waits or fires was let through.
fn check(
    sensors: &[Arc<Sensor>],
    record: &EventsRecord,
    account: &Account,
    repeated: bool,
) -> Result<(), TestCaseError> {
    let EventsRecord::Event(event) = record else {
        prop_assert!(account.asked.is_empty());
        return Ok(());
    };
    let named = |sensor: &&Arc<Sensor>| -> usize {
        sensor.dependencies.iter().filter(|dependency| dependency.key == event.key).count()
    };
    let wanted = if repeated { 0 } else { sensors.iter().map(|sensor| named(&sensor)).sum() };
    prop_assert_eq!(account.asked.len(), wanted);
    for waiting in &account.waiting {
        let sensor = waiting.trigger.sensor_name();
        let mut asked = account.asked.iter().filter(|asked| asked.sensor == sensor);
        let passed = asked.any(|it| it.dependency == waiting.dependency && it.verdict.pass);
        prop_assert!(passed, "what waits was let through");
    }
    Ok(())
}

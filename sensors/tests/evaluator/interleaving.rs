//! Events of two sources in every order, against a model of conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use tripline_event::{EventsRecord, Position};
use tripline_sensors::evaluator::{Evaluator, Off, Plan, State};

use super::world::{at, event, sensor};

/// Conditions over `a` and `b` (events of the source `x`) and `c` (of the source `y`), each
/// with what it says of those that have an event.
type Holds = fn(&BTreeSet<&str>) -> bool;

const CONDITIONS: [(&str, Holds); 7] = [
    ("a", |there| there.contains("a")),
    ("a && c", |there| there.contains("a") && there.contains("c")),
    ("a || c", |there| there.contains("a") || there.contains("c")),
    ("a && b && c", |there| there.len() == 3),
    ("(a || b) && c", |there| (there.contains("a") || there.contains("b")) && there.contains("c")),
    ("(a && b) || c", |there| (there.contains("a") && there.contains("b")) || there.contains("c")),
    ("(a && c) || (b && c)", |there| {
        there.contains("c") && (there.contains("a") || there.contains("b"))
    }),
];

/// Each order in which two sequences can be put together, that of each kept.
fn interleavings<'s>(left: &'s [&'s str], right: &'s [&'s str]) -> Vec<Vec<&'s str>> {
    let (Some((first, rest)), Some((other, others))) = (left.split_first(), right.split_first())
    else {
        return vec![[left, right].concat()];
    };
    let with = |first: &'s str, tails: Vec<Vec<&'s str>>| {
        tails.into_iter().map(move |tail| [&[first], tail.as_slice()].concat())
    };
    let lefts = with(first, interleavings(rest, right));
    lefts.chain(with(other, interleavings(left, others))).collect()
}

/// What must fire: at which arrival, with the number of which arrival for each name.
type Fires = Vec<(usize, BTreeMap<String, usize>)>;

/// The latest event of each name counts; what fires is used up. A condition without `&&`
/// fires for the event alone.
fn model(text: &str, holds: Holds, arrivals: &[&str]) -> Fires {
    let mut latest: BTreeMap<&str, usize> = BTreeMap::new();
    let mut fires = Fires::new();
    for (index, name) in arrivals.iter().enumerate() {
        if !text.split(|c: char| !c.is_alphanumeric()).any(|word| word == *name) {
            continue;
        }
        latest.insert(name, index);
        if holds(&latest.keys().copied().collect()) {
            let fired = std::mem::take(&mut latest);
            fires
                .push((index, fired.into_iter().map(|(name, at)| (name.to_owned(), at)).collect()));
        }
    }
    fires
}

fn evaluate(text: &str, arrivals: &[&str]) -> Fires {
    let dependency = |name: &str, source: &str| json!({"name": name, "eventSourceName": source, "eventName": name});
    let spec = json!({
        "dependencies": [dependency("a", "x"), dependency("b", "x"), dependency("c", "y")],
        "triggers": [{"template": {"name": "t", "conditions": text, "log": {}}}],
    });
    let plan = Arc::new(Plan::new(1, vec![sensor("s", &spec).unwrap()]));
    let mut evaluator = Evaluator::new(plan, State::new(Position::new(1, 0)));
    let mut fires = Fires::new();
    for (index, name) in arrivals.iter().enumerate() {
        let source = if *name == "c" { "y" } else { "x" };
        let event = event(source, name, &index.to_string(), at(0), Some("{}"));
        let position = Position::new(1, index as u64 + 1);
        let record = EventsRecord::Event(event);
        for action in evaluator.apply(position, &record, &mut Off).actions {
            let events = action.events.iter();
            let number = |id: &str| id.parse().unwrap();
            let used = events.map(|event| (event.dependency.clone(), number(event.id.as_str())));
            fires.push((index, used.collect()));
        }
    }
    fires
}

#[test]
fn every_interleaving_of_two_sources_fires_as_the_model_says() {
    let mut orders = 0;
    for left in [["a", "b", "a"], ["a", "a", "b"], ["b", "a", "b"]] {
        for arrivals in interleavings(&left, &["c", "c", "c"]) {
            orders += 1;
            for (text, holds) in CONDITIONS {
                assert_eq!(
                    evaluate(text, &arrivals),
                    model(text, holds, &arrivals),
                    "{text}: {arrivals:?}"
                );
            }
        }
    }
    assert_eq!(orders, 3 * 20);
}

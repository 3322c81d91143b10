//! `conditions.json`, the cases of kind `expression`.

use serde_json::Value;
use tripline_sensors::condition::Condition;

use crate::report::{Verdict, compare, text};

#[derive(Debug, PartialEq)]
struct Answer<'a> {
    expression: &'a str,
    used: Vec<&'a str>,
    requires_and: bool,
    true_for: Vec<Vec<&'a str>>,
}

pub fn run(case: &Value) -> Verdict {
    let names = strings(&case["deps"]);
    let (condition, _) = Condition::compile(text(case, "conditions"), &names);
    let answer = condition.as_ref().map(|condition| Answer {
        expression: condition.expression(),
        used: condition.dependencies().iter().map(|index| names[*index]).collect(),
        requires_and: condition.requires_and(),
        true_for: true_for(condition, &names),
    });
    let wanted = (case["error"] != true).then(|| Answer {
        expression: text(case, "expression"),
        used: strings(&case["dependenciesUsed"]),
        requires_and: case["requiresAndLogic"] == true,
        true_for: sets(case["trueFor"].as_array().expect("a list").iter().map(strings)),
    });
    match compare(&answer, &wanted) {
        Verdict::Different(how) => {
            Verdict::Different(format!("  {:?} of {names:?}\n{how}", text(case, "conditions")))
        }
        same => same,
    }
}

/// Every set of the used dependencies for which the condition holds.
fn true_for<'a>(condition: &Condition, names: &[&'a str]) -> Vec<Vec<&'a str>> {
    let used = condition.dependencies();
    let subsets = 0..1_u32 << used.len();
    let has = |subset: u32, index| {
        used.iter().position(|used| *used == index).is_some_and(|at| subset & 1 << at != 0)
    };
    let holds = subsets.filter(|subset| condition.holds(|index| has(*subset, index)));
    sets(holds.map(|subset| {
        used.iter().filter(|index| has(subset, **index)).map(|index| names[*index]).collect()
    }))
}

fn sets<'a>(sets: impl Iterator<Item = Vec<&'a str>>) -> Vec<Vec<&'a str>> {
    let sorted = |mut set: Vec<&'a str>| {
        set.sort_unstable();
        set
    };
    let mut sets: Vec<_> = sets.map(sorted).collect();
    sets.sort();
    sets
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

//! `filters.json`: filters of dependencies.

use std::sync::Arc;

use serde_json::Value;
use tripline_sensors::definition::EventDependency;
use tripline_sensors::filter::{Filter, Trace};

use crate::event::view;
use crate::report::{Verdict, compare, text};
use crate::scripts;

pub fn run(case: &Value) -> Verdict {
    let dependency = EventDependency {
        filters: serde_json::from_value(case["filter"].clone()).expect("a filter"),
        filters_logical_operator: text(case, "filtersLogicalOperator").to_owned(),
        ..EventDependency::default()
    };
    let (answer, error) = decide(&dependency, case);
    if calls_environment(&case["filter"]) && case["error"] != true {
        return match answer {
            (false, true) => Verdict::Deviation("templates do not see the environment"),
            _ => Verdict::Different(format!("  {case}: {answer:?}")),
        };
    }
    let wanted = (case["pass"] == true, case["error"] == true || case["panic"] == true);
    match compare(&answer, &wanted) {
        Verdict::Different(how) => {
            script_deviation(&dependency, case).unwrap_or(Verdict::Different(format!(
                "  {:?} {} of {} wants {:?}\n{how} {error:?}",
                text(case, "filtersLogicalOperator"),
                case["filter"],
                case["event"],
                text(case, "errorText"),
            )))
        }
        same => same,
    }
}

/// Whether the event passes, and whether something could not be evaluated.
fn decide(dependency: &EventDependency, case: &Value) -> ((bool, bool), Option<Arc<str>>) {
    let (filter, _) = Filter::compile(dependency);
    let event = view(&case["event"]);
    let verdict = filter.evaluate(&event, None);
    let explained = filter.evaluate(&event, Some(&mut Trace::default()));
    assert_eq!(verdict, explained, "an explanation changes nothing: {case}");
    ((verdict.pass, verdict.error.is_some()), verdict.error)
}

/// What is forbidden is nil: the answer is that of the script without it.
fn script_deviation(dependency: &EventDependency, case: &Value) -> Option<Verdict> {
    let script = dependency.filters.as_ref().map(|filters| filters.script.as_str())?;
    let Some(without) = scripts::without_forbidden(script) else {
        let random = scripts::is_random(script);
        return random.then_some(Verdict::Deviation("chance and the clock are those of the event"));
    };
    let mut changed = dependency.clone();
    if let Some(filters) = &mut changed.filters {
        filters.script = without;
    }
    (decide(dependency, case).0 == decide(&changed, case).0)
        .then_some(Verdict::Deviation("scripts see no files, environment or programs"))
}

/// Whether a template asks for the environment, which is refused.
fn calls_environment(filter: &Value) -> bool {
    let calls = |filter: &Value| {
        let template = text(filter, "template");
        ["{{ env ", "{{ expandenv "].iter().any(|call| template.contains(call))
    };
    filter["data"].as_array().is_some_and(|filters| filters.iter().any(calls))
}

//! `filters.json`: filters of dependencies.

use serde_json::Value;
use tripline_sensors::definition::EventDependency;
use tripline_sensors::filter::{Filter, Trace};

use crate::event::view;
use crate::report::{Verdict, compare, text};

pub fn run(case: &Value) -> Verdict {
    if let Some(feature) = not_yet(&case["filter"]) {
        return Verdict::NotYet(feature);
    }
    let dependency = EventDependency {
        filters: serde_json::from_value(case["filter"].clone()).expect("a filter"),
        filters_logical_operator: text(case, "filtersLogicalOperator").to_owned(),
        ..EventDependency::default()
    };
    let (filter, _) = Filter::compile(&dependency);
    let event = view(&case["event"]);
    let verdict = filter.evaluate(&event, None);
    let explained = filter.evaluate(&event, Some(&mut Trace::default()));
    assert_eq!(verdict, explained, "an explanation changes nothing: {case}");
    let answer = (verdict.pass, verdict.error.is_some());
    if calls_environment(&case["filter"]) && case["error"] != true {
        return match answer {
            (false, true) => Verdict::Deviation("templates do not see the environment"),
            _ => Verdict::Different(format!("  {case}: {answer:?}")),
        };
    }
    match compare(&answer, &(case["pass"] == true, case["error"] == true)) {
        Verdict::Different(how) => Verdict::Different(format!(
            "  {:?} {} of {} wants {:?}\n{how} {:?}",
            text(case, "filtersLogicalOperator"),
            case["filter"],
            case["event"],
            text(case, "errorText"),
            verdict.error
        )),
        same => same,
    }
}

/// Whether a template asks for the environment, which is refused.
fn calls_environment(filter: &Value) -> bool {
    let calls = |filter: &Value| {
        let template = text(filter, "template");
        ["{{ env ", "{{ expandenv "].iter().any(|call| template.contains(call))
    };
    filter["data"].as_array().is_some_and(|filters| filters.iter().any(calls))
}

/// What the filter needs that is not there yet.
fn not_yet(filter: &Value) -> Option<&'static str> {
    (!text(filter, "script").is_empty()).then_some("script")
}

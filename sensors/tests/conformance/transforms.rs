//! `transforms.json`: what jq programs and scripts make of a payload.

use serde_json::Value;
use tripline_sensors::definition::{EventDependency, EventDependencyTransformer};
use tripline_sensors::filter::Filter;

use crate::event::view;
use crate::report::{Verdict, compare, text};
use crate::scripts;

pub fn run(case: &Value) -> Verdict {
    let transform: Option<EventDependencyTransformer> =
        serde_json::from_value(case["transform"].clone()).expect("a transform");
    let answer = apply(transform.clone(), case);
    let wanted = match case["error"] == true || case["panic"] == true {
        true => Err(()),
        false => Ok(case["outText"].as_str().map(str::to_owned)),
    };
    let found = answer.clone().map_err(|_| ());
    let verdict = match compare(&found, &wanted) {
        Verdict::Different(how) => Verdict::Different(format!(
            "  {} of {} wants {:?}\n{how} {answer:?}",
            case["transform"],
            case["event"]["data"],
            text(case, "errorText"),
        )),
        same => same,
    };
    match (verdict, transform) {
        (Verdict::Different(how), Some(transform)) => deviation(&transform, case, found, how),
        (verdict, _) => verdict,
    }
}

/// What is forbidden is nil: the answer is that of the script without it.
fn deviation(
    transform: &EventDependencyTransformer,
    case: &Value,
    found: Result<Option<String>, ()>,
    how: String,
) -> Verdict {
    let Some(script) = scripts::without_forbidden(&transform.script) else {
        if scripts::is_random(&transform.script) {
            return Verdict::Deviation("chance and the clock are those of the event");
        }
        return Verdict::Different(how);
    };
    let changed = EventDependencyTransformer { script, ..transform.clone() };
    if apply(Some(changed), case).map_err(|_| ()) == found {
        return Verdict::Deviation("scripts see no files, environment or programs");
    }
    Verdict::Different(how)
}

fn apply(
    transform: Option<EventDependencyTransformer>,
    case: &Value,
) -> Result<Option<String>, String> {
    let (filter, _) = Filter::compile(&EventDependency { transform, ..EventDependency::default() });
    let changed = filter.transform(&view(&case["event"])).map_err(|error| error.to_string())?;
    Ok(changed.or_else(|| case["event"]["data"].as_str().map(str::to_owned)))
}

//! `params.json` and `payloads.json`: parameters on a resource, and payloads.

use serde_json::Value;
use tripline_sensors::definition::TriggerParameter;
use tripline_sensors::parameter::Parameters;
use tripline_sensors::view::EventView;

use crate::event::view;
use crate::report::{Verdict, compare, text};
use crate::sjson;

pub fn run(case: &Value) -> Verdict {
    let list = case["parameters"].clone();
    let list: Option<Vec<TriggerParameter>> = serde_json::from_value(list).expect("parameters");
    let (parameters, _) = Parameters::compile(list.as_deref().unwrap_or_default(), &[]);
    let events: Vec<(&str, EventView<'_>)> = match case["events"].as_object() {
        Some(events) => events.iter().map(|(name, event)| (name.as_str(), view(event))).collect(),
        None => Vec::new(),
    };
    let event_of =
        |name: &str| events.iter().find(|(known, _)| *known == name).map(|(_, view)| view);
    let answer = match case["resourceText"].as_str() {
        Some(resource) => parameters.apply(resource.to_owned(), &event_of).map(Some),
        None => parameters.payload(&event_of),
    };
    let failed = case["error"] == true || case["panic"] == true;
    let wanted = if failed { Err(()) } else { Ok(case["outText"].as_str().map(str::to_owned)) };
    let found = answer.clone().map_err(|_| ());
    let huge = list.iter().flatten().any(|parameter| sjson::is_huge(&parameter.dest));
    if wanted.is_ok() && huge {
        return sjson::refused(answer.err().map(|error| error.reason));
    }
    match compare(&found, &wanted) {
        Verdict::Different(how) => Verdict::Different(format!(
            "  {} of {} wants {:?}\n{how} {answer:?}",
            case["parameters"],
            case["events"],
            text(case, "errorText"),
        )),
        same => same,
    }
}

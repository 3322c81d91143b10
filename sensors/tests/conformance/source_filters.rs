//! `eventsource-filters.json`: the filters of event sources.

use serde_json::Value;
use tripline_sensors::expr::SourceFilter;

use crate::report::{Verdict, compare, text};

pub fn run(case: &Value) -> Verdict {
    let expression = text(case, "expression");
    let answer = SourceFilter::compile(expression)
        .map_err(|error| error.to_string())
        .and_then(|filter| filter.passes(text(case, "data"), None));
    let found = (answer == Ok(true), answer.is_err());
    let wanted = (case["pass"] == true, case["error"] == true || case["panic"] == true);
    match compare(&found, &wanted) {
        Verdict::Different(how) => Verdict::Different(format!(
            "  {expression} of {} wants {:?}\n{how} {answer:?}",
            case["data"],
            text(case, "errorText"),
        )),
        same => same,
    }
}

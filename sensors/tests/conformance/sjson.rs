//! `sjson.json`: setting values.

use serde_json::Value;
use tripline_sensors::set::{Destination, SetError};

use crate::report::{Verdict, compare, text};

pub fn run(case: &Value) -> Verdict {
    let answer = set(case);
    let wanted = (case["error"] != true).then(|| text(case, "out"));
    match compare(&answer.as_deref().ok(), &wanted) {
        Verdict::Different(how) => Verdict::Different(format!(
            "  {} {} in {} to {}\n{how} {answer:?}",
            text(case, "op"),
            text(case, "path"),
            text(case, "json"),
            text(case, "value"),
        )),
        same => same,
    }
}

fn set(case: &Value) -> Result<String, SetError> {
    let place = Destination::compile(text(case, "path"))?;
    match text(case, "op") {
        "set" => place.set(text(case, "json"), text(case, "value")),
        "setRaw" => place.set_raw(text(case, "json"), text(case, "value")),
        op => panic!("unknown op {op}"),
    }
}

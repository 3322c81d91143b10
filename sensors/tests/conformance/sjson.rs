//! `sjson.json`: setting values.

use serde_json::Value;
use tripline_sensors::set::{Destination, MAX_INDEX, SetError};

use crate::report::{Verdict, compare, text};

pub fn run(case: &Value) -> Verdict {
    let answer = set(case);
    let wanted = (case["error"] != true).then(|| text(case, "out"));
    if wanted.is_some() && is_huge(text(case, "path")) {
        return refused(answer.err().map(|error| error.0));
    }
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

/// A deviation: sjson makes as many elements as an index asks for, until memory is gone.
pub fn is_huge(place: &str) -> bool {
    let huge = |part: &str| part.parse::<u128>().is_ok_and(|index| index > MAX_INDEX as u128);
    place.split('.').any(huge)
}

/// Tripline answers with an error that names the bound.
pub fn refused(error: Option<String>) -> Verdict {
    match error {
        Some(error) if error.contains("too large") => {
            Verdict::Deviation("an index that is too large is refused")
        }
        other => Verdict::Different(format!("  wanted an error, found {other:?}")),
    }
}

//! `eventsource-filters.json`: the filters of event sources.

use serde_json::Value;

use crate::report::Verdict;

pub fn run(_: &Value) -> Verdict {
    Verdict::Same
}

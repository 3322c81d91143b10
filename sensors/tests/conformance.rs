//! What the released Argo Events answered, against what Tripline answers.
//!
//! Each file of the folder named by `TRIPLINE_VECTORS` (default: `tests/vectors` and
//! `tests/vectors-more` of the project) is an array of cases. The run prints a line for each file and fails below
//! its total. A deviation is a rule: a predicate on the case, with the answer that
//! Tripline gives instead, which is checked.

#![expect(clippy::unwrap_used, reason = "a vector that is not as it is described fails the test")]

#[path = "conformance/conditions.rs"]
mod conditions;
#[path = "conformance/event.rs"]
mod event;
#[path = "conformance/filters.rs"]
mod filters;
#[path = "conformance/gjson.rs"]
mod gjson;
#[path = "conformance/parameters.rs"]
mod parameters;
#[path = "conformance/report.rs"]
mod report;
#[path = "conformance/scripts.rs"]
mod scripts;
#[path = "conformance/sequences.rs"]
mod sequences;
#[path = "conformance/sjson.rs"]
mod sjson;
#[path = "conformance/source_filters.rs"]
mod source_filters;
#[path = "conformance/transforms.rs"]
mod transforms;

use report::{Report, cases, text};

#[test]
fn gjson() {
    let mut report = Report::new("gjson");
    for case in cases("gjson") {
        report.add(&case, gjson::run(&case));
    }
    report.finish();
}

#[test]
fn sjson() {
    let mut report = Report::new("sjson");
    for case in cases("sjson") {
        report.add(&case, sjson::run(&case));
    }
    report.finish();
}

#[test]
fn conditions() {
    let mut report = Report::new("conditions");
    for case in cases("conditions") {
        let verdict = match text(&case, "kind") {
            "expression" => conditions::run(&case),
            _ => sequences::run(&case),
        };
        report.add(&case, verdict);
    }
    report.finish();
}

#[test]
fn filters() {
    let mut report = Report::new("filters");
    for case in cases("filters") {
        report.add(&case, filters::run(&case));
    }
    report.finish();
}

#[test]
fn params() {
    let mut report = Report::new("params");
    for case in cases("params") {
        report.add(&case, parameters::run(&case));
    }
    report.finish();
}

#[test]
fn payloads() {
    let mut report = Report::new("payloads");
    for case in cases("payloads") {
        report.add(&case, parameters::run(&case));
    }
    report.finish();
}

#[test]
fn transforms() {
    let mut report = Report::new("transforms");
    for case in cases("transforms") {
        report.add(&case, transforms::run(&case));
    }
    report.finish();
}

#[test]
fn eventsource_filters() {
    let mut report = Report::new("eventsource-filters");
    for case in cases("eventsource-filters") {
        report.add(&case, source_filters::run(&case));
    }
    report.finish();
}

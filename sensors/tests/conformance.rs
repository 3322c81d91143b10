//! What the released Argo Events answered, against what Tripline answers.
//!
//! Each file of the folder named by `TRIPLINE_VECTORS` (default: `tests/vectors` of the
//! project) is an array of cases. The run prints a line for each file and fails below
//! its total. A deviation is a rule: a predicate on the case, with the answer that
//! Tripline gives instead, which is checked. What is not implemented yet is a rule too,
//! and counted apart.

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
#[path = "conformance/sjson.rs"]
mod sjson;

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
            _ => report::Verdict::NotYet("sequences"),
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

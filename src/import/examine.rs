//! Looks at each object.

use std::collections::BTreeMap;

use serde_json::Value;
use tripline_config::{Diagnostic, Input, Object, Severity};

use super::compatibility::{
    self, Fields, OF_ALL_CRON_WORKFLOWS, OF_ALL_EVENT_SOURCES, OF_ALL_SENSORS, OF_EVENT_SOURCES,
    OF_SENSORS,
};
use super::pods;
use super::ports;
use super::report::{Finding, ObjectReport, Report, Topic, Verdict};
use crate::codes;
use crate::engine::definitions::Definitions;
use crate::load;

/// The kinds that move.
const MOVED: [&str; 4] = ["EventSource", "Sensor", "EventBus", "CronWorkflow"];

/// Looks at everything that `inputs` hold.
pub fn examine(inputs: &[Input]) -> Report {
    let mut found: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    let mut report = Report::default();
    let loaded = load::load(inputs, &Definitions::default());
    report.skipped = loaded.skipped;
    for diagnostic in loaded.diagnostics {
        match &diagnostic.object {
            Some(object) => {
                found.entry(object.clone()).or_default().push(of_diagnostic(diagnostic))
            }
            None if diagnostic.is_error() => report.unreadable.push(diagnostic.to_string()),
            None => {}
        }
    }
    let objects = tripline_config::load(inputs, load::KINDS).objects;
    let mut ports = ports::findings(&objects);
    for object in objects.iter().filter(|object| MOVED.contains(&object.kind.as_str())) {
        let mut findings = found.remove(&object.title()).unwrap_or_default();
        findings.extend(differences(object));
        findings.extend(pods::findings(&object.kind, &object.value));
        findings.extend(ports.remove(&object.title()).unwrap_or_default());
        findings.sort_by(|a, b| (a.topic, &a.field).cmp(&(b.topic, &b.field)));
        let verdict = findings.iter().map(|finding| finding.topic.verdict()).max();
        report.objects.push(ObjectReport {
            kind: object.kind.clone(),
            name: object.name.clone(),
            place: object.place.to_string(),
            verdict: verdict.unwrap_or(Verdict::Unchanged),
            findings,
        });
    }
    let has = |kind: &str| report.objects.iter().any(|object| object.kind == kind);
    let general = [
        ("EventSource", OF_ALL_EVENT_SOURCES),
        ("Sensor", OF_ALL_SENSORS),
        ("CronWorkflow", OF_ALL_CRON_WORKFLOWS),
    ];
    for (kind, rows) in general {
        let rows = rows.iter().filter(|_| has(kind));
        report.general.extend(rows.map(|what| of_row(what, "")));
    }
    report.counted()
}

fn of_diagnostic(diagnostic: Diagnostic) -> Finding {
    let topic = match diagnostic.severity {
        Severity::Warning => Topic::Note,
        Severity::Error if diagnostic.code == codes::CLASH => Topic::Ports,
        Severity::Error => Topic::Unsupported,
    };
    Finding {
        topic,
        field: diagnostic.field,
        what: diagnostic.message,
        advice: diagnostic.help,
        code: Some(diagnostic.code),
    }
}

/// What a row of the page of compatibility says about a field.
fn of_row(what: &str, field: &str) -> Finding {
    let row = compatibility::row(what);
    // A deviation has its reason where other rows say whether something is there.
    let notes = row.map(|row| if row.notes.is_empty() { row.state } else { row.notes });
    Finding {
        topic: Topic::Differs,
        field: field.to_owned(),
        what: what.replace('`', ""),
        advice: notes.map(|notes| notes.replace('`', "")),
        code: None,
    }
}

fn differences(object: &Object) -> Vec<Finding> {
    let rows: &[(&str, Fields)] = match object.kind.as_str() {
        "Sensor" => OF_SENSORS,
        "EventSource" => OF_EVENT_SOURCES,
        _ => &[],
    };
    let mut found = Vec::new();
    for (what, fields) in rows {
        found.extend(fields(&object.value).iter().map(|field| of_row(what, field)));
    }
    found.extend(kinds(object));
    match object.kind.as_str() {
        "Sensor" => found.extend(tried_once(&object.value)),
        "EventBus" => found.extend(stream_limits(&object.value)),
        _ => {}
    }
    found
}

/// Kinds of event sources and triggers that differ, by the rows of the page.
fn kinds(object: &Object) -> Vec<Finding> {
    let spec = object.value.get("spec").and_then(Value::as_object);
    let mut used: Vec<(String, String)> = Vec::new();
    if object.kind == "EventSource" {
        let kinds = spec.into_iter().flat_map(|spec| spec.keys());
        used.extend(kinds.map(|kind| (format!("event source `{kind}`"), format!("spec.{kind}"))));
    }
    let triggers = spec.and_then(|spec| spec.get("triggers")).and_then(Value::as_array);
    for (index, trigger) in triggers.into_iter().flatten().enumerate() {
        let template = trigger.get("template").and_then(Value::as_object);
        used.extend(template.into_iter().flat_map(|template| template.keys()).map(|kind| {
            (format!("trigger `{kind}`"), format!("spec.triggers[{index}].template.{kind}"))
        }));
    }
    let differs = |what: &str| compatibility::row(what).is_some_and(|row| row.state == "differs");
    let used = used.into_iter().filter(|(what, _)| differs(what));
    used.map(|(what, field)| of_row(&what, &field)).collect()
}

/// Argo Events' default is one attempt.
fn tried_once(sensor: &Value) -> Vec<Finding> {
    let triggers = sensor.pointer("/spec/triggers").and_then(Value::as_array);
    let once = |trigger: &Value| {
        trigger.get("retryStrategy").is_none_or(Value::is_null)
            && trigger.get("atLeastOnce") != Some(&Value::Bool(true))
    };
    let triggers = triggers.into_iter().flatten().enumerate();
    let finding = |(index, trigger): (usize, &Value)| {
        let name = trigger.pointer("/template/name").and_then(Value::as_str).unwrap_or_default();
        Finding {
            topic: Topic::Retried,
            field: format!("spec.triggers[{index}]"),
            what: format!("Argo Events tries `{name}` once, and then it is gone; here it is tried until it succeeds or expires"),
            advice: Some("`retryStrategy: {steps: 1}` tries it once; `expiresAfter` says for how long it is of use".to_owned()),
            code: None,
        }
    };
    triggers.filter(|(_, trigger)| once(trigger)).map(finding).collect()
}

fn stream_limits(bus: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    for kind in ["jetstream", "jetstreamExotic"] {
        let config = bus.pointer(&format!("/spec/{kind}/streamConfig")).and_then(Value::as_str);
        if config.is_some_and(|config| !config.trim().is_empty()) {
            let row = compatibility::row("`EventBus`");
            found.push(Finding {
                topic: Topic::Differs,
                field: format!("spec.{kind}.streamConfig"),
                what: "limits that drop unread events are not taken over".to_owned(),
                advice: row.map(|row| row.notes.replace('`', "")),
                code: None,
            });
        }
    }
    found
}

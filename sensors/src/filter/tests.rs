use proptest::prelude::*;
use tripline_event::event::{JSON, Links};
use tripline_event::{CloudEvent, CorrelationId, Event, EventId, EventKey};

use super::*;
use crate::view::Payload;

fn dependency(yaml_as_json: &str) -> EventDependency {
    serde_json::from_str(yaml_as_json).expect("a dependency")
}

fn view(data: &str) -> EventView<'_> {
    EventView {
        id: "e-1",
        source: "webhook",
        specversion: "1.0",
        kind: "webhook",
        subject: "build",
        content_type: "application/json",
        time: Some("2024-03-05T10:30:00Z".parse().expect("a time")),
        correlation: "c-1",
        data: Payload::new(Some(data.as_bytes())),
        cloud_event: None,
    }
}

const FILTER: &str = r#"{"name":"d","eventSourceName":"webhook","eventName":"build","filters":{
    "data":[{"path":"body.action","type":"string","value":["completed","done"]},
            {"path":"body.n","type":"number","comparator":">","value":["1"]}],
    "exprs":[{"expr":"n > 1","fields":[{"name":"n","path":"body.n"}]}],
    "context":{"type":"webhook"},
    "time":{"start":"09:00:00","stop":"17:00:00"}}}"#;

#[test]
fn an_explanation_has_a_step_for_each_filter_with_the_value_it_saw() {
    let (filter, problems) = Filter::compile(&dependency(FILTER));
    assert_eq!(problems, []);
    let mut trace = Trace::default();
    let event = view(r#"{"body":{"action":"started","n":2}}"#);
    let verdict = filter.evaluate(&event, Some(&mut trace));
    assert_eq!(verdict, Verdict { pass: false, error: None });
    assert_eq!(filter.evaluate(&event, None), verdict);
    let steps: Vec<_> = trace
        .steps
        .iter()
        .map(|step| {
            let found = step.found.as_deref().unwrap_or_default();
            format!("{}: {} {found} ({}) {}", step.field, step.path, step.wanted, step.pass)
        })
        .collect();
    assert_eq!(
        steps,
        [
            "filters.exprs[0]: n > 1 n = 2 (true) true",
            "filters.data[0]: body.action started (= completed | done) false",
            "filters.context.type: type webhook (= webhook) true",
            "filters.time: time 2024-03-05T10:30:00+00:00[UTC] \
             (from 09:00:00 until 17:00:00 UTC) true",
        ]
    );
}

#[test]
fn a_long_value_is_cut_in_an_explanation() {
    let (filter, _) = Filter::compile(&dependency(FILTER));
    let mut trace = Trace::default();
    let data = format!(r#"{{"body":{{"action":"{}","n":2}}}}"#, "é".repeat(1000));
    filter.evaluate(&view(&data), Some(&mut trace));
    assert_eq!(trace.steps[1].found.as_deref().map(str::len), Some(256 + "…".len()));
}

/// The places and codes of the problems of the filters.
fn problems(filters: &str) -> Vec<String> {
    let json = format!(
        r#"{{"name":"d","eventSourceName":"webhook","eventName":"build","filters":{filters}}}"#
    );
    let (_, problems) = Filter::compile(&dependency(&json));
    let line =
        |problem: &Problem| format!("{} {} {:?}", problem.path, problem.code, problem.severity);
    problems.iter().map(line).collect()
}

#[test]
fn every_mistake_is_found_with_its_place() {
    for (filters, found) in [
        (
            r#"{"data":[{"path":"a","type":"string","value":["x","["]}]}"#,
            vec!["filters.data[0].value[1] TL0303 Error"],
        ),
        (
            r#"{"data":[{"path":"a","type":"number","value":["x"]}]}"#,
            vec!["filters.data[0].value[0] TL0304 Error"],
        ),
        (
            r#"{"data":[{"path":"a","type":"bool","comparator":"!=","value":["yes"]}]}"#,
            vec![
                "filters.data[0].value[0] TL0304 Error",
                "filters.data[0].comparator TL0306 Warning",
            ],
        ),
        (
            r#"{"data":[{"path":"a","type":"int","value":["1"]}]}"#,
            vec!["filters.data[0].type TL0305 Error"],
        ),
        (
            r#"{"data":[{"path":"a","type":"string","comparator":"<","value":["1"]}]}"#,
            vec!["filters.data[0].comparator TL0306 Error"],
        ),
        (
            r#"{"data":[{"path":"a","type":"number","comparator":"==","value":["1"]},
                     {"path":"a","type":"number","value":["1"]}],"dataLogicalOperator":"or"}"#,
            vec!["filters.data[0].comparator TL0306 Warning"],
        ),
        (
            r#"{"data":[{"path":"$.[","type":"string","value":["x"]}]}"#,
            vec!["filters.data[0].path TL0307 Error"],
        ),
        (
            r#"{"data":[{"path":"","type":"string"}]}"#,
            vec!["filters.data[0].path TL0308 Error", "filters.data[0].value TL0308 Error"],
        ),
        (
            r#"{"data":[{"path":"a","type":"string","comparator":"!=","value":["x","y"]}]}"#,
            vec!["filters.data[0].comparator TL0316 Warning"],
        ),
        (
            r#"{"data":[{"path":"a","type":"string","template":"{{.Input","value":["x"]}],"script":"return ("}"#,
            vec!["filters.script TL0320 Error", "filters.data[0].template TL0319 Error"],
        ),
        (
            r#"{"data":[],"dataLogicalOperator":"OR"}"#,
            vec!["filters.dataLogicalOperator TL0309 Warning"],
        ),
        (
            r#"{"exprs":[{"expr":"n >","fields":[{"name":"n","path":"a"}]},{"expr":"m","fields":[{"name":"n","path":"a"}]},{"expr":"m"}]}"#,
            vec![
                "filters.exprs[0].expr TL0311 Error",
                "filters.exprs[1].expr TL0311 Error",
                "filters.exprs[2].fields TL0316 Warning",
            ],
        ),
        (
            r#"{"context":{"source":"other","id":"x"}}"#,
            vec!["filters.context.id TL0316 Warning", "filters.context.source TL0316 Warning"],
        ),
        (r#"{"context":{}}"#, vec!["filters.context TL0308 Error"]),
        (
            r#"{"time":{"start":"9","stop":"24:00:00","timezone":"berlin"}}"#,
            vec![
                "filters.time.timezone TL0310 Error",
                "filters.time.start TL0310 Error",
                "filters.time.stop TL0310 Error",
            ],
        ),
        (
            r#"{"time":{"start":"09:00:00","stop":"9:00:00"}}"#,
            vec!["filters.time.stop TL0310 Error"],
        ),
    ] {
        assert_eq!(problems(filters), found, "{filters}");
    }
}

#[test]
fn under_or_a_filter_must_be_given() {
    let (_, problems) = Filter::compile(&dependency(
        r#"{"filtersLogicalOperator":"or","filters":{},"transform":{"jq":"{","script":""}}"#,
    ));
    let lines: Vec<_> = problems.iter().map(|p| format!("{} {}", p.path, p.code)).collect();
    assert_eq!(lines, ["transform.jq TL0320", "filters TL0316"]);
}

#[test]
fn a_deeply_nested_event_is_only_scanned() {
    let (filter, _) = Filter::compile(&dependency(FILTER));
    let deep = format!(
        r#"{{"x":{}1{},"body":{{"action":"done","n":2}}}}"#,
        "[".repeat(9_000),
        "]".repeat(9_000)
    );
    assert!(filter.evaluate(&view(&deep), None).pass);
}

#[test]
fn a_cloud_event_is_filtered_by_what_it_said_of_itself() {
    let said = CloudEvent {
        id: "4711".into(),
        source: "/builds".into(),
        kind: "dev.example.build".into(),
        time: Some("2024-03-05T03:00:00Z".parse().unwrap()),
        ..CloudEvent::default()
    };
    let event = Event {
        key: EventKey::new("ci", "webhook", "build"),
        id: EventId("/builds#4711".into()),
        kind: "webhook".into(),
        time: "2024-03-05T10:30:00Z".parse().unwrap(),
        content_type: JSON.into(),
        data: None,
        links: Links::first(CorrelationId("c".into())),
        cloud_event: Some(Box::new(said)),
    };
    for (filters, passes) in [
        (r#"{"context":{"type":"dev.example.build","source":"/builds"}}"#, true),
        (r#"{"context":{"type":"webhook"}}"#, false),
        (r#"{"context":{"source":"webhook"}}"#, false),
        (r#"{"context":{"subject":"build"}}"#, false),
        (r#"{"time":{"start":"02:00:00","stop":"04:00:00"}}"#, true),
        (r#"{"time":{"start":"10:00:00","stop":"11:00:00"}}"#, false),
    ] {
        let (filter, _) = Filter::compile(&dependency(&format!(
            r#"{{"name":"d","eventSourceName":"webhook","eventName":"build","filters":{filters}}}"#
        )));
        assert_eq!(filter.evaluate(&EventView::of(&event), None).pass, passes, "{filters}");
    }
}

#[test]
fn under_or_an_error_decides_against_the_event() {
    let (filter, _) = Filter::compile(&dependency(
        r#"{"filtersLogicalOperator":"or","filters":{"context":{"type":"webhook"},
            "data":[{"path":"body.nope","type":"string","value":["x"]}]}}"#,
    ));
    let verdict = filter.evaluate(&view("{}"), None);
    assert_eq!(verdict.error.as_deref(), Some("path `body.nope` finds nothing"));
    assert!(!verdict.pass);
}

proptest! {
    #[test]
    fn no_filter_and_no_event_panics(
        path in r"([ab.#*@$]|\$\.){0,4}",
        kind in "string|number|bool|x",
        comparator in "|=|!=|<|==",
        value in r"[a1^$(\[+]{0,4}",
        expr in r"[a1 =<&()']{0,8}",
        start in "[0-9: ]{0,8}",
        data in r#"[a-b1{}\[\]":, ]{0,12}"#,
    ) {
        let dependency: EventDependency = serde_json::from_value(serde_json::json!({
            "filters": {
                "data": [{"path": path, "type": kind, "comparator": comparator, "value": [value]}],
                "exprs": [{"expr": expr, "fields": [{"name": "a", "path": path}]}],
                "time": {"start": start, "stop": "17:00:00"},
            },
        })).expect("a dependency");
        let (filter, _) = Filter::compile(&dependency);
        let event = view(&data);
        let explained = filter.evaluate(&event, Some(&mut Trace::default()));
        prop_assert_eq!(filter.evaluate(&event, None), explained);
    }
}

//! What is fuzzed: each language that a sensor's author, or whoever sends events, can write.
//!
//! Part of the test that replays the corpus (`tests/corpus.rs`), and of the fuzzer.

use std::sync::Arc;

use serde_json::{Value, json};
use tripline_config::{Dialect, FieldPath, Input, KnownKind};
use tripline_event::{DefinitionHash, ObjectName, Timestamp};
use tripline_sensors::condition::Condition;
use tripline_sensors::definition::{EventDependency, SensorSpec, TriggerParameter};
use tripline_sensors::evaluator::{Calendar, Recurrence, Sensor};
use tripline_sensors::expr::SourceFilter;
use tripline_sensors::filter::{Filter, Trace};
use tripline_sensors::jq::Program;
use tripline_sensors::lua::Script;
use tripline_sensors::parameter::Parameters;
use tripline_sensors::path::Path;
use tripline_sensors::set::Destination;
use tripline_sensors::template::{Context, Template};
use tripline_sensors::view::{EventView, Payload};

/// The data of an event.
const DATA: &str =
    r#"{"a":{"b":[1,null,"x",{"c":2}]},"n":3,"s":"xy","l":[1,[2],"é"],"t":true,"body":{"a":1}}"#;

/// A language, and what reads a text of it. It may refuse the text; it may not panic.
pub type Target = (&'static str, fn(&str));

/// All of them. Each has a folder of `corpus/`.
pub const ALL: [Target; 13] = [
    ("path", |text| {
        if let Ok(path) = Path::compile(text) {
            let _ = path.find(DATA);
        }
    }),
    ("jsonpath", |text| {
        if text.starts_with('$')
            && let Ok(path) = Path::compile(text)
        {
            let _ = path.find(DATA);
        }
    }),
    ("dest", |text| {
        if let Ok(place) = Destination::compile(text) {
            let _ = place.set(DATA, "x");
            let _ = place.set_raw("", "1");
        }
    }),
    ("expression", |text| {
        filter(json!({"exprs": [{"expr": text, "fields": [
            {"path": "n", "name": "n"}, {"path": "s", "name": "s"}, {"path": "t", "name": "t"},
            {"path": "a", "name": "a"}, {"path": "n", "name": "a-b"},
        ]}]}));
    }),
    ("source-filter", |text| {
        if let Ok(filter) = SourceFilter::compile(text) {
            let _ = filter.passes(DATA, None);
        }
    }),
    ("template", |text| {
        if let Ok(template) = Template::compile(text) {
            let _ = template.render_json(DATA, &Context::default());
        }
    }),
    ("condition", |text| {
        let (condition, problems) = Condition::compile(text, &["a", "b", "dep-1"]);
        assert!(condition.is_some() || !problems.is_empty());
    }),
    ("jq", |text| {
        if let Ok(program) = Program::compile(text) {
            let _ = program.transform(DATA, None);
        }
    }),
    ("lua", |text| {
        if let Ok(script) = Script::compile(text) {
            let _ = script.transform(DATA, None);
        }
    }),
    ("regex", |text| {
        filter(json!({"data": [{"path": "s", "type": "string", "value": [text]}]}));
    }),
    ("event", event),
    ("yaml", |text| {
        let list: Vec<TriggerParameter> = read(json!([
            {"src": {"dependencyName": "d", "dataKey": "a", "useRawData": true}, "dest": "x"}
        ]));
        let (parameters, _) = Parameters::compile(&list, &["d"]);
        let event = view(text, "application/yaml");
        let _ = parameters.payload(&|_| Some(&event));
    }),
    ("object", sensors),
];

/// The data of an event that whoever sends it chooses, against filters and parameters.
fn event(text: &str) {
    let event = view(text, "application/json");
    let filters = json!({
        "data": [
            {"path": "body.a", "type": "string", "value": ["^x", "1"], "template": "{{ .Input | b64dec }}"},
            {"path": "body.n", "type": "number", "value": ["1", "2.5"], "comparator": ">="},
            {"path": "$.body..b", "type": "bool", "value": ["true"]},
            {"path": "body.l.#(n>1)#|@reverse", "type": "string", "value": [".*"]},
        ],
        "dataLogicalOperator": "or",
        "exprs": [{"expr": "n > 1 || s == 'x'", "fields": [
            {"path": "body.n", "name": "n"}, {"path": "body.a", "name": "s"},
        ]}],
        "exprLogicalOperator": "or",
        "filtersLogicalOperator": "or",
        "script": "return event.body.a == 1",
    });
    for transform in [json!(null), json!({"jq": ".body"}), json!({"script": "return event.body"})] {
        let dependency: EventDependency = read(json!({
            "name": "d", "eventSourceName": "s", "eventName": "n",
            "filters": filters, "transform": transform,
        }));
        let (filter, _) = Filter::compile(&dependency);
        let _ = filter.evaluate(&event, Some(&mut Trace::default()));
        let _ = filter.transform(&event);
    }
    let list: Vec<TriggerParameter> = read(json!([
        {"src": {"dependencyName": "d", "dataKey": "body.a"}, "dest": "spec.list.-1"},
        {"src": {"dependencyName": "d", "dataKey": "body", "useRawData": true}, "dest": "spec.raw"},
        {"src": {"dependencyName": "d", "dataTemplate": "{{ .Input.body | toJson }}", "value": "x"}, "dest": "a"},
        {"src": {"dependencyName": "d", "dataKey": "$.body..*"}, "dest": "a", "operation": "append"},
        {"src": {"dependencyName": "d", "contextKey": "subject"}, "dest": "b", "operation": "prepend"},
    ]));
    let (parameters, _) = Parameters::compile(&list, &["d"]);
    let _ = parameters.apply(r#"{"spec":{"list":[]}}"#.to_owned(), &|_| Some(&event));
    let _ = parameters.payload(&|_| Some(&event));
}

/// Files with sensors, as they are read and compiled.
fn sensors(text: &str) {
    let kinds =
        [KnownKind { kind: "Sensor", api_versions: &["argoproj.io/v1alpha1", "tripline.dev/v1"] }];
    let loaded = tripline_config::load(&[Input::text("x.yaml", text.as_bytes())], &kinds);
    for object in &loaded.objects {
        let Some(spec) = object.value.get("spec") else { continue };
        let (at, dialect) = (FieldPath::root().key("spec"), Dialect::of(&object.api_version));
        if let Ok((spec, _)) = tripline_config::decode::<SensorSpec>(spec, &at, dialect) {
            let name = ObjectName::new("ci", "s");
            let _ = Sensor::compile(name, DefinitionHash::of(text), &spec, &NoCalendar);
        }
    }
}

/// Calendars are another crate's.
struct NoCalendar;

impl Calendar for NoCalendar {
    fn recurrence(&self, _: &str, _: &str) -> Result<Arc<dyn Recurrence>, String> {
        Ok(Arc::new(Never))
    }

    fn duration(&self, text: &str) -> Result<jiff::SignedDuration, String> {
        text.parse().map_err(|error: jiff::Error| error.to_string())
    }
}

#[derive(Debug)]
struct Never;

impl Recurrence for Never {
    fn next_after(&self, _: Timestamp) -> Option<Timestamp> {
        None
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the targets' own configuration is right")
}

fn view<'d>(data: &'d str, content_type: &'d str) -> EventView<'d> {
    EventView {
        id: "1",
        source: "s",
        specversion: "1.0",
        kind: "webhook",
        subject: "n",
        content_type,
        time: None,
        correlation: "",
        data: Payload::new(Some(data.as_bytes())),
        cloud_event: None,
    }
}

fn filter(filters: Value) {
    let filters = read(filters);
    let (filter, _) = Filter::compile(&EventDependency { filters, ..EventDependency::default() });
    let _ = filter.evaluate(&view(DATA, "application/json"), Some(&mut Trace::default()));
}

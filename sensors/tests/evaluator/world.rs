//! Sensors and events to choose from.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tripline_event::event::Links;
use tripline_event::{
    CorrelationId, DefinitionHash, Event, EventId, EventKey, EventsRecord, ObjectName,
};
use tripline_sensors::definition::SensorSpec;
use tripline_sensors::evaluator::{Calendar, Recurrence, Sensor};

/// The first moment.
pub const START: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// So many seconds later.
pub fn at(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

/// Every so many seconds.
#[derive(Debug)]
struct Every(i64);

impl Recurrence for Every {
    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let rounds = (after - START).get_seconds().div_euclid(self.0);
        Some(at((rounds + 1) * self.0))
    }
}

/// A calendar whose expressions are a number of seconds.
pub struct Seconds;

impl Calendar for Seconds {
    fn recurrence(&self, cron: &str, _: &str) -> Result<Arc<dyn Recurrence>, String> {
        Ok(Arc::new(Every(cron.parse().map_err(|_| "no number".to_owned())?)))
    }

    fn duration(&self, _: &str) -> Result<SignedDuration, String> {
        Ok(SignedDuration::from_hours(1))
    }
}

/// Compiles a sensor of the namespace `ci`; warnings are as good as none.
pub fn sensor(name: &str, spec: &Value) -> Option<Arc<Sensor>> {
    let text = spec.to_string();
    let spec: SensorSpec = serde_json::from_str(&text).unwrap();
    let name = ObjectName::new("ci", name);
    let (sensor, _) = Sensor::compile(name, DefinitionHash::of(&text), &spec, &Seconds);
    sensor.map(Arc::new)
}

/// The event `name` of the event source `source`.
pub fn event(source: &str, name: &str, id: &str, at: Timestamp, data: Option<&str>) -> Event {
    Event {
        key: EventKey::new("ci", source, name),
        id: EventId(id.to_owned()),
        kind: "webhook".to_owned(),
        time: at,
        content_type: "application/json".to_owned(),
        data: data.map(|text| Bytes::copy_from_slice(text.as_bytes())),
        links: Links::first(CorrelationId(format!("c-{id}"))),
        cloud_event: None,
    }
}

/// A filter over a few paths and values, so that many of them meet.
fn data_filter() -> impl Strategy<Value = Value> {
    let path = select(vec!["body.a", "body.b", "$.body.a", "gjson:body.a", "body.c.0", "body"]);
    let words = vec![
        "", "a", "b", "ab", "ba", "^a", "b$", "^ab$", "^$", "^", "a.b", "(a|b)c", "1", "true", "é",
        "null",
    ];
    let text = (prop::collection::vec(select(words), 1..4), select(vec!["", "=", "!="]))
        .prop_map(|(value, comparator)| ("string", json!(value), comparator));
    let numbers = vec!["0", "-0", "1", "1.0", "2", "1e3", "NaN", "inf", "-1"];
    let comparators = vec!["", "=", "=", "!=", ">", "<="];
    let number = (prop::collection::vec(select(numbers), 1..4), select(comparators))
        .prop_map(|(value, comparator)| ("number", json!(value), comparator));
    let bools = prop::collection::vec(select(vec!["true", "false", "1", "F"]), 1..3);
    let boolean = bools.prop_map(|value| ("bool", json!(value), ""));
    let template = prop_oneof![9 => Just(""), 1 => Just("{{ .Input }}b")];
    (path, prop_oneof![3 => text, 2 => number, 1 => boolean], template).prop_map(
        |(path, (kind, value, comparator), template)| {
            json!({"path": path, "type": kind, "value": value, "comparator": comparator,
                   "template": template})
        },
    )
}

fn operator() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 1 => Just("or")]
}

fn filters() -> impl Strategy<Value = Value> {
    let data = prop::option::weighted(0.9, prop::collection::vec(data_filter(), 0..4));
    let exprs = prop::option::weighted(
        0.15,
        Just(json!([{"expr": "a == 'b'", "fields": [{"name": "a", "path": "body.b"}]}])),
    );
    let context = prop::option::weighted(
        0.15,
        select(vec!["webhook", "sqs"]).prop_map(|kind| json!({"type": kind})),
    );
    let time = prop::option::weighted(
        0.15,
        select(vec![("00:00:00", "23:59:59"), ("01:00:00", "01:00:01")])
            .prop_map(|(start, stop)| json!({"start": start, "stop": stop})),
    );
    (data, exprs, context, time, operator(), operator()).prop_map(
        |(data, exprs, context, time, data_operator, _)| {
            let mut filters = json!({"dataLogicalOperator": data_operator});
            for (kind, value) in [
                ("data", data.map(Value::from)),
                ("exprs", exprs),
                ("context", context),
                ("time", time),
            ] {
                if let Some(value) = value {
                    filters[kind] = value;
                }
            }
            filters
        },
    )
}

/// Dependencies on the events `one` and `two` of the source `s`, which are all there are.
pub fn dependencies() -> impl Strategy<Value = Vec<Value>> {
    let one = (select(vec!["one", "two"]), prop::option::weighted(0.9, filters()), operator());
    prop::collection::vec(one, 1..4).prop_map(|dependencies| {
        let named = dependencies.into_iter().enumerate();
        named
            .map(|(index, (event, filters, operator))| {
                let mut dependency = json!({
                    "name": format!("d{index}"), "eventSourceName": "s", "eventName": event,
                    "filtersLogicalOperator": operator,
                });
                if let Some(filters) = filters {
                    dependency["filters"] = filters;
                }
                dependency
            })
            .collect()
    })
}

/// A sensor with one trigger for all of its dependencies together, and one for any.
pub fn spec() -> impl Strategy<Value = Value> {
    let reset = prop::option::weighted(0.3, 2..9_u8);
    (dependencies(), reset).prop_map(|(dependencies, reset)| {
        let names: Vec<&str> = dependencies.iter().filter_map(|d| d["name"].as_str()).collect();
        let reset: Vec<Value> = reset
            .into_iter()
            .map(|seconds| json!({"byTime": {"cron": seconds.to_string()}}))
            .collect();
        json!({
            "triggers": [
                {"template": {"name": "all", "log": {}, "conditionsReset": reset}},
                {"template": {"name": "any", "log": {}, "conditions": names.join(" || ")}},
            ],
            "dependencies": dependencies,
        })
    })
}

/// The payload of an event, or something that is none.
pub fn data() -> impl Strategy<Value = Option<String>> {
    let scalar = || {
        select(vec![
            "\"\"",
            "\"a\"",
            "\"b\"",
            "\"ab\"",
            "\"ba\"",
            "\"aab\"",
            "\"é\"",
            "\"\\u0061b\"",
            "\"1\"",
            "\"true\"",
            "0",
            "-0",
            "-0.0",
            "1",
            "1.0",
            "10e-1",
            "2",
            "1e3",
            "1000",
            "true",
            "false",
            "null",
            "{}",
            "[]",
            "[\"a\",1]",
        ])
    };
    let body = (
        prop::option::weighted(0.8, scalar()),
        prop::option::weighted(0.8, scalar()),
        prop::option::weighted(0.5, scalar()),
    );
    let json = body.prop_map(|(a, b, c)| {
        let fields = [("a", a), ("b", b), ("c", c)];
        let fields: Vec<String> = fields
            .into_iter()
            .filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?)))
            .collect();
        format!("{{\"body\":{{{}}}}}", fields.join(","))
    });
    prop_oneof![
        20 => json.prop_map(Some),
        1 => select(vec!["", "no json", "{\"body\":", "[]", "1"]).prop_map(|text| Some(text.to_owned())),
        1 => Just(None),
    ]
}

/// The event's name, its id and its data.
type Arrival = (&'static str, u8, Option<String>);

/// Records one second apart: events, of which some repeat an id, and moments.
pub fn records(most: usize) -> impl Strategy<Value = Vec<EventsRecord>> {
    let one = prop_oneof![
        12 => (select(vec!["one", "two", "three"]), 0..40_u8, data()).prop_map(Some),
        1 => Just(None),
    ];
    prop::collection::vec(one, 1..most).prop_map(|records| {
        let record = |(index, record): (usize, Option<Arrival>)| {
            let at = at(i64::try_from(index).unwrap());
            match record {
                Some((name, id, data)) => {
                    EventsRecord::Event(event("s", name, &format!("{id}"), at, data.as_deref()))
                }
                None => EventsRecord::Time(at),
            }
        };
        records.into_iter().enumerate().map(record).collect()
    })
}

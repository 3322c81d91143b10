//! What an event costs the evaluator, by how many sensors there are: no bus, one core.
//!
//! `cargo bench -p tripline-sensors --bench evaluator`
//!
//! All sensors listen to the same event and compare the same path; one of them matches.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tripline_event::event::Links;
use tripline_event::{
    CorrelationId, DefinitionHash, Event, EventId, EventKey, EventsRecord, ObjectName, Position,
};
use tripline_sensors::definition::SensorSpec;
use tripline_sensors::evaluator::{Calendar, Evaluator, Off, Plan, Recurrence, Sensor, State};

/// How long each case takes, about.
const TIME: Duration = Duration::from_secs(1);

struct NoCalendar;

impl Calendar for NoCalendar {
    fn recurrence(&self, _: &str, _: &str) -> Result<Arc<dyn Recurrence>, String> {
        Err("none".to_owned())
    }

    fn duration(&self, _: &str) -> Result<SignedDuration, String> {
        Err("none".to_owned())
    }
}

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let time = if measured { TIME } else { Duration::from_millis(1) };
    let most = if measured { 10_000 } else { 100 };
    println!(
        "{:<10} {:>8} {:>14} {:>10} {:>12}",
        "filter", "sensors", "events/s", "us/event", "plan made in"
    );
    for (name, filter) in [
        ("whole", r#"{"path":"body.action","type":"string","value":["^v-N$"]}"#),
        ("part", r#"{"path":"body.label","type":"string","value":["v-N-"]}"#),
        ("number", r#"{"path":"body.n","type":"number","value":["N"]}"#),
    ] {
        for count in [1, 100, 10_000].into_iter().filter(|count| *count <= most) {
            let sensors = (0..count).map(|n| sensor(n, filter)).collect();
            let begin = Instant::now();
            let plan = Arc::new(Plan::new(1, sensors));
            let made = begin.elapsed();
            let rate = rate(plan, time);
            println!("{name:<10} {count:>8} {rate:>14.0} {:>10.2} {made:>12.1?}", 1e6 / rate);
        }
    }
    large(time);
}

fn sensor(n: usize, filter: &str) -> Arc<Sensor> {
    // The last one matches: it is asked after all others, where they are asked in a row.
    let filter = filter.replace('N', &n.to_string());
    let spec = format!(
        r#"{{"dependencies":[{{"name":"d","eventSourceName":"builds","eventName":"completed",
            "filters":{{"data":[{filter}]}}}}],
            "triggers":[{{"template":{{"name":"t","log":{{}}}}}}]}}"#
    );
    let spec: SensorSpec = serde_json::from_str(&spec).expect("a sensor");
    let name = ObjectName::new("ci", format!("s-{n:05}"));
    let (sensor, problems) = Sensor::compile(name, DefinitionHash::of(&filter), &spec, &NoCalendar);
    Arc::new(sensor.unwrap_or_else(|| panic!("{problems:?}")))
}

fn rate(plan: Arc<Plan>, time: Duration) -> f64 {
    let state = State::new(Position::new(1, 0));
    let mut evaluator = Evaluator::new(plan, state);
    let data = Bytes::from(payload());
    let mut position = Position::new(1, 0);
    let (mut events, mut fired) = (0_u64, 0);
    let begin = Instant::now();
    while begin.elapsed() < time {
        for _ in 0..256 {
            position = position.next();
            events += 1;
            let record = EventsRecord::Event(event(events, data.clone()));
            fired += black_box(evaluator.apply(position, &record, &mut Off)).actions.len() as u64;
        }
    }
    assert_eq!(fired, events, "one sensor matches");
    events as f64 / begin.elapsed().as_secs_f64()
}

fn event(number: u64, data: Bytes) -> Event {
    Event {
        key: EventKey::new("ci", "builds", "completed"),
        id: EventId(format!("e-{number:012}")),
        kind: "webhook".to_owned(),
        time: Timestamp::UNIX_EPOCH,
        content_type: "application/json".to_owned(),
        data: Some(data),
        links: Links::first(CorrelationId("c".to_owned())),
        cloud_event: None,
    }
}

/// 1 KiB of a webhook, with what is looked at at its end.
fn payload() -> String {
    let head = r#"{"header":{"Accept":[""#;
    let tail = r#""]},"body":{"run":[{"n":0,"s":"ok"},{"n":1,"s":"ok"}],"ref":"refs/tags/v1.2.3","n":0,"action":"v-0","label":"is v-0-"}}"#;
    let fill = "text/plain; charset=utf-8; ".repeat(64);
    let fill = &fill[..1024 - head.len() - tail.len()];
    format!("{head}{fill}{tail}")
}

/// 1 MiB, deeply nested, against what it takes to parse it.
fn large(time: Duration) {
    let deep = format!("{}1{}", r#"{"a":["#.repeat(40), "]}".repeat(40));
    let mut text = String::from(r#"{"body":{"fill":["#);
    while text.len() < (1 << 20) - 2 * deep.len() {
        text.push_str(&deep);
        text.push(',');
    }
    text.push_str(r#"1],"action":"v-7"}}"#);
    let data = Bytes::from(text);
    let sensors = (0..100)
        .map(|n| sensor(n, r#"{"path":"body.action","type":"string","value":["^v-N$"]}"#))
        .collect();
    let state = State::new(Position::new(1, 0));
    let mut evaluator = Evaluator::new(Arc::new(Plan::new(1, sensors)), state);
    let mut number = 0;
    let evaluated = each(time, || {
        number += 1;
        let record = EventsRecord::Event(event(number, data.clone()));
        black_box(evaluator.apply(Position::new(1, number), &record, &mut Off));
    });
    let parsed = each(time, || {
        black_box(serde_json::from_slice::<serde_json::Value>(&data).expect("JSON"));
    });
    let bytes = data.len();
    println!(
        "an event of {bytes} bytes, deeply nested: {evaluated:.1?}; parsing it takes {parsed:.1?}"
    );
}

fn each(time: Duration, mut act: impl FnMut()) -> Duration {
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < time || count == 0 {
        act();
        count += 1;
    }
    begin.elapsed() / count
}

//! How many events of 1 KiB one core decides a second, for a simple filter.
//!
//! `cargo bench -p tripline-sensors --bench filter`

use std::hint::black_box;
use std::time::Instant;

use tripline_sensors::definition::EventDependency;
use tripline_sensors::filter::Filter;
use tripline_sensors::view::{EventView, Payload};

/// How many events each case takes.
const EVENTS: u32 = 200_000;

fn main() {
    // A test run only shows that it works.
    let events =
        if std::env::args().any(|argument| argument == "--bench") { EVENTS } else { 2_000 };
    let payload = payload();
    println!("{} bytes a payload", payload.len());
    for (name, filter) in [
        (
            "equality",
            r#"{"data":[{"path":"body.action","type":"string","value":["^completed$"]}]}"#,
        ),
        (
            "pattern",
            r#"{"data":[{"path":"body.ref","type":"string","value":["^refs/tags/v\\d+"]}]}"#,
        ),
        (
            "number",
            r#"{"data":[{"path":"body.run.7.n","type":"number","comparator":">","value":["5"]}]}"#,
        ),
        (
            "jsonpath",
            r#"{"data":[{"path":"$.body.action","type":"string","value":["completed"]}]}"#,
        ),
        ("query", r##"{"data":[{"path":"body.run.#(n==7).s","type":"string","value":["ok"]}]}"##),
        (
            "expression",
            r#"{"exprs":[{"expr":"a == \"completed\"","fields":[{"name":"a","path":"body.action"}]}]}"#,
        ),
    ] {
        let json = format!(r#"{{"name":"d","filters":{filter}}}"#);
        let dependency: EventDependency = serde_json::from_str(&json).expect("a dependency");
        let (filter, problems) = Filter::compile(&dependency);
        assert!(problems.is_empty(), "{problems:?}");
        let started = Instant::now();
        let passed = (0..events).filter(|_| filter.evaluate(&view(black_box(&payload)), None).pass);
        let passed = passed.count();
        let rate = f64::from(events) / started.elapsed().as_secs_f64();
        println!("{name:<12} {rate:>12.0} events/s, {passed} passed");
    }
}

/// A webhook's payload, with what is looked at near its end.
fn payload() -> String {
    let run: Vec<_> =
        (0..8).map(|n| format!(r#"{{"n":{n},"s":"ok","took":"{n}m{n}s"}}"#)).collect();
    let headers = "text/plain; charset=utf-8 and so on ".repeat(20);
    format!(
        r#"{{"header":{{"Accept":["{headers}"]}},"body":{{"run":[{}],"ref":"refs/tags/v1.2.3","action":"completed"}}}}"#,
        run.join(",")
    )
}

fn view(payload: &str) -> EventView<'_> {
    EventView {
        id: "e-1",
        source: "webhook",
        specversion: "1.0",
        kind: "webhook",
        subject: "build",
        content_type: "application/json",
        time: None,
        correlation: "e-1",
        data: Payload::new(Some(payload.as_bytes())),
        cloud_event: None,
    }
}

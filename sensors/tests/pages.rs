//! The examples of `docs/filters.md` and `docs/transforms.md`: what each page says of data is
//! what the filter of the block before it answers.

#![expect(clippy::unwrap_used, reason = "a page that cannot be read fails the test")]

use std::path::Path;

use serde_json::Value;
use tripline_config::{Input, KnownKind};
use tripline_sensors::definition::EventDependency;
use tripline_sensors::expr::SourceFilter;
use tripline_sensors::filter::Filter;
use tripline_sensors::view::{EventView, Payload};

/// What a block defines.
enum Example {
    Dependency(Box<Filter>),
    Source(SourceFilter),
}

/// The blocks of a page, in order, with their languages.
fn blocks(page: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let inside = text.split("\n```").skip(1).step_by(2);
    inside
        .map(|block| block.split_once('\n').unwrap())
        .map(|(language, text)| (language.to_owned(), text.to_owned()))
        .collect()
}

fn example(yaml: &str) -> Example {
    let kinds = ["Sensor", "EventSource"]
        .map(|kind| KnownKind { kind, api_versions: &["argoproj.io/v1alpha1"] });
    let loaded = tripline_config::load(&[Input::text("page", yaml.as_bytes())], &kinds);
    let object = loaded.objects.first().unwrap();
    let spec: &Value = &object.value["spec"];
    if object.kind == "EventSource" {
        let text = spec["webhook"]["builds"]["filter"]["expression"].as_str().unwrap();
        return Example::Source(SourceFilter::compile(text).unwrap());
    }
    let dependency: EventDependency =
        serde_json::from_value(spec["dependencies"][0].clone()).unwrap();
    let (filter, problems) = Filter::compile(&dependency);
    assert!(problems.is_empty(), "{problems:?}");
    Example::Dependency(Box::new(filter))
}

/// What becomes of data that came in at a time.
fn outcome(example: &Example, data: &str, time: &str) -> String {
    let word = |passes| if passes { "passes" } else { "is left out" }.to_owned();
    let filter = match example {
        Example::Source(filter) => return filter.passes(data, None).map_or("fails".into(), word),
        Example::Dependency(filter) => filter,
    };
    let view = EventView {
        id: "1",
        source: "ci",
        specversion: "1.0",
        kind: "webhook",
        subject: "builds",
        content_type: "application/json",
        time: Some(time.parse().unwrap()),
        correlation: "",
        data: Payload::new(Some(data.as_bytes())),
        cloud_event: None,
    };
    let verdict = filter.evaluate(&view, None);
    match filter.transform(&view) {
        Ok(Some(made)) if verdict.pass => format!("becomes {made}"),
        _ if verdict.error.is_some() && !verdict.pass => "fails".to_owned(),
        _ => word(verdict.pass),
    }
}

fn check(page: &str) -> usize {
    let mut count = 0;
    let mut last = None;
    for (language, text) in blocks(page) {
        if language == "yaml" {
            last = Some(example(&text));
            continue;
        }
        for line in text.lines() {
            let (data, time, wanted) = match line.split("  ").collect::<Vec<_>>()[..] {
                [data, wanted] => (data, "2026-03-04T12:00:00Z", wanted),
                [data, time, wanted] => (data, time, wanted),
                _ => panic!("{page}: {line}"),
            };
            assert_eq!(outcome(last.as_ref().unwrap(), data, time), wanted, "{page}: {line}");
            count += 1;
        }
    }
    count
}

#[test]
fn filters_answer_what_the_page_of_filters_says() {
    assert!(check("filters.md") >= 20);
}

#[test]
fn transforms_make_what_the_page_of_transforms_says() {
    assert!(check("transforms.md") >= 5);
}

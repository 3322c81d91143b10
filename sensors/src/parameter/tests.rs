use tripline_event::CloudEvent;

use super::*;
use crate::view::Payload;

const DATA: &str = r#"{"body":{"sha":"4f2a","n":1.50,"o":{"k": 1},"z":null,"e":""}}"#;

fn view(data: &str) -> EventView<'_> {
    EventView {
        id: "e-1",
        source: "webhook",
        kind: "webhook",
        specversion: "1.0",
        subject: "build",
        content_type: "application/json",
        time: Some("2024-03-05T10:30:00.5Z".parse().expect("a time")),
        correlation: "build-4711",
        data: Payload::new(Some(data.as_bytes())),
        cloud_event: None,
    }
}

fn compile(list: &str) -> (Parameters, Vec<String>) {
    let list: Vec<TriggerParameter> = serde_json::from_str(list).expect("parameters");
    let (parameters, problems) = Parameters::compile(&list, &["d"]);
    (parameters, problems.iter().map(|p| format!("{} {}", p.path, p.code)).collect())
}

fn apply(source: &str, dest: &str, document: &str) -> Result<String, String> {
    let (parameters, _) = compile(&format!(r#"[{{"src":{source},"dest":"{dest}"}}]"#));
    let event = view(DATA);
    let events = |name: &str| (name == "d").then_some(&event);
    parameters.apply(document.to_owned(), &events).map_err(|error| error.to_string())
}

#[test]
fn values_are_texts_unless_they_are_to_stay_what_they_are() {
    for (source, value) in [
        (r#"{"dependencyName":"d","dataKey":"body.sha"}"#, r#""4f2a""#),
        (r#"{"dependencyName":"d","dataKey":"body.n"}"#, r#""1.5""#),
        (r#"{"dependencyName":"d","dataKey":"body.n","useRawData":true}"#, "1.5"),
        (r#"{"dependencyName":"d","dataKey":"body.o"}"#, r#""{\"k\": 1}""#),
        (r#"{"dependencyName":"d","dataKey":"body.o","useRawData":true}"#, r#"{"k": 1}"#),
        (r#"{"dependencyName":"d","dataKey":"body.z"}"#, r#""null""#),
        (r#"{"dependencyName":"d","dataKey":"$.body.sha"}"#, r#""4f2a""#),
        (r#"{"dependencyName":"d","dataKey":"body.e","value":"v"}"#, r#""""#),
        (r#"{"dependencyName":"d","dataKey":"nope","value":"v"}"#, r#""v""#),
        (r#"{"dependencyName":"d","value":"v"}"#, r#""v""#),
        (r#"{"dependencyName":"other","value":"v"}"#, r#""v""#),
        (r#"{"dependencyName":"d","dataTemplate":"{{.Input.body.sha | upper}}"}"#, r#""4F2A""#),
        (r#"{"dependencyName":"d","contextTemplate":"{{now | date \"15:04\"}}"}"#, r#""10:30""#),
        (
            r#"{"dependencyName":"d","dataTemplate":"{{.Input.nope}}","dataKey":"body.sha"}"#,
            r#""4f2a""#,
        ),
        (r#"{"dependencyName":"d","contextKey":"time"}"#, r#""2024-03-05T10:30:00Z""#),
        (r#"{"dependencyName":"d","contextKey":"correlationid"}"#, r#""build-4711""#),
    ] {
        assert_eq!(
            apply(source, "a.b", "{}"),
            Ok(format!(r#"{{"a":{{"b":{value}}}}}"#)),
            "{source}"
        );
    }
    assert_eq!(apply(r#"{"dependencyName":"other","dataKey":"x"}"#, "a", "{}"), Ok("{}".into()));
}

#[test]
fn a_cloud_event_gives_parameters_what_it_said_of_itself() {
    let said = CloudEvent {
        id: "4711".into(),
        source: "/builds".into(),
        kind: "dev.example.build".into(),
        subject: None,
        time: Some("2024-03-05T03:00:00Z".parse().unwrap()),
        extensions: [("sampledrate".to_owned(), "30".to_owned())].into(),
        transfer: None,
    };
    let view = EventView { cloud_event: Some(&said), id: "4711", ..view("{}") };
    let context: serde_json::Value =
        serde_json::from_str(&super::event_json::context(&view)).unwrap();
    assert_eq!(context["sampledrate"], "30");
    assert_eq!(context["time"], "2024-03-05T03:00:00Z");
    assert_eq!(context.get("subject"), None, "it has none");
}

#[test]
fn what_cannot_be_resolved_is_an_error_that_names_the_parameter() {
    let error = apply(r#"{"dependencyName":"d","dataKey":"nope"}"#, "a.b", "{}").unwrap_err();
    assert_eq!(error, "parameter 0 (`a.b`): key `nope` finds nothing");
    let error =
        apply(r#"{"dependencyName":"d","dataTemplate":"{{.Input.nope}}"}"#, "a", "{}").unwrap_err();
    assert!(error.contains("the template finds no value"), "{error}");
    let error = apply(r#"{"dependencyName":"d","value":"v"}"#, "a.b", r#"{"a":[1]}"#).unwrap_err();
    assert!(error.contains("an index is needed"), "{error}");
}

#[test]
fn every_mistake_is_found_with_its_place() {
    for (list, found) in [
        (r#"[{"dest":"a"}]"#, vec!["[0].src TL0308"]),
        (r#"[{"src":{"dependencyName":"x"},"dest":"a"}]"#, vec!["[0].src.dependencyName TL0313"]),
        (
            r#"[{"src":{"value":"x"},"dest":"a","operation":"add"}]"#,
            vec!["[0].src.dependencyName TL0308", "[0].operation TL0315"],
        ),
        (
            r#"[{"src":{"dependencyName":"d","dataKey":"$.["},"dest":"a"}]"#,
            vec!["[0].src.dataKey TL0307"],
        ),
        (
            r#"[{"src":{"dependencyName":"d","dataKey":"a","contextKey":"id"},"dest":"a"}]"#,
            vec!["[0].src.contextKey TL0316"],
        ),
        (
            r#"[{"src":{"dependencyName":"d","contextTemplate":"{{x}}"},"dest":"a"}]"#,
            vec!["[0].src.contextTemplate TL0319"],
        ),
        (r#"[{"src":{"dependencyName":"d"},"dest":""}]"#, vec![]),
    ] {
        assert_eq!(compile(list).1, found, "{list}");
    }
    let (parameters, _) = compile(r#"[{"src":{"dependencyName":"d"},"dest":""}]"#);
    assert_eq!(parameters.check_for_document()[0].path.to_string(), "[0].dest");
    let (long, _) =
        (format!(r#"[{{"src":{{"dependencyName":"d"}},"dest":"{}"}}]"#, "a.".repeat(300)), ());
    assert_eq!(compile(&long).1, ["[0].dest TL0314"]);
}

#[test]
fn a_payload_is_built_from_nothing_or_is_one_value() {
    let event = view(DATA);
    let events = |name: &str| (name == "d").then_some(&event);
    for (list, payload) in [
        ("[]", Ok(None)),
        (
            r#"[{"src":{"dependencyName":"d","dataKey":"body.sha"},"dest":"a"}]"#,
            Ok(Some(r#"{"a":"4f2a"}"#)),
        ),
        (
            r#"[{"src":{"dependencyName":"d","dataKey":"body.n"},"dest":"a"},
             {"src":{"dependencyName":"d","dataKey":"body.o"},"dest":""}]"#,
            Ok(Some(r#"{"k": 1}"#)),
        ),
        (r#"[{"src":{"dependencyName":"x","dataKey":"a"},"dest":""}]"#, Ok(None)),
        (r#"[{"src":{"dependencyName":"x","dataKey":"a"},"dest":"b"}]"#, Err(())),
    ] {
        let made = compile(list).0.payload(&events).map_err(|_| ());
        assert_eq!(made, payload.map(|payload| payload.map(str::to_owned)), "{list}");
    }
}

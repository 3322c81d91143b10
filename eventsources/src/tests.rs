//! The definitions of event sources: what is taken, what is refused, and where.

use serde_json::{Value, json};
use tripline_config::{Dialect, Severity};
use tripline_event::ObjectName;

use crate::testing::definitions;
use crate::{EventDefinition, codes, events_in, kinds};

fn check(dialect: Dialect, spec: &Value) -> (Vec<EventDefinition>, Vec<String>) {
    let (events, problems) = events_in(dialect, &ObjectName::new("ci", "builds"), spec);
    let problems = problems.iter().map(|problem| {
        let severity = if problem.severity == Severity::Error { "E" } else { "W" };
        let help = problem.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{severity} {} {}: {}{help}", problem.code, problem.path, problem.message)
    });
    (events, problems.collect())
}

fn problems(spec: Value) -> Vec<String> {
    check(Dialect::Argo, &spec).1
}

#[test]
fn every_example_is_a_complete_event_source_without_a_mistake() {
    for kind in kinds::KINDS.iter().filter(|kind| kind.is_implemented()) {
        let object: Value = serde_saphyr::from_str(kind.example().unwrap()).unwrap();
        assert_eq!(object["kind"], "EventSource");
        let (events, problems) = check(Dialect::Argo, &object["spec"]);
        assert_eq!(problems, Vec::<String>::new(), "{}", kind.key);
        assert!(
            !events.is_empty() && events.iter().all(|e| e.kind == kind.event_type),
            "{}",
            kind.key
        );
        let schema = kind.schema().unwrap().to_value();
        let fields = schema["properties"].as_object().unwrap();
        for (name, field) in fields {
            assert!(field["description"].is_string(), "{}.{name} has no description", kind.key);
        }
    }
}

#[test]
fn what_argo_events_needs_for_deployment_is_taken_and_means_nothing() {
    let webhook = json!({"e": {"endpoint": "/e", "port": "12000"}});
    let spec = json!({
        "eventBusName": "default", "replicas": 2, "template": {"serviceAccountName": "x"},
        "service": {"ports": [{"port": 12000}]}, "webhook": webhook,
    });
    let (events, problems) = check(Dialect::Argo, &spec);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(events[0].key.to_string(), "ci/builds/e");
}

#[test]
fn what_is_wrong_is_told_at_its_place_with_what_was_meant() {
    let hook = |fields: Value| {
        let mut config = json!({"endpoint": "/e", "port": "12000"});
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"webhook": {"e": config}})
    };
    #[rustfmt::skip]
    let cases = [
        (json!({"amqp": {"e": {}, "f": {}}}), vec![
            "E TL0201 spec.amqp.e: event source kind `amqp` is not supported yet",
            "E TL0201 spec.amqp.f: event source kind `amqp` is not supported yet",
        ]),
        (json!({"webhok": {"e": {}}}), vec![
            "E TL0200 spec.webhok: unknown kind of event source `webhok` (did you mean `webhook`?)"]),
        (json!({"pubsub": {"e": {}}}), vec![
            "E TL0200 spec.pubsub: unknown kind of event source `pubsub` (did you mean `pubSub`?)"]),
        (json!({"eventBus": "x"}), vec![
            "W TL0206 spec.eventBus: unknown field `eventBus` (did you mean `eventBusName`?)"]),
        (json!({}), vec!["W TL0207 spec: event source has no events (add a kind, such as `webhook`, with an event below it)"]),
        (json!([]), vec!["E TL0205 spec: spec is no mapping"]),
        (json!({"webhook": []}), vec!["E TL0205 spec.webhook: `webhook` is no mapping from event names"]),
        (json!({"webhook": {"e": {"endpoint": "/e", "port": "12000"}}, "calendar": {"e": {"interval": "1h"}}}), vec![
            "E TL0204 spec.webhook.e: event `e` is also below `calendar` (event names are unique over all kinds of an event source)"]),
        (hook(json!({"endpoint": "/health"})), vec![
            "E TL0210 spec.webhook.e.endpoint: endpoint `/health` answers health checks on every webhook port (choose another path)"]),
        (hook(json!({"port": "http"})), vec![
            "E TL0211 spec.webhook.e.port: port is \"http\", expected a number from 1 to 65535"]),
        (hook(json!({"port": "0"})), vec![
            "E TL0211 spec.webhook.e.port: port is \"0\", expected a number from 1 to 65535"]),
        (hook(json!({"method": "post"})), vec![
            "W TL0212 spec.webhook.e.method: every request is answered 400: method `post` is not supported (write `POST`)"]),
        (hook(json!({"serverCertSecret": {"name": "a", "key": "b"}})), vec![
            "E TL0214 spec.webhook.e.serverCertSecret: `serverCertSecret` is given without `serverKeySecret` (give both for HTTPS, or neither for HTTP)"]),
        (hook(json!({"maxPayloadSize": 1_i64 << 40})), vec![
            "E TL0215 spec.webhook.e.maxPayloadSize: maxPayloadSize is 1099511627776 bytes, expected at most 67108864"]),
        (hook(json!({"filter": {"expression": "body.a == 1"}})), vec![]),
        (hook(json!({"filter": {"expression": ""}})), vec![]),
        (hook(json!({"maxPayloadSize": 0})), vec![]),
        (hook(json!({"idempotencyKey": {"header": "x-id"}})), vec![
            "E TL0117 spec.webhook.e.idempotencyKey: the field `idempotencyKey` is Tripline's own (set `apiVersion: tripline.dev/v1`)"]),
    ];
    for (spec, expected) in cases {
        assert_eq!(problems(spec.clone()), expected, "{spec}");
    }
    let misspelt = problems(hook(json!({"endpont": "/x"})));
    assert_eq!(misspelt.len(), 1);
    assert!(misspelt[0].starts_with("W TL0116 spec.webhook.e.endpont"), "{misspelt:?}");
    let number = problems(hook(json!({"port": 12000})));
    assert!(number[0].starts_with("E TL0113 spec.webhook.e.port"), "{number:?}");
    let missing = problems(json!({"webhook": {"e": {"port": "12000"}}}));
    assert!(missing[0].starts_with("E TL0114 spec.webhook.e"), "{missing:?}");
}

#[test]
fn tripline_s_own_fields_are_taken_in_its_own_dialect() {
    let with = |fields: Value| {
        let mut config = json!({"endpoint": "/e", "port": "12000"});
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        check(Dialect::Tripline, &json!({"webhook": {"e": config}}))
    };
    let (events, problems) = with(json!({
        "idempotencyKey": {"path": "body.build.id"}, "correlation": {"path": "body.sha"}
    }));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(events[0].correlation.as_deref(), Some("body.sha"));
    for key in [
        json!({}),
        json!({"header": "a", "path": "body.b"}),
        json!({"header": "a b"}),
        json!({"path": "id"}),
        json!({"path": "body"}),
    ] {
        let (events, problems) = with(json!({"idempotencyKey": key}));
        assert!(events.is_empty() && problems.len() == 1, "{key}: {problems:?}");
        assert!(problems[0].contains(codes::IDEMPOTENCY_KEY), "{problems:?}");
    }
}

#[test]
fn the_hash_of_an_event_changes_with_its_configuration_only() {
    let hash = |endpoint: &str, metadata: Value| {
        let config = json!({"endpoint": endpoint, "port": "1", "metadata": metadata});
        definitions(&[("s", json!({"webhook": {"e": config}}))]).remove(0).hash
    };
    assert_eq!(hash("/a", json!({"x": "1", "y": "2"})), hash("/a", json!({"y": "2", "x": "1"})));
    assert_ne!(hash("/a", json!({})), hash("/b", json!({})));
}

#[test]
fn every_code_is_explained_once() {
    let codes: Vec<&str> = codes::CODES.iter().map(|code| code.code).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    assert!(codes.iter().all(|code| code.starts_with("TL02") && code.len() == 6));
}

use serde_json::json;

use super::*;

#[test]
fn null_is_absent_as_it_is_to_go() {
    let spec: SensorSpec = serde_json::from_value(json!({
        "dependencies": [{"name": "d", "eventSourceName": "w", "eventName": "b", "filters": {
            "data": [{"path": "a", "type": "string", "value": null, "comparator": null}],
            "exprs": null, "script": null}}],
        "triggers": [{"template": {"name": "t", "conditions": null, "log": {}}, "parameters": null}],
        "eventBusName": null, "replicas": null, "loggingFields": null,
    }))
    .expect("a sensor");
    let filters = spec.dependencies[0].filters.as_ref().expect("filters");
    assert_eq!(filters.data.as_ref().map(Vec::len), Some(1));
    assert_eq!(filters.exprs, None);
    assert_eq!(filters.script, "");
    assert_eq!(spec.triggers[0].parameters, []);
}

#[test]
fn an_empty_list_of_filters_is_not_an_absent_one() {
    let filter =
        |json: &str| -> EventDependencyFilter { serde_json::from_str(json).expect("a filter") };
    assert_eq!(filter(r#"{"data":[]}"#).data, Some(Vec::new()));
    assert_eq!(filter("{}").data, None);
}

#[test]
fn the_first_kind_of_argo_events_order_is_carried_out() {
    let template: TriggerTemplate =
        serde_json::from_value(json!({"name": "t", "log": {}, "http": {"url": "u"}, "k8s": null}))
            .expect("a template");
    let kinds: Vec<_> = template.kinds().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["http", "log"]);
    assert_eq!(template.kind(), Some(("http", &json!({"url": "u"}))));
}

#[test]
fn what_is_written_is_read_back() {
    let written = json!({
        "dependencies": [{"name": "d", "eventSourceName": "w", "eventName": "b",
            "filters": {"time": {"start": "09:00:00", "stop": "17:00:00"}, "context": {"type": "x"}},
            "transform": {"jq": "."}, "filtersLogicalOperator": "or"}],
        "triggers": [{
            "template": {"name": "t", "conditions": "d",
                "conditionsReset": [{"byTime": {"cron": "0 0 * * *"}}],
                "argoWorkflow": {"operation": "submit"}},
            "parameters": [{"src": {"dependencyName": "d", "dataKey": "a", "value": ""}, "dest": "b"}],
            "policy": {"status": {"allow": [200]}},
            "retryStrategy": {"duration": "1s", "factor": 2.5, "jitter": "0.1", "steps": 3},
            "rateLimit": {"unit": "Minute", "requestsPerUnit": 3},
            "dlqTrigger": {"template": {"name": "u", "log": {}}, "atLeastOnce": true},
            "maxInFlight": 4, "expiresAfter": "90s"}],
        "maxHops": 3, "suspend": "queue", "replicas": 2,
    });
    let spec: SensorSpec = serde_json::from_value(written.clone()).expect("a sensor");
    assert_eq!(serde_json::to_value(&spec).expect("it is written"), written);
    let retry = spec.triggers[0].retry_strategy.as_ref().expect("a retry strategy");
    assert_eq!(retry.jitter.as_ref().and_then(NumberOrText::as_f64), Some(0.1));
}

#[test]
fn the_fields_of_tripline_s_own_say_so_in_the_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(SensorSpec)).expect("a schema");
    let mut own = Vec::new();
    for (object, properties) in [
        ("sensor", &schema["properties"]),
        ("trigger", &schema["$defs"]["Trigger"]["properties"]),
        ("template", &schema["$defs"]["TriggerTemplate"]["properties"]),
        ("dependency", &schema["$defs"]["EventDependency"]["properties"]),
    ] {
        let properties = properties.as_object().expect("properties");
        let marked = properties.iter().filter(|(_, field)| field["x-tripline"] == true);
        own.extend(marked.map(|(name, _)| format!("{object}.{name}")));
    }
    assert_eq!(
        own,
        [
            "sensor.freeze",
            "sensor.maxHops",
            "sensor.startFrom",
            "sensor.suspend",
            "trigger.clusterFrom",
            "trigger.clusters",
            "trigger.expiresAfter",
            "trigger.freeze",
            "trigger.key",
            "trigger.maxInFlight",
            "trigger.ordering",
            "trigger.overlap",
            "trigger.suspend",
            "trigger.whenQueued",
            "template.pubSub",
            "template.sns",
            "template.sqs",
        ]
    );
}

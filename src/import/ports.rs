//! Event sources that listened in pods of their own, and are one process here.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tripline_config::Object;

use super::report::{Finding, Topic};

/// Where a request comes in: port, method and path.
type Place = (String, String, String);

/// Of each event source, by its title, the requests that another one takes, too.
pub fn findings(objects: &[Object]) -> BTreeMap<String, Vec<Finding>> {
    let mut places: BTreeMap<Place, Vec<(&Object, String)>> = BTreeMap::new();
    for object in objects.iter().filter(|object| object.kind == "EventSource") {
        for (place, field) in listens(&object.value) {
            places.entry(place).or_default().push((object, field));
        }
    }
    let mut found: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for ((port, method, endpoint), taken) in places {
        for (object, field) in &taken {
            let others = taken.iter().map(|(other, _)| &other.name);
            let mut others: Vec<String> =
                others.filter(|name| **name != object.name).map(ToString::to_string).collect();
            others.dedup();
            if others.is_empty() {
                continue;
            }
            let name = &object.name;
            let what = format!(
                "{method} {endpoint} on port {port} is also that of {}: they had a pod each",
                others.join(", ")
            );
            let advice = format!(
                "have producers send to the host `{}-eventsource-svc`, as in the cluster, or to \
                 `/{}/{}{endpoint}`, or change the port: a request that names none is answered 409",
                name.name, name.namespace, name.name
            );
            found.entry(object.title()).or_default().push(Finding {
                topic: Topic::Ports,
                field: field.clone(),
                what,
                advice: Some(advice),
                code: None,
            });
        }
    }
    found
}

/// Where the events of an event source come in, with their fields. Kinds that are called by
/// others have a webhook of their own below the event.
fn listens(object: &Value) -> Vec<(Place, String)> {
    let kinds = object.get("spec").and_then(Value::as_object).into_iter().flatten();
    let mut found = Vec::new();
    for (kind, events) in kinds {
        for (event, config) in events.as_object().into_iter().flatten() {
            let config = config.get("webhook").unwrap_or(config);
            if let Some(place) = config.as_object().and_then(place) {
                found.push((place, format!("spec.{kind}.{event}")));
            }
        }
    }
    found
}

fn place(config: &Map<String, Value>) -> Option<Place> {
    let port = match config.get("port")? {
        Value::String(port) => port.clone(),
        port => port.to_string(),
    };
    let text = |field: &str| config.get(field).and_then(Value::as_str).map(str::to_owned);
    let endpoint = text("endpoint").filter(|endpoint| !endpoint.is_empty())?;
    Some((port, text("method").unwrap_or_else(|| "POST".to_owned()), endpoint))
}

//! Filters that look into a body which the event source does not read as JSON: they never
//! find anything there. It takes both objects to see that.

use serde_json::Value;
use tripline_config::{FieldPath, Problem};
use tripline_event::{EventKey, ObjectName};
use tripline_sensors::definition::EventDependency;

use super::{Loader, source_identity};
use crate::codes;

/// Kinds whose body is text unless `jsonBody` is set.
const KINDS: [&str; 4] = ["sqs", "pubSub", "nats", "kafka"];

impl Loader<'_> {
    /// Warns of filters on `body.…` where the body is text.
    pub(super) fn warn_of_text_bodies(&mut self) {
        let mut found: Vec<(ObjectName, Problem)> = Vec::new();
        for (name, loaded) in &self.configuration.sensors {
            let sensor = &loaded.compiled.sensor;
            for (index, dependency) in sensor.dependencies.iter().enumerate() {
                let Some(kind) = self.kind_with_text_body(&dependency.key) else { continue };
                let Some(written) = written(&loaded.definition.json, index) else { continue };
                // What a transform makes of the text is not known.
                let (Some(filters), None) = (&written.filters, &written.transform) else {
                    continue;
                };
                let at = FieldPath::root().key("spec").key("dependencies").index(index);
                let at = at.key("filters");
                let data = filters.data.iter().flatten().enumerate().map(|(number, filter)| {
                    (at.key("data").index(number).key("path"), filter.path.as_str())
                });
                let exprs = filters.exprs.iter().flatten().enumerate();
                let fields =
                    exprs.flat_map(|(number, filter)| {
                        let at = at.key("exprs").index(number).key("fields");
                        filter.fields.iter().enumerate().map(move |(field, one)| {
                            (at.index(field).key("path"), one.path.as_str())
                        })
                    });
                for (at, path) in data.chain(fields) {
                    if looks_into_body(path) {
                        found.push((name.clone(), text_body(at, path, kind, &dependency.key)));
                    }
                }
            }
        }
        for (name, problem) in found {
            let diagnostic = self.diagnose_sensor(&name, problem);
            self.configuration.diagnostics.extend(diagnostic);
        }
    }

    /// The kind of an event, where its body is text.
    fn kind_with_text_body(&self, key: &EventKey) -> Option<&'static str> {
        let object = self.objects.get(&source_identity(key))?;
        let spec = object.value.get("spec")?;
        let event = |kind: &&str| spec.get(*kind)?.get(&key.name);
        let kind = KINDS.into_iter().find(|kind| event(kind).is_some())?;
        let event = event(&kind)?;
        let json = event.get("jsonBody").and_then(Value::as_bool) == Some(true);
        let unwrap = event.get("unwrap").and_then(Value::as_str);
        let object = unwrap.is_some_and(|unwrap| ["s3", "gcs"].contains(&unwrap));
        let cloud = event.get("cloudEvents").and_then(Value::as_bool) == Some(true);
        (!json && !object && !cloud).then_some(kind)
    }
}

/// A dependency of a sensor, as it is written.
fn written(definition: &str, index: usize) -> Option<EventDependency> {
    let definition: Value = serde_json::from_str(definition).ok()?;
    let dependency = definition.pointer(&format!("/spec/dependencies/{index}"))?;
    serde_json::from_value(dependency.clone()).ok()
}

fn looks_into_body(path: &str) -> bool {
    let path = path.strip_prefix("gjson:").unwrap_or(path);
    ["body.", "$.body.", "$.body["].iter().any(|start| path.starts_with(start))
}

fn text_body(at: FieldPath, path: &str, kind: &str, key: &EventKey) -> Problem {
    let message = format!("`{path}` never finds anything: the body of `{key}` is text, not JSON");
    let help = format!("set `jsonBody: true` on the event below `{kind}`");
    Problem::warning(codes::TEXT_BODY, at, message).help(help)
}

#[cfg(all(test, feature = "sqs"))]
mod tests {
    use tripline_config::Input;

    use super::super::load;
    use crate::engine::definitions::Definitions;

    #[test]
    fn a_filter_into_a_text_is_said() {
        let yaml = "
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: queue}
spec:
  sqs:
    text: {region: eu-central-1, queue: a}
    json: {region: eu-central-1, queue: b, jsonBody: true}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: s}
spec:
  dependencies:
    - name: one
      eventSourceName: queue
      eventName: text
      filters:
        data: [{path: body.ok, type: bool, value: ['true']}, {path: body, type: string, value: [x]}]
        exprs: [{expr: size > 1, fields: [{path: body.size, name: size}]}]
    - name: two
      eventSourceName: queue
      eventName: json
      filters: {data: [{path: body.ok, type: bool, value: ['true']}]}
    - name: three
      eventSourceName: queue
      eventName: text
      transform: {jq: '{body: .body | fromjson}'}
      filters: {data: [{path: body.ok, type: bool, value: ['true']}]}
  triggers: [{template: {name: t, log: {}}}]
";
        let inputs = [Input::text("s.yaml", yaml.as_bytes())];
        let loaded = load(&inputs, &Definitions::default());
        let found: Vec<String> = loaded
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.code == crate::codes::TEXT_BODY)
            .map(|diagnostic| diagnostic.field.clone())
            .collect();
        let wanted = [
            "spec.dependencies[0].filters.data[0].path",
            "spec.dependencies[0].filters.exprs[0].fields[0].path",
        ];
        assert_eq!(found, wanted);
    }
}

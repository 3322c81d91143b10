//! `tripline render`: exactly what a trigger would create or send for given events.
//!
//! The events go through the evaluator and the renderer of the daemon: names, labels and
//! parameters are those of a real firing by the same events.

#[cfg(feature = "kubernetes")]
pub mod dry_run;

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use tripline_config::Input;
use tripline_event::event::{JSON, Links};
use tripline_event::{
    Action, Cause, Clock, CorrelationId, Event, EventId, EventKey, EventsRecord, Position,
    SystemClock,
};
use tripline_sensors::evaluator::{Evaluator, Plan, Sensor, State};
use tripline_triggers::RenderedAction;
use tripline_triggers::executor::Renderer as _;
use tripline_triggers::workflow::Submission;

use crate::daemon::targets::{self, TargetChoice};
use crate::engine::definitions::{CompiledSensor, Definitions};
use crate::load::{self, Configuration};
use crate::verdicts::Notes;

/// What is to be rendered.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Where the sensor is.
    pub inputs: Vec<Input>,
    /// Which one, where there are several: `name` or `namespace/name`.
    pub sensor: Option<String>,
    /// Only this trigger of it.
    pub trigger: Option<String>,
    /// The events, in the order in which they come in: the dependency, which may be left out
    /// where there is one, and the file's text.
    pub events: Vec<(Option<String>, String)>,
}

/// What one firing would create or send.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rendered {
    /// The trigger.
    pub trigger: String,
    /// Its kind.
    pub kind: String,
    /// The target that it is bound to, where the sensor names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The object; or, for kinds that create none, their configuration with parameters
    /// applied, and the payload.
    pub object: Value,
    /// What an API server has said of it, where one was asked.
    #[serde(rename = "serverDryRun", skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerAnswer>,
}

/// What an API server says of an object that it was asked to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerAnswer {
    /// In a word.
    pub verdict: Verdict,
    /// What kind of refusal it is: the cause that the dead letter would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// In full, with what is to be done.
    pub said: String,
}

/// What an API server says of an object, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It would be done.
    Accepted,
    /// It would be a dead letter.
    Refused,
    /// It would be tried again: the server is away, busy, or asks to wait.
    NotNow,
    /// The action goes to no cluster, so there is no server to ask.
    NoCluster,
    /// The trigger does nothing in clusters.
    NotTried,
}

impl Verdict {
    /// Whether there is nothing to be changed.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Accepted | Self::NotTried)
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::NotNow => "not now",
            Self::NoCluster => "no cluster",
            Self::NotTried => "not tried",
        }
    }
}

/// What comes of an [`Order`].
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What is created or sent, in the order of decision.
    pub rendered: Vec<Rendered>,
    /// Why something is not: filters that do not let an event through, conditions that wait.
    pub notes: Vec<String>,
}

/// Renders.
///
/// # Errors
/// The sensor is refused or not there, an event cannot be read, or a parameter fails.
pub fn render(order: &Order) -> anyhow::Result<Outcome> {
    let Fired { firings, notes, .. } = fire(order, None)?;
    let rendered = firings.iter().map(|(rendered, _)| shown(rendered));
    Ok(Outcome { rendered: rendered.collect::<anyhow::Result<_>>()?, notes })
}

/// What fires.
struct Fired {
    /// What is carried out, with the events that fired it, in the order of decision.
    firings: Vec<(RenderedAction, Vec<Arc<Event>>)>,
    /// Why something does not fire.
    notes: Vec<String>,
    /// What the files hold.
    #[cfg_attr(not(feature = "kubernetes"), expect(dead_code, reason = "there are no clusters"))]
    configuration: Configuration,
}

/// Decides and renders. Where `choice` is given, actions are bound to targets as in the daemon.
fn fire(order: &Order, choice: Option<&TargetChoice>) -> anyhow::Result<Fired> {
    let definitions = Definitions::default();
    let configuration = load::load(&order.inputs, &definitions);
    if let Some(choice) = choice {
        definitions.set_routes(targets::routes(choice, &configuration));
    }
    let compiled = sensor(order, &configuration)?;
    let sensor = &compiled.sensor;
    if let Some(trigger) = &order.trigger {
        let known: Vec<&str> = sensor.triggers.iter().map(|of| of.name.trigger.as_str()).collect();
        ensure!(
            known.contains(&trigger.as_str()),
            "sensor {} has no trigger `{trigger}`; it has {}",
            sensor.name,
            known.join(", ")
        );
    }
    let events = order
        .events
        .iter()
        .map(|(dependency, text)| event(sensor, dependency.as_deref(), text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(!events.is_empty(), "an event is needed: --event FILE, or --event DEPENDENCY=FILE");
    let (actions, notes) = decide(sensor, &events);
    let mut firings = Vec::new();
    for mut action in actions {
        if order.trigger.as_ref().is_some_and(|trigger| *trigger != action.trigger.trigger) {
            continue;
        }
        let of_action: Vec<Arc<Event>> = action
            .events
            .iter()
            .filter_map(|of| events.iter().find(|e| e.key == of.key && e.id == of.id).cloned())
            .collect();
        definitions.bind(&mut action);
        let action = Arc::new(action);
        let rendered = definitions
            .render(&action, &of_action)
            .map_err(|error| anyhow::anyhow!("trigger {}: {}", action.trigger, error.reason))?;
        firings.push((rendered, of_action));
    }
    Ok(Fired { firings, notes, configuration })
}

fn sensor(order: &Order, loaded: &Configuration) -> anyhow::Result<Arc<CompiledSensor>> {
    let wanted = |name: &tripline_event::ObjectName| {
        order.sensor.as_ref().is_none_or(|text| *text == name.name || *text == name.to_string())
    };
    let mut found = loaded.sensors.iter().filter(|(name, _)| wanted(name));
    let Some((_, first)) = found.next() else {
        let errors: Vec<String> = loaded
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.is_error())
            .map(ToString::to_string)
            .collect();
        bail!(
            "there is no valid sensor{}",
            match errors.as_slice() {
                [] => String::new(),
                errors => format!(":\n{}", errors.join("\n")),
            }
        );
    };
    let more: Vec<String> = found.map(|(name, _)| name.to_string()).collect();
    ensure!(
        more.is_empty(),
        "there are several sensors: {}, {}; choose one with --sensor",
        first.definition.name,
        more.join(", ")
    );
    Ok(Arc::clone(&first.compiled))
}

/// An event as `tripline events --output json` prints it, or the data of one alone.
pub(crate) fn event(
    sensor: &Sensor,
    dependency: Option<&str>,
    text: &str,
) -> anyhow::Result<Arc<Event>> {
    let bytes = Bytes::copy_from_slice(text.trim().as_bytes());
    let recorded = EventsRecord::decode(&bytes).ok();
    if let (None, Some(EventsRecord::Event(event))) = (dependency, &recorded) {
        return Ok(Arc::new(event.clone()));
    }
    let key = key(sensor, dependency)?;
    if let Some(EventsRecord::Event(event)) = recorded {
        return Ok(Arc::new(Event { key, ..event }));
    }
    serde_json::from_slice::<&serde_json::value::RawValue>(&bytes)
        .context("the event is no JSON")?;
    let id = EventId("example".to_owned());
    Ok(Arc::new(Event {
        links: Links::first(CorrelationId(id.to_string())),
        key,
        id,
        kind: "webhook".to_owned(),
        time: SystemClock.now(),
        content_type: JSON.to_owned(),
        data: Some(bytes),
        cloud_event: None,
    }))
}

fn key(sensor: &Sensor, dependency: Option<&str>) -> anyhow::Result<EventKey> {
    let names: Vec<&str> = sensor.dependencies.iter().map(|of| &*of.name).collect();
    let found = match (dependency, sensor.dependencies.as_slice()) {
        (None, [only]) => only,
        (None, _) => bail!(
            "sensor {} has several dependencies: say which the event is for, --event NAME=FILE; they are {}",
            sensor.name,
            names.join(", ")
        ),
        (Some(name), _) => match sensor.dependency(name) {
            Some((_, dependency)) => dependency,
            None => bail!(
                "sensor {} has no dependency `{name}`; it has {}",
                sensor.name,
                names.join(", ")
            ),
        },
    };
    Ok(found.key.clone())
}

/// Puts the events through the evaluator.
fn decide(sensor: &Arc<Sensor>, events: &[Arc<Event>]) -> (Vec<Action>, Vec<String>) {
    let plan = Arc::new(Plan::new(1, vec![Arc::clone(sensor)]));
    let start = Position::new(1, 0);
    let log_time = events.iter().map(|event| event.time).min().unwrap_or_default();
    let state = State { log_time, ..State::new(start) };
    let mut evaluator = Evaluator::new(plan, state);
    let mut notes = Notes::default();
    let (mut actions, mut position) = (Vec::new(), start);
    for event in events {
        position = position.next();
        let record = EventsRecord::Event(Event::clone(event));
        actions.extend(evaluator.apply(position, &record, &mut notes).actions);
    }
    if actions.is_empty() {
        notes.lines.push("nothing fires".to_owned());
    }
    (actions, notes.lines)
}

/// What a rendered action would create or send.
///
/// # Errors
/// The object has no name, or none that a cluster takes.
pub fn shown(rendered: &RenderedAction) -> anyhow::Result<Rendered> {
    let operation = rendered.config.get("operation").and_then(Value::as_str).unwrap_or("submit");
    let object = match (&rendered.resource, rendered.kind.as_str()) {
        (Some(_), "argoWorkflow") if operation == "submit" => {
            let submission = Submission::new(rendered);
            submission
                .map_err(|error| anyhow::anyhow!("{}: {error}", rendered.action.trigger))?
                .object
        }
        (Some(resource), _) => resource.clone(),
        (None, _) => {
            let mut object = rendered.config.clone();
            if let (Some(payload), Some(fields)) = (&rendered.payload, object.as_object_mut()) {
                let text = || json!(String::from_utf8_lossy(payload));
                let body = serde_json::from_slice(payload).unwrap_or_else(|_| text());
                fields.insert("payload".to_owned(), body);
            }
            object
        }
    };
    Ok(Rendered {
        trigger: rendered.action.trigger.to_string(),
        kind: rendered.kind.clone(),
        target: rendered.action.target.clone(),
        object,
        server: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENSOR: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: deploy, namespace: ci}
spec:
  dependencies:
    - name: build
      eventSourceName: builds
      eventName: completed
      filters: {data: [{path: body.action, type: string, value: [completed]}]}
  triggers:
    - template:
        name: submit
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: deploy-}
              spec:
                entrypoint: main
                arguments: {parameters: [{name: image, value: "{{workflow.name}}"}]}
          parameters:
            - src: {dependencyName: build, dataKey: body.image}
              dest: spec.arguments.parameters.0.value
"#;

    fn order(event: &str) -> Order {
        Order {
            inputs: vec![Input::text("s.yaml", SENSOR)],
            events: vec![(None, event.to_owned())],
            ..Order::default()
        }
    }

    /// The record of the log that the daemon decided upon gives the workflow that it submitted.
    #[test]
    fn an_event_of_the_log_gives_the_object_with_its_name_and_labels() {
        let line = r#"{"position":"1/7","v":1,"record":"event","specversion":"1.0","id":"b-1","source":"builds","type":"webhook","subject":"completed","time":"2026-11-21T03:00:00Z","namespace":"ci","links":{"correlation":"build-1"},"data":{"body":{"action":"completed","image":"app:7"}}}"#;
        let outcome = render(&order(line)).unwrap();
        assert_eq!(outcome.notes, [""; 0]);
        let [only] = outcome.rendered.as_slice() else { panic!("{outcome:?}") };
        assert_eq!(only.trigger, "ci/deploy/submit");
        assert_eq!(only.object["spec"]["arguments"]["parameters"][0]["value"], "app:7");
        let metadata = &only.object["metadata"];
        assert_eq!(metadata["labels"]["tripline.dev/correlation-id"], "build-1");
        assert_eq!(metadata["namespace"], "ci");
        let again = render(&order(line)).unwrap();
        assert_eq!(again.rendered[0].object, only.object, "the same event, the same object");
    }

    /// The workflow as a text, and its parameters by name.
    #[test]
    fn arguments_go_into_the_parameters_of_their_names() {
        let sensor = r#"
apiVersion: tripline.dev/v1
kind: Sensor
metadata: {name: deploy, namespace: ci}
spec:
  dependencies: [{name: build, eventSourceName: builds, eventName: completed}]
  triggers:
    - template:
        name: submit
        argoWorkflow:
          source:
            inline: |
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: deploy-}
              spec:
                entrypoint: main
                templates:
                  - name: main
                    inputs: {parameters: [{name: image}]}
                    container: {image: "{{inputs.parameters.image}}"}
          arguments:
            image: $.body.image
"#;
        let inputs = |text: &str| vec![Input::text("s.yaml", text)];
        let event = r#"{"body": {"image": "app:{{7}}"}}"#;
        let outcome = render(&Order { inputs: inputs(sensor), ..order(event) }).unwrap();
        let spec = &outcome.rendered[0].object["spec"];
        assert_eq!(
            spec["arguments"]["parameters"],
            json!([{"name": "image", "value": "app:{{7}}"}])
        );
        assert_eq!(spec["templates"][0]["container"]["image"], "{{inputs.parameters.image}}");
        let wrong = sensor.replace("image: $.body.image", "imag: $.body.image");
        let error = render(&Order { inputs: inputs(&wrong), ..order(event) }).unwrap_err();
        assert!(error.to_string().contains("declares no parameter `imag`"), "{error}");
        let of_argo = sensor.replace("tripline.dev/v1", "argoproj.io/v1alpha1");
        let error = render(&Order { inputs: inputs(&of_argo), ..order(event) }).unwrap_err();
        assert!(error.to_string().contains("Tripline's own"), "{error}");
    }

    #[test]
    fn bare_data_is_an_event_of_the_only_dependency() {
        let outcome = render(&order(r#"{"body": {"action": "completed", "image": "x"}}"#)).unwrap();
        assert_eq!(outcome.rendered.len(), 1);
    }

    #[test]
    fn an_event_that_is_not_let_through_renders_nothing_and_says_why() {
        let outcome = render(&order(r#"{"body": {"action": "failed"}}"#)).unwrap();
        assert!(outcome.rendered.is_empty());
        assert!(outcome.notes[1].contains("body.action is failed"), "{:?}", outcome.notes);
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (change, expected) in [
            (
                Order { trigger: Some("x".into()), ..order("{}") },
                "has no trigger `x`; it has submit",
            ),
            (Order { sensor: Some("x".into()), ..order("{}") }, "there is no valid sensor"),
            (
                Order { events: vec![(Some("x".into()), "{}".into())], ..order("{}") },
                "has no dependency `x`; it has build",
            ),
            (Order { events: Vec::new(), ..order("{}") }, "an event is needed"),
            (order("{"), "the event is no JSON"),
        ] {
            let error = render(&change).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

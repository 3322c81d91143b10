//! A CronWorkflow or Schedule becomes a sensor on its own ticks.
//!
//! The sensor is never written anywhere: it is made again from the object, which is what the
//! bus keeps. It depends on the event `tick`, and has the trigger that the object describes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tripline_config::{Dialect, FieldPath, Problem, Step, decode};
use tripline_event::{DefinitionHash, ObjectName};
use tripline_schedules::cron_workflow::{self, CronWorkflowSpec, Metadata};
use tripline_schedules::definition::Definition;
use tripline_schedules::policy::OverlapPolicy;
use tripline_schedules::schedule::{self, ScheduleResource};
use tripline_schedules::spec::SpecError;

use super::compiled::{CompiledSchedule, Does, Kind, Naming};
use super::events;
use crate::codes;

/// The name of the sensor's dependency on the tick.
pub const DEPENDENCY: &str = "tick";
/// Where a definition has the calendars of holidays that it names, beside `spec`.
pub const HOLIDAYS: &str = "holidays";
/// The name of its trigger.
pub const TRIGGER: &str = "run";
/// The name of the dependency, and of the trigger, by which a run is stopped at once; by
/// [`events::STOP`] it is asked to stop.
const TERMINATE: &str = "terminate";

/// The annotation of a workflow with the time that it was scheduled for.
const SCHEDULED_TIME: &str = "workflows.argoproj.io/scheduled-time";
/// Labels of a CronWorkflow that its workflows have too.
const HANDED_ON: [&str; 4] = [
    "workflows.argoproj.io/controller-instanceid",
    "workflows.argoproj.io/creator",
    "workflows.argoproj.io/creator-email",
    "workflows.argoproj.io/creator-preferred-username",
];
/// Fields of an action that are the trigger's, and not its template's.
const OF_TRIGGER: [&str; 10] = [
    "parameters",
    "policy",
    "retryStrategy",
    "rateLimit",
    "atLeastOnce",
    "dlqTrigger",
    "maxInFlight",
    "expiresAfter",
    "clusters",
    "clusterFrom",
];

/// What an object was lowered to.
#[derive(Debug)]
pub struct Lowered {
    /// What decides when.
    pub schedule: CompiledSchedule,
    /// `spec` of the sensor that is its action; none where a tick is an event and no more.
    pub sensor: Option<Value>,
    /// What is worth saying, though the object can be used.
    pub warnings: Vec<Problem>,
}

/// Lowers an object of one of the two kinds. The paths of problems are those from the object
/// on.
///
/// # Errors
/// Everything that is wrong with it; what is wrong with its action is found when the sensor
/// is compiled.
pub fn lower(kind: Kind, hash: &DefinitionHash, json: &Value) -> Result<Lowered, Vec<Problem>> {
    let dialect = Dialect::of(json.get("apiVersion").and_then(Value::as_str).unwrap_or_default());
    let metadata = metadata(json);
    let object = ObjectName::new(&metadata.namespace, &metadata.name);
    let at = FieldPath::root().key("spec");
    let null = Value::Null;
    let spec = json.get("spec").unwrap_or(&null);
    let (definition, does, sensor, workflows, warnings) = match kind {
        Kind::CronWorkflow => {
            let (spec, warnings) = decode::<CronWorkflowSpec>(spec, &at, dialect)?;
            let definition = cron_workflow::compile(&metadata, &spec).map_err(problems)?;
            let sensor = of_cron_workflow(&metadata, &spec, &definition);
            (definition, Does::Trigger, Some(sensor), Some(Naming::ByTime), warnings)
        }
        Kind::Schedule => {
            let (mut resource, mut warnings) = decode::<ScheduleResource>(spec, &at, dialect)?;
            let holidays = json.get(HOLIDAYS).cloned().unwrap_or_default();
            resource.holidays = serde_json::from_value(holidays).unwrap_or_default();
            let definition = schedule::compile(&resource).map_err(problems);
            let action = of_action(&resource.action, &kind.source_of(&object));
            let (definition, (does, mut sensor)) = match (definition, action) {
                (Ok(definition), Ok(action)) => (definition, action),
                (definition, action) => {
                    let mut all = definition.err().unwrap_or_default();
                    all.extend(action.err());
                    return Err(all);
                }
            };
            let stoppable = sensor.as_mut().and_then(|sensor| {
                let stoppable = stoppable(&resource.action)?;
                Some(stoppable.map(|found| with_stops(sensor, &found, &kind.source_of(&object))))
            });
            let workflows = match stoppable {
                Some(Ok(naming)) => Some(naming),
                Some(Err(why)) => {
                    warnings.extend(not_stoppable(definition.policies.overlap, why));
                    None
                }
                None => None,
            };
            (definition, does, sensor, workflows, warnings)
        }
    };
    let schedule = CompiledSchedule {
        kind,
        name: kind.source_of(&object),
        seed: object.to_string(),
        object,
        definition,
        hash: hash.clone(),
        does,
        workflows,
    };
    Ok(Lowered { schedule, sensor, warnings })
}

fn problems(errors: Vec<SpecError>) -> Vec<Problem> {
    let problem = |error: SpecError| {
        let problem = Problem::error(codes::SCHEDULE, error.path, error.message);
        match error.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    };
    errors.into_iter().map(problem).collect()
}

fn metadata(json: &Value) -> Metadata {
    let metadata = json.get("metadata").cloned().unwrap_or_default();
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let texts = |key: &str| {
        let map = metadata.get(key).and_then(Value::as_object);
        let texts = map
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        texts.collect::<BTreeMap<_, _>>()
    };
    let namespace = match text("namespace") {
        namespace if namespace.is_empty() => tripline_event::name::DEFAULT_NAMESPACE.to_owned(),
        namespace => namespace,
    };
    Metadata {
        namespace,
        name: text("name"),
        labels: texts("labels"),
        annotations: texts("annotations"),
    }
}

fn dependencies(source: &ObjectName) -> Value {
    json!([{"name": DEPENDENCY, "eventSourceName": source.name, "eventName": events::TICK}])
}

/// A parameter that takes a text of the tick's data.
fn parameter(data_key: &str, dest: &str) -> Value {
    json!({"src": {"dependencyName": DEPENDENCY, "dataKey": data_key}, "dest": dest})
}

/// The workflow has the name, the labels and the annotations that Argo Workflows gives it.
fn of_cron_workflow(
    metadata: &Metadata,
    spec: &CronWorkflowSpec,
    definition: &Definition,
) -> Value {
    let mut labels: BTreeMap<&str, &str> = HANDED_ON
        .iter()
        .filter_map(|label| Some((*label, metadata.labels.get(*label)?.as_str())))
        .collect();
    labels.insert("workflows.argoproj.io/cron-workflow", &metadata.name);
    let own = spec.workflow_metadata.clone().unwrap_or_default();
    labels.extend(own.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let mut parameters = vec![parameter("workflowName", "metadata.name")];
    if !own.annotations.contains_key(SCHEDULED_TIME) {
        let dest = format!("metadata.annotations.{}", SCHEDULED_TIME.replace('.', "\\."));
        parameters.push(parameter("scheduledTime", &dest));
    }
    let mut workflow = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "namespace": metadata.namespace,
            "labels": labels,
            "annotations": own.annotations,
        },
        "spec": spec.workflow_spec,
    });
    if !own.finalizers.is_empty() {
        workflow["metadata"]["finalizers"] = json!(own.finalizers);
    }
    let object = ObjectName::new(&metadata.namespace, &metadata.name);
    let deadline = definition.policies.catch_up_window.as_secs();
    let mut trigger = json!({"template": {"name": TRIGGER, "argoWorkflow": {
        "operation": "submit",
        "source": {"resource": workflow},
        "parameters": parameters,
    }}});
    if deadline > 0 {
        // A submission that fails is tried again as long as it may be late.
        trigger["expiresAfter"] = json!(format!("{}s", deadline.max(60)));
    }
    let source = Kind::CronWorkflow.source_of(&object);
    let mut dependencies = dependencies(&source);
    let mut triggers = vec![trigger];
    if definition.policies.overlap == OverlapPolicy::Replace {
        // With a second dependency each trigger says which one it waits for.
        triggers[0]["template"]["conditions"] = json!(DEPENDENCY);
        triggers.push(stop_trigger(events::STOP, "terminate", Some(&metadata.namespace)));
        if let Some(dependencies) = dependencies.as_array_mut() {
            dependencies.push(stop_dependency(events::STOP, &source));
        }
    }
    json!({"dependencies": dependencies, "triggers": triggers})
}

fn stop_dependency(name: &str, source: &ObjectName) -> Value {
    json!({"name": name, "eventSourceName": source.name, "eventName": events::STOP})
}

/// Stops the workflow of a run, as `operation` does, when the dependency of that name is met.
fn stop_trigger(dependency: &str, operation: &str, namespace: Option<&str>) -> Value {
    let name = json!({"dependencyName": dependency, "dataKey": "workflowName"});
    let mut metadata = json!({"name": ""});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({"template": {"name": dependency, "conditions": dependency, "argoWorkflow": {
        "operation": operation,
        // The run may have ended, or not begun.
        "ifThere": true,
        "source": {"resource": {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": metadata,
        }},
        "parameters": [{"src": name, "dest": "metadata.name"}],
    }}})
}

/// How the workflows of a Schedule can be found again, to stop them.
struct Stoppable {
    naming: Naming,
    namespace: Option<String>,
    clusters: Value,
}

/// What the workflows that an action submits are called; none where it submits none. It must
/// follow from the definition alone: what is to be stopped may be a run of long ago.
fn stoppable(action: &Value) -> Option<Result<Stoppable, &'static str>> {
    let workflow = action.get("argoWorkflow")?;
    let operation = workflow.get("operation").and_then(Value::as_str).unwrap_or_default();
    if !["", "submit"].contains(&operation) {
        return None;
    }
    let several = |clusters: &Value| clusters.as_array().is_some_and(|names| names.len() > 1);
    if action.get("clusterFrom").is_some() || action.get("clusters").is_some_and(several) {
        return Some(Err("its workflows are in several clusters"));
    }
    let Some(resource) = workflow.pointer("/source/resource") else {
        return Some(Err("its workflow is not under `source.resource`"));
    };
    let lists = [workflow.get("parameters"), action.get("parameters")];
    let named = lists.into_iter().flatten().filter_map(Value::as_array).flatten().any(|one| {
        let dest = one.get("dest").and_then(Value::as_str).unwrap_or_default();
        ["metadata.name", "metadata.namespace", "metadata.generateName"]
            .iter()
            .any(|field| dest.ends_with(field))
    });
    let options = workflow.get("args").and_then(Value::as_array).into_iter().flatten();
    let mut options = options.filter_map(Value::as_str);
    if named || options.any(|option| option.contains("name")) {
        return Some(Err("parameters or `args` give its workflows their names"));
    }
    let text = |field: &str| resource["metadata"][field].as_str().map(str::to_owned);
    let naming = match (text("name"), text("generateName")) {
        (Some(name), _) => Naming::Fixed(name),
        (None, Some(prefix)) => Naming::Generated(prefix),
        (None, None) => return Some(Err("its workflow has neither `name` nor `generateName`")),
    };
    let clusters = action.get("clusters").cloned().unwrap_or_default();
    Some(Ok(Stoppable { naming, namespace: text("namespace"), clusters }))
}

/// Adds to the sensor of a Schedule what stops the workflow of a run. Which of the two
/// happens is up to the policy: that of the schedule, or of who asked for a run.
fn with_stops(sensor: &mut Value, found: &Stoppable, source: &ObjectName) -> Naming {
    let stops = [(events::STOP, "stop", "false"), (TERMINATE, "terminate", "true")];
    if let Some(run) = sensor.pointer_mut("/triggers/0/template") {
        // With other dependencies each trigger says which one it waits for.
        run["conditions"] = json!(DEPENDENCY);
    }
    for (name, operation, terminate) in stops {
        let mut dependency = stop_dependency(name, source);
        let filter = json!({"path": "terminate", "type": "bool", "value": [terminate]});
        dependency["filters"] = json!({"data": [filter]});
        let mut trigger = stop_trigger(name, operation, found.namespace.as_deref());
        if !found.clusters.is_null() {
            trigger["clusters"] = found.clusters.clone();
        }
        for (list, one) in [("dependencies", dependency), ("triggers", trigger)] {
            if let Some(list) = sensor[list].as_array_mut() {
                list.push(one);
            }
        }
    }
    found.naming.clone()
}

fn not_stoppable(overlap: OverlapPolicy, why: &str) -> Option<Problem> {
    use OverlapPolicy::{CancelOther, Replace, TerminateOther};
    let at = FieldPath::root().key("spec").key("policies").key("overlap");
    let message = format!("the workflow of a run cannot be stopped: {why}");
    [CancelOther, TerminateOther, Replace].contains(&overlap).then(|| {
        Problem::warning(codes::SCHEDULE, at, message)
            .help("name it by `metadata.generateName` or `metadata.name`, in one cluster")
    })
}

/// What a tick of a Schedule does, and `spec` of the sensor, if there is one.
fn of_action(action: &Value, source: &ObjectName) -> Result<(Does, Option<Value>), Problem> {
    let at = FieldPath::root().key("spec").key("action");
    let help =
        "write `action: {argoWorkflow: {…}}`, another kind of trigger, or `action: {event: {}}`";
    let Some(action) = action.as_object() else {
        let message = "a Schedule needs `action`: what a tick does";
        return Err(Problem::error(codes::SCHEDULE, at, message).help(help));
    };
    if let Some(event) = action.get("event") {
        if let Some(other) = action.keys().find(|key| *key != "event") {
            let message = format!("`{other}` has no place beside `event`");
            return Err(Problem::error(codes::SCHEDULE, at.key(other), message));
        }
        return Ok((own_event(event, &at.key("event"))?, None));
    }
    let (of_trigger, of_template): (Map<_, _>, Map<_, _>) = action
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .partition(|(key, _)| OF_TRIGGER.contains(&key.as_str()));
    if of_template.is_empty() {
        let message = "the action names nothing that is done";
        return Err(Problem::error(codes::SCHEDULE, at, message).help(help));
    }
    let mut trigger = of_trigger;
    let mut template = of_template;
    template.insert("name".to_owned(), TRIGGER.into());
    trigger.insert("template".to_owned(), template.into());
    let spec = json!({"dependencies": dependencies(source), "triggers": [trigger]});
    Ok((Does::Trigger, Some(spec)))
}

fn own_event(event: &Value, at: &FieldPath) -> Result<Does, Problem> {
    let null = Value::Null;
    let fields = event.as_object();
    if fields.is_none() && !event.is_null() {
        let message = "`event` is a mapping with `name` and `data`";
        return Err(Problem::error(codes::SCHEDULE, at.clone(), message));
    }
    let unknown =
        fields.into_iter().flatten().find(|(key, _)| !["name", "data"].contains(&key.as_str()));
    if let Some((key, _)) = unknown {
        let message = format!("unknown field `{key}`");
        return Err(Problem::error(codes::SCHEDULE, at.key(key), message)
            .help("an event has `name` and `data`"));
    }
    let name = match event.get("name").unwrap_or(&null) {
        Value::Null => events::TICK,
        Value::String(name) if is_event_name(name) => name,
        other => {
            let message = format!("{other} is no name of an event of its own");
            return Err(Problem::error(codes::SCHEDULE, at.key("name"), message).help(
                "letters, digits, `-`, `_` and `.`; not a name that schedules use themselves",
            ));
        }
    };
    let data = event.get("data").cloned().unwrap_or_default();
    Ok(Does::Event { name: name.to_owned(), data })
}

fn is_event_name(name: &str) -> bool {
    let taken = [events::SKIPPED, events::ENDED, events::STOP, events::CHANGED, events::COMMAND];
    !name.is_empty()
        && name.len() <= 63
        && !taken.contains(&name)
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// The place in the object of what was found at a place in the sensor.
pub fn original(kind: Kind, path: &FieldPath) -> FieldPath {
    let spec = FieldPath::root().key("spec");
    let in_trigger = path.0.get(3..).unwrap_or_default();
    let rest = match in_trigger {
        [Step::Key(template), rest @ ..] if template == "template" => rest,
        rest => rest,
    };
    match kind {
        Kind::Schedule => {
            let mut original = spec.key("action");
            original.0.extend(rest.iter().cloned());
            original
        }
        Kind::CronWorkflow => {
            let steps = ["argoWorkflow", "source", "resource", "spec"];
            let in_workflow = steps
                .iter()
                .zip(rest)
                .all(|(expected, step)| matches!(step, Step::Key(key) if key == expected));
            let mut original = spec.key("workflowSpec");
            if in_workflow {
                original.0.extend(rest.iter().skip(steps.len()).cloned());
            }
            original
        }
    }
}

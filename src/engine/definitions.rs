//! Sensors that are compiled, by the hash of their definition.
//!
//! A definition is compiled once, whichever plans it is in, and stays: actions that it
//! decided are rendered with it, whatever the sensor is by then.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde_json::Value;
use tripline_bus::Bus;
use tripline_config::{Dialect, Document, FieldPath, Problem, Severity, Stamp};
use tripline_event::{
    Action, ActionId, Cause, DeadLetter, DefinitionHash, Event, ObjectName, Timestamp, TriggerName,
};
use tripline_schedules::robfig::Cron;
use tripline_schedules::{duration, zone};
use tripline_sensors::definition::{self, NumberOrText, SensorSpec};
use tripline_sensors::evaluator::{Calendar, Recurrence, Sensor, StartFrom};
use tripline_sensors::parameter::{Events, Parameters};
use tripline_sensors::set;
use tripline_sensors::view::EventView;
use tripline_triggers::executor::{RenderError, Renderer, RetryPolicy, TriggerPolicy};
use tripline_triggers::kinds::{self, Applies};
use tripline_triggers::{LiveParameters, RenderedAction};

use super::arguments;
use super::json_text::JsonText;
use super::plans::{self, PlanError};
use super::routes::{self, Routes};
use super::schedules::{CompiledSchedule, Kind, lowered};
use super::steering::{self, FollowUp, InForce, OfSensor};
use crate::codes;
use crate::load::LoadedSensor;
use crate::load::remembered::Remembered;

/// A sensor with everything that is needed to decide and to render.
#[derive(Debug)]
pub struct CompiledSensor {
    /// What decides.
    pub sensor: Arc<Sensor>,
    /// What renders, by the trigger's name.
    pub triggers: HashMap<String, Box<Rendering>>,
    /// What decides when, where the object was a schedule: the sensor is its action.
    pub schedule: Option<Arc<CompiledSchedule>>,
}

/// How the actions of one trigger are rendered and carried out.
#[derive(Debug)]
pub struct Rendering {
    /// The kind of the trigger.
    pub kind: &'static str,
    dialect: Dialect,
    policy: TriggerPolicy,
    /// What follows where one of its actions becomes a dead letter.
    follow_up: Option<FollowUp>,
    /// Where its actions go, where its kind has no choice of targets and no event decides.
    endpoint: Option<String>,
    /// `policy` of the trigger, as its kind reads it.
    success: Option<Value>,
    /// The account that its actions act as.
    service_account: Option<String>,
    /// The targets that an event may name; none where the event does not say.
    pub allowed_targets: Option<Vec<String>>,
    /// The template as JSON text, where it has parameters of its own.
    template: Option<(String, Parameters)>,
    body: Body,
}

/// What stands under the kind.
#[derive(Debug, Default)]
struct Body {
    config: JsonText,
    resource: Option<JsonText>,
    parameters: Option<Parameters>,
    /// `dynamicHeaders`, which are set after `parameters`.
    headers: Option<Parameters>,
    /// `arguments` of a workflow, which are set last.
    arguments: Option<Parameters>,
    payload: Option<Parameters>,
}

/// The compiled sensors of this process.
#[derive(Default)]
pub struct Definitions {
    compiled: RwLock<HashMap<DefinitionHash, Arc<CompiledSensor>>>,
    /// What there is to say about definitions that were checked whole and are not refused.
    warnings: RwLock<HashMap<DefinitionHash, Vec<Problem>>>,
    /// What the latest load found.
    remembered: RwLock<Remembered>,
    routes: RwLock<Routes>,
    /// What is in force: how actions that wait are started follows from that.
    pub in_force: InForce,
}

/// A definition in the bus cannot be compiled by this build.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// It is not there.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It was accepted once and is not any more.
    #[error("definition {0} is in the bus but this build refuses it: {1}")]
    Refused(DefinitionHash, String),
}

impl Definitions {
    /// The compiled definition of that hash, if it was compiled.
    pub fn get(&self, hash: &DefinitionHash) -> Option<Arc<CompiledSensor>> {
        self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    /// Compiles a definition, or takes the one that was compiled. `json` is the object.
    pub fn compile(
        &self,
        name: &ObjectName,
        hash: &DefinitionHash,
        json: &Value,
    ) -> (Option<Arc<CompiledSensor>>, Vec<Problem>) {
        if let Some(known) = self.get(hash) {
            return (Some(known), Vec::new());
        }
        let (compiled, problems) = compile(name, hash, json);
        let compiled = compiled.map(Arc::new);
        if let Some(compiled) = &compiled {
            self.keep(hash, compiled);
        }
        (compiled, problems)
    }

    /// A definition that was checked and compiled before, with the warnings about it.
    pub fn checked(&self, hash: &DefinitionHash) -> Option<(Arc<CompiledSensor>, Vec<Problem>)> {
        let warnings = self.warnings.read().unwrap_or_else(PoisonError::into_inner);
        Some((self.get(hash)?, warnings.get(hash)?.clone()))
    }

    /// Remembers all that there is to say about a definition, which is not refused.
    pub fn note_warnings(&self, hash: &DefinitionHash, warnings: &[Problem]) {
        let mut all = self.warnings.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(hash.clone(), warnings.to_vec());
    }

    /// What a document was found to be at the latest load.
    pub fn recall(&self, document: &DefinitionHash) -> Option<LoadedSensor> {
        let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
        remembered.documents.get(document).cloned()
    }

    /// What stood in a file at the latest load, unless it has changed since.
    pub fn recall_file(&self, file: &str, stamp: &Stamp) -> Option<Arc<[Document]>> {
        self.remembered.read().unwrap_or_else(PoisonError::into_inner).file(file, stamp)
    }

    /// Remembers what a load found, in place of what earlier ones did.
    pub fn remember(&self, found: Remembered) {
        *self.remembered.write().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// From now on actions whose triggers name no target go where `routes` says.
    pub fn set_routes(&self, routes: Routes) {
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = routes;
    }

    /// Binds an action that was just decided to its target, unless it is already. It stays
    /// there, whatever the routes are when it is carried out.
    pub fn bind(&self, action: &mut Action) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let Some(target) = routes.target_of(&action.trigger) else { return };
        if action.target.is_none() && self.has_targets(action) {
            action.target = Some(target.to_owned());
        }
    }

    /// Whether the kind of the action's trigger has a choice of targets.
    fn has_targets(&self, action: &Action) -> bool {
        let compiled = self.get(&action.definition);
        let rendering = compiled.as_ref().and_then(|of| of.triggers.get(&action.trigger.trigger));
        rendering.is_some_and(|rendering| kinds::has_targets(rendering.kind))
    }

    /// The triggers that have a rate, in force or not, each with how many starts it allows in its
    /// unit: what waits of one that is gone is still started as the definition that decided it
    /// says.
    pub fn limited(&self) -> HashMap<TriggerName, u32> {
        let all = self.compiled.read().unwrap_or_else(PoisonError::into_inner);
        let mut limited = HashMap::new();
        for compiled in all.values() {
            for (trigger, rendering) in &compiled.triggers {
                let Some(rate) = rendering.policy.rate else { continue };
                let name = TriggerName::new(&compiled.sensor.name, trigger);
                let most: &mut u32 = limited.entry(name).or_default();
                *most = rate.requests.max(*most);
            }
        }
        limited
    }

    /// What the action is called that follows from a dead letter of this round of `action`,
    /// where its trigger has a `dlqTrigger`.
    pub fn follow_up_id(&self, action: &Action) -> Option<ActionId> {
        let compiled = self.get(&action.definition)?;
        let follow_up = compiled.triggers.get(&action.trigger.trigger)?.follow_up.as_ref()?;
        Some(follow_up.id(action))
    }

    fn keep(&self, hash: &DefinitionHash, compiled: &Arc<CompiledSensor>) {
        let mut all = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(hash.clone(), Arc::clone(compiled));
    }

    /// The compiled definition of that hash, from the bus if need be.
    pub async fn load(
        &self,
        bus: &dyn Bus,
        name: &ObjectName,
        hash: &DefinitionHash,
    ) -> Result<Arc<CompiledSensor>, DefinitionError> {
        if let Some(known) = self.get(hash) {
            return Ok(known);
        }
        let json = plans::definition(bus, hash).await?;
        let refused = |reason: String| DefinitionError::Refused(hash.clone(), reason);
        let json = serde_json::from_str(&json).map_err(|error| refused(error.to_string()))?;
        let (compiled, problems) = self.compile(name, hash, &json);
        compiled.ok_or_else(|| {
            let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
            let errors: Vec<_> =
                errors.map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
            refused(errors.join("; "))
        })
    }
}

/// Compiles the sensor `json`, with all mistakes in it. The paths of the problems are
/// relative to the object. The shape of the object is for [`crate::load`] to check.
pub fn compile(
    name: &ObjectName,
    hash: &DefinitionHash,
    json: &Value,
) -> (Option<CompiledSensor>, Vec<Problem>) {
    if let Some(kind) = json.get("kind").and_then(Value::as_str).and_then(|kind| kind.parse().ok())
    {
        return compile_schedule(kind, name, hash, json);
    }
    let spec = json.get("spec").cloned().unwrap_or_default();
    let dialect = Dialect::of(json.get("apiVersion").and_then(Value::as_str).unwrap_or_default());
    let spec: SensorSpec = match serde_json::from_value(spec) {
        Ok(spec) => spec,
        Err(error) => {
            let at = FieldPath::root().key("spec");
            return (
                None,
                vec![Problem::error(tripline_config::codes::INVALID_VALUE, at, error.to_string())],
            );
        }
    };
    let (sensor, mut problems) = Sensor::compile(name.clone(), hash.clone(), &spec, &Calendars);
    let names: Vec<&str> =
        spec.dependencies.iter().map(|dependency| dependency.name.as_str()).collect();
    let mut triggers = HashMap::new();
    let of_sensor = OfSensor { suspend: spec.suspend, freeze: &spec.freeze };
    let names_of_triggers: Vec<&str> = spec
        .triggers
        .iter()
        .filter_map(|trigger| Some(trigger.template.as_ref()?.name.as_str()))
        .collect();
    for (index, trigger) in spec.triggers.iter().enumerate() {
        let at = FieldPath::root().key("spec").key("triggers").index(index);
        let mut compiler = Compiler { dialect, dependencies: &names, problems: &mut problems };
        let Some((name, mut rendering)) = compiler.rendering(trigger, of_sensor, &at) else {
            continue;
        };
        rendering.service_account = service_account(&spec);
        let follow_up = steering::follow_up(trigger, &names_of_triggers, &at, compiler.problems);
        if let Some((follow_up, trigger)) = follow_up {
            let at = at.key("dlqTrigger");
            let compiled = compiler.rendering(&trigger, of_sensor, &at);
            if let Some((name, mut of_letters)) = compiled {
                of_letters.service_account = service_account(&spec);
                triggers.insert(name, Box::new(of_letters));
            }
            rendering.follow_up = Some(follow_up);
        }
        triggers.insert(name, Box::new(rendering));
    }
    let refused = problems.iter().any(|problem| problem.severity == Severity::Error);
    let compiled = sensor.filter(|_| !refused).map(|sensor| CompiledSensor {
        sensor: Arc::new(sensor),
        triggers,
        schedule: None,
    });
    (compiled, problems)
}

/// Compiles a CronWorkflow or Schedule, and the sensor that is its action.
fn compile_schedule(
    kind: Kind,
    name: &ObjectName,
    hash: &DefinitionHash,
    json: &Value,
) -> (Option<CompiledSensor>, Vec<Problem>) {
    let lowered = match lowered::lower(kind, hash, json) {
        Ok(lowered) => lowered,
        Err(problems) => return (None, problems),
    };
    let schedule = Some(Arc::new(lowered.schedule));
    let Some(spec) = lowered.sensor else {
        // A tick is an event and no more: nothing waits for it here.
        let sensor = Sensor {
            name: name.clone(),
            definition: hash.clone(),
            dependencies: Vec::new(),
            triggers: Vec::new(),
            max_hops: 0,
            start_from: StartFrom::Now,
        };
        let triggers = HashMap::new();
        let compiled = CompiledSensor { sensor: Arc::new(sensor), triggers, schedule };
        return (Some(compiled), lowered.warnings);
    };
    let at = FieldPath::root().key("spec");
    let mut problems = lowered.warnings;
    let original =
        |problem: Problem| Problem { path: lowered::original(kind, &problem.path), ..problem };
    if let Err(found) = tripline_config::decode::<SensorSpec>(&spec, &at, Dialect::Tripline) {
        problems.extend(found.into_iter().map(original));
        return (None, problems);
    }
    let sensor = serde_json::json!({"apiVersion": "tripline.dev/v1", "spec": spec});
    let (compiled, found) = compile(name, hash, &sensor);
    problems.extend(found.into_iter().map(original));
    (compiled.map(|compiled| CompiledSensor { schedule, ..compiled }), problems)
}

fn service_account(spec: &SensorSpec) -> Option<String> {
    let account = spec.template.as_ref()?.get("serviceAccountName")?.as_str()?;
    (!account.is_empty()).then(|| account.to_owned())
}

/// Compiles the triggers of one sensor.
struct Compiler<'a> {
    dialect: Dialect,
    dependencies: &'a [&'a str],
    problems: &'a mut Vec<Problem>,
}

/// What a list of parameters makes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ListOf {
    /// It is put into a document.
    Document,
    /// It is the payload.
    Payload,
}

impl Compiler<'_> {
    fn error(&mut self, code: &str, at: FieldPath, message: impl Into<String>) {
        self.problems.push(Problem::error(code, at, message));
    }

    fn rendering(
        &mut self,
        trigger: &definition::Trigger,
        sensor: OfSensor<'_>,
        at: &FieldPath,
    ) -> Option<(String, Rendering)> {
        let template = trigger.template.as_ref()?;
        let template_at = at.key("template");
        let Some((kind, config)) = template.kind() else {
            let problem =
                Problem::error(codes::NO_KIND, template_at, "a trigger's template needs a kind");
            self.problems.push(problem.help("one of `argoWorkflow`, `k8s`, `http`, `log`"));
            return None;
        };
        for (other, _) in template.kinds().skip(1) {
            let message =
                format!("`{other}` has no effect: the template has `{kind}` too, which goes first");
            self.problems.push(Problem::warning(codes::TWO_KINDS, template_at.key(other), message));
        }
        let kind_at = template_at.key(kind);
        let found = kinds::check(kind, config, &kind_at, self.dialect);
        let sound = !kinds::has_errors(&found);
        self.problems.extend(found);
        let success = trigger.policy.as_ref().and_then(|policy| serde_json::to_value(policy).ok());
        if let Some(policy) = &success {
            self.problems.extend(kinds::check_policy(kind, policy, &at.key("policy")));
        }
        let template_parameters =
            self.parameters(&trigger.parameters, ListOf::Document, &at.key("parameters"));
        if template_parameters.is_some() && config.get("arguments").is_some() {
            let message = "`arguments` and `parameters` of the trigger itself exclude each other";
            let problem = Problem::error(codes::TRIGGER_VALUE, kind_at.key("arguments"), message);
            self.problems.push(problem.help("move the parameters below `argoWorkflow`"));
        }
        let text = || serde_json::to_string(template).unwrap_or_default();
        self.targets(trigger, kind, at);
        let rendering = Rendering {
            kind,
            service_account: None,
            allowed_targets: trigger.cluster_from.as_ref().map(|from| from.allow.clone()),
            dialect: self.dialect,
            policy: self.policy(trigger, sensor, at),
            follow_up: None,
            endpoint: endpoint(kind, config),
            success,
            template: template_parameters.map(|parameters| (text(), parameters)),
            body: if sound { self.body(kind, config, &kind_at) } else { Body::default() },
        };
        Some((template.name.clone(), rendering))
    }

    fn targets(&mut self, trigger: &definition::Trigger, kind: &str, at: &FieldPath) {
        if kinds::has_targets(kind) {
            return;
        }
        let fields = [
            ("clusters", !trigger.clusters.is_empty()),
            ("clusterFrom", trigger.cluster_from.is_some()),
        ];
        for (field, _) in fields.into_iter().filter(|(_, given)| *given) {
            let message = format!("a trigger `{kind}` does not act in a cluster");
            self.error(codes::TRIGGER_FIELD, at.key(field), message);
        }
    }

    fn parameters(
        &mut self,
        list: &[definition::TriggerParameter],
        of: ListOf,
        at: &FieldPath,
    ) -> Option<Parameters> {
        if list.is_empty() {
            return None;
        }
        let (parameters, mut found) = Parameters::compile(list, self.dependencies);
        if of == ListOf::Document {
            found.extend(parameters.check_for_document());
        }
        self.problems.extend(found.into_iter().map(|problem| problem.below(at)));
        Some(parameters)
    }

    fn body(&mut self, kind: &str, config: &Value, at: &FieldPath) -> Body {
        let mut config = config.clone();
        let lists = [
            ("parameters", ListOf::Document),
            ("dynamicHeaders", ListOf::Document),
            ("payload", ListOf::Payload),
        ];
        let lists = lists.map(|(field, of)| {
            let mut taken = config.as_object_mut().and_then(|config| config.remove(field))?;
            if field == "dynamicHeaders" {
                set_headers(&mut taken);
            }
            let at = at.key(field);
            match serde_json::from_value::<Vec<definition::TriggerParameter>>(taken) {
                Ok(list) => self.parameters(&list, of, &at),
                Err(error) => {
                    self.error(tripline_config::codes::INVALID_VALUE, at, error.to_string());
                    None
                }
            }
        });
        let mut resource = kinds::resource(kind, &config, at).unwrap_or_else(|problem| {
            // `check` says so too, but not of a template that parameters have changed.
            self.problems.push(problem);
            None
        });
        let arguments = self.arguments(&mut config, resource.as_mut(), at);
        if resource.is_some()
            && let Some(config) = config.as_object_mut()
        {
            config.remove("source");
        }
        let [parameters, headers, payload] = lists;
        let (config, resource) = (JsonText::from(&config), resource.as_ref().map(JsonText::from));
        Body { config, resource, parameters, headers, arguments, payload }
    }

    fn arguments(
        &mut self,
        config: &mut Value,
        resource: Option<&mut Value>,
        at: &FieldPath,
    ) -> Option<Parameters> {
        let taken = config.as_object_mut().and_then(|config| config.remove("arguments"))?;
        let operation = config.get("operation").and_then(Value::as_str).unwrap_or("submit");
        let at = at.key("arguments");
        let placed = arguments::place(&taken, resource, operation, self.dependencies, &at);
        self.problems.extend(placed.problems);
        let (parameters, found) = Parameters::compile(&placed.list, self.dependencies);
        self.problems.extend(
            found.into_iter().map(|problem| arguments::at_name(problem, &placed.names, &at)),
        );
        (!placed.list.is_empty()).then_some(parameters)
    }

    fn policy(
        &mut self,
        trigger: &definition::Trigger,
        sensor: OfSensor<'_>,
        at: &FieldPath,
    ) -> TriggerPolicy {
        let retry = self.retry(trigger.retry_strategy.as_ref(), &at.key("retryStrategy"));
        steering::policy(trigger, sensor, retry, at, self.problems)
    }

    /// Argo Events' backoff: `duration` 1 s, `factor` 1, `jitter` 1, 5 steps where a strategy
    /// is given and leaves them out. Without one, Tripline tries until the action expires.
    fn retry(&mut self, backoff: Option<&definition::Backoff>, at: &FieldPath) -> RetryPolicy {
        let Some(backoff) = backoff else { return RetryPolicy::default() };
        let factor = self.number(backoff.factor.as_ref(), &at.key("factor"));
        let jitter = self.number(backoff.jitter.as_ref(), &at.key("jitter"));
        let initial = match &backoff.duration {
            None => Ok(SignedDuration::from_secs(1)),
            Some(NumberOrText::Number(nanos)) => {
                Ok(SignedDuration::from_nanos(nanos.as_i64().unwrap_or(0)))
            }
            Some(NumberOrText::Text(text)) => {
                duration::parse_go(text).map_err(|error| error.to_string())
            }
        };
        let initial = initial
            .and_then(|initial| {
                Duration::try_from(initial).map_err(|_| "it is less than 0".to_owned())
            })
            .unwrap_or_else(|reason| {
                self.error(codes::TRIGGER_VALUE, at.key("duration"), reason);
                Duration::from_secs(1)
            });
        let steps =
            backoff.steps.and_then(|steps| u32::try_from(steps).ok()).filter(|steps| *steps > 0);
        RetryPolicy {
            initial,
            factor,
            jitter,
            steps: Some(steps.unwrap_or(5)),
            max: steering::cap(backoff, at, self.problems),
        }
    }

    fn number(&mut self, value: Option<&NumberOrText>, at: &FieldPath) -> f64 {
        let Some(value) = value else { return 1.0 };
        let number = value.as_f64().filter(|value| value.is_finite() && *value >= 0.0);
        number.unwrap_or_else(|| {
            self.error(codes::TRIGGER_VALUE, at.clone(), "a number of 0 or more is expected");
            1.0
        })
    }
}

/// The calendar arithmetic that sensors are given.
struct Calendars;

#[derive(Debug)]
struct CronRecurrence(Cron);

impl Recurrence for CronRecurrence {
    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.0.next_after(after)
    }
}

impl Calendar for Calendars {
    fn recurrence(&self, cron: &str, timezone: &str) -> Result<Arc<dyn Recurrence>, String> {
        let zone = match timezone {
            "" => TimeZone::UTC,
            name => zone::load(name).map_err(|error| error.to_string())?,
        };
        let cron = Cron::parse(cron, &zone).map_err(|error| error.to_string())?;
        Ok(Arc::new(CronRecurrence(cron)))
    }

    fn duration(&self, text: &str) -> Result<SignedDuration, String> {
        duration::parse_go(text).map_err(|error| error.to_string())
    }
}

impl Renderer for Definitions {
    fn render(
        &self,
        action: &Arc<Action>,
        events: &[Arc<Event>],
    ) -> Result<RenderedAction, RenderError> {
        let failed = |reason: String| RenderError { cause: Cause::Render, reason };
        let compiled = self.get(&action.definition).ok_or_else(|| {
            failed(format!("definition {} of the sensor is not loaded", action.definition))
        })?;
        if action.links.hops > compiled.sensor.max_hops {
            return Err(looping(action, compiled.sensor.max_hops));
        }
        let rendering = compiled.triggers.get(&action.trigger.trigger).ok_or_else(|| {
            failed(format!(
                "definition {} has no trigger {}",
                action.definition, action.trigger.trigger
            ))
        })?;
        if let Some(allowed) = &rendering.allowed_targets {
            check_target(action, allowed)?;
        }
        let rendered =
            with_events(&compiled, action, events, |event_of| rendering.render(action, event_of));
        let mut rendered = rendered.map_err(failed)?;
        if rendering.is_live(&rendered.config) {
            let (action, events) = (Arc::clone(action), events.to_vec());
            rendered.live = Some(LiveParameters::new(move |object| {
                let rendering = compiled.triggers.get(&action.trigger.trigger);
                let rendering = rendering.ok_or("the trigger is gone")?;
                with_events(&compiled, &action, &events, |of| rendering.apply_to(object, of))
            }));
        }
        Ok(rendered)
    }

    fn policy(&self, action: &Action) -> TriggerPolicy {
        let trigger = &action.trigger;
        let in_force = self.in_force.of(&trigger.sensor_name());
        let of = |hash: &DefinitionHash| {
            let compiled = self.get(hash)?;
            compiled.triggers.get(&trigger.trigger).map(|rendering| rendering.policy.clone())
        };
        // Of a trigger that is gone, what decided.
        in_force.as_ref().and_then(of).or_else(|| of(&action.definition)).unwrap_or_default()
    }

    fn target(&self, action: &Action) -> Option<String> {
        if self.has_targets(action) {
            return Some(routes::target_name(action).to_owned());
        }
        let compiled = self.get(&action.definition)?;
        compiled.triggers.get(&action.trigger.trigger)?.endpoint.clone()
    }

    fn follow_up(&self, action: &Action, letter: &DeadLetter, now: Timestamp) -> Option<Action> {
        let compiled = self.get(&action.definition)?;
        let follow_up = compiled.triggers.get(&action.trigger.trigger)?.follow_up.as_ref()?;
        let mut next = follow_up.action(action, letter, now)?;
        self.bind(&mut next);
        Some(next)
    }
}

/// Where a trigger of this kind goes that has no choice of targets: scheme, host and port of
/// its `url`, unless an event decides about that.
fn endpoint(kind: &str, config: &Value) -> Option<String> {
    if kinds::has_targets(kind) {
        return None;
    }
    let lists = ["parameters", "dynamicHeaders"].map(|list| config.get(list));
    let mut parameters = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
    let decides =
        |parameter: &Value| parameter["dest"].as_str().is_some_and(|d| d.starts_with("url"));
    if parameters.any(decides) {
        return None;
    }
    let (scheme, rest) = config.get("url")?.as_str()?.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    // A password has no place in a name.
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then(|| format!("{scheme}://{host}"))
}

/// What the transforms of the dependencies make of the payloads: parameters see it.
fn transformed(
    sensor: &Sensor,
    action: &Action,
    events: &[Arc<Event>],
) -> Result<Vec<Option<String>>, String> {
    let one = |(of, event): (&tripline_event::ActionEvent, &Arc<Event>)| {
        let Some((_, dependency)) = sensor.dependency(&of.dependency) else { return Ok(None) };
        let transfer = event.cloud_event.as_ref().and_then(|said| said.transfer.as_ref());
        if transfer.is_some_and(|transfer| transfer.transformed) {
            return Ok(None);
        }
        dependency.filter.transform(&EventView::of(event)).map_err(|error| error.to_string())
    };
    action.events.iter().zip(events).map(one).collect()
}

/// Hands the events of an action to `render`, as the sensor sees them.
fn with_events<R>(
    compiled: &CompiledSensor,
    action: &Action,
    events: &[Arc<Event>],
    render: impl for<'e> FnOnce(&Events<'e>) -> Result<R, String>,
) -> Result<R, String> {
    let changed = transformed(&compiled.sensor, action, events)?;
    let views: Vec<EventView<'_>> = events.iter().map(|event| EventView::of(event)).collect();
    let views: Vec<EventView<'_>> = views
        .iter()
        .zip(&changed)
        .map(|(view, data)| {
            data.as_deref().map_or_else(|| view.clone(), |data| view.with_json(data))
        })
        .collect();
    let event_of = |dependency: &str| {
        let index = action.events.iter().position(|event| event.dependency == dependency)?;
        views.get(index)
    };
    render(&event_of)
}

/// Whether the event has named a target that the trigger allows.
fn check_target(action: &Action, allowed: &[String]) -> Result<(), RenderError> {
    let named = action.target.as_deref().unwrap_or_default();
    if allowed.iter().any(|target| target == named) {
        return Ok(());
    }
    let what = match named {
        "" => "the event names no cluster".to_owned(),
        named => format!("the event names the cluster `{named}`, which is not allowed"),
    };
    let reason = format!("clusterFrom: {what}; allowed are {}", allowed.join(", "));
    Err(RenderError { cause: Cause::Refused, reason })
}

/// Says how the chain went in circles: the triggers from the last time that this one was
/// passed, or the latest, where it was not.
fn looping(action: &Action, max_hops: u16) -> RenderError {
    let path = action.links.path_through(&action.trigger);
    let (this, before) =
        path.split_last().map_or(("", &path[..]), |(this, before)| (this.as_str(), before));
    let from = before.iter().rposition(|trigger| trigger == this).unwrap_or(0);
    let cause = action.events.iter().find(|event| event.position == action.cause);
    let reason = format!(
        "chain `{}` has {} hops, the sensor allows {max_hops}: {}; the latest event is {}",
        action.links.root(),
        action.links.hops,
        path[from..].join(" -> "),
        cause.map(|event| event.key.to_string()).unwrap_or_default(),
    );
    RenderError { cause: Cause::Loop, reason }
}

/// `dynamicHeaders` of an HTTP trigger are parameters whose destination is a header's name.
fn set_headers(list: &mut Value) {
    for header in list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        let name = header.get("dest").and_then(Value::as_str).unwrap_or_default();
        let dest = format!("headers.{}", set::escape(name));
        header.insert("dest".to_owned(), dest.into());
        // Argo Events sets the header, whatever the operation is.
        header.remove("operation");
    }
}

impl Rendering {
    /// What stands under the kind, without parameters and without the object to create.
    pub fn config(&self) -> Value {
        self.body.config.value()
    }

    fn render<'e>(
        &self,
        action: &Arc<Action>,
        event_of: &Events<'e>,
    ) -> Result<RenderedAction, String> {
        let from_template;
        let body = match &self.template {
            None => &self.body,
            Some((template, parameters)) => {
                from_template = self.body_of(template, parameters, event_of)?;
                &from_template
            }
        };
        let payload = match &body.payload {
            Some(payload) => {
                payload.payload(event_of).map_err(|error| format!("payload: {error}"))?
            }
            None => None,
        };
        let (config, resource) = body.parameterized(self.kind, event_of)?;
        Ok(RenderedAction {
            action: Arc::clone(action),
            kind: self.kind.to_owned(),
            config,
            resource,
            payload: payload.map(Bytes::from),
            policy: self.success.clone(),
            service_account: self.service_account.clone(),
            live: None,
        })
    }

    /// The parameters are for an object as it is in the cluster.
    fn is_live(&self, config: &Value) -> bool {
        self.kind == "k8s" && config["operation"] == "update" && config["liveObject"] == true
    }

    /// `object` with the parameters applied.
    fn apply_to<'e>(&self, object: &Value, event_of: &Events<'e>) -> Result<Value, String> {
        let from_template;
        let body = match &self.template {
            None => &self.body,
            Some((template, parameters)) => {
                from_template = self.body_of(template, parameters, event_of)?;
                &from_template
            }
        };
        body.applied(self.kind, object.to_string(), event_of)
    }

    /// Parameters of the trigger itself may change anything in its template, the other
    /// parameters included.
    fn body_of<'e>(
        &self,
        template: &str,
        parameters: &Parameters,
        event_of: &Events<'e>,
    ) -> Result<Body, String> {
        let text = parameters
            .apply(template.to_owned(), event_of)
            .map_err(|error| format!("parameters: {error}"))?;
        let template: Value = serde_json::from_str(&text)
            .map_err(|error| format!("parameters make the template invalid: {error}"))?;
        let config =
            template.get(self.kind).ok_or_else(|| format!("parameters remove `{}`", self.kind))?;
        let mut problems = Vec::new();
        let kind_at = FieldPath::root().key(self.kind);
        problems.extend(kinds::check(self.kind, config, &kind_at, self.dialect));
        let mut compiler =
            Compiler { dialect: self.dialect, dependencies: &[], problems: &mut problems };
        let body = compiler.body(self.kind, config, &kind_at);
        // Which dependencies there are was checked when the sensor was compiled.
        problems.retain(|problem| problem.code != tripline_sensors::codes::UNKNOWN_DEPENDENCY);
        match problems.iter().find(|problem| problem.severity == Severity::Error) {
            Some(problem) => Err(format!("{}: {}", problem.path, problem.message)),
            None => Ok(body),
        }
    }
}

impl Body {
    /// The JSON text `document` with the parameters applied.
    fn applied<'e>(
        &self,
        kind: &str,
        document: String,
        event_of: &Events<'e>,
    ) -> Result<Value, String> {
        let mut text = document;
        for (list, field) in [
            (&self.parameters, "parameters"),
            (&self.headers, "dynamicHeaders"),
            (&self.arguments, "arguments"),
        ] {
            let Some(list) = list else { continue };
            text =
                list.apply(text, event_of).map_err(|error| format!("{kind}.{field}: {error}"))?;
        }
        serde_json::from_str(&text)
            .map_err(|error| format!("{kind}.parameters make it invalid: {error}"))
    }

    fn parameterized<'e>(
        &self,
        kind: &str,
        event_of: &Events<'e>,
    ) -> Result<(Value, Option<Value>), String> {
        if [&self.parameters, &self.headers, &self.arguments].iter().all(|list| list.is_none()) {
            return Ok((self.config.value(), self.resource.as_ref().map(JsonText::value)));
        }
        let apply = |document: &JsonText| self.applied(kind, document.text().to_owned(), event_of);
        match (kinds::applies_to(kind), &self.resource) {
            (Applies::Resource, Some(resource)) => {
                Ok((self.config.value(), Some(apply(resource)?)))
            }
            _ => Ok((apply(&self.config)?, self.resource.as_ref().map(JsonText::value))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tripline_event::event::Links;
    use tripline_event::{ActionId, CorrelationId, EventId, EventKey, Position, TriggerName};

    use super::*;

    #[test]
    fn dynamic_headers_are_set_from_the_event_after_parameters() {
        let name = ObjectName::new("ci", "notify");
        let header = |dest: &str, key: &str| json!({"dest": dest, "operation": "append", "src": {"dependencyName": "built", "dataKey": key}});
        let sensor = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Sensor", "spec": {
            "dependencies": [{"name": "built", "eventSourceName": "builds", "eventName": "done"}],
            "triggers": [{"template": {"name": "call", "http": {
                "url": "http://localhost:1/", "headers": {"x-team": "platform", "x-build.id": "none"},
                "parameters": [header("headers.x-team", "body.team")],
                "dynamicHeaders": [header("x-build.id", "body.id"), header("x-new", "body.id")],
            }}}],
        }});
        let hash = DefinitionHash::of("notify");
        let (compiled, problems) = compile(&name, &hash, &sensor);
        assert_eq!(problems, []);
        let event = Event {
            key: EventKey::new("ci", "builds", "done"),
            id: EventId("1".to_owned()),
            kind: "webhook".to_owned(),
            time: Timestamp::UNIX_EPOCH,
            content_type: tripline_event::event::JSON.to_owned(),
            data: Some(Bytes::from_static(br#"{"body": {"id": "b-1", "team": "-core"}}"#)),
            links: Links::first(CorrelationId("c".to_owned())),
            cloud_event: None,
        };
        let trigger = TriggerName::new(&name, "call");
        let action = Arc::new(Action {
            id: ActionId::new(&trigger, [], 0),
            trigger,
            definition: hash,
            events: vec![],
            cause: Position::new(1, 1),
            links: event.links.clone(),
            decided_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            generation: 0,
            round: 0,
            attempted: false,
            target: None,
            key: None,
            origin: tripline_event::Origin::default(),
            copies: Vec::new(),
        });
        let view = EventView::of(&event);
        let rendering = &compiled.unwrap().triggers["call"];
        let rendered = rendering.render(&action, &|_| Some(&view)).unwrap();
        let expected = json!({"x-team": "platform-core", "x-build.id": "b-1", "x-new": "b-1"});
        assert_eq!(rendered.config["headers"], expected);
    }
}

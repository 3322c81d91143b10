//! From a definition to a sensor that can decide, with every mistake in it.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::SignedDuration;
use sha2::{Digest, Sha256};
use tripline_config::{FieldPath, Problem, Severity};
use tripline_event::{DefinitionHash, EventKey, ObjectName, TriggerName};

use super::key::Key;
use super::plan::{Dependency, Recurrence, Sensor, StartFrom, Trigger};
use super::targets::Targets;
use crate::codes;
use crate::condition::Condition;
use crate::definition::{self, EventDependency, SensorSpec};
use crate::filter::Filter;

/// An action may be started this long after its event, where the trigger does not say.
pub const EXPIRES_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// A chain has this many hops at most, where the sensor does not say.
pub const MAX_HOPS: u16 = 16;
/// A sensor has this many dependencies at most, and a trigger's condition names as many.
pub const MAX_DEPENDENCIES: usize = 512;

/// What the compiler needs of calendars and clocks, which it does not know itself.
pub trait Calendar {
    /// A cron expression of five fields in a zone (empty: UTC), as `conditionsReset` has it.
    fn recurrence(&self, cron: &str, timezone: &str) -> Result<Arc<dyn Recurrence>, String>;

    /// A Go duration.
    fn duration(&self, text: &str) -> Result<SignedDuration, String>;
}

impl Sensor {
    /// Compiles `spec`. There is no sensor where one of the problems is an error. The
    /// paths of the problems are relative to the object.
    pub fn compile(
        name: ObjectName,
        definition: DefinitionHash,
        spec: &SensorSpec,
        calendar: &dyn Calendar,
    ) -> (Option<Self>, Vec<Problem>) {
        let mut problems = Vec::new();
        let at = FieldPath::root().key("spec");
        let dependencies = dependencies(&name, spec, &at.key("dependencies"), &mut problems);
        let triggers = triggers(&name, spec, &at.key("triggers"), calendar, &mut problems);
        let max_hops = spec.max_hops.unwrap_or(MAX_HOPS);
        let start_from = start_from(&spec.start_from, &at.key("startFrom"), &mut problems);
        let sensor = Self { name, definition, dependencies, triggers, max_hops, start_from };
        let refused = problems.iter().any(|problem| problem.severity == Severity::Error);
        ((!refused).then_some(sensor), problems)
    }
}

fn dependencies(
    sensor: &ObjectName,
    spec: &SensorSpec,
    at: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Vec<Dependency> {
    if spec.dependencies.is_empty() {
        let problem =
            Problem::error(codes::MISSING_FIELD, at.clone(), "a sensor needs a dependency")
                .help("name an event: {name: …, eventSourceName: …, eventName: …}");
        problems.push(problem);
    }
    if spec.dependencies.len() > MAX_DEPENDENCIES {
        let message = format!(
            "{} dependencies, a sensor has at most {MAX_DEPENDENCIES}",
            spec.dependencies.len()
        );
        problems.push(Problem::error(codes::TOO_MANY, at.clone(), message));
    }
    let mut seen = HashMap::new();
    let mut compiled = Vec::with_capacity(spec.dependencies.len());
    for (index, dependency) in spec.dependencies.iter().enumerate() {
        let at = at.index(index);
        for (field, value) in [
            ("name", &dependency.name),
            ("eventSourceName", &dependency.event_source_name),
            ("eventName", &dependency.event_name),
        ] {
            if value.is_empty() {
                problems.push(missing(&at, field, "a dependency"));
            }
        }
        unique(&mut seen, &dependency.name, index, &at.key("name"), "dependency", problems);
        let (filter, found) = Filter::compile(dependency);
        problems.extend(found.into_iter().map(|problem| problem.below(&at)));
        compiled.push(Dependency {
            name: dependency.name.as_str().into(),
            key: EventKey::new(
                &sensor.namespace,
                &dependency.event_source_name,
                &dependency.event_name,
            ),
            filter,
            untransformed: dependency.transform.is_none(),
            fingerprint: fingerprint(dependency),
        });
    }
    compiled
}

fn start_from(text: &str, at: &FieldPath, problems: &mut Vec<Problem>) -> StartFrom {
    match text {
        "" | "now" => StartFrom::Now,
        "beginning" => StartFrom::Beginning,
        time => time.parse().map(StartFrom::At).unwrap_or_else(|_| {
            let message = format!("`{time}` is no place to start from");
            let problem = Problem::error(codes::BAD_TIME, at.clone(), message);
            problems
                .push(problem.help("write `now`, `beginning`, or a time: 2026-11-21T03:00:00Z"));
            StartFrom::Now
        }),
    }
}

fn missing(at: &FieldPath, field: &str, whose: &str) -> Problem {
    Problem::error(codes::MISSING_FIELD, at.key(field), format!("{whose} needs `{field}`"))
}

fn unique<'a>(
    seen: &mut HashMap<&'a str, usize>,
    name: &'a str,
    index: usize,
    at: &FieldPath,
    what: &str,
    problems: &mut Vec<Problem>,
) {
    if name.is_empty() {
        return;
    }
    if let Some(first) = seen.get(name) {
        let message = format!("{what} `{name}` is there twice: element {first} has this name too");
        problems.push(Problem::error(codes::NOT_UNIQUE, at.clone(), message));
        return;
    }
    seen.insert(name, index);
}

/// Anything that differs in the definition of a dependency makes it another one.
fn fingerprint(dependency: &EventDependency) -> u64 {
    let json = serde_json::to_vec(dependency).unwrap_or_default();
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(json)[..8]);
    u64::from_be_bytes(first)
}

fn triggers(
    sensor: &ObjectName,
    spec: &SensorSpec,
    at: &FieldPath,
    calendar: &dyn Calendar,
    problems: &mut Vec<Problem>,
) -> Vec<Trigger> {
    if spec.triggers.is_empty() {
        problems.push(Problem::error(codes::MISSING_FIELD, at.clone(), "a sensor needs a trigger"));
    }
    let names: Vec<&str> =
        spec.dependencies.iter().map(|dependency| dependency.name.as_str()).collect();
    let mut seen = HashMap::new();
    let mut compiled = Vec::with_capacity(spec.triggers.len());
    for (index, trigger) in spec.triggers.iter().enumerate() {
        let at = at.index(index);
        let Some(template) = &trigger.template else {
            problems.push(missing(&at, "template", "a trigger"));
            continue;
        };
        let template_at = at.key("template");
        if template.name.is_empty() {
            problems.push(missing(&template_at, "name", "a trigger's template"));
        }
        unique(&mut seen, &template.name, index, &template_at.key("name"), "trigger", problems);
        let (condition, found) = Condition::compile(&template.conditions, &names);
        let conditions_at = template_at.key("conditions");
        problems.extend(found.into_iter().map(|problem| problem.below(&conditions_at)));
        let resets = resets(template, &template_at, calendar, problems);
        let expires_after = expires_after(trigger, &at, calendar, problems);
        if let Some(condition) = condition {
            problems.extend(crate::lint::trigger(trigger, &condition, &names, &at));
            let name = TriggerName::new(sensor, &template.name);
            let targets = Targets::compile(trigger, &condition, &at, problems);
            let key = Key::compile(&trigger.key, &at.key("key"), problems);
            let conditions = template.conditions.as_str().into();
            compiled.push(Trigger {
                name,
                condition,
                conditions,
                expires_after,
                resets,
                targets,
                key,
            });
        }
    }
    compiled
}

fn resets(
    template: &definition::TriggerTemplate,
    at: &FieldPath,
    calendar: &dyn Calendar,
    problems: &mut Vec<Problem>,
) -> Vec<Arc<dyn Recurrence>> {
    let mut resets = Vec::new();
    for (index, reset) in template.conditions_reset.iter().enumerate() {
        let at = at.key("conditionsReset").index(index);
        let Some(by_time) = &reset.by_time else {
            problems.push(missing(&at, "byTime", "a reset"));
            continue;
        };
        match calendar.recurrence(&by_time.cron, &by_time.timezone) {
            Ok(recurrence) => resets.push(recurrence),
            Err(reason) => {
                let at = at.key("byTime").key("cron");
                problems.push(Problem::error(codes::BAD_TIME, at, reason));
            }
        }
    }
    resets
}

fn expires_after(
    trigger: &definition::Trigger,
    at: &FieldPath,
    calendar: &dyn Calendar,
    problems: &mut Vec<Problem>,
) -> SignedDuration {
    if trigger.expires_after.is_empty() {
        return EXPIRES_AFTER;
    }
    let at = at.key("expiresAfter");
    match calendar.duration(&trigger.expires_after) {
        Ok(duration) if duration.is_positive() => return duration,
        Ok(_) => {
            let message =
                format!("`{}` is no time to wait: more than 0 is expected", trigger.expires_after);
            problems.push(Problem::error(codes::BAD_TIME, at, message));
        }
        Err(reason) => problems.push(Problem::error(codes::BAD_TIME, at, reason)),
    }
    EXPIRES_AFTER
}

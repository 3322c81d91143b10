//! Whether clusters can be reached, and whether sensors may do there what they want to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tripline_event::SystemClock;
use tripline_sensors::evaluator::Targets;
use tripline_triggers::cluster::review::{Allowed, Review, Wanted};
use tripline_triggers::cluster::{Cluster, Clusters};
use tripline_triggers::workflow::local;

use super::{Finding, Probe, World};
use crate::daemon::targets;
use crate::engine::routes::Routes;
use crate::engine::schedules::Kind;
use crate::load::LoadedSensor;

/// One for each cluster, and one for each sensor that acts in one.
pub fn probes(world: &World) -> Vec<Probe> {
    let choice = &world.options.targets;
    let secrets = Arc::clone(&world.secrets) as _;
    let clusters: Arc<Clusters> = targets::clusters(choice, secrets, Arc::new(SystemClock), None);
    let routes = targets::routes(choice, &world.configuration);
    clusters.apply(world.configuration.clusters.values().cloned().collect());
    let mut probes: Vec<Probe> = clusters.all().into_iter().map(reach).collect();
    for sensor in world.configuration.sensors.values() {
        for (cluster, wanted) in wants(sensor, &routes) {
            probes.push(review(&clusters, cluster, wanted));
        }
    }
    probes
}

fn reach(cluster: Arc<Cluster>) -> Probe {
    Probe::new("cluster", cluster.name().to_owned(), async move {
        vec![match cluster.reach().await {
            Ok(version) => Finding::good(format!("{version} at {}", cluster.definition().whence())),
            Err(error) => Finding::wrong(error),
        }]
    })
}

fn review(clusters: &Arc<Clusters>, name: String, wanted: Wanted) -> Probe {
    let subject = format!("{} in cluster {name}", wanted.sensor);
    let clusters = Arc::clone(clusters);
    Probe::new("sensor", subject, async move {
        let Some(cluster) = clusters.get(&name) else {
            return vec![Finding::wrong(format!(
                "no Cluster `{name}` is described here: its actions wait until there is one, or \
                 `--context {name}`"
            ))];
        };
        match cluster.review(&wanted).await {
            Ok(review) => findings(&review),
            Err(error) => vec![Finding::wrong(error)],
        }
    })
}

fn findings(review: &Review) -> Vec<Finding> {
    let lacking = review.rights.iter().filter(|right| right.answer != Allowed::Yes);
    let mut found: Vec<Finding> = lacking
        .map(|right| {
            let (user, purpose, place) = (&right.user, right.purpose, &right.namespace);
            let said = match &right.answer {
                Allowed::Unasked(why) => {
                    format!("whether {user} may {purpose} in `{place}` cannot be asked: {why}")
                }
                _ => format!("{user} may not {purpose} in `{place}`"),
            };
            if right.required { Finding::wrong(said) } else { Finding::note(said) }
        })
        .collect();
    match found.last_mut() {
        None => found.push(Finding::good("has the rights that it needs")),
        Some(last) if !review.missing.is_empty() => last.advice = Some(review.missing.clone()),
        Some(_) => {}
    }
    found
}

/// What a sensor wants to do, by cluster. Where an event says the cluster, in each that it may
/// name.
fn wants(sensor: &LoadedSensor, routes: &Routes) -> BTreeMap<String, Wanted> {
    let object: Value = serde_json::from_str(&sensor.definition.json).unwrap_or_default();
    let account = object.pointer("/spec/template/serviceAccountName").and_then(Value::as_str);
    let mut namespaces = BTreeMap::<String, BTreeSet<String>>::new();
    for trigger in &sensor.compiled.sensor.triggers {
        let Some(rendering) = sensor.compiled.triggers.get(&trigger.name.trigger) else { continue };
        if !["argoWorkflow", "k8s"].contains(&rendering.kind) {
            continue;
        }
        let names: Vec<String> = match &trigger.targets {
            Targets::Named(names) => names.clone(),
            Targets::FromEvent(_) => rendering.allowed_targets.clone().unwrap_or_default(),
            Targets::Unnamed => {
                routes.target_of(&trigger.name).map(str::to_owned).into_iter().collect()
            }
        };
        let namespace = namespace_of(&object, &trigger.name.trigger, rendering.kind);
        let namespace = namespace.unwrap_or(&sensor.definition.name.namespace);
        for name in names.into_iter().filter(|name| name != local::NAME) {
            namespaces.entry(name).or_default().insert(namespace.to_owned());
        }
    }
    let wanted = |namespaces: BTreeSet<String>| Wanted {
        sensor: sensor.definition.name.clone(),
        service_account: account.map(str::to_owned),
        namespaces: namespaces.into_iter().collect(),
        changes: changes_workflows(&object),
        removes: matches!(&sensor.compiled.schedule, Some(of) if of.kind == Kind::CronWorkflow),
    };
    namespaces.into_iter().map(|(name, namespaces)| (name, wanted(namespaces))).collect()
}

/// Whether the object, a Sensor or a schedule, changes workflows that are there.
fn changes_workflows(object: &Value) -> bool {
    let stops = |overlap: Option<&Value>| {
        let overlap = overlap.and_then(Value::as_str).unwrap_or_default();
        ["CancelOther", "TerminateOther", "Replace"].contains(&overlap)
    };
    let of_trigger = |trigger: &Value| {
        let operation = trigger.pointer("/template/argoWorkflow/operation").and_then(Value::as_str);
        let changes = ["stop", "terminate", "suspend", "resume", "retry"];
        stops(trigger.get("overlap")) || operation.is_some_and(|word| changes.contains(&word))
    };
    let triggers = object.pointer("/spec/triggers").and_then(Value::as_array);
    stops(object.pointer("/spec/policies/overlap"))
        || stops(object.pointer("/spec/concurrencyPolicy"))
        || triggers.into_iter().flatten().any(of_trigger)
}

/// The namespace that the resource of a trigger names.
fn namespace_of<'o>(object: &'o Value, trigger: &str, kind: &str) -> Option<&'o str> {
    let triggers = object.pointer("/spec/triggers").and_then(Value::as_array)?;
    let template = triggers.iter().find_map(|one| {
        let template = one.get("template")?;
        (template.get("name").and_then(Value::as_str) == Some(trigger)).then_some(template)
    })?;
    template.get(kind)?.pointer("/source/resource/metadata/namespace").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::changes_workflows;

    #[test]
    fn what_makes_room_or_is_an_operation_on_a_workflow_changes_it() {
        let trigger = |fields: serde_json::Value| json!({"spec": {"triggers": [fields]}});
        let operation =
            |word: &str| trigger(json!({"template": {"argoWorkflow": {"operation": word}}}));
        for (object, expected) in [
            (json!({"spec": {"policies": {"overlap": "CancelOther"}}}), true),
            (json!({"spec": {"policies": {"overlap": "Skip"}}}), false),
            (json!({"spec": {"concurrencyPolicy": "Replace"}}), true),
            (json!({"spec": {"concurrencyPolicy": "Forbid"}}), false),
            (trigger(json!({"overlap": "TerminateOther"})), true),
            (trigger(json!({"overlap": "BufferAll"})), false),
            (operation("stop"), true),
            (operation("submit"), false),
            (json!({}), false),
        ] {
            assert_eq!(changes_workflows(&object), expected, "{object}");
        }
    }
}

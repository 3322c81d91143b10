//! `Cluster` objects, and triggers that name one.

use tripline_config::{Dialect, FieldPath, Object, Problem, decode};
use tripline_event::ObjectName;
use tripline_sensors::evaluator::Targets;
use tripline_triggers::cluster::{ClusterDefinition, ClusterSpec, IN_CLUSTER};
use tripline_triggers::workflow::local;

use super::Loader;
use crate::codes;

impl Loader<'_> {
    pub(super) fn cluster(&mut self, object: &Object) {
        let at = FieldPath::root().key("spec");
        let Some(spec) = object.value.get("spec").filter(|spec| !spec.is_null()) else {
            let problem = Problem::error(codes::NO_SPEC, at, "a Cluster needs `spec`");
            self.refuse(object, vec![problem]);
            return;
        };
        let (spec, mut problems) = match decode::<ClusterSpec>(spec, &at, Dialect::Tripline) {
            Ok((spec, warnings)) => (Some(spec), warnings),
            Err(problems) => (None, problems),
        };
        let name = &object.name.name;
        if let Some(spec) = &spec {
            problems.extend(spec.problems(name, &at));
        }
        if let Some(other) = self.configuration.clusters.get(name) {
            let at = FieldPath::root().key("metadata").key("name");
            let message = format!(
                "there is a Cluster `{name}` in namespace `{}` too: actions name a cluster by its \
                 name alone",
                other.namespace
            );
            problems.push(Problem::error(codes::CLUSTER_TWICE, at, message));
        }
        let refused = self.refuse(object, problems);
        if let Some(spec) = spec.filter(|_| !refused) {
            let definition = ClusterDefinition::of_object(&object.name, spec);
            self.configuration.clusters.insert(name.clone(), definition);
        }
    }

    /// A cluster that no file here describes may come from `--context`, so it is no error;
    /// where the files describe none at all, they are elsewhere.
    pub(super) fn warn_of_unknown_clusters(&mut self) {
        let known = |name: &&str| {
            [local::NAME, IN_CLUSTER].contains(name)
                || self.configuration.clusters.contains_key(*name)
                || self.is_refused("Cluster", name)
        };
        if self.configuration.clusters.is_empty() {
            return;
        }
        let mut found = Vec::new();
        for (of_sensor, sensor) in &self.configuration.sensors {
            for (index, trigger) in sensor.compiled.sensor.triggers.iter().enumerate() {
                let at = FieldPath::root().key("spec").key("triggers").index(index);
                let allow = at.key("clusterFrom").key("allow");
                let named: &[String] = match &trigger.targets {
                    Targets::Named(names) => names,
                    Targets::Unnamed | Targets::FromEvent(_) => &[],
                };
                let named = named.iter().map(|name| (at.key("clusters"), name.as_str()));
                let rendering = sensor.compiled.triggers.get(&trigger.name.trigger);
                let allowed = rendering.and_then(|rendering| rendering.allowed_targets.as_ref());
                let allowed = allowed.into_iter().flatten();
                let allowed = allowed.map(|name| (allow.clone(), name.as_str()));
                for (at, name) in named.chain(allowed).filter(|(_, name)| !known(name)) {
                    let message = format!("no Cluster `{name}` is described here");
                    let problem = Problem::warning(codes::UNKNOWN_CLUSTER, at, message).help(
                        format!("its actions wait until there is one, or `--context {name}`"),
                    );
                    found.extend(self.diagnose_sensor(of_sensor, problem));
                }
            }
        }
        self.configuration.diagnostics.extend(found);
    }

    fn is_refused(&self, kind: &str, name: &str) -> bool {
        let of = |(of_kind, of): &(String, ObjectName)| of_kind == kind && of.name == name;
        self.configuration.invalid.keys().any(of)
    }
}

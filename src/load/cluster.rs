//! `Cluster` objects, and triggers that name one.

use tripline_config::{Dialect, FieldPath, Object, Problem, decode};
use tripline_event::ObjectName;
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

    /// A cluster that no file here describes may come from `--context`, so it is no error.
    pub(super) fn warn_of_unknown_clusters(&mut self) {
        let known = |name: &String| {
            [local::NAME, IN_CLUSTER].contains(&name.as_str())
                || self.configuration.clusters.contains_key(name)
                || self.is_refused("Cluster", name)
        };
        let mut found = Vec::new();
        for (name, sensor) in &self.configuration.sensors {
            let Some(object) = self.objects.get(&("Sensor".to_owned(), name.clone())) else {
                continue;
            };
            for (index, trigger) in sensor.compiled.sensor.spec.triggers.iter().enumerate() {
                let at = FieldPath::root().key("spec").key("triggers").index(index);
                let named = trigger.clusters.iter().map(|name| (at.key("clusters"), name));
                let allowed = trigger.cluster_from.iter().flat_map(|from| &from.allow);
                let allow = at.key("clusterFrom").key("allow");
                let allowed = allowed.map(|name| (allow.clone(), name));
                for (at, name) in named.chain(allowed).filter(|(_, name)| !known(name)) {
                    let message = format!("no Cluster `{name}` is described here");
                    let problem = Problem::warning(codes::UNKNOWN_CLUSTER, at, message).help(
                        format!("its actions wait until there is one, or `--context {name}`"),
                    );
                    found.push(object.diagnose(problem));
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

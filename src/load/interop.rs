//! An `EventBus` that is Argo Events' own: `interop: argoEvents`.
//!
//! Tripline's logs stay where they are. What such an object says is where Argo Events' bus is,
//! and where sensors begin there that are taken over: see [`crate::interop`].

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Object, Problem, SecretRef};
use tripline_event::{ObjectName, Timestamp};
use tripline_sensors::definition::NumberOrText;

use super::event_bus::{EventBusSpec, Exotic, ServerTls, tls_problems};
use super::{Configuration, Loader, path_of_event};
use crate::codes;

/// Whose bus it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum InteropKind {
    /// Argo Events' own JetStream bus.
    ArgoEvents,
}

/// A bus of Argo Events.
#[derive(Clone, Debug, PartialEq)]
pub struct InteropBus {
    /// The object. Its namespace is that of the sensors and event sources, which name it by
    /// `eventBusName`.
    pub object: ObjectName,
    /// Where it stands.
    pub place: String,
    /// The server.
    pub server: Exotic,
    /// Where a sensor begins that is taken over.
    pub start: StartAt,
    /// Where these begin, by name.
    pub sensors: BTreeMap<String, StartAt>,
}

impl InteropBus {
    /// Where a sensor begins.
    pub fn start_of(&self, sensor: &str) -> StartAt {
        self.sensors.get(sensor).copied().unwrap_or(self.start)
    }
}

/// Where in Argo Events' stream a sensor begins that is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// Where Argo Events' own consumers of it stand; what its half-met conditions hold is taken
    /// over. One that has none there begins with the next event.
    #[default]
    ArgoConsumers,
    /// With the next event.
    Latest,
    /// With the first message that the stream has.
    All,
    /// With the message of this sequence.
    Sequence(u64),
    /// With the first message that came then or later.
    Time(Timestamp),
}

impl StartAt {
    fn read(value: &NumberOrText) -> Option<Self> {
        let text = match value {
            NumberOrText::Number(number) => return number.as_u64().map(Self::Sequence),
            NumberOrText::Text(text) => text.trim(),
        };
        match text {
            "argoConsumers" => Some(Self::ArgoConsumers),
            "latest" => Some(Self::Latest),
            "all" => Some(Self::All),
            text => match text.parse() {
                Ok(sequence) => Some(Self::Sequence(sequence)),
                Err(_) => text.parse().ok().map(Self::Time),
            },
        }
    }
}

/// What these names may not have: a subject is made of them.
fn breaks_routing(name: &str) -> bool {
    name.is_empty()
        || name.chars().any(|c| c.is_whitespace() || c.is_control() || ".*>".contains(c))
}

/// The bus that a sensor or an event source names.
pub(crate) fn bus_named(object: &Value) -> &str {
    let name = object.get("spec").and_then(|spec| spec.get("eventBusName"));
    name.and_then(Value::as_str).filter(|name| !name.is_empty()).unwrap_or("default")
}

impl Loader<'_> {
    /// Takes an EventBus that is Argo Events' own. `problems` are what was found so far.
    pub(super) fn interop_bus(
        &mut self,
        object: &Object,
        spec: &EventBusSpec,
        mut problems: Vec<Problem>,
    ) {
        let at = FieldPath::root().key("spec");
        let server = server(object, spec, &at, &mut problems);
        let mut start_at = |value: Option<&NumberOrText>, at: FieldPath| {
            let Some(value) = value else { return StartAt::default() };
            StartAt::read(value).unwrap_or_else(|| {
                let message = "expected `argoConsumers`, `latest`, `all`, a sequence of the stream, or a time such as 2026-11-21T03:00:00Z";
                problems.push(Problem::error(codes::INTEROP, at, message));
                StartAt::default()
            })
        };
        let start = start_at(spec.start_from.as_ref(), at.key("startFrom"));
        let sensors = spec.sensors.iter().flatten().map(|(name, value)| {
            (name.clone(), start_at(Some(value), at.key("sensors").key(name)))
        });
        let sensors = sensors.collect();
        if !cfg!(feature = "jetstream") {
            let message =
                "this build knows no JetStream: it was built without the feature `jetstream`";
            problems.push(Problem::error(codes::KIND_NOT_SUPPORTED, at.key("interop"), message));
        }
        let name = object.name.clone();
        if self.refuse(object, problems) {
            self.configuration.interop_refused.insert(name);
            return;
        }
        let Some(server) = server else { return };
        let place = object.locate(&at, true).to_string();
        let bus = InteropBus { object: name.clone(), place, server, start, sensors };
        self.configuration.interop.insert(name, bus);
    }

    /// Event sources whose names Argo Events' subjects cannot have.
    pub(super) fn refuse_unroutable(&mut self) {
        let buses: BTreeSet<ObjectName> = self.configuration.interop.keys().cloned().collect();
        let sources: Vec<_> = self
            .configuration
            .sources
            .values()
            .filter(|source| buses.contains(&source.bus()))
            .map(|source| (source.name.clone(), source.events.clone()))
            .collect();
        for (name, events) in sources {
            let identity = ("EventSource".to_owned(), name.clone());
            let Some(object) = self.objects.get(&identity).cloned() else { continue };
            let bad_source = breaks_routing(&name.name)
                .then(|| (FieldPath::root().key("metadata").key("name"), name.name.clone()));
            let bad_event = events.iter().find(|event| breaks_routing(&event.key.name));
            let bad_event = bad_event
                .map(|event| (path_of_event(&object, &event.key.name), event.key.name.clone()));
            let Some((path, bad)) = bad_source.or(bad_event) else { continue };
            let message = format!(
                "`{bad}` cannot be in a subject of Argo Events' bus: names there have no dots, spaces, `*` or `>`"
            );
            let problem = Problem::error(codes::INTEROP, path, message)
                .help("rename it, or let the event source name another bus by `eventBusName`");
            self.refuse(&object, vec![problem]);
            self.configuration.sources.remove(&name);
        }
    }
}

impl Configuration {
    /// Whether that is a bus of Argo Events, usable or not.
    pub fn is_interop(&self, bus: &ObjectName) -> bool {
        self.interop.contains_key(bus) || self.interop_refused.contains(bus)
    }
}

fn server(
    object: &Object,
    spec: &EventBusSpec,
    at: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Option<Exotic> {
    let ObjectName { namespace, name } = &object.name;
    match (&spec.jetstream_exotic, &spec.jetstream) {
        (Some(exotic), None) => {
            let at = at.key("jetstreamExotic");
            if exotic.url.trim().is_empty() {
                let message = "expected the address of a server, such as nats://nats.ci:4222";
                problems.push(Problem::error(codes::EVENT_BUS, at.key("url"), message));
            }
            let skips =
                exotic.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify == Some(true));
            let found = tls_problems(exotic, &at);
            let insecure = at.key("tls").key("insecureSkipVerify");
            problems.extend(found.into_iter().filter(|found| !(skips && found.path == insecure)));
            Some(exotic.clone())
        }
        // The names that Argo Events gives to what it installs.
        (None, Some(_)) => Some(Exotic {
            url: format!("nats://eventbus-{name}-js-svc.{namespace}.svc:4222"),
            access_secret: Some(SecretRef {
                name: format!("eventbus-{name}-js-client-auth"),
                key: "client-auth".to_owned(),
                optional: None,
            }),
            tls: Some(ServerTls { insecure_skip_verify: Some(true), ..ServerTls::default() }),
            ..Exotic::default()
        }),
        _ => {
            let message = "Argo Events' bus is exactly one of `jetstream` and `jetstreamExotic`";
            problems.push(Problem::error(codes::EVENT_BUS, at.clone(), message));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use tripline_config::Input;

    use super::*;
    use crate::engine::definitions::Definitions;
    use crate::load::load;

    fn loaded(yaml: &str) -> Configuration {
        load(&[Input::text("bus.yaml", yaml)], &Definitions::default())
    }

    fn bus(spec: &str) -> String {
        format!(
            "apiVersion: tripline.dev/v1\nkind: EventBus\nmetadata: {{name: default, namespace: ci}}\nspec: {spec}\n"
        )
    }

    fn said(configuration: &Configuration) -> String {
        configuration.diagnostics.iter().map(|found| format!("{found}\n")).collect()
    }

    #[test]
    fn a_bus_of_argo_events_says_where_it_is_and_where_sensors_begin() {
        let found = loaded(&bus(
            "{interop: argoEvents, startFrom: latest, sensors: {a: 7, b: \"2026-11-21T03:00:00Z\", c: all}, jetstreamExotic: {url: \"nats://n:4222\", tls: {insecureSkipVerify: true}}}",
        ));
        assert!(!found.has_errors(), "{}", said(&found));
        assert_eq!(found.event_bus, None, "it is not the bus of the logs");
        let bus = &found.interop[&ObjectName::new("ci", "default")];
        assert_eq!(bus.server.url, "nats://n:4222");
        let starts = ["a", "b", "c", "d"].map(|name| bus.start_of(name));
        let time = StartAt::Time("2026-11-21T03:00:00Z".parse().unwrap());
        assert_eq!(starts, [StartAt::Sequence(7), time, StartAt::All, StartAt::Latest]);
    }

    #[test]
    fn what_argo_events_installed_is_found_by_its_names() {
        let found = loaded(&bus("{interop: argoEvents, jetstream: {version: latest}}"));
        assert!(!found.has_errors(), "{}", said(&found));
        let bus = &found.interop[&ObjectName::new("ci", "default")];
        assert_eq!(bus.server.url, "nats://eventbus-default-js-svc.ci.svc:4222");
        assert_eq!(bus.start_of("any"), StartAt::ArgoConsumers);
        let secret = bus.server.access_secret.as_ref().unwrap();
        assert_eq!(
            (&*secret.name, &*secret.key),
            ("eventbus-default-js-client-auth", "client-auth")
        );
    }

    #[test]
    fn what_cannot_be_such_a_bus_is_refused_and_known() {
        for (spec, reason) in [
            ("{interop: argoEvents}", "exactly one of"),
            ("{interop: other, jetstream: {}}", "argoEvents"),
            ("{interop: argoEvents, startFrom: soon, jetstream: {}}", "argoConsumers"),
            ("{interop: argoEvents, sensors: {a: -1}, jetstream: {}}", "argoConsumers"),
            ("{interop: argoEvents, jetstreamExotic: {url: \"\"}}", "expected the address"),
        ] {
            let found = loaded(&bus(spec));
            assert!(said(&found).contains(reason), "{spec}: {}", said(&found));
            assert!(found.interop.is_empty() && found.has_errors(), "{spec}");
        }
        let argo = bus("{interop: argoEvents, jetstream: {}}")
            .replace("tripline.dev/v1", "argoproj.io/v1alpha1");
        let found = loaded(&argo);
        assert!(said(&found).contains("tripline.dev/v1"), "{}", said(&found));
    }

    #[test]
    fn names_that_break_routing_are_an_error_of_their_event_source_alone() {
        let source = |name: &str, event: &str, bus: &str| {
            format!(
                "---\napiVersion: argoproj.io/v1alpha1\nkind: EventSource\nmetadata: {{name: \"{name}\", namespace: ci}}\nspec:\n  eventBusName: {bus}\n  webhook:\n    \"{event}\": {{port: \"12000\", endpoint: \"/{name}-{bus}\", method: POST}}\n"
            )
        };
        let yaml = bus("{interop: argoEvents, jetstream: {}}")
            + &source("good", "done", "default")
            + &source("a.b", "done", "default")
            + &source("spaced", "all done", "default")
            + &source("c.d", "done", "other");
        let found = loaded(&yaml);
        let names: Vec<&str> = found.sources.keys().map(|name| name.name.as_str()).collect();
        assert_eq!(names, ["c.d", "good"], "{}", said(&found));
        assert!(said(&found).contains("TL0541"), "{}", said(&found));
    }
}

//! `EventBus` objects: which bus the daemon keeps its logs on.
//!
//! One daemon has one bus. Without an object it is the embedded one. `jetstreamExotic` names
//! a server; `jetstream` is what Argo Events would install, so the server is named by
//! `--nats`. Limits of `streamConfig` that would drop unread events are not taken over:
//! Tripline trims by itself.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tripline_config::{Dialect, FieldPath, Object, Problem, SecretRef, decode};
use tripline_event::ObjectName;
use tripline_sensors::definition::NumberOrText;

use super::Loader;
use super::interop::InteropKind;
use crate::codes;

/// What `spec` may have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventBusSpec {
    /// NATS Streaming, which its makers have given up: refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<Map<String, Value>>,
    /// Kafka: not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Map<String, Value>>,
    /// JetStream on the server that `--nats` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<Installed>,
    /// JetStream on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jetstream_exotic: Option<Exotic>,
    /// `argoEvents`: it is the bus of Argo Events' own pods. Tripline's sensors that name it
    /// run on Argo Events' event sources, and Tripline's event sources that name it feed Argo
    /// Events' sensors. Tripline's logs are elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub interop: Option<InteropKind>,
    /// With `interop`: where a sensor begins that is taken over. `argoConsumers` (also if not
    /// given): where Argo Events' consumers of it stand, with what its half-met conditions hold;
    /// `latest`, `all`, a sequence of the stream, or a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub start_from: Option<NumberOrText>,
    /// With `interop`: where these sensors begin, by name, as `startFrom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub sensors: Option<BTreeMap<String, NumberOrText>>,
}

/// What Argo Events would install. Tripline installs nothing: of these fields it reads
/// `streamConfig` and its own; the others say how Argo Events deploys servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// Limits of the streams, as YAML: `replicas` and `maxBytes` are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_config: Option<String>,
    /// What names of streams begin with; `tripline` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub prefix: Option<String>,
    /// The JetStream domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub domain: Option<String>,
    /// How many servers Argo Events would install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
    /// Which version it would install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of no meaning here, as are those that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_payload: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_args: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_template: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reloader_container_template: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_container_template: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_secrets: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Value>,
    /// See `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<Value>,
}

/// A server that is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exotic {
    /// Where it is: `nats://HOST:4222`, several separated by commas; `tls://` for TLS.
    pub url: String,
    /// Who one is: YAML with `username` and `password` or with `token`; or a token, the seed
    /// of an nkey, or the contents of a `.creds` file as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_secret: Option<SecretRef>,
    /// Limits of the streams, as YAML: `replicas` and `maxBytes` are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_config: Option<String>,
    /// Whom one trusts, and what one shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServerTls>,
    /// What names of streams begin with; `tripline` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub prefix: Option<String>,
    /// On how many servers each stream is kept; where it is not given, on three of a cluster,
    /// else on one. For streams that are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub replicas: Option<usize>,
    /// How many bytes of events are kept before new ones are refused. For streams that are
    /// made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub max_bytes: Option<u64>,
    /// The JetStream domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub domain: Option<String>,
}

/// TLS to a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerTls {
    /// Who may have signed the server's certificate, in PEM; whom the machine trusts, where
    /// it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert_secret: Option<SecretRef>,
    /// One's own certificate, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_secret: Option<SecretRef>,
    /// Its key, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_secret: Option<SecretRef>,
    /// Refused where it is true: name the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

/// The bus that the files ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct EventBusChoice {
    /// The object.
    pub object: ObjectName,
    /// Where it stands.
    pub place: String,
    /// The server; none: that of `--nats`.
    pub server: Option<Exotic>,
    /// What names of streams begin with.
    pub prefix: Option<String>,
    /// The JetStream domain.
    pub domain: Option<String>,
    /// On how many servers streams are kept.
    pub replicas: Option<usize>,
    /// How much EVENTS may take.
    pub max_bytes: Option<u64>,
}

impl Loader<'_> {
    pub(super) fn event_bus(&mut self, object: &Object) {
        let at = FieldPath::root().key("spec");
        let Some(spec) = object.value.get("spec").filter(|spec| !spec.is_null()) else {
            let problem = Problem::error(codes::NO_SPEC, at, "an EventBus needs `spec`");
            self.refuse_bus(object, vec![problem], false);
            return;
        };
        let names_server = spec.get("jetstreamExotic").is_some();
        let interop = spec.get("interop").is_some();
        let dialect = Dialect::of(&object.api_version);
        let (spec, mut problems) = match decode::<EventBusSpec>(spec, &at, dialect) {
            Ok(decoded) => decoded,
            Err(problems) => {
                if interop {
                    self.configuration.interop_refused.insert(object.name.clone());
                }
                self.refuse_bus(object, problems, names_server && !interop);
                return;
            }
        };
        if spec.interop.is_some() {
            self.interop_bus(object, &spec, problems);
            return;
        }
        for (given, field) in
            [(spec.start_from.is_some(), "startFrom"), (spec.sensors.is_some(), "sensors")]
        {
            if given {
                let message =
                    format!("`{field}` is for a bus of Argo Events, with `interop: argoEvents`");
                problems.push(Problem::error(codes::EVENT_BUS, at.key(field), message));
            }
        }
        problems.extend(refusals(&spec, &at));
        let place = object.locate(&FieldPath::root().key("spec"), true).to_string();
        let choice = choice(&spec, object.name.clone(), place, &at, &mut problems);
        if let (Some(choice), Some(other)) = (&choice, &self.configuration.event_bus)
            && !choice.is_the_same_as(other)
        {
            let message = format!(
                "EventBus `{}` at {} names another bus: one daemon has one",
                other.object, other.place
            );
            let problem = Problem::error(codes::EVENT_BUS, at, message)
                .help("run a daemon for each bus, on the files that belong to it");
            problems.push(problem);
        }
        if !self.refuse_bus(object, problems, names_server)
            && self.configuration.event_bus.is_none()
        {
            self.configuration.event_bus = choice;
        }
    }

    /// True where it is refused. What names a server must not become the embedded bus by
    /// being refused.
    fn refuse_bus(&mut self, object: &Object, problems: Vec<Problem>, names_server: bool) -> bool {
        let refused = self.refuse(object, problems);
        if refused && names_server {
            self.configuration.event_bus_refused = Some(object.name.clone());
        }
        refused
    }
}

impl EventBusChoice {
    fn is_the_same_as(&self, other: &Self) -> bool {
        let url = |choice: &Self| choice.server.as_ref().map(|server| server.url.clone());
        (url(self), &self.prefix, &self.domain) == (url(other), &other.prefix, &other.domain)
    }
}

fn refusals(spec: &EventBusSpec, at: &FieldPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    let given = [
        spec.nats.is_some(),
        spec.kafka.is_some(),
        spec.jetstream.is_some(),
        spec.jetstream_exotic.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        let message = "an EventBus needs exactly one of `jetstream` and `jetstreamExotic`";
        problems.push(Problem::error(codes::EVENT_BUS, at.clone(), message));
    }
    let advice = "use `jetstreamExotic` with the `url` of a NATS server with JetStream, or remove \
                  the object: events are then kept in the data directory of the daemon";
    if spec.nats.is_some() {
        let message = "NATS Streaming is not supported: its makers have ended it in 2023";
        let problem = Problem::error(codes::KIND_NOT_SUPPORTED, at.key("nats"), message);
        problems.push(problem.help(advice));
    }
    if spec.kafka.is_some() {
        let message = "Kafka as the event bus is not supported yet";
        let problem = Problem::error(codes::KIND_NOT_SUPPORTED, at.key("kafka"), message);
        problems.push(problem.help(advice));
    }
    if let Some(exotic) = &spec.jetstream_exotic {
        let at = at.key("jetstreamExotic");
        problems.extend(tls_problems(exotic, &at));
        if exotic.url.trim().is_empty() {
            let message = "expected the address of a server, such as nats://nats.ci:4222";
            problems.push(Problem::error(codes::EVENT_BUS, at.key("url"), message));
        }
    }
    problems
}

pub(super) fn tls_problems(exotic: &Exotic, at: &FieldPath) -> Vec<Problem> {
    let Some(tls) = &exotic.tls else { return Vec::new() };
    let at = at.key("tls");
    let mut problems = Vec::new();
    if tls.insecure_skip_verify == Some(true) {
        let message = "a server whose certificate is not looked at could be anybody";
        let problem = Problem::error(codes::EVENT_BUS, at.key("insecureSkipVerify"), message);
        problems
            .push(problem.help("remove it, and name who signed the certificate in caCertSecret"));
    }
    if tls.client_cert_secret.is_some() != tls.client_key_secret.is_some() {
        let message = "a client certificate needs both clientCertSecret and clientKeySecret";
        problems.push(Problem::error(codes::EVENT_BUS, at, message));
    }
    problems
}

fn choice(
    spec: &EventBusSpec,
    object: ObjectName,
    place: String,
    at: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Option<EventBusChoice> {
    let none = EventBusChoice {
        object,
        place,
        server: None,
        prefix: None,
        domain: None,
        replicas: None,
        max_bytes: None,
    };
    if let Some(exotic) = &spec.jetstream_exotic {
        let at = at.key("jetstreamExotic").key("streamConfig");
        let limits = Limits::of(exotic.stream_config.as_deref(), &at, problems);
        return Some(EventBusChoice {
            server: Some(exotic.clone()),
            prefix: exotic.prefix.clone(),
            domain: exotic.domain.clone(),
            replicas: exotic.replicas.or(limits.replicas),
            max_bytes: exotic.max_bytes.or(limits.max_bytes),
            ..none
        });
    }
    let installed = spec.jetstream.as_ref()?;
    let at = at.key("jetstream").key("streamConfig");
    let limits = Limits::of(installed.stream_config.as_deref(), &at, problems);
    Some(EventBusChoice {
        prefix: installed.prefix.clone(),
        domain: installed.domain.clone(),
        replicas: limits.replicas,
        max_bytes: limits.max_bytes,
        ..none
    })
}

/// What is taken of `streamConfig`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Limits {
    replicas: Option<usize>,
    max_bytes: Option<u64>,
}

impl Limits {
    /// It is a flat mapping: a line each.
    fn of(text: Option<&str>, at: &FieldPath, problems: &mut Vec<Problem>) -> Self {
        let mut limits = Self::default();
        let mut others = Vec::new();
        for line in text.unwrap_or_default().lines() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once(':').unwrap_or((line, ""));
            let (key, value) = (key.trim(), value.trim().trim_matches(['"', '\'']));
            match key.to_ascii_lowercase().as_str() {
                "replicas" => match value.parse() {
                    Ok(count @ 1..=5) => limits.replicas = Some(count),
                    _ => {
                        let message = format!("replicas: expected 1 to 5, and not `{value}`");
                        problems.push(Problem::error(codes::EVENT_BUS, at.clone(), message));
                    }
                },
                "maxbytes" => limits.max_bytes = value.parse().ok().filter(|bytes| *bytes > 0),
                _ => others.push(key.to_owned()),
            }
        }
        if !others.is_empty() {
            let message = format!(
                "{}: not taken over, since limits of a stream drop events that were not read; \
                 Tripline trims by itself",
                others.join(", ")
            );
            problems.push(Problem::warning(codes::EVENT_BUS, at.clone(), message));
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use tripline_config::Input;

    use crate::engine::definitions::Definitions;
    use crate::load::{Configuration, load};

    fn loaded(yaml: &str) -> Configuration {
        load(&[Input::text("bus.yaml", yaml)], &Definitions::default())
    }

    fn bus(spec: &str) -> String {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{name: default}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn a_server_that_is_named_is_the_bus() {
        let found = loaded(&bus(
            "{jetstreamExotic: {url: \"nats://n:4222\", accessSecret: {name: s, key: k}, streamConfig: \"replicas: 3\\nmaxBytes: 1000 # much\\nmaxMsgs: 5\"}}",
        ));
        assert!(!found.has_errors(), "{:?}", found.diagnostics);
        let choice = found.event_bus.unwrap();
        assert_eq!(choice.server.unwrap().url, "nats://n:4222");
        assert_eq!((choice.replicas, choice.max_bytes), (Some(3), Some(1000)));
        assert!(found.diagnostics[0].to_string().contains("maxMsgs: not taken over"));
    }

    #[test]
    fn what_argo_events_would_install_is_named_elsewhere() {
        let found = loaded(&bus("{jetstream: {version: latest, replicas: 3, persistence: {}}}"));
        assert_eq!(found.diagnostics, []);
        let choice = found.event_bus.unwrap();
        assert_eq!((choice.server, choice.replicas), (None, None));
    }

    #[test]
    fn what_cannot_be_the_bus_is_refused_with_a_reason() {
        for (spec, reason, names_server) in [
            ("{nats: {native: {}}}", "NATS Streaming is not supported", false),
            ("{kafka: {url: k}}", "not supported yet", false),
            ("{}", "exactly one of", false),
            ("{jetstream: {}, jetstreamExotic: {url: host}}", "exactly one of", true),
            ("{jetstreamExotic: {url: \"\"}}", "expected the address", true),
            (
                "{jetstreamExotic: {url: host, tls: {insecureSkipVerify: true}}}",
                "could be anybody",
                true,
            ),
            (
                "{jetstreamExotic: {url: host, tls: {clientCertSecret: {name: s, key: k}}}}",
                "needs both",
                true,
            ),
            ("{jetstreamExotic: {url: host, prefix: p}}", "tripline.dev/v1", true),
            (
                "{jetstreamExotic: {url: host, streamConfig: \"replicas: 9\"}}",
                "expected 1 to 5",
                true,
            ),
        ] {
            let found = loaded(&bus(spec));
            let said: Vec<String> = found.diagnostics.iter().map(ToString::to_string).collect();
            assert!(said.iter().any(|line| line.contains(reason)), "{spec}: {said:?}");
            assert_eq!(found.event_bus, None, "{spec}");
            assert_eq!(found.event_bus_refused.is_some(), names_server, "{spec}");
        }
    }

    #[test]
    fn two_that_name_the_same_bus_agree_and_others_not() {
        let one = bus("{jetstreamExotic: {url: host}}");
        let other =
            one.replace("metadata: {name: default}", "metadata: {name: default, namespace: b}");
        let found = loaded(&format!("{one}---\n{other}"));
        assert!(!found.has_errors(), "{:?}", found.diagnostics);
        let found = loaded(&format!("{one}---\n{}", other.replace("url: host", "url: other")));
        assert!(found.has_errors());
    }
}

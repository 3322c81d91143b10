//! The events of an event source, as its YAML defines them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tripline_config::{Dialect, FieldPath, Problem};
use tripline_event::{DefinitionHash, EventKey, ObjectName};

use crate::calendar::Calendar;
#[cfg(feature = "kafka")]
use crate::kafka::Kafka;
#[cfg(feature = "nats")]
use crate::nats::Nats;
#[cfg(feature = "pubsub")]
use crate::pubsub::PubSub;
#[cfg(feature = "sns")]
use crate::sns::Sns;
#[cfg(feature = "sqs")]
use crate::sqs::Sqs;
use crate::webhook::{self, Route, Webhook};
use crate::{codes, kinds};

/// Fields of `spec` that are no kinds. They say how Argo Events deploys an event source
/// and mean nothing here.
const OTHER_FIELDS: [&str; 4] = ["eventBusName", "replicas", "template", "service"];

/// One event of an event source, checked.
#[derive(Clone, Debug)]
pub struct EventDefinition {
    /// Namespace, event source and event name.
    pub key: EventKey,
    /// The CloudEvents type.
    pub kind: &'static str,
    /// What it does.
    pub config: SourceConfig,
    /// The path of the correlation id in its data, if the configuration names one.
    pub correlation: Option<String>,
    /// `filter.expression`: what must be true of its data for it to be taken in. It is not
    /// compiled, let alone obeyed, in this crate.
    pub filter: Option<String>,
    /// `template.serviceAccountName` of the event source: who it is to its upstream, where
    /// Tripline runs against a cluster.
    pub service_account: Option<String>,
    /// A hash of kind and configuration: what stays the same keeps running.
    pub hash: DefinitionHash,
}

impl EventDefinition {
    /// The port that is listened on for it, as configured.
    pub fn port(&self) -> Option<u16> {
        match &self.config {
            SourceConfig::Webhook(webhook) => Some(webhook.port()),
            #[cfg(feature = "sns")]
            SourceConfig::Sns(sns) => Some(sns.webhook.port()),
            _ => None,
        }
    }

    /// Whether it takes messages that somebody else may be waiting for: from the service of a
    /// provider, not from an emulator or an address of one's own.
    pub fn has_real_upstream(&self) -> bool {
        match &self.config {
            SourceConfig::Webhook(_) | SourceConfig::Calendar(_) => false,
            #[cfg(feature = "kafka")]
            SourceConfig::Kafka(kafka) => kafka.is_real(),
            #[cfg(feature = "nats")]
            SourceConfig::Nats(nats) => nats.is_real(),
            #[cfg(feature = "pubsub")]
            SourceConfig::PubSub(pubsub) => pubsub.is_real(),
            #[cfg(feature = "sns")]
            SourceConfig::Sns(sns) => sns.is_real(),
            #[cfg(feature = "sqs")]
            SourceConfig::Sqs(sqs) => sqs.is_real(),
        }
    }
}

/// The configuration of an event, by kind.
#[derive(Clone, Debug)]
pub enum SourceConfig {
    /// See [`crate::webhook`].
    Webhook(Arc<Webhook>),
    /// See [`crate::calendar`].
    Calendar(Arc<Calendar>),
    /// See [`crate::kafka`].
    #[cfg(feature = "kafka")]
    Kafka(Arc<Kafka>),
    /// See [`crate::nats`].
    #[cfg(feature = "nats")]
    Nats(Arc<Nats>),
    /// See [`crate::pubsub`].
    #[cfg(feature = "pubsub")]
    PubSub(Arc<PubSub>),
    /// See [`crate::sns`].
    #[cfg(feature = "sns")]
    Sns(Arc<Sns>),
    /// See [`crate::sqs`].
    #[cfg(feature = "sqs")]
    Sqs(Arc<Sqs>),
}

/// As [`events_in`], by Argo's dialect.
pub fn events(name: &ObjectName, spec: &Value) -> (Vec<EventDefinition>, Vec<Problem>) {
    events_in(Dialect::Argo, name, spec)
}

/// The events of the event source `name` with this `spec`, and all that is wrong with it.
/// Paths begin at the object (`spec.webhook.…`). With an error among the problems the
/// object is to be refused; the events that were right are returned all the same.
pub fn events_in(
    dialect: Dialect,
    name: &ObjectName,
    spec: &Value,
) -> (Vec<EventDefinition>, Vec<Problem>) {
    let at = FieldPath::root().key("spec");
    let Some(spec) = spec.as_object() else {
        let problem = Problem::error(codes::WRONG_SHAPE, at, "spec is no mapping");
        return (Vec::new(), vec![problem]);
    };
    let (kinds, problems) = (BTreeMap::new(), Vec::new());
    let account = spec.get("template").and_then(|template| template.get("serviceAccountName"));
    let account = account.and_then(Value::as_str).filter(|account| !account.is_empty());
    let mut found = Events { dialect, name, account, events: Vec::new(), kinds, problems };
    for (key, value) in spec {
        if OTHER_FIELDS.contains(&key.as_str()) {
            continue;
        }
        match kinds::kind(key) {
            Some(kind) => found.add_kind(kind, value, &at.key(key)),
            None => found.problems.push(unknown(key, value, at.key(key), dialect)),
        }
    }
    if found.kinds.is_empty() && found.problems.is_empty() {
        found.problems.push(
            Problem::warning(codes::NO_EVENTS, at, "event source has no events")
                .help("add a kind, such as `webhook`, with an event below it"),
        );
    }
    (found.events, found.problems)
}

struct Events<'a> {
    dialect: Dialect,
    name: &'a ObjectName,
    account: Option<&'a str>,
    events: Vec<EventDefinition>,
    /// The kind of each event name.
    kinds: BTreeMap<&'a str, &'static str>,
    problems: Vec<Problem>,
}

impl<'a> Events<'a> {
    fn add_kind(&mut self, kind: &'static kinds::Kind, events: &'a Value, at: &FieldPath) {
        // Go reads `webhook:` without a value as no events.
        if events.is_null() {
            return;
        }
        let Some(events) = events.as_object() else {
            let message = format!("`{}` is no mapping from event names", kind.key);
            self.problems.push(Problem::error(codes::WRONG_SHAPE, at.clone(), message));
            return;
        };
        for (event, config) in events {
            let at = at.key(event);
            if let Some(other) = self.kinds.insert(event, kind.key) {
                let message = format!("event `{event}` is also below `{other}`");
                let problem = Problem::error(codes::DUPLICATE_EVENT, at.clone(), message);
                let help = "event names are unique over all kinds of an event source";
                self.problems.push(problem.help(help));
            }
            let compiled = kind.compile(config, &at, self.dialect);
            self.problems.extend(compiled.problems);
            let Some((source, correlation)) = compiled.source else { continue };
            self.events.push(EventDefinition {
                key: EventKey::new(&self.name.namespace, &self.name.name, event),
                kind: kind.event_type,
                config: source,
                correlation,
                filter: expression(config),
                service_account: self.account.map(str::to_owned),
                hash: hash(kind.key, config, self.account),
            });
        }
    }
}

/// Without an account as it was before there were any: what stays the same keeps running.
fn hash(kind: &str, config: &Value, account: Option<&str>) -> DefinitionHash {
    match account {
        None => DefinitionHash::of(&format!("{kind}:{config}")),
        Some(account) => DefinitionHash::of(&format!("{kind}:{config}:{account}")),
    }
}

/// `filter.expression`, which events of all kinds have.
fn expression(config: &Value) -> Option<String> {
    let text = config.pointer("/filter/expression").and_then(Value::as_str);
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn unknown(key: &str, value: &Value, at: FieldPath, dialect: Dialect) -> Problem {
    let known = kinds::KINDS.iter().map(|kind| kind.key).chain(OTHER_FIELDS);
    let near = known
        .map(|known| {
            (strsim::damerau_levenshtein(&key.to_lowercase(), &known.to_lowercase()), known)
        })
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4);
    let problem = if value.is_object() {
        let message = format!("unknown kind of event source `{key}`");
        Problem::error(codes::UNKNOWN_KIND, at, message)
    } else {
        let message = format!("unknown field `{key}`");
        match dialect {
            Dialect::Argo => Problem::warning(codes::UNKNOWN_FIELD, at, message),
            Dialect::Tripline => Problem::error(codes::UNKNOWN_FIELD, at, message),
        }
    };
    let problem = Problem { at_key: true, ..problem };
    match near {
        Some((_, near)) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// The pairs of events that cannot both come in, and why: the same method, path and port.
/// Told apart by host or prefix they still work; by their path alone they do not.
pub fn clashes(all: &[EventDefinition]) -> Vec<(EventKey, EventKey, String)> {
    let routes: Vec<Arc<Route>> = all.iter().filter_map(route).collect();
    let pairs = webhook::clashes(&routes);
    pairs.into_iter().map(|(a, b, why)| (a.key.clone(), b.key.clone(), why)).collect()
}

/// The route of a webhook.
pub(crate) fn route(definition: &EventDefinition) -> Option<Arc<Route>> {
    let (webhook, receiver) = match &definition.config {
        SourceConfig::Webhook(webhook) => (webhook, None),
        #[cfg(feature = "sns")]
        SourceConfig::Sns(sns) => (&sns.webhook, Some(Arc::clone(sns) as _)),
        _ => return None,
    };
    Some(Arc::new(Route {
        key: definition.key.clone(),
        webhook: Arc::clone(webhook),
        correlation_path: definition.correlation.clone(),
        service_account: definition.service_account.clone(),
        receiver,
    }))
}

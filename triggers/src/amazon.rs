//! What triggers on Amazon's services share: clients that are kept, the message's attributes and
//! group, and what an error means to the executor.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tripline_cloud::Caller;
use tripline_cloud::aws::{Access, Fields, Kind, Place, Trouble};
use tripline_config::{FieldPath, Problem};
use tripline_event::outcome::TargetResult;
use tripline_event::{Action, Cause};

use crate::message_headers::{HeaderRules, headers};
use crate::pool::Pool;
use crate::{Identities, RenderedAction, TriggerError, codes};

/// How long one call may take.
pub(crate) const CALL: Duration = Duration::from_secs(30);
/// The most attributes of a message: SQS's own bound, also of what SNS delivers to SQS as it is.
const MAX_ATTRIBUTES: usize = 10;
/// The most attributes that a sensor may give: what tells of the chain needs the others.
const MAX_OWN_ATTRIBUTES: usize = 5;
/// The longest group id of a FIFO queue or topic.
const MAX_GROUP_CHARS: usize = 128;

/// The attributes of a CloudEvent that must be there, with the prefix that they have as headers.
const CLOUD_EVENT: [&str; 4] = ["ce-id", "ce-source", "ce-specversion", "ce-type"];

/// What takes messages, a queue or a topic, with a client for it.
pub(crate) trait Service: Send + Sync + Sized + 'static {
    /// The key under `template`.
    const KIND: &'static str;
    /// What stands under the key.
    type Config: DeserializeOwned + Send + Sync;

    /// What is wrong with a configuration whose payload is rendered.
    fn mistakes(config: &Self::Config) -> Vec<Problem>;

    /// What a configuration names.
    fn named(config: &Self::Config) -> Named;

    /// A client for it.
    fn open(named: &Named, caller: &Caller) -> impl Future<Output = Result<Self, Trouble>> + Send;

    /// Where it is.
    fn place(&self) -> &Place;

    /// Sends a message; its id, if the service answers with one.
    fn send(
        &self,
        config: &Self::Config,
        action: &Action,
        body: &str,
    ) -> impl Future<Output = Result<Option<String>, Trouble>> + Send;
}

/// A queue or topic, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Named {
    pub(crate) access: Access,
    pub(crate) name: String,
    /// The account that it belongs to, where that is another one.
    pub(crate) account: Option<String>,
}

/// What makes one client differ from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    namespace: String,
    service_account: Option<String>,
    named: Named,
}

/// Sends messages, with one client for each distinct queue or topic and credential.
pub(crate) struct Sender<S> {
    identities: Identities,
    opened: Pool<Key, S>,
}

impl<S: Service> Sender<S> {
    pub(crate) fn new(identities: Identities) -> Self {
        Self { identities, opened: Pool::default() }
    }

    pub(crate) async fn send(
        &self,
        rendered: &RenderedAction,
    ) -> Result<TargetResult, TriggerError> {
        let config = S::Config::deserialize(&rendered.config)
            .map_err(|error| invalid(format!("`{}` is not valid: {error}", S::KIND)))?;
        let body = body(rendered)?;
        let namespace = &rendered.action.trigger.namespace;
        let (key, caller) = self.key(&config, namespace, rendered.service_account.as_deref())?;
        let sent = async {
            let opened = self.opened.get(&key, async || S::open(&key.named, &caller).await).await?;
            let (id, place) = (opened.send(&config, &rendered.action, body).await?, opened.place());
            match id.filter(|id| !id.is_empty()) {
                Some(id) => Ok(TargetResult::Message { to: place.what.clone(), id }),
                None => {
                    let text = format!("{place} has answered without the id of a message");
                    Err(Trouble::new(Kind::Unknown, text))
                }
            }
        };
        sent.await.map_err(|trouble: Trouble| {
            if is_of_client(&trouble) {
                self.opened.forget(&key);
            }
            error(&trouble)
        })
    }

    /// A client of its own for what `config` names, as a sensor of `namespace` has it.
    pub(crate) async fn open(
        &self,
        config: &S::Config,
        namespace: &str,
        service_account: Option<&str>,
    ) -> Result<S, String> {
        let key = self.key(config, namespace, service_account);
        let (key, caller) = key.map_err(|error| error.to_string())?;
        S::open(&key.named, &caller).await.map_err(|trouble| trouble.to_string())
    }

    fn key(
        &self,
        config: &S::Config,
        namespace: &str,
        service_account: Option<&str>,
    ) -> Result<(Key, Caller), TriggerError> {
        if let Some(problem) = S::mistakes(config).into_iter().next() {
            return Err(invalid(format!("`{}`: {}", S::KIND, problem.message)));
        }
        let key = Key {
            namespace: namespace.to_owned(),
            service_account: service_account.map(str::to_owned),
            named: S::named(config),
        };
        Ok((key, self.identities.caller(namespace, service_account)))
    }
}

/// The attributes of the message that `action` sends: the sensor's own, those that tell of the
/// chain, and, where there is room for all four, those of a CloudEvent.
pub(crate) fn attributes(
    action: &Action,
    own: Option<&BTreeMap<String, String>>,
) -> Vec<(String, String)> {
    // An attribute must have a value.
    let own = own.into_iter().flatten().filter(|(_, value)| !value.is_empty());
    let mut all: Vec<_> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    let cloud_events = HeaderRules { cloud_events: Some("ce-"), ..HeaderRules::SQS_SNS };
    let (event, chain): (Vec<_>, Vec<_>) = headers(action, cloud_events)
        .into_iter()
        .filter(|(name, _)| !all.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)))
        .partition(|(name, _)| name.starts_with("ce-") || name == "content-type");
    let event = event.into_iter().filter(|(name, _)| CLOUD_EVENT.contains(&name.as_str()));
    let event: Vec<_> = event.collect();
    all.extend(chain);
    if all.len() + event.len() <= MAX_ATTRIBUTES {
        all.extend(event);
    }
    all
}

/// What is wrong with the sensor's own attributes, which are at `at`.
pub(crate) fn check_attributes(
    own: Option<&BTreeMap<String, String>>,
    at: &FieldPath,
) -> Vec<Problem> {
    let Some(own) = own else { return Vec::new() };
    let error = |at, message: String| Problem::error(codes::ATTRIBUTES, at, message);
    let mut problems: Vec<Problem> = own
        .keys()
        .filter(|name| !is_attribute_name(name))
        .map(|name| {
            let message = format!(
                "{name:?} is no name of an attribute: letters, digits and `-_.`, 256 at most, not \
                 beginning with `AWS.` or `Amazon.`"
            );
            error(at.key(name), message)
        })
        .collect();
    if own.len() > MAX_OWN_ATTRIBUTES {
        let message = format!(
            "there are {} attributes, expected {MAX_OWN_ATTRIBUTES} at most: a message has \
             {MAX_ATTRIBUTES}, and what tells of its chain needs the others",
            own.len()
        );
        problems.push(error(at.clone(), message));
    }
    problems
}

fn is_attribute_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=256).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
}

/// The group of the message in a FIFO queue or topic: the configured one, else one for each
/// trigger, so that what a trigger sends stays in its order.
pub(crate) fn group(configured: Option<&String>, action: &Action) -> String {
    if let Some(group) = configured.filter(|group| !group.is_empty()) {
        return group.clone();
    }
    let name = action.trigger.to_string();
    let fits = name.len() <= MAX_GROUP_CHARS && name.bytes().all(|c| c.is_ascii_graphic());
    if fits { name } else { hex::encode(Sha256::digest(name.as_bytes())) }
}

/// The body of the message.
fn body(rendered: &RenderedAction) -> Result<&str, TriggerError> {
    let payload = rendered.payload.as_deref().unwrap_or_default();
    let text = std::str::from_utf8(payload).map_err(|_| invalid("the payload is no UTF-8"))?;
    if text.is_empty() {
        return Err(invalid("the payload is empty: `payload` says what the message holds"));
    }
    Ok(text)
}

/// What is configured will never work.
fn invalid(reason: impl Into<String>) -> TriggerError {
    TriggerError::Refused { cause: Cause::Render, reason: reason.into() }
}

/// What the executor is to do about it.
fn error(trouble: &Trouble) -> TriggerError {
    let (reason, after) = (trouble.to_string(), trouble.after);
    let refused = |cause, reason| TriggerError::Refused { cause, reason };
    match trouble.kind {
        Kind::NotDone => TriggerError::NotDone { reason, after },
        Kind::Unknown => TriggerError::Retry { reason, after },
        Kind::Denied => refused(Cause::Forbidden, reason),
        Kind::NotFound => refused(Cause::NotFound, reason),
        Kind::Invalid => refused(Cause::Invalid, reason),
        Kind::Refused => refused(Cause::Refused, reason),
    }
}

/// Whether the client that has met it is to be made anew: with another address, or another role
/// of the service account.
fn is_of_client(trouble: &Trouble) -> bool {
    matches!(trouble.kind, Kind::Denied | Kind::NotFound)
}

/// What the fields of a service mean, or what is wrong with them.
pub(crate) fn access(fields: Fields<'_>, at: &FieldPath) -> Result<Access, Vec<Problem>> {
    fields.resolve().map_err(|mistakes| {
        let problem = |mistake: tripline_cloud::aws::Mistake| {
            let problem =
                Problem::error(codes::CLOUD_ACCESS, at.key(mistake.field), mistake.message);
            match mistake.help {
                Some(help) => problem.help(help),
                None => problem,
            }
        };
        mistakes.into_iter().map(problem).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages_testing::action;

    fn names(own: usize) -> Vec<String> {
        let own = (0..own).map(|n| (format!("own-{n}"), "x".to_owned())).collect();
        attributes(&action(), Some(&own)).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_message_never_has_more_than_ten_attributes_and_always_those_of_its_chain() {
        for own in 0..=MAX_OWN_ATTRIBUTES {
            let names = names(own);
            assert!(names.len() <= MAX_ATTRIBUTES, "{names:?}");
            for chain in ["x-correlation-id", "x-causation-id", "x-tripline-hops", "traceparent"] {
                assert!(names.iter().any(|name| name == chain), "{chain} is not in {names:?}");
            }
            assert_eq!(names.iter().any(|name| name == "ce-id"), own <= 1, "{names:?}");
        }
    }

    #[test]
    fn an_attribute_of_the_sensor_s_own_replaces_one_of_tripline_s() {
        let own = BTreeMap::from([("X-Correlation-Id".to_owned(), "mine".to_owned())]);
        let all = attributes(&action(), Some(&own));
        let found = all.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-correlation-id"));
        assert_eq!(found.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["mine"]);
    }

    #[test]
    fn names_of_attributes_are_those_that_the_service_takes() {
        for (name, expected) in [
            ("team", true),
            ("a.b_c-1", true),
            ("", false),
            (".a", false),
            ("a b", false),
            ("aws.x", false),
        ] {
            assert_eq!(is_attribute_name(name), expected, "{name}");
        }
    }

    #[test]
    fn the_group_is_the_configured_one_or_the_trigger() {
        let action = action();
        assert_eq!(group(Some(&"g".to_owned()), &action), "g");
        assert_eq!(group(Some(&String::new()), &action), "ci/notify/post");
        let mut long = action;
        long.trigger.trigger = "é".repeat(100);
        assert_eq!(group(None, &long).len(), 64);
    }
}

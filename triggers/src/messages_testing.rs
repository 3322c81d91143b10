//! What the tests of triggers that send messages share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::Value;
use tripline_config::{ConfigMapRef, Secret, SecretRef};
use tripline_event::event::Links;
use tripline_event::outcome::TargetResult;
use tripline_event::{
    Action, ActionId, CorrelationId, DefinitionHash, ObjectName, Position, TriggerName,
};

use crate::identity::Identities;
use crate::{Attempt, RenderedAction, SecretLookup, Trigger, TriggerError};

/// The `traceparent` of the action.
pub const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// An action of the trigger `ci/notify/post`, with the correlation id `build 4711`.
pub fn action() -> Action {
    let trigger = TriggerName::new(&ObjectName::new("ci", "notify"), "post");
    let traceparent = Some(TRACE.to_owned());
    let links = Links { hops: 2, traceparent, ..Links::first(CorrelationId("build 4711".into())) };
    let at = "2026-11-21T03:00:00Z".parse().unwrap();
    Action {
        id: ActionId::new(&trigger, [], 0),
        trigger,
        definition: DefinitionHash::of("{}"),
        events: vec![],
        cause: Position::new(1, 1),
        links,
        decided_at: at,
        expires_at: at,
        generation: 0,
        round: 0,
        attempted: false,
        target: None,
        key: None,
        origin: tripline_event::Origin::default(),
        copies: Vec::new(),
    }
}

/// It, with this configuration and payload.
pub fn rendered(kind: &str, config: Value, payload: &str) -> RenderedAction {
    RenderedAction {
        action: Arc::new(action()),
        kind: kind.into(),
        config,
        resource: None,
        payload: Some(Bytes::copy_from_slice(payload.as_bytes())),
        policy: None,
        service_account: None,
        live: None,
    }
}

/// Makes an attempt.
pub async fn send(
    trigger: &impl Trigger,
    rendered: &RenderedAction,
) -> Result<TargetResult, TriggerError> {
    trigger.carry_out(Attempt { rendered, events: &[], number: 1, uncertain: false }).await
}

/// What became of it, in a word and the reason.
pub fn said(result: Result<TargetResult, TriggerError>) -> String {
    match result {
        Ok(result) => format!("{result:?}"),
        Err(TriggerError::Retry { reason, after }) => format!("retry {after:?}: {reason}"),
        Err(TriggerError::NotDone { reason, after }) => format!("not done {after:?}: {reason}"),
        Err(TriggerError::Refused { cause, reason }) => format!("{cause}: {reason}"),
    }
}

/// Secrets of the namespace `ci`, as `name/key`.
#[derive(Default)]
pub struct TestSecrets(pub Mutex<BTreeMap<String, String>>);

impl TestSecrets {
    pub fn set(&self, path: &str, value: &str) {
        self.0.lock().unwrap().insert(path.to_owned(), value.to_owned());
    }

    pub fn identities(self: &Arc<Self>) -> Identities {
        Identities { secrets: Arc::clone(self) as _, accounts: None }
    }
}

impl SecretLookup for TestSecrets {
    fn secret(&self, namespace: &str, secret: &SecretRef) -> Result<Secret, String> {
        let path = format!("{}/{}", secret.name, secret.key);
        let secrets = self.0.lock().unwrap();
        let value = secrets.get(&path).filter(|_| namespace == "ci");
        value.map(|value| Secret::new(value.as_bytes())).ok_or_else(|| format!("no secret {path}"))
    }

    fn config_map(&self, _: &str, _: &ConfigMapRef) -> Result<String, String> {
        Err("there are no config maps".to_owned())
    }
}

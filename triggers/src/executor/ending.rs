//! What an earlier action has started makes room for a newer one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tripline_event::{Action, Timestamp};

use super::core::Core;
use super::lane::Ending;
use super::run::Started;
use super::{RetryPolicy, letter};
use crate::{Attempt, RenderedAction, workflow};

/// When a workflow that could not be asked to end is asked again: for as long as it goes on.
const AGAIN: RetryPolicy = RetryPolicy {
    initial: Duration::from_secs(1),
    factor: 2.0,
    jitter: 0.5,
    max: Duration::from_secs(60),
    steps: None,
};

impl Core {
    /// Asks the workflow of a run to end, as the account that has started it. That it has ended
    /// is told by those who follow it; a restart asks once more.
    pub(super) async fn end_run(&self, newer: &Arc<Action>, ending: &Ending) {
        // Its own statement: the lock is not held below.
        let run = self.state().run(&ending.run);
        let Some(run) = run else { return };
        let Ending { operation, attempt, .. } = *ending;
        let (Some(started), Some(kind)) = (&run.workflow, self.parts.kinds.get(workflow::KIND))
        else {
            tracing::warn!(
                target: "tripline::executor", trigger = %run.trigger, run = %run.action,
                "what it has started is not known by name, and is waited for"
            );
            return;
        };
        let rendered = order(newer, started, operation);
        let attempt =
            Attempt { rendered: &rendered, events: &[], number: attempt, uncertain: false };
        let Started { namespace, name, .. } = started;
        match kind.carry_out(attempt).await {
            Ok(_) => tracing::info!(
                target: "tripline::executor", trigger = %run.trigger, operation,
                workflow = %format_args!("{namespace}/{name}"), "makes room for {}", newer.id
            ),
            Err(error) => {
                let wait = AGAIN.delay(attempt.number, &rendered.action, self.parts.seed);
                let again = self.parts.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX);
                let error = letter::cut(format!(
                    "{operation} of workflow {namespace}/{name}, which is to make room: {error}"
                ));
                tracing::warn!(
                    target: "tripline::executor", trigger = %run.trigger, "{error}; it is tried again"
                );
                self.state().not_ended(&run, again, error);
                self.changed.notify_one();
            }
        }
    }
}

/// What a trigger with this operation would be given.
fn order(newer: &Arc<Action>, started: &Started, operation: &str) -> RenderedAction {
    let Started { namespace, name, service_account } = started;
    // By its id it is known whether the workflow was changed by this already.
    let action = Action { id: newer.id.at(operation), ..Action::clone(newer) };
    RenderedAction {
        action: Arc::new(action),
        kind: workflow::KIND.to_owned(),
        // It may have ended meanwhile.
        config: json!({"operation": operation, "ifThere": true}),
        resource: Some(json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"namespace": namespace, "name": name},
        })),
        payload: None,
        policy: None,
        service_account: service_account.clone(),
        live: None,
    }
}

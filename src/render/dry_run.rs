//! What the API server says of what was rendered: each object is sent to the cluster that the
//! daemon would choose, with `dryRun=All`.
//!
//! Promises: nothing is ever created, changed or deleted; it is sent by the code and with the
//! rights with which the daemon would send it.
//!
//! Not here: what is awaited of an object once it is there (`policy`), which a dry run cannot
//! bring about.

use std::sync::Arc;

use anyhow::ensure;
use tripline_config::Secrets;
use tripline_event::Event;
use tripline_event::outcome::TargetResult;
use tripline_triggers::cluster::Clusters;
use tripline_triggers::k8s::K8sTrigger;
use tripline_triggers::workflow::cluster::ClusterTarget;
use tripline_triggers::workflow::{WorkflowTarget, WorkflowTargets, WorkflowTrigger, local};
use tripline_triggers::{Attempt, RenderedAction, SecretLookup, Trigger, TriggerError, kinds};

use super::{Fired, Order, Outcome, ServerAnswer, Verdict, fire, shown};
use crate::daemon::secrets::SecretStore;
use crate::daemon::targets::{self, TargetChoice};

/// Where what is rendered is tried.
pub struct Server {
    /// What the command line says about clusters.
    pub targets: TargetChoice,
    /// Where secrets are looked up, besides those of the files.
    pub secrets: Secrets,
}

/// Renders, and asks the clusters.
///
/// # Errors
/// As [`super::render`]; no cluster is named at all, or a secret of the files is wrong. What a
/// cluster answers is in the outcome.
pub async fn render(order: &Order, server: Server) -> anyhow::Result<Outcome> {
    let Server { targets: choice, secrets } = server;
    let Fired { firings, configuration, notes } = fire(order, Some(&choice))?;
    let secrets = Arc::new(SecretStore::new(secrets));
    let wrong = secrets.replace_documents(&configuration.secrets);
    let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let clusters = targets::dry_run_clusters(&choice, secrets as Arc<dyn SecretLookup>);
    clusters.apply(configuration.clusters.values().cloned().collect());
    ensure!(
        !clusters.all().is_empty(),
        "which API server is to be asked? Give --context NAME, or a Cluster among the files"
    );
    let trial = Trial {
        workflows: WorkflowTrigger::routed(Arc::new(InClusters(Arc::clone(&clusters)))),
        objects: K8sTrigger::new(clusters),
    };
    let mut outcome = Outcome { rendered: Vec::new(), notes };
    for (rendered, events) in firings {
        let server = Some(trial.answer(&rendered, &events).await);
        outcome.rendered.push(super::Rendered { server, ..shown(&rendered)? });
    }
    Ok(outcome)
}

/// The kinds of triggers that act in clusters, which are only asked here.
struct Trial {
    workflows: WorkflowTrigger,
    objects: K8sTrigger,
}

impl Trial {
    async fn answer(&self, rendered: &RenderedAction, events: &[Arc<Event>]) -> ServerAnswer {
        let kind = rendered.kind.as_str();
        let answer = |verdict, said| ServerAnswer { verdict, cause: None, said };
        if !kinds::has_targets(kind) {
            let said = format!("`{kind}` is no object of Kubernetes");
            return answer(Verdict::NotTried, said);
        }
        let bound = rendered.action.target.as_deref().unwrap_or(local::NAME);
        if bound == local::NAME {
            let said = "it goes to the local target, which has no API server: give --context \
                        NAME, `clusters` of the trigger, or `for` of a Cluster";
            return answer(Verdict::NoCluster, said.to_owned());
        }
        // What it says of an object that is there would be waited for in vain.
        let rendered = RenderedAction { policy: None, ..rendered.clone() };
        let trigger: &dyn Trigger = match kind {
            "k8s" => &self.objects,
            _ => &self.workflows,
        };
        let attempt = Attempt { rendered: &rendered, events, number: 1, uncertain: false };
        match trigger.carry_out(attempt).await {
            Ok(
                TargetResult::Workflow { already: true, .. }
                | TargetResult::Object { already: true, .. },
            ) => {
                let said = format!("cluster `{bound}`: nothing is to be done, it is so already");
                answer(Verdict::Accepted, said)
            }
            Ok(_) => answer(Verdict::Accepted, format!("cluster `{bound}`")),
            Err(TriggerError::Refused { cause, reason }) => {
                ServerAnswer { verdict: Verdict::Refused, cause: Some(cause), said: reason }
            }
            Err(TriggerError::NotDone { reason, .. } | TriggerError::Retry { reason, .. }) => {
                answer(Verdict::NotNow, reason)
            }
        }
    }
}

/// Workflows go to the clusters, and are not followed.
struct InClusters(Arc<Clusters>);

impl WorkflowTargets for InClusters {
    fn target(&self, name: &str) -> Result<Arc<dyn WorkflowTarget>, TriggerError> {
        Ok(Arc::new(ClusterTarget::new(self.0.bound(name)?)))
    }

    fn asks_for_earlier_attempts(&self) -> bool {
        false
    }
}

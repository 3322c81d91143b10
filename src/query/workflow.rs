//! The workflows that were submitted, newest last: those that the local target has recorded,
//! and those in clusters, as far as outcomes tell of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_bus::{Bus, Log};
use tripline_event::outcome::TargetResult;
use tripline_event::{
    ActionId, CorrelationId, Outcome, OutcomeKind, SystemClock, Timestamp, TriggerName,
};
use tripline_triggers::workflow::local::{self, LocalTarget, LocalWorkflow, Phase, WorkflowFilter};

use super::QueryError;
use super::scan::{Backwards, PAGE};

/// The phase of a workflow in a cluster of which nothing else is known yet.
pub const SUBMITTED: &str = "Submitted";
/// All phases.
pub const PHASES: [&str; 9] = [
    "Recorded",
    SUBMITTED,
    "Pending",
    "Running",
    "Succeeded",
    "Failed",
    "Error",
    "Deleted",
    "Unknown",
];

/// A workflow that was submitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workflow {
    /// Where it is: `local`, or the cluster's name.
    pub target: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// One of [`PHASES`].
    pub phase: String,
    /// The trigger that submitted it; none where it is recorded locally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerName>,
    /// The action that it was submitted for.
    pub action: ActionId,
    /// The correlation id of the whole chain.
    pub correlation: CorrelationId,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why it ended so, or why its phase is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The whole object, as it was submitted, where it is recorded locally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Value>,
}

/// Which workflows; those that match all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those of this target.
    pub target: Option<String>,
    /// Those of this namespace.
    pub namespace: Option<String>,
    /// Those of this chain.
    pub correlation: Option<CorrelationId>,
    /// Those in this phase.
    pub phase: Option<String>,
}

impl Wanted {
    fn takes(&self, workflow: &Workflow) -> bool {
        self.target.as_ref().is_none_or(|target| workflow.target == *target)
            && self.namespace.as_ref().is_none_or(|namespace| workflow.namespace == *namespace)
            && self.correlation.as_ref().is_none_or(|of| workflow.correlation == *of)
            && self.phase.as_ref().is_none_or(|phase| workflow.phase == *phase)
    }

    fn may_be_at(&self, local: bool) -> bool {
        self.target.as_ref().is_none_or(|target| (target == local::NAME) == local)
    }
}

impl From<LocalWorkflow> for Workflow {
    fn from(of: LocalWorkflow) -> Self {
        Self {
            target: local::NAME.to_owned(),
            namespace: of.namespace().to_owned(),
            name: of.name().to_owned(),
            phase: of.phase.as_str().to_owned(),
            trigger: None,
            action: of.action,
            correlation: of.correlation,
            created_at: of.created_at,
            finished_at: of.finished_at,
            message: None,
            object: Some(of.object),
        }
    }
}

/// The last `limit` workflows that fit, by the time when they were submitted.
pub async fn list(
    bus: Arc<dyn Bus>,
    wanted: &Wanted,
    limit: usize,
) -> Result<Vec<Workflow>, QueryError> {
    let mut found = match wanted.may_be_at(false) {
        true => in_clusters(&*bus, limit, |workflow| wanted.takes(workflow)).await?,
        false => Vec::new(),
    };
    if wanted.may_be_at(true) {
        found.extend(recorded(bus, wanted, limit).await?);
    }
    found.sort_by(|a, b| {
        let key = |of: &Workflow| (of.created_at, of.namespace.clone(), of.name.clone());
        key(a).cmp(&key(b))
    });
    found.drain(..found.len().saturating_sub(limit));
    Ok(found)
}

async fn recorded(
    bus: Arc<dyn Bus>,
    wanted: &Wanted,
    limit: usize,
) -> Result<Vec<Workflow>, QueryError> {
    let target = target(bus);
    let phase = match &wanted.phase {
        None => None,
        Some(phase) => match serde_json::from_value::<Phase>(phase.as_str().into()) {
            Ok(phase) => Some(phase),
            // One that nothing has here.
            Err(_) => return Ok(Vec::new()),
        },
    };
    let filter = WorkflowFilter {
        namespace: wanted.namespace.clone(),
        correlation: wanted.correlation.clone(),
        phase,
    };
    let mut newest: BTreeMap<(Timestamp, String, String), LocalWorkflow> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = target.list(&filter, after.as_deref(), PAGE).await?;
        for workflow in page.workflows {
            let names = (workflow.namespace().to_owned(), workflow.name().to_owned());
            newest.insert((workflow.created_at, names.0, names.1), workflow);
            if newest.len() > limit {
                newest.pop_first();
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(newest.into_values().map(Workflow::from).collect());
        }
        tokio::task::yield_now().await;
    }
}

/// The latest of what outcomes say of a workflow.
struct Latest {
    phase: String,
    at: Timestamp,
    message: Option<String>,
}

/// The newest workflows in clusters that fit, the newest first. From the end of the log: what
/// is met first is the latest, and the submission itself comes last.
async fn in_clusters(
    bus: &dyn Bus,
    limit: usize,
    fits: impl Fn(&Workflow) -> bool + Send,
) -> Result<Vec<Workflow>, QueryError> {
    let mut log = Backwards::new(bus, Log::Outcomes).await?;
    let mut latest: HashMap<ActionId, Latest> = HashMap::new();
    let mut found = Vec::new();
    while let Some(page) = log.page(bus).await? {
        for stored in page.iter().rev() {
            if found.len() >= limit {
                return Ok(found);
            }
            // Most outcomes speak of no workflow.
            if memchr::memmem::find(&stored.record, b"orkflow").is_none() {
                continue;
            }
            let Ok(outcome) = Outcome::decode(&stored.record) else { continue };
            let (at, correlation) = (outcome.at, outcome.correlation);
            match outcome.kind {
                OutcomeKind::Workflow { target, phase, action, message, .. }
                    if target != local::NAME =>
                {
                    latest.entry(action).or_insert(Latest { phase, at, message });
                }
                OutcomeKind::Succeeded {
                    action,
                    trigger,
                    result: TargetResult::Workflow { target, namespace, name, .. },
                    ..
                } if target != local::NAME => {
                    let known = latest.remove(&action);
                    let phase = known.as_ref().map_or(SUBMITTED, |of| of.phase.as_str()).to_owned();
                    let over = ["Succeeded", "Failed", "Error", "Deleted"];
                    let finished_at =
                        known.as_ref().filter(|of| over.contains(&&*of.phase)).map(|of| of.at);
                    let workflow = Workflow {
                        target,
                        namespace,
                        name,
                        phase,
                        trigger: Some(trigger),
                        action,
                        correlation: correlation.unwrap_or_else(|| CorrelationId(String::new())),
                        created_at: at,
                        finished_at,
                        message: known.and_then(|of| of.message),
                        object: None,
                    };
                    found.extend(Some(workflow).filter(|workflow| fits(workflow)));
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// One workflow: the newest of that name; none where none was submitted.
pub async fn get(
    bus: Arc<dyn Bus>,
    namespace: &str,
    name: &str,
) -> Result<Option<Workflow>, QueryError> {
    if let Some(recorded) = target(Arc::clone(&bus)).get(namespace, name).await? {
        return Ok(Some(recorded.into()));
    }
    let is_it = |workflow: &Workflow| workflow.namespace == namespace && workflow.name == name;
    Ok(in_clusters(&*bus, 1, is_it).await?.pop())
}

/// A target that is only asked: its clock is not looked at.
fn target(bus: Arc<dyn Bus>) -> LocalTarget {
    LocalTarget::new(bus, Arc::new(SystemClock))
}

//! A workflow as a watch shows it, and what is to be said of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use tripline_bus::Append;
use tripline_event::{ActionId, CorrelationId, Outcome, OutcomeKind, Timestamp};

use crate::workflow::submission::{ACTION_ID, CORRELATION_ID};

/// How much of a workflow's message is kept.
const MESSAGE_BYTES: usize = 1024;

/// A workflow, as far as it matters here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    pub(super) metadata: Metadata,
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    name: String,
    namespace: String,
    pub(super) resource_version: String,
    creation_timestamp: Option<Timestamp>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    message: Option<String>,
    finished_at: Option<Timestamp>,
}

/// A list of them.
#[derive(Debug, Deserialize)]
pub(super) struct List {
    pub(super) metadata: ListMetadata,
    pub(super) items: Vec<Seen>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListMetadata {
    pub(super) resource_version: String,
    pub(super) r#continue: String,
}

/// The phases of Argo Workflows that are told; `true` are ends.
const PHASES: &[(&str, bool)] = &[
    ("Pending", false),
    ("Running", false),
    ("Succeeded", true),
    ("Failed", true),
    ("Error", true),
];

impl Seen {
    pub(super) fn action(&self) -> Option<ActionId> {
        self.metadata.labels.get(ACTION_ID).map(|id| ActionId(id.clone()))
    }

    fn phase(&self) -> Option<(&'static str, bool)> {
        let phase = self.status.phase.as_deref()?;
        PHASES.iter().find(|(known, _)| *known == phase).copied()
    }

    /// Everything about it was over before `then`.
    pub(super) fn was_over(&self, then: Timestamp) -> bool {
        let at = self.status.finished_at.or(self.metadata.creation_timestamp);
        self.phase().is_some_and(|(_, ended)| ended) && at.is_some_and(|at| at < then)
    }

    /// It was created before `then`.
    pub(super) fn is_older(&self, then: Timestamp) -> bool {
        self.metadata.creation_timestamp.is_some_and(|at| at < then)
    }

    /// The phase that it has reached, where it has reached one.
    pub(super) fn reached(&self, target: &str, at: Timestamp) -> Option<(&'static str, Append)> {
        let (phase, ended) = self.phase()?;
        let at = self.status.finished_at.filter(|_| ended).unwrap_or(at);
        let message = self.status.message.clone().filter(|message| !message.is_empty());
        Some((phase, self.outcome(target, phase, at, message)?))
    }

    /// It was removed; something is to be said of it, unless it had ended.
    pub(super) fn removed(&self, target: &str, at: Timestamp) -> Option<Append> {
        match self.phase() {
            Some((_, true)) => self.reached(target, at).map(|(_, append)| append),
            _ => {
                let message = "it was removed before it had ended".to_owned();
                self.outcome(target, "Deleted", at, Some(message))
            }
        }
    }

    fn outcome(
        &self,
        target: &str,
        phase: &str,
        at: Timestamp,
        message: Option<String>,
    ) -> Option<Append> {
        let Metadata { name, namespace, labels, annotations, .. } = &self.metadata;
        let correlation =
            annotations.get(CORRELATION_ID).or_else(|| labels.get(CORRELATION_ID))?.clone();
        let of = Told {
            target,
            namespace,
            name,
            action: &self.action()?,
            correlation: &CorrelationId(correlation),
        };
        Some(of.outcome(phase, at, message))
    }
}

/// A workflow that something is said of.
pub(super) struct Told<'a> {
    pub(super) target: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) action: &'a ActionId,
    pub(super) correlation: &'a CorrelationId,
}

impl Told<'_> {
    /// That it has reached a phase, which is stored once.
    pub(super) fn outcome(&self, phase: &str, at: Timestamp, message: Option<String>) -> Append {
        let message = message.map(|mut text| {
            text.truncate(text.floor_char_boundary(MESSAGE_BYTES));
            text
        });
        let kind = OutcomeKind::Workflow {
            target: self.target.to_owned(),
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            phase: phase.to_owned(),
            action: self.action.clone(),
            message,
        };
        let outcome = Outcome { at, correlation: Some(self.correlation.clone()), kind };
        let dedup = Bytes::from(format!("{}-workflow-{phase}", self.action));
        Append { dedup: Some(dedup), record: outcome.encode() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(status: serde_json::Value) -> Seen {
        serde_json::from_value(json!({
            "metadata": {
                "name": "x", "namespace": "ci", "resourceVersion": "7",
                "creationTimestamp": "2026-11-21T03:00:00Z",
                "labels": {ACTION_ID: "a1", CORRELATION_ID: "h-1"},
                "annotations": {CORRELATION_ID: "build 7"},
            },
            "spec": {"anything": [1]},
            "status": status,
        }))
        .unwrap()
    }

    fn said(append: Option<Append>) -> Option<(String, Option<String>, Timestamp)> {
        let outcome = Outcome::decode(&append?.record).unwrap();
        assert_eq!(outcome.correlation, Some(CorrelationId("build 7".into())));
        let OutcomeKind::Workflow { phase, message, .. } = outcome.kind else { panic!() };
        Some((phase, message, outcome.at))
    }

    #[test]
    fn a_phase_is_told_with_its_chain_and_its_own_time() {
        let now = "2026-11-21T04:00:00Z".parse().unwrap();
        let end =
            json!({"phase": "Failed", "message": "oom", "finishedAt": "2026-11-21T03:30:00Z"});
        let reached = |status| said(seen(status).reached("prod", now).map(|(_, append)| append));
        let at = "2026-11-21T03:30:00Z".parse().unwrap();
        assert_eq!(reached(end.clone()), Some(("Failed".into(), Some("oom".into()), at)));
        assert_eq!(reached(json!({"phase": "Running"})), Some(("Running".into(), None, now)));
        assert_eq!(reached(json!({})), None);
        assert_eq!(reached(json!({"phase": "SomethingNew"})), None);
        // One that had ended is not said to be removed.
        assert_eq!(said(seen(end).removed("prod", now)).unwrap().0, "Failed");
        assert_eq!(said(seen(json!({})).removed("prod", now)).unwrap().0, "Deleted");
    }

    #[test]
    fn what_was_over_long_ago_is_not_told_again() {
        let end = seen(json!({"phase": "Failed", "finishedAt": "2026-11-21T03:30:00Z"}));
        assert!(end.was_over("2026-11-21T03:31:00Z".parse().unwrap()));
        assert!(!end.was_over("2026-11-21T03:29:00Z".parse().unwrap()));
        assert!(
            !seen(json!({"phase": "Running"})).was_over("2027-01-01T00:00:00Z".parse().unwrap())
        );
    }
}

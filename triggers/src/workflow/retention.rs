//! How many workflows of a CronWorkflow are kept that have ended: the others are removed, the
//! oldest first, as Argo Workflows' own controller does.
//!
//! Promises: a workflow is removed only where it has ended, and where it has both the label of
//! the CronWorkflow and those that Tripline gave it when it submitted it for the same. What
//! somebody else made of a CronWorkflow is not touched, nor what took a name since.

#[cfg(feature = "kubernetes")]
mod cluster;
mod local;

pub use local::RetentionError;
use serde::Deserialize;
use serde_json::Value;
use tripline_event::{ObjectName, Timestamp};

/// The label that names the CronWorkflow.
const CRON_WORKFLOW: &str = "workflows.argoproj.io/cron-workflow";
/// The label that names the sensor, which is the CronWorkflow's action.
const SENSOR: &str = "events.argoproj.io/sensor";

/// How many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// That succeeded.
    pub successful: usize,
    /// That failed.
    pub failed: usize,
}

/// What Argo Workflows keeps where a CronWorkflow says nothing.
const DEFAULT: Kept = Kept { successful: 3, failed: 1 };

/// A CronWorkflow and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The CronWorkflow.
    pub object: ObjectName,
    /// The sensor that is its action: its name, which workflows have as a label.
    pub sensor: String,
    successful: Option<usize>,
    failed: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    successful_jobs_history_limit: Option<i64>,
    failed_jobs_history_limit: Option<i64>,
}

/// A workflow that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ended {
    name: String,
    /// What tells it from another one of its name.
    version: String,
    succeeded: bool,
    at: Timestamp,
}

impl Retention {
    /// That of the CronWorkflow `json`, whose action is the sensor of that name.
    pub fn of(object: ObjectName, sensor: &str, json: &Value) -> Option<Self> {
        let limits: Limits = serde_json::from_value(json.get("spec")?.clone()).ok()?;
        // As the controller takes a negative number: none is kept.
        let limit = |limit: Option<i64>| limit.map(|of| usize::try_from(of).unwrap_or_default());
        Some(Self {
            object,
            sensor: sensor.to_owned(),
            successful: limit(limits.successful_jobs_history_limit),
            failed: limit(limits.failed_jobs_history_limit),
        })
    }

    /// What is kept where Argo Workflows would remove the others.
    fn kept(&self) -> Kept {
        Kept {
            successful: self.successful.unwrap_or(DEFAULT.successful),
            failed: self.failed.unwrap_or(DEFAULT.failed),
        }
    }

    /// Whether an object with these labels is one of this CronWorkflow that Tripline submitted.
    fn owns(&self, labels: Option<&Value>) -> bool {
        let label = |name: &str| labels?.get(name)?.as_str();
        label(CRON_WORKFLOW) == Some(&self.object.name)
            && label(SENSOR) == Some(&self.sensor)
            && label(super::submission::ACTION_ID).is_some_and(|id| !id.is_empty())
    }
}

/// The CronWorkflow that labels name.
fn cron_workflow_of(labels: Option<&Value>) -> Option<String> {
    Some(labels?.get(CRON_WORKFLOW)?.as_str()?.to_owned())
}

/// Those that are beyond the limits.
fn surplus(mut ended: Vec<Ended>, kept: Kept) -> Vec<Ended> {
    ended.sort_by(|a, b| (b.at, &b.name).cmp(&(a.at, &a.name)));
    let mut left = kept;
    ended.retain(|workflow| {
        let left = if workflow.succeeded { &mut left.successful } else { &mut left.failed };
        let beyond = *left == 0;
        *left = left.saturating_sub(1);
        beyond
    });
    // The oldest first: what cannot be removed now is the oldest the next time, too.
    ended.reverse();
    ended
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn retention(spec: Value) -> Retention {
        let object = ObjectName::new("ci", "nightly");
        Retention::of(object, "cronworkflow.nightly", &json!({"spec": spec})).unwrap()
    }

    #[test]
    fn the_limits_are_argo_s_where_none_are_given() {
        for (spec, successful, failed) in [
            (json!({}), 3, 1),
            (json!({"successfulJobsHistoryLimit": 0}), 0, 1),
            (json!({"failedJobsHistoryLimit": 7, "successfulJobsHistoryLimit": null}), 3, 7),
            (json!({"failedJobsHistoryLimit": -2}), 3, 0),
        ] {
            assert_eq!(retention(spec.clone()).kept(), Kept { successful, failed }, "{spec}");
        }
    }

    #[test]
    fn the_oldest_beyond_the_limits_are_removed_each_kind_by_itself() {
        let ended = |text: &str| -> Vec<Ended> {
            let one = |(place, what): (usize, char)| Ended {
                name: format!("{what}{place}"),
                version: String::new(),
                succeeded: what == 's',
                at: Timestamp::from_second(place as i64).unwrap(),
            };
            text.chars().enumerate().map(one).collect()
        };
        let removed = |text: &str, successful, failed| {
            let found = surplus(ended(text), Kept { successful, failed });
            found.into_iter().map(|workflow| workflow.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(removed("sfsfsf", 2, 1), "s0 f1 f3");
        assert_eq!(removed("ssss", 3, 0), "s0");
        assert_eq!(removed("sffs", 0, 0), "s0 f1 f2 s3");
        assert_eq!(removed("sf", 3, 1), "");
    }

    #[test]
    fn only_what_was_submitted_for_this_cron_workflow_is_its_own() {
        let retention = retention(json!({}));
        let own = json!({
            CRON_WORKFLOW: "nightly", SENSOR: "cronworkflow.nightly", "tripline.dev/action-id": "a",
        });
        assert!(retention.owns(Some(&own)));
        for (label, value) in [
            (CRON_WORKFLOW, json!("weekly")),
            (SENSOR, json!("deploy")),
            (SENSOR, Value::Null),
            ("tripline.dev/action-id", Value::Null),
            ("tripline.dev/action-id", json!("")),
        ] {
            let mut other = own.clone();
            other[label] = value;
            assert!(!retention.owns(Some(&other)), "{other}");
        }
        assert!(!retention.owns(None));
    }
}

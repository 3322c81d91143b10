//! CronWorkflows as Argo Workflows has them.
//!
//! [`CronWorkflowSpec`] is what is written, in the versions with one `schedule` and with
//! several `schedules`. [`compile`] gives what it means, or everything that is wrong with it.
//!
//! Other than in Argo the zone of a CronWorkflow that names none is UTC, never the machine's;
//! `@every` counts from 1970-01-01T00:00:00Z and not from when it was loaded.
//!
//! Not here: the workflow itself.

mod conditions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::FieldPath;

use crate::definition::Definition;
use crate::exclusion::Exclusions;
use crate::policy::{CatchUp, OverlapPolicy, Policies};
use crate::robfig::Cron;
use crate::spec::SpecError;
use crate::timetable::{Part, Timetable};
use crate::zone;
use conditions::CronConditions;

/// The longest name of a CronWorkflow: its workflows append the time to it.
pub const NAME_MAX: usize = 52;

/// `spec` of a CronWorkflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CronWorkflowSpec {
    /// One schedule, as before Argo Workflows 4: five fields, or a descriptor such as `@daily`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The schedules. Two that name the same second start one workflow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<String>,
    /// The IANA name of the zone whose clocks count, such as `Europe/Zurich`. UTC if not given
    /// (Argo: the zone of the controller).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What happens while an earlier workflow runs: `Allow` (both run), `Forbid` (no new one),
    /// `Replace` (the earlier one is terminated). `Allow` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency_policy: Option<String>,
    /// How late the latest missed time may be made up for. 0 or not given: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting_deadline_seconds: Option<i64>,
    /// Nothing is started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// How many workflows that succeeded are kept: 3 where it is not given. The local target
    /// keeps all of a CronWorkflow that says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successful_jobs_history_limit: Option<i32>,
    /// How many workflows that failed are kept: 1 where it is not given. The local target keeps
    /// all of a CronWorkflow that says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_jobs_history_limit: Option<i32>,
    /// `spec` of the workflows that are submitted.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub workflow_spec: Value,
    /// Labels, annotations and finalizers of the workflows that are submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_metadata: Option<WorkflowMetadata>,
    /// A condition for each time: `{{= … }}` is filled in, and what comes out must be true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// When no more workflows are started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_strategy: Option<StopStrategy>,
}

/// What is laid on the metadata of each workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkflowMetadata {
    /// Labels.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub labels: std::collections::BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub annotations: std::collections::BTreeMap<String, String>,
    /// Finalizers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
}

/// When no more workflows are started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StopStrategy {
    /// An expression such as `cronworkflow.failed >= 3`.
    pub expression: String,
}

/// What of a CronWorkflow's `metadata` its conditions may speak of.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// The annotations.
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// What the CronWorkflow means. The paths of the errors are those from the object on.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile(metadata: &Metadata, spec: &CronWorkflowSpec) -> Result<Definition, Vec<SpecError>> {
    let mut errors = Vec::new();
    let root = FieldPath::root().key("spec");
    if metadata.name.len() > NAME_MAX {
        let message = format!("the name is {} characters long", metadata.name.len());
        let path = FieldPath::root().key("metadata").key("name");
        errors.push(SpecError::new(path, message).help(format!(
            "it is at most {NAME_MAX} characters long, since workflows append the time to it"
        )));
    }
    let zone = zone_of(spec, &root, &mut errors);
    let times = times(spec, zone.as_ref().unwrap_or(&TimeZone::UTC), &root, &mut errors);
    if !spec.workflow_spec.is_object() {
        let message = "a CronWorkflow needs `workflowSpec`: what is to be submitted";
        errors.push(SpecError::new(root.key("workflowSpec"), message));
    }
    let policies = policies(spec, &root, &mut errors);
    let conditions = CronConditions::compile(metadata, spec, &root, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let written: Vec<&String> = spec.schedule.iter().chain(&spec.schedules).collect();
    Ok(Definition {
        times,
        policies: Policies { follow_all: conditions.is_some(), ..policies },
        suspended: spec.suspend.unwrap_or_default().then(|| "suspend: true".to_owned()),
        conditions: conditions.map(|conditions| Arc::new(conditions) as _),
        limited_actions: None,
        delete_after_completion: false,
        fingerprint: serde_json::json!([written, spec.timezone]).to_string(),
    })
}

fn zone_of(
    spec: &CronWorkflowSpec,
    root: &FieldPath,
    errors: &mut Vec<SpecError>,
) -> Option<TimeZone> {
    match spec.timezone.as_deref().unwrap_or_default() {
        "" => Some(TimeZone::UTC),
        name => zone::load(name)
            .map_err(|error| {
                let path = root.key("timezone");
                errors.push(SpecError::new(path, error.to_string()).help(error.help()));
            })
            .ok(),
    }
}

fn times(
    spec: &CronWorkflowSpec,
    zone: &TimeZone,
    root: &FieldPath,
    errors: &mut Vec<SpecError>,
) -> Timetable {
    let single = spec.schedule.iter().filter(|text| !text.is_empty());
    let single = single.map(|text| (root.key("schedule"), text));
    let several = spec.schedules.iter().enumerate();
    let several = several.map(|(index, text)| (root.key("schedules").index(index), text));
    let mut parts = Vec::new();
    let mut none = true;
    for (path, text) in single.chain(several) {
        none = false;
        let prefixed = text.starts_with("TZ=") || text.starts_with("CRON_TZ=");
        if prefixed && spec.timezone.as_ref().is_some_and(|zone| !zone.is_empty()) {
            let message = format!("`{text}` has a zone of its own, and `timezone` is given too");
            errors.push(SpecError::new(path, message).help("leave one of them out"));
            continue;
        }
        match Cron::parse(text, zone) {
            Ok(cron) => parts.push(Part::Cron(Box::new(cron))),
            Err(error) => {
                let mut found = SpecError::new(path, error.message);
                found.help = error.help;
                errors.push(found);
            }
        }
    }
    if none {
        let message = "a CronWorkflow needs `schedules`";
        errors.push(
            SpecError::new(root.key("schedules"), message)
                .help("write `schedules: [\"0 */4 * * *\"]`"),
        );
    }
    Timetable::new(parts, Exclusions::default())
}

fn policies(spec: &CronWorkflowSpec, root: &FieldPath, errors: &mut Vec<SpecError>) -> Policies {
    let overlap = match spec.concurrency_policy.as_deref().unwrap_or_default() {
        "" | "Allow" => OverlapPolicy::AllowAll,
        "Forbid" => OverlapPolicy::Skip,
        "Replace" => OverlapPolicy::Replace,
        other => {
            let message = format!("`{other}` is no concurrency policy");
            errors.push(
                SpecError::new(root.key("concurrencyPolicy"), message)
                    .help("one of `Allow`, `Forbid`, `Replace`"),
            );
            OverlapPolicy::AllowAll
        }
    };
    let deadline = spec.starting_deadline_seconds.unwrap_or_default();
    if deadline < 0 {
        let message = format!("the deadline {deadline} is negative");
        errors.push(SpecError::new(root.key("startingDeadlineSeconds"), message));
    }
    Policies {
        overlap,
        catch_up: if deadline > 0 { CatchUp::Latest } else { CatchUp::None },
        catch_up_window: SignedDuration::from_secs(deadline.max(0)),
        ..Policies::default()
    }
}

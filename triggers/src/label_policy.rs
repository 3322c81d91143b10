//! `policy.k8s`: an object counts as created only when it has got certain labels.
//!
//! Argo Events asks for the object again and again while nothing else is done. Here each look
//! is an attempt, which finds that the object is there already and looks at its labels: the
//! trigger goes on with other actions meanwhile, and a restart forgets nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tripline_config::{FieldPath, Problem};
use tripline_event::Cause;

use crate::{TriggerError, codes};

/// Where the policy does not say: Argo Events' backoff.
const PAUSE: Duration = Duration::from_secs(1);
const STEPS: u32 = 5;
/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(300);

/// `policy.k8s` of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LabelPolicy {
    labels: BTreeMap<String, String>,
    backoff: Backoff,
    error_on_backoff_timeout: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Backoff {
    duration: Option<Value>,
    factor: Option<Value>,
    steps: Option<u32>,
}

impl LabelPolicy {
    /// The policy of a trigger, which has `policy`; none where it asks for nothing.
    pub(crate) fn of(policy: Option<&Value>) -> Option<Self> {
        let policy = policy?.get("k8s").filter(|policy| !policy.is_null())?;
        let policy = Self::deserialize(policy).ok()?;
        (!policy.labels.is_empty()).then_some(policy)
    }

    /// What is wrong with `policy.k8s`, which stands at `at`.
    pub(crate) fn problems(policy: &Value, at: &FieldPath) -> Vec<Problem> {
        let wrong = |at: FieldPath, message: String| Problem::error(codes::POLICY, at, message);
        let policy = match Self::deserialize(policy) {
            Ok(policy) => policy,
            Err(error) => return vec![wrong(at.clone(), error.to_string())],
        };
        let mut problems = Vec::new();
        if policy.labels.is_empty() {
            let message = "`policy.k8s` names no labels to wait for".to_owned();
            problems.push(wrong(at.key("labels"), message));
        }
        if policy.backoff.pause(1).is_none() {
            let message = "expected a duration such as `2s`, and a factor of 0 or more".to_owned();
            problems.push(wrong(at.key("backoff"), message));
        }
        problems
    }

    /// Whether an object with these labels is as it should be, at attempt `number`.
    ///
    /// # Errors
    /// It is to be looked at again; or never will be, where that is an error.
    pub(crate) fn check(&self, labels: Option<&Value>, number: u32) -> Result<(), TriggerError> {
        let has = |(name, value): &(&String, &String)| {
            labels.and_then(|labels| labels.get(name.as_str()))
                != Some(&Value::from(value.as_str()))
        };
        let missing: Vec<String> = self
            .labels
            .iter()
            .filter(has)
            .map(|(name, value)| format!("`{name}: {value}`"))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        let steps = self.backoff.steps.filter(|steps| *steps > 0).unwrap_or(STEPS);
        if number < steps {
            let reason = format!("the object is there and has not got {missing} yet (policy.k8s)");
            return Err(TriggerError::Retry { reason, after: self.backoff.pause(number) });
        }
        match self.error_on_backoff_timeout {
            true => Err(TriggerError::Refused {
                cause: Cause::Refused,
                reason: format!("the object has not got {missing} in {number} looks (policy.k8s)"),
            }),
            false => Ok(()),
        }
    }
}

impl Backoff {
    /// The pause after look `number`.
    fn pause(&self, number: u32) -> Option<Duration> {
        let duration = match &self.duration {
            None | Some(Value::Null) => PAUSE,
            Some(Value::Number(nanoseconds)) => Duration::from_nanos(nanoseconds.as_u64()?),
            Some(Value::String(text)) => go_duration(text)?,
            Some(_) => return None,
        };
        let factor = match &self.factor {
            None | Some(Value::Null) => 1.0,
            Some(Value::Number(factor)) => factor.as_f64()?,
            Some(Value::String(text)) => text.trim().parse().ok()?,
            Some(_) => return None,
        };
        if !(factor.is_finite() && factor >= 0.0) {
            return None;
        }
        let power = i32::try_from(number.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = duration.as_secs_f64() * factor.powi(power);
        Some(Duration::try_from_secs_f64(seconds).map_or(LONGEST, |pause| pause.min(LONGEST)))
    }
}

/// A duration as Go writes them, which is one of jiff's ways, too.
fn go_duration(text: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = text.trim().parse().ok()?;
    Duration::try_from(span).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(policy: Value) -> LabelPolicy {
        LabelPolicy::of(Some(&json!({"k8s": policy}))).unwrap()
    }

    #[test]
    fn an_object_is_looked_at_until_it_has_all_labels_or_often_enough() {
        let labels = json!({"phase": "Succeeded", "ready": "yes"});
        let wanted = json!({"labels": {"phase": "Succeeded", "ready": "yes"},
                            "backoff": {"duration": "2s", "factor": 3, "steps": 3}});
        let lenient = policy(wanted.clone());
        assert!(lenient.check(Some(&labels), 1).is_ok());
        for (number, seconds) in [(1, 2), (2, 6)] {
            let answer = lenient.check(Some(&json!({"phase": "Succeeded"})), number);
            let Err(TriggerError::Retry { reason, after }) = answer else { panic!("{answer:?}") };
            assert!(reason.contains("has not got `ready: yes` yet"), "{reason}");
            assert_eq!(after, Some(Duration::from_secs(seconds)));
        }
        assert!(lenient.check(None, 3).is_ok());
        let mut strict = wanted;
        strict["errorOnBackoffTimeout"] = json!(true);
        let answer = policy(strict).check(None, 3);
        let Err(TriggerError::Refused { reason, .. }) = answer else { panic!("{answer:?}") };
        assert!(reason.contains("`phase: Succeeded`, `ready: yes` in 3 looks"), "{reason}");
    }

    #[test]
    fn a_policy_without_labels_asks_for_nothing_and_is_reported() {
        for nothing in [json!({}), json!({"k8s": null}), json!({"k8s": {"labels": {}}})] {
            assert_eq!(LabelPolicy::of(Some(&nothing)), None);
        }
        let at = FieldPath::root().key("k8s");
        for (policy, expected) in [
            (json!({"labels": {"a": "b"}}), vec![]),
            (json!({"labels": {"a": "b"}, "backoff": {"duration": 5, "factor": "1.5"}}), vec![]),
            (json!({"labels": {}}), vec!["TL0407 k8s.labels"]),
            (
                json!({"labels": {"a": "b"}, "backoff": {"duration": "soon"}}),
                vec!["TL0407 k8s.backoff"],
            ),
            (json!({"labels": {"a": "b"}, "backoff": {"factor": -1}}), vec!["TL0407 k8s.backoff"]),
            (json!({"labels": {"a": 1}}), vec!["TL0407 k8s"]),
        ] {
            let problems = LabelPolicy::problems(&policy, &at);
            let found: Vec<_> = problems.iter().map(|p| format!("{} {}", p.code, p.path)).collect();
            assert_eq!(found, expected, "{policy}");
        }
    }
}

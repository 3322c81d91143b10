//! What an answer of the API server means for an action: try again, or give up; and what
//! to do about it.

use std::time::Duration;

use tripline_event::Cause;

use super::call::{Failure, Status};
use super::rbac::Rule;
use super::resource::Resource;
use crate::TriggerError;

/// What was attempted, for messages.
pub(crate) struct Doing<'a> {
    /// The cluster's name.
    pub(crate) cluster: &'a str,
    /// `create`, `get`, …
    pub(crate) verb: &'a str,
    pub(crate) resource: &'a Resource,
    pub(crate) namespace: Option<&'a str>,
    /// Whom it was done as; none is Tripline itself.
    pub(crate) user: Option<&'a str>,
}

impl Doing<'_> {
    /// `cluster `prod`: cannot create workflows.argoproj.io in namespace `ci` as `…``.
    fn text(&self) -> String {
        let Self { cluster, verb, resource, namespace, user } = self;
        let within = namespace.map(|of| format!(" in namespace `{of}`")).unwrap_or_default();
        let user = user.map(|user| format!(" as `{user}`")).unwrap_or_default();
        format!("cluster `{cluster}`: cannot {verb} {}{within}{user}", resource.name())
    }

    /// What follows from a request that has not succeeded.
    pub(crate) fn failed(&self, failure: &Failure) -> TriggerError {
        let status = match failure {
            Failure::NotSent(why) => {
                return TriggerError::NotDone { reason: self.because(why), after: None };
            }
            Failure::NoAnswer(why) => {
                let reason = format!("{}; whether it was done is not known", self.because(why));
                return TriggerError::Retry { reason, after: None };
            }
            Failure::Status(status) => status,
        };
        let reason = self.because(&format!("{} ({})", status.message, status.code));
        let after = status.retry_after;
        match meaning(status) {
            Meaning::NotDone => {
                TriggerError::NotDone { reason: reason + self.advice(status), after }
            }
            Meaning::Unknown => TriggerError::Retry { reason, after },
            Meaning::Refused(cause) => {
                let reason = match cause {
                    Cause::Forbidden => format!("{reason}. {}", self.missing_right(status)),
                    _ => reason + self.advice(status),
                };
                TriggerError::Refused { cause, reason }
            }
        }
    }

    /// What was attempted, and why it has not succeeded.
    pub(crate) fn because(&self, why: &str) -> String {
        format!("{}: {why}", self.text())
    }

    fn advice(&self, status: &Status) -> &'static str {
        match status.code {
            401 => ". The credentials were not accepted: they are read again for the next attempt",
            404 if status.message.starts_with("namespaces ") => {
                ". Create the namespace, or correct `metadata.namespace`"
            }
            404 => ". The kind is not served there: install its CustomResourceDefinition",
            _ => "",
        }
    }

    /// The rule that would have allowed it.
    fn missing_right(&self, status: &Status) -> String {
        let account = self.user.and_then(|user| user.strip_prefix("system:serviceaccount:"));
        if let Some((namespace, name)) = account.and_then(|account| account.split_once(':'))
            && status.message.contains("cannot impersonate")
        {
            let rule = Rule::impersonate(name).line();
            return format!(
                "Tripline may not act as that account: add {rule} to a Role of Tripline's account \
                 in namespace `{namespace}`, or run with --no-impersonation"
            );
        }
        let rule = Rule::new(&self.resource.group, &self.resource.plural, &[self.verb]).line();
        let role = match self.namespace {
            Some(namespace) => format!("a Role in namespace `{namespace}`"),
            None => "a ClusterRole".to_owned(),
        };
        let whom = self.user.map_or_else(|| "Tripline's account".to_owned(), |u| format!("`{u}`"));
        format!("Add {rule} to {role} that is bound to {whom}")
    }
}

enum Meaning {
    /// Worth another attempt, and nothing was done.
    NotDone,
    /// Worth another attempt, and nobody knows whether it was done.
    Unknown,
    /// For good.
    Refused(Cause),
}

fn meaning(status: &Status) -> Meaning {
    match status.code {
        // Refused at the door; a token may have been rotated, and is read again.
        401 | 429 => Meaning::NotDone,
        // A quota has room again when something else ends.
        403 if status.message.contains("exceeded quota") => Meaning::NotDone,
        403 => Meaning::Refused(Cause::Forbidden),
        404 => Meaning::Refused(Cause::NotFound),
        400 | 422 => Meaning::Refused(Cause::Invalid),
        408 => Meaning::Unknown,
        409 => Meaning::Unknown,
        // Webhooks are asked before anything is stored.
        500 if status.message.contains("failed calling webhook") => Meaning::NotDone,
        // The API server itself is not up yet; of what stands before it nobody knows whether
        // it has passed the request on.
        503 if !status.reason.is_empty() => Meaning::NotDone,
        500.. => Meaning::Unknown,
        _ => Meaning::Refused(Cause::Refused),
    }
}

/// How long to wait before asking again what could not be found out.
pub(crate) const SOON: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16, message: &str) -> String {
        let resource = Resource::workflows();
        let doing = Doing {
            cluster: "prod",
            verb: "create",
            resource: &resource,
            namespace: Some("ci"),
            user: Some("system:serviceaccount:ci:default"),
        };
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        match doing.failed(&Failure::Status(status)) {
            TriggerError::Retry { reason, .. } => format!("unknown: {reason}"),
            TriggerError::NotDone { reason, .. } => format!("not done: {reason}"),
            TriggerError::Refused { cause, reason } => format!("{cause}: {reason}"),
        }
    }

    #[test]
    fn a_status_says_whether_to_try_again_and_what_to_do() {
        for (code, message, kind, advice) in [
            (429, "slow down", "not done", "slow down (429)"),
            (401, "Unauthorized", "not done", "read again"),
            (500, "etcdserver: request timed out", "unknown", "(500)"),
            (500, "failed calling webhook \"x\"", "not done", "(500)"),
            (503, "no", "unknown", "(503)"),
            (504, "Timeout", "unknown", "(504)"),
            (
                403,
                "workflows is forbidden",
                "forbidden",
                r#"Add {apiGroups: ["argoproj.io"], resources: [workflows], verbs: [create]} to a Role in namespace `ci` that is bound to `system:serviceaccount:ci:default`"#,
            ),
            (403, "x cannot impersonate y", "forbidden", "--no-impersonation"),
            (403, "exceeded quota: a", "not done", "quota"),
            (404, "namespaces \"ci\" not found", "notFound", "Create the namespace"),
            (404, "the server could not find it", "notFound", "CustomResourceDefinition"),
            (422, "spec: Invalid", "invalid", "(422)"),
            (400, "bad", "invalid", "(400)"),
            (413, "too large", "refused", "(413)"),
        ] {
            let said = answered(code, message);
            assert!(said.starts_with(&format!("{kind}: ")), "{code}: {said}");
            assert!(said.contains(advice), "{code}: {said}");
            let place = "cluster `prod`: cannot create workflows.argoproj.io in namespace `ci` as \
                         `system:serviceaccount:ci:default`: ";
            assert!(said.contains(place), "{said}");
        }
    }
}

//! What Tripline, and the accounts of its sensors, may do in a cluster; and what is to be
//! granted. For `tripline doctor`: nothing is changed.

use serde::Deserialize;
use serde_json::json;
use tripline_event::ObjectName;

use super::Cluster;
use super::call::Call;
use super::rbac::{self, Rule};
use super::resource::Resource;

/// What a sensor does in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The sensor.
    pub sensor: ObjectName,
    /// The account that it names; none is `default`.
    pub service_account: Option<String>,
    /// The namespaces in which it submits workflows, as far as its definition says.
    pub namespaces: Vec<String>,
    /// It changes workflows that are there: stops those that are to make room for others, or
    /// does what another `operation` says.
    pub changes: bool,
    /// It removes workflows that have ended: history limits.
    pub removes: bool,
}

/// One right that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// Who needs it: a user of the cluster.
    pub user: String,
    /// In which namespace.
    pub namespace: String,
    /// What for, in a few words.
    pub purpose: &'static str,
    /// The rule that grants it.
    pub rule: Rule,
    /// Without it actions are refused. Otherwise something less is known of them.
    pub required: bool,
    /// Whether it is there.
    pub answer: Allowed,
}

/// Whether something is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The API server could not be asked, and why.
    Unasked(String),
}

/// What was found for one sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Each right that is needed.
    pub rights: Vec<Right>,
    /// RBAC that grants what is missing, as YAML to be applied; empty where nothing is.
    pub missing: String,
}

impl Review {
    /// Everything that is required is allowed.
    pub fn is_enough(&self) -> bool {
        self.rights.iter().all(|right| !right.required || right.answer == Allowed::Yes)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answered {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    allowed: bool,
    user_info: UserInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    username: String,
}

impl Cluster {
    /// Whether a sensor may do here what it wants to.
    ///
    /// # Errors
    /// The cluster cannot be reached.
    pub async fn review(&self, wanted: &Wanted) -> Result<Review, String> {
        let own = self.own_name().await?;
        let sensor = &wanted.sensor;
        let account = self.account(&sensor.namespace, wanted.service_account.as_deref());
        let resource = Resource::workflows();
        let rule = |verbs: &[&str]| Rule::new(&resource.group, &resource.plural, verbs);
        let mut rights = Vec::new();
        if account.is_some() {
            let name = wanted.service_account.as_deref().unwrap_or("default");
            let purpose = "act as the account of the sensor";
            let rule = Rule::impersonate(name);
            let place = (sensor.namespace.as_str(), purpose, true);
            rights.push(self.right(&own, None, place, rule).await);
        }
        for namespace in &wanted.namespaces {
            let user = account.as_deref().unwrap_or(&own);
            for (verb, purpose, required) in [
                ("create", "submit workflows", true),
                ("get", "find a workflow after an answer was lost", true),
                ("update", "stop or change workflows that are there", wanted.changes),
            ] {
                if !required {
                    continue;
                }
                let place = (namespace.as_str(), purpose, true);
                rights.push(self.right(user, account.as_deref(), place, rule(&[verb])).await);
            }
            if wanted.removes {
                let purpose = "remove workflows beyond the history limits";
                let place = (namespace.as_str(), purpose, false);
                rights.push(self.right(user, account.as_deref(), place, rule(&["delete"])).await);
            }
            for (verb, purpose) in [
                ("list", "see what was there before a crash"),
                ("watch", "follow workflows to their end"),
            ] {
                let place = (namespace.as_str(), purpose, false);
                rights.push(self.right(&own, None, place, rule(&[verb])).await);
            }
        }
        let missing = missing(sensor, &rights);
        Ok(Review { rights, missing })
    }

    async fn right(
        &self,
        user: &str,
        as_user: Option<&str>,
        (namespace, purpose, required): (&str, &'static str, bool),
        rule: Rule,
    ) -> Right {
        let review = json!({"apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {
            "namespace": namespace,
            "verb": rule.verbs.first(),
            "group": rule.group,
            "resource": rule.resource,
            "name": rule.names.first().map_or("", String::as_str),
        }}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = self.call(&Call::post(path, &review).by(as_user)).await;
        let answer = match answer.and_then(|answer| answer.read::<Answered>()) {
            Ok(Answered { status: Status { allowed: true, .. } }) => Allowed::Yes,
            Ok(_) => Allowed::No,
            Err(failure) => Allowed::Unasked(failure.to_string()),
        };
        let (user, namespace) = (user.to_owned(), namespace.to_owned());
        Right { user, namespace, purpose, rule, required, answer }
    }

    /// Who Tripline is here.
    async fn own_name(&self) -> Result<String, String> {
        self.reach().await?;
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let answer = self.call(&Call::post(path, &review)).await;
        let name = answer.and_then(|answer| answer.read::<Answered>());
        // Old API servers cannot say.
        Ok(name.map_or_else(|_| "tripline".to_owned(), |of| of.status.user_info.username))
    }
}

/// What grants the rights that are not there, one role for each user and namespace.
fn missing(sensor: &ObjectName, rights: &[Right]) -> String {
    let mut grants: Vec<(&str, &str, Vec<Rule>)> = Vec::new();
    for right in rights.iter().filter(|right| right.answer != Allowed::Yes) {
        let (user, namespace) = (right.user.as_str(), right.namespace.as_str());
        let place = grants.iter().position(|(of, within, _)| *of == user && *within == namespace);
        let place = place.unwrap_or_else(|| {
            grants.push((user, namespace, Vec::new()));
            grants.len() - 1
        });
        let rules = &mut grants[place].2;
        let same = |rule: &&mut Rule| {
            rule.resource == right.rule.resource && rule.names == right.rule.names
        };
        match rules.iter_mut().find(same) {
            Some(rule) => rule.verbs.extend(right.rule.verbs.iter().cloned()),
            None => rules.push(right.rule.clone()),
        }
    }
    let text = |(user, namespace, rules): &(&str, &str, Vec<Rule>)| {
        let whose = if user.starts_with("system:serviceaccount:") { "submit" } else { "tripline" };
        rbac::grant(&format!("{whose}-{}", sensor.name), Some(namespace), user, rules)
    };
    grants.iter().map(text).collect()
}

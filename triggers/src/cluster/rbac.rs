//! The RBAC rules that Tripline needs, as YAML that can be applied.

use serde_json::{Value, json};

/// One rule of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The API group; empty is the core.
    pub group: String,
    /// The kind of object, in the plural.
    pub resource: String,
    /// What may be done.
    pub verbs: Vec<String>,
    /// The objects that it may be done to; empty is all.
    pub names: Vec<String>,
}

impl Rule {
    /// The rule that allows `verbs` on all objects of a kind.
    pub fn new(group: &str, resource: &str, verbs: &[&str]) -> Self {
        Self {
            group: group.to_owned(),
            resource: resource.to_owned(),
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            names: Vec::new(),
        }
    }

    /// The rule that allows to act as a service account.
    pub fn impersonate(account: &str) -> Self {
        Self {
            names: vec![account.to_owned()],
            ..Self::new("", "serviceaccounts", &["impersonate"])
        }
    }

    fn json(&self) -> Value {
        let mut rule = json!({
            "apiGroups": [self.group],
            "resources": [self.resource],
            "verbs": self.verbs,
        });
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        rule
    }

    /// The rule on one line, for a message.
    pub fn line(&self) -> String {
        let mut text = format!(
            "{{apiGroups: [{:?}], resources: [{}], verbs: [{}]",
            self.group,
            self.resource,
            self.verbs.join(", ")
        );
        if !self.names.is_empty() {
            text.push_str(&format!(", resourceNames: [{}]", self.names.join(", ")));
        }
        text + "}"
    }
}

/// Documents that grant `rules` to `user`, in one namespace or, where there is none, in the
/// whole cluster.
pub fn grant(name: &str, namespace: Option<&str>, user: &str, rules: &[Rule]) -> String {
    let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
    let metadata = || match namespace {
        Some(namespace) => json!({"name": name, "namespace": namespace}),
        None => json!({"name": name}),
    };
    let api = "rbac.authorization.k8s.io";
    let rules: Vec<Value> = rules.iter().map(Rule::json).collect();
    let role = json!({
        "apiVersion": format!("{api}/v1"), "kind": kind, "metadata": metadata(), "rules": rules,
    });
    let binding = json!({
        "apiVersion": format!("{api}/v1"),
        "kind": format!("{kind}Binding"),
        "metadata": metadata(),
        "roleRef": {"apiGroup": api, "kind": kind, "name": name},
        "subjects": [subject(user)],
    });
    format!("---\n{}---\n{}", yaml(&role), yaml(&binding))
}

fn subject(user: &str) -> Value {
    let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, name)) => {
            json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
        }
        None => json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}),
    }
}

/// Block style for mappings, flow style for what is below a sequence: as one writes RBAC.
fn yaml(object: &Value) -> String {
    let mut text = String::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) => {
                text.push_str(&format!("{key}:\n"));
                for item in items {
                    // JSON is YAML.
                    text.push_str(&format!("  - {item}\n"));
                }
            }
            other => text.push_str(&format!("{key}: {other}\n")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_can_be_applied_as_it_is() {
        let rules = [Rule::new("argoproj.io", "workflows", &["create", "get"])];
        let text = grant("tripline", Some("ci"), "system:serviceaccount:ci:default", &rules);
        assert_eq!(
            text,
            r#"---
apiVersion: "rbac.authorization.k8s.io/v1"
kind: "Role"
metadata: {"name":"tripline","namespace":"ci"}
rules:
  - {"apiGroups":["argoproj.io"],"resources":["workflows"],"verbs":["create","get"]}
---
apiVersion: "rbac.authorization.k8s.io/v1"
kind: "RoleBinding"
metadata: {"name":"tripline","namespace":"ci"}
roleRef: {"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"tripline"}
subjects:
  - {"kind":"ServiceAccount","name":"default","namespace":"ci"}
"#
        );
        assert!(grant("t", None, "ann", &rules).contains(r#"kind: "ClusterRoleBinding""#));
        assert_eq!(
            Rule::impersonate("deployer").line(),
            r#"{apiGroups: [""], resources: [serviceaccounts], verbs: [impersonate], resourceNames: [deployer]}"#
        );
    }
}

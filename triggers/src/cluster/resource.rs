//! A kind of object, as the API server serves it.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a name may have in a path as it is.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A kind of object, as the API server serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// The API group; empty is the core.
    pub(crate) group: String,
    /// Its version.
    pub(crate) version: String,
    /// The name in paths and in RBAC rules: `workflows`.
    pub(crate) plural: String,
    /// `kind`.
    pub(crate) kind: String,
    /// Whether its objects are in namespaces.
    pub(crate) namespaced: bool,
}

impl Resource {
    /// Argo's workflows.
    pub(crate) fn workflows() -> Self {
        Self {
            group: "argoproj.io".to_owned(),
            version: "v1alpha1".to_owned(),
            plural: "workflows".to_owned(),
            kind: "Workflow".to_owned(),
            namespaced: true,
        }
    }

    /// `plural.group`, as `kubectl` names it.
    pub(crate) fn name(&self) -> String {
        match self.group.as_str() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// `apiVersion`.
    pub(crate) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The path of all objects, or of those of a namespace.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let mut path = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            // Writing to a text cannot fail.
            let _ = write!(path, "/namespaces/{}", utf8_percent_encode(namespace, NAME));
        }
        path.push('/');
        path.push_str(&self.plural);
        path
    }

    /// The path of one object.
    pub(crate) fn object_path(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.path(namespace), utf8_percent_encode(name, NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_its_path() {
        let workflows = Resource::workflows();
        assert_eq!(
            workflows.object_path(Some("ci"), "../../x?y=z"),
            "/apis/argoproj.io/v1alpha1/namespaces/ci/workflows/..%2F..%2Fx%3Fy%3Dz"
        );
        let nodes = Resource {
            group: String::new(),
            version: "v1".into(),
            plural: "nodes".into(),
            kind: "Node".into(),
            namespaced: false,
        };
        assert_eq!(nodes.path(Some("ci")), "/api/v1/nodes");
        assert_eq!((nodes.name(), nodes.api_version()), ("nodes".into(), "v1".into()));
    }
}

//! An object as it was loaded: its value, and the place of each of its fields.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tripline_event::{DefinitionHash, ObjectName};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::place::Place;
use crate::problem::{FieldPath, Problem};

/// An object of a known kind. Its `Debug` has no values, since it may be a Secret.
#[derive(Clone)]
pub struct Object {
    /// `apiVersion`, one of those of its kind.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace` (`default` where there is none) and `metadata.name`.
    pub name: ObjectName,
    /// The whole object.
    pub value: Value,
    /// Where it begins.
    pub place: Place,
    /// An error was found while it was read, and reported: it may still be validated, to
    /// find more, but must not be used.
    pub broken: bool,
    /// The hash of the document's text, where that is this object and no mistake was found
    /// while it was read: [`crate::Reader::known`] is asked for it at the next load.
    pub text: Option<DefinitionHash>,
    pub(crate) node: Node,
}

impl Object {
    /// The object as diagnostics name it: `Sensor ci/deploy`.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// The place of a field: of its key or of its value. Where the field is missing, that of
    /// its nearest parent.
    pub fn locate(&self, path: &FieldPath, at_key: bool) -> Place {
        self.node.locate(path, at_key).of(&self.place.file)
    }

    /// A problem of this object at its place.
    pub fn diagnose(&self, problem: Problem) -> Diagnostic {
        let place = self.locate(&problem.path, problem.at_key);
        let mut help = problem.help;
        if problem.code == codes::UNQUOTED
            && let Some(written) = self.node.written(&problem.path)
        {
            // What stands in the file, which need not be what the value became: `yes`, `0777`.
            help = Some(format!("write {written:?} in quotes"));
        }
        Diagnostic {
            severity: problem.severity,
            code: problem.code,
            place,
            object: Some(self.title()),
            field: problem.path.to_string(),
            message: problem.message,
            help,
        }
    }

    /// Forgets the values, and the places of what stands below `field`, wherever that is:
    /// it has the place of its nearest parent from now on. What is left is for messages
    /// that are found later, and small.
    pub fn forget(&mut self, field: &str) {
        self.value = Value::Null;
        self.node.forget(field);
    }

    /// The definition as it is kept in the bus, and its hash: canonical JSON (keys sorted, no
    /// white space) without what a cluster adds to an object and without the values of a
    /// Secret.
    pub fn definition(&self) -> (DefinitionHash, String) {
        let mut value = self.value.clone();
        if let Value::Object(fields) = &mut value {
            strip(fields);
            if self.kind == "Secret" {
                hide(fields);
            }
        }
        let json = value.to_string();
        (DefinitionHash::of(&json), json)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("api_version", &self.api_version)
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("place", &self.place)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// Removes what the API server and `kubectl` write into an object.
fn strip(object: &mut Map<String, Value>) {
    const ADDED: &[&str] =
        &["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"];
    object.remove("status");
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else { return };
    for field in ADDED {
        metadata.remove(*field);
    }
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

/// Replaces the values of a Secret.
fn hide(object: &mut Map<String, Value>) {
    for field in ["data", "stringData"] {
        if let Some(Value::Object(values)) = object.get_mut(field) {
            values.values_mut().for_each(|value| *value = Value::from("***"));
        }
    }
}

/// Builds an object out of a document, or says why it is none. Only for documents whose
/// kind is read.
pub(crate) struct Draft<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    pub file: &'a Arc<str>,
}

impl Draft<'_> {
    /// The object, or the problems of its name.
    pub fn finish(self, mut node: Node) -> Result<Object, Vec<Diagnostic>> {
        let name = crate::identity::name_of(&node);
        let spot = node.spot;
        let value = node.take_value();
        let mut object = Object {
            api_version: self.api_version.to_owned(),
            kind: self.kind.to_owned(),
            name: ObjectName::new(tripline_event::name::DEFAULT_NAMESPACE, ""),
            value,
            place: spot.of(self.file),
            broken: false,
            text: None,
            node,
        };
        match name {
            Ok(name) => {
                object.name = name;
                Ok(object)
            }
            Err(problems) => Err(problems
                .into_iter()
                .map(|problem| Diagnostic {
                    object: Some(object.kind.clone()),
                    ..object.diagnose(problem)
                })
                .collect()),
        }
    }
}

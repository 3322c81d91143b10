//! Every field of a sensor, with those of its triggers, is shown in an example: the YAML of
//! the pages and of `examples/`, which other tests load. The fields are those of
//! `tripline schema Sensor`, so a field that is new and is shown nowhere fails this test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tripline::load::KINDS;
use tripline::schemas;
use tripline_config::{Input, load};
use tripline_tests::docs::{Page, root};

/// Fields without an example, and why. Each begins what it stands for.
const WITHOUT: &[(&str, &str)] = &[
    // They say how Argo Events deploys a sensor, and mean nothing here.
    ("spec.eventBusName", "accepted, and means nothing"),
    ("spec.loggingFields", "accepted, and means nothing"),
    ("spec.replicas", "accepted, and means nothing"),
    ("spec.revisionHistoryLimit", "accepted, and means nothing"),
    // Not compared, as in Argo Events; `check` warns of them.
    ("ContextFilter.id", "not compared"),
    ("ContextFilter.specversion", "not compared"),
    ("ContextFilter.time", "not compared"),
    // Refused, with a message of its own.
    ("argoWorkflow.Source.configmap", "not there yet"),
    ("argoWorkflow.Source.file", "not there yet"),
    ("argoWorkflow.Source.git", "not there yet"),
    ("argoWorkflow.Source.s3", "not there yet"),
    ("argoWorkflow.Source.url", "not there yet"),
    ("k8s.Source.configmap", "not there yet"),
    ("k8s.Source.file", "not there yet"),
    ("k8s.Source.git", "not there yet"),
    ("k8s.Source.s3", "not there yet"),
    ("k8s.Source.url", "not there yet"),
    ("kafka.schemaRegistry", "not there yet"),
    // Means nothing, as in Argo Events, and is a warning.
    ("kafka.partition", "means nothing"),
    ("kafka.version", "means nothing"),
    // Only in programs that were built with the feature `kafka-tls`.
    ("kafka.tls", "of a feature that is off by default"),
    ("kafka.TlsConfig", "of a feature that is off by default"),
];

/// The fields of a schema, each named by the definition that it is in.
struct Schema(Value);

impl Schema {
    /// What a schema leads to: its own name, and what it really says.
    fn follow<'s>(&'s self, name: &str, schema: &'s Value) -> Vec<(String, &'s Value)> {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let name = target.trim_start_matches("#/$defs/");
            return self.follow(name, &self.0["$defs"][name]);
        }
        let branches = ["anyOf", "oneOf", "allOf"].into_iter();
        let branches = branches.filter_map(|key| schema.get(key)?.as_array()).flatten();
        let mut all = vec![(name.to_owned(), schema)];
        all.extend(branches.flat_map(|branch| self.follow(name, branch)));
        all
    }

    /// All fields that can be reached.
    fn fields(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        self.collect("", &self.0, &mut all);
        all
    }

    fn collect(&self, name: &str, schema: &Value, all: &mut BTreeSet<String>) {
        for (name, schema) in self.follow(name, schema) {
            for (field, below) in schema["properties"].as_object().into_iter().flatten() {
                let path = path(&name, field);
                // A definition may lead to itself.
                if all.insert(path.clone()) {
                    self.collect(&path, below, all);
                }
            }
            for key in ["items", "additionalProperties"] {
                if let Some(below) = schema.get(key).filter(|below| below.is_object()) {
                    self.collect(&name, below, all);
                }
            }
        }
    }

    /// The fields that a value has.
    fn used(&self, name: &str, schema: &Value, value: &Value, all: &mut BTreeSet<String>) {
        for (name, schema) in self.follow(name, schema) {
            let items = value.as_array().into_iter().flatten();
            items.for_each(|item| self.used(&name, &schema["items"], item, all));
            for (field, value) in value.as_object().into_iter().flatten() {
                let path = path(&name, field);
                match schema["properties"].get(field) {
                    Some(below) => {
                        self.used(&path, below, value, all);
                        all.insert(path);
                    }
                    None => self.used(&name, &schema["additionalProperties"], value, all),
                }
            }
        }
    }
}

fn path(name: &str, field: &str) -> String {
    if name.is_empty() { field.to_owned() } else { format!("{name}.{field}") }
}

/// The texts of all examples, with where they stand.
fn examples() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut below = |folder: PathBuf, page: bool| {
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let ends = |end: &str| path.extension().is_some_and(|extension| extension == end);
                if path.is_dir() {
                    folders.push(path);
                } else if page && ends("md") {
                    let page = Page::read(path.strip_prefix(root()).unwrap()).unwrap();
                    let yaml = page.blocks().into_iter().filter(|block| block.language == "yaml");
                    let place = |line: usize| format!("{}:{line}", path.display());
                    found.extend(yaml.map(|block| (place(block.line), block.text)));
                } else if ends("yaml") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    found.push((path.display().to_string(), text));
                }
            }
        }
    };
    below(root().join("docs"), true);
    below(root().join("examples"), false);
    found
}

fn shown(kind: &str, schema: &Schema) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (place, text) in examples() {
        for object in load(&[Input::text(&place, &text)], KINDS).objects {
            if object.kind == kind {
                schema.used("", &schema.0, &object.value, &mut all);
            }
        }
    }
    all
}

#[test]
fn every_field_of_a_sensor_is_shown_in_an_example() {
    let schema = Schema(schemas::of("Sensor").unwrap());
    let (fields, shown) = (schema.fields(), shown("Sensor", &schema));
    assert!(fields.len() > 100, "only {} fields were found", fields.len());
    assert!(fields.contains("DataFilter.comparator"), "{fields:?}");

    let not_there_yet =
        tripline_triggers::kinds::KINDS.iter().filter(|kind| !kind.is_implemented());
    let not_there_yet: Vec<&str> = not_there_yet.map(|kind| kind.key).collect();
    let exempt = |field: &String| {
        WITHOUT.iter().any(|(of, _)| is_below(field, of))
            || not_there_yet.iter().any(|kind| is_below(field, kind))
    };
    let missing: Vec<_> =
        fields.difference(&shown).filter(|field| !exempt(field)).map(String::as_str).collect();
    assert!(missing.is_empty(), "in no example of docs/ or examples/:\n  {}", missing.join("\n  "));

    for (of, _) in WITHOUT {
        assert!(fields.iter().any(|field| is_below(field, of)), "there is no `{of}`");
        assert!(!shown.iter().any(|field| is_below(field, of)), "`{of}` is shown after all");
    }
}

fn is_below(field: &str, of: &str) -> bool {
    let field = field.strip_prefix("TriggerTemplate.").unwrap_or(field);
    field.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A test that could not fail would prove nothing.
#[test]
fn a_field_that_is_shown_nowhere_is_found() {
    let schema = Schema(schemas::of("Sensor").unwrap());
    let text =
        std::fs::read_to_string(Path::new(&root()).join("examples/build-then-deploy/sensor.yaml"));
    let objects = load(&[Input::text("sensor.yaml", text.unwrap())], KINDS).objects;
    let mut used = BTreeSet::new();
    objects.iter().for_each(|object| schema.used("", &schema.0, &object.value, &mut used));
    assert!(used.contains("DataFilter.path"), "{used:?}");
    assert!(used.contains("TriggerTemplate.argoWorkflow.operation"), "{used:?}");
    assert!(!used.contains("DataFilter.comparator"), "{used:?}");
}

//! `argoWorkflow.arguments`: parameters of the workflow by name.
//!
//! Each becomes a parameter whose destination is the workflow's own parameter of that name.
//! A name that the workflow does not declare is a mistake that is found when the file is
//! loaded, and not when Argo refuses the workflow. What is put in is the event's value and
//! nothing else: braces in the workflow are the workflow's, and stay.

use serde_json::{Map, Value, json};
use tripline_config::{FieldPath, Problem, Step};
use tripline_sensors::definition::{ParameterSource, TriggerParameter};

use crate::codes;

/// Arguments as parameters, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// The parameters.
    pub(super) list: Vec<TriggerParameter>,
    /// The names, in the same order.
    pub(super) names: Vec<String>,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
}

/// Places `arguments`, which stand at `at`, in `workflow`, which is to be submitted;
/// parameters that its entrypoint declares and it gives no value to are added to it.
pub(super) fn place(
    arguments: &Value,
    workflow: Option<&mut Value>,
    operation: &str,
    dependencies: &[&str],
    at: &FieldPath,
) -> Placed {
    let mut placed = Placed::default();
    let error = |at: FieldPath, message: String| Problem::error(codes::TRIGGER_VALUE, at, message);
    let Some(arguments) = arguments.as_object() else {
        let message = "a mapping of names to values is expected".to_owned();
        placed.problems.push(error(at.clone(), message));
        return placed;
    };
    let Some(workflow) = workflow else { return placed };
    if operation != "submit" {
        let message = format!("`arguments` are for `submit`, not for `{operation}`");
        placed.problems.push(error(at.clone(), message).help("write `args: [-p, NAME=VALUE]`"));
        return placed;
    }
    for (name, value) in arguments {
        let at = at.key(name);
        let index = match index(workflow, name) {
            Ok(index) => index,
            Err(declared) => {
                let message = format!("the workflow declares no parameter `{name}`");
                let help = match declared.as_slice() {
                    [] => "it declares none".to_owned(),
                    names => format!("it declares {}", names.join(", ")),
                };
                placed.problems.push(error(at, message).help(help));
                continue;
            }
        };
        match source(value, dependencies) {
            Ok(src) => {
                let dest = format!("spec.arguments.parameters.{index}.value");
                placed.list.push(TriggerParameter {
                    src: Some(src),
                    dest,
                    operation: String::new(),
                });
                placed.names.push(name.clone());
            }
            Err((message, help)) => placed.problems.push(error(at, message).help(help)),
        }
    }
    placed
}

/// A problem of the list of parameters, at the name of its argument.
pub(super) fn at_name(mut problem: Problem, names: &[String], at: &FieldPath) -> Problem {
    if let Some(Step::Index(index)) = problem.path.0.first()
        && let Some(name) = names.get(*index)
    {
        problem.path.0[0] = Step::Key(name.clone());
    }
    problem.below(at)
}

/// The place of the workflow's parameter of that name.
///
/// # Errors
/// There is none, with those that there are. Where the workflow is made of a template that
/// is elsewhere, any name may be one.
fn index(workflow: &mut Value, name: &str) -> Result<usize, Vec<String>> {
    let given = parameters(workflow.pointer("/spec/arguments/parameters"));
    if let Some(index) = given.iter().position(|given| given == name) {
        return Ok(index);
    }
    let elsewhere = workflow.pointer("/spec/workflowTemplateRef").is_some();
    let of_entrypoint = of_entrypoint(workflow);
    if !elsewhere && !of_entrypoint.iter().any(|of| of == name) {
        return Err(given.into_iter().chain(of_entrypoint).collect());
    }
    let list = below(workflow, "spec").and_then(|spec| below(spec, "arguments"));
    let list = list.and_then(|arguments| below(arguments, "parameters"));
    let Some(list) = list else { return Err(given) };
    if list.as_object().is_some_and(Map::is_empty) {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else { return Err(given) };
    list.push(json!({"name": name, "value": ""}));
    Ok(list.len() - 1)
}

/// What the template with which the workflow begins asks for.
fn of_entrypoint(workflow: &Value) -> Vec<String> {
    let entrypoint = workflow.pointer("/spec/entrypoint");
    let templates = workflow.pointer("/spec/templates").and_then(Value::as_array);
    let template = templates
        .into_iter()
        .flatten()
        .find(|template| entrypoint.is_some() && template.get("name") == entrypoint);
    parameters(template.and_then(|template| template.pointer("/inputs/parameters")))
}

fn parameters(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.map(|of| of["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What stands below `key`, a mapping where it is missing; none where `value` is no mapping.
fn below<'v>(value: &'v mut Value, key: &str) -> Option<&'v mut Value> {
    let below = value.as_object_mut()?.entry(key).or_insert(Value::Null);
    if below.is_null() {
        *below = Value::Object(Map::new());
    }
    Some(below)
}

/// Where a value comes from: a path in the event, where there is one dependency, or a source
/// as parameters have it.
fn source(value: &Value, dependencies: &[&str]) -> Result<ParameterSource, (String, String)> {
    let only = match dependencies {
        [only] => Some((*only).to_owned()),
        _ => None,
    };
    match value {
        Value::String(path) if path == "$" || path.starts_with("$.") || path.starts_with("$[") => {
            let Some(dependency_name) = only else {
                let message = "the sensor has several dependencies: whose event is meant?";
                let help = format!("write {{dependencyName: …, dataKey: {path:?}}}");
                return Err((message.to_owned(), help));
            };
            Ok(ParameterSource {
                dependency_name,
                data_key: path.clone(),
                ..ParameterSource::default()
            })
        }
        Value::Object(_) => {
            let read = serde_json::from_value::<ParameterSource>(value.clone());
            let mut source = read.map_err(|error| {
                let help = "write {dependencyName, dataKey} as in `src` of a parameter";
                (error.to_string(), help.to_owned())
            })?;
            if source.dependency_name.is_empty() {
                source.dependency_name = only.unwrap_or_default();
            }
            Ok(source)
        }
        other => {
            let message = format!("{other} is no path: `$.body.…` is expected");
            let text = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            Err((message, format!("for a constant, write {{value: {text:?}}}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow() -> Value {
        json!({
            "kind": "Workflow",
            "spec": {
                "entrypoint": "main",
                "arguments": {"parameters": [{"name": "ref", "value": "{{workflow.name}}"}]},
                "templates": [
                    {"name": "other", "inputs": {"parameters": [{"name": "not-this"}]}},
                    {"name": "main", "inputs": {"parameters": [{"name": "image"}, {"name": "ref"}]}},
                ],
            },
        })
    }

    fn placed(arguments: Value, operation: &str, dependencies: &[&str]) -> (Placed, Value) {
        let (at, mut workflow) = (FieldPath::root().key("arguments"), workflow());
        let placed = place(&arguments, Some(&mut workflow), operation, dependencies, &at);
        (placed, workflow)
    }

    #[test]
    fn an_argument_goes_to_the_parameter_of_its_name() {
        let arguments = json!({
            "ref": "$.body.ref",
            "image": {"contextKey": "id"},
        });
        let (placed, workflow) = placed(arguments, "submit", &["build"]);
        assert!(placed.problems.is_empty(), "{:?}", placed.problems);
        assert_eq!(placed.names, ["image", "ref"]);
        let dests: Vec<_> = placed.list.iter().map(|of| of.dest.as_str()).collect();
        assert_eq!(
            dests,
            ["spec.arguments.parameters.1.value", "spec.arguments.parameters.0.value"]
        );
        assert!(
            placed
                .list
                .iter()
                .all(|of| { of.src.as_ref().is_some_and(|src| src.dependency_name == "build") })
        );
        let parameters = &workflow["spec"]["arguments"]["parameters"];
        assert_eq!(parameters[0]["value"], "{{workflow.name}}", "braces are the workflow's");
        assert_eq!(parameters[1]["name"], "image");
    }

    #[test]
    fn mistakes_are_found_at_their_place() {
        for (arguments, operation, dependencies, expected) in [
            (json!({"imagee": "$.a"}), "submit", vec!["a"], "arguments.imagee"),
            (json!({"not-this": "$.a"}), "submit", vec!["a"], "arguments.not-this"),
            (json!({"image": "body.image"}), "submit", vec!["a"], "arguments.image"),
            (json!({"image": 1}), "submit", vec!["a"], "arguments.image"),
            (json!({"image": "$.a"}), "submit", vec!["a", "b"], "arguments.image"),
            (json!({"image": {"dataKey": 1}}), "submit", vec!["a"], "arguments.image"),
            (json!({"image": "$.a"}), "retry", vec!["a"], "arguments"),
            (json!(["image"]), "submit", vec!["a"], "arguments"),
        ] {
            let (placed, _) = placed(arguments.clone(), operation, &dependencies);
            let found: Vec<_> = placed.problems.iter().map(|of| of.path.to_string()).collect();
            assert_eq!(found, [expected], "{arguments}");
        }
    }

    #[test]
    fn a_template_that_is_elsewhere_may_declare_anything() {
        let mut workflow = json!({"spec": {"workflowTemplateRef": {"name": "t"}}});
        let at = FieldPath::root();
        let placed = place(&json!({"x": "$.a"}), Some(&mut workflow), "submit", &["a"], &at);
        assert!(placed.problems.is_empty());
        assert_eq!(workflow["spec"]["arguments"]["parameters"][0]["name"], "x");
        for mut odd in [json!({"spec": 1}), json!(1), json!({"spec": {"arguments": "x"}})] {
            let placed = place(&json!({"x": "$.a"}), Some(&mut odd), "submit", &["a"], &at);
            assert_eq!(placed.problems.len(), 1, "{odd}");
        }
    }
}

//! What is no mistake in itself and goes wrong later: parameters of a dependency that may
//! have no event, and places that a document does not have.

use serde_json::Value;
use tripline_config::{FieldPath, Problem};

use crate::codes;
use crate::condition::Condition;
use crate::definition::{Trigger, TriggerParameter};
use crate::path;

/// The lists of a trigger's kind that are parameters, and whether one that is left out
/// fails the action.
const LISTS: [(&str, bool); 3] =
    [("parameters", false), ("payload", true), ("dynamicHeaders", false)];

/// What is said about the parameters of a trigger, which is at `at`.
pub(crate) fn trigger(
    trigger: &Trigger,
    condition: &Condition,
    dependencies: &[&str],
    at: &FieldPath,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut lint = Lint { condition, dependencies, problems: &mut problems };
    lint.list(&trigger.parameters, &at.key("parameters"), false);
    let Some((kind, config)) = trigger.template.as_ref().and_then(|template| template.kind())
    else {
        return problems;
    };
    let at = at.key("template").key(kind);
    for (name, fails) in LISTS {
        let list = config.get(name).cloned().and_then(|list| serde_json::from_value(list).ok());
        let list: Vec<TriggerParameter> = list.unwrap_or_default();
        lint.list(&list, &at.key(name), fails);
        if name == "parameters"
            && let Some(document) = document(config)
        {
            lint.places(&list, document, &at.key(name));
        }
    }
    problems
}

/// The object that stands in the definition itself, which parameters apply to.
fn document(config: &Value) -> Option<&Value> {
    config.pointer("/source/resource").filter(|resource| resource.is_object())
}

struct Lint<'l> {
    condition: &'l Condition,
    dependencies: &'l [&'l str],
    problems: &'l mut Vec<Problem>,
}

impl Lint<'_> {
    /// Parameters that have nothing to take where the condition holds without their
    /// dependency.
    fn list(&mut self, list: &[TriggerParameter], at: &FieldPath, fails: bool) {
        for (index, parameter) in list.iter().enumerate() {
            let Some(source) = parameter.src.as_ref().filter(|source| source.value.is_none())
            else {
                continue;
            };
            let name = source.dependency_name.as_str();
            let Some(place) = self.dependencies.iter().position(|known| *known == name) else {
                continue;
            };
            let is_named = self.condition.dependencies().contains(&place);
            if is_named && !self.condition.holds(|other| other != place) {
                continue;
            }
            let when = if is_named { "the condition can hold" } else { "the condition holds" };
            let then = if fails { "the action fails then" } else { "it is left out then" };
            let message = format!("{when} without an event of `{name}`: {then}");
            let at = at.index(index).key("src").key("dependencyName");
            let problem = Problem::warning(codes::PARAMETER_LEFT_OUT, at, message);
            self.problems.push(problem.help("give `value`, which stands in for it"));
        }
    }

    /// Places that a workflow or another object does not have, where setting them changes
    /// nothing or makes something that is not declared.
    fn places(&mut self, list: &[TriggerParameter], document: &Value, at: &FieldPath) {
        let json = document.to_string();
        for (index, parameter) in list.iter().enumerate() {
            let dest = parameter.dest.as_str();
            let at = at.index(index).key("dest");
            // Only what is there already can be found by a query or a wildcard.
            let queries = dest.contains(['#', '*', '?', '|', '@']) && !dest.contains('\\');
            if queries && !finds(&json, dest) {
                let message = format!("the object has nothing at `{dest}`: nothing is set");
                let problem = Problem::warning(codes::NOTHING_TO_SET, at, message);
                self.problems.push(problem.help(declared(document)));
                continue;
            }
            let number = dest.strip_prefix("spec.arguments.parameters.");
            let number = number.and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
            let count = parameters(document).len();
            if let Some(number) = number.filter(|number| *number >= count) {
                let message =
                    format!("the workflow declares no parameter {number}, but {count}, from 0");
                let problem = Problem::warning(codes::NOTHING_TO_SET, at, message);
                self.problems.push(problem.help(declared(document)));
            }
        }
    }
}

/// Whether a query leads somewhere: behind the last one, what is missing is made.
fn finds(json: &str, dest: &str) -> bool {
    let steps = dest.rfind(')').map(|end| end + 1);
    let leads_to = steps.and_then(|end| dest.get(..end)).unwrap_or(dest);
    path::get(json, leads_to).is_some()
}

/// The names of a workflow's parameters.
fn parameters(document: &Value) -> Vec<&str> {
    let list = document.pointer("/spec/arguments/parameters").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|parameter| parameter.get("name").and_then(Value::as_str).unwrap_or_default())
        .collect()
}

fn declared(document: &Value) -> String {
    match parameters(document).as_slice() {
        [] => "the object declares no parameters in `spec.arguments.parameters`".to_owned(),
        names => format!("the parameters of the object: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(conditions: &str, trigger_json: Value) -> Vec<String> {
        let trigger_read: Trigger = serde_json::from_value(trigger_json).unwrap();
        let names = ["a", "b"];
        let (condition, _) = Condition::compile(conditions, &names);
        let problems = trigger(&trigger_read, &condition.unwrap(), &names, &FieldPath::root());
        problems.iter().map(|p| format!("{} {} {}", p.path, p.code, p.message)).collect()
    }

    #[test]
    fn a_parameter_that_may_have_no_event_is_said() {
        let of = |name: &str| json!({"src": {"dependencyName": name, "dataKey": "x"}, "dest": "y"});
        let with_value =
            json!({"src": {"dependencyName": "b", "dataKey": "x", "value": ""}, "dest": "y"});
        for (conditions, trigger, wanted) in [
            ("a && b", json!({"parameters": [of("a"), of("b")], "template": {"log": {}}}), vec![]),
            (
                "a || b",
                json!({"parameters": [of("a"), with_value], "template": {"log": {}}}),
                vec![
                    "parameters[0].src.dependencyName TL0321 the condition can hold without an event of `a`: it is left out then",
                ],
            ),
            (
                "a",
                json!({"template": {"http": {"payload": [of("b"), of("nope")]}}}),
                vec![
                    "template.http.payload[0].src.dependencyName TL0321 the condition holds without an event of `b`: the action fails then",
                ],
            ),
            ("(a && b) || a", json!({"parameters": [of("a")], "template": {"log": {}}}), vec![]),
        ] {
            assert_eq!(lines(conditions, trigger), wanted, "{conditions}");
        }
    }

    #[test]
    fn a_place_that_the_workflow_does_not_have_is_said() {
        let dest = |dest: &str| {
            json!({"template": {"argoWorkflow": {
                "source": {"resource": {"spec": {"arguments": {"parameters": [{"name": "image"}]}}}},
                "parameters": [{"src": {"dependencyName": "a", "value": "x"}, "dest": dest}],
            }}})
        };
        for (place, wanted) in [
            ("spec.arguments.parameters.0.value", vec![]),
            ("spec.arguments.parameters.#(name==\"image\").value", vec![]),
            ("spec.arguments.parameters.1.value", vec!["TL0322"]),
            ("spec.arguments.parameters.#(name==\"tag\").value", vec!["TL0322"]),
            ("spec.new.place", vec![]),
        ] {
            let found = lines("a", dest(place));
            let codes: Vec<_> = found.iter().filter_map(|line| line.split(' ').nth(1)).collect();
            assert_eq!(codes, wanted, "{place}");
        }
    }
}

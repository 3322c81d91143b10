//! `args` of a workflow trigger: options of the program `argo`, which Argo Events runs.
//!
//! What has a meaning for the object is honoured. What says how the program talks to its
//! terminal or its server has none here, and is refused rather than ignored.

use serde_json::{Map, Value, json};

use super::Operation;

/// What `args` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `--parameter NAME=VALUE`, in their order.
    pub parameters: Vec<(String, String)>,
    /// `--labels A=B,C=D`.
    pub labels: Vec<(String, String)>,
    /// `--name`.
    pub name: Option<String>,
    /// `--generate-name`.
    pub generate_name: Option<String>,
    /// `--serviceaccount`.
    pub service_account: Option<String>,
    /// `--entrypoint`.
    pub entrypoint: Option<String>,
    /// `--priority`.
    pub priority: Option<i32>,
    /// `--message`, of `stop`.
    pub message: Option<String>,
}

/// An option that has a meaning.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Parameter,
    Labels,
    Name,
    GenerateName,
    ServiceAccount,
    Entrypoint,
    Priority,
    Message,
}

/// Each option: how it is written, and by which operations it is understood.
const OPTIONS: &[(&str, Option<char>, Known, &[Operation])] = {
    use Known as K;
    use Operation::{Resubmit, Retry, Stop, Submit, SubmitFrom};
    &[
        ("parameter", Some('p'), K::Parameter, &[Submit, SubmitFrom, Resubmit, Retry]),
        ("labels", Some('l'), K::Labels, &[Submit, SubmitFrom]),
        ("name", None, K::Name, &[Submit, SubmitFrom]),
        ("generate-name", None, K::GenerateName, &[Submit, SubmitFrom]),
        ("serviceaccount", None, K::ServiceAccount, &[Submit, SubmitFrom]),
        ("entrypoint", None, K::Entrypoint, &[Submit, SubmitFrom]),
        ("priority", None, K::Priority, &[Submit, SubmitFrom, Resubmit]),
        ("message", None, K::Message, &[Stop]),
    ]
};

impl Arguments {
    /// What `args` mean for `operation`.
    pub(super) fn parse(operation: Operation, args: &[String]) -> Result<Self, (usize, String)> {
        let mut parsed = Self::default();
        let mut args = args.iter().enumerate();
        while let Some((index, arg)) = args.next() {
            let wrong = |why: String| (index, why);
            let (name, inline) = split(arg).ok_or_else(|| {
                wrong(format!("`{arg}` is no option: options begin with `-` or `--`"))
            })?;
            let known = OPTIONS.iter().find(|(long, short, _, operations)| {
                let is = *long == name || short.is_some_and(|short| name == short.to_string());
                is && operations.contains(&operation)
            });
            let Some((long, _, known, _)) = known else {
                return Err(wrong(not_known(operation, arg)));
            };
            let value = match inline {
                Some(value) => value.to_owned(),
                None => match args.next() {
                    Some((_, value)) => value.clone(),
                    None => return Err(wrong(format!("`--{long}` needs a value"))),
                },
            };
            parsed.take(*known, long, value).map_err(wrong)?;
        }
        Ok(parsed)
    }

    fn take(&mut self, known: Known, long: &str, value: String) -> Result<(), String> {
        let pair = |text: &str| {
            let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
            Some((name.to_owned(), value.to_owned()))
        };
        match known {
            Known::Parameter => {
                let parameter = pair(&value);
                self.parameters.push(parameter.ok_or_else(|| {
                    format!("`--{long} {value}`: expected `--{long} NAME=VALUE`")
                })?);
            }
            Known::Labels => {
                for label in value.split(',').filter(|label| !label.is_empty()) {
                    self.labels.push(pair(label).ok_or_else(|| {
                        format!("`--{long} {value}`: expected `--{long} NAME=VALUE,NAME=VALUE`")
                    })?);
                }
            }
            Known::Priority => {
                let number = value.parse();
                self.priority = Some(
                    number.map_err(|_| format!("`--{long} {value}`: expected a whole number"))?,
                );
            }
            Known::Name => self.name = Some(value),
            Known::GenerateName => self.generate_name = Some(value),
            Known::ServiceAccount => self.service_account = Some(value),
            Known::Entrypoint => self.entrypoint = Some(value),
            Known::Message => self.message = Some(value),
        }
        Ok(())
    }

    /// Puts them into a workflow that is to be created.
    pub(crate) fn apply(&self, workflow: &mut Value) {
        if let Some(metadata) = mapping(workflow, &["metadata"]) {
            if let Some(name) = &self.name {
                metadata.insert("name".to_owned(), json!(name));
            }
            if let Some(prefix) = &self.generate_name {
                metadata.insert("generateName".to_owned(), json!(prefix));
                // The program goes by the new one, too.
                if self.name.is_none() {
                    metadata.remove("name");
                }
            }
        }
        if !self.labels.is_empty()
            && let Some(labels) = mapping(workflow, &["metadata", "labels"])
        {
            let added = self.labels.iter().map(|(name, value)| (name.clone(), json!(value)));
            labels.extend(added);
        }
        let fields = [
            ("serviceAccountName", self.service_account.as_ref().map(|value| json!(value))),
            ("entrypoint", self.entrypoint.as_ref().map(|value| json!(value))),
            ("priority", self.priority.map(|value| json!(value))),
        ];
        for (field, value) in fields {
            if let (Some(value), Some(spec)) = (value, mapping(workflow, &["spec"])) {
                spec.insert(field.to_owned(), value);
            }
        }
        set_parameters(workflow, &self.parameters);
    }
}

/// Sets `spec.arguments.parameters` by name: the value of one that is there, or a new one at
/// the front, as `argo` does.
pub(crate) fn set_parameters(workflow: &mut Value, parameters: &[(String, String)]) {
    if parameters.is_empty() {
        return;
    }
    let Some(arguments) = mapping(workflow, &["spec", "arguments"]) else { return };
    let before = match arguments.remove("parameters") {
        Some(Value::Array(before)) => before,
        _ => Vec::new(),
    };
    let mut set: Vec<Value> = Vec::with_capacity(parameters.len() + before.len());
    for (name, value) in parameters {
        set.retain(|parameter| parameter["name"] != name.as_str());
        set.push(json!({"name": name, "value": value}));
    }
    let kept = before
        .into_iter()
        .filter(|parameter| !parameters.iter().any(|(name, _)| parameter["name"] == name.as_str()));
    set.extend(kept);
    arguments.insert("parameters".to_owned(), Value::Array(set));
}

/// The mapping at this path, made where it is missing; none where something else is there.
pub(crate) fn mapping<'v>(
    object: &'v mut Value,
    path: &[&str],
) -> Option<&'v mut Map<String, Value>> {
    let mut value = object;
    for key in path {
        if value.is_null() {
            *value = json!({});
        }
        value = value.as_object_mut()?.entry(*key).or_insert(Value::Null);
    }
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

/// The name of an option, and the value that stands in the same word.
fn split(arg: &str) -> Option<(&str, Option<&str>)> {
    if let Some(long) = arg.strip_prefix("--") {
        return Some(match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        });
    }
    let short = arg.strip_prefix('-')?;
    let (at, _) = short.char_indices().nth(1).unwrap_or((short.len(), ' '));
    let (name, value) = short.split_at(at);
    let value = value.strip_prefix('=').unwrap_or(value);
    Some((name, Some(value).filter(|value| !value.is_empty())))
}

fn not_known(operation: Operation, arg: &str) -> String {
    let options: Vec<String> = OPTIONS
        .iter()
        .filter(|(_, _, _, operations)| operations.contains(&operation))
        .map(|(long, short, _, _)| match short {
            Some(short) => format!("`-{short}`/`--{long}`"),
            None => format!("`--{long}`"),
        })
        .collect();
    let has = if options.is_empty() { "none".to_owned() } else { options.join(", ") };
    format!(
        "`{arg}` has no meaning for `{}`, which Tripline does through the API, without the \
         program `argo`: it understands {has}",
        operation.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(operation: Operation, args: &[&str]) -> Result<Arguments, (usize, String)> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        operation.arguments(&args)
    }

    #[test]
    fn options_are_understood_as_the_program_writes_them() {
        let parameters = |of: &[(&str, &str)]| -> Vec<(String, String)> {
            of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let args = [
            "-p",
            "a=1",
            "-pb=2=3",
            "-p=c=4",
            "--parameter",
            "d=",
            "--parameter=e=x y",
            "-l",
            "team=a,env=b",
            "--serviceaccount=runner",
            "--entrypoint",
            "main",
            "--priority",
            "-5",
            "--generate-name",
            "x-",
        ];
        let found = parse(Operation::Submit, &args).unwrap();
        assert_eq!(
            found.parameters,
            parameters(&[("a", "1"), ("b", "2=3"), ("c", "4"), ("d", ""), ("e", "x y")])
        );
        assert_eq!(found.labels, parameters(&[("team", "a"), ("env", "b")]));
        assert_eq!(found.service_account.as_deref(), Some("runner"));
        assert_eq!(found.entrypoint.as_deref(), Some("main"));
        assert_eq!((found.priority, found.generate_name.as_deref()), (Some(-5), Some("x-")));
    }

    #[test]
    fn what_has_no_meaning_is_refused_at_its_place() {
        use Operation::{Resume, Stop, Submit};
        for (operation, args, index, why) in [
            (Submit, &["--wait"][..], 0, "`--wait` has no meaning for `submit`"),
            (Submit, &["-p", "a=1", "-o", "json"], 2, "`-o` has no meaning"),
            (Submit, &["-p", "a"], 0, "expected `--parameter NAME=VALUE`"),
            (Submit, &["--priority", "high"], 0, "expected a whole number"),
            (Submit, &["--name"], 0, "`--name` needs a value"),
            (Submit, &["a=1"], 0, "`a=1` is no option"),
            (Stop, &["-p", "a=1"], 0, "it understands `--message`"),
            (Resume, &["--node-field-selector", "x"], 0, "it understands none"),
        ] {
            let (at, said) = parse(operation, args).unwrap_err();
            assert_eq!(at, index, "{said}");
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_workflow_gets_what_the_options_say() {
        let mut workflow = json!({
            "metadata": {"name": "fixed", "labels": {"a": "1"}},
            "spec": {"arguments": {"parameters": [{"name": "image"}, {"name": "keep", "value": "k"}]}},
        });
        let args = ["-p", "image=i", "-p", "new=n", "-l", "b=2", "--generate-name", "gen-"];
        parse(Operation::Submit, &args).unwrap().apply(&mut workflow);
        let expected = json!({
            "metadata": {"generateName": "gen-", "labels": {"a": "1", "b": "2"}},
            "spec": {"arguments": {"parameters": [
                {"name": "image", "value": "i"}, {"name": "new", "value": "n"},
                {"name": "keep", "value": "k"},
            ]}},
        });
        assert_eq!(workflow, expected);
        let mut bare = json!({});
        parse(Operation::Submit, &["--entrypoint", "main"]).unwrap().apply(&mut bare);
        assert_eq!(bare, json!({"metadata": {}, "spec": {"entrypoint": "main"}}));
    }
}

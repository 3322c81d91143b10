//! Where a parameter's value comes from.

use std::borrow::Cow;

use tripline_config::{FieldPath, Problem};

use super::{Events, event_json};
use crate::codes;
use crate::definition::ParameterSource;
use crate::path::{Kind, Path};
use crate::template::{Context, Template};
use crate::view::EventView;
use crate::yaml;

/// The content type of data that can be looked into.
const JSON: &str = "application/json";
/// The other one that Argo Events knows.
const YAML: &str = "application/yaml";
/// Tripline's own key of the context.
const CORRELATION: &str = "correlationid";

/// A source, compiled.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// There is none: nothing can be resolved.
    missing: bool,
    dependency: Box<str>,
    value: Option<Box<str>>,
    selection: Selection,
    /// Values that are no texts stay what they are.
    raw: bool,
}

#[derive(Clone, Debug)]
enum Selection {
    /// Nothing is selected: `value`, or the whole event.
    Whole,
    Data(Select),
    Context(Select),
}

/// A template goes before a key.
#[derive(Clone, Debug)]
struct Select {
    template: Option<Result<Template, String>>,
    key: Option<Result<Path, String>>,
}

/// A value, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) text: String,
    /// The text is JSON and is set as it is.
    pub(super) raw: bool,
}

impl Source {
    pub(super) fn compile(
        source: Option<&ParameterSource>,
        dependencies: &[&str],
        at: &FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let at = at.key("src");
        let missing = source.is_none();
        if missing {
            let message = "a parameter needs a source for its value";
            problems.push(Problem::error(codes::MISSING_FIELD, at.clone(), message));
        }
        let source = source.cloned().unwrap_or_default();
        if !missing {
            lint_dependency(&source.dependency_name, dependencies, &at, problems);
        }
        let mut select = |template: &str, key: &str, fields: [&str; 2]| {
            (!template.is_empty() || !key.is_empty())
                .then(|| Select::compile(template, key, fields, &at, problems))
        };
        let data = select(&source.data_template, &source.data_key, ["dataTemplate", "dataKey"]);
        let fields = ["contextTemplate", "contextKey"];
        let context = select(&source.context_template, &source.context_key, fields);
        if data.is_some() && context.is_some() {
            let message = "the data is selected too, and goes before the context";
            let at = at.key(if source.context_key.is_empty() { fields[0] } else { fields[1] });
            problems.push(Problem::warning(codes::FILTER_MISLEADING, at, message));
        }
        let selection = match (data, context) {
            (Some(data), _) => Selection::Data(data),
            (None, Some(context)) => Selection::Context(context),
            (None, None) => Selection::Whole,
        };
        let value = source.value.map(String::into_boxed_str);
        let dependency = source.dependency_name.into();
        Self { missing, dependency, value, selection, raw: source.use_raw_data }
    }

    pub(super) fn dependency(&self) -> &str {
        &self.dependency
    }

    /// The value; `None`: the dependency has no event, and nothing stands in.
    pub(super) fn resolve(&self, events: &Events<'_>) -> Result<Option<Resolved>, String> {
        if self.missing {
            return Err("it has no `src`".to_owned());
        }
        let default = || self.value.as_deref().map(Resolved::text);
        let Some(event) = events(&self.dependency) else { return Ok(default()) };
        let selected = match &self.selection {
            Selection::Whole => {
                let whole = || Resolved::text(&event_json::whole(event));
                return Ok(Some(default().unwrap_or_else(whole)));
            }
            Selection::Data(select) => {
                data(event).and_then(|json| select.find(&json, event, self.raw))
            }
            Selection::Context(select) => select.find_in_context(event, self.raw),
        };
        match selected {
            Ok(resolved) => Ok(Some(resolved)),
            Err(error) => default().map(Some).ok_or(error),
        }
    }
}

fn lint_dependency(name: &str, dependencies: &[&str], at: &FieldPath, problems: &mut Vec<Problem>) {
    let at = at.key("dependencyName");
    if name.is_empty() {
        let message = "a parameter needs the dependency whose event it takes the value from";
        problems.push(Problem::error(codes::MISSING_FIELD, at, message));
    } else if !dependencies.contains(&name) {
        let message = format!("the sensor has no dependency `{name}`");
        let problem = Problem::error(codes::UNKNOWN_DEPENDENCY, at, message);
        problems.push(problem.help(format!("its dependencies: {}", dependencies.join(", "))));
    }
}

/// The JSON text of an event's data.
fn data<'a>(event: &EventView<'a>) -> Result<Cow<'a, str>, String> {
    match event.content_type {
        JSON => {
            let json = event.data.json().ok_or("the event's data is no valid JSON")?;
            Ok(Cow::Borrowed(json))
        }
        YAML => {
            let bytes = event.data.bytes().unwrap_or_default();
            let text = std::str::from_utf8(bytes);
            let text = text.map_err(|_| "the event's data is no valid YAML".to_owned())?;
            let json = yaml::to_json(text);
            let failed = |error| format!("the event's data is no valid YAML: {error}");
            json.map(Cow::Owned).map_err(failed)
        }
        other => {
            Err(format!("data of type `{other}` cannot be looked into: {JSON} and {YAML} can"))
        }
    }
}

impl Select {
    fn compile(
        template: &str,
        key: &str,
        [template_field, key_field]: [&str; 2],
        at: &FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let template = (!template.is_empty()).then(|| {
            Template::compile(template).map_err(|error| {
                let at = at.key(template_field);
                let error = error.to_string();
                problems.push(Problem::error(codes::BAD_TEMPLATE, at, &*error));
                error
            })
        });
        let key = (!key.is_empty()).then(|| {
            Path::compile(key).map_err(|error| {
                problems.push(Problem::error(codes::BAD_PATH, at.key(key_field), &*error.0));
                error.0
            })
        });
        Self { template, key }
    }

    fn find_in_context(&self, event: &EventView<'_>, raw: bool) -> Result<Resolved, String> {
        let correlation = matches!(&self.key, Some(Ok(key)) if key.text() == CORRELATION);
        if correlation && self.template.is_none() && !event.correlation.is_empty() {
            return Ok(Resolved::text(event.correlation));
        }
        self.find(&event_json::context(event), event, raw)
    }

    fn find(&self, json: &str, event: &EventView<'_>, raw: bool) -> Result<Resolved, String> {
        let mut failed = None;
        if let Some(template) = &self.template {
            // A replay has the same event, so it prints the same.
            let context = Context { now: event.time };
            let render = |one: &Template| Template::some(one.render_json(json, &context));
            match template.as_ref().map_err(Clone::clone).and_then(render) {
                Ok(text) => return Ok(Resolved { text, raw: false }),
                Err(error) => failed = Some(error),
            }
        }
        match &self.key {
            Some(Ok(key)) => take(key, json, raw),
            Some(Err(error)) => Err(error.clone()),
            None => Err(failed.unwrap_or_default()),
        }
    }
}

/// What a key finds: objects, arrays and null as they were written, all else as text.
fn take(key: &Path, json: &str, raw: bool) -> Result<Resolved, String> {
    let found = key.find(json).ok_or_else(|| format!("key `{}` finds nothing", key.text()))?;
    let text = match found.kind {
        Kind::Json | Kind::Null => found.raw.into_owned(),
        _ => found.text().into_owned(),
    };
    Ok(Resolved { text, raw: raw && found.kind != Kind::String })
}

impl Resolved {
    fn text(text: &str) -> Self {
        Self { text: text.to_owned(), raw: false }
    }
}

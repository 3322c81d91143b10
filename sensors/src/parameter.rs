//! Parameters of triggers: values of events that are put into a document.
//!
//! They apply in their order, and each sees what the ones before it made.

use tripline_config::{FieldPath, Problem};

use crate::codes;
use crate::definition::TriggerParameter;
use crate::path::{self, Found};
use crate::set::{Destination, SetError};
use crate::view::EventView;

mod event_json;
mod source;

use source::{Resolved, Source};

/// The events of an action, by the name of their dependency.
pub type Events<'e> = dyn Fn(&str) -> Option<&'e EventView<'e>> + 'e;

/// A list of parameters, compiled.
#[derive(Clone, Debug)]
pub struct Parameters(Box<[Parameter]>);

#[derive(Clone, Debug)]
struct Parameter {
    source: Source,
    dest: Box<str>,
    place: Result<Destination, SetError>,
    operation: Result<Operation, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Overwrite,
    Append,
    Prepend,
}

/// A parameter that cannot be resolved or set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter {index} (`{dest}`): {reason}")]
pub struct ParameterError {
    /// Its place in the list, from 0.
    pub index: usize,
    /// Its `dest`.
    pub dest: String,
    /// What went wrong.
    pub reason: String,
}

impl Parameters {
    /// Compiles a list of `parameters` of a sensor with these `dependencies`. The
    /// parameters behave as those of Argo Events even where there are problems; the
    /// caller refuses the sensor when one is an error. Paths of problems are relative to
    /// the list.
    pub fn compile(parameters: &[TriggerParameter], dependencies: &[&str]) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let compiled = parameters.iter().enumerate().map(|(index, parameter)| {
            let at = FieldPath::root().index(index);
            Parameter::compile(parameter, dependencies, &at, &mut problems)
        });
        (Self(compiled.collect()), problems)
    }

    /// The problems that the parameters have besides those of [`Self::compile`] where
    /// they apply to a document: there every value needs a place, while in a payload it
    /// can be the whole.
    pub fn check_for_document(&self) -> Vec<Problem> {
        let placeless = self.0.iter().enumerate().filter(|(_, one)| one.dest.is_empty());
        let problem = |(index, _)| {
            let at = FieldPath::root().index(index).key("dest");
            Problem::error(codes::MISSING_FIELD, at, "the place to set is missing")
        };
        placeless.map(problem).collect()
    }

    /// `document`, JSON text, with each parameter applied to it in turn. A parameter
    /// whose dependency has no event, which a condition with `||` allows, and that has no
    /// `value` is left out.
    ///
    /// # Errors
    /// The first parameter that cannot be resolved or set.
    pub fn apply(
        &self,
        mut document: String,
        events: &Events<'_>,
    ) -> Result<String, ParameterError> {
        for (index, parameter) in self.0.iter().enumerate() {
            let fail = |reason| parameter.error(index, reason);
            let Some(resolved) = parameter.source.resolve(events).map_err(fail)? else { continue };
            let resolved = parameter.combine(&document, resolved).map_err(fail)?;
            document = parameter.set(&document, &resolved).map_err(fail)?;
        }
        Ok(document)
    }

    /// The payload that the parameters build; `None` where there are no parameters, or
    /// all of them are left out. A parameter without `dest` is the payload as a whole.
    /// Operations have no meaning here.
    ///
    /// # Errors
    /// The first parameter that cannot be resolved or set; one with a `dest` whose
    /// dependency has no event, and that has no `value`: Argo Events crashes there.
    pub fn payload(&self, events: &Events<'_>) -> Result<Option<String>, ParameterError> {
        let mut payload = None;
        for (index, parameter) in self.0.iter().enumerate() {
            let fail = |reason| parameter.error(index, reason);
            let resolved = parameter.source.resolve(events).map_err(fail)?;
            match resolved {
                Some(resolved) if parameter.dest.is_empty() => return Ok(Some(resolved.text)),
                Some(resolved) => {
                    let document = payload.as_deref().unwrap_or_default();
                    payload = Some(parameter.set(document, &resolved).map_err(fail)?);
                }
                None if parameter.dest.is_empty() => {}
                None => {
                    let name = parameter.source.dependency();
                    let reason = format!(
                        "dependency `{name}` has no event, and there is no `value` to stand in"
                    );
                    return Err(fail(reason));
                }
            }
        }
        // A place that finds nothing to set in an empty payload leaves none.
        Ok(payload.filter(|payload| !payload.is_empty()))
    }
}

impl Parameter {
    fn compile(
        parameter: &TriggerParameter,
        dependencies: &[&str],
        at: &FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let source = Source::compile(parameter.src.as_ref(), dependencies, at, problems);
        let place = Destination::compile(&parameter.dest);
        if let Err(error) = &place
            && !parameter.dest.is_empty()
        {
            problems.push(Problem::error(codes::BAD_DEST, at.key("dest"), &*error.0));
        }
        let operation = match parameter.operation.as_str() {
            "" | "overwrite" => Ok(Operation::Overwrite),
            "append" => Ok(Operation::Append),
            "prepend" => Ok(Operation::Prepend),
            other => {
                let message = format!("there is no operation `{other}`");
                let at = at.key("operation");
                let problem = Problem::error(codes::UNKNOWN_OPERATION, at, &*message);
                problems.push(problem.help("write `overwrite`, `append` or `prepend`"));
                Err(message)
            }
        };
        Self { source, dest: parameter.dest.as_str().into(), place, operation }
    }

    fn error(&self, index: usize, reason: String) -> ParameterError {
        ParameterError { index, dest: self.dest.to_string(), reason }
    }

    /// Joins the value with the text that is at the place. What is joined is a text.
    fn combine(&self, document: &str, resolved: Resolved) -> Result<Resolved, String> {
        let operation = self.operation.clone()?;
        if operation == Operation::Overwrite {
            return Ok(resolved);
        }
        let Some(present) = path::get(document, &self.dest).map(Found::from) else {
            return Ok(resolved);
        };
        let text = match operation {
            Operation::Append => format!("{}{}", present.text(), resolved.text),
            _ => format!("{}{}", resolved.text, present.text()),
        };
        Ok(Resolved { text, raw: false })
    }

    fn set(&self, document: &str, resolved: &Resolved) -> Result<String, String> {
        let place = self.place.as_ref().map_err(ToString::to_string)?;
        let made = if resolved.raw {
            place.set_raw(document, &resolved.text)
        } else {
            place.set(document, &resolved.text)
        };
        made.map_err(|error| error.0)
    }
}

#[cfg(test)]
mod tests;

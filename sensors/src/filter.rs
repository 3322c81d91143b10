//! Filters of dependencies: compiled once, faithful to what Argo Events decides.
//!
//! Compiling finds every mistake and gives a filter all the same, which behaves as Argo
//! Events would: what it accepts at load and stumbles over at each event is an error of
//! that event here too. The caller refuses a sensor with errors.

use std::sync::Arc;

use tripline_config::{FieldPath, Problem};

use crate::codes;
use crate::definition::{EventDependency, EventDependencyFilter};
use crate::transform::Transform;
use crate::view::EventView;

mod context;
mod data;
mod exprs;
mod script;
mod text_match;
mod time;
mod trace;

use context::Context;
use data::Data;
pub(crate) use data::index::{Step, Values, Word};
use exprs::Exprs;
use script::Scripted;
use time::TimeOfDay;
pub use trace::{Trace, TraceStep, type_of};

/// The filters of a dependency, compiled.
#[derive(Clone, Debug)]
pub struct Filter {
    /// What changes the payload first.
    transform: Option<Transform>,
    /// `None`: every event passes.
    kinds: Option<Box<Kinds>>,
}

/// The kinds of filters that are given.
#[derive(Clone, Debug)]
struct Kinds {
    /// One that passes is enough.
    any: bool,
    exprs: Option<Exprs>,
    data: Option<Data>,
    context: Option<Context>,
    time: Option<TimeOfDay>,
    script: Option<Scripted>,
}

/// What a filter says about an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the event goes on.
    pub pass: bool,
    /// What could not be evaluated. Such an event does not pass.
    pub error: Option<Arc<str>>,
}

/// What one kind says: whether the event fits, or what could not be evaluated.
type Answer = Result<bool, Arc<str>>;

impl Filter {
    /// Compiles the filters of `dependency`. The filter behaves as Argo Events does even
    /// where there are problems; the caller refuses the sensor when one is an error.
    /// Paths of problems are relative to the dependency.
    pub fn compile(dependency: &EventDependency) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let transform = dependency.transform.as_ref();
        let transform = transform.and_then(|one| Transform::compile(one, &mut problems));
        let operator = &dependency.filters_logical_operator;
        let at = FieldPath::root().key("filtersLogicalOperator");
        let any = is_or(operator, at, &mut problems);
        let kinds = dependency
            .filters
            .as_ref()
            .map(|filters| Box::new(Kinds::compile(filters, any, dependency, &mut problems)));
        (Self { transform, kinds }, problems)
    }

    /// Decides about `event`; `trace` is told why. A transform is applied first; where it
    /// fails, the event does not pass.
    pub fn evaluate(&self, event: &EventView<'_>, trace: Option<&mut Trace>) -> Verdict {
        let Some(transform) = &self.transform else { return self.decide(event, trace) };
        match transform.apply(event) {
            Ok(None) => self.decide(event, trace),
            Ok(Some(data)) => self.decide(&event.with_json(&data), trace),
            Err(error) => {
                if let Some(trace) = trace {
                    let answer = Err(error.clone());
                    trace.push("transform".to_owned(), "transform", None, "an object", &answer);
                }
                Verdict { pass: false, error: Some(error) }
            }
        }
    }

    /// The payload that the dependency's transform makes of the event's: what parameters
    /// see. `None`: it stays as it is.
    ///
    /// # Errors
    /// Those of [`Transform::apply`].
    pub fn transform(&self, event: &EventView<'_>) -> Result<Option<String>, Arc<str>> {
        self.transform.as_ref().map_or(Ok(None), |transform| transform.apply(event))
    }

    fn decide(&self, event: &EventView<'_>, trace: Option<&mut Trace>) -> Verdict {
        match &self.kinds {
            None => Verdict { pass: true, error: None },
            Some(kinds) if kinds.any => kinds.any(event, trace),
            Some(kinds) => kinds.all(event, trace),
        }
    }
}

/// Whether a logical operator says `or`. Only this word does: anything else is `and`.
fn is_or(operator: &str, at: FieldPath, problems: &mut Vec<Problem>) -> bool {
    if !matches!(operator, "" | "and" | "or") {
        let message = format!("`{operator}` is no logical operator and is taken for `and`");
        let problem = Problem::warning(codes::BAD_OPERATOR, at, message);
        problems.push(problem.help("write `and` or `or`, in lower case"));
    }
    operator == "or"
}

impl Kinds {
    fn compile(
        filters: &EventDependencyFilter,
        any: bool,
        dependency: &EventDependency,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let at = FieldPath::root().key("filters");
        let data_any =
            is_or(&filters.data_logical_operator, at.key("dataLogicalOperator"), problems);
        let expr_any =
            is_or(&filters.expr_logical_operator, at.key("exprLogicalOperator"), problems);
        let script = (!filters.script.is_empty())
            .then(|| Scripted::compile(&filters.script, &at.key("script"), problems));
        let kinds = Self {
            any,
            exprs: filters
                .exprs
                .as_ref()
                .map(|exprs| Exprs::compile(exprs, expr_any, &at.key("exprs"), problems)),
            data: filters
                .data
                .as_ref()
                .map(|data| Data::compile(data, data_any, &at.key("data"), problems)),
            context: filters
                .context
                .as_ref()
                .map(|context| Context::compile(context, dependency, &at.key("context"), problems)),
            time: filters
                .time
                .as_ref()
                .map(|time| TimeOfDay::compile(time, &at.key("time"), problems)),
            script,
        };
        if any && kinds.is_empty() {
            let message = "no event can pass: under `or` a filter must be given";
            problems.push(Problem::error(codes::FILTER_MISLEADING, at, message));
        }
        kinds
    }

    fn is_empty(&self) -> bool {
        self.exprs.is_none()
            && self.data.is_none()
            && self.context.is_none()
            && self.time.is_none()
            && self.script.is_none()
    }

    /// What each kind that is given says, in Argo Events' order.
    fn answers<'s>(
        &'s self,
        event: &'s EventView<'_>,
        mut trace: Option<&'s mut Trace>,
    ) -> impl Iterator<Item = Answer> + 's {
        (0..5).filter_map(move |kind| {
            let trace = trace.as_deref_mut();
            Some(match kind {
                0 => self.exprs.as_ref()?.evaluate(event, trace),
                1 => self.data.as_ref()?.evaluate(event, trace),
                2 => self.context.as_ref()?.evaluate(event, trace),
                3 => self.time.as_ref()?.evaluate(event, trace),
                _ => self.script.as_ref()?.evaluate(event, trace),
            })
        })
    }

    /// The first error ends it; a kind that does not fit does not.
    fn all(&self, event: &EventView<'_>, trace: Option<&mut Trace>) -> Verdict {
        let mut pass = true;
        for answer in self.answers(event, trace) {
            match answer {
                Ok(fits) => pass &= fits,
                Err(error) => return Verdict { pass: false, error: Some(error) },
            }
        }
        Verdict { pass, error: None }
    }

    /// One that fits is enough, but an error of any of them decides against the event:
    /// Argo Events gathers the errors, and then lets none of these events pass.
    fn any(&self, event: &EventView<'_>, trace: Option<&mut Trace>) -> Verdict {
        let mut pass = false;
        let mut errors = Vec::new();
        for answer in self.answers(event, trace) {
            match answer {
                Ok(fits) => pass |= fits,
                Err(error) => errors.push(error),
            }
        }
        let error = joined(&errors);
        Verdict { pass: pass && error.is_none(), error }
    }
}

/// Several errors as one.
fn joined(errors: &[Arc<str>]) -> Option<Arc<str>> {
    match errors {
        [] => None,
        [error] => Some(error.clone()),
        errors => Some(errors.join(" / ").into()),
    }
}

/// What is said about data that cannot be looked into.
pub(crate) const NOT_JSON: &str = "the event's data is no valid JSON";

#[cfg(test)]
mod tests;

//! `exprs` filters: expressions over values in the payload.

use std::sync::Arc;

use tripline_config::{FieldPath, Problem};

use super::trace::Trace;
use super::{Answer, NOT_JSON, joined};
use crate::codes;
use crate::definition::ExprFilter;
use crate::expression::{Expression, Value};
use crate::path::{Found, Path};
use crate::view::EventView;

/// The `exprs` filters of a dependency.
#[derive(Clone, Debug)]
pub(super) struct Exprs {
    any: bool,
    filters: Box<[One]>,
}

#[derive(Clone, Debug)]
struct One {
    text: Box<str>,
    expression: Result<Expression, Arc<str>>,
    fields: Box<[Field]>,
}

#[derive(Clone, Debug)]
struct Field {
    name: Box<str>,
    path: Result<Path, Arc<str>>,
    missing: Arc<str>,
}

impl Exprs {
    pub(super) fn compile(
        filters: &[ExprFilter],
        any: bool,
        at: &FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let one = |(index, filter)| One::compile(filter, &at.index(index), problems);
        Self { any, filters: filters.iter().enumerate().map(one).collect() }
    }

    pub(super) fn evaluate(&self, event: &EventView<'_>, mut trace: Option<&mut Trace>) -> Answer {
        if event.data.bytes().is_none() {
            return Ok(true);
        }
        let Some(json) = event.data.json() else { return Err(NOT_JSON.into()) };
        let mut errors = Vec::new();
        for (index, filter) in self.filters.iter().enumerate() {
            // Without fields it is skipped, whatever it says.
            if filter.fields.is_empty() {
                continue;
            }
            let (answer, found) = filter.evaluate(json, trace.is_some());
            if let Some(trace) = trace.as_deref_mut() {
                let field = format!("filters.exprs[{index}]");
                trace.push(field, &filter.text, found.as_deref(), "true", &answer);
            }
            match answer {
                Ok(true) if self.any => return Ok(true),
                Ok(true) => {}
                Ok(false) if self.any => {}
                Err(error) if self.any => errors.push(error),
                Ok(false) | Err(_) => return answer,
            }
        }
        match joined(&errors) {
            Some(errors) => Err(errors),
            None => Ok(!self.any),
        }
    }
}

impl One {
    fn compile(filter: &ExprFilter, at: &FieldPath, problems: &mut Vec<Problem>) -> Self {
        let expression = Expression::compile(&filter.expr).map_err(|error| {
            let message = format!("not an expression: {error}");
            problems.push(Problem::error(codes::BAD_EXPRESSION, at.key("expr"), &*message));
            message.into()
        });
        if filter.fields.is_empty() {
            let message = "an expression without fields is never evaluated";
            let problem = Problem::warning(codes::FILTER_MISLEADING, at.key("fields"), message);
            problems.push(problem.help("bind the values that it looks at to names"));
        } else if let Ok(expression) = &expression {
            let bound = |name: &str| filter.fields.iter().any(|field| field.name == name);
            if let Some(name) = expression.names().find(|name| !bound(name)) {
                let names: Vec<_> = filter.fields.iter().map(|field| &*field.name).collect();
                let message = format!("there is no field with the name `{name}`");
                let problem = Problem::error(codes::BAD_EXPRESSION, at.key("expr"), message);
                problems.push(problem.help(format!("its fields: {}", names.join(", "))));
            }
        }
        let field = |(index, field): (usize, &crate::definition::PayloadField)| Field {
            name: field.name.as_str().into(),
            path: Path::compile(&field.path).map_err(|error| {
                let at = at.key("fields").index(index).key("path");
                problems.push(Problem::error(codes::BAD_PATH, at, &*error.0));
                error.0.into()
            }),
            missing: format!("path `{}` finds nothing", field.path).into(),
        };
        let fields = filter.fields.iter().enumerate().map(field).collect();
        Self { text: filter.expr.as_str().into(), expression, fields }
    }

    /// The answer and, where they are asked for, the values of the fields.
    fn evaluate(&self, json: &str, explain: bool) -> (Answer, Option<String>) {
        // All fields must be there, also those that the expression does not look at.
        let mut found = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            match field.find(json) {
                Ok(value) => found.push((&*field.name, value)),
                Err(error) => return (Err(error), None),
            }
        }
        let values = explain.then(|| {
            let value = |(name, found): &(&str, Found<'_>)| format!("{name} = {}", found.raw);
            found.iter().map(value).collect::<Vec<_>>().join(", ")
        });
        let answer = self.expression.as_ref().map_err(Arc::clone).and_then(|expression| {
            // Of fields with the same name the last counts.
            let lookup = |name: &str| {
                let bound = found.iter().rev().find(|(bound, _)| *bound == name);
                bound.map(|(_, found)| Value::of(found))
            };
            let value = expression.evaluate(&lookup).map_err(Arc::<str>::from)?;
            Ok(value == Value::Bool(true))
        });
        (answer, values)
    }
}

impl Field {
    fn find<'a>(&self, json: &'a str) -> Result<Found<'a>, Arc<str>> {
        let path = self.path.as_ref().map_err(Arc::clone)?;
        path.find(json).ok_or_else(|| self.missing.clone())
    }
}

//! Values become types: validated by the schema of the type, then decoded.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::object::Object;
use crate::problem::{FieldPath, Problem, Severity, Step};
use crate::schema::{self, Dialect};

/// A decoded value with the warnings about it.
pub type Decoded<T> = (T, Vec<Problem>);

/// Decodes `value`, which stands at `at` in its object: problems have the path from the
/// object on. Nulls of optional fields count as missing; unknown fields are left out.
///
/// # Errors
/// All problems, among them at least one error.
pub fn decode<T>(
    value: &Value,
    at: &FieldPath,
    dialect: Dialect,
) -> Result<Decoded<T>, Vec<Problem>>
where
    T: DeserializeOwned + JsonSchema + 'static,
{
    let findings = schema::inspect(&schema_of::<T>(), value, dialect);
    let mut problems = findings.problems;
    let mut decoded = None;
    if !problems.iter().any(|problem| problem.severity == Severity::Error) {
        match decode_without(value, &findings.absent) {
            Ok(value) => decoded = Some(value),
            Err(problem) => problems.push(problem),
        }
    }
    let problems = problems.into_iter().map(|problem| problem.below(at)).collect();
    match decoded {
        Some(decoded) => Ok((decoded, problems)),
        None => Err(problems),
    }
}

fn decode_without<T: DeserializeOwned>(value: &Value, absent: &[FieldPath]) -> Result<T, Problem> {
    let result = if absent.is_empty() {
        serde_path_to_error::deserialize(value)
    } else {
        let mut value = value.clone();
        absent.iter().for_each(|path| remove(&mut value, path));
        serde_path_to_error::deserialize(&value)
    };
    result.map_err(|error| {
        let path = path_of(error.path());
        Problem::error(codes::INVALID_VALUE, path, error.into_inner().to_string())
    })
}

/// Removes the field of a mapping.
fn remove(value: &mut Value, path: &FieldPath) {
    let Some((Step::Key(field), parents)) = path.0.split_last() else { return };
    let mut at = value;
    for step in parents {
        let below = match step {
            Step::Key(key) => at.get_mut(key),
            Step::Index(index) => at.get_mut(index),
        };
        let Some(below) = below else { return };
        at = below;
    }
    if let Value::Object(fields) = at {
        fields.remove(field);
    }
}

fn path_of(path: &serde_path_to_error::Path) -> FieldPath {
    use serde_path_to_error::Segment;
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { variant } => Some(Step::Key(variant.clone())),
        Segment::Unknown => None,
    };
    FieldPath(path.iter().map_while(step).collect())
}

/// The JSON Schema of a type, made once.
pub fn schema_of<T: JsonSchema + 'static>() -> Arc<Value> {
    static SCHEMAS: LazyLock<Mutex<HashMap<TypeId, Arc<Value>>>> = LazyLock::new(Mutex::default);
    // A schema is whole or not there: a panic elsewhere cannot have spoilt the map.
    let mut schemas = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner);
    let schema = schemas
        .entry(TypeId::of::<T>())
        .or_insert_with(|| Arc::new(schemars::schema_for!(T).to_value()));
    Arc::clone(schema)
}

impl Object {
    /// Decodes the whole object by its dialect, with all problems at their places.
    ///
    /// # Errors
    /// All problems, among them at least one error.
    pub fn decode<T>(&self) -> Result<(T, Vec<Diagnostic>), Vec<Diagnostic>>
    where
        T: DeserializeOwned + JsonSchema + 'static,
    {
        let located = |problems: Vec<Problem>| {
            problems.into_iter().map(|problem| self.diagnose(problem)).collect()
        };
        match decode(&self.value, &FieldPath::root(), Dialect::of(&self.api_version)) {
            Ok((value, warnings)) => Ok((value, located(warnings))),
            Err(problems) => Err(located(problems)),
        }
    }
}

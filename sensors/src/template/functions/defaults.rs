//! What stands in for values that are empty.

use super::Parameter::{Any, Bool};
use super::{Function, new, variadic};
use crate::template::compare::empty;
use crate::template::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("default", &[Any], Any, |_, values| {
        Ok(values.get(1).filter(|value| !empty(value)).unwrap_or(&values[0]).clone())
    }),
    new("empty", &[Any], |_, values| Ok(empty(&values[0]).into())),
    variadic("coalesce", &[], Any, |_, values| {
        Ok(values.iter().find(|value| !empty(value)).cloned().unwrap_or(Value::Nil))
    }),
    variadic("all", &[], Any, |_, values| Ok((!values.iter().any(empty)).into())),
    variadic("any", &[], Any, |_, values| Ok((!values.iter().all(empty)).into())),
    new("ternary", &[Any, Any, Bool], |_, values| {
        let condition = matches!(values[2], Value::Bool(true));
        Ok(values[usize::from(!condition)].clone())
    }),
];

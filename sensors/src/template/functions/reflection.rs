//! What a value is.

use super::Parameter::{Any, Text};
use super::{Function, new};
use crate::template::compare::deep_equal;

pub(super) const FUNCTIONS: &[Function] = &[
    new("typeOf", &[Any], |_, values| Ok(values[0].type_name().into())),
    new("typeIs", &[Text, Any], |_, values| Ok((values[0].text() == values[1].type_name()).into())),
    new("typeIsLike", &[Text, Any], |_, values| {
        let (wanted, name) = (values[0].text(), values[1].type_name());
        Ok((wanted == name || name.strip_prefix('*') == Some(wanted)).into())
    }),
    new("kindOf", &[Any], |_, values| Ok(values[0].kind().into())),
    new("kindIs", &[Text, Any], |_, values| Ok((values[0].text() == values[1].kind()).into())),
    new("deepEqual", &[Any, Any], |call, values| {
        Ok(deep_equal(&values[0], &values[1], call.steps)?.into())
    }),
];

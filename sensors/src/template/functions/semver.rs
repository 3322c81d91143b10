//! Semantic versions.

use super::Parameter::Text;
use super::{Function, new};
use crate::template::value::Value;
use crate::template::version::{Version, satisfies};

pub(super) const FUNCTIONS: &[Function] = &[
    new("semver", &[Text], |_, values| {
        Ok(Value::Version(Version::parse(values[0].text())?.into()))
    }),
    new("semverCompare", &[Text, Text], |_, values| {
        Ok(satisfies(values[0].text(), values[1].text())?.into())
    }),
];

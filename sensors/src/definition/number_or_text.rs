//! A field that may be written as a number or as a text.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;

/// A number or a text, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum NumberOrText {
    /// `2`, `0.5`.
    Number(Number),
    /// `"2"`, `"1s"`.
    Text(String),
}

impl NumberOrText {
    /// The value as a number; `None` where it is a text that is none.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => number.as_f64(),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

// Not an untagged enum: those buffer the value and lose its place in the file.
impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrTextVisitor)
    }
}

struct NumberOrTextVisitor;

impl Visitor<'_> for NumberOrTextVisitor {
    type Value = NumberOrText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<NumberOrText, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(NumberOrText::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Text(value.to_owned()))
    }
}

impl JsonSchema for NumberOrText {
    fn schema_name() -> Cow<'static, str> {
        "NumberOrText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }
}

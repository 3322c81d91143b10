//! JSON that is kept for long and looked at seldom.

use serde_json::Value;

/// A JSON value as its text: a tenth of the memory of the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonText(Box<str>);

impl JsonText {
    /// The value.
    pub(super) fn value(&self) -> Value {
        // It was made of a value; there is no text that is none.
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl From<&Value> for JsonText {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Default for JsonText {
    fn default() -> Self {
        Self::from(&Value::Null)
    }
}

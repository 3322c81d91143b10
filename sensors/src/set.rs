//! Setting values in JSON text, in the language of sjson.

/// A compiled place to set.
#[derive(Clone, Debug)]
pub struct Destination {
    text: String,
}

/// A value that cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetError(pub String);

impl Destination {
    /// Compiles the place.
    ///
    /// # Errors
    /// An empty path; an index above the limit.
    pub fn compile(text: &str) -> Result<Self, SetError> {
        Ok(Self { text: text.to_owned() })
    }

    /// The place, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `document` with the JSON string of `value` at this place.
    ///
    /// # Errors
    /// The place cannot be in this document.
    pub fn set(&self, document: &str, value: &str) -> Result<String, SetError> {
        let _ = (document, value);
        todo!()
    }

    /// `document` with the JSON text `raw` at this place.
    ///
    /// # Errors
    /// The place cannot be in this document.
    pub fn set_raw(&self, document: &str, raw: &str) -> Result<String, SetError> {
        let _ = (document, raw);
        todo!()
    }
}

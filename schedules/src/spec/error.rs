//! What is wrong with a schedule.

use tripline_config::FieldPath;

/// A mistake in a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SpecError {
    /// The field, seen from the spec: `calendar[0].hour`.
    pub path: FieldPath,
    /// What is wrong, with what was found and what is allowed.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl SpecError {
    pub(crate) fn new(path: FieldPath, message: impl Into<String>) -> Self {
        Self { path, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

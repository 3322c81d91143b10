//! A mistake at its place, as a person or a tool is told of it.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::place::Place;
use crate::problem::Severity;

/// A mistake in a file.
///
/// ```text
/// sensors/deploy.yaml:8:12: error[TL0201]: dependency `image-pushd` is not declared
///   in Sensor ci/deploy, field spec.triggers[0].template.conditions
///   help: declared here: config-changed, image-pushed
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable code, `TL` and four digits: `tripline help CODE` explains it.
    pub code: String,
    /// Where it is.
    pub place: Place,
    /// The object that has it, by kind, namespace and name: `Sensor ci/deploy`. None where
    /// that much could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The path of the field in the object; empty for the object or the file as a whole.
    pub field: String,
    /// What is wrong, with what was found and what was expected. A lower-case fragment.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `place` that belongs to no field of an object.
    pub fn error(code: &str, place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.to_owned(),
            place,
            object: None,
            field: String::new(),
            message: message.into(),
            help: None,
        }
    }

    /// A warning at `place` that belongs to no field of an object.
    pub fn warning(code: &str, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether it makes its object invalid.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The object and the field, as the second line of the text says it.
    pub(crate) fn subject(&self) -> Option<String> {
        match (&self.object, self.field.as_str()) {
            (None, "") => None,
            (None, field) => Some(format!("field {field}")),
            (Some(object), "") => Some(object.clone()),
            (Some(object), field) => Some(format!("{object}, field {field}")),
        }
    }
}

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        let (word, code) = (self.severity.word(), &self.code);
        write!(f, "{}: {word}[{code}]: {}", Clean(&place), Clean(&self.message))?;
        if let Some(subject) = self.subject() {
            write!(f, "\n  in {}", Clean(&subject))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {}", Clean(help))?;
        }
        Ok(())
    }
}

/// Text that may come from a file: control characters, which could start a new line or
/// command a terminal, are shown by their escapes.
pub(crate) struct Clean<'t>(pub &'t str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            if char.is_control() {
                write!(f, "{}", char.escape_default())?;
            } else {
                f.write_char(char)?;
            }
        }
        Ok(())
    }
}

/// By place, then by severity, code and text: the order in which they are shown.
impl Ord for Diagnostic {
    fn cmp(&self, other: &Self) -> Ordering {
        fn key(
            of: &Diagnostic,
        ) -> (&Place, Severity, &str, &str, &str, Option<&str>, Option<&str>) {
            let (object, help) = (of.object.as_deref(), of.help.as_deref());
            (&of.place, of.severity, &of.code, &of.message, &of.field, object, help)
        }
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Diagnostic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

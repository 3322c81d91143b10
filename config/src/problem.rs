//! A mistake in an object, by the path of its field. Where that is in a file is added
//! by the object that was loaded ([`crate::Diagnostic`]).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step from a field to one below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// The value under a key of a mapping.
    Key(String),
    /// An element of a sequence, from 0.
    Index(usize),
}

/// The way from an object to one of its fields: `spec.triggers[0].template.name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FieldPath(pub Vec<Step>);

impl FieldPath {
    /// The object itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// The field `key` below this one.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.then(Step::Key(key.into()))
    }

    /// The element `index` of this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// `other`, seen from where this path begins.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// How bad a mistake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object is refused.
    Error,
    /// The object is taken; `check --strict` refuses it.
    Warning,
}

/// A mistake in an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// A stable code, `TL` and four digits: `tripline help CODE` explains it.
    pub code: String,
    /// The field.
    pub path: FieldPath,
    /// The mistake is the field's key, not its value: an unknown field.
    pub at_key: bool,
    /// What is wrong, with what was found and what was expected. A lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// An error in the value at `path`.
    pub fn error(code: &str, path: FieldPath, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.to_owned(),
            path,
            at_key: false,
            message: message.into(),
            help: None,
        }
    }

    /// A warning about the value at `path`.
    pub fn warning(code: &str, path: FieldPath, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, path, message) }
    }

    /// The same problem with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same problem, seen from the object that holds what `prefix` names.
    #[must_use]
    pub fn below(mut self, prefix: &FieldPath) -> Self {
        self.path = prefix.join(&self.path);
        self
    }
}

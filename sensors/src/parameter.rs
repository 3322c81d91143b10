//! Parameters of triggers: values of events that are put into a document.

use tripline_config::Problem;

use crate::definition::TriggerParameter;
use crate::view::EventView;

/// The events of an action, by the name of their dependency.
pub type Events<'e> = dyn Fn(&str) -> Option<&'e EventView<'e>> + 'e;

/// A list of parameters, compiled.
#[derive(Clone, Debug)]
pub struct Parameters {}

/// A parameter that cannot be resolved or set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter {index} (`{dest}`): {reason}")]
pub struct ParameterError {
    /// Its place in the list, from 0.
    pub index: usize,
    /// Its `dest`.
    pub dest: String,
    /// What went wrong.
    pub reason: String,
}

impl Parameters {
    /// Compiles a list of `parameters` of a sensor with these `dependencies`. Paths of
    /// problems are relative to the list.
    pub fn compile(parameters: &[TriggerParameter], dependencies: &[&str]) -> (Self, Vec<Problem>) {
        let _ = (parameters, dependencies);
        (Self {}, Vec::new())
    }

    /// `document`, JSON text, with each parameter applied to it in turn.
    ///
    /// # Errors
    /// The first parameter that cannot be resolved or set.
    pub fn apply(&self, document: String, events: &Events<'_>) -> Result<String, ParameterError> {
        let _ = (&document, events);
        todo!()
    }

    /// The payload that the parameters build; `None` where there are no parameters.
    ///
    /// # Errors
    /// The first parameter that cannot be resolved or set.
    pub fn payload(&self, events: &Events<'_>) -> Result<Option<String>, ParameterError> {
        let _ = events;
        todo!()
    }
}

//! Conditions of triggers: dependency names, `&&`, `||` and parentheses.

use tripline_config::Problem;

/// A compiled condition. Dependencies are numbered as in the list it was compiled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    expression: String,
    dependencies: Vec<usize>,
    requires_and: bool,
}

impl Condition {
    /// Compiles the text of `conditions`; empty is all `dependencies` joined by `&&`.
    /// There is no condition where there are errors: the trigger never runs. Paths of
    /// problems are relative to the field `conditions`.
    pub fn compile(text: &str, dependencies: &[&str]) -> (Option<Self>, Vec<Problem>) {
        let _ = (text, dependencies);
        todo!()
    }

    /// Whether the condition holds when those dependencies have an event for which
    /// `received` is true.
    pub fn holds(&self, received: impl Fn(usize) -> bool) -> bool {
        let _ = received;
        todo!()
    }

    /// The dependencies that the condition names, in the order of their first appearance.
    pub fn dependencies(&self) -> &[usize] {
        &self.dependencies
    }

    /// Whether events are kept until the condition holds: the expression has a `&`. If it
    /// has none, each event fires by itself.
    pub fn requires_and(&self) -> bool {
        self.requires_and
    }

    /// The expression, as Argo Events rewrites it.
    pub fn expression(&self) -> &str {
        &self.expression
    }
}

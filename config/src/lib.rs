//! Loading of YAML: documents, places, diagnostics, secret references.

pub mod problem;

pub use problem::{FieldPath, Problem, Severity, Step};

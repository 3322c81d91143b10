//! Loading of YAML: documents, places, diagnostics, secret references.
//!
//! [`load()`] finds and reads files, and gives objects whose every field knows its place.
//! [`decode()`] turns an object's value into a type, or into all that is wrong with it, by the
//! JSON Schema of the type. [`Secrets`] finds what a secret reference names.
//!
//! Promises: every mistake of every file is reported, at its line and column; bad input harms
//! nothing but the object that has it; no secret is in any text that this crate makes.
//!
//! Not here: what any kind of object means.

mod chunk;
pub mod codes;
pub mod decode;
pub mod diagnostic;
mod files;
mod identity;
pub mod limits;
pub mod load;
mod node;
pub mod object;
pub mod output;
pub mod place;
pub mod problem;
mod scalar;
pub mod schema;
pub mod secret;
mod source;
mod suggest;
mod types;
mod value;
mod yaml;

pub use codes::Code;
pub use decode::{Decoded, decode, schema_of};
pub use diagnostic::Diagnostic;
pub use files::{Input, Stamp, fingerprint};
pub use load::{Document, KnownKind, Loaded, Reader, load, load_each};
pub use object::Object;
pub use place::{Place, Spot};
pub use problem::{FieldPath, Problem, Severity, Step};
pub use schema::{Dialect, validate};
pub use secret::{ConfigMapRef, Secret, SecretError, SecretRef, Secrets};
pub use source::Sources;
pub use value::parse_value;

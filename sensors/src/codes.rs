//! The codes of the problems that sensors can have: `tripline help CODE` explains one.

/// A kind of filter, or a transform, that Tripline does not have yet.
pub const FILTER_NOT_SUPPORTED: &str = "TL0301";
/// A template in a parameter: Tripline does not have them yet.
pub const TEMPLATE_NOT_SUPPORTED: &str = "TL0302";
/// A regular expression that cannot be compiled.
pub const BAD_REGEX: &str = "TL0303";
/// A value that is not of the filter's type.
pub const BAD_VALUE: &str = "TL0304";
/// A filter's type that does not exist.
pub const UNKNOWN_TYPE: &str = "TL0305";
/// A comparator that does not exist or does not fit the type.
pub const BAD_COMPARATOR: &str = "TL0306";
/// A path that cannot be compiled or never finds anything.
pub const BAD_PATH: &str = "TL0307";
/// A field that must be given.
pub const MISSING_FIELD: &str = "TL0308";
/// A logical operator other than `and` and `or`.
pub const BAD_OPERATOR: &str = "TL0309";
/// A time filter that cannot be read.
pub const BAD_TIME: &str = "TL0310";
/// An expression that cannot be compiled, or names what is not there.
pub const BAD_EXPRESSION: &str = "TL0311";
/// A condition that cannot be compiled, or names an unknown dependency.
pub const BAD_CONDITION: &str = "TL0312";
/// A parameter of a dependency that the sensor does not have.
pub const UNKNOWN_DEPENDENCY: &str = "TL0313";
/// A place in the document that cannot be set.
pub const BAD_DEST: &str = "TL0314";
/// An operation other than `overwrite`, `append` and `prepend`.
pub const UNKNOWN_OPERATION: &str = "TL0315";
/// A filter that does not do what it seems to, or that no event can pass.
pub const FILTER_MISLEADING: &str = "TL0316";
/// A name that another has too.
pub const NOT_UNIQUE: &str = "TL0317";
/// More of something than a sensor may have.
pub const TOO_MANY: &str = "TL0318";

//! Where something stands in a file.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A line and a column, both from 1. A column counts characters, not bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Spot {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

impl Spot {
    /// The beginning of a text: where a problem of a whole file is reported.
    pub const START: Self = Self { line: 1, column: 1 };

    /// This spot in `file`.
    pub fn of(self, file: &Arc<str>) -> Place {
        Place { file: Arc::clone(file), line: self.line, column: self.column }
    }
}

/// A place in a file. Written `file:line:column`, which editors and terminals can open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The file's path as it was given, or found below the folder that was given;
    /// `<stdin>` for standard input.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

impl Place {
    /// The beginning of `file`.
    pub fn start(file: &Arc<str>) -> Self {
        Spot::START.of(file)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

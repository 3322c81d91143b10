//! The bounds of a rendering.

use std::cell::Cell;

use super::{MAX_OUTPUT_BYTES, MAX_STEPS};

/// The steps that are left.
#[derive(Debug)]
pub(super) struct Steps(Cell<u64>);

impl Default for Steps {
    fn default() -> Self {
        Self(Cell::new(MAX_STEPS))
    }
}

impl Steps {
    /// Takes `count` steps.
    pub(super) fn take(&self, count: usize) -> Result<(), String> {
        let left = self.0.get().checked_sub(count as u64);
        self.0.set(left.unwrap_or_default());
        left.map(|_| ()).ok_or_else(|| format!("the template takes more than {MAX_STEPS} steps"))
    }
}

/// A text that grows up to [`MAX_OUTPUT_BYTES`], and takes nothing more from there on.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounded {
    text: String,
    full: bool,
}

impl Bounded {
    pub(super) fn push_str(&mut self, text: &str) {
        if self.text.len() + text.len() > MAX_OUTPUT_BYTES {
            self.full = true;
        }
        if !self.full {
            self.text.push_str(text);
        }
    }

    pub(super) fn push(&mut self, c: char) {
        self.push_str(c.encode_utf8(&mut [0; 4]));
    }

    pub(super) fn repeat(&mut self, c: char, count: usize) {
        for _ in 0..count {
            if self.full {
                return;
            }
            self.push(c);
        }
    }

    /// Whether nothing more fits: whoever writes can stop.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn finish(self) -> Result<String, String> {
        if self.full {
            return Err(too_long());
        }
        Ok(self.text)
    }
}

/// The error of a text that is too long.
pub(super) fn too_long() -> String {
    format!("a text of more than {MAX_OUTPUT_BYTES} bytes is made")
}

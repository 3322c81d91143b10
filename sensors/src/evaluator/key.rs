//! The key of an action: what tells actions of one trigger apart where one waits for another.

use sha2::{Digest, Sha256};
use tripline_config::{FieldPath, Problem};
use tripline_event::Event;

use crate::codes;
use crate::path::Path;

/// The longest key that is kept as it is, in bytes. A longer one is kept as its hash.
const MAX_BYTES: usize = 253;

/// Where the key of an action is found.
#[derive(Clone, Debug)]
pub struct Key(Path);

impl Key {
    /// The key at `path`; none where it is empty.
    pub(super) fn compile(path: &str, at: &FieldPath, problems: &mut Vec<Problem>) -> Option<Self> {
        if path.is_empty() {
            return None;
        }
        match Path::compile(path) {
            Ok(path) => Some(Self(path)),
            Err(why) => {
                problems.push(Problem::error(codes::BAD_PATH, at.clone(), why.to_string()));
                None
            }
        }
    }

    /// The key that `event` has; none where it has nothing there.
    pub fn of(&self, event: &Event) -> Option<String> {
        let found = self.0.find(event.data_text()?)?;
        let text = found.text();
        if text.len() <= MAX_BYTES {
            return Some(text.into_owned());
        }
        Some(format!("h-{}", hex::encode(Sha256::digest(text.as_bytes()))))
    }
}

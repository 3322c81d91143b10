//! `payload`: what of the events makes up a message.

use serde_json::Value;
use tripline_config::{FieldPath, Problem};

use crate::codes;

/// A message has a body: what is wrong with the `payload` of a kind at `at`, if it is missing.
pub(crate) fn missing(payload: Option<&Vec<Value>>, at: &FieldPath) -> Option<Problem> {
    if payload.is_some_and(|payload| !payload.is_empty()) {
        return None;
    }
    let message = "`payload` is missing: it says what the message holds";
    let help = "the whole event: `payload: [{src: {dependencyName: NAME}, dest: event}]`";
    Some(Problem::error(codes::PAYLOAD, at.key("payload"), message).help(help))
}

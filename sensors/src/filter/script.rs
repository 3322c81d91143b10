//! `script`: a Lua program that answers true for the events that count.

use std::sync::Arc;

use tripline_config::{FieldPath, Problem};

use super::trace::Trace;
use super::{Answer, NOT_JSON};
use crate::codes;
use crate::lua::Script;
use crate::view::EventView;

/// A script filter, compiled.
#[derive(Clone, Debug)]
pub(super) struct Scripted {
    text: Box<str>,
    script: Result<Script, Arc<str>>,
}

impl Scripted {
    pub(super) fn compile(text: &str, at: &FieldPath, problems: &mut Vec<Problem>) -> Self {
        let script = Script::compile(text).map_err(|error| {
            let message = error.to_string();
            problems.push(Problem::error(codes::BAD_SCRIPT, at.clone(), &*message));
            message.into()
        });
        Self { text: text.into(), script }
    }

    pub(super) fn evaluate(&self, event: &EventView<'_>, trace: Option<&mut Trace>) -> Answer {
        let answer = self.answer(event);
        if let Some(trace) = trace {
            let found = answer.as_ref().ok().map(|pass| if *pass { "true" } else { "not true" });
            trace.push("filters.script".to_owned(), &self.text, found, "true", &answer);
        }
        answer
    }

    fn answer(&self, event: &EventView<'_>) -> Answer {
        if event.data.bytes().is_none() {
            return Ok(true);
        }
        let script = self.script.as_ref().map_err(Arc::clone)?;
        let Some(json) = event.data.json() else { return Err(NOT_JSON.into()) };
        script.test(json, event.time).map_err(Into::into)
    }
}

//! `transform` of a dependency: what its filters and parameters see in place of the
//! payload.
//!
//! A transform is worked out when the filters look at the event, and again when an action
//! is rendered; it answers the same both times, since it sees nothing but the event.

use std::sync::Arc;

use tripline_config::{FieldPath, Problem};

use crate::codes;
use crate::definition::EventDependencyTransformer;
use crate::jq::Program;
use crate::lua::Script;
use crate::view::EventView;

/// A transform, compiled. One that cannot be compiled fails with each event.
#[derive(Clone, Debug)]
pub struct Transform(Result<Language, Arc<str>>);

#[derive(Clone, Debug)]
enum Language {
    Jq(Program),
    Lua(Script),
}

impl Transform {
    /// Compiles a transform; `None` where neither `jq` nor `script` is given. Paths of
    /// problems are relative to the dependency.
    pub fn compile(
        transform: &EventDependencyTransformer,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let at = FieldPath::root().key("transform");
        let EventDependencyTransformer { jq, script } = transform;
        if !jq.is_empty() && !script.is_empty() {
            let message = "`jq` is given too, and goes before the script";
            problems.push(Problem::warning(codes::FILTER_MISLEADING, at.key("script"), message));
        }
        let (field, compiled) = if !jq.is_empty() {
            let program = Program::compile(jq).map(Language::Jq);
            ("jq", program.map_err(|error| error.to_string()))
        } else if !script.is_empty() {
            let script = Script::compile(script).map(Language::Lua);
            ("script", script.map_err(|error| error.to_string()))
        } else {
            return None;
        };
        Some(Self(compiled.map_err(|message| {
            problems.push(Problem::error(codes::BAD_SCRIPT, at.key(field), &*message));
            message.into()
        })))
    }

    /// The payload that the transform makes of an event's; `None`: the event has none, and
    /// stays as it is.
    ///
    /// # Errors
    /// Where the payload is no JSON object, the program fails, takes too many steps, or
    /// answers what it must not.
    pub fn apply(&self, event: &EventView<'_>) -> Result<Option<String>, Arc<str>> {
        let Some(bytes) = event.data.bytes() else { return Ok(None) };
        let language = self.0.as_ref().map_err(Arc::clone)?;
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|_| Arc::<str>::from("the event's data is no valid JSON"))?;
        let made = match language {
            Language::Jq(program) => program.transform(text, event.time),
            Language::Lua(script) => script.transform(text, event.time),
        };
        made.map(Some).map_err(|error| format!("transform: {error}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Payload;

    fn view(data: Option<&str>) -> EventView<'_> {
        EventView {
            id: "e-1",
            source: "s",
            specversion: "1.0",
            kind: "webhook",
            subject: "n",
            content_type: "text/plain",
            time: None,
            correlation: "",
            data: Payload::new(data.map(str::as_bytes)),
            cloud_event: None,
        }
    }

    fn apply(jq: &str, script: &str, data: Option<&str>) -> Result<Option<String>, String> {
        let transform = EventDependencyTransformer { jq: jq.to_owned(), script: script.to_owned() };
        let transform = Transform::compile(&transform, &mut Vec::new()).unwrap();
        transform.apply(&view(data)).map_err(|error| error.to_string())
    }

    #[test]
    fn jq_goes_before_the_script() {
        let data = Some(r#"{"a":1}"#);
        assert_eq!(apply("{k: .a}", "return {k=2}", data), Ok(Some(r#"{"k":1}"#.to_owned())));
        assert_eq!(apply("", "return {k=2}", data), Ok(Some(r#"{"k":2}"#.to_owned())));
        assert_eq!(apply("{k: .a}", "", None), Ok(None));
    }

    #[test]
    fn what_fails_says_so() {
        for (jq, script, data, wanted) in [
            (".a", "", r#"{"a":1}"#, "transform: the program answers no object but number (1)"),
            (".", "", "[1]", "transform: the event's data is no JSON object"),
            ("", "return 1", "{}", "transform: the script answers no table but number"),
            (".(", "", "{}", "line 1, column 2: an operator or the end is expected, not `(`"),
        ] {
            assert_eq!(apply(jq, script, Some(data)), Err(wanted.to_owned()), "{jq}{script}");
        }
    }

    #[test]
    fn mistakes_have_a_place() {
        let mut problems = Vec::new();
        let transform =
            EventDependencyTransformer { jq: "{a: }".to_owned(), script: "x".to_owned() };
        assert!(Transform::compile(&transform, &mut problems).is_some());
        let found: Vec<_> =
            problems.iter().map(|problem| (problem.path.to_string(), &*problem.code)).collect();
        let wanted = [
            ("transform.script".to_owned(), codes::FILTER_MISLEADING),
            ("transform.jq".to_owned(), codes::BAD_SCRIPT),
        ];
        assert_eq!(found, wanted);
        let none = EventDependencyTransformer::default();
        assert!(Transform::compile(&none, &mut Vec::new()).is_none());
    }
}

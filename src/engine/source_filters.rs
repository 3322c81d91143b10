//! `filter.expression` of event sources: what it leaves out is no event.
//!
//! Upstream is acknowledged all the same, and nothing is written to the logs: leaving out
//! what nobody wants is what such a filter is for. It is counted; an expression that cannot
//! be evaluated leaves the event out too, as in Argo Events, and the log says so once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tripline_config::{FieldPath, Problem};
use tripline_event::EventKey;
use tripline_eventsources::{EventDefinition, Message, codes};
use tripline_sensors::expr::SourceFilter;

use super::observer::EngineObserver;

/// The filters of all event sources, by event.
#[derive(Default)]
pub struct SourceFilters(ArcSwap<HashMap<EventKey, Filter>>);

struct Filter {
    /// What Tripline refuses when it loads is not here.
    compiled: SourceFilter,
    /// An error was logged.
    told: AtomicBool,
}

impl SourceFilters {
    /// Puts the filters of these events in the place of those before.
    pub fn replace(&self, events: &[EventDefinition]) {
        let filters = events.iter().filter_map(|event| {
            let compiled = SourceFilter::compile(event.filter.as_deref()?).ok()?;
            Some((event.key.clone(), Filter { compiled, told: AtomicBool::new(false) }))
        });
        self.0.store(Arc::new(filters.collect()));
    }

    /// Whether a message is an event.
    pub(super) fn passes(&self, message: &Message, observer: &dyn EngineObserver) -> bool {
        let filters = self.0.load();
        let Some(filter) = filters.get(&message.key) else { return true };
        let passed = match std::str::from_utf8(&message.data) {
            Ok(data) => filter.compiled.passes(data, Some(message.time)),
            Err(_) => Err("the event's data is no text".to_owned()),
        };
        if let Err(error) = &passed
            && !filter.told.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "event source {}: filter.expression cannot be evaluated, the event is left out: \
                 {error}; further ones are counted in tripline_source_filter_errors_total",
                message.key
            );
        }
        let error = passed.as_ref().err().map(String::as_str);
        let passed = matches!(passed, Ok(true));
        if !passed {
            observer.on_left_out(&message.key, error);
        }
        passed
    }
}

/// What is wrong with the filter of an event, which is configured at `at`.
pub fn check(event: &EventDefinition, at: &FieldPath) -> Option<Problem> {
    let error = SourceFilter::compile(event.filter.as_deref()?).err()?;
    let at = at.key("filter").key("expression");
    Some(Problem::error(codes::BAD_FILTER, at, error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use serde_json::json;
    use tripline_event::{ObjectName, Timestamp};

    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<Option<String>>>);

    impl EngineObserver for Told {
        fn on_left_out(&self, _: &EventKey, error: Option<&str>) {
            self.0.lock().unwrap().push(error.map(str::to_owned));
        }
    }

    fn message(name: &str, data: &str) -> Message {
        Message {
            key: EventKey::new("ci", "hooks", name),
            kind: "webhook",
            id: None,
            time: Timestamp::UNIX_EPOCH,
            data: Bytes::copy_from_slice(data.as_bytes()),
            headers: Vec::new(),
            body: None,
            correlation_path: None,
            cloud_event: None,
        }
    }

    #[test]
    fn what_does_not_pass_is_left_out_and_told() {
        let spec = json!({"webhook": {
            "build": {"endpoint": "/b", "port": "80", "method": "POST",
                "filter": {"expression": "body.ok == true"}},
            "all": {"endpoint": "/a", "port": "80", "method": "POST"},
        }});
        let (events, problems) =
            tripline_eventsources::events(&ObjectName::new("ci", "hooks"), &spec);
        assert_eq!(problems, []);
        let filters = SourceFilters::default();
        filters.replace(&events);
        let told = Told::default();
        for (name, data, passes) in [
            ("build", r#"{"body":{"ok":true}}"#, true),
            ("build", r#"{"body":{"ok":false}}"#, false),
            ("build", "{}", false),
            ("all", "{}", true),
            ("other", "nonsense", true),
        ] {
            assert_eq!(filters.passes(&message(name, data), &told), passes, "{name} {data}");
        }
        let told = told.0.into_inner().unwrap();
        assert_eq!(told, [None, Some("cannot fetch ok from nil".to_owned())]);
    }

    #[test]
    fn a_mistake_has_its_place() {
        let spec = json!({"webhook": {"build": {"endpoint": "/b", "port": "80", "method": "POST",
            "filter": {"expression": "body.ok = true"}}}});
        let (events, _) = tripline_eventsources::events(&ObjectName::new("ci", "hooks"), &spec);
        let at = FieldPath::root().key("spec").key("webhook").key("build");
        let problem = check(&events[0], &at).unwrap();
        assert_eq!(problem.path.to_string(), "spec.webhook.build.filter.expression");
        assert_eq!(problem.message, "column 9: `=` is not expected here");
    }
}

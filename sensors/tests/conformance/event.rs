//! Events, as the cases have them.

use serde_json::Value;
use tripline_sensors::view::{EventView, Payload};

use crate::report::text;

pub fn view(event: &Value) -> EventView<'_> {
    let context = &event["context"];
    EventView {
        id: text(context, "id"),
        source: text(context, "source"),
        specversion: text(context, "specversion"),
        kind: text(context, "type"),
        subject: text(context, "subject"),
        content_type: text(context, "datacontenttype"),
        time: context["time"].as_str().map(|time| time.parse().expect("a time")),
        correlation: "",
        data: Payload::new(event["data"].as_str().map(str::as_bytes)),
        cloud_event: None,
    }
}

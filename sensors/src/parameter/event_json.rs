//! An event as JSON text, as Go writes it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::path::quote;
use crate::view::EventView;

/// The context: what `contextKey` looks into. The time is in UTC and has whole seconds. Where
/// a CloudEvent was taken in, what it said, its extensions too.
pub(super) fn context(event: &EventView<'_>) -> String {
    let mut json = String::with_capacity(256);
    let time = event.context_time().map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let texts = [
        ("id", event.id),
        ("source", event.source),
        ("specversion", event.specversion),
        ("type", event.kind),
        ("datacontenttype", event.content_type),
        ("subject", event.subject),
    ];
    // Go's event sources set a subject always; a CloudEvent need not have one.
    let without = event.cloud_event.is_some_and(|said| said.subject.is_none());
    let texts = texts.into_iter().filter(|(name, _)| !(without && *name == "subject"));
    for (at, (name, text)) in texts.enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(json, "{}\"{name}\":{}", if at == 0 { '{' } else { ',' }, quote(text));
    }
    let time = time.map_or_else(|| "null".to_owned(), |time| quote(&time));
    let _ = write!(json, ",\"time\":{time}");
    for (name, text) in event.cloud_event.iter().flat_map(|said| &said.extensions) {
        let _ = write!(json, ",{}:{}", quote(name), quote(text));
    }
    json.push('}');
    json
}

/// The whole event. The data is in base64.
pub(super) fn whole(event: &EventView<'_>) -> String {
    let data = event.data.bytes().map(|data| quote(&STANDARD.encode(data)));
    let context = context(event);
    format!("{{\"context\":{context},\"data\":{}}}", data.as_deref().unwrap_or("null"))
}

//! The id that a request has from its sender, by which a repetition is recognized.

use http::HeaderMap;
use serde_json::Value;
use tripline_event::EventId;

use super::config::IdempotencyKey;

/// The id of the event: what is configured, else a delivery header that is known.
pub fn event_id(
    configured: Option<&IdempotencyKey>,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<EventId> {
    let configured = match configured {
        Some(IdempotencyKey::Header(name)) => header(headers, name.as_str()).map(str::to_owned),
        Some(IdempotencyKey::Path(steps)) => at_path(body, steps),
        None => None,
    };
    configured.or_else(|| delivery_id(headers)).map(|id| EventId::from_upstream(&id))
}

fn delivery_id(headers: &HeaderMap) -> Option<String> {
    if let Some(id) = header(headers, "x-github-delivery") {
        return Some(id.to_owned());
    }
    if let Some(id) = header(headers, "x-gitlab-event-uuid") {
        // Webhooks that an earlier webhook set off share its UUID; the key that GitLab
        // sends beside it in newer versions is one for each delivery.
        return Some(header(headers, "idempotency-key").unwrap_or(id).to_owned());
    }
    if let Some(id) = header(headers, "webhook-id") {
        return Some(id.to_owned());
    }
    let id = header(headers, "ce-id")?;
    // CloudEvents 1.0, "id": unique only together with the source.
    Some(match header(headers, "ce-source") {
        Some(source) => format!("{source}#{id}"),
        None => id.to_owned(),
    })
}

/// A header that is there, is text, and is not empty.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = std::str::from_utf8(headers.get(name)?.as_bytes()).ok()?;
    (!value.is_empty()).then_some(value)
}

fn at_path(body: &[u8], steps: &[String]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let value = steps.iter().try_fold(&body, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        value => value.get(step),
    })?;
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        value => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn id(configured: Option<IdempotencyKey>, headers: &[(&str, &str)], body: &str) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        event_id(configured.as_ref(), &map, body.as_bytes())
            .map_or("none".into(), |id| id.as_str().to_owned())
    }

    #[test]
    fn the_id_is_the_sender_s_delivery_id() {
        for (headers, expected) in [
            (vec![], "none"),
            (vec![("X-GitHub-Delivery", "g"), ("webhook-id", "w")], "g"),
            (vec![("X-GitHub-Delivery", ""), ("webhook-id", "w")], "w"),
            (vec![("X-Gitlab-Event-UUID", "l")], "l"),
            (vec![("X-Gitlab-Event-UUID", "l"), ("Idempotency-Key", "k")], "k"),
            (vec![("Idempotency-Key", "k")], "none"),
            (vec![("webhook-id", "w"), ("ce-id", "c")], "w"),
            (vec![("ce-id", "c")], "c"),
            (vec![("ce-id", "c"), ("ce-source", "/s")], "/s#c"),
            (vec![("X-Request-Id", "r")], "none"),
        ] {
            assert_eq!(id(None, &headers, "1"), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_is_configured_comes_first() {
        let github = [("X-GitHub-Delivery", "g"), ("x-build", "7")];
        let header = || Some(IdempotencyKey::Header(HeaderName::from_static("x-build")));
        assert_eq!(id(header(), &github, "1"), "7");
        assert_eq!(id(header(), &github[..1], "1"), "g");
        for (path, body, expected) in [
            ("id", r#"{"id":"a"}"#, "a"),
            ("build.id", r#"{"build":{"id":4711}}"#, "4711"),
            ("0.id", r#"[{"id":true}]"#, "true"),
            ("id", r#"{"id":null}"#, "g"),
            ("id", r#"{"id":""}"#, "g"),
            ("id", r#"{"other":1}"#, "g"),
            ("id.x", r#"{"id":"a"}"#, "g"),
        ] {
            let path = IdempotencyKey::Path(path.split('.').map(str::to_owned).collect());
            assert_eq!(id(Some(path), &github, body), expected, "{body}");
        }
    }
}

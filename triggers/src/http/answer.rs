//! What follows from an answer, or from the lack of one.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tripline_config::{FieldPath, Problem, Secret};
use tripline_event::{Cause, Timestamp};

use crate::{TriggerError, codes};

/// The most bytes of a body that stand in an error.
const EXCERPT_BYTES: usize = 200;

/// What is wrong with `policy.status`.
pub(crate) fn check_status_policy(status: &Value, at: &FieldPath) -> Vec<Problem> {
    let at = at.key("allow");
    let allow = status.get("allow").and_then(Value::as_array);
    let wrong = |status: &Value| !status.as_u64().is_some_and(|s| (100..600).contains(&s));
    let entries = allow.into_iter().flatten().enumerate().filter(|(_, status)| wrong(status));
    entries
        .map(|(index, status)| {
            let message = format!("{status} is no HTTP status");
            Problem::error(codes::STATUS, at.index(index), message)
        })
        .collect()
}

/// What a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Success,
    Retry,
    Refused,
}

/// What `status` means under the trigger's `policy`.
pub(super) fn meaning(status: StatusCode, policy: Option<&Value>) -> Meaning {
    let allow = policy.and_then(|policy| policy.get("status")?.get("allow")?.as_array());
    let success = match allow {
        Some(allow) => allow.iter().any(|allowed| allowed.as_u64() == Some(status.as_u16().into())),
        None => status.as_u16() < 400,
    };
    let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    match success {
        true => Meaning::Success,
        false if status.is_server_error() || again.contains(&status) => Meaning::Retry,
        false => Meaning::Refused,
    }
}

/// How long the server asks to wait: `Retry-After` in seconds, or as a date.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// The error of an answer that is no success.
pub(super) fn error(
    meaning: Meaning,
    status: StatusCode,
    body: &[u8],
    after: Option<Duration>,
    secrets: &[Secret],
) -> TriggerError {
    let mut reason = format!("the server answered {status}");
    let excerpt = excerpt(body, secrets);
    if !excerpt.is_empty() {
        reason = format!("{reason}: {excerpt}");
    }
    match meaning {
        Meaning::Refused => TriggerError::Refused { cause: Cause::Refused, reason },
        Meaning::Retry | Meaning::Success => TriggerError::Retry { reason, after },
    }
}

/// The beginning of a body, on one line, without the secrets that the server may repeat.
fn excerpt(body: &[u8], secrets: &[Secret]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    for secret in secrets.iter().filter_map(|secret| secret.expose_str().ok()) {
        if !secret.is_empty() {
            text = text.replace(secret, "***");
        }
    }
    let cut = text.len() > EXCERPT_BYTES;
    text.truncate(text.floor_char_boundary(EXCERPT_BYTES));
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if cut { line + "…" } else { line }
}

/// The error of a request that got no answer. The URL is left out: it may hold a token.
pub(super) fn no_answer(error: reqwest::Error, timeout: Duration) -> TriggerError {
    if error.is_timeout() {
        let reason = format!("no answer within {} s", timeout.as_secs());
        return TriggerError::Retry { reason, after: None };
    }
    let refused = error.is_builder() || error.is_redirect();
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    match refused {
        true => TriggerError::Refused { cause: Cause::Refused, reason },
        false => TriggerError::Retry { reason, after: None },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn without_a_policy_a_status_means_this() {
        for (status, expected) in [
            (200, Meaning::Success),
            (204, Meaning::Success),
            (304, Meaning::Success),
            (400, Meaning::Refused),
            (404, Meaning::Refused),
            (408, Meaning::Retry),
            (409, Meaning::Refused),
            (429, Meaning::Retry),
            (500, Meaning::Retry),
            (503, Meaning::Retry),
        ] {
            assert_eq!(meaning(StatusCode::from_u16(status).unwrap(), None), expected, "{status}");
        }
    }

    #[test]
    fn with_a_policy_only_what_it_allows_is_success() {
        let policy = json!({"status": {"allow": [201, 409, 503]}});
        for (status, expected) in [
            (200, Meaning::Refused),
            (201, Meaning::Success),
            (409, Meaning::Success),
            (503, Meaning::Success),
            (500, Meaning::Retry),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(meaning(status, Some(&policy)), expected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = "2026-11-21T03:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sat, 21 Nov 2026 03:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 02:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        }
    }

    #[test]
    fn an_excerpt_is_short_one_line_and_has_no_secrets() {
        let secrets = [Secret::new(b"s3cret"), Secret::new(b"")];
        assert_eq!(excerpt(b"bad token\r\n 's3cret' \x1b[31m", &secrets), "bad token '***' [31m");
        let long = excerpt("é".repeat(500).as_bytes(), &secrets);
        assert_eq!(long.chars().count(), 101, "{long}");
    }
}

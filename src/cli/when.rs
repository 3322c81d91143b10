//! Times and spans as people type them.

use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// A moment: `10m` (ago, or from now), or a time such as `2026-11-21T03:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So far from now.
    Away(SignedDuration),
    /// Then.
    At(Timestamp),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let wrong = || {
            format!(
                "`{text}` is no time: expected a span (10m, 2h, 3d) or a time (2026-11-21T03:00:00Z)"
            )
        };
        span(text).map(Self::Away).ok_or_else(wrong)
    }
}

impl When {
    /// The moment, where a span is one before `now`.
    pub fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Away(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
        }
    }

    /// The moment, where a span is one after `now`.
    pub fn after(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Away(span) => now.checked_add(span).unwrap_or(Timestamp::MAX),
        }
    }
}

fn span(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (!span.is_negative()).then_some(span)
}

/// Reads a span that is waited for: `500ms`, `25s`, `5m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span: expected one such as 500ms, 25s or 5m");
    span(text).and_then(|span| Duration::try_from(span).ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_span_from_now_or_a_time() {
        let now: Timestamp = "2026-11-21T03:00:00Z".parse().unwrap();
        for (text, before, after) in [
            ("10m", "2026-11-21T02:50:00Z", "2026-11-21T03:10:00Z"),
            ("1h30m", "2026-11-21T01:30:00Z", "2026-11-21T04:30:00Z"),
            ("2d", "2026-11-19T03:00:00Z", "2026-11-23T03:00:00Z"),
            ("2026-01-01T00:00:00+01:00", "2025-12-31T23:00:00Z", "2025-12-31T23:00:00Z"),
        ] {
            let when: When = text.parse().unwrap();
            assert_eq!(when.before(now).to_string(), before, "{text}");
            assert_eq!(when.after(now).to_string(), after, "{text}");
        }
        for text in ["", "10", "yesterday", "-5m", "1 month"] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_that_is_waited_for_is_not_negative() {
        assert_eq!(duration("25s"), Ok(Duration::from_secs(25)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("-1s").is_err() && duration("soon").is_err());
    }
}

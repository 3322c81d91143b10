//! Spans of time, written for people.

use jiff::{SignedDuration, Timestamp};

/// A span as short text with the two places that matter: `340µs`, `1.2ms`, `12.4s`,
/// `3m12s`, `2h05m`, `3d4h`. A negative one has a `-` before it.
pub fn span(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let nanos = duration.as_nanos().unsigned_abs();
    let seconds = nanos / 1_000_000_000;
    let text = match seconds {
        0 if nanos < 1_000 => format!("{nanos}ns"),
        0 if nanos < 1_000_000 => format!("{}µs", nanos / 1_000),
        0 => format!("{}.{}ms", nanos / 1_000_000, nanos / 100_000 % 10),
        1..60 => format!("{seconds}.{}s", nanos / 100_000_000 % 10),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3_600 % 24),
    };
    format!("{sign}{text}")
}

/// How long ago `at` was, as seen at `now`.
pub fn age(at: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_shows_the_two_places_that_matter() {
        for (nanos, expected) in [
            (0_i64, "0ns"),
            (340_000, "340µs"),
            (1_250_000, "1.2ms"),
            (-5_000_000, "-5.0ms"),
            (12_400_000_000, "12.4s"),
            (192_000_000_000, "3m12s"),
            (7_500_000_000_000, "2h05m"),
            (273_600_000_000_000, "3d4h"),
        ] {
            assert_eq!(span(SignedDuration::from_nanos(nanos)), expected);
        }
    }
}

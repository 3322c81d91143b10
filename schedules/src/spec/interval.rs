//! Intervals: multiples of a duration.

use jiff::SignedDuration;
use tripline_config::FieldPath;

use super::{Interval, SpecError};
use crate::duration::{self, Units};

/// An interval in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Multiples {
    interval_s: i64,
    phase_s: i64,
}

impl Multiples {
    /// The first multiple from `from` on.
    pub fn first(self, from: i64) -> Option<i64> {
        let passed = from.checked_sub(self.phase_s)?;
        // Rounded up: the negative of the negative rounded down.
        let periods = -(-passed).div_euclid(self.interval_s);
        periods.checked_mul(self.interval_s)?.checked_add(self.phase_s)
    }

    pub fn parse(
        interval: &Interval,
        path: &FieldPath,
        errors: &mut Vec<SpecError>,
    ) -> Option<Self> {
        let (interval_path, phase_path) = (path.key("interval"), path.key("phase"));
        let interval =
            parse_duration(&interval.interval, &interval_path, errors).zip(match &interval.phase {
                Some(phase) => parse_duration(phase, &phase_path, errors),
                None => Some(SignedDuration::ZERO),
            });
        let (interval, phase) = interval?;
        if interval < SignedDuration::from_secs(1) {
            let message = format!("the interval {} is too short", duration::format_go(interval));
            errors.push(SpecError::new(interval_path, message).help("it is at least `1s`"));
            return None;
        }
        if phase.is_negative() || phase >= interval {
            let message = format!(
                "the phase {} is not between 0 and the interval {}",
                duration::format_go(phase),
                duration::format_go(interval)
            );
            errors.push(
                SpecError::new(phase_path, message)
                    .help("it is at least `0s` and less than the interval"),
            );
            return None;
        }
        Some(Self { interval_s: interval.as_secs(), phase_s: phase.as_secs() })
    }
}

/// Reads a duration that may have days. Seconds beyond the longest duration of Go, which
/// Temporal's JSON may hold, become that one, as they do there.
pub(super) fn parse_duration(
    text: &str,
    path: &FieldPath,
    errors: &mut Vec<SpecError>,
) -> Option<SignedDuration> {
    match duration::parse(text, Units::GoAndDays) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            let longest = longest(text);
            if longest.is_none() {
                errors.push(SpecError::new(path.clone(), error.to_string()));
            }
            longest
        }
    }
}

/// The most seconds that Temporal's JSON may hold.
const JSON_MAX_S: f64 = 315_576_000_000.0;

/// The longest duration of Go, if `text` is a number of seconds.
fn longest(text: &str) -> Option<SignedDuration> {
    let number = text.strip_suffix('s')?;
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let plain = unsigned.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    let seconds: f64 = unsigned.parse().ok().filter(|_| plain)?;
    let longest = if number == unsigned { i64::MAX } else { i64::MIN };
    (seconds > 1.0 && seconds <= JSON_MAX_S).then(|| SignedDuration::from_nanos(longest))
}

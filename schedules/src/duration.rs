//! Durations as Go's `time.ParseDuration` and `Duration.String` write them: `1h30m`, `-1.5s`.

use std::fmt::Write as _;

use jiff::SignedDuration;

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text has no number where one is expected, or one that no duration can hold.
    #[error("`{0}` is not a duration; durations are written like `90s`, `1h30m` or `250ms`")]
    Invalid(String),
    /// A number stands without its unit.
    #[error("`{0}` has a number without a unit; the units are {units}", units = units(*.1))]
    MissingUnit(String, Units),
    /// The unit is none of those known.
    #[error("`{text}` has the unknown unit `{unit}`; the units are {units}", units = units(*.known))]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The unit in it.
        unit: String,
        /// What would have been allowed.
        known: Units,
    },
}

/// The units that a duration may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Those of Go, the longest of which is `h`.
    Go,
    /// Those of Go, and `d` for 24 hours.
    GoAndDays,
}

fn units(units: Units) -> &'static str {
    match units {
        Units::Go => "`ns`, `us`, `ms`, `s`, `m` and `h`",
        Units::GoAndDays => "`ns`, `us`, `ms`, `s`, `m`, `h` and `d`",
    }
}

/// Nanoseconds in the longest duration of Go, plus one: 2^63.
const LIMIT: u64 = 1 << 63;

/// Reads a duration with the grammar, the limits and the rounding of Go's
/// `time.ParseDuration`: an optional sign, then numbers with units. `0` needs no unit.
///
/// # Errors
/// If the text is not such a duration, or longer than 2^63 - 1 ns.
pub fn parse_go(text: &str) -> Result<SignedDuration, DurationError> {
    parse(text, Units::Go)
}

/// Reads a duration as [`parse_go`] does, with the given units.
///
/// # Errors
/// If the text is not such a duration, or longer than 2^63 - 1 ns.
pub fn parse(text: &str, units: Units) -> Result<SignedDuration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number = Number::take(&mut rest).ok_or_else(invalid)?;
        let unit_len = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, after) = rest.split_at(unit_len);
        rest = after;
        if unit.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned(), units));
        }
        let unit_ns = unit_ns(unit, units).ok_or_else(|| DurationError::UnknownUnit {
            text: text.to_owned(),
            unit: unit.to_owned(),
            known: units,
        })?;
        let ns = number.times(unit_ns).ok_or_else(invalid)?;
        total = total.checked_add(ns).filter(|&sum| sum <= LIMIT).ok_or_else(invalid)?;
    }
    let ns = if negative { 0_i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() };
    ns.map(SignedDuration::from_nanos).ok_or_else(invalid)
}

/// Writes a duration as Go's `Duration.String` does: `1h30m0s`, `1.5s`, `250ms`, `0s`.
pub fn format_go(duration: SignedDuration) -> String {
    let ns = duration.as_nanos().unsigned_abs();
    let mut text = String::new();
    if duration.is_negative() {
        text.push('-');
    }
    let (unit, unit_ns) = match ns {
        0 => return "0s".to_owned(),
        1..1_000 => ("ns", 1),
        1_000..1_000_000 => ("µs", 1_000),
        1_000_000..1_000_000_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    let (mut whole, fraction) = (ns / unit_ns, ns % unit_ns);
    if unit == "s" && whole >= 60 {
        let minutes = whole / 60;
        if minutes >= 60 {
            // Writing to a string does not fail.
            let _ = write!(text, "{}h", minutes / 60);
        }
        let _ = write!(text, "{}m", minutes % 60);
        whole %= 60;
    }
    let _ = write!(text, "{whole}");
    if fraction != 0 {
        let digits = unit_ns.ilog10() as usize;
        let fraction = format!("{fraction:0digits$}");
        let _ = write!(text, ".{}", fraction.trim_end_matches('0'));
    }
    text.push_str(unit);
    text
}

fn unit_ns(unit: &str, units: Units) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter, as Go has it.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" if units == Units::GoAndDays => 86_400_000_000_000,
        _ => return None,
    })
}

/// A decimal number: `whole + fraction / scale`.
struct Number {
    whole: u64,
    fraction: u64,
    scale: f64,
}

impl Number {
    /// Takes a number off the front; `None` if there is no digit, or too many.
    fn take(rest: &mut &str) -> Option<Self> {
        let whole_digits = take_digits(rest);
        let fraction_digits = match rest.strip_prefix('.') {
            Some(after) => {
                *rest = after;
                take_digits(rest)
            }
            None => "",
        };
        if whole_digits.is_empty() && fraction_digits.is_empty() {
            return None;
        }
        let mut number = Self { whole: 0, fraction: 0, scale: 1.0 };
        for digit in whole_digits.bytes().map(|digit| u64::from(digit - b'0')) {
            number.whole = number.whole.checked_mul(10)?.checked_add(digit)?;
        }
        for digit in fraction_digits.bytes().map(|digit| u64::from(digit - b'0')) {
            // Digits that are too small to count are dropped.
            if number.fraction > (LIMIT - 1) / 10 {
                break;
            }
            number.fraction = number.fraction * 10 + digit;
            number.scale *= 10.0;
        }
        (number.whole <= LIMIT).then_some(number)
    }

    /// The number of nanoseconds in so many units; `None` if no duration holds it.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "Go rounds the fraction through a float64 and cuts it off; so do we"
    )]
    fn times(&self, unit_ns: u64) -> Option<u64> {
        let whole = self.whole.checked_mul(unit_ns)?;
        let fraction = (self.fraction as f64 * (unit_ns as f64 / self.scale)) as u64;
        whole.checked_add(fraction).filter(|&ns| ns <= LIMIT)
    }
}

fn take_digits<'t>(rest: &mut &'t str) -> &'t str {
    let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(len);
    *rest = after;
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str) -> Option<i128> {
        parse_go(text).ok().map(|duration| duration.as_nanos())
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let s = 1_000_000_000;
        assert_eq!(ns("0"), Some(0));
        assert_eq!(ns("-0"), Some(0));
        assert_eq!(ns("5s"), Some(5 * s));
        assert_eq!(ns("+5s"), Some(5 * s));
        assert_eq!(ns("-5s"), Some(-5 * s));
        assert_eq!(ns("1h30m10s"), Some(5_410 * s));
        assert_eq!(ns("1.5h"), Some(5_400 * s));
        assert_eq!(ns(".5s"), Some(s / 2));
        assert_eq!(ns("5.s"), Some(5 * s));
        assert_eq!(ns("1m1m"), Some(120 * s));
        assert_eq!(ns("10us10µs10μs"), Some(30_000));
        assert_eq!(ns("0.3333333333333333333h"), Some(1_200 * s));
        assert_eq!(ns("9223372036854775807ns"), Some(i128::from(i64::MAX)));
        assert_eq!(ns("-9223372036854775808ns"), Some(i128::from(i64::MIN)));
        for bad in [
            "",
            "-",
            "3",
            "s",
            ".s",
            "1.s.",
            "1d",
            "1 s",
            " 1s",
            "1s ",
            "1H",
            "--1s",
            "3000000h",
            "9223372036854775808ns",
            "99999999999999999999ns",
            "1e3s",
            "1h-5m",
        ] {
            assert!(parse_go(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn days_are_a_unit_only_where_they_are_asked_for() {
        let day = parse("0.5d", Units::GoAndDays).unwrap();
        assert_eq!(day, SignedDuration::from_hours(12));
        let refused = parse_go("1d").unwrap_err().to_string();
        assert!(refused.contains("unknown unit `d`") && refused.contains("`h`"), "{refused}");
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for text in [
            "0s",
            "1ns",
            "1.1µs",
            "2.2ms",
            "3.3s",
            "4m5s",
            "4m5.001s",
            "5h6m7.001s",
            "8m0.000000001s",
            "1h0m0s",
            "-1.5s",
            "2562047h47m16.854775807s",
        ] {
            assert_eq!(format_go(parse_go(text).unwrap()), text);
        }
    }
}

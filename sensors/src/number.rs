//! Numbers as Go reads and writes them: `strconv.ParseFloat` and `FormatFloat(x, 'f')`.

use std::borrow::Cow;

/// Reads what Go's `strconv.ParseFloat` accepts: decimal and hexadecimal floats, `inf`,
/// `infinity` and `nan` in any case, underscores between digits. A number that is too
/// large is an infinity with `Err`, as in Go, whose callers mostly ignore the error.
///
/// # Errors
/// What stands in for the number: 0 for a syntax error, an infinity out of range.
pub(crate) fn parse_float(text: &str) -> Result<f64, f64> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let sign = if negative { -1.0 } else { 1.0 };
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        return Ok(sign * f64::INFINITY);
    }
    // No sign may stand before `nan`.
    if text.eq_ignore_ascii_case("nan") {
        return Ok(f64::NAN);
    }
    let hexadecimal = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    let magnitude = hexadecimal.map_or_else(|| parse_decimal(unsigned), parse_hexadecimal);
    match magnitude {
        Some(value) if value.is_infinite() => Err(sign * value),
        Some(value) => Ok(sign * value),
        None => Err(0.0),
    }
}

/// The same without the error.
pub(crate) fn parse_float_or_zero(text: &str) -> f64 {
    parse_float(text).unwrap_or_else(|instead| instead)
}

fn parse_decimal(text: &str) -> Option<f64> {
    let text = without_underscores(text, false, u8::is_ascii_digit)?;
    let bytes = text.as_bytes();
    // Rust reads words as numbers that Go does not, and the other way round.
    if !bytes.iter().all(|c| c.is_ascii_digit() || b".eE+-".contains(c)) {
        return None;
    }
    text.bytes().next().filter(|c| c.is_ascii_digit() || *c == b'.')?;
    text.parse().ok()
}

/// `1.8p3` after `0x`: the exponent is required.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let text = without_underscores(text, true, u8::is_ascii_hexdigit)?;
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    // An exponent beyond what fits is as good as the largest.
    let mut exponent: i64 = digits.parse().unwrap_or(1 << 40).min(1 << 40);
    if text.split_once(['p', 'P'])?.1.starts_with('-') {
        exponent = -exponent;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: u128 = 0;
    let mut dropped = false;
    for (at, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u128::from(digit.to_digit(16)?);
        if value >> 100 == 0 {
            value = value << 4 | digit;
            exponent -= if at >= whole.len() { 4 } else { 0 };
        } else {
            dropped |= digit != 0;
            exponent += if at >= whole.len() { 0 } else { 4 };
        }
    }
    Some(scale(value | u128::from(dropped), exponent))
}

/// `value * 2^exponent`, rounded once where the result is a normal number.
fn scale(value: u128, exponent: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "the conversion rounds to nearest even")]
    let mut result = value as f64;
    let mut exponent = exponent.clamp(-4000, 4000);
    while exponent != 0 && result != 0.0 && result.is_finite() {
        let step = exponent.clamp(-1000, 1000);
        #[expect(clippy::cast_possible_truncation, reason = "the step is small")]
        let factor = 2f64.powi(step as i32);
        result *= factor;
        exponent -= step;
    }
    result
}

/// The text without underscores; `None` where one does not stand between digits. A
/// prefix in front of the text may count as one.
fn without_underscores(
    text: &str,
    prefix: bool,
    is_digit: fn(&u8) -> bool,
) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, c)| **c == b'_') {
        let before = if at == 0 { prefix } else { is_digit(&bytes[at - 1]) };
        if !before || !bytes.get(at + 1).is_some_and(is_digit) {
            return None;
        }
    }
    Some(Cow::Owned(text.replace('_', "")))
}

/// The shortest decimal that reads back as `value`, without an exponent.
pub(crate) fn format_float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

/// The shortest text that reads back as `value`, as Go's `%v` writes it: with an exponent
/// below 1e-4 and from 1e6 on.
pub(crate) fn display_float(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 || (1e-4..1e6).contains(&size) {
        return format_float(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_read_as_go_reads_them() {
        for (text, value) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("+2", 2.0),
            ("0x1p2", 4.0),
            ("1_000", 1000.0),
            ("0x1.8p1", 3.0),
            ("-0X_1_0p-4", -1.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_float(text), Ok(value), "{text}");
        }
        assert!(parse_float("NaN").is_ok_and(f64::is_nan));
        for text in
            ["", "x", " 1", "1 ", "0x3", "1e", "--1", ".", "é", "0xé", "+nan", "1__0", "_1", "1f"]
        {
            assert_eq!(parse_float(text), Err(0.0), "{text}");
        }
        assert_eq!(parse_float("1e400"), Err(f64::INFINITY));
    }

    #[test]
    fn floats_are_displayed_as_go_displays_them() {
        for (value, text) in [
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (-0.0, "-0"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(display_float(value), text);
        }
    }

    #[test]
    fn floats_are_written_without_exponent() {
        assert_eq!(format_float(1e21), "1000000000000000000000");
        assert_eq!(format_float(1.50), "1.5");
        assert_eq!(format_float(-0.0), "-0");
        assert_eq!(format_float(f64::NEG_INFINITY), "-Inf");
    }
}

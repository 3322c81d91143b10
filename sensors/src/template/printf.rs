//! `printf` with Go's verbs.

use super::bounds::Bounded;
use super::value::Value;
use super::{MAX_DEPTH, print};
use crate::number::display_float;

/// The largest width or precision, as in Go.
const MAX_WIDTH: usize = 1_000_000;

/// The flags, the width and the precision of a verb.
#[derive(Clone, Copy, Debug, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%#v`: as Go source.
    source: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `fmt.Sprintf`.
pub(super) fn sprintf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut printer = Printer {
        rest: format,
        out: Bounded::default(),
        values,
        next: 0,
        reordered: false,
        good: true,
    };
    while let Some(at) = printer.rest.find('%') {
        printer.out.push_str(&printer.rest[..at]);
        printer.rest = &printer.rest[at + 1..];
        printer.verb()?;
    }
    printer.out.push_str(printer.rest);
    if !printer.reordered && printer.next < values.len() {
        printer.extra()?;
    }
    printer.out.finish()
}

struct Printer<'p> {
    rest: &'p str,
    out: Bounded,
    values: &'p [Value],
    next: usize,
    /// An index was given: arguments that are left over are fine.
    reordered: bool,
    /// The index was that of an argument.
    good: bool,
}

impl Printer<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    fn verb(&mut self) -> Result<(), String> {
        let mut spec = Spec::default();
        self.good = true;
        loop {
            match self.peek() {
                Some(b'#') => spec.sharp = true,
                Some(b'0') => spec.zero = true,
                Some(b'+') => spec.plus = true,
                Some(b'-') => spec.minus = true,
                Some(b' ') => spec.space = true,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        let mut indexed = self.index();
        if self.peek() == Some(b'*') {
            self.rest = &self.rest[1..];
            match self.star() {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            indexed = false;
        } else {
            spec.width = self.digits();
            self.good &= !(indexed && spec.width.is_some());
        }
        if self.peek() == Some(b'.') {
            self.rest = &self.rest[1..];
            self.good &= !indexed;
            indexed = self.index();
            if self.peek() == Some(b'*') {
                self.rest = &self.rest[1..];
                match self.star() {
                    Some(precision) => spec.precision = usize::try_from(precision).ok(),
                    None => self.out.push_str("%!(BADPREC)"),
                }
                indexed = false;
            } else {
                spec.precision = Some(self.digits().unwrap_or(0));
            }
        }
        if !indexed {
            self.index();
        }
        let Some(verb) = self.rest.chars().next() else {
            self.out.push_str("%!(NOVERB)");
            return Ok(());
        };
        self.rest = &self.rest[verb.len_utf8()..];
        if verb == 'v' {
            // There `+` asks for the names of fields, which no value has.
            spec.plus = false;
            spec.source = std::mem::take(&mut spec.sharp);
        }
        if verb == '%' {
            self.out.push('%');
        } else if !self.good {
            self.out.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            value_as(&mut self.out, value, verb, spec, 0)?;
        } else {
            self.out.push_str(&format!("%!{verb}(MISSING)"));
        }
        Ok(())
    }

    fn digits(&mut self) -> Option<usize> {
        let count = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = self.rest[..count].parse().ok().filter(|number| *number <= MAX_WIDTH);
        self.rest = &self.rest[count..];
        number
    }

    /// `[2]`: the next argument is the second.
    fn index(&mut self) -> bool {
        let Some(inside) = self.rest.strip_prefix('[') else { return false };
        self.reordered = true;
        let Some(end) = inside.find(']') else {
            self.good = false;
            self.rest = inside;
            return false;
        };
        self.rest = &inside[end + 1..];
        let index = inside[..end].parse::<usize>().ok().and_then(|index| index.checked_sub(1));
        match index.filter(|index| *index < self.values.len()) {
            Some(index) => self.next = index,
            None => self.good = false,
        }
        true
    }

    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next);
        self.next += usize::from(value.is_some());
        match value? {
            Value::Int(value) | Value::Int64(value) => {
                Some(*value).filter(|value| value.unsigned_abs() <= MAX_WIDTH as u64)
            }
            _ => None,
        }
    }

    fn extra(&mut self) -> Result<(), String> {
        self.out.push_str("%!(EXTRA ");
        for (index, value) in self.values[self.next..].iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.out.push_str(value.type_name());
            if !value.is_nil() {
                self.out.push('=');
                print::plain(&mut self.out, value)?;
            }
        }
        self.out.push(')');
        Ok(())
    }
}

fn value_as(
    out: &mut Bounded,
    value: &Value,
    verb: char,
    spec: Spec,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(print::too_deep());
    }
    if out.is_full() {
        return Ok(());
    }
    if verb == 'T' && depth == 0 {
        pad(out, value.type_name(), spec);
        return Ok(());
    }
    if verb == 'v' && spec.source {
        return print::source(out, value, depth);
    }
    match value {
        Value::Missing | Value::Nil if depth > 0 => out.push_str("<nil>"),
        Value::Missing | Value::Nil if verb == 'v' => pad(out, "<nil>", spec),
        Value::Missing | Value::Nil => out.push_str(&format!("%!{verb}(<nil>)")),
        // That is for errors, which are no values here.
        value if verb == 'w' => return bad(out, value, verb, spec),
        Value::Bool(flag) if matches!(verb, 't' | 'v') => pad(out, &flag.to_string(), spec),
        Value::Int(number) | Value::Int64(number) => {
            return integer(out, value, i128::from(*number), verb, spec);
        }
        Value::Uint64(number) => return integer(out, value, i128::from(*number), verb, spec),
        Value::Byte(number) => return integer(out, value, i128::from(*number), verb, spec),
        Value::Float(number) => return float_verb(out, value, *number, verb, spec),
        Value::Text(text) => return text_verb(out, value, text, verb, spec),
        Value::Time(_) | Value::Version(_) if matches!(verb, 'v' | 's' | 'q' | 'x' | 'X') => {
            let text = print::scalar(value);
            return text_verb(out, value, &text, verb, spec);
        }
        Value::List(list) => {
            out.push('[');
            for (index, value) in list.values().iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                value_as(out, value, verb, spec, depth + 1)?;
            }
            out.push(']');
        }
        Value::Dict(dict) => {
            out.push_str("map[");
            for (index, (key, value)) in dict.entries().iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                text_verb(out, &Value::Text(key.clone()), key, verb, spec)?;
                out.push(':');
                value_as(out, value, verb, spec, depth + 1)?;
            }
            out.push(']');
        }
        other => return bad(out, other, verb, spec),
    }
    Ok(())
}

/// `%!d(string=x)`; flags, width and precision hold for the value.
fn bad(out: &mut Bounded, value: &Value, verb: char, spec: Spec) -> Result<(), String> {
    out.push_str(&format!("%!{verb}({}=", value.type_name()));
    value_as(out, value, 'v', spec, 0)?;
    out.push(')');
    Ok(())
}

/// Fills up to the width, counted in characters.
fn pad(out: &mut Bounded, text: &str, spec: Spec) {
    let fill = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    if spec.minus {
        out.push_str(text);
        out.repeat(' ', fill);
    } else {
        out.repeat(if spec.zero { '0' } else { ' ' }, fill);
        out.push_str(text);
    }
}

fn integer(
    out: &mut Bounded,
    value: &Value,
    number: i128,
    verb: char,
    spec: Spec,
) -> Result<(), String> {
    let size = number.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' | 'd' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), if spec.sharp { "0b" } else { "" }),
        'o' => {
            let digits = format!("{size:o}");
            let prefix = if spec.sharp && !digits.starts_with('0') { "0" } else { "" };
            (digits, prefix)
        }
        'O' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), if spec.sharp { "0x" } else { "" }),
        'X' => (format!("{size:X}"), if spec.sharp { "0X" } else { "" }),
        'c' | 'q' | 'U' => {
            let code = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            let text = match verb {
                'c' => code.to_string(),
                'q' => format!("'{}'", escape(code, '\'', spec.plus)),
                _ if spec.sharp => format!("U+{size:04X} '{code}'"),
                _ => format!("U+{size:04X}"),
            };
            pad(out, &text, Spec { zero: false, ..spec });
            return Ok(());
        }
        _ => return bad(out, value, verb, spec),
    };
    let sign = if number < 0 {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    };
    let mut least = spec.precision.unwrap_or(0);
    if spec.precision == Some(0) && number == 0 {
        pad(out, "", Spec { zero: false, ..spec });
        return Ok(());
    }
    if spec.zero && !spec.minus && spec.precision.is_none() {
        least = spec.width.unwrap_or(0).saturating_sub(sign.len());
    }
    let zeros = least.saturating_sub(digits.len());
    let width = sign.len() + prefix.len() + zeros + digits.len();
    let fill = spec.width.unwrap_or(0).saturating_sub(width);
    out.repeat(' ', if spec.minus { 0 } else { fill });
    out.push_str(sign);
    out.push_str(prefix);
    out.repeat('0', zeros);
    out.push_str(&digits);
    out.repeat(' ', if spec.minus { fill } else { 0 });
    Ok(())
}

fn float_verb(
    out: &mut Bounded,
    value: &Value,
    number: f64,
    verb: char,
    spec: Spec,
) -> Result<(), String> {
    let text = match verb {
        'v' => float(number, 'g', spec.precision),
        'g' | 'G' => float(number, verb, spec.precision),
        'e' | 'E' | 'f' | 'F' => float(number, verb, Some(spec.precision.unwrap_or(6))),
        'x' | 'X' if spec.precision.is_none() => hexadecimal(number, verb),
        'b' => binary(number),
        _ => return bad(out, value, verb, spec),
    };
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("-", digits)) => ("-", digits),
        Some(("+", digits)) => ("+", digits),
        _ => ("+", text.as_str()),
    };
    let sign = if spec.space && !spec.plus && sign == "+" { " " } else { sign };
    if !number.is_finite() {
        let sign = if number.is_nan() && !spec.space && !spec.plus { "" } else { sign };
        pad(out, &format!("{sign}{digits}"), Spec { zero: false, ..spec });
        return Ok(());
    }
    let digits = if spec.sharp && verb != 'b' { &with_point(digits, verb, spec) } else { digits };
    let sign = if sign == "+" && !spec.plus { "" } else { sign };
    if spec.zero && !spec.minus {
        let fill = spec.width.unwrap_or(0).saturating_sub(sign.len() + digits.len());
        out.push_str(sign);
        out.repeat('0', fill);
        out.push_str(digits);
    } else {
        pad(out, &format!("{sign}{digits}"), spec);
    }
    Ok(())
}

/// What `#` asks for: a point, and with some verbs zeros up to the precision.
fn with_point(text: &str, verb: char, spec: Spec) -> String {
    let is_hex = matches!(verb, 'x' | 'X');
    let is_tail = |c: char| matches!(c, 'p' | 'P') || !is_hex && matches!(c, 'e' | 'E');
    let (digits, tail) = text.split_at(text.find(is_tail).unwrap_or(text.len()));
    let count = digits.trim_start_matches(['0', '.']).chars().filter(|c| *c != '.').count();
    // The first digit that is not zero, and all behind it; of a zero, itself.
    let count = if digits == "0" { 1 } else { count };
    let wanted = match verb {
        'v' | 'g' | 'G' | 'x' => spec.precision.unwrap_or(6),
        _ => 0,
    };
    let point = if digits.contains('.') { "" } else { "." };
    format!("{digits}{point}{}{tail}", "0".repeat(wanted.saturating_sub(count)))
}

/// `%b` of a float: `4503599627370496p-52`.
fn binary(value: f64) -> String {
    if !value.is_finite() {
        return float(value, 'g', None);
    }
    let bits = value.abs().to_bits();
    let (exponent, fraction) = (i64::try_from(bits >> 52).unwrap_or(0), bits & ((1 << 52) - 1));
    let (mantissa, exponent) = match exponent {
        0 => (fraction, -1074),
        exponent => (fraction | 1 << 52, exponent - 1075),
    };
    let sign = if value.is_sign_negative() { "-" } else { "" };
    format!("{sign}{mantissa}p{exponent:+}")
}

/// A float as Go's `strconv.FormatFloat` writes it, with the verbs `e`, `f`, `g` and
/// their capitals. Without a precision: the shortest text that reads back the same.
pub(super) fn float(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = match verb.to_ascii_lowercase() {
        'f' => match precision {
            Some(precision) => format!("{value:.precision$}"),
            None => value.to_string(),
        },
        'e' => exponential(value, precision),
        _ => match precision {
            Some(precision) => general(value, precision),
            None => display_float(value),
        },
    };
    if verb.is_ascii_uppercase() { text.to_uppercase() } else { text }
}

fn exponential(value: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{value:.precision$e}"),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%g` with a precision: with an exponent where it is below -4, or not below the number
/// of digits that are asked for.
fn general(value: f64, precision: usize) -> String {
    let asked = precision.max(1);
    let text = format!("{value:.*e}", asked - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let digits = mantissa.trim_start_matches('-').replace('.', "");
    let count = digits.trim_end_matches('0').len().max(1);
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let limit = if asked > count && signed(count) > exponent { count } else { asked };
    if exponent < -4 || exponent >= signed(limit) {
        return exponential(value, Some(count - 1));
    }
    let decimals = usize::try_from(signed(count) - 1 - exponent).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// `%x` of a float: `0x1.8p+01`.
fn hexadecimal(value: f64, verb: char) -> String {
    let text = if !value.is_finite() {
        return float(value, 'g', None);
    } else if value == 0.0 {
        "0x0p+00".to_owned()
    } else {
        let bits = value.abs().to_bits();
        let mut exponent = i64::try_from(bits >> 52).unwrap_or(0) - 1023;
        let mut fraction = bits & ((1 << 52) - 1);
        if exponent == -1023 {
            // Not normalized: shift the first digit in front of the point.
            let shift = fraction.leading_zeros() - 11;
            fraction = (fraction << shift) & ((1 << 52) - 1);
            exponent = -1022 - i64::from(shift);
        }
        let digits = format!("{fraction:013x}");
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("0x1{point}{digits}p{sign}{:02}", exponent.abs())
    };
    let text = if value.is_sign_negative() { format!("-{text}") } else { text };
    if verb == 'X' { text.to_uppercase() } else { text }
}

fn text_verb(
    out: &mut Bounded,
    value: &Value,
    text: &str,
    verb: char,
    spec: Spec,
) -> Result<(), String> {
    let cut = match spec.precision {
        Some(most) => text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end]),
        None => text,
    };
    match verb {
        'v' | 's' => pad(out, cut, spec),
        'q' if spec.sharp && !cut.contains(['`', '\u{feff}']) && is_raw(cut) => {
            pad(out, &format!("`{cut}`"), spec);
        }
        'q' => pad(out, &quote(cut, spec.plus), spec),
        'x' | 'X' => {
            let bytes = text.as_bytes();
            let bytes = &bytes[..spec.precision.unwrap_or(bytes.len()).min(bytes.len())];
            let mut hex = String::with_capacity(bytes.len() * 2);
            for (index, byte) in bytes.iter().enumerate() {
                if spec.space && index > 0 {
                    hex.push(' ');
                }
                if spec.sharp && (spec.space || index == 0) {
                    hex.push_str("0x");
                }
                hex.push_str(&format!("{byte:02x}"));
            }
            pad(out, &if verb == 'X' { hex.to_uppercase() } else { hex }, spec);
        }
        _ => return bad(out, value, verb, spec),
    }
    Ok(())
}

fn is_raw(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || !c.is_control())
}

/// A text in double quotes, as `%q` writes it.
pub(super) fn quote(text: &str, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        out.push_str(&escape(c, '"', ascii));
    }
    out.push('"');
    out
}

fn escape(c: char, quote: char, ascii: bool) -> String {
    match c {
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\\' => "\\\\".to_owned(),
        c if c == quote => format!("\\{c}"),
        c if c < ' ' || c == '\u{7f}' => format!("\\x{:02x}", u32::from(c)),
        c if (c.is_ascii() || !ascii) && is_printable(c) => c.to_string(),
        c if u32::from(c) < 0x1_0000 => format!("\\u{:04x}", u32::from(c)),
        c => format!("\\U{:08x}", u32::from(c)),
    }
}

/// Letters, marks, numbers, punctuation, symbols and the plain space.
pub(super) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // What Rust's `Debug` escapes is what is not printable, and marks that combine.
    let escaped = c.escape_debug();
    !c.is_whitespace() && (escaped.len() == 1 || !c.is_control() && is_mark(c))
}

fn is_mark(c: char) -> bool {
    // They are only escaped where they would join the quote before them.
    format!("a{c}").escape_debug().count() == 2
}

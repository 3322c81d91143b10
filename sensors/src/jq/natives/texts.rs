//! Texts, formats and regular expressions.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};

use super::{Made, Native, cannot, cannot_with, dict_of, items, native, text, values};
use crate::go_regex::{self, Captures};
use crate::jq::Raise;
use crate::jq::machine::Machine;
use crate::jq::value::{FromText, Value};

/// The most regular expressions that a run keeps.
const MAX_REGEXES: usize = 32;

pub(super) const FUNCTIONS: &[Native] = &[
    native("utf8bytelength", 0, |_, input, _| {
        Ok(Value::count(text("utf8bytelength", input)?.len()))
    }),
    native("tonumber", 0, |_, input, _| match input {
        Value::Text(text) if is_number(text) => {
            Ok(Value::number(text.strip_prefix('+').unwrap_or(text)))
        }
        Value::Text(_) => {
            let found = input.preview();
            let message = format!("tonumber cannot be applied to {found}: invalid number");
            Err(Raise::message(message))
        }
        other if other.float().is_some() => Ok(other.clone()),
        other => Err(cannot("tonumber", other)),
    }),
    native("tostring", 0, |machine, input, _| print(machine, input)),
    native("tojson", 0, |machine, input, _| {
        charge_all(machine, input)?;
        Ok(Value::text(input.json()))
    }),
    native("fromjson", 0, |machine, input, _| {
        let json = text("fromjson", input)?;
        machine.charge(json.len())?;
        let read = crate::json::parse::<FromText>(json).map_err(|reason| {
            let found = input.preview();
            Raise::message(format!("fromjson cannot be applied to {found}: {reason}"))
        })?;
        Ok(read.0)
    }),
    native("startswith", 1, |_, input, of| {
        let (text, part) = two("startswith", input, &of[0])?;
        Ok(Value::Bool(text.starts_with(part)))
    }),
    native("endswith", 1, |_, input, of| {
        let (text, part) = two("endswith", input, &of[0])?;
        Ok(Value::Bool(text.ends_with(part)))
    }),
    native("ltrimstr", 1, |_, input, of| {
        let (text, part) = two("ltrimstr", input, &of[0])?;
        Ok(Value::text(text.strip_prefix(part).unwrap_or(text)))
    }),
    native("rtrimstr", 1, |_, input, of| {
        let (text, part) = two("rtrimstr", input, &of[0])?;
        Ok(Value::text(text.strip_suffix(part).unwrap_or(text)))
    }),
    native("ltrim", 0, |_, input, _| Ok(Value::text(text("ltrim", input)?.trim_start()))),
    native("rtrim", 0, |_, input, _| Ok(Value::text(text("rtrim", input)?.trim_end()))),
    native("trim", 0, |_, input, _| Ok(Value::text(text("trim", input)?.trim()))),
    native("explode", 0, |_, input, _| {
        let chars = text("explode", input)?.chars();
        Ok(Value::flat(chars.map(|c| Value::Int(u32::from(c).into())).collect()))
    }),
    native("implode", 0, |_, input, _| {
        let mut made = String::new();
        for code in &items("implode", input)?.items {
            let code = code.int().ok_or_else(|| cannot("implode", input))?;
            let code = u32::try_from(code).ok().and_then(char::from_u32);
            made.push(code.unwrap_or('\u{fffd}'));
        }
        Ok(Value::text(made))
    }),
    native("split", 1, |machine, input, of| {
        let whole = text("split", input)?;
        let Value::Text(separator) = &of[0] else { return Err(cannot("split", &Value::text(""))) };
        machine.charge(whole.len())?;
        Ok(Value::flat(split(whole, separator)))
    }),
    native("split", 2, |machine, input, of| split_by_regex(machine, input, &of[0], &of[1])),
    native("ascii_downcase", 0, |_, input, _| {
        Ok(Value::text(text("ascii_downcase", input)?.to_ascii_lowercase()))
    }),
    native("ascii_upcase", 0, |_, input, _| {
        Ok(Value::text(text("ascii_upcase", input)?.to_ascii_uppercase()))
    }),
    native("join", 1, |machine, input, of| join(machine, input, &of[0])),
    native("format", 1, |machine, input, of| {
        let Value::Text(name) = &of[0] else { return Err(cannot("format", &of[0])) };
        match super::format(name) {
            Some(native) => (native.run)(machine, input, &[]),
            None => Err(Raise::message(format!("format not defined: @{name}"))),
        }
    }),
    native("_tohtml", 0, |machine, input, _| {
        let text = printed(machine, input)?;
        let mut out = String::new();
        for c in text.chars() {
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                '\'' => out.push_str("&apos;"),
                '"' => out.push_str("&quot;"),
                c => out.push(c),
            }
        }
        Ok(Value::text(out))
    }),
    native("_touri", 0, |machine, input, _| {
        let text = printed(machine, input)?;
        machine.charge(text.len())?;
        let mut out = String::new();
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        Ok(Value::text(out))
    }),
    native("_tourid", 0, |machine, input, _| {
        let text = printed(machine, input)?;
        unescape_uri(&text).map(Value::text).ok_or_else(|| {
            Raise::message(format!(
                "@urid cannot be applied to {}: invalid URL escape",
                input.preview()
            ))
        })
    }),
    native("_tocsv", 0, |machine, input, _| {
        row(machine, "csv", input, ",", |text| {
            format!("\"{}\"", text.replace('"', "\"\"").replace('\0', "\\0"))
        })
    }),
    native("_totsv", 0, |machine, input, _| {
        row(machine, "tsv", input, "\t", |text| {
            let mut out = String::new();
            for c in text.chars() {
                match c {
                    '\t' => out.push_str("\\t"),
                    '\r' => out.push_str("\\r"),
                    '\n' => out.push_str("\\n"),
                    '\\' => out.push_str("\\\\"),
                    '\0' => out.push_str("\\0"),
                    c => out.push(c),
                }
            }
            out
        })
    }),
    native("_tosh", 0, |machine, input, _| {
        let list = match input {
            Value::List(_) => input.clone(),
            other => Value::list(vec![other.clone()])?,
        };
        row(machine, "sh", &list, " ", |text| {
            format!("'{}'", text.replace('\'', "'\\''").replace('\0', "\\0"))
        })
    }),
    native("_tobase64", 0, |machine, input, _| {
        let text = printed(machine, input)?;
        Ok(Value::text(base64::engine::general_purpose::STANDARD.encode(&*text)))
    }),
    native("_tobase64d", 0, |machine, input, _| {
        let text = printed(machine, input)?;
        // Whatever follows the padding is not looked at; bits left over neither.
        let config = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::RequireNone)
            .with_decode_allow_trailing_bits(true);
        let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
        let encoded: String = text.split('=').next().unwrap_or_default().replace(['\r', '\n'], "");
        let decoded = engine.decode(encoded).map_err(|error| {
            let found = input.preview();
            Raise::message(format!("@base64d cannot be applied to {found}: {error}"))
        })?;
        Ok(Value::text(String::from_utf8_lossy(&decoded).into_owned()))
    }),
    native("_match", 3, |machine, input, of| find(machine, input, &of[0], &of[1], of[2].is_true())),
    native("_capture", 0, |_, input, _| capture(input)),
];

/// Printing costs a step for each value in it, and for what they make.
fn charge_all(machine: &mut Machine<'_>, value: &Value) -> Result<(), Raise> {
    machine.charge(1 + value.size() / 8)?;
    match value {
        Value::List(list) => list.items.iter().try_for_each(|item| charge_all(machine, item)),
        Value::Dict(dict) => dict.entries.iter().try_for_each(|(key, value)| {
            machine.charge(key.len() / 8)?;
            charge_all(machine, value)
        }),
        _ => Ok(()),
    }
}

fn print(machine: &mut Machine<'_>, value: &Value) -> Made {
    if let Value::Text(_) = value {
        return Ok(value.clone());
    }
    charge_all(machine, value)?;
    Ok(Value::text(value.json()))
}

fn printed(machine: &mut Machine<'_>, value: &Value) -> Result<Arc<str>, Raise> {
    match print(machine, value)? {
        Value::Text(text) => {
            machine.charge(text.len() / 8)?;
            Ok(text)
        }
        other => Err(cannot("tostring", &other)),
    }
}

fn two<'v>(name: &str, input: &'v Value, other: &'v Value) -> Result<(&'v str, &'v str), Raise> {
    match (input, other) {
        (Value::Text(text), Value::Text(other)) => Ok((text, other)),
        _ => Err(cannot_with(name, input, other)),
    }
}

/// Go's `strings.Split`: an empty separator splits into characters.
pub(super) fn split(text: &str, separator: &str) -> Vec<Value> {
    if separator.is_empty() {
        return text.chars().map(|c| Value::text(c.to_string())).collect();
    }
    text.split(separator).map(Value::text).collect()
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let all_digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    (!whole.is_empty() || !fraction.is_empty())
        && all_digits(whole)
        && all_digits(fraction)
        && exponent
}

fn join(machine: &mut Machine<'_>, input: &Value, separator: &Value) -> Made {
    let values = values(input).ok_or_else(|| cannot_with("join", input, separator))?;
    let between = match separator {
        Value::Text(text) => &**text,
        _ if values.len() > 1 => return Err(cannot_with("join", input, separator)),
        _ => "",
    };
    let mut joined = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            joined.push_str(between);
        }
        match value {
            Value::Null => {}
            Value::Text(text) => joined.push_str(text),
            Value::List(_) | Value::Dict(_) => {
                let found = value.described();
                let message = format!("join cannot be applied to an array including: {found}");
                return Err(Raise::message(message));
            }
            other => joined.push_str(&other.json()),
        }
        machine.charge((between.len() + value.size()) / 8)?;
    }
    Ok(Value::text(joined))
}

fn row(
    machine: &mut Machine<'_>,
    kind: &str,
    input: &Value,
    between: &str,
    escape: fn(&str) -> String,
) -> Made {
    let mut cells = Vec::new();
    for cell in &items(&format!("@{kind}"), input)?.items {
        machine.charge(1 + cell.size() / 4)?;
        cells.push(match cell {
            Value::List(_) | Value::Dict(_) => {
                let found = cell.described();
                let message = format!("@{kind} cannot format an array including: {found}");
                return Err(Raise::message(message));
            }
            Value::Text(text) => escape(text),
            other => match other.json() {
                null if null == "null" && kind != "sh" => String::new(),
                json => json,
            },
        });
    }
    Ok(Value::text(cells.join(between)))
}

fn unescape_uri(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
        if !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn regex(machine: &mut Machine<'_>, pattern: &str, flags: &str) -> Result<Arc<Captures>, Raise> {
    if let Some(unknown) = flags.chars().find(|flag| !"gim".contains(*flag)) {
        let message = format!("unsupported regular expression flag: \"{unknown}\"");
        return Err(Raise::message(message));
    }
    let mut full = String::new();
    // A dot fits line ends too under `m`.
    if flags.contains('m') {
        full.push_str("(?s)");
    }
    if flags.contains('i') {
        full.push_str("(?i)");
    }
    full.push_str(&pattern.replace("(?<", "(?P<"));
    if let Some(known) = machine.regexes.get(&full) {
        return Ok(known.clone());
    }
    machine.charge(1000 + full.len() * 20)?;
    let compiled = go_regex::compile_with_groups(&full)
        .map_err(|error| Raise::message(format!("invalid regular expression {full:?}: {error}")))?;
    let compiled = Arc::new(compiled);
    if machine.regexes.len() < MAX_REGEXES {
        machine.regexes.insert(full, compiled.clone());
    }
    Ok(compiled)
}

fn flags_of<'v>(flags: &'v Value, otherwise: &dyn Fn() -> Raise) -> Result<&'v str, Raise> {
    match flags {
        Value::Null => Ok(""),
        Value::Text(flags) => Ok(flags),
        _ => Err(otherwise()),
    }
}

fn split_by_regex(
    machine: &mut Machine<'_>,
    input: &Value,
    pattern: &Value,
    flags: &Value,
) -> Made {
    let whole = text("split", input)?;
    let Value::Text(pattern) = pattern else { return Err(cannot("split", pattern)) };
    let flags = flags_of(flags, &|| cannot("split", flags))?;
    machine.charge(whole.len())?;
    let regex = regex(machine, pattern, flags)?;
    if whole.is_empty() && !pattern.is_empty() {
        return Ok(Value::flat(vec![Value::text("")]));
    }
    let (mut parts, mut begin, mut end) = (Vec::new(), 0, 0);
    for found in regex.regex.find_iter(whole) {
        end = found.start();
        if found.end() != 0 {
            parts.push(Value::text(&whole[begin..end]));
        }
        begin = found.end();
    }
    if end != whole.len() {
        parts.push(Value::text(&whole[begin..]));
    }
    Ok(Value::flat(parts))
}

fn find(
    machine: &mut Machine<'_>,
    input: &Value,
    pattern: &Value,
    flags: &Value,
    tests: bool,
) -> Made {
    let name = if tests { "test" } else { "match" };
    let wrong = || {
        let (pattern, flags) = (pattern.preview(), flags.preview());
        let found = input.described();
        Raise::message(format!("{name}({pattern}; {flags}) cannot be applied to: {found}"))
    };
    let flags = flags_of(flags, &wrong)?;
    let (Value::Text(whole), Value::Text(pattern)) = (input, pattern) else { return Err(wrong()) };
    machine.charge(whole.len())?;
    let regex = regex(machine, pattern, flags)?;
    if tests {
        return Ok(Value::Bool(regex.regex.is_match(whole)));
    }
    let most = if flags.contains('g') { usize::MAX } else { 1 };
    let mut matches = Vec::new();
    // Offsets count characters; they are counted on from the last one.
    let mut counter = Counter { text: whole, at: 0, count: 0 };
    for found in regex.regex.captures_iter(whole).take(most) {
        machine.charge(64 * found.len())?;
        let Some(all) = found.get(0) else { continue };
        let mut captures = Vec::new();
        for (group, name) in found.iter().zip(&regex.names).skip(1) {
            let name = name.as_deref().map_or(Value::Null, Value::text);
            captures.push(match group {
                Some(group) => {
                    let length = group.as_str().chars().count();
                    dict_of([
                        ("name", name),
                        ("offset", Value::count(counter.offset(group.start(), machine)?)),
                        ("length", Value::count(length)),
                        ("string", Value::text(group.as_str())),
                    ])?
                }
                None => dict_of([
                    ("name", name),
                    ("offset", Value::Int(-1)),
                    ("length", Value::Int(0)),
                    ("string", Value::Null),
                ])?,
            });
        }
        matches.push(dict_of([
            ("offset", Value::count(counter.offset(all.start(), machine)?)),
            ("length", Value::count(all.as_str().chars().count())),
            ("string", Value::text(all.as_str())),
            ("captures", Value::list(captures)?),
        ])?);
    }
    Value::list(matches)
}

struct Counter<'t> {
    text: &'t str,
    at: usize,
    count: usize,
}

impl Counter<'_> {
    fn offset(&mut self, at: usize, machine: &mut Machine<'_>) -> Result<usize, Raise> {
        machine.charge(at.abs_diff(self.at) / 8)?;
        if at >= self.at {
            self.count += self.text[self.at..at].chars().count();
        } else {
            self.count -= self.text[at..self.at].chars().count();
        }
        self.at = at;
        Ok(self.count)
    }
}

fn capture(found: &Value) -> Made {
    let Value::Dict(found) = found else { return Err(Raise::expected_object(found)) };
    let captures = found.entries.get("captures").unwrap_or(&Value::Null);
    let Value::List(captures) = captures else { return Err(Raise::expected_array(captures)) };
    let mut made = std::collections::BTreeMap::new();
    for capture in &captures.items {
        if let Value::Dict(capture) = capture
            && let Some(Value::Text(name)) = capture.entries.get("name")
        {
            let text = capture.entries.get("string").cloned().unwrap_or(Value::Null);
            made.insert(name.clone(), text);
        }
    }
    Value::dict(made)
}

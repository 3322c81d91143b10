//! Payloads of type `application/yaml`, as JSON: the first document, with the scalars of
//! YAML 1.1, as Argo Events converts them.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use crate::json::{self, Escapes};

/// The deepest nesting of a payload.
const MAX_DEPTH: usize = 100;
/// The most values of a payload; what an alias repeats counts as often as it is used.
const MAX_NODES: usize = 200_000;
/// The most bytes of JSON that are made.
const MAX_BYTES: usize = 16 << 20;

/// A value as JSON text, and how many values it has.
#[derive(Clone, Debug)]
struct Node {
    json: String,
    nodes: usize,
    /// Its entries, where it is a mapping: what a merge key takes.
    entries: Option<BTreeMap<String, String>>,
    /// The items, where they are mappings.
    items: Vec<BTreeMap<String, String>>,
}

/// The JSON text of a YAML text.
///
/// # Errors
/// What is wrong with the text, or too much.
pub(crate) fn to_json(text: &str) -> Result<String, String> {
    // A tab is no indentation; the parser is lenient about the first line.
    let first = text.lines().find(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    if first.is_some_and(|line| line.starts_with('\t')) {
        return Err("a tab cannot indent".to_owned());
    }
    if first.is_some_and(|line| line.trim_end() == "..." || line.starts_with("... ")) {
        return Err("a document ends before it begins".to_owned());
    }
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        simple_key_max_lookahead: 64 * 1024,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let (anchors, place) = (HashMap::new(), Span::default());
    let mut reader = Reader { text, parser, place, anchors, nodes: 0, bytes: 0 };
    loop {
        match reader.next()? {
            None | Some(Event::StreamEnd | Event::DocumentEnd) => return Ok("null".to_owned()),
            Some(Event::StreamStart | Event::DocumentStart(..)) => {}
            Some(event) => return reader.node(event, 0).map(|node| node.json),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    /// Where the last event stands.
    place: Span,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Option<Event<'t>>, String> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, place))) => {
                self.place = place;
                Ok(Some(event))
            }
            Some(Err(error)) => Err(error.to_string()),
        }
    }

    fn need(&mut self) -> Result<Event<'t>, String> {
        self.next()?.ok_or_else(|| "it ends in the middle of a value".to_owned())
    }

    fn count(&mut self, nodes: usize, bytes: usize) -> Result<(), String> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > MAX_NODES || self.bytes > MAX_BYTES {
            return Err(format!("it has more than {MAX_NODES} values or {MAX_BYTES} bytes"));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().map(|tag| tag.suffix());
                let text = self.as_written(&text, style)?;
                let json = scalar(text, style == ScalarStyle::Plain, tag)?;
                (anchor, Node { json, nodes: 1, entries: None, items: Vec::new() })
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.sequence(depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.mapping(depth)?),
            Event::Alias(id) => {
                let known = self.anchors.get(&id).cloned();
                let node = known.ok_or("an anchor's value contains itself")?;
                self.count(node.nodes, node.json.len())?;
                return Ok(node);
            }
            other => return Err(format!("a value is expected, not {other:?}")),
        };
        self.count(1, node.json.len())?;
        if anchor != 0 {
            self.count(node.nodes, node.json.len())?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// The text of the scalar that was read last, where it is one in YAML 1.1.
    fn as_written<'s>(&self, text: &'s str, style: ScalarStyle) -> Result<&'s str, String> {
        let range = self.place.byte_range();
        match style {
            ScalarStyle::DoubleQuoted => {
                let raw = range.and_then(|range| self.text.get(range)).unwrap_or_default();
                check_escapes(raw)?;
            }
            // The end of the text is no line break.
            ScalarStyle::Literal | ScalarStyle::Folded
                if !self.text.ends_with(['\n', '\r'])
                    && range.as_ref().is_some_and(|range| range.end >= self.text.len()) =>
            {
                return Ok(text.strip_suffix('\n').unwrap_or(text));
            }
            _ => {}
        }
        Ok(text)
    }

    fn sequence(&mut self, depth: usize) -> Result<Node, String> {
        let (mut json, mut nodes, mut items) = ("[".to_owned(), 1, Vec::new());
        loop {
            let event = self.need()?;
            if matches!(event, Event::SequenceEnd) {
                json.push(']');
                return Ok(Node { json, nodes, entries: None, items });
            }
            let item = self.node(event, depth + 1)?;
            json.push_str(if json.len() > 1 { "," } else { "" });
            json.push_str(&item.json);
            nodes += item.nodes;
            items.extend(item.entries);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Node, String> {
        let (mut entries, mut merged, mut nodes) = (BTreeMap::new(), BTreeMap::new(), 1);
        loop {
            let event = self.need()?;
            if matches!(event, Event::MappingEnd) {
                for (key, value) in merged {
                    entries.entry(key).or_insert(value);
                }
                return Ok(Node {
                    json: object(&entries),
                    nodes,
                    entries: Some(entries),
                    items: Vec::new(),
                });
            }
            let is_merge = matches!(
                &event,
                Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<"
            );
            let key = match &event {
                Event::Scalar(text, ScalarStyle::Plain, 0, None) if float(text).is_some() => {
                    float(text).map(float_key).unwrap_or_default()
                }
                _ => key_text(&self.node(event, depth + 1)?)?,
            };
            let event = self.need()?;
            let value = self.node(event, depth + 1)?;
            nodes += value.nodes;
            if is_merge {
                let parts = match value.entries {
                    Some(part) => vec![part],
                    None if !value.items.is_empty() => value.items,
                    None => return Err("a merge key needs a mapping".to_owned()),
                };
                // Of several, the first has precedence.
                for part in parts {
                    for (key, value) in part {
                        merged.entry(key).or_insert(value);
                    }
                }
                continue;
            }
            entries.insert(key, value.json);
        }
    }
}

/// Escapes of YAML 1.2 and JSON that YAML 1.1 does not have.
fn check_escapes(raw: &str) -> Result<(), String> {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at + 1..];
        let code = escape.strip_prefix('u').and_then(|code| code.get(..4));
        let code = code.and_then(|code| u32::from_str_radix(code, 16).ok());
        if escape.starts_with('/') {
            return Err("there is no escape `\\/`".to_owned());
        }
        if code.is_some_and(|code| (0xd800..0xe000).contains(&code)) {
            return Err("an escape names half a character".to_owned());
        }
        rest = escape.get(escape.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    Ok(())
}

fn object(entries: &BTreeMap<String, String>) -> String {
    let mut json = "{".to_owned();
    for (key, value) in entries {
        json.push_str(if json.len() > 1 { "," } else { "" });
        json::push_text(&mut json, key, Escapes::Html);
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
    json
}

/// The text of a key: a number or boolean is one too.
fn key_text(key: &Node) -> Result<String, String> {
    match key.json.as_bytes().first() {
        Some(b'"') => {
            let read = serde_json::from_str::<String>(&key.json);
            read.map_err(|error| error.to_string())
        }
        Some(b'{' | b'[' | b'n') | None => Err("a key is no text".to_owned()),
        Some(b'0'..=b'9')
            if key.json.parse::<u64>().is_ok_and(|key| i64::try_from(key).is_err()) =>
        {
            Err(format!("the key {} is too large", key.json))
        }
        _ => Ok(key.json.clone()),
    }
}

fn scalar(text: &str, plain: bool, tag: Option<&str>) -> Result<String, String> {
    let as_text = |text: &str| {
        let mut json = String::new();
        json::push_text(&mut json, text, Escapes::Html);
        json
    };
    match tag {
        Some("binary") => {
            let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            let bytes = STANDARD.decode(bare).map_err(|_| "`!!binary` is no base64")?;
            Ok(as_text(&String::from_utf8_lossy(&bytes)))
        }
        Some("str") => Ok(as_text(text)),
        Some("int" | "float" | "bool" | "null") => match resolve(text)? {
            Some(json) => Ok(json),
            None => Err(format!("`{text}` is not of the type that its tag says")),
        },
        None if plain => Ok(resolve(text)?.unwrap_or_else(|| as_text(text))),
        _ => Ok(as_text(text)),
    }
}

/// The JSON of a plain scalar; `None`: it is a text.
fn resolve(text: &str) -> Result<Option<String>, String> {
    let word = match text {
        "" | "~" | "null" | "Null" | "NULL" => Some("null"),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some("true")
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some("false")
        }
        _ => None,
    };
    if let Some(word) = word {
        return Ok(Some(word.to_owned()));
    }
    if let Some(value) = float(text) {
        if !value.is_finite() {
            return Err(format!("JSON has no number `{text}`"));
        }
        let mut json = String::new();
        json::push_float(&mut json, value);
        return Ok(Some(json));
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c)) {
        return Ok(None);
    }
    Ok(integer(&text.replace('_', "")).map(|number| number.to_string()))
}

/// A plain scalar that is a float and no integer. One that is too large is a text.
fn float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => return None,
        _ => {}
    }
    let bare = if text.starts_with('.') { text.to_owned() } else { text.replace('_', "") };
    let is_float = integer(&bare).is_none() && is_float(&bare);
    bare.parse().ok().filter(|value: &f64| is_float && value.is_finite())
}

/// A float as a key: with the digits of single precision.
#[expect(clippy::cast_possible_truncation, reason = "single precision is what is asked for")]
fn float_key(value: f64) -> String {
    let single = value as f32;
    if single.is_nan() {
        return ".nan".to_owned();
    }
    if single.is_infinite() {
        return if single > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let text = format!("{single:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    match exponent {
        -4..=5 => single.to_string(),
        exponent if exponent < 0 => format!("{digits}e-{:02}", -exponent),
        exponent => format!("{digits}e+{exponent:02}"),
    }
}

/// An integer; a leading zero is that of an octal number.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some(_) if lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, base).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    (value >= i128::from(i64::MIN)).then_some(value)
}

fn is_float(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let all_digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    (!whole.is_empty() || !fraction.is_empty())
        && all_digits(whole)
        && all_digits(fraction)
        && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_those_of_yaml_1_1() {
        for (yaml, json) in [
            ("a: 010", r#"{"a":8}"#),
            ("a: 0o10", r#"{"a":8}"#),
            ("a: 0x1F", r#"{"a":31}"#),
            ("a: 1_000", r#"{"a":1000}"#),
            ("a: 1e3", r#"{"a":1000}"#),
            ("a: .5", r#"{"a":0.5}"#),
            ("a: +1.50", r#"{"a":1.5}"#),
            ("a: y", r#"{"a":true}"#),
            ("a: Off", r#"{"a":false}"#),
            ("a: ~", r#"{"a":null}"#),
            ("a:", r#"{"a":null}"#),
            ("a: '1'", r#"{"a":"1"}"#),
            ("a: 2024-01-01", r#"{"a":"2024-01-01"}"#),
            ("a: 1:30", r#"{"a":"1:30"}"#),
            ("a: 9007199254740993", r#"{"a":9007199254740993}"#),
            ("a: 18446744073709551615", r#"{"a":18446744073709551615}"#),
            ("a: 1e22", r#"{"a":1e+22}"#),
            ("a: !!binary aGk=", r#"{"a":"hi"}"#),
            ("a: !!str 1", r#"{"a":"1"}"#),
            ("true: y", r#"{"true":true}"#),
            ("1: x", r#"{"1":"x"}"#),
            ("b: 1\na: 2", r#"{"a":2,"b":1}"#),
            ("a: 1\na: 2", r#"{"a":2}"#),
            ("a: |\n  x\n  y\n", r#"{"a":"x\ny\n"}"#),
            ("- 1\n- two\n", r#"[1,"two"]"#),
            ("a: &x {b: 1}\nc: *x", r#"{"a":{"b":1},"c":{"b":1}}"#),
            ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", r#"{"a":{"b":1,"c":2},"d":{"b":1,"c":3}}"#),
            ("a: <&>", r#"{"a":"\u003c\u0026\u003e"}"#),
            ("plain", r#""plain""#),
            ("", "null"),
            ("# only a comment", "null"),
            ("a: 1e400", r#"{"a":"1e400"}"#),
            (".inf: 1\n1e7: 2\n0.1: 3", r#"{".inf":1,"0.1":3,"1e+07":2}"#),
            ("a: |\n  x", r#"{"a":"x"}"#),
            ("a: |\n  x\nb: 1", r#"{"a":"x\n","b":1}"#),
            (r#"a: "\u00e9\\/""#, r#"{"a":"é\\/"}"#),
            ("a: 1\n---\nb: 2", r#"{"a":1}"#),
        ] {
            assert_eq!(to_json(yaml).as_deref(), Ok(json), "{yaml}");
        }
    }

    #[test]
    fn what_json_does_not_have_is_an_error() {
        for yaml in ["a: .inf", "a: .nan", "? [1]\n: x", "\ta: 1", "a: @x", "a: [1", "a: *b"] {
            assert!(to_json(yaml).is_err(), "{yaml}");
        }
        for yaml in [r#"a: "\/""#, r#"a: "\ud83d\ude00""#, "18446744073709551615: a", "..."] {
            assert!(to_json(yaml).is_err(), "{yaml}");
        }
    }

    #[test]
    fn hostile_texts_are_cut_off() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
            + &('b'..='z')
                .zip('a'..)
                .map(|(c, before)| {
                    format!("{c}: &{c} [{}]\n", vec![format!("*{before}"); 9].join(","))
                })
                .collect::<String>();
        assert!(to_json(&bomb).unwrap_err().contains("more than"));
        for deep in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
            assert!(to_json(&deep).is_err());
        }
    }
}
